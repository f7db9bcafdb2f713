"""After every error no text anywhere holds a secret: printed, logged, stored, or in a process."""

import base64
import logging
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import pytest
from click import Context
from click.testing import CliRunner
from psycopg import sql

from maintenance.cli.commands import cli
from maintenance.orchestration.build import build
from tests.builders import ROOT, Database, Role
from tests.impostors import (
    Talk,
    hang_up,
    impostor,
    repeat_http,
    repeat_postgres,
    repeat_redis,
    repeat_smtp,
    say,
)
from tests.policies import CREATE_EVENTS

pytestmark = pytest.mark.pg("== 15")

POLICY = """
database: {{name: app, url: {{env: T_DATABASE}}, replicas: [{{env: T_REPLICA}}]}}
store: {{url: {{env: T_STORE}}}}
redis: {{url: {{env: T_REDIS}}, ttl: {{"a:*": 1 hour}}}}
partitions:
  - {{table: public.events, column: at, start: 2024-01, premake: 1, retention: {{
       keep: 2 months, action: archive_then_drop, max_per_run: 1,
       archive: {{url: "{archive}", key: {{env: T_ARCHIVE_KEY}}}}}}}}
matviews: [{{name: public.mv, definition: view.sql, invalidates: ["a:*"]}}]
stale_analytics:
  - {{table: public.computed, calculated_at: calculated_at, key: [id], max_age: 1 hour,
      recalculate: recalculate.sql}}
statistics: {{}}
alerts:
  ping: {{env: T_PING}}
  sinks:
    - {{type: log}}
    - {{type: redis_stream, stream: alerts}}
    - {{type: webhook, url: {{env: T_HOOK}}, secret: {{env: T_HOOK_KEY}}}}
    - {{type: apprise, url: {{env: T_MAIL}}}}
    - {{type: apprise, url: {{env: T_CHAT}}}}
"""
TABLES = """
CREATE TABLE public.computed (id int PRIMARY KEY, calculated_at timestamptz);
INSERT INTO public.computed VALUES (1, '2024-01-01');
CREATE TABLE public.events_2024_01 PARTITION OF public.events
  FOR VALUES FROM ('2024-01-01 00:00:00+00') TO ('2024-02-01 00:00:00+00');
INSERT INTO public.events VALUES (1, '2024-01-02');
"""
SLEEP = "SELECT pg_catalog.pg_sleep(60), %(keys)s"
COMMANDS = (
    ["check"],
    ["plan", "--out", "plan.json"],
    ["apply"],
    ["apply", "--plan", "plan.json"],
    ["status"],
    ["status", "--json"],
    ["notify", "--json"],
    ["alerts"],
    ["alerts", "test"],
    ["alerts", "ack", "monitor_blind", "app", "--until", "1 day"],
    ["alerts", "mute", "monitor_blind", "app", "--until", "1 day"],
    ["alerts", "clear", "monitor_blind", "app"],
    ["metrics"],
    ["history", "--json"],
    ["restore", "--table", "public.events", "--period", "2024-01"],
    ["analyze", "--table", "public.computed"],
    ["vacuum", "--table", "public.computed"],
    ["refresh", "--force"],
    ["rebuild", "--matview", "public.mv"],
    ["pause", "--for", "1 hour", "--reason", "a test"],
    ["resume"],
    ["approve"],
    ["undo", "0123abcd"],
    ["explain", "monitor_blind"],
    ["watch", "--json"],
    ["init", "--env", "T_DATABASE", "--out", "init.yaml"],
    ["uninstall"],
)
WITHOUT_POLICY = ("init",)


def secret(of: str) -> str:
    """A secret with a character that urls escape, between two parts that no text has by chance."""
    return "#".join(cores(of))


def cores(of: str) -> tuple[str, str]:
    return f"Zq{of}kx", f"Vj{of}wm"


SECRETS = (
    *("database", "replica", "store", "redis", "archive", "sealing", "hook", "signing", "ping"),
    *("mail", "chat", "access", "tls"),
)


REPEATING = "SELECT public.repeat(), %(keys)s"
REPEAT = f"""
CREATE FUNCTION public.repeat() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
  EXECUTE 'SELECT ''{secret("database")}''::int';
END $$
"""
"""An owner's function whose error repeats a secret, in its message and in the quoted statement."""


def traces() -> dict[bytes, str]:
    """What shows a secret, or half of it: as written, in hexadecimal, and in base64."""
    found: dict[bytes, str] = {}
    for name in SECRETS:
        for core in cores(name):
            found[core.encode()] = f"{name} as written"
            found[core.encode().hex().encode()] = f"{name} in hexadecimal"
            for n_before in range(3):  # base64 writes three bytes as four letters
                packed = base64.b64encode(b"\0" * n_before + core.encode())
                inner = packed[-(-n_before * 4 // 3) : -4] if n_before else packed[:-4]
                found[inner] = f"{name} in base64"
    return found


TRACES = traces()


def leaks(place: str, content: bytes | str) -> list[str]:
    raw = content.encode(errors="replace") if isinstance(content, str) else content
    return sorted({f"{place}: {name}" for trace, name in TRACES.items() if trace in raw})


def leaks_of_files(folder: Path) -> list[str]:
    """In all files of a folder; those of SQLite are read as rows too, which pages may cut."""
    found: list[str] = []
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        content = path.read_bytes()
        found += leaks(str(path), content)
        if content.startswith(b"SQLite format 3"):
            found += leaks(str(path), "\n".join(rows_of(path)))
    return found


def rows_of(path: Path) -> Iterator[str]:
    with closing(sqlite3.connect(path)) as db:
        tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            yield from map(str, db.execute(f'SELECT * FROM "{table}"'))


def leaks_of_database(database: Database) -> list[str]:
    """In each row of the store, in comments, and in what sessions have run last."""
    names = database.execute(
        "SELECT c.oid::regclass::text FROM pg_class AS c"
        " WHERE relnamespace = to_regnamespace('maintenance') AND relkind IN ('r', 'v', 'm')"
    )
    queries = [f"SELECT t::text FROM {name} AS t" for (name,) in names]
    queries += ["SELECT description FROM pg_description", "SELECT a::text FROM pg_stat_activity a"]
    return [each for query in queries for each in leaks(query, str(database.execute(query)))]


def leaks_of_processes() -> list[str]:
    found: list[str] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += leaks(str(path), path.read_bytes())
        except OSError:  # it has ended
            continue
    return found


@dataclass
class Installation:
    """A policy whose urls and secrets are variables, and what its commands have printed."""

    folder: Path
    variables: dict[str, str]
    archive: str
    printed: str = ""
    n_by_code: dict[int, int] = field(default_factory=dict[int, int])

    @property
    def policy(self) -> Path:
        return self.folder / "policy" / "app.yaml"

    def write(self, recalculation: str) -> None:
        self.policy.parent.mkdir(exist_ok=True)
        self.policy.write_text(POLICY.format(archive=self.archive))
        (self.policy.parent / "view.sql").write_text("SELECT count(*) AS n FROM public.computed")
        (self.policy.parent / "recalculate.sql").write_text(recalculation)

    def run(self, *arguments: str) -> None:
        files = ("plan.json", "init.yaml")
        command = [str(self.folder / each) if each in files else each for each in arguments]
        if command[0] not in WITHOUT_POLICY:
            command += ["--policy", str(self.policy)]
        result = CliRunner().invoke(cli, command, env=self.variables)
        assert result.exception is None or isinstance(result.exception, SystemExit), (
            arguments,
            result.exc_info,
        )
        assert "Traceback" not in result.output, (arguments, result.output)
        self.printed += f"{result.output}\n{result.stderr}\n"
        self.n_by_code[result.exit_code] = self.n_by_code.get(result.exit_code, 0) + 1


@pytest.fixture
def installation(database: Database, owner_role: Role, tmp_path: Path) -> Installation:
    """Everything is as it should be, but each statement of the owner repeats a secret."""
    database.execute(CREATE_EVENTS)
    database.execute(TABLES)
    database.execute(REPEAT)
    database.give_to(owner_role)
    password = sql.SQL("ALTER ROLE {} PASSWORD {}").format(
        sql.Identifier(owner_role.name), sql.Literal(secret("database"))
    )
    database.execute(password.as_string())
    database.execute(f"GRANT pg_monitor TO {owner_role.name}")
    port = database.server.port
    there = f"127.0.0.1:{port}/{database.name}"
    good = f"postgresql://{owner_role.name}:{quote(secret('database'))}@{there}"
    variables = {
        "T_DATABASE": good,
        "T_REPLICA": good,
        "T_STORE": good,
        "T_REDIS": f"redis://:{quote(secret('redis'))}@127.0.0.1:1/0",
        "T_ARCHIVE_KEY": secret("sealing"),
        "T_PING": f"http://127.0.0.1:1/{quote(secret('ping'))}",
        "T_HOOK": f"http://127.0.0.1:1/{quote(secret('hook'))}",
        "T_HOOK_KEY": secret("signing"),
        "T_MAIL": f"mailto://me:{quote(secret('mail'))}@127.0.0.1:1?from=a@example.com&to=b@example.com",
        "T_CHAT": f"json://me:{quote(secret('chat'))}@127.0.0.1:1/{quote(secret('chat'))}",
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": secret("access"),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    }
    made = Installation(tmp_path, variables, "./archive")
    made.write(REPEATING)
    return made


Change = Callable[[dict[str, str], ExitStack], str]
"""Breaks an installation by changing its variables; returns where its archives are."""


def nothing_else_answers(given: dict[str, str], stack: ExitStack) -> str:
    del given, stack
    return "./archive"


def wrong_password(*names: str) -> Change:
    def change(given: dict[str, str], stack: ExitStack) -> str:
        del stack
        for name in names:
            user_info = f"someone:{quote(secret(name))}"
            given[variable(name)] = f"postgresql://{user_info}@{address(given[variable(name)])}"
        return "./archive"

    return change


def host_down(given: dict[str, str], stack: ExitStack) -> str:
    del stack
    there = given["T_DATABASE"]
    given["T_DATABASE"] = there.replace(address(there), "127.0.0.1:1/app")
    return "./archive"


def no_encryption(given: dict[str, str], stack: ExitStack) -> str:
    del stack
    given["T_DATABASE"] += f"?sslmode=require&sslpassword={quote(secret('tls'))}"
    return "./archive"


def database_repeats(given: dict[str, str], stack: ExitStack) -> str:
    for name in ("database", "store"):
        serve(given, stack, name, repeat_postgres)
    return "./archive"


def servers_repeat(given: dict[str, str], stack: ExitStack) -> str:
    serve(given, stack, "replica", repeat_postgres)
    serve(given, stack, "redis", repeat_redis)
    for name in ("ping", "hook", "chat"):
        serve(given, stack, name, repeat_http(500))
    serve(given, stack, "mail", repeat_smtp)
    given["AWS_ENDPOINT_URL"] = (
        f"http://127.0.0.1:{stack.enter_context(impostor(repeat_http(403)))}"
    )
    return "s3://bucket/folder"


def garbage_and_redirects(given: dict[str, str], stack: ExitStack) -> str:
    moved = f"HTTP/1.1 302 Found\r\nLocation: file:///{secret('hook')}\r\n\r\n".encode()
    serve(given, stack, "redis", hang_up)
    serve(given, stack, "ping", say(b"\0garbage"))
    serve(given, stack, "hook", say(moved))
    return f"ftp://me:{quote(secret('archive'))}@127.0.0.1:1/folder"


def variable(name: str) -> str:
    return f"T_{name.upper()}"


def address(url: str) -> str:
    """Host, port and database of a url."""
    return url.rpartition("@")[2]


def serve(given: dict[str, str], stack: ExitStack, name: str, talk: Talk) -> None:
    """Let an impostor answer in place of a server."""
    port = stack.enter_context(impostor(talk))
    given[variable(name)] = re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{port}", given[variable(name)])


CHANGES: dict[str, Change] = {
    "the servers repeat": servers_repeat,
    "nothing else answers": nothing_else_answers,
    "wrong passwords beside": wrong_password("replica", "store"),
    "wrong password": wrong_password("database"),
    "host down": host_down,
    "no encryption": no_encryption,
    "the database repeats": database_repeats,
    "garbage and redirects": garbage_and_redirects,
}


def run_jobs(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Run the jobs on an instance that stays in the folder; return whether one failed."""
    for name, value in installation.variables.items():
        monkeypatch.setenv(name, value)
    folder = installation.folder / "dagster"
    folder.mkdir()
    definitions = build([installation.policy.parent])
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        done = [
            definitions.resolve_job_def(name)
            .execute_in_process(instance=instance, raise_on_error=False)
            .success
            for name in ("app_nightly", "app_digest")
        ]
    return not all(done)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("case", CHANGES)
def test_no_secret_is_printed_logged_or_stored(
    installation: Installation,
    database: Database,
    state_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    case: str,
) -> None:
    with ExitStack() as stack, caplog.at_level(logging.DEBUG):
        installation.archive = CHANGES[case](installation.variables, stack)
        installation.write(REPEATING)
        for command in COMMANDS:
            installation.run(*command)
        assert run_jobs(installation, monkeypatch)
    out, err = capfd.readouterr()
    installation.policy.unlink()  # it has the url of the archives
    (installation.policy.parent / "recalculate.sql").unlink()
    assert set(installation.n_by_code) - {0}, "nothing failed"
    found = leaks("printed", installation.printed) + leaks("stdout and stderr", out + err)
    found += leaks("logs", caplog.text) + leaks_of_database(database)
    found += leaks_of_files(installation.folder) + leaks_of_files(state_folder)
    assert found == []


def test_killed_run_leaves_no_secret(
    installation: Installation, database: Database, tmp_path: Path
) -> None:
    installation.write(SLEEP)
    command = [sys.executable, "-c", "from maintenance.cli import main; main()"]
    process = subprocess.Popen(
        [*command, "apply", "--policy", str(installation.policy)],
        cwd=ROOT,
        env={**os.environ, **installation.variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    sleeping = "SELECT FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND state = 'active'"
    deadline = time.monotonic() + 120
    sleeping += " AND pid <> pg_backend_pid()"
    while not database.execute(sleeping):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert leaks_of_processes() == []
    assert leaks_of_database(database) == []
    process.send_signal(signal.SIGKILL)
    out, _ = process.communicate()
    database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%'"
        " AND pid <> pg_backend_pid()"
    )
    installation.write("SELECT 1/0, %(keys)s")
    for again in (["status"], ["apply", "--json"], ["notify"], ["history"]):
        installation.run(*again)
    assert leaks("printed", out + installation.printed) == []
    assert leaks_of_database(database) == []
    assert leaks_of_files(tmp_path) == []


def test_every_command_is_among_those_that_are_searched() -> None:
    assert {command for command, *_ in COMMANDS} == set(cli.list_commands(Context(cli))) - {"demo"}


def test_secret_is_found_in_each_form() -> None:
    """The search itself: it would find what it looks for."""
    for name in SECRETS:
        whole = secret(name)
        for n in range(3):
            packed = base64.b64encode(b"u" * n + b":" + whole.encode() + b":more").decode()
            assert leaks("", packed) == [f": {name} in base64"], (n, packed)
        assert leaks("", quote(whole, safe="")) == [f": {name} as written"]
        assert leaks("", whole.encode().hex()) == [f": {name} in hexadecimal"]
