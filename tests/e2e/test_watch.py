"""The watch in a real Dagster daemon: four troubles at once, each told once and resolved once."""

import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from maintenance.demo import ports, storage
from maintenance.demo.dagster import Dagster
from maintenance.demo.postgres import PostgresServer, embedded_binaries
from tests.conftest import Servers
from tests.e2e.demos import wait_until
from tests.policies import write_policy
from tests.receivers import Receiver, http_receiver

pytestmark = pytest.mark.slow

SETTINGS = {"max_connections": "40", "superuser_reserved_connections": "15"}
LIMITS = {"idle_in_transaction": "5 seconds", "replication_lag": "1 MB"}
TROUBLES = {"connections_saturated", "idle_in_transaction", "replication_lag", "query_slow"}
Connection = psycopg.Connection[Any]


@pytest.fixture(scope="module")
def watched(folder: Path) -> Iterator[PostgresServer]:
    """The maintained server, which has room for 25 sessions of applications."""
    server = PostgresServer(embedded_binaries(18), folder / "app", fsync=False, settings=SETTINGS)
    server.start()
    run(server, "CREATE ROLE app LOGIN PASSWORD 'app'", "CREATE DATABASE app OWNER app")
    yield server
    server.remove()


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with http_receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def dagster(
    servers: Servers, folder: Path, watched: PostgresServer, receiver: Receiver
) -> Iterator[PostgresServer]:
    """Dagster with a policy that is watched every five seconds; its storage's server."""
    own = servers.get(18)
    write_policy(
        folder,
        watched.url("app"),
        workload=LIMITS,
        schedules={"watch_interval": "5 seconds"},
        alerts={"sinks": [receiver.webhook()]},
    )
    storage.make(own)
    dagster = Dagster(folder / "dagster", ports.free_port())
    environment = {**os.environ, **storage.environment(own), "MAINTENANCE_POLICIES": str(folder)}
    try:
        dagster.start(environment)
        dagster.serve()
        yield own
    finally:
        dagster.stop()
        run(own, f"DROP DATABASE {storage.NAME} WITH (FORCE)")


def run(server: PostgresServer, *statements: str) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def told(receiver: Receiver, state: str) -> Counter[str]:
    found = [each["kind"] for each in receiver.events() if each["state"] == state]
    return Counter(kind for kind in found if kind in TROUBLES)


def open_session(server: PostgresServer) -> Connection:
    url = make_conninfo(server.url("app"), user="app", password="app")
    return psycopg.connect(url, autocommit=True, application_name="web")


def fill(server: PostgresServer) -> list[Connection]:
    """Take all connections that are left for applications."""
    taken: list[Connection] = []
    with suppress(psycopg.OperationalError):
        while True:
            taken.append(open_session(server))
    assert taken
    return taken


def report(session: Connection) -> threading.Thread:
    """Start a statement that would run for ten minutes."""

    def work() -> None:
        with suppress(psycopg.errors.QueryCanceled):
            session.execute("SELECT pg_sleep(600)")

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_four_troubles_at_once_are_each_raised_once_and_resolved_once(
    watched: PostgresServer, dagster: PostgresServer, receiver: Receiver
) -> None:
    holder, reporter = open_session(watched), open_session(watched)
    holder.autocommit = False
    holder.execute("SELECT 1")
    thread = report(reporter)
    run(
        watched,
        "SELECT pg_create_physical_replication_slot('forgotten', true)",
        "CREATE TABLE filler AS SELECT generate_series(1, 100000)",
    )
    taken = fill(watched)
    wait_until(lambda: told(receiver, "raised").keys() == TROUBLES, 300)

    holder.rollback()
    reporter.cancel()
    thread.join()
    run(watched, "SELECT pg_drop_replication_slot('forgotten')")
    for session in (*taken, holder, reporter):
        session.close()
    wait_until(lambda: told(receiver, "resolved").keys() == TROUBLES, 300)

    ticks = n_ticks(dagster)
    wait_until(lambda: n_ticks(dagster) >= ticks + 3)
    once = Counter(dict.fromkeys(TROUBLES, 1))
    assert (told(receiver, "raised"), told(receiver, "resolved")) == (once, once)
    assert receiver.is_signed()
    assert count(dagster, "SELECT count(*) FROM runs") == 0


def n_ticks(server: PostgresServer) -> int:
    """How often the watch was evaluated, by Dagster's own record."""
    return count(
        server,
        "SELECT count(*) FROM job_ticks WHERE status = 'SKIPPED' AND tick_body LIKE '%app_watch%'",
    )


def count(server: PostgresServer, sql: str) -> int:
    with psycopg.connect(server.url(storage.NAME)) as connection:
        row = connection.execute(sql.encode()).fetchone()
    assert row is not None
    return row[0]
