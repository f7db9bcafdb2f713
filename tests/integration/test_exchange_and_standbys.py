"""Exchanges beside a standby: one that is connected is waited for, one that is down is not."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from maintenance.demo.postgres import PostgresServer
from maintenance.demo.programs import embedded_binaries
from maintenance.engine.actions import ActionKind
from maintenance.pipeline import run as pipeline
from tests.builders import server_folder
from tests.policies import CREATE_EVENTS, EVENTS, make_policy
from tests.replicas import make_replica
from tests.sessions import until

NOW = datetime(2026, 11, 20, tzinfo=UTC)
FEEDBACK = {
    "hot_standby_feedback": "on",
    "primary_slot_name": "standby",
    "wal_receiver_status_interval": "1s",
}
SLOT = "SELECT active, xmin IS NOT NULL FROM pg_replication_slots WHERE slot_name = 'standby'"
ROWS = "INSERT INTO public.events SELECT n, '2026-11-05' FROM generate_series(1, {n}) AS n"


@pytest.fixture
def primary() -> Iterator[PostgresServer]:
    with server_folder() as folder:
        server = PostgresServer(
            embedded_binaries(18), folder / "primary", fsync=False, settings=FEEDBACK
        )
        server.start()
        yield server
        server.remove()


def ask(server: PostgresServer, *statements: str) -> list[tuple[object, ...]]:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        cursor = connection.cursor()
        for statement in statements:
            cursor.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def test_standby_that_is_down_puts_no_swap_off_and_is_named_by_a_drain(
    primary: PostgresServer, tmp_path: Path
) -> None:
    ask(primary, "SELECT pg_create_physical_replication_slot('standby')", *CREATE_EVENTS.split(";"))
    ask(primary, "CREATE TABLE public.events_default PARTITION OF public.events DEFAULT")
    home = primary.data.parent
    replica = make_replica(primary, home / "replica", primary.binaries)
    until(lambda: ask(primary, SLOT) == [(True, True)])
    short = make_policy(
        tmp_path, primary.url(), {**EVENTS, "premake": 2}, locks={"give_up_after": "20 seconds"}
    )
    ask(primary, ROWS.format(n=3))
    assert pipeline.apply(short, now=NOW, only=["partitions"]).ok

    replica.remove()
    until(lambda: ask(primary, SLOT) == [(False, True)])
    ask(primary, "DROP TABLE public.events_2026_11", ROWS.format(n=3))
    report = pipeline.apply(short, now=NOW, only=["partitions"])
    assert report.ok, [r.error for r in report.results]
    assert ActionKind.SWAP_DEFAULT in {r.action.kind for r in report.results}

    ask(primary, "DROP TABLE public.events_2026_11", ROWS.format(n=3))
    ask(primary, "INSERT INTO public.events VALUES (9, '2031-05-05')")
    hasty = make_policy(
        tmp_path, primary.url(), {**EVENTS, "premake": 2}, locks={"give_up_after": "1 second"}
    )
    (drain,) = [
        r
        for r in pipeline.apply(hasty, now=NOW, only=["partitions"]).results
        if r.action.kind is ActionKind.DRAIN_DEFAULT
    ]
    assert "slot standby of a standby that is not connected" in str(drain.error)
