"""Workload alerts of five systems: caused, delivered with a signature, resolved."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from maintenance.pipeline import notify
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from tests.builders import Database, drop_database, make_database
from tests.caches import cache_server, client_of, program_of
from tests.conftest import Servers
from tests.policies import make_policy
from tests.receivers import Receiver, http_receiver
from tests.sessions import until

EVENTS = """
CREATE TABLE public.events (id bigint, at timestamptz NOT NULL, note text) PARTITION BY RANGE (at);
CREATE TABLE public.events_2026_11 PARTITION OF public.events
  FOR VALUES FROM ('2026-11-01') TO ('2026-12-01');
ALTER TABLE public.events ALTER note SET STORAGE PLAIN;
ALTER TABLE public.events_2026_11 ALTER note SET STORAGE PLAIN;
"""
MORE_EVENTS = """
INSERT INTO public.events SELECT n, '2026-11-20', repeat('x', 1000) FROM generate_series(1, {}) n;
ANALYZE public.events_2026_11;
"""
READ_AGAIN = """
SELECT sum(n) FROM generate_series(1, 300) AS g,
  LATERAL (SELECT count(*) AS n FROM public.events WHERE id > g) AS counted
"""
SECTIONS: dict[str, Any] = {
    "workload": {"mean_query": "10 hours", "disk_growth": {"free_disk": "1 MB"}},
    "bloat": {"min_size": "100 kB"},
    "indexes": {"unused": {"window": "24 hours", "min_size": "100 kB"}},
}


@dataclass
class World:
    """A database with its policy, and the receiver of its alerts."""

    database: Database
    folder: Path
    receiver: Receiver
    policy: Policy
    cache: Any = None

    def told(self, kind: str, subject: str, now: datetime | None = None) -> list[tuple[str, str]]:
        """Run a subject, deliver its findings, and return the delivered alerts of a kind."""
        before = len(self.receiver.bodies)
        pipeline.apply(self.policy, only=[subject], now=now)
        (delivered,) = notify.run_round(self.policy, []).delivered
        assert (delivered.n_pending, delivered.error) == (0, None)
        assert self.receiver.is_signed()
        new = self.receiver.documents()[before:]
        events = [event for document in new for event in document.get("alerts", [document])]
        return [(event["state"], event["object"]) for event in events if event["kind"] == kind]

    def run(self, sql: str) -> None:
        with psycopg.connect(self.database.url, autocommit=True) as connection:
            for statement in filter(str.strip, sql.split(";")):
                connection.execute(statement.encode())


def a_world(servers: Servers, major: int, folder: Path, receiver: Receiver, **more: Any) -> World:
    database = make_database(servers.get(major))
    advice = {**receiver.webhook(), "kinds": ["index_unused"]}
    alerts = {"sinks": [receiver.webhook(), advice]}
    policy = make_policy(folder, database.url, alerts=alerts, **SECTIONS, **more)
    return World(database, folder, receiver, policy)


@pytest.fixture(scope="module")
def world(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("nine")
    (folder / "totals.sql").write_text("SELECT count(*) AS n, 1 AS one FROM public.events;\n")
    view = {"name": "totals", "definition": "totals.sql", "max_age": "4 hours"}
    with (
        http_receiver() as receiver,
        cache_server(program_of("embedded"), folder / "redis") as cache,
    ):
        more: dict[str, Any] = {"matviews": [view], "redis": {"url": cache.url}}
        world = a_world(servers, 18, folder, receiver, **more)
        world.run(EVENTS + MORE_EVENTS.format(2000))
        world.cache = client_of(cache)
        yield world
        drop_database(world.database)


def test_pool_is_nearly_used_up(world: World) -> None:
    sessions = [world.database.connect() for _ in range(54)]
    assert world.told("connections_saturated", "workload") == [("raised", "app")]
    for session in sessions:
        session.close()
    count = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
    until(lambda: world.database.execute(count)[0][0] < 20)
    assert world.told("connections_saturated", "workload") == [("resolved", "app")]


def test_cache_misses(world: World) -> None:
    cache = world.cache
    assert world.told("redis_hit_rate_low", "redis") == []
    cache.set("there", 1)
    ask(cache, "not there", 1500)
    assert world.told("redis_hit_rate_low", "redis") == [("raised", "app")]
    ask(cache, "there", 1500)
    assert world.told("redis_hit_rate_low", "redis") == [("resolved", "app")]


def ask(cache: Any, key: str, times: int) -> None:
    with cache.pipeline(transaction=False) as pipeline:
        for _ in range(times):
            pipeline.get(key)
        pipeline.execute()


def test_view_is_older_than_four_hours(world: World) -> None:
    assert world.told("matview_stale", "matviews") == []
    columns = ("started_at", "ended_at", "as_of", "proven_as_of")
    older = ", ".join(f"{column} = {column} - interval '5 hours'" for column in columns)
    world.run(f"UPDATE maintenance.matview_refresh SET {older}")
    world.run("INSERT INTO public.events VALUES (1, '2026-11-20')")
    before = len(world.receiver.bodies)
    notify.notify(world.policy)
    assert ("raised", "public.totals", "matview_stale") in [
        (each["state"], each["object"], each["kind"])
        for each in world.receiver.documents()[before:]
    ]
    assert world.told("matview_stale", "matviews") == [("resolved", "public.totals")]


@pytest.mark.parametrize("hours", [1, 24])
def test_index_is_unused_for_an_hour_or_a_day(world: World, hours: int) -> None:
    table = f"public.idle_{hours}"
    world.run(
        f"CREATE TABLE {table} AS SELECT n AS a FROM generate_series(1, 20000) n;"
        f"CREATE INDEX idle_{hours}_a ON {table} (a); VACUUM ANALYZE {table}"
    )
    unused = world.policy.indexes.unused.model_copy(update={"window": timedelta(hours=hours)})  # pyright: ignore[reportOptionalMemberAccess]
    indexes = world.policy.indexes.model_copy(update={"unused": unused})  # pyright: ignore[reportOptionalMemberAccess]
    policy = world.policy.model_copy(update={"indexes": indexes})
    own = World(world.database, world.folder, world.receiver, policy)
    start, minute = datetime.now(UTC) + timedelta(days=hours), timedelta(minutes=1)
    mine = ("raised", f"public.idle_{hours}_a")
    assert mine not in own.told("index_unused", "indexes", start)
    assert mine not in own.told("index_unused", "indexes", start + timedelta(hours=hours) - minute)
    assert mine in own.told("index_unused", "indexes", start + timedelta(hours=hours) + minute)
    (event,) = [each for each in own.receiver.events() if each["object"] == mine[1]]
    assert event["value"] == 0
    assert ("1 hour" if hours == 1 else "1 day") in event["message"]
    world.run(f"SET enable_seqscan = off; SELECT * FROM {table} WHERE a = 77")
    scans = f"SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'idle_{hours}_a'"
    until(lambda: world.database.execute(scans) == [(1,)])
    told = own.told("index_unused", "indexes", start + timedelta(hours=hours) + 2 * minute)
    assert ("resolved", f"public.idle_{hours}_a") in told


def test_index_is_bloated(world: World) -> None:
    world.run(
        "CREATE TABLE public.filled (id int PRIMARY KEY) WITH (autovacuum_enabled = off);"
        "INSERT INTO public.filled SELECT generate_series(1, 40000);"
        "DELETE FROM public.filled WHERE id % 4 > 0;"
        "SELECT pg_stat_force_next_flush()"
    )
    world.database.vacuum("public.filled")
    assert world.told("index_bloat", "bloat") == [("raised", "public.filled_pkey")]
    world.run("REINDEX TABLE public.filled; ANALYZE public.filled")
    assert world.told("index_bloat", "bloat") == [("resolved", "public.filled_pkey")]


def test_partitions_grow_and_blocks_are_not_in_memory(world: World) -> None:
    """The new blocks of a partition, written past the cache, are read from disk."""
    now = datetime.now(UTC)
    assert world.told("disk_growth", "workload", now) == []
    for days in (0.7, 1.4):
        world.run(MORE_EVENTS.format(10_000))
        assert world.told("disk_growth", "workload", now + timedelta(days=days)) == []
    world.run(MORE_EVENTS.format(10_000))
    for _ in range(3):
        world.run("VACUUM FULL public.events_2026_11; SELECT count(*) FROM public.events")
    world.run("ANALYZE public.events_2026_11")
    until(lambda: blocks(world, "blks_read") > 10_000)
    before = len(world.receiver.bodies)
    growth = world.told("disk_growth", "workload", now + timedelta(days=2))
    assert ("raised", "public.events") in growth
    kinds = [each["kind"] for each in world.receiver.documents()[before:]]
    assert "buffer_hit_rate_low" in kinds

    world.run("TRUNCATE public.events;" + MORE_EVENTS.format(2000) + READ_AGAIN)
    hit = world.told("buffer_hit_rate_low", "workload", now + timedelta(days=4))
    assert hit == [("resolved", "app")]
    resolved = [each for each in world.receiver.events() if each["state"] == "resolved"]
    assert "public.events" in [each["object"] for each in resolved]


def blocks(world: World, column: str) -> int:
    rows = world.database.execute(
        f"SELECT {column} FROM pg_stat_database WHERE datname = current_database()"
    )
    return rows[0][0]


@pytest.fixture(scope="module")
def counted(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A database whose server counts statements, which takes the contrib modules."""
    with http_receiver() as receiver:
        world = a_world(servers, 15, tmp_path_factory.mktemp("counted"), receiver)
        world.run("CREATE EXTENSION pg_stat_statements; SELECT pg_stat_statements_reset()")
        yield world
        drop_database(world.database)


def test_query_is_slow_and_another_slower_than_it_was(counted: World) -> None:
    now = datetime.now(UTC)

    def look(kind: str, days_ago: float) -> list[tuple[str, str]]:
        return counted.told(kind, "workload", now - timedelta(days=days_ago))

    def call(times: int, seconds: float) -> None:
        counted.run(f"SELECT pg_sleep({seconds}) AS usual;" * times)

    for days_ago in (6, 5, 4, 3):
        call(40, 0.001)
        assert look("query_regressed", days_ago) == []
    call(25, 0.045)
    counted.run("SELECT 1 FROM pg_sleep(1.05);" * 3)
    before = len(counted.receiver.bodies)
    ((state, regressed),) = look("query_regressed", 2)
    documents = counted.receiver.documents()[before:]
    (slow,) = [each for each in documents if each["kind"] == "query_slow"]
    assert (state, slow["state"], slow["threshold"]) == ("raised", "raised", 1000)
    assert slow["object"] != regressed
    call(40, 0.001)
    assert look("query_regressed", 1) == [("resolved", regressed)]
    assert ("resolved", slow["object"]) in counted.receiver.told()
