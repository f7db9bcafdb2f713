"""Roles and databases with odd defaults: every command works as with the usual ones."""

import json
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from maintenance.cli.commands import cli
from maintenance.errors import UnreachableError
from maintenance.periods import add_months
from tests.builders import Database, Role, drop_database, make_database
from tests.policies import CREATE_EVENTS, EVENTS, write_policy
from tests.sessions import session

ODD = {
    "bytea_output": "escape",
    "client_encoding": "LATIN1",
    "DateStyle": "SQL, DMY",
    "default_transaction_deferrable": "on",
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
    "extra_float_digits": "-15",
    "IntervalStyle": "iso_8601",
    "lock_timeout": "1",
    "quote_all_identifiers": "on",
    "search_path": "pg_temp, nowhere",
    "standard_conforming_strings": "off",
    "statement_timeout": "5s",
    "TimeZone": "Australia/Lord_Howe",
}
COMMANDS = ("check", "plan", "apply", "status", "notify", "metrics")
RETENTION = {"keep": "2 months", "action": "drop"}
MONTH = """
CREATE TABLE public.events_{:%Y_%m} PARTITION OF public.events
FOR VALUES FROM ('{:%Y-%m-%d 00:00+00}') TO ('{:%Y-%m-%d 00:00+00}')
"""
OLD = date(2025, 1, 1)
PARTITIONS = """
SELECT c.relname, pg_catalog.pg_get_expr(c.relpartbound, c.oid) FROM pg_catalog.pg_class c
WHERE c.relispartition AND c.relkind = 'r'
  AND c.relnamespace = 'public'::pg_catalog.regnamespace ORDER BY 1
"""


def prepared(database: Database, owner: Role) -> None:
    database.give_to(owner)
    database.execute(CREATE_EVENTS, role=owner)
    database.execute(
        r"ALTER TABLE public.events ALTER note SET DEFAULT E'a\\b', ADD CHECK (note <> E'\\')",
        role=owner,
    )
    today = datetime.now(UTC).date().replace(day=1)
    for first in (OLD, today):
        database.execute(MONTH.format(first, first, add_months(first, 1)), role=owner)
        moment = datetime.combine(first, time(12), UTC)
        database.execute("INSERT INTO public.events VALUES (1, %s)", [moment], role=owner)


def outcome(database: Database, owner: Role, folder: Path) -> tuple[Any, ...]:
    """What all commands answer, and the partitions that they leave."""
    policy = write_policy(
        folder, database.url_of(owner), {**EVENTS, "retention": RETENTION}, statistics={}
    )
    codes: dict[str, int] = {}
    actions: list[tuple[str, str, str]] = []
    for command in COMMANDS:
        as_json = ["--json"] if command in ("plan", "apply") else []
        result = CliRunner().invoke(cli, [command, "--policy", str(policy), *as_json])
        codes[command] = result.exit_code
        assert result.exception is None or isinstance(result.exception, SystemExit), command
        if as_json:
            found = json.loads(result.stdout)["actions"]
            actions += [(a["kind"], a["object"], a.get("outcome", "")) for a in found]
    with session(database.url) as ours:
        return codes, sorted(actions), ours.execute(PARTITIONS.encode()).fetchall()


@pytest.mark.in_turn
@pytest.mark.parametrize("subject", ["ROLE {role}", "DATABASE {database}"])
def test_all_odd_defaults_at_once_change_nothing_of_what_is_done(
    database: Database, owner_role: Role, tmp_path: Path, subject: str
) -> None:
    odd = make_database(database.server)
    try:
        for each in (database, odd):
            prepared(each, owner_role)
        expected = outcome(database, owner_role, tmp_path)
        name = subject.format(role=owner_role.name, database=odd.name)
        with database.connect() as connection:
            for setting, value in ODD.items():
                parts = ", ".join(f"'{part}'" for part in value.split(", "))
                connection.execute(f"ALTER {name} SET {setting} = {parts}".encode())
        assert outcome(odd, owner_role, tmp_path) == expected
    finally:
        drop_database(odd)
    codes, actions, partitions = expected
    assert set(codes.values()) == {0}
    assert {kind for kind, _, _ in actions} >= {"create_partition", "drop_partition"}
    assert "events_2025_01" not in {name for name, _ in partitions}


@pytest.mark.pg("== 18")
def test_statement_timeout_too_short_for_our_settings_is_one_clear_error(
    database: Database, owner_role: Role
) -> None:
    database.execute(f"ALTER ROLE {owner_role.name} SET statement_timeout = '1ms'")
    reasons: set[str | None] = set()
    for _ in range(20):
        try:
            with session(database.url_of(owner_role)) as ours:
                assert ours.execute("SHOW statement_timeout").fetchone() == ("20s",)
        except UnreachableError as error:
            reasons.add(error.reason)
    assert reasons <= {"statement_timeout"}
