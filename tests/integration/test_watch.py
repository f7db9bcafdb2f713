"""The watch on real servers: what a sample sees, what it can't see, what it keeps and resolves."""

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from maintenance.cli.commands import cli
from maintenance.demo.postgres import PostgresServer, embedded_binaries
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.target import Target
from maintenance.errors import UnreachableError
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.watch import take_sample, watch
from maintenance.pipeline.watch_report import WatchReport
from maintenance.policy import Policy, WorkloadPolicy
from maintenance.server.session import fetch_together
from maintenance.subjects.workload.models import WatchSample, WorkloadSnapshot
from maintenance.subjects.workload.sample import read_sample
from maintenance.subjects.workload.sample_history import (
    keeping,
    peaks,
    pool_peak,
    samples_since,
)
from tests.builders import Database, Role, server_folder
from tests.caches import cache_server, client_of, program_of
from tests.policies import make_policy
from tests.receivers import Receiver
from tests.replicas import make_replica
from tests.sessions import until

DEAD = "postgresql://nobody@127.0.0.1:9/gone"
only_18 = pytest.mark.pg("== 18")


def a_policy(folder: Path, url: str, **sections: Any) -> Policy:
    return make_policy(folder, url, **sections)


def seen(policy: Policy, **section: Any) -> WorkloadSnapshot:
    limits = WorkloadPolicy.model_validate(section)
    with Target(policy).glance("test") as connection:
        return read_sample(connection, limits, timedelta(seconds=5))


def kinds(report: WatchReport) -> list[str]:
    return [each.kind.value for each in report.findings if each.severity is not Severity.INFO]


def of(report: WatchReport, kind: FindingKind) -> Finding:
    (finding,) = [each for each in report.findings if each.kind is kind]
    return finding


@pytest.fixture
def waiting(database: Database) -> Iterator[list[int]]:
    """Three sessions in a row: the first has a lock, the second waits for it, the third behind."""
    database.execute("CREATE TABLE public.t (n int)")
    names = ("the root", "the migration", "the reader")
    sessions = [database.connect(autocommit=False, application_name=name) for name in names]
    sessions[0].execute("SELECT * FROM public.t")
    threads: list[threading.Thread] = []
    for session, statement in zip(
        sessions[1:], ("ALTER TABLE public.t ADD m int", "SELECT * FROM public.t"), strict=True
    ):
        threads.append(threading.Thread(target=session.execute, args=(statement.encode(),)))
        threads[-1].start()
        until(lambda: waits(database) == len(threads))
    yield [session.info.backend_pid for session in sessions]
    sessions[0].rollback()
    threads[0].join()
    sessions[1].rollback()
    threads[1].join()


def waits(database: Database) -> int:
    count = "SELECT count(*) FROM pg_locks WHERE NOT granted AND waitstart IS NOT NULL"
    return database.execute(count)[0][0]


def test_sample_names_who_blocks_whom(
    database: Database, waiting: list[int], tmp_path: Path
) -> None:
    tree = seen(a_policy(tmp_path, database.url)).locks
    assert tree.n_waiting == 2
    by_pid = {node.pid: node for node in tree.nodes}
    root, migration, reader = (by_pid[pid] for pid in waiting)
    assert (root.application, root.state, root.wait_s) == ("the root", "idle in transaction", None)
    assert migration.blockers == (root.pid,)
    assert migration.lock == "AccessExclusiveLock on public.t"
    assert migration.pid in reader.blockers
    assert (reader.wait_s or 0) < (migration.wait_s or 0)


def test_statements_at_work_are_seen_by_their_first_word(
    database: Database, tmp_path: Path
) -> None:
    text = "/* the 'hush' */ -- hush\n ( SELECT 'hush-4711', pg_sleep(20) )"
    worker = database.connect(autocommit=True, application_name="report")
    thread = threading.Thread(target=_quietly, args=(worker, text))
    thread.start()
    policy = a_policy(tmp_path, database.url)
    try:
        until(
            lambda: any(s.application == "report" for s in seen(policy, slow_query="1 ms").running)
        )
        found = seen(policy, slow_query="1 ms").running
    finally:
        worker.cancel()
        thread.join()
    (statement,) = [each for each in found if each.application == "report"]
    assert statement.command == "SELECT"
    assert "hush" not in str(found)


def _quietly(session: psycopg.Connection[Any], text: str) -> None:
    with suppress(psycopg.errors.QueryCanceled):
        session.execute(text.encode())


def test_pool_that_is_full_is_seen_by_a_superuser_and_refuses_another_role(
    database: Database, limited_role: Role, tmp_path: Path
) -> None:
    database.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT 3")
    policy = a_policy(tmp_path, database.url)
    for _ in range(3):
        database.connect()
    report = take_sample(policy)
    assert of(report, FindingKind.CONNECTIONS_SATURATED).severity is Severity.ERROR
    assert report.sample is not None
    assert (report.sample.n_usable, report.sample.pool >= 1) == (3, True)

    refused = take_sample(a_policy(tmp_path, database.url_of(limited_role)))
    assert refused.sample is None
    assert isinstance(refused.error, UnreachableError)
    assert sorted(kinds(refused)) == ["connections_saturated", "database_unreachable"]
    assert of(refused, FindingKind.DATABASE_UNREACHABLE).value == "too_many_connections"


def test_role_without_pg_monitor_sees_waits_and_takes_the_rest_for_unknown(
    database: Database, limited_role: Role, waiting: list[int], tmp_path: Path
) -> None:
    limits = {"idle_in_transaction": "0 seconds", "long_transaction": "0 seconds"}
    open_ = take_sample(a_policy(tmp_path, database.url, workload=limits))
    assert "idle_in_transaction" in kinds(open_)

    report = take_sample(a_policy(tmp_path, database.url_of(limited_role), workload=limits))
    assert kinds(report) == ["privilege_missing"]
    assert report.sample is not None
    assert report.sample.n_waiting == 2
    assert report.sample.n_connections > 0
    unknown = ("n_active", "n_idle_in_transaction", "oldest_transaction_s", "n_slow")
    assert [getattr(report.sample, name) for name in unknown] == [None] * 4
    missing = of(report, FindingKind.PRIVILEGE_MISSING)
    assert missing.leaves_open(FindingKind.IDLE_IN_TRANSACTION, "app")
    assert missing.leaves_open(FindingKind.QUERY_SLOW, "app/running")
    assert not missing.leaves_open(FindingKind.QUERY_SLOW, "app/query/4711")
    assert not missing.leaves_open(FindingKind.CONNECTIONS_SATURATED, "app")


def test_slot_that_holds_wal_is_raised_and_resolved_by_the_same_object(
    database: Database, receiver: Receiver, tmp_path: Path
) -> None:
    policy = a_policy(
        tmp_path,
        database.url,
        workload={"replication_lag": "100 kB"},
        alerts={"sinks": [receiver.webhook()]},
    )
    slot = f"slot_{database.name}"
    database.execute("SELECT pg_create_physical_replication_slot(%s, true)", [slot])
    try:
        database.execute("CREATE TABLE public.t AS SELECT generate_series(1, 20000)")
        report = watch(policy)
        assert of(report, FindingKind.REPLICATION_LAG).object == f"app/slot/{slot}"
        assert report.sample is not None
        assert (report.sample.slot_bytes or 0) > 100_000
    finally:
        database.execute("SELECT pg_drop_replication_slot(%s)", [slot])
    watch(policy)
    watch(policy)
    told = [(e["state"], e["object"]) for e in receiver.events() if e["kind"] == "replication_lag"]
    assert told == [("raised", f"app/slot/{slot}"), ("resolved", f"app/slot/{slot}")]


@only_18
def test_database_that_refuses_is_told_once_although_the_store_lies_in_it(
    database: Database, owner_role: Role, receiver: Receiver, tmp_path: Path
) -> None:
    database.give_to(owner_role)
    alerts = {"sinks": [receiver.webhook()]}
    policy = a_policy(tmp_path, database.url_of(owner_role), alerts=alerts)
    watch(policy)
    before = len(receiver.events())
    database.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT 3")
    sessions = [database.connect() for _ in range(3)]
    for _ in range(3):
        watch(policy)
    for session in sessions:
        session.close()
    with database.connect() as counting:
        until(lambda: ours(counting) == 1)
    for _ in range(3):
        watch(policy)
    told = [(each["state"], each["kind"]) for each in receiver.events()[before:]]
    kinds_told = ("connections_saturated", "database_unreachable")
    wanted = [(state, kind) for state in ("raised", "resolved") for kind in kinds_told]
    assert sorted(told) == sorted(wanted)


@only_18
def test_reading_that_is_refused_leaves_the_others(database: Database, tmp_path: Path) -> None:
    """A view of the catalog that the role may not read stands for any failure of one statement."""
    policy = a_policy(tmp_path, database.url)
    holder = database.connect(autocommit=False)
    holder.execute("SELECT 1")
    with Target(policy).glance("test") as connection:
        connection.execute("CREATE ROLE watcher")
        connection.execute("GRANT pg_monitor TO watcher")
        connection.execute("REVOKE SELECT ON pg_catalog.pg_locks FROM public")
        try:
            connection.execute("SET ROLE watcher")
            load = read_sample(connection, WorkloadPolicy(), timedelta(seconds=5))
        finally:
            connection.execute("RESET ROLE")
            connection.execute("GRANT SELECT ON pg_catalog.pg_locks TO public")
            connection.execute("DROP ROLE watcher")
    assert list(load.blind) == ["locks"]
    assert load.sessions
    holder.rollback()


@only_18
def test_alert_of_a_replica_or_of_an_ended_statement_is_not_resolved(
    database: Database, tmp_path: Path
) -> None:
    report = take_sample(a_policy(tmp_path, database.url))
    (workload,) = [each for each in report.finding_sets if each.subjects == frozenset({"workload"})]
    observed = workload.objects or {}
    assert workload.kinds == observed.keys()
    assert observed[FindingKind.QUERY_SLOW] == ["app/running"]
    assert observed[FindingKind.CONNECTIONS_SATURATED] == ["app"]


@only_18
def test_alert_is_raised_once_kept_while_near_and_resolved_once(
    database: Database, receiver: Receiver, tmp_path: Path
) -> None:
    """The pool varies between 11 of 20, above the limit, and 10, which is still near it."""
    database.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT 20")
    alerts = {"sinks": [receiver.webhook()]}
    policy = a_policy(tmp_path, database.url, workload={"connections": 0.5}, alerts=alerts)
    watch(policy)  # makes the store
    # One counts and stays: a session that has just been closed may count for a moment.
    counting, *sessions = [database.connect() for _ in range(9)]

    def settle(n_sessions: int) -> None:
        until(lambda: ours(counting) == n_sessions)

    def severity() -> Severity:
        return of(watch(policy), FindingKind.CONNECTIONS_SATURATED).severity

    for _ in range(3):
        settle(9)
        with database.connect():
            assert severity() is Severity.WARN
        settle(9)
        assert severity() is Severity.INFO
    for session in sessions:
        session.close()
    settle(1)
    assert not watch(policy).is_quiet
    assert watch(policy).is_quiet
    told = [(each["state"], each["kind"]) for each in receiver.events()]
    assert told == [("raised", "connections_saturated"), ("resolved", "connections_saturated")]


def ours(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND backend_type = 'client backend'"
    ).fetchone()
    assert row is not None
    return row[0]


@only_18
def test_sample_is_kept_once_there_is_a_store_and_a_partition(
    database: Database, tmp_path: Path
) -> None:
    policy = a_policy(tmp_path, database.url)
    first = watch(policy)
    assert first.not_kept
    assert watch(policy).not_kept, "no run has made a partition yet"
    pipeline.apply(policy)
    kept = watch(policy)
    assert (kept.not_kept, kept.is_quiet) == ("", True)
    with Target(policy).store() as store:
        (sample,) = samples_since(store, "app", kept.now - timedelta(minutes=1))
        peak = pool_peak(store, "app", kept.now - timedelta(minutes=1))
    assert kept.sample is not None
    assert (sample.n_connections, sample.taken_at) == (kept.sample.n_connections, kept.now)
    assert peak is not None
    assert peak.share == sample.pool


@only_18
def test_samples_older_than_a_day_become_one_for_ten_minutes_with_the_peaks(
    database: Database, tmp_path: Path
) -> None:
    policy = a_policy(tmp_path, database.url)
    start = datetime(2026, 11, 17, 12, tzinfo=UTC)
    pipeline.apply(policy, now=start)
    samples = [
        WatchSample(start + timedelta(minutes=n), 10 + n % 7, 97, n_waiting=n % 10, n_slow=None)
        for n in range(40)
    ]
    with Target(policy).store() as store:
        for sample in samples:
            fetch_together(store, keeping("app", sample))
        later = samples[-1]._replace(taken_at=start + timedelta(days=1, minutes=25))
        fetch_together(store, keeping("app", later))
        fetch_together(store, keeping("other", later))
        kept = samples_since(store, "app", start)
        peak, all_peaks = pool_peak(store, "app", start), peaks(store, "app", start)
    assert len(kept) == 2 + 20 + 1
    assert [each.n_connections for each in kept[:2]] == [16, 16]
    assert [each.n_waiting for each in kept[:2]] == [9, 9]
    assert kept[0].taken_at == start + timedelta(minutes=6), "the moment of the peak"
    assert kept[2] == samples[20]
    assert peak is not None
    assert peak.n_connections == 16
    assert (all_peaks.n_samples, all_peaks.n_waiting, all_peaks.n_slow) == (23, 9, None)


@only_18
def test_redis_and_the_database_do_not_spoil_each_other(database: Database, tmp_path: Path) -> None:
    with cache_server(program_of("embedded"), tmp_path / "redis") as cache:
        gone = take_sample(a_policy(tmp_path, DEAD, redis={"url": cache.url}))
        assert gone.facts is not None
        assert kinds(gone) == ["database_unreachable"]
        policy = a_policy(tmp_path, database.url, redis={"url": cache.url})
        pipeline.apply(policy)
        now = datetime.now(UTC)
        first = take_sample(policy, now=now - timedelta(minutes=11))
        assert first.sample is not None
        with client_of(cache).pipeline(transaction=False) as asked:
            for _ in range(1500):
                asked.get("missing")
            asked.execute()
        second = take_sample(policy, now=now)
    assert of(second, FindingKind.REDIS_HIT_RATE_LOW).value == 0
    assert second.sample is not None
    assert (second.sample.redis_memory_bytes or 0) > 0
    down = take_sample(policy)
    assert kinds(down) == ["redis_unreachable"]
    assert (down.not_kept, down.facts) == ("", None)


@only_18
def test_standby_in_place_of_the_primary_is_told_and_still_sampled(tmp_path: Path) -> None:
    with server_folder() as folder:
        primary = PostgresServer(embedded_binaries(18), folder / "primary", fsync=False)
        primary.start()
        standby = make_replica(primary, folder / "standby", embedded_binaries(18))
        try:
            report = take_sample(a_policy(tmp_path, standby.url()))
        finally:
            standby.remove()
            primary.remove()
    assert of(report, FindingKind.DATABASE_UNREACHABLE).value == "standby"
    assert kinds(report) == ["database_unreachable"]
    assert report.sample is not None
    assert (report.sample.slot_bytes, report.sample.n_connections > 0) == (None, True)
    assert report.not_kept


@only_18
def test_command_line_takes_one_sample_and_alerts(database: Database, tmp_path: Path) -> None:
    limits = {"idle_in_transaction": "0 seconds"}
    path = a_policy(tmp_path, database.url, workload=limits).path
    holder = database.connect(autocommit=False)
    holder.execute("SELECT 1")
    result = CliRunner().invoke(cli, ["watch", "--policy", str(path), "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["sample"]["n_idle_in_transaction"] >= 1
    assert [each["kind"] for each in document["findings"]] == ["idle_in_transaction"]
    assert document["alerts"] == 1
    holder.rollback()
    shown = CliRunner().invoke(cli, ["watch", "--policy", str(path)])
    assert shown.exit_code == 0
    assert "connections" in shown.stdout
