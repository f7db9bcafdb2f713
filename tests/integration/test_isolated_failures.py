"""Tables that can't be looked at: each is a finding of its own, and all others are served."""

import json
import socket
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from maintenance.catalog import observe as catalog_observe
from maintenance.cli.commands import cli
from maintenance.engine.action_context import ActionContext
from maintenance.engine.actions import Action, ActionKind
from maintenance.engine.executor import Outcome
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.observe_context import ObserveContext
from maintenance.names import quote
from maintenance.pipeline import notify
from maintenance.pipeline import run as pipeline
from maintenance.server.session import Timeouts, connect
from maintenance.subjects.partitions import PARTITIONS, Partitions
from tests.builders import Database, Role
from tests.policies import make_policy, write_policy

ORDINARY = "public.ordinary"
PREMAKE = {"column": "at", "interval": "1 month", "premake": 2}

# Every one has a default partition that we can't see into, each for another reason.
ODD = {
    "secured": """
        ALTER TABLE {default} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
        CREATE POLICY own ON {default} USING (current_setting('app.tenant') = 'a');
        ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY""",
    'with "quotes" $$': """
        ALTER TABLE {default} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
        ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY""",
    "forbidden": "REVOKE ALL ON {default} FROM {owner}",
    "closed": "CREATE SCHEMA closed; ALTER TABLE {default} SET SCHEMA closed",
    "foreign": """
        SET ROLE {owner};
        DROP TABLE {default};
        CREATE FOREIGN TABLE {default} PARTITION OF {table} DEFAULT SERVER elsewhere""",
    "foreign_leaf": """
        SET ROLE {owner};
        DROP TABLE {default};
        CREATE TABLE {default} PARTITION OF {table} DEFAULT PARTITION BY HASH (id);
        CREATE FOREIGN TABLE public.leaf PARTITION OF {default}
          FOR VALUES WITH (MODULUS 2, REMAINDER 1) SERVER elsewhere""",
}


def make_parent(database: Database, name: str) -> None:
    table, default = f"public.{quote(name)}", f"public.{quote(name + '_default')}"
    database.execute(
        f"CREATE TABLE {table} (id bigint, at timestamptz NOT NULL) PARTITION BY RANGE (at);"
        f"CREATE TABLE {default} PARTITION OF {table} DEFAULT"
    )


def in_use(database: Database, name: str) -> None:
    database.execute(f"INSERT INTO public.{quote(name)} SELECT 1, now()")


def role_of(database: Database, owner: Role, role: Role) -> str:
    """Give all to the owner, and the role what it needs; its url."""
    database.give_to(owner)
    for grant in (
        f"CONNECT, CREATE ON DATABASE {quote(database.name)} TO {role.name}",
        f"USAGE, CREATE ON SCHEMA public TO {role.name}, {owner.name}",
        f"pg_monitor, {owner.name} TO {role.name}",
    ):
        database.execute(f"GRANT {grant}")
    return database.url_of(role)


def run(*arguments: object) -> tuple[int, Any]:
    """Call a command; its exit code, and the JSON it printed."""
    result = CliRunner().invoke(cli, [*(str(a) for a in arguments), "--json"])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result.exit_code, json.loads(result.stdout)


def months(database: Database, name: str) -> int:
    """How many partitions a table has besides its default one."""
    return database.execute(
        "SELECT count(*) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = %s::regclass AND pg_get_expr(c.relpartbound, 0) <> 'DEFAULT'",
        [f"public.{quote(name)}"],
    )[0][0]


def folder_of(database: Database) -> Path:
    return Path(database.execute("SHOW data_directory")[0][0])


def blind(findings: Any) -> dict[str, str]:
    """The objects that could not be looked at, with the severity."""
    return {f["object"]: f["severity"] for f in findings if f["kind"] == "monitor_blind"}


@pytest.mark.pg("== 18")
def test_each_odd_table_is_told_and_raised_and_the_ordinary_ones_are_served(
    database: Database, owner_role: Role, limited_role: Role, tmp_path: Path
) -> None:
    database.execute("CREATE FOREIGN DATA WRAPPER nothing")
    database.execute("CREATE SERVER elsewhere FOREIGN DATA WRAPPER nothing")
    names = ["ordinary", *ODD, "last"]
    for name in names:
        make_parent(database, name)
        in_use(database, name)
    url = role_of(database, owner_role, limited_role)
    database.execute(f"GRANT USAGE ON FOREIGN SERVER elsewhere TO {owner_role.name}")
    for name, sql in ODD.items():
        table, default = f"public.{quote(name)}", f"public.{quote(name + '_default')}"
        database.execute(sql.format(table=table, default=default, owner=owner_role.name))
    file = write_policy(
        tmp_path, url, *({"table": f"public.{quote(name)}", **PREMAKE} for name in names)
    )
    odd = {f"public.{quote(name)}": "error" for name in ODD}
    for _ in range(2):
        code, report = run("apply", "--policy", file)
        assert (code, blind(report["findings"])) == (1, odd)
        assert not [a for a in report["actions"] if a["outcome"] != "done"]
    assert [months(database, name) for name in names] == [3, *(0 for _ in ODD), 3]
    assert run("notify", "--policy", file)[0] == 0
    standing = run("alerts", "--policy", file)[1]["alerts"]
    assert {a["object"] for a in standing if a["kind"] == "monitor_blind"} == odd.keys()
    database.execute(f"ALTER ROLE {limited_role.name} BYPASSRLS")
    assert "public.secured" not in blind(run("plan", "--policy", file)[1]["findings"])


@pytest.mark.pg("== 18")
def test_default_partition_whose_files_are_empty_hides_nothing(
    database: Database, owner_role: Role, limited_role: Role, tmp_path: Path
) -> None:
    make_parent(database, "ordinary")
    url = role_of(database, owner_role, limited_role)
    database.execute(ODD["secured"].format(table=ORDINARY, default=f"{ORDINARY}_default"))
    file = write_policy(tmp_path, url, {"table": ORDINARY, **PREMAKE})
    code, report = run("apply", "--policy", file)
    assert (code, blind(report["findings"])) == (0, {ORDINARY: "warn"})
    assert months(database, "ordinary") == 3


@pytest.mark.pg("== 18")
def test_damaged_table_is_told_and_no_other_suffers(database: Database, tmp_path: Path) -> None:
    for name in ("ordinary", "damaged"):
        make_parent(database, name)
        in_use(database, name)
    database.execute("CHECKPOINT")
    ((path,),) = database.execute("SELECT pg_relation_filepath('public.damaged_default')")
    (folder_of(database) / path).unlink()
    tables = ({"table": f"public.{name}", **PREMAKE} for name in ("damaged", "ordinary"))
    policy = make_policy(tmp_path, database.url, *tables)
    report = pipeline.apply(policy, only=["partitions"])
    assert blind(f.as_json() for f in report.findings) == {"public.damaged": "error"}
    assert (months(database, "ordinary"), months(database, "damaged")) == (3, 0)
    assert notify.notify(policy).ok


@pytest.mark.pg("== 18")
def test_catalog_query_that_fails_for_one_table_fails_for_no_other(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ordinary", "odd"):
        make_parent(database, name)
    ((oid,),) = database.execute("SELECT 'public.odd'::regclass::oid")
    read = catalog_observe.differences

    def fail(connection: Any, parents: list[int], *rest: Any) -> Any:
        if oid in parents:
            connection.execute("SELECT 1 / 0")
        return read(connection, parents, *rest)

    monkeypatch.setattr(catalog_observe, "differences", fail)
    tables = ({"table": f"public.{name}", **PREMAKE} for name in ("odd", "ordinary", "gone"))
    policy = make_policy(tmp_path, database.url, *tables)
    report = pipeline.apply(policy)
    found = {(f.kind, f.object) for f in report.findings if f.severity is Severity.ERROR}
    assert found == {
        (FindingKind.MONITOR_BLIND, "public.odd"),
        (FindingKind.NO_SUCH_TABLE, "public.gone"),
    }
    assert (months(database, "ordinary"), months(database, "odd")) == (3, 0)


@pytest.mark.pg("== 18")
def test_alert_on_what_can_no_longer_be_seen_goes_on_standing(
    database: Database, owner_role: Role, limited_role: Role, tmp_path: Path
) -> None:
    make_parent(database, "ordinary")
    in_use(database, "ordinary")
    policy = make_policy(
        tmp_path, role_of(database, owner_role, limited_role), {"table": ORDINARY, **PREMAKE}
    )
    notify.notify(policy)
    database.execute(ODD["secured"].format(table=ORDINARY, default=f"{ORDINARY}_default"))
    kinds = {alert.identity.kind for alert in notify.notify(policy).alerts}
    assert kinds >= {FindingKind.DEFAULT_PARTITION_ROWS, FindingKind.PARTITION_HORIZON_SHORT}


SLOW = "CREATE VIEW public.slow AS SELECT 1 AS id, clock_timestamp() AS at FROM pg_sleep(60)"


@pytest.mark.pg("== 18")
def test_one_table_that_outlasts_the_time_cap_stops_no_other(
    database: Database, tmp_path: Path
) -> None:
    database.execute(SLOW)
    database.execute("CREATE TABLE public.stale AS SELECT 1 AS id, now() - interval '9 days' AS at")
    policy = make_policy(
        tmp_path,
        database.url,
        stale_analytics=[counted("public.slow"), counted("public.stale")],
        observe={"time_cap": "300 ms"},
    )
    findings = pipeline.plan(policy).findings
    assert {(f.kind, f.object) for f in findings} == {
        (FindingKind.MONITOR_BLIND, "public.slow"),
        (FindingKind.ANALYTICS_STALE, "public.stale"),
    }


def counted(table: str, **more: Any) -> dict[str, Any]:
    return {"table": table, "key": ["id"], "calculated_at": "at", "max_age": "1 day", **more}


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port with a listener that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.pg("== 15")
def test_foreign_server_that_never_answers_holds_nothing_up(
    database: Database, tmp_path: Path, silent_port: int
) -> None:
    make_parent(database, "ordinary")
    make_parent(database, "odd")
    database.execute(
        f"""
        DROP TABLE public.odd_default;
        CREATE EXTENSION postgres_fdw;
        CREATE SERVER hung FOREIGN DATA WRAPPER postgres_fdw
          OPTIONS (host '127.0.0.1', port '{silent_port}');
        CREATE USER MAPPING FOR PUBLIC SERVER hung;
        CREATE FOREIGN TABLE public.odd_default PARTITION OF public.odd DEFAULT SERVER hung;
        CREATE FOREIGN TABLE public.far (id int, at timestamptz) SERVER hung;
        CREATE VIEW public.near AS SELECT * FROM public.far;
        CREATE TABLE public.stale AS SELECT 1 AS id, now() - interval '9 days' AS at;
        INSERT INTO public.ordinary SELECT 1, now()
        """
    )
    activity = {"table": "public.near", "key": ["id"], "at": "at"}
    policy = make_policy(
        tmp_path,
        database.url,
        {"table": "public.odd", **PREMAKE},
        {"table": ORDINARY, **PREMAKE},
        stale_analytics=[
            counted("public.far"),
            counted("public.near"),
            counted("public.stale", activity=activity),
        ],
        statistics={},
        indexes={},
        bloat={},
        observe={"time_cap": "2 seconds"},
    )
    began = time.monotonic()
    report = pipeline.apply(policy)
    assert time.monotonic() - began < 30
    assert blind(f.as_json() for f in report.findings) == dict.fromkeys(
        ("public.odd", "public.far", "public.near", "public.stale"), "error"
    )
    assert months(database, "ordinary") == 3


# Months on other servers

NOW = datetime(2026, 11, 20, tzinfo=UTC)
LOG = """
CREATE FOREIGN DATA WRAPPER nothing;
CREATE SERVER cold FOREIGN DATA WRAPPER nothing;
CREATE TABLE public.log (id bigint, at timestamptz NOT NULL) PARTITION BY RANGE (at);
CREATE FOREIGN TABLE public.log_2026_05 PARTITION OF public.log
  FOR VALUES FROM ('2026-05-01+00') TO ('2026-06-01+00') SERVER cold;
CREATE FOREIGN TABLE public.log_2026_06 PARTITION OF public.log
  FOR VALUES FROM ('2026-06-01+00') TO ('2026-07-01+00') SERVER cold;
CREATE TABLE public.log_2026_07 PARTITION OF public.log
  FOR VALUES FROM ('2026-07-01+00') TO ('2026-08-01+00') WITH (autovacuum_enabled = false);
CREATE TABLE public.log_2026_11 PARTITION OF public.log
  FOR VALUES FROM ('2026-11-01+00') TO ('2026-12-01+00') WITH (autovacuum_enabled = false);
INSERT INTO public.log SELECT g, '2026-07-02' FROM generate_series(1, 1000) g;
INSERT INTO public.log SELECT g, '2026-11-02' FROM generate_series(1, 1000) g
"""
RETIRED = {"keep": "2 months", "hold": ["2026-05"], "action": "archive_then_drop"}


def test_local_months_beside_foreign_ones_are_analyzed_and_retired(
    database: Database, tmp_path: Path
) -> None:
    database.execute(LOG)
    database.execute(
        "CREATE TABLE public.tree (id bigint) PARTITION BY RANGE (id);"
        "CREATE TABLE public.tree_0 PARTITION OF public.tree FOR VALUES FROM (0) TO (9)"
        " PARTITION BY LIST (id);"
        "CREATE FOREIGN TABLE public.tree_0_a PARTITION OF public.tree_0 FOR VALUES IN (0)"
        " SERVER cold;"
        "CREATE TABLE public.tree_0_b PARTITION OF public.tree_0 FOR VALUES IN (1)"
        " WITH (autovacuum_enabled = false);"
        "CREATE TABLE public.tree_1 PARTITION OF public.tree FOR VALUES FROM (9) TO (99)"
        " PARTITION BY LIST (id);"
        "CREATE TABLE public.tree_1_a PARTITION OF public.tree_1 DEFAULT"
        " WITH (autovacuum_enabled = false);"
        "INSERT INTO public.tree VALUES (1), (9)"
    )
    retention = {**RETIRED, "archive": {"url": "./archive"}}
    policy = make_policy(
        tmp_path,
        database.url,
        {"table": "public.log", **PREMAKE, "retention": retention},
        statistics={},
    )
    report = pipeline.apply(policy, now=NOW)
    assert report.ok, report.results
    done = {r.action.object for r in report.results if r.action.kind.value == "analyze_table"}
    assert done >= {"public.log_2026_07", "public.log_2026_11", "public.tree_0_b", "public.tree_1"}
    assert not done & {"public.log", "public.tree", "public.tree_0"}
    assert database.execute("SELECT to_regclass('public.log_2026_07')") == [(None,)]
    found = {(f.kind, f.object): f for f in report.findings}
    held = found[FindingKind.RETENTION_HELD, "public.log_2026_06"]
    assert (held.severity, held.data["obstacle"]) == (Severity.WARN, "foreign")
    assert (FindingKind.RETENTION_HELD, "public.log_2026_05") not in found
    missing = found[FindingKind.STATISTICS_MISSING, "public.log"]
    assert missing.data["foreign"] == ["public.log_2026_05", "public.log_2026_06"]
    assert found[FindingKind.STATISTICS_MISSING, "public.tree"].data["foreign"] == [
        "public.tree_0_a"
    ]
    assert pipeline.apply(policy, now=NOW).results == ()


def test_months_beside_a_foreign_default_partition_are_retired(
    database: Database, tmp_path: Path
) -> None:
    database.execute(LOG)
    database.execute(
        "CREATE FOREIGN TABLE public.log_default PARTITION OF public.log DEFAULT SERVER cold"
    )
    retention = {**RETIRED, "action": "drop"}
    section = {"table": "public.log", **PREMAKE, "retention": retention}
    report = pipeline.apply(make_policy(tmp_path, database.url, section), now=NOW)
    assert {r.outcome.value for r in report.results} == {"done"}
    assert database.execute("SELECT to_regclass('public.log_2026_07')") == [(None,)]
    assert FindingKind.MONITOR_BLIND in {f.kind for f in report.findings}


# Row security


@pytest.mark.pg("== 18")
def test_month_whose_rows_are_hidden_is_held_and_never_archived_in_part(
    database: Database, owner_role: Role, limited_role: Role, tmp_path: Path
) -> None:
    database.execute(LOG.replace("FOREIGN TABLE", "TABLE").replace(") SERVER cold;", ");"))
    url = role_of(database, owner_role, limited_role)
    database.execute("ALTER TABLE public.log ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    for month in ("05", "06", "07", "11"):
        database.execute(
            f"ALTER TABLE public.log_2026_{month} ENABLE ROW LEVEL SECURITY,"
            " FORCE ROW LEVEL SECURITY;"
            f"CREATE POLICY few ON public.log_2026_{month} USING (id < 10)"
        )
    cases: list[tuple[str, set[str]]] = [("archive_then_drop", {"06", "07"}), ("drop", set())]
    for action, held in cases:
        retention: dict[str, Any] = {**RETIRED, "action": action}
        if action != "drop":
            retention["archive"] = {"url": "./archive"}
        policy = make_policy(
            tmp_path, url, {"table": "public.log", **PREMAKE, "retention": retention}
        )
        report = pipeline.apply(policy, now=NOW, only=["retention"])
        assert report.ok, report.results
        found = [f for f in report.findings if f.data.get("obstacle")]
        assert {f.object for f in found} == {f"public.log_2026_{month}" for month in held}
        assert database.execute("SELECT to_regclass('public.log_2026_07')") == [
            ("log_2026_07" if held else None,)
        ]


@pytest.mark.pg("== 18")
@pytest.mark.parametrize("concurrently", [True, False])
def test_view_over_row_security_is_refreshed_as_its_owner_sees_it(
    database: Database,
    owner_role: Role,
    limited_role: Role,
    tmp_path: Path,
    *,
    concurrently: bool,
) -> None:
    database.execute(
        "CREATE TABLE public.people (id int, note text);"
        "INSERT INTO public.people VALUES (1, 'a'), (2, 'b');"
        "ALTER TABLE public.people ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"
        "CREATE POLICY one ON public.people USING (id <> 2);"
        "CREATE MATERIALIZED VIEW public.seen AS SELECT * FROM public.people;"
        "CREATE UNIQUE INDEX ON public.seen (id)"
    )
    if not concurrently:
        database.execute("REFRESH MATERIALIZED VIEW public.seen WITH NO DATA")
    url = role_of(database, owner_role, limited_role)
    database.execute("INSERT INTO public.people VALUES (3, 'c')")
    policy = make_policy(tmp_path, url, matviews=[{"name": "public.seen", "unique_index": ["id"]}])
    report = pipeline.apply(policy)
    assert report.ok, report.results
    assert database.execute("SELECT id FROM public.seen ORDER BY 1") == [(1,), (3,)]


@pytest.mark.pg("== 18")
def test_stale_rows_statistics_and_bloat_behind_row_security_are_unknown_not_absent(
    database: Database, owner_role: Role, limited_role: Role, tmp_path: Path
) -> None:
    database.execute(
        "CREATE TABLE public.secret AS SELECT g AS id, now() - interval '9 days' AS at"
        " FROM generate_series(1, 1000) g;"
        "ALTER TABLE public.secret ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"
        "ANALYZE public.secret"
    )
    url = role_of(database, owner_role, limited_role)
    policy = make_policy(
        tmp_path,
        url,
        stale_analytics=[counted("public.secret")],
        statistics={},
        bloat={"min_size": "0 MB"},
    )
    found = {(f.kind, f.object) for f in pipeline.plan(policy).findings}
    assert (FindingKind.MONITOR_BLIND, "public.secret") in found
    assert (FindingKind.BLOAT_UNKNOWN, "public.secret") in found
    with database.connect() as connection:
        connection.execute("SELECT pg_stat_reset()")
    rights = named(pipeline.plan(policy).findings, FindingKind.PRIVILEGE_MISSING)
    assert rights["app/statistics"].data["grants"] == [f"ALTER ROLE {limited_role.name} BYPASSRLS"]
    database.execute(f"ALTER ROLE {limited_role.name} BYPASSRLS")
    found = {(f.kind, f.object) for f in pipeline.plan(policy).findings}
    assert (FindingKind.ANALYTICS_STALE, "public.secret") in found
    assert (FindingKind.PRIVILEGE_MISSING, "app/statistics") not in found


def named(findings: tuple[Finding, ...], kind: FindingKind) -> dict[str, Finding]:
    return {finding.object: finding for finding in findings if finding.kind is kind}


@pytest.mark.pg("== 15")
def test_relation_that_cannot_be_measured_is_told_by_its_name(
    database: Database, tmp_path: Path
) -> None:
    database.execute("CREATE EXTENSION pgstattuple")
    for name in ("damaged", "sound"):
        database.execute(
            f"CREATE TABLE public.{name} WITH (autovacuum_enabled = false) AS"
            " SELECT g AS id, repeat('x', 500) AS note FROM generate_series(1, 5000) g"
        )
    database.execute("CHECKPOINT")
    ((path,),) = database.execute("SELECT pg_relation_filepath('public.damaged')")
    with (folder_of(database) / path).open("r+b") as file:
        file.seek(100 * 8192)
        file.write(b"\x7f" * 8192)
    # What was read before is still in memory.
    database.server.stop()
    database.server.start()
    policy = make_policy(tmp_path, database.url, bloat={"min_size": "0 MB"})
    assert blind(f.as_json() for f in pipeline.plan(policy).findings) == {"public.damaged": "error"}


@pytest.mark.pg("== 18")
def test_rows_that_a_policy_hides_are_an_error_in_every_session(
    database: Database, owner_role: Role
) -> None:
    database.execute("CREATE TABLE public.secret AS SELECT 1 AS id")
    database.give_to(owner_role)
    database.execute(
        "ALTER TABLE public.secret ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
    )
    second = timedelta(seconds=1)
    url = database.url_of(owner_role)
    with (
        connect(url, application="test", timeouts=Timeouts(second, second)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("SELECT FROM public.secret")


@pytest.mark.pg("== 18")
def test_error_that_an_executor_did_not_expect_fails_its_action_alone(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a cancel by hand is, between two statements. The session is set right for what follows."""
    database.execute("CREATE SCHEMA odd")
    for name in ("first", "second"):
        make_parent(database, name)
    tables = [{"table": f"public.{name}", **PREMAKE} for name in ("first", "second")]
    policy = make_policy(tmp_path, database.url, *tables)
    settings = "SELECT name, setting FROM pg_settings WHERE source = 'session' ORDER BY 1"
    seen: list[list[Any]] = []
    create = PARTITIONS.executors[ActionKind.CREATE_PARTITION]

    def fail_once(context: ActionContext, action: Action) -> Mapping[str, Any]:
        seen.append(context.connection.execute(settings).fetchall())
        if len(seen) == 1:
            context.connection.execute("SET search_path = odd; SET lock_timeout = '7min'")
            context.connection.execute("BEGIN; SELECT 1 / 0")
        return create(context, action)

    failing = {**PARTITIONS.executors, ActionKind.CREATE_PARTITION: fail_once}
    pipeline.apply(policy, only=["retention"])  # the store is there, and has its own partitions
    monkeypatch.setattr(Partitions, "executors", failing)
    report = pipeline.apply(policy, only=["partitions"])
    failed, *others = report.results
    assert failed.outcome is Outcome.FAILED
    assert failed.error == f"{failed.action.object}: division by zero [22012]"
    assert {each.outcome for each in others} == {Outcome.DONE}
    assert {each.action.table for each in others} == {"public.first", "public.second"}
    assert seen[1:] == [seen[0]] * (len(seen) - 1)
    monkeypatch.undo()
    again = pipeline.apply(policy, only=["partitions"])
    assert [each.action.object for each in again.results] == [failed.action.object]


@pytest.mark.pg("== 18")
def test_error_that_an_observation_did_not_expect_blinds_its_subject_alone(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_parent(database, "first")
    policy = make_policy(tmp_path, database.url, {"table": "public.first", **PREMAKE})

    def fail(_self: Partitions, context: ObserveContext) -> Any:
        context.connection.execute("SET search_path = odd")
        context.connection.execute("BEGIN; SELECT 1 / 0")

    monkeypatch.setattr(Partitions, "observe", fail)
    blind = [f for f in pipeline.plan(policy).findings if f.kind is FindingKind.MONITOR_BLIND]
    assert [each.object for each in blind] == ["app/partitions"]
    assert "division by zero" in blind[0].message
