"""How often indexes are used, by the counters of real servers."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from maintenance.demo.postgres import PostgresServer, embedded_binaries
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.target import Target
from maintenance.errors import UsageError
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.notify import notify
from maintenance.policy import Policy, load_policy
from maintenance.subjects.indexes import INDEXES
from maintenance.subjects.indexes.servers import read_usage
from tests.builders import ROOT, Database, server_folder
from tests.policies import make_policy
from tests.replicas import caught_up, make_replica
from tests.sessions import session, until

UNUSED, UNPROVEN = FindingKind.INDEX_UNUSED, FindingKind.INDEX_EVIDENCE_INSUFFICIENT
CAP = timedelta(seconds=20)
AFTER = timedelta(days=36)

SCHEMA = """
CREATE TABLE events (id int PRIMARY KEY, a int, b int);
INSERT INTO events SELECT n, n, n FROM generate_series(1, 60000) n;
CREATE INDEX events_a ON events (a);
CREATE INDEX events_b ON events (b);
VACUUM ANALYZE events
"""


def prepare(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in SCHEMA.split(";"):
            connection.execute(statement.encode())


def use(url: str, column: str) -> None:
    """Look one row up by an index, and hand the counters over: a session's end takes a while."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET enable_seqscan = off")
        found = connection.execute(f"SELECT id FROM events WHERE {column} = 77".encode())
        assert found.fetchall() == [(77,)]
        connection.execute("SELECT pg_stat_force_next_flush()")


def advice(policy: Policy, now: datetime) -> dict[FindingKind, list[Finding]]:
    findings: dict[FindingKind, list[Finding]] = {}
    for finding in pipeline.apply(policy, only=[INDEXES.name], now=now).findings:
        findings.setdefault(finding.kind, []).append(finding)
    return findings


def unused(findings: dict[FindingKind, list[Finding]]) -> list[str]:
    return [finding.object for finding in findings.get(UNUSED, [])]


def scans(url: str) -> dict[str, int]:
    with psycopg.connect(url, autocommit=True) as connection:
        return dict(
            connection.execute("SELECT indexrelname::text, idx_scan FROM pg_stat_user_indexes")
        )


# One server


@pytest.fixture
def policy(database: Database, tmp_path: Path) -> Policy:
    prepare(database.url)
    return make_policy(tmp_path, database.url, indexes={})


@pytest.fixture
def start() -> datetime:
    return datetime.now(UTC)


def test_index_is_called_unused_after_a_window_without_scans_and_not_before(
    database: Database, policy: Policy, start: datetime
) -> None:
    first = advice(policy, start)
    assert unused(first) == []
    (unproven,) = first[UNPROVEN]
    assert unproven.data["indexes"] == ["public.events_a", "public.events_b"]
    assert unproven.threshold == 35
    use(database.url, "a")
    until(lambda: scans(database.url)["events_a"] == 1)
    later = advice(policy, start + AFTER)
    assert unused(later) == ["public.events_b"]
    assert UNPROVEN not in later
    (finding,) = later[UNUSED]
    assert finding.value == 0
    assert finding.data["drop"] == "DROP INDEX CONCURRENTLY public.events_b"
    assert finding.data["restore"] == [
        "CREATE INDEX CONCURRENTLY events_b ON public.events USING btree (b)"
    ]
    assert finding.data["size_bytes"] > 2**20


@pytest.mark.pg("== 18")
def test_reset_of_the_counters_begins_the_window_anew(
    database: Database, policy: Policy, start: datetime
) -> None:
    advice(policy, start)
    database.execute("SELECT pg_stat_reset()")
    findings = advice(policy, start + AFTER)
    assert unused(findings) == []
    assert findings[UNPROVEN][0].data["reasons"] == {"primary": "counters_reset"}


@pytest.mark.pg("== 18")
def test_reset_of_one_counter_begins_the_window_anew(
    database: Database, policy: Policy, start: datetime
) -> None:
    use(database.url, "b")
    advice(policy, start)
    database.execute("SELECT pg_stat_reset_single_table_counters('events_b'::regclass)")
    assert unused(advice(policy, start + AFTER)) == []


@pytest.mark.pg("== 18")
def test_counter_that_runs_backwards_is_no_evidence(
    database: Database, policy: Policy, start: datetime
) -> None:
    advice(policy, start)
    database.execute("UPDATE maintenance.index_usage SET scans = ARRAY(SELECT 9 FROM unnest(oids))")
    assert unused(advice(policy, start + AFTER)) == []


@pytest.mark.pg("== 18")
def test_index_rebuilt_under_its_old_name_is_watched_anew(
    database: Database, policy: Policy, start: datetime
) -> None:
    advice(policy, start)
    database.execute("DROP INDEX events_b")
    database.execute("CREATE INDEX events_b ON events (b)")
    assert unused(advice(policy, start + AFTER)) == ["public.events_a"]


@pytest.mark.pg("== 18")
def test_looks_are_remembered_once_an_hour(
    database: Database, policy: Policy, start: datetime
) -> None:
    count = "SELECT count(*), sum(cardinality(oids)) FROM maintenance.index_usage"
    for minutes in (0, 10, 59, 61):
        advice(policy, start + timedelta(minutes=minutes))
    assert database.execute(count) == [(2, 6)]


@pytest.mark.pg("== 18")
def test_looking_alone_remembers_nothing(
    database: Database, policy: Policy, start: datetime
) -> None:
    advice(policy, start)
    pipeline.plan(policy, only=[INDEXES.name], now=start + AFTER)
    assert database.execute("SELECT count(*) FROM maintenance.index_usage") == [(1,)]


def test_crash_is_told_from_a_clean_restart(server: PostgresServer) -> None:
    """A server of its own would do, but every version of the suite is to be tried."""
    with server_folder() as folder:
        own = PostgresServer(server.binaries, folder / "crashing", fsync=False)
        try:
            own.start()
            epochs = [_epoch(own)]
            for immediate in (False, True):
                own.stop(immediate=immediate)
                own.start()
                epochs.append(_epoch(own))
        finally:
            own.remove()
    before, clean, crashed = epochs
    assert clean == before
    assert crashed != before


def _epoch(server: PostgresServer) -> object:
    with session(server.url()) as connection:
        return read_usage(connection, CAP).epoch


# A replica


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[PostgresServer, PostgresServer]]:
    """A primary and its streaming replica."""
    binaries = embedded_binaries(16)
    with server_folder() as folder:
        primary = PostgresServer(binaries, folder / "primary", fsync=False)
        primary.start()
        prepare(primary.url())
        replica = make_replica(primary, folder / "replica", binaries)
        yield primary, replica
        replica.remove()
        primary.remove()


def test_index_that_only_the_replica_uses_is_never_called_unused(
    cluster: tuple[PostgresServer, PostgresServer], tmp_path: Path, start: datetime
) -> None:
    primary, replica = cluster
    until(lambda: caught_up(primary, replica))
    both = make_policy(
        tmp_path,
        primary.url(),
        indexes={},
        name="both",
        database={"name": "both", "url": primary.url(), "replicas": [replica.url()]},
    )
    advice(both, start)
    use(replica.url(), "b")
    until(lambda: scans(replica.url())["events_b"] == 1)
    assert scans(primary.url())["events_b"] == 0
    # The replica began to count when it was made, which is no 35 days ago, but it was watched.
    assert unused(advice(both, start + AFTER)) == ["public.events_a"]
    alone = make_policy(tmp_path, primary.url(), indexes={}, name="alone")
    advice(alone, start)
    blinkered = unused(advice(alone, start + AFTER))
    assert blinkered == ["public.events_a", "public.events_b"], "without the replica it seems so"


def test_policy_of_the_learning_platform_reads_its_replica(
    cluster: tuple[PostgresServer, PostgresServer],
) -> None:
    """A missing variable is reported, and is no error: not every installation has a replica."""
    primary, replica = cluster
    policy = load_policy(ROOT / "policies/learning_platform.yaml")
    until(lambda: caught_up(primary, replica))
    variable = "DATABASE_READ_REPLICA_URL"

    def told(**replicas: str) -> set[tuple[FindingKind, Severity]]:
        target = Target(policy, {"LEARNING_PLATFORM_URL": primary.url(), **replicas})
        found = pipeline.plan(target, only=["indexes", "workload"]).findings
        return {(f.kind, f.severity) for f in found if variable in f.object}

    assert told(**{variable: replica.url()}) == set()
    assert told() == {
        (FindingKind.REPLICA_UNREACHABLE, Severity.WARN),
        (FindingKind.MONITOR_BLIND, Severity.WARN),
    }


def test_replica_that_is_down_lets_nothing_be_called_unused(
    cluster: tuple[PostgresServer, PostgresServer], tmp_path: Path, start: datetime
) -> None:
    primary, _ = cluster
    nowhere = "postgresql://nobody@127.0.0.1:9/postgres"
    lost = make_policy(
        tmp_path,
        primary.url(),
        indexes={},
        database={"name": "lost", "url": primary.url(), "replicas": [nowhere]},
    )
    advice(lost, start)
    findings = advice(lost, start + AFTER)
    assert unused(findings) == []
    (unreachable,) = findings[FindingKind.REPLICA_UNREACHABLE]
    assert unreachable.object == "lost/replica 1"
    assert UNPROVEN in findings


def test_alert_on_unused_index_outlasts_a_replica_that_is_down(
    cluster: tuple[PostgresServer, PostgresServer], tmp_path: Path, start: datetime
) -> None:
    primary, replica = cluster
    until(lambda: caught_up(primary, replica))
    policy = make_policy(
        tmp_path,
        primary.url(),
        indexes={},
        name="shaky",
        database={"name": "shaky", "url": primary.url(), "replicas": [replica.url()]},
    )

    def told(hours: int) -> list[tuple[str, str, str]]:
        events = notify(policy, now=start + AFTER + timedelta(hours=hours)).events
        found = ((e.turn.value, *e.alert.identity[1:]) for e in events)
        return [(turn, kind.value, name) for turn, kind, name in found if kind in watched]

    watched = {UNUSED, FindingKind.REPLICA_UNREACHABLE}
    advice(policy, start)
    use(replica.url(), "b")
    until(lambda: scans(replica.url())["events_b"] > 0)
    assert told(0) == [("raised", "index_unused", "public.events_a")]
    replica.stop()
    try:
        assert told(1) == [("raised", "replica_unreachable", "shaky/replica 1")]
    finally:
        replica.start()
    until(lambda: caught_up(primary, replica))
    assert told(2) == [("resolved", "replica_unreachable", "shaky/replica 1")]
    replica.stop()
    try:
        use(primary.url(), "a")
        until(lambda: scans(primary.url())["events_a"] > 0)
        gone = told(3)
    finally:
        replica.start()
    assert ("resolved", "index_unused", "public.events_a") in gone, "one that was used is known"


@pytest.mark.pg("== 18")
def test_server_of_another_cluster_is_no_replica(
    database: Database,
    cluster: tuple[PostgresServer, PostgresServer],
    tmp_path: Path,
    start: datetime,
) -> None:
    prepare(database.url)
    stranger = cluster[0].url()
    mixed = make_policy(
        tmp_path,
        database.url,
        indexes={},
        database={"name": "mixed", "url": database.url, "replicas": [stranger]},
    )
    (unreachable,) = advice(mixed, start)[FindingKind.REPLICA_UNREACHABLE]
    assert unreachable.data["reason"] == "another_database"


@pytest.mark.pg("== 18")
def test_replica_whose_variable_is_missing_is_a_finding_or_an_error_as_the_policy_says(
    database: Database, tmp_path: Path, start: datetime
) -> None:
    missing = {"name": "app", "url": database.url, "replicas": [{"env": "NO_SUCH_REPLICA_URL"}]}
    policy = make_policy(tmp_path, database.url, indexes={}, database=missing)
    (finding,) = advice(policy, start)[FindingKind.REPLICA_UNREACHABLE]
    assert finding.object == "app/NO_SUCH_REPLICA_URL"
    strict = make_policy(
        tmp_path, database.url, indexes={}, database={**missing, "optional_replicas": False}
    )
    with pytest.raises(UsageError, match="NO_SUCH_REPLICA_URL"):
        pipeline.plan(strict, only=[INDEXES.name])
