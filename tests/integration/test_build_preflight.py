"""Builds of indexes wait for slots, replicas and load, and are given up with a finding."""

import subprocess
import threading
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from maintenance.demo.account import server_account
from maintenance.demo.postgres import PostgresServer, embedded_binaries
from maintenance.engine import build_load, build_preflight
from maintenance.engine.build_load import Build
from maintenance.engine.executor import Outcome
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.errors import BuildPostponedError
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.run import Report
from maintenance.pipeline.undo import undo
from maintenance.policy import Policy
from tests.builders import Database, Role, server_folder
from tests.conversions import EVENTS, PLAIN
from tests.policies import make_policy
from tests.replicas import caught_up, make_replica
from tests.sessions import until

LARGE = """
CREATE TABLE public.large (id bigint, note text) WITH (autovacuum_enabled = false);
INSERT INTO public.large SELECT n, repeat('x', 1000) FROM generate_series(1, 17000) n;
"""
"""A table of more than 16 MB."""

DECLARED = """
CREATE INDEX large_id ON public.large (id);
CREATE INDEX large_note ON public.large (left(note, 10));
"""
PREFLIGHT = {"free_disk": "1 MB"}
SLOT = "SELECT pg_create_logical_replication_slot('reports', 'pgoutput')"
DROP_SLOT = "SELECT pg_drop_replication_slot('reports')"


def policy_for(folder: Path, url: str, give_up_after: str = "1 s", **preflight: Any) -> Policy:
    (folder / "declared.sql").write_text(DECLARED)
    return make_policy(
        folder,
        url,
        indexes={"declared": "declared.sql", "preflight": PREFLIGHT | preflight},
        locks={"give_up_after": give_up_after},
    )


def apply(policy: Policy) -> Report:
    return pipeline.apply(policy, only=["indexes"])


def postponed(report: Report) -> list[Finding]:
    return [f for f in report.findings if f.kind is FindingKind.INDEX_BUILD_POSTPONED]


def is_given_up(report: Report, reason: str, n_builds: int = 2) -> list[Finding]:
    """The findings on builds that were given up; all of them for that reason."""
    found = postponed(report)
    assert len(found) == n_builds
    assert {(f.severity, f.data["reason"]) for f in found} == {(Severity.WARN, reason)}
    assert {type(result.cause) for result in report.results} == {BuildPostponedError}
    assert {result.outcome for result in report.results} == {Outcome.FAILED}
    return found


def all_done(report: Report) -> bool:
    return {result.outcome for result in report.results} == {Outcome.DONE}


def n_indexes(database: Database, table: str = "public.large") -> int:
    ((number,),) = database.execute(
        "SELECT count(*) FROM pg_index WHERE indrelid = %s::regclass", [table]
    )
    return int(number)


@pytest.fixture
def small_builds_count(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (build_load, build_preflight):
        monkeypatch.setattr(module, "SMALL_BUILD", 0)


@contextmanager
def slot(database: Database) -> Generator[None]:
    """A slot that nobody uses."""
    database.execute(SLOT)
    try:
        yield
    finally:
        database.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
            " WHERE slot_name = 'reports'"
        )


def test_build_is_given_up_while_a_slot_retains_too_much_wal(
    database: Database, tmp_path: Path
) -> None:
    policy = policy_for(tmp_path, database.url, max_slot_wal="1 MB")
    with slot(database):
        database.execute(LARGE)
        found = is_given_up(apply(policy), "slot_retains_wal")

        assert {f.object for f in found} == {"public.large_id", "public.large_note"}
        assert {f.data["slot"] for f in found} == {"reports"}
        assert min(f.data["retained_bytes"] for f in found) > 16 * 2**20
        assert n_indexes(database) == 0
    assert all_done(apply(policy))


@pytest.mark.pg("== 18")
@pytest.mark.parametrize("obstacle", ["slot", "transaction"])
def test_same_obstacle_is_waited_for_once_in_a_run(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, obstacle: str
) -> None:
    limits = {"max_slot_wal": "1 MB"} if obstacle == "slot" else {"max_transaction_age": "0 s"}
    policy = policy_for(tmp_path, database.url, **limits)
    looks: Counter[str] = Counter()

    def counted(build: Build, *rest: Any) -> Iterator[BuildPostponedError]:
        looks[build.name] += 1
        return build_load.load_obstacles(build, *rest)

    monkeypatch.setattr(build_preflight, "load_obstacles", counted)
    with slot(database), database.connect(autocommit=False) as holder:
        database.execute(LARGE)
        holder.execute("SELECT 1" if obstacle == "transaction" else "ROLLBACK")
        report = apply(policy)
    assert {result.outcome for result in report.results} == {Outcome.FAILED}
    first, second = looks["public.large_id"], looks["public.large_note"]
    assert first > 1
    assert second == 1


@pytest.mark.pg("== 18")
def test_undo_builds_a_dropped_index_again_whatever_the_load(
    database: Database, tmp_path: Path
) -> None:
    database.execute(LARGE)
    database.execute("CREATE INDEX large_id ON public.large (id)")
    (tmp_path / "drops.sql").write_text("DROP INDEX public.large_id;")
    limits = {"max_slot_wal": "1 kB", "max_replica_lag": "1 kB", "max_wal_rate": "1 kB"}
    section = {"declared": "drops.sql", "allow_drop": True, "preflight": PREFLIGHT | limits}
    policy = make_policy(tmp_path, database.url, indexes=section)
    assert all_done(apply(policy))
    assert n_indexes(database) == 0
    with slot(database):
        database.execute("SELECT pg_logical_emit_message(false, 'x', repeat('x', 9000))")
        assert undo(policy).is_complete
    assert n_indexes(database) == 1


@pytest.mark.pg("== 18")
def test_build_begins_as_soon_as_the_slot_is_gone(database: Database, tmp_path: Path) -> None:
    policy = policy_for(tmp_path, database.url, "2 minutes", max_slot_wal="1 MB")
    with slot(database):
        database.execute(LARGE)
        ending = threading.Timer(1.5, lambda: database.execute(DROP_SLOT))
        ending.start()
        report = apply(policy)
        ending.join()
    assert all_done(report)


@pytest.mark.pg("== 18")
def test_slot_is_no_obstacle_within_the_usual_limits(database: Database, tmp_path: Path) -> None:
    with slot(database):
        database.execute(LARGE)
        assert all_done(apply(policy_for(tmp_path, database.url)))


@pytest.mark.pg("== 18")
def test_slot_that_would_lose_the_wal_of_its_consumer_stops_a_build(
    database: Database, tmp_path: Path
) -> None:
    policy = policy_for(tmp_path, database.url)
    database.execute("ALTER SYSTEM SET max_slot_wal_keep_size = '1 MB'")
    database.execute("SELECT pg_reload_conf()")
    try:
        database.execute(LARGE)
        with slot(database):
            found = is_given_up(apply(policy), "slot_would_lose_wal")
            assert {f.data["slot"] for f in found} == {"reports"}
    finally:
        database.execute("ALTER SYSTEM RESET max_slot_wal_keep_size")
        database.execute("SELECT pg_reload_conf()")


@pytest.mark.pg("== 18")
def test_disk_must_hold_the_wal_too_that_an_unused_slot_retains(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute(LARGE)
    ((size,),) = database.execute("SELECT pg_relation_size('public.large')")
    free = int(size) * 3 // 2  # enough for the index alone

    def known(*_where: object) -> int:
        return free

    monkeypatch.setattr(build_preflight, "free_disk", known)
    policy = policy_for(tmp_path, database.url)
    with slot(database):
        found = is_given_up(apply(policy), "free_disk_low")
        assert {(f.data["slot"], f.data["needed_bytes"]) for f in found} == {("reports", 2 * size)}
    assert all_done(apply(policy))


@pytest.mark.pg("== 18")
def test_slot_that_holds_rows_stops_a_build_only_if_the_policy_says_so(
    database: Database, tmp_path: Path
) -> None:
    database.execute(LARGE)
    with slot(database):
        for _ in range(5):
            database.execute("SELECT pg_current_xact_id()")
        strict = policy_for(tmp_path, database.url, max_slot_age=3)
        found = is_given_up(apply(strict), "slot_holds_rows")
        assert min(f.data["age"] for f in found) >= 5
        assert all_done(apply(policy_for(tmp_path, database.url)))


@pytest.mark.pg("== 18")
@pytest.mark.usefixtures("small_builds_count")
def test_rebuild_waits_for_slots_too(database: Database, tmp_path: Path) -> None:
    database.execute(
        "CREATE TABLE public.filled (id bigint PRIMARY KEY) WITH (autovacuum_enabled = false);"
        " INSERT INTO public.filled SELECT generate_series(1, 20000);"
        " DELETE FROM public.filled WHERE id % 4 > 0; SELECT pg_stat_force_next_flush()"
    )
    database.vacuum()
    policy = make_policy(
        tmp_path,
        database.url,
        bloat={
            "min_size": "100 kB",
            "index_fraction": 0.3,
            "reindex": "concurrently",
            "reindex_unique": ["public.filled_pkey"],
        },
        indexes={"preflight": {**PREFLIGHT, "max_slot_wal": "1 kB"}},
        locks={"give_up_after": "1 s"},
    )
    with slot(database):
        database.execute("SELECT pg_logical_emit_message(false, 'x', repeat('x', 9000))")
        report = pipeline.apply(policy, only=["bloat"])
        (found,) = is_given_up(report, "slot_retains_wal", 1)
        assert found.object == "public.filled_pkey"
    assert all_done(pipeline.apply(policy, only=["bloat"]))


@pytest.mark.pg("== 18")
@pytest.mark.usefixtures("small_builds_count")
def test_conversion_waits_for_slots_before_it_builds_its_key(
    database: Database, tmp_path: Path
) -> None:
    database.execute(PLAIN)
    policy = make_policy(
        tmp_path,
        database.url,
        EVENTS,
        indexes={"preflight": {**PREFLIGHT, "max_slot_wal": "1 kB"}},
        locks={"give_up_after": "1 s"},
    )
    with slot(database):
        database.execute("SELECT pg_logical_emit_message(false, 'x', repeat('x', 9000))")
        report = pipeline.apply(policy, only=["conversion"])
        reasons = [f.data["reason"] for f in postponed(report)]
        assert reasons == ["slot_retains_wal"]
        assert database.execute("SELECT count(*) FROM public.events") == [(2000,)]
    assert all_done(pipeline.apply(policy, only=["conversion"]))


@pytest.mark.pg("== 18")
def test_build_is_given_up_while_too_many_sessions_are_active(
    database: Database, tmp_path: Path
) -> None:
    database.execute(LARGE)
    policy = policy_for(tmp_path, database.url, max_active_sessions=1)
    sessions = [database.connect() for _ in range(2)]
    threads = [
        threading.Thread(target=_sleep_until_canceled, args=(each,), daemon=True)
        for each in sessions
    ]
    for thread in threads:
        thread.start()
    try:
        until(lambda: _n_asleep(database) == len(sessions))
        found = is_given_up(apply(policy), "active_sessions")
    finally:
        for each in sessions:
            each.cancel_safe()
        for thread in threads:
            thread.join()
    assert {f.data["active_sessions"] for f in found} == {2}
    assert all_done(apply(policy))


def _sleep_until_canceled(connection: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.errors.QueryCanceled):
        connection.execute("SELECT pg_sleep(600)")


def _n_asleep(database: Database) -> int:
    ((number,),) = database.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)'"
        " AND state = 'active'"
    )
    return int(number)


@pytest.mark.pg("== 18")
def test_build_is_given_up_while_the_server_writes_much_wal(
    database: Database, tmp_path: Path
) -> None:
    database.execute(LARGE)
    policy = policy_for(tmp_path, database.url, "3 s", max_wal_rate="1 MB")
    stop = threading.Event()

    def write() -> None:
        with psycopg.connect(database.url, autocommit=True) as connection:
            while not stop.wait(0.02):
                connection.execute(
                    "SELECT pg_logical_emit_message(false, 'x', repeat('x', 500000))"
                )

    writer = threading.Thread(target=write)
    writer.start()
    try:
        found = is_given_up(apply(policy), "wal_rate")
    finally:
        stop.set()
        writer.join()
    assert min(f.data["bytes_per_s"] for f in found) > 2**20
    assert all_done(apply(policy))


@pytest.mark.pg("== 18")
def test_what_our_role_may_not_see_is_told_and_is_no_zero(
    database: Database, tmp_path: Path, owner_role: Role, limited_role: Role
) -> None:
    database.execute(LARGE)
    database.give_to(owner_role)
    others = [database.connect(limited_role) for _ in range(2)]
    url = database.url_of(owner_role)
    free = {"free_disk": "100 MB"}  # more than the index needs, since it is unknown too

    strict = policy_for(tmp_path, url, max_active_sessions=1, **free)
    found = is_given_up(apply(strict), "load_unknown")
    assert {f.data["not_seen"] for f in found} == {"sessions"}

    report = apply(policy_for(tmp_path, url, **free))
    assert all_done(report)
    not_seen = [result.detail.get("not_seen") for result in report.results]
    assert not_seen == [["sessions", "transactions"]] * 2
    assert not any(other.closed for other in others)


@pytest.mark.pg("== 18")
def test_load_that_the_server_does_not_tell_stops_only_builds_with_limits_of_the_policy(
    database: Database, tmp_path: Path, owner_role: Role
) -> None:
    database.execute(LARGE)
    database.give_to(owner_role)
    database.execute("REVOKE EXECUTE ON FUNCTION pg_current_wal_lsn() FROM PUBLIC")
    url = database.url_of(owner_role)

    strict = policy_for(tmp_path, url, free_disk="100 MB", max_replica_lag="1 GB")
    found = is_given_up(apply(strict), "load_unknown")
    assert {f.data["not_seen"] for f in found} == {"load"}

    report = apply(policy_for(tmp_path, url, free_disk="100 MB"))
    assert all_done(report)
    assert [result.detail.get("not_seen") for result in report.results] == [["load"]] * 2


class Cluster(NamedTuple):
    primary: PostgresServer
    standby: PostgresServer


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with server_folder() as folder:
        settings = {"wal_level": "logical"}
        binaries = embedded_binaries(18)
        primary = PostgresServer(binaries, folder / "primary", fsync=False, settings=settings)
        primary.start()
        standby = make_replica(primary, folder / "standby", binaries)
        yield Cluster(primary, standby)
        standby.remove()
        primary.remove()


def run(server: PostgresServer, sql: str) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(sql.encode())


def test_build_is_given_up_while_a_replica_is_behind(cluster: Cluster, tmp_path: Path) -> None:
    policy = policy_for(tmp_path, cluster.primary.url(), max_replica_lag="1 MB")
    until(lambda: caught_up(cluster.primary, cluster.standby))
    run(cluster.standby, "SELECT pg_wal_replay_pause()")
    run(cluster.primary, LARGE)
    found = is_given_up(apply(policy), "replica_lag")
    assert {f.data["replica"] for f in found} == {"walreceiver"}
    assert min(f.data["lag_bytes"] for f in found) > 2**20

    run(cluster.standby, "SELECT pg_wal_replay_resume()")
    until(lambda: caught_up(cluster.primary, cluster.standby))
    assert all_done(apply(policy))


@pytest.mark.pg("== 18")
def test_build_is_given_up_beside_a_base_backup(
    database: Database, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    database.execute(LARGE)
    policy = policy_for(tmp_path, database.url)
    with base_backup(database, tmp_path_factory.mktemp("backup")):
        found = is_given_up(apply(policy), "base_backup")
    assert all(f.data["pid"] for f in found)
    until(lambda: not database.execute("SELECT FROM pg_stat_progress_basebackup"))
    assert all_done(apply(policy))


@contextmanager
def base_backup(database: Database, folder: Path) -> Generator[None]:
    """A base backup that takes very long."""
    server = database.server
    account = server_account()
    if account:
        account.own(folder)
    with subprocess.Popen(
        [
            server.binaries / "pg_basebackup",
            f"--dbname={server.url()}",
            "--pgdata=-",
            "--format=tar",
            "--wal-method=none",
            "--checkpoint=fast",
            "--max-rate=32k",
            "--no-sync",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user=account.uid if account else None,
        group=account.gid if account else None,
    ) as process:
        try:
            until(lambda: bool(database.execute("SELECT 1 FROM pg_stat_progress_basebackup")))
            yield
        finally:
            process.kill()
