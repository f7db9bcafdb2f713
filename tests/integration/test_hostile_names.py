"""Tables whose names hold what a statement, a terminal or a page might obey."""

import json
import unicodedata
from pathlib import Path

import pytest
from click.testing import CliRunner

from maintenance.cli.commands import cli
from maintenance.names import quote
from tests.builders import Database
from tests.policies import write_policy

pytestmark = pytest.mark.pg("== 16")
NAMES = (
    "p$$q",
    "a$maintenance$b",
    "x$$;DROP TABLE public.kept;--",
    "per%s{}cent%I",
    "q\"u'o\\te",
    "esc\x1b]0;owned\x07\r\u202egpj",
    "new\nline",
    "Ünïcode" + "ü" * 20,
    "$$",
)


@pytest.fixture
def policy(database: Database, tmp_path: Path) -> Path:
    database.execute("CREATE TABLE public.kept (id int)")
    for place, name in enumerate(NAMES):
        table, index = f"public.{quote(name)}", quote(f"i$${place}{name[:20]}")
        key, column = quote(f"k{name[:20]}"), quote(f"c$${place}")
        database.execute(
            f"CREATE TABLE {table} (id bigint NOT NULL, {column} int, {key} timestamptz NOT NULL)"
            f" PARTITION BY RANGE ({key})"
        )
        database.execute(f"CREATE UNIQUE INDEX {index} ON {table} (id, {key})")
        database.execute(f"ALTER TABLE {table} REPLICA IDENTITY USING INDEX {index}")
    sections = [{"table": f"public.{quote(name)}", "column": f"k{name[:20]}"} for name in NAMES]
    return write_policy(tmp_path, database.url, *sections)


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    return result.exit_code, result.output


def test_months_are_made_whatever_the_names_hold(database: Database, policy: Path) -> None:
    code, output = run("apply", "--policy", policy)
    assert code == 0, output
    assert database.execute(
        "SELECT count(*), count(*) FILTER (WHERE relreplident = 'i') FROM pg_class"
        " WHERE relispartition AND relkind = 'r' AND relnamespace = 'public'::regnamespace"
    ) == [(len(NAMES) * 4, len(NAMES) * 4)]
    assert database.execute("SELECT count(*) FROM public.kept") == [(0,)]


def test_nothing_that_people_read_holds_their_control_characters(policy: Path) -> None:
    for command in ("plan", "apply", "status", "check", "metrics", "notify", "alerts"):
        _, output = run(command, "--policy", policy)
        bad = [c for c in output if unicodedata.category(c) in ("Cc", "Cf", "Zl") and c != "\n"]
        assert bad == [], (command, bad)
        if command in ("plan", "status", "metrics"):
            assert "\\x1b" in output
            assert "\\u202e" in output


def test_json_has_the_true_names(policy: Path) -> None:
    _, output = run("plan", "--json", "--policy", policy)
    tables = {action["table"] for action in json.loads(output)["actions"]}
    assert {f"public.{quote(name)}" for name in NAMES} == tables
