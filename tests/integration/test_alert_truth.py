"""Alerts tell the truth: nothing is raised and resolved by one cause, or beside a run at work."""

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from maintenance.engine.run_lock import RUN_LOCK
from maintenance.engine.scope import Request
from maintenance.names import QualifiedName
from maintenance.periods import Interval, period_of
from maintenance.pipeline import notify as rounds
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from tests.builders import Database
from tests.policies import CREATE_EVENTS, EVENTS, make_policy
from tests.receivers import Receiver

pytestmark = pytest.mark.pg("== 18")

TABLE = QualifiedName("public", "events")
THIS = period_of(datetime.now(UTC).date(), Interval.MONTH).key


def told(receiver: Receiver) -> list[tuple[str, str, str]]:
    return [(each["state"], each["kind"], each["object"]) for each in receiver.events()]


def of_kind(receiver: Receiver, kind: str) -> list[tuple[str, str]]:
    return [(state, name) for state, each, name in told(receiver) if each == kind]


def archiving(folder: Path, database: Database, receiver: Receiver, **sections: Any) -> Policy:
    retention = {
        "keep": "2 months",
        "action": "archive_then_drop",
        "archive": {"url": str(folder / "archive")},
    }
    alerts = {"sinks": [receiver.webhook()]}
    section = {**EVENTS, "retention": retention}
    return make_policy(folder, database.url, section, alerts=alerts, **sections)


def test_archive_that_failed_is_raised_once_and_resolved_by_the_run_that_writes_it(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    """This month is not due, so no look finds that it could not be archived."""
    database.execute(CREATE_EVENTS)
    policy, asked = archiving(tmp_path, database, receiver), Request(TABLE, archives=(THIS,))
    pipeline.apply(policy)
    (tmp_path / "archive").write_text("a file where the folder should be")
    for _ in range(2):
        pipeline.apply(policy, only=["retention"], request=asked)
        rounds.notify(policy)
    name = f"public.events_{THIS.replace('-', '_')}"
    assert of_kind(receiver, "archive_unverified") == [("raised", name)]
    (tmp_path / "archive").unlink()
    pipeline.apply(policy, only=["retention"], request=asked)
    for _ in range(2):
        rounds.notify(policy)
    assert of_kind(receiver, "archive_unverified")[1:] == [("resolved", name)]


def an_open_run(database: Database, table: str) -> uuid.UUID:
    """Record a run that has written its intent and not ended."""
    run_id = uuid.uuid4()
    database.execute(
        "INSERT INTO maintenance.run (id, database, command, version, policy_hash)"
        " VALUES (%s, 'app', 'apply', '1', '')",
        [run_id],
    )
    database.execute(
        "INSERT INTO maintenance.journal"
        " (run_id, action_id, place, kind, object, table_name, sql, reason, destructive)"
        " VALUES (%s, 'a', 0, 'drain_default', 'public.events_default', %s, '{}', '', false)",
        [run_id, table],
    )
    return run_id


def test_what_a_run_is_working_on_is_judged_after_it(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    database.execute(CREATE_EVENTS)
    sections: dict[str, Any] = {"statistics": {}, "alerts": {"sinks": [receiver.webhook()]}}
    policy = make_policy(tmp_path, database.url, EVENTS, **sections)
    pipeline.apply(policy)
    part = f"public.events_{THIS.replace('-', '_')}"
    database.execute(f"DROP TABLE {part}")
    database.execute("CREATE TABLE public.events_default PARTITION OF public.events DEFAULT")
    with database.connect() as connection:
        connection.execute("INSERT INTO public.events SELECT n, now() FROM generate_series(1,99) n")
        connection.execute("CREATE TABLE public.other AS SELECT 1 AS n")
    run_id = an_open_run(database, "public.events")
    with database.connect() as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", (RUN_LOCK,))
        rounds.notify(policy)
        assert {name for _, _, name in told(receiver)} == {"public.other"}
    database.execute("UPDATE maintenance.run SET ended_at = now() WHERE id = %s", [run_id])
    rounds.notify(policy)
    assert ("raised", "default_partition_rows", "public.events") in told(receiver)


def test_run_that_was_killed_hides_nothing(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    database.execute(CREATE_EVENTS)
    alerts = {"sinks": [receiver.webhook()]}
    policy = make_policy(tmp_path, database.url, EVENTS, alerts=alerts)
    rounds.standing(policy)
    an_open_run(database, "public.events")
    rounds.notify(policy)
    assert ("raised", "partition_horizon_short", "public.events") in told(receiver)


HELPER = "maintenance_drain_16400_copy_2026_09"
EVERY: dict[str, Any] = {
    "statistics": {},
    "bloat": {"min_size": "100 kB"},
    "indexes": {},
    "workload": {},
}

MESSY = """
CREATE TABLE IF NOT EXISTS public.users (id int PRIMARY KEY);
CREATE TABLE {name} (id int PRIMARY KEY, author int REFERENCES public.users, note text)
  WITH (autovacuum_enabled = off);
CREATE INDEX {name}_twice ON {name} (id);
CREATE INDEX {name}_broken ON {name} (note);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{name}_broken'::regclass;
INSERT INTO {name} SELECT n FROM generate_series(1, 40000) n;
DELETE FROM {name} WHERE id % 4 > 0;
"""


def test_tables_that_runs_make_for_themselves_are_no_findings(
    database: Database, tmp_path: Path
) -> None:
    """The same table under an ordinary name is found by statistics, bloat and indexes."""

    def found(name: str) -> set[str]:
        with database.connect() as connection:
            connection.execute(MESSY.format(name=name).encode())
            connection.execute("SELECT pg_stat_force_next_flush()")
        policy = make_policy(tmp_path, database.url, **EVERY)
        first = pipeline.plan(policy)
        database.execute(f"VACUUM ANALYZE {name}")
        both = (*first.findings, *pipeline.plan(policy).findings)
        assert not [a for a in first.plan.actions if name == HELPER and HELPER in a.object]
        return {each.kind.value for each in both if name in each.object}

    assert found("ordinary") >= {"statistics_missing", "index_invalid", "table_bloat"}
    assert found(HELPER) == set()
