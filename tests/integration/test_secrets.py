"""No part of a secret leaves the process, whatever is wrong with a url or its server."""

import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner
from psycopg import sql

from maintenance import redaction
from maintenance.cli.commands import cli
from maintenance.orchestration.build import build
from maintenance.policy.urls import UrlError, check_postgres, check_url
from tests.builders import Database, Role
from tests.policies import CREATE_EVENTS, EVENTS, write_policy

pytestmark = pytest.mark.pg("== 15")

PIECES = ("Zqkwx", "vjmyt")
"""What no message of ours holds by chance."""
SEPARATORS = [
    "/",
    "@",
    "%",
    "?",
    "&",
    "=",
    "#",
    " ",
    "'",
    "\\",
    ";",
    "%00",
    ":",
    "/@",
    "@/",
    "?x=",
    '"',
]
COMMANDS = (
    ["check"],
    ["plan"],
    ["apply"],
    ["status"],
    ["notify"],
    ["alerts"],
    ["metrics"],
    ["alerts", "ack", "monitor_blind", "app", "--until", "1 day"],
    ["restore", "--table", "public.events", "--period", "2024-01", "--from", "./none"],
    ["rebuild", "--matview", "public.mv"],
)


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the secrets of other tests, so that each case is independent."""
    monkeypatch.setattr(redaction, "_known", {})
    monkeypatch.setattr(redaction, "_pattern", {})


def leaks(text: str) -> list[str]:
    """The pieces of at least four characters that a text shows."""
    windows = {piece[i : i + 4] for piece in PIECES for i in range(len(piece) - 3)}
    return sorted(window for window in windows if window in text)


TEXT_AND_JSON: tuple[list[str], ...] = ([], ["--json"])


def told(
    policy: Path,
    arguments: list[str],
    environ: dict[str, str],
    forms: Sequence[list[str]] = TEXT_AND_JSON,
) -> tuple[str, set[int]]:
    """Everything that a command prints, as text and as JSON, and its exit codes."""
    printed, codes = "", set[int]()
    for form in forms:
        result = CliRunner().invoke(cli, [*arguments, "--policy", str(policy), *form], env=environ)
        assert result.exception is None or isinstance(result.exception, SystemExit), arguments
        printed += result.output + result.stderr
        codes.add(result.exit_code)
    return printed, codes


def broken_urls(database: Database) -> Iterator[tuple[str, str]]:
    port = database.server.port
    for separator in SEPARATORS:
        password = f"{PIECES[0]}{separator}{PIECES[1]}"
        yield f"url {separator!r}", f"postgresql://limited:{password}@127.0.0.1:{port}/none"
        yield f"pairs {separator!r}", f"host=127.0.0.1 port={port} user=x password={password}"
    good = f"postgresql://limited:{PIECES[0]}{PIECES[1]}@"
    yield "wrong password", f"{good}127.0.0.1:{port}/{database.name}"
    yield "host down", f"{good}127.0.0.1:1/none"
    yield "bad sslmode", f"{good}127.0.0.1:{port}/none?sslmode={PIECES[0]}"
    yield "unknown parameter", f"{good}127.0.0.1:{port}/none?{PIECES[0]}=1"
    yield "bad port", f"{good}127.0.0.1:70000/none"
    yield "no scheme", f"{PIECES[0]}{PIECES[1]}"
    yield "open quote", f"host=127.0.0.1 password='{PIECES[0]} {PIECES[1]}"
    yield "other scheme", f"mysql://limited:{PIECES[0]}@h/{PIECES[1]}"


@pytest.mark.parametrize("n_tries", [1, pytest.param(4, marks=pytest.mark.slow)])
def test_no_command_shows_a_piece_of_a_password(
    database: Database, tmp_path: Path, state_folder: Path, n_tries: int
) -> None:
    path = write_policy(tmp_path, "postgresql://127.0.0.1:1/d", EVENTS)
    for url, key in (("{env: SHOP_URL}", "database.url"), ("{env: SHOP_URL}", "store.url")):
        document = {"database": f"{{name: app, url: {url}}}"}
        if key == "store.url":
            document = {
                "database": f"{{name: app, url: '{database.url}'}}",
                "store": "{url: {env: SHOP_URL}}",
            }
        lines = [f"{name}: {value}" for name, value in document.items()]
        lines.append("partitions: [{table: public.events, column: at}]")
        path.write_text("\n".join(lines))
        cases = list(broken_urls(database))
        commands = COMMANDS if key == "database.url" else COMMANDS[:6]
        # Every case through some commands in turn, every command through several cases.
        tries = list(itertools.product(commands, TEXT_AND_JSON))
        for (name, value), n in zip(cases, itertools.count()):
            for step in range(n_tries):
                command, form = tries[(n + 5 * step) % len(tries)]
                printed, codes = told(path, command, {"SHOP_URL": value}, [form])
                assert not leaks(printed), (name, key, command, printed)
                if command[0] != "restore" and (command[0] != "plan" or key == "database.url"):
                    is_spooled = command[0] in ("notify", "alerts")
                    assert codes <= ({0, 2} if is_spooled else {2, 3}), (name, key, command)
    (spool,) = state_folder.rglob("alerts.db")
    assert b"database_unreachable" in spool.read_bytes()
    assert not leaks(spool.read_bytes().decode(errors="replace"))


@pytest.mark.parametrize("separator", SEPARATORS)
def test_url_in_the_policy_itself_is_not_shown(tmp_path: Path, separator: str) -> None:
    password = f"{PIECES[0]}{separator}{PIECES[1]}"
    secrets = [
        {"url": f"postgresql://u:{password}@127.0.0.1:1/d"},
        {
            "url": "postgresql://127.0.0.1:1/d",
            "redis": {"url": f"redis://:{password}@127.0.0.1:1/0"},
        },
        {"url": "postgresql://127.0.0.1:1/d", "archive": f"ftp://user:{password}@127.0.0.1:1/x"},
        {"url": "postgresql://127.0.0.1:1/d", "archive": f"s3://key:{password}@bucket"},
        {
            "url": "postgresql://127.0.0.1:1/d",
            "alerts": {"ping": f"https://u:{password}@127.0.0.1:1/x"},
        },
        {
            "url": "postgresql://127.0.0.1:1/d",
            "alerts": {"sinks": [{"type": "webhook", "url": f"http://u:{password}@h/x"}]},
        },
        {
            "url": "postgresql://127.0.0.1:1/d",
            "alerts": {"sinks": [{"type": "apprise", "url": f"slack://{password}/x"}]},
        },
    ]
    for given in secrets:
        sections: dict[str, Any] = {k: given[k] for k in ("redis", "alerts") if k in given}
        table = dict(EVENTS)
        if "archive" in given:
            table["retention"] = {
                "keep": "2 months",
                "action": "archive_then_drop",
                "archive": {"url": given["archive"]},
            }
        path = write_policy(tmp_path, str(given["url"]), table, **sections)
        for command in (["check"], ["plan"]):
            printed, _ = told(path, command, {})
            assert not leaks(printed), (given, command, printed)


def test_wrong_part_is_named(tmp_path: Path) -> None:
    path = write_policy(tmp_path, "postgresql://127.0.0.1:1/d", EVENTS)
    path.write_text("database: {name: app, url: {env: SHOP_URL}}")
    for value, part in (
        ("postgresql://u:a/b@127.0.0.1:1/d", "password"),
        ("postgresql://u:a@b@127.0.0.1:1/d", "password"),
        ("postgresql://u:a%zz@127.0.0.1:1/d", "user.*password"),
        ("postgresql://u:a@h/d%00", "database"),
        ("postgresql://u:a@h:x/d", "port"),
        ("postgresql://u:a@h/d?sslmode=maybe", "sslmode"),
        ("host=h password=a b", "password"),
    ):
        printed, codes = told(path, ["check"], {"SHOP_URL": value})
        assert codes == {2}
        assert re.search(rf"database\.url\b.*\bSHOP_URL\b.*\b{part}\b", printed), value


GOOD_PASSWORDS = ["a?b", "a#b", "a&b=c", "a;b", "a'b", "a\\b", "a:b", "a%2Fb%40c"]


@pytest.mark.parametrize("password", GOOD_PASSWORDS)
def test_password_that_libpq_takes_unescaped_still_connects(
    database: Database, limited_role: Role, tmp_path: Path, password: str
) -> None:
    stored = password.replace("%2F", "/").replace("%40", "@")
    database.execute(
        sql.SQL("ALTER ROLE {} PASSWORD {}")
        .format(sql.Identifier(limited_role.name), sql.Literal(stored))
        .as_string()
    )
    port, name = database.server.port, limited_role.name
    url = f"postgresql://{name}:{password}@127.0.0.1:{port}/{database.name}?schema=public"
    path = write_policy(tmp_path, url)
    result = CliRunner().invoke(cli, ["plan", "--policy", str(path)])
    assert result.exit_code == 0, result.output


def test_urls_of_the_field_are_accepted() -> None:
    for url in (
        "postgresql:///app?host=/var/run/postgresql&user=app",
        "postgresql://app@%2Fvar%2Frun/app",
        "postgresql://app:p%40ss@[::1]:5432/app?sslmode=require",
        "postgres://app:p@h1:5432,h2:5433/app?target_session_attrs=read-write",
        "postgresql://app:p@db.example.com/app?options=-c%20jit%3Doff",
        "postgresql://app%40tenant:p@pg.azure.com/app",
        "host=/tmp dbname='my db' user=app password='it''s'".replace("''", r"\'"),
        "host=db user=app password=pa'ss",
        "",
    )[:-1]:
        check_postgres(url)
    for url in (
        "redis://:p%40@h:6379/0",
        "unix:///run/redis.sock?db=1",
        "https://hooks.example.com/services/T/B/x?y=1",
        "https://matrix.example.com:8448/_matrix/@user:example.com",
        "s3://bucket/a@b",
        "ftp://user:p%2Fq@host/folder",
        "zip://x::s3://bucket/y.zip",
    ):
        check_url(url)
    with pytest.raises(UrlError):
        check_url("s3://key:12/34@bucket")


def test_dagster_keeps_no_piece_of_a_password(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_policy(tmp_path, "postgresql://127.0.0.1:1/d", EVENTS)
    path.write_text(
        "database: {name: app, url: {env: SHOP_URL}}\n"
        "partitions: [{table: public.events, column: at}]\n"
        "statistics: {}\nbloat: {}\nindexes: {}\n"
    )
    cases = [
        (name, url)
        for name, url in broken_urls(database)
        if name in ("url '/'", "url '%'", "url '%00'", "wrong password", "open quote")
    ]
    job = build([tmp_path]).resolve_job_def("app_nightly")
    for name, url in cases:
        monkeypatch.setenv("SHOP_URL", url)
        with dg.DagsterInstance.ephemeral() as instance:
            result = job.execute_in_process(instance=instance, raise_on_error=False)
            assert not result.success
            events = instance.all_logs(result.run_id)
            text = "\n".join(f"{event}\n{event.dagster_event}" for event in events)
        assert not leaks(text), (name, leaks(text))


def test_secret_in_anothers_error_is_cut_out(tmp_path: Path) -> None:
    redaction.remember(["Zqkwx/vjmyt#1"], public=["app"])
    assert leaks(redaction.redact_error("could not parse Zqkwx, then vjmyt")) == []
    assert leaks(redaction.redact("url with Zqkwx%2Fvjmyt%231 in it")) == []
    redaction.remember(["order_items2"])
    document = {"object": "public.order_items2", "error": "bad url order_items2"}
    assert redaction.redact_values(document) == {**document, "error": "bad url …"}
    redaction.remember(["maint", "app", "public"], public=["maint"])
    assert redaction.redact("maint owns public.app") == "maint owns public.app"


def test_neither_the_process_list_nor_the_server_shows_a_password(
    database: Database, limited_role: Role, tmp_path: Path
) -> None:
    database.execute(CREATE_EVENTS)
    database.execute(f"ALTER ROLE {limited_role.name} PASSWORD 'Zqkwx/vjmyt'")
    port = database.server.port
    url = f"postgresql://{limited_role.name}:Zqkwx%2Fvjmyt@127.0.0.1:{port}/{database.name}"
    database.execute(f"GRANT CREATE ON DATABASE {database.name} TO {limited_role.name}")
    path = tmp_path / "app.yaml"
    path.write_text(
        "database: {name: app, url: {env: SHOP_URL}}\n"
        "partitions: [{table: public.events, column: at}]\n"
    )
    environ = {"SHOP_URL": url, "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", "from maintenance.cli import main; main()"]
    process = subprocess.Popen(
        [*command, "apply", "--json", "--policy", str(path)],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    seen = Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()
    activity = ""
    while process.poll() is None:
        activity += str(database.execute("SELECT a FROM pg_stat_activity AS a"))
    out, err = process.communicate()
    assert json.loads(out)["findings"]  # the table is another's
    tables = database.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'maintenance'::regnamespace"
        " AND relkind = 'r'"
    )
    store = [str(database.execute(f"SELECT * FROM maintenance.{name}")) for (name,) in tables]
    assert not leaks(seen + activity + out.decode() + err.decode() + "".join(store))
