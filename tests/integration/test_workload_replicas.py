"""What replicas have to do, told with their names, also while one of them is down."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from maintenance.demo.postgres import PostgresServer, system_binaries
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.notify import notify
from maintenance.policy import Policy
from tests.builders import Database, server_folder
from tests.policies import make_policy
from tests.replicas import caught_up, make_replica
from tests.sessions import until

SETTINGS = {"shared_preload_libraries": "pg_stat_statements", "max_connections": "20"}
SECTION = {"slow_query": "50 ms", "mean_query": "10 hours", "disk_growth": {"free_disk": "1 MB"}}
REPLICA = "app/replica 1"


class Cluster(NamedTuple):
    primary: PostgresServer
    replica: PostgresServer

    def policy(self, folder: Path, **section: object) -> Policy:
        where = {"name": "app", "url": self.primary.url(), "replicas": [self.replica.url()]}
        return make_policy(
            folder, self.primary.url(), database=where, workload={**SECTION, **section}
        )

    def replay(self) -> None:
        until(lambda: caught_up(self.primary, self.replica))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A primary and its streaming replica, with pg_stat_statements on both."""
    binaries = system_binaries().get(15)
    if binaries is None:
        pytest.skip("PostgreSQL 15 is not installed")
    with server_folder() as folder:
        primary = PostgresServer(binaries, folder / "primary", fsync=False, settings=SETTINGS)
        primary.start()
        run(primary, "CREATE EXTENSION pg_stat_statements")
        replica = make_replica(primary, folder / "replica", binaries)
        yield Cluster(primary, replica)
        replica.remove()
        primary.remove()


def run(server: PostgresServer, sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


def found(policy: Policy) -> list[Finding]:
    return list(pipeline.apply(policy, only=["workload"]).findings)


def objects(findings: list[Finding], kind: FindingKind) -> list[str]:
    return [finding.object for finding in findings if finding.kind is kind]


def test_statements_of_a_replica_are_told_with_its_name(cluster: Cluster, tmp_path: Path) -> None:
    policy = cluster.policy(tmp_path)
    found(policy)
    cluster.replay()
    run(cluster.replica, "SELECT 'hush' AS on_the_replica, pg_sleep(0.2)")
    (slow,) = [f for f in found(policy) if f.kind is FindingKind.QUERY_SLOW]
    assert slow.object.startswith(f"{REPLICA}/query/")
    assert slow.message.startswith(REPLICA)
    assert "SELECT ? AS on_the_replica" in slow.data["text"]
    kept = run(
        cluster.primary,
        "SELECT server, sum(calls) FROM maintenance.query_performance_monitor"
        " WHERE text LIKE '%on_the_replica%' GROUP BY server",
    )
    assert kept == [("replica 1", 1)]


def test_connections_and_open_transactions_of_a_replica_are_its_own(
    cluster: Cluster, tmp_path: Path
) -> None:
    policy = cluster.policy(tmp_path, connections=0.3, idle_in_transaction="0 seconds")
    sessions = [psycopg.connect(cluster.replica.url()) for _ in range(6)]
    try:
        sessions[0].execute("SELECT 1")
        findings = found(policy)
    finally:
        for session in sessions:
            session.close()
    assert objects(findings, FindingKind.CONNECTIONS_SATURATED) == [REPLICA]
    assert objects(findings, FindingKind.IDLE_IN_TRANSACTION) == [REPLICA]


def test_replica_that_does_not_replay_lags(cluster: Cluster, tmp_path: Path) -> None:
    policy = cluster.policy(tmp_path, replication_lag="100 kB")
    run(cluster.replica, "SELECT pg_wal_replay_pause()")
    try:
        run(cluster.primary, "CREATE TABLE filler AS SELECT generate_series(1, 20000)")
        (lag,) = [f for f in found(policy) if f.object == REPLICA]
    finally:
        run(cluster.replica, "SELECT pg_wal_replay_resume()")
    assert lag.kind is FindingKind.REPLICATION_LAG
    assert isinstance(lag.value, int)
    assert lag.value > 100_000
    cluster.replay()


def test_replica_that_is_down_is_told_once_and_its_alerts_stay(
    cluster: Cluster, tmp_path: Path
) -> None:
    policy = cluster.policy(tmp_path, connections=0.3)
    now = datetime.now(UTC)

    def told(hours: int) -> list[tuple[str, str]]:
        events = notify(policy, now=now + timedelta(hours=hours)).events
        return [(e.turn.value, e.alert.identity.kind.value) for e in events]

    told(0)
    sessions = [psycopg.connect(cluster.replica.url()) for _ in range(6)]
    assert told(1) == [("raised", "connections_saturated")]
    for session in sessions:
        session.close()
    cluster.replica.stop()
    try:
        assert told(2) == [("raised", "monitor_blind")]
        findings = found(policy)
    finally:
        cluster.replica.start()
    assert objects(findings, FindingKind.MONITOR_BLIND) == [REPLICA]
    cluster.replay()
    ended = [("resolved", "connections_saturated"), ("resolved", "monitor_blind")]
    assert told(3) == ended, "the rest went on meanwhile, and now everything is seen"


def test_url_that_leads_to_the_primary_or_to_another_cluster_is_an_error_of_check_and_run(
    cluster: Cluster, database: Database, tmp_path: Path
) -> None:
    where = {
        "name": "app",
        "url": cluster.primary.url(),
        "replicas": [cluster.primary.url(), database.url, cluster.replica.url()],
    }
    policy = make_policy(
        tmp_path, cluster.primary.url(), database=where, workload=SECTION, indexes={}
    )
    both = [
        (kind, f"app/replica {number}", reason)
        for kind in (FindingKind.REPLICA_UNREACHABLE, FindingKind.MONITOR_BLIND)
        for number, reason in ((1, "not_a_standby"), (2, "another_database"))
    ]
    for report in (pipeline.check(policy), pipeline.apply(policy, only=["indexes", "workload"])):
        assert [
            (each.kind, each.object, each.data["reason"])
            for each in report.findings
            if each.severity is Severity.ERROR
        ] == both
        assert not report.ok
