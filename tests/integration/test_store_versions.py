"""A store of an earlier version is upgraded with its rows; one of a newer one is left alone."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from maintenance.cli.commands import cli
from maintenance.engine.target import Target
from maintenance.monitoring import observe_overview
from maintenance.pipeline.undo import undo
from maintenance.store import migrate
from tests.builders import SQL, Database, drop_database, make_database
from tests.conftest import Servers
from tests.policies import make_policy, write_policy

MIGRATIONS = sorted(SQL.joinpath("store").glob("[0-9][0-9][0-9][0-9]_*.sql"))
BEFORE_PAUSES = 20
RUN = "11111111-1111-1111-1111-111111111111"
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
AT = NOW - timedelta(hours=2)
THERE = {"database": "app", "taken_at": AT}

# One row of each table, with the columns of all versions; a version is given those that it has.
ROWS: dict[str, dict[str, Any]] = {
    "run": {
        "id": RUN,
        "database": "app",
        "command": "apply",
        "version": "0.1",
        "policy_hash": "h",
        "started_at": AT,
        "ended_at": AT + timedelta(minutes=1),
        "outcome": "failed",
        "kinds": ["partition_gap"],
        "judged_at": AT,
        "processed_at": AT,
        "subjects": ["partitions"],
    },
    "journal": {
        "run_id": RUN,
        "action_id": "a",
        "place": 0,
        "kind": "create_partition",
        "object": "public.events_2026_12",
        "table_name": "public.events",
        "period": "2026-12",
        "sql": ["SELECT 1"],
        "reason": "horizon",
        "destructive": False,
        "intended_at": AT,
        "ended_at": AT,
        "outcome": "failed",
        "error": "no space",
        "attempts": 1,
        "duration_ms": 2.5,
        "relation_oid": 4711,
    },
    "finding": {
        "run_id": RUN,
        "kind": "partition_gap",
        "object": "public.events",
        "severity": "warn",
        "message": "a gap",
        "value": "1",
        "data": "{}",
        "subject": "partitions",
    },
    "matview_refresh": {
        "database": "app",
        "view": "public.totals",
        "run_id": RUN,
        "started_at": AT,
        "ended_at": AT,
        "mode": "plain",
        "reason": "asked for",
        "changed": True,
        "n_rows": 7,
        "as_of": AT,
    },
    "matview_definition": {"database": "app", "view": "public.totals", "identity": "i"},
    "served": {"database": "app", "keep_months": 13, "keep_days": 0},
    "cost": {**THERE, "run_id": RUN, "purpose": "p", "n_statements": 1, "seconds": 1, "n_rows": 1},
    "parent_debt": {"database": "app", "parent": 1, "name": "n", "carried": 1, "leaves": "{}"},
    "index_usage": {
        **THERE,
        "server": "primary",
        "system_identifier": 1,
        "timeline": 1,
        "server_reset_at": AT,
        "oids": [1],
        "scans": [2],
    },
    "bloat": {
        **THERE,
        "object": "public.events",
        "table_name": "public.events",
        "kind": "table",
        "size_bytes": 1000,
        "fraction": 0.5,
        "method": "exact",
    },
    "bloat_look": THERE,
    "rebuild": {
        "database": "app",
        "index_name": "public.i",
        "run_id": RUN,
        "old_oid": 1,
        "size_before": 8192,
    },
    "workload": {
        **THERE,
        "epoch": "e",
        "n_connections": 5,
        "n_usable": 97,
        "n_active": 1,
        "n_idle_in_transaction": 0,
        "blocks_hit": 1,
        "blocks_read": 1,
        "commits": 1,
        "rollbacks": 0,
        "wraparound": 0.1,
        "server": "primary",
    },
    "statement": {
        **THERE,
        "statement": "1",
        "text": "SELECT $1",
        "calls": 3,
        "total_ms": 6,
        "squares_ms": 12,
        "max_ms": 4,
        "n_rows": 3,
        "blocks_hit": 1,
        "blocks_read": 1,
        "read_ms": 0,
        "server": "primary",
    },
    "table_size": {**THERE, "object": "public.events", "n_partitions": 3, "size_bytes": 5000},
    "alert": {
        "database": "app",
        "kind": "partition_gap",
        "object": "public.events",
        "severity": "warn",
        "message": "a gap",
        "value": "1",
        "since": AT,
        "told_at": AT,
        "notified_at": AT,
        "told": "warn",
        "subject": "partitions",
        "seen_at": AT,
    },
    "alert_event": {
        "database": "app",
        "kind": "partition_gap",
        "object": "public.events",
        "turn": "raised",
        "severity": "warn",
        "message": "a gap",
        "since": AT,
        "happened_at": AT,
        "subject": "partitions",
    },
    "delivery": {"event_id": 1, "sink": "log", "attempts": 2},
    "invalidation": {"database": "app", "object": "o", "patterns": ["k:*"], "message": "{}"},
    "cache_look": {
        "database": "app",
        "seen_at": AT,
        "server_run": "r",
        "version": "7",
        **dict.fromkeys(("hits", "misses", "evicted", "expired", "used_memory_bytes"), 1),
        **dict.fromkeys(("max_memory_bytes", "n_keys", "n_expiring"), 1),
    },
    "stale_analytics": {"database": "app", "table_name": "public.a", "seen_at": AT, "n_stale": 4},
    "partition_inserts": {"database": "app", "inserted": "{}"},
    "sample": {**THERE, "n_connections": 5, "n_usable": 97},
    "approval": {
        "database": "app",
        "table_name": "public.events",
        "action": "drop",
        **dict.fromkeys(("keep_months", "keep_days", "grace_months", "grace_days"), 1),
        "approved_by": "me",
        "how": "approve",
    },
    "pause": {"database": "app", "since": AT, "reason": "moving", "paused_by": "me"},
    "capacity": {**THERE, "cliff": "sequence", "object": "s", "used": 9, "ceiling": 10},
    "query_measurement": {
        **THERE,
        "phase": "nightly",
        "query": "q",
        "text_digest": "d",
        "parameters": 1,
        "mode": "custom",
    },
}
NOVEMBER = "FOR VALUES FROM ('2026-11-01 00:00+00') TO ('2026-12-01 00:00+00')"
_COLUMNS = """
SELECT c.relname::text, c.relkind::text, array_agg(a.attname::text)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relnamespace = 'maintenance'::regnamespace AND c.relkind IN ('r', 'p')
  AND NOT c.relispartition AND c.relname <> 'migration'
GROUP BY c.oid ORDER BY c.oid
"""


@pytest.fixture(scope="module")
def emptied(servers: Servers) -> Iterator[Database]:
    """A database of this module, in which each test makes its own store."""
    database = make_database(servers.get(18))
    yield database
    drop_database(database)


@pytest.fixture
def database(emptied: Database) -> Database:
    emptied.execute("DROP SCHEMA IF EXISTS maintenance CASCADE")
    return emptied


def made_by_version(connection: psycopg.Connection[Any], n: int) -> list[str]:
    """Make the store of the first migrations, with a row in each of its tables; their names."""
    connection.execute(
        "CREATE SCHEMA maintenance; CREATE TABLE maintenance.migration (name text PRIMARY KEY,"
        " applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"
    )
    known = ", ".join(f"('{step.stem}')" for step in MIGRATIONS[:n])
    steps = [step.read_text() for step in MIGRATIONS[:n]]
    noted = f"INSERT INTO maintenance.migration (name) VALUES {known}"
    connection.execute(";\n".join([*steps, noted]).encode())
    tables = connection.execute(_COLUMNS).fetchall()
    for name, kind, columns in tables:
        row = {key: value for key, value in ROWS[name].items() if key in columns}
        if kind == "p":
            child = f"maintenance.{name}_2026_11 PARTITION OF maintenance.{name}"
            connection.execute(f"CREATE TABLE {child} {NOVEMBER}".encode())
        places = ", ".join(f"%({key})s" for key in row)
        insert = f"INSERT INTO maintenance.{name} ({', '.join(row)}) VALUES ({places})"
        connection.execute(insert.encode(), row)
    return [name for name, *_ in tables]


@pytest.mark.parametrize("n", range(1, len(MIGRATIONS)))
def test_store_of_an_earlier_version_is_upgraded_with_its_rows(
    database: Database, tmp_path: Path, n: int
) -> None:
    with database.connect() as connection:
        with connection.transaction():
            tables = made_by_version(connection, n)
        count = "SELECT " + ", ".join(f"(SELECT count(*) FROM maintenance.{t})" for t in tables)
        before = connection.execute(count.encode()).fetchone()
        policy = make_policy(tmp_path, database.url)
        with Target(policy).store() as store:
            migrate(store)
        assert connection.execute(count.encode()).fetchone() == before
    shown = observe_overview(policy, now=NOW).history
    assert shown is not None, "the store is ready"
    told = {
        "journal": [each.error for each in shown.activity.failures] == ["no space"],
        "alert": [(a.identity.object, a.since, a.notified_at) for a in shown.alerts]
        == [("public.events", AT, AT)],
        "workload": [each.n_connections for each in shown.moments] == [5],
        "table_size": [each.size_bytes for each in shown.largest] == [5000],
        "bloat": shown.emptiness is not None and shown.emptiness.seen_at == AT,
        "stale_analytics": [each.n_stale for each in shown.computed] == [4],
        "capacity": [each.object for each in shown.limits] == ["s"],
        "pause": shown.pause is not None and shown.pause.reason == "moving",
        "sample": shown.load is not None and shown.load.peaks is not None,
    }
    assert [name for name in tables if not told.get(name, True)] == []


def test_run_before_an_upgrade_is_still_known_to_undo(database: Database, tmp_path: Path) -> None:
    with database.connect() as connection, connection.transaction():
        made_by_version(connection, BEFORE_PAUSES)
    report = undo(make_policy(tmp_path, database.url), RUN)
    assert (report.run_id, [each.kind for each in report.kept]) == (RUN, ["create_partition"])


def test_every_table_of_the_store_has_a_row_in_this_test(database: Database) -> None:
    with database.connect() as connection, connection.transaction():
        assert set(made_by_version(connection, len(MIGRATIONS))) == ROWS.keys()


COMMANDS = (
    ("plan",),
    ("apply",),
    ("check",),
    ("status",),
    ("history",),
    ("metrics",),
    ("undo", "last"),
    ("uninstall", "--yes"),
)


def test_store_of_a_newer_version_is_refused_and_left_alone(
    database: Database, tmp_path: Path
) -> None:
    with database.connect() as connection, connection.transaction():
        made_by_version(connection, len(MIGRATIONS))
        connection.execute("INSERT INTO maintenance.migration (name) VALUES ('0999_future')")
        connection.execute("ALTER TABLE maintenance.run RENAME TO rennen")
    path = write_policy(tmp_path, database.url)
    for command in COMMANDS:
        result = CliRunner().invoke(cli, [*command, "--policy", str(path)])
        assert result.exit_code == 1, result.output
        found = " ".join(result.stderr.split())
        facts = ("0999_future", MIGRATIONS[-1].stem, "upgrade this installation")
        assert [fact for fact in facts if fact not in found] == [], command
        assert isinstance(result.exception, SystemExit), command
    assert database.execute("SELECT count(*) FROM maintenance.rennen") == [(1,)]
