"""The command line as its users meet it: JSON alone on standard output, messages, exit codes."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from maintenance.cli.commands import cli
from maintenance.partition_set.expected import horizon
from maintenance.policy import load_policy
from tests import conversions
from tests.builders import Database
from tests.caches import cache_server, program_of
from tests.policies import CREATE_EVENTS, EVENTS, write_policy

pytestmark = pytest.mark.in_turn

PARTITIONS = """
SELECT relname FROM pg_class
WHERE relispartition AND relkind = 'r' AND relnamespace = 'public'::regnamespace
"""


@pytest.fixture
def file(database: Database, tmp_path: Path) -> Path:
    database.execute(CREATE_EVENTS)
    return write_policy(tmp_path, database.url, EVENTS)


def call(*arguments: object, **environ: str) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments], env=environ)


def answer(*arguments: object, exits: int, **environ: str) -> Any:
    result = call(*arguments, "--json", **environ)
    assert result.exit_code == exits, result.output
    return json.loads(result.stdout)


def test_plan_prints_actions_with_sql_and_locks(file: Path) -> None:
    document = answer("plan", "--policy", file, "--now", "2026-11-20T00:00:00Z", exits=1)
    assert document["database"] == "app"
    assert document["now"] == "2026-11-20T00:00:00+00:00"
    first = document["actions"][0]
    assert first["kind"] == "create_partition"
    assert first["object"] == "public.events_2026_11"
    assert first["period"] == "2026-11"
    assert first["locks"] == [{"object": "public.events", "mode": "SHARE UPDATE EXCLUSIVE"}]
    assert [statement.split()[0] for statement in first["sql"]] == ["CREATE", "ALTER"]
    assert not first["destructive"]
    (finding,) = document["findings"]
    assert finding.keys() == {
        "kind", "severity", "object", "message", "value", "threshold", "data",
    }  # fmt: skip


def test_plan_shows_people_the_steps_of_a_conversion(database: Database, tmp_path: Path) -> None:
    database.execute(conversions.PLAIN)
    file = write_policy(tmp_path, database.url, conversions.EVENTS)
    (action,) = answer("plan", "--policy", file, "--only", "conversion", exits=0)["actions"]
    text = call("plan", "--policy", file, "--only", "conversion").output
    assert action["detail"]["estimated_s"] > 0
    for step in action["detail"]["steps"]:
        (line,) = [line for line in text.splitlines() if step["what"] in line]
        assert all(lock in line for lock in step["locks"])


@pytest.mark.pg("== 16")
def test_plan_is_as_long_as_it_is_asked_to_be(database: Database, file: Path) -> None:
    database.execute(
        "CREATE TABLE public.users (id int PRIMARY KEY);"
        "ALTER TABLE public.events ADD user_id int REFERENCES public.users"
    )
    actions = answer("plan", "--policy", file, exits=1)["actions"]
    brief, usual, full = (
        call("plan", "--policy", file, *options).output for options in (["--brief"], [], ["--sql"])
    )
    for text in (brief, usual, full):
        first = [line for line in text.splitlines() if not line.startswith(" ")]
        for action in actions:
            assert any(f"{action['kind']} {action['object']}" in line for line in first)
    assert not any(line.startswith(" ") for line in brief.splitlines())
    assert "ATTACH PARTITION" in usual
    assert "    DO " not in usual
    assert usual.count("shown by --sql") == full.count("    DO ") == len(actions)
    assert call("plan", "--policy", file, "--brief", "--sql").exit_code == 2


def test_plan_ids_are_stable_between_calls(file: Path) -> None:
    ids = [
        [a["id"] for a in answer("plan", "--policy", file, exits=1)["actions"]] for _ in range(2)
    ]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 4


def test_apply_then_plan_is_empty_and_exits_zero(file: Path) -> None:
    done = answer("apply", "--policy", file, exits=0)
    assert {a["outcome"] for a in done["actions"]} == {"done"}
    assert all(a["duration_ms"] > 0 and a["attempts"] == 1 for a in done["actions"])
    assert done["findings"] == []
    planned = answer("plan", "--policy", file, exits=0)
    assert (planned["actions"], planned["findings"]) == ([], [])


def test_apply_makes_an_asked_period(file: Path) -> None:
    answer("apply", "--policy", file, exits=0)
    done = answer(
        "apply", "--policy", file, "--table", "public.events", "--period", "2025-03", exits=0
    )
    assert [(a["object"], a["outcome"]) for a in done["actions"]] == [
        ("public.events_2025_03", "done")
    ]


def test_apply_refuses_a_period_beyond_the_horizon(file: Path) -> None:
    done = answer("apply", "--policy", file, "--table", "events", "--period", "2099-01", exits=1)
    assert done["actions"][0]["outcome"] == "refused"
    last = str(horizon(load_policy(file).partitions[0], datetime.now(UTC)))
    assert last in done["actions"][0]["error"]


def test_apply_now_needs_leave(file: Path) -> None:
    result = call("apply", "--policy", file, "--now", "2030-01-01T00:00:00Z")
    assert result.exit_code == 2
    assert "MAINTENANCE_ALLOW_CLOCK_OVERRIDE=1" in result.stderr
    allowed = {"MAINTENANCE_ALLOW_CLOCK_OVERRIDE": "1"}
    done = answer("apply", "--policy", file, "--now", "2030-01-01T00:00:00Z", exits=0, **allowed)
    assert done["actions"][0]["period"] == "2030-01"


def test_status_shows_horizons_and_runs(file: Path) -> None:
    answer("apply", "--policy", file, exits=0)
    document = answer("status", "--policy", file, exits=0)
    (table,) = document["partitions"]
    assert (table["table"], table["ahead"], table["premake"]) == ("public.events", 3, 3)
    (run,) = document["runs"]
    assert (run["command"], run["outcome"], run["result"]) == ("apply", "done", "done")
    assert (run["actions"], run["failed"], run["errors"]) == (4, 0, 0)


def test_status_counts_actions_on_the_database_and_tells_errors_from_failures(
    database: Database, tmp_path: Path
) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(
        f"database: {{name: shop, url: '{database.url}'}}\n"
        "partitions: [{table: public.none, column: at, interval: 1 month}]\n"
        "indexes: off\nbloat: off\nworkload: off\n"
    )
    done = answer("apply", "--policy", file, exits=1)
    assert [f["severity"] for f in done["findings"]] == ["error"]
    (run,) = answer("status", "--policy", file, exits=1)["runs"]
    assert (run["actions"], run["failed"], run["errors"]) == (0, 0, 1)
    assert (run["outcome"], run["result"]) == ("failed", "errors found")
    made = "SELECT count(*) FROM maintenance.journal WHERE table_name LIKE 'maintenance.%'"
    assert database.execute(made)[0][0] > 0, "partitions of the store itself"


def test_check_tells_the_server_and_that_the_policy_fits(database: Database, file: Path) -> None:
    document = answer("check", "--policy", file, exits=0)
    assert document["server"]["version"].startswith(str(database.server.major))
    assert document["findings"] == []


def test_schema_needs_no_policy_and_no_server() -> None:
    document = json.loads(call("check", "--schema", MAINTENANCE_POLICIES="/no/such/folder").stdout)
    assert document["type"] == "object"
    assert "partitions" in document["properties"]


@pytest.mark.parametrize("command", ["check", "plan", "apply", "status"])
def test_people_get_text_without_a_traceback(file: Path, command: str) -> None:
    result = call(command, "--policy", file)
    assert result.exit_code in (0, 1)
    assert "app" in result.stdout
    assert "Traceback" not in result.output


def test_people_read_a_line_an_action_whatever_the_width(file: Path) -> None:
    clock = {"MAINTENANCE_ALLOW_CLOCK_OVERRIDE": "1"}
    moment = "2026-11-20T00:00:00Z"
    planned = answer("plan", "--policy", file, "--now", moment, exits=1)["actions"]
    (reason,) = [a["reason"] for a in planned if a["object"] == "public.events_2026_12"]
    lines = call("apply", "--policy", file, "--now", moment, **clock).stdout.splitlines()
    (line,) = [line for line in lines if "public.events_2026_12" in line]
    assert line.startswith("done  create_partition public.events_2026_12  ")
    assert line.endswith(f"  {reason}")


# One clear message each: 2 what the file shows, 3 no server, 1 what only the catalog shows


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"premak": 3}, ["premak", "premake"]),
        ({"premake": "three"}, ["premake", "three"]),
        ({"premake": 0}, ["premake", "1"]),
        ({"premake": 10_000}, ["premake", "1000"]),
        ({"interval": "1 fortnight"}, ["interval", "1 fortnight"]),
        ({"name": "{table}_x"}, ["name", "{table}_x"]),
    ],
)
def test_fault_of_the_file_exits_2_and_touches_nothing(
    tmp_path: Path, change: dict[str, Any], words: list[str]
) -> None:
    file = write_policy(tmp_path, "postgresql://127.0.0.1:9/x", {**EVENTS, **change})
    result = call("apply", "--policy", file)
    assert result.exit_code == 2
    assert all(word in result.stderr for word in [*words, "app.yaml:"])
    assert "Traceback" not in result.output
    document = answer("apply", "--policy", file, exits=2)
    assert document["error"]["problems"][0]["line"] > 0


def test_unknown_key_is_answered_with_the_nearest(tmp_path: Path) -> None:
    file = write_policy(tmp_path, "postgresql://127.0.0.1:9/x", {**EVENTS, "premak": 3})
    (problem,) = answer("check", "--policy", file, exits=2)["error"]["problems"]
    assert "premake" in problem["hint"]
    assert "interval" not in problem["hint"], "not the list of all keys"


def test_names_that_collide_after_63_bytes_exit_2(tmp_path: Path) -> None:
    tables = [{**EVENTS, "table": "t" * 60 + end} for end in ("ax", "ay")]
    result = call("plan", "--policy", write_policy(tmp_path, "postgresql://h/x", *tables))
    assert result.exit_code == 2
    assert all(f"public.{table['table']}" in result.stderr for table in tables)


def test_duplicate_key_exits_2_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "twice.yaml"
    file.write_text("database:\n  name: a\n  url: postgresql://h/x\n  name: b\n")
    result = call("plan", "--policy", file)
    assert result.exit_code == 2
    assert "twice.yaml:4:3" in result.stderr


def test_missing_variable_exits_2_and_names_it(tmp_path: Path) -> None:
    file = tmp_path / "app.yaml"
    file.write_text("database: {name: app, url: {env: NO_SUCH_URL}}\n")
    result = call("plan", "--policy", file)
    assert result.exit_code == 2
    assert "NO_SUCH_URL" in result.stderr


def test_missing_policy_file_exits_2(tmp_path: Path) -> None:
    assert call("plan", "--policy", tmp_path / "none.yaml").exit_code == 2


def test_unknown_subject_exits_2_and_lists_them(file: Path) -> None:
    result = call("plan", "--policy", file, "--only", "partition")
    assert result.exit_code == 2
    assert "partitions" in result.stderr


def test_unreachable_server_exits_3_and_hides_the_password(tmp_path: Path) -> None:
    file = write_policy(tmp_path, "postgresql://u:geheim@127.0.0.1:9/db", EVENTS)
    result = call("plan", "--policy", file)
    assert result.exit_code == 3
    assert "127.0.0.1:9/db" in result.stderr
    assert "geheim" not in result.output


def test_refused_connection_names_the_variable_that_has_its_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_URL", "postgresql://u:geheim@127.0.0.1:9/db")
    file = tmp_path / "shop.yaml"
    file.write_text("database: {name: shop, url: {env: SHOP_URL}}\n")
    result = call("plan", "--policy", file)
    assert result.exit_code == 3
    assert "password in database.url (environment variable SHOP_URL)" in result.stderr


def test_table_that_is_not_partitioned_exits_1(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE public.events (at timestamptz)")
    file = write_policy(tmp_path, database.url, EVENTS)
    document = answer("apply", "--policy", file, exits=1)
    assert [f["kind"] for f in document["findings"]] == ["not_partitioned"]
    assert document["actions"] == []


def test_one_broken_policy_never_stops_the_others(file: Path, database: Database) -> None:
    (file.parent / "broken.yaml").write_text("database: {}\n")
    documents = answer("apply", "--policy", file.parent, exits=2)
    assert sorted("error" in document for document in documents) == [False, True]
    made = database.execute(PARTITIONS)
    assert len(made) == 4


def test_folder_comes_from_the_environment(file: Path) -> None:
    document = answer("plan", exits=1, MAINTENANCE_POLICIES=str(file.parent))
    assert document["database"] == "app"


def test_installed_command_keeps_progress_off_standard_output(file: Path) -> None:
    command = Path(sys.executable).with_name("maintenance")
    done = subprocess.run(
        [command, "apply", "--policy", file, "--json"],
        capture_output=True,
        text=True,
        check=False,
        env={k: v for k, v in os.environ.items() if not k.startswith("MAINTENANCE")},
    )
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["actions"]) == 4
    assert "create_partition" in done.stderr


LOADED = """
import sys
from maintenance.cli import main
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""

OF_OTHER_WORK = {
    *("dagster", "leather", "numpy", "prometheus_client", "sqlite3"),
    *("apprise", "fsspec", "pglast", "pyarrow", "redis", "requests"),
    *("maintenance.demo", "maintenance.orchestration", "maintenance.pipeline.init"),
}
"""What takes long to load, and what a plan of partitions does not need."""


def test_plan_loads_no_library_of_other_work(file: Path) -> None:
    command = [sys.executable, "-c", LOADED, "plan", "--only", "partitions", "--policy", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "events" in done.stdout, done.stderr
    loaded = set(done.stderr.split())
    assert "maintenance.subjects.partitions.plan" in loaded
    assert loaded & OF_OTHER_WORK == set()


def test_run_id_of_apply_is_what_undo_takes(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE t (a int)")
    (tmp_path / "indexes.sql").write_text("CREATE INDEX i ON t (a);")
    file = write_policy(tmp_path, database.url, indexes={"declared": "indexes.sql"})
    done = answer("apply", "--policy", file, "--only", "indexes", exits=0)
    undone = answer("undo", done["run_id"], "--policy", file, exits=0)
    assert (undone["run"], undone["complete"]) == (done["run_id"], True)
    assert [action["detail"]["undoes"] for action in undone["actions"]] == ["create_index"]


# Reviewed plans


def test_reviewed_plan_is_carried_out_exactly(file: Path, tmp_path: Path) -> None:
    saved = tmp_path / "plan.json"
    planned = answer("plan", "--policy", file, "--out", saved, exits=1)
    assert json.loads(saved.read_text())["policy_hash"]
    done = answer("apply", "--policy", file, "--plan", saved, exits=0)
    assert [a["id"] for a in done["actions"]] == [a["id"] for a in planned["actions"]]


def refused(file: Path, saved: Path) -> str:
    done = answer("apply", "--policy", file, "--plan", saved, exits=1)
    assert {action["outcome"] for action in done["actions"]} == {"refused"}
    return str(done["actions"][0]["error"])


def test_reviewed_plan_is_refused_whole_when_the_catalog_changed(
    database: Database, file: Path, tmp_path: Path
) -> None:
    saved = tmp_path / "plan.json"
    planned = answer("plan", "--policy", file, "--out", saved, exits=1)
    database.execute("".join(planned["actions"][0]["sql"][:1]))
    assert planned["actions"][0]["object"] in refused(file, saved)
    assert database.execute(PARTITIONS) == []


def test_reviewed_plan_is_refused_when_the_policy_changed(
    database: Database, file: Path, tmp_path: Path
) -> None:
    saved = tmp_path / "plan.json"
    answer("plan", "--policy", file, "--out", saved, exits=1)
    write_policy(tmp_path, database.url, {**EVENTS, "premake": 4})
    assert "public.events" not in refused(file, saved), "no action differs"
    assert database.execute(PARTITIONS) == []


@pytest.mark.pg("== 16")
def test_tampered_plan_exits_2_and_does_nothing(
    database: Database, file: Path, tmp_path: Path
) -> None:
    database.execute("CREATE TABLE public.orders (id int)")
    saved = tmp_path / "plan.json"
    answer("plan", "--policy", file, "--out", saved, exits=1)
    document = json.loads(saved.read_text())
    document["actions"][0]["sql"] = ["DROP TABLE public.orders"]
    saved.write_text(json.dumps(document))
    result = call("apply", "--policy", file, "--plan", saved)
    assert (result.exit_code, result.stdout) == (2, "")
    assert all(named in result.stderr for named in (saved.name, "actions[0]"))
    assert database.execute(PARTITIONS) == []
    assert database.execute("SELECT count(*) FROM public.orders") == [(0,)]


NO_PLANS = (b"", b"[]", b"{}", b'{"format": 2}', b"\0", b"[" * 10_000, b"\xff\xfe{\0}", b"\xe9")


@pytest.mark.pg("== 16")
def test_what_is_no_saved_plan_exits_2_with_one_line(file: Path, tmp_path: Path) -> None:
    fifo, folder = tmp_path / "plan.fifo", tmp_path / "plan.folder"
    os.mkfifo(fifo)
    folder.mkdir()
    files = [fifo, folder, tmp_path / "plan.missing"]
    for place, content in enumerate(NO_PLANS):
        files.append(tmp_path / f"plan.{place}")
        files[-1].write_bytes(content)
    for saved in files:
        result = call("apply", "--policy", file, "--plan", saved)
        assert result.exit_code == 2, saved
        assert isinstance(result.exception, SystemExit)
        (line, *hint) = result.stderr.splitlines()
        assert saved.name in line
        assert len(hint) <= 1


VARIABLES = """
redis:
  url: {env: CACHE_URL}
store:
  url: {env: STORE_URL}
alerts:
  ping: {env: PING_URL}
  sinks:
    - {type: apprise, url: {env: CHAT_URL}}
    - {type: webhook, url: {env: HOOK_URL}, secret: {env: HOOK_SECRET}}
"""


def test_check_names_each_variable_that_is_not_set(database: Database, tmp_path: Path) -> None:
    file = write_policy(tmp_path, database.url)
    file.write_text(file.read_text() + VARIABLES)
    given = {"STORE_URL": database.url, "HOOK_URL": "https://example.org/hook", "PING_URL": "x"}
    findings = answer("check", "--policy", file, exits=1, **given)["findings"]
    unset = [each for each in findings if each["kind"] == "policy_broken"]
    assert {each["kind"] for each in findings} == {"policy_broken", "redis_unreachable"}
    assert {each["severity"] for each in unset} == {"error"}
    assert [(each["data"]["key"], each["data"]["variable"]) for each in unset] == [
        ("redis.url", "CACHE_URL"),
        ("alerts.ping", "PING_URL"),
        ("alerts.sinks.url", "CHAT_URL"),
        ("alerts.sinks.secret", "HOOK_SECRET"),
    ]
    assert all(each["object"] == str(file) for each in unset)
    with cache_server(program_of("embedded"), tmp_path / "redis") as cache:
        more = {
            "CACHE_URL": cache.url,
            "PING_URL": "https://example.org/ping",
            "CHAT_URL": "json://localhost",
            "HOOK_SECRET": "secret",
        }
        assert answer("check", "--policy", file, exits=0, **{**given, **more})["findings"] == []


def test_check_passes_without_the_variable_of_an_optional_replica(
    database: Database, tmp_path: Path
) -> None:
    file = write_policy(tmp_path, database.url)
    text = file.read_text()
    replica = "  replicas: [{env: REPLICA_URL}]\n"
    file.write_text(text.replace("  name: app\n", f"  name: app\n{replica}"))
    answer("check", "--policy", file, exits=0)
    required = f"{replica}  optional_replicas: false\n"
    file.write_text(text.replace("  name: app\n", f"  name: app\n{required}"))
    (finding,) = answer("check", "--policy", file, exits=1)["findings"]
    assert finding["data"]["variable"] == "REPLICA_URL"
