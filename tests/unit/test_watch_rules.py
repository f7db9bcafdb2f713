"""The rules of the watch: blocked sessions, statements at work, the band, what is unknown. Pure."""

from dataclasses import replace
from typing import Any

import pytest

from maintenance.alerts.models import Alert, FindingSet, Identity
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.policy import WorkloadPolicy
from maintenance.subjects.workload.lock_findings import blocked_findings
from maintenance.subjects.workload.models import (
    LockNode,
    LockTree,
    Replica,
    Running,
    Server,
    Session,
    Statements,
    WorkloadSnapshot,
    Wraparound,
)
from maintenance.subjects.workload.running_findings import running_findings
from maintenance.subjects.workload.sample import sample_of
from maintenance.subjects.workload.sample_findings import observed_objects, sample_findings
from maintenance.subjects.workload.server_findings import server_findings
from tests.snapshots import NOW

SECTION = WorkloadPolicy()
SERVER = Server(100, 3, 10, 2, 5, 3, 0, 10**6, 0, 100, 0, "epoch", True, True)
ROOT = LockNode(1, "app", "app", "web", "local", "idle in transaction", 400.0, (), None, None)


def waiting(pid: int, wait_s: float, *blockers: int, application: str = "web") -> LockNode:
    lock = "AccessExclusiveLock on public.t"
    return LockNode(pid, "app", "app", application, "local", "active", 9.0, blockers, wait_s, lock)


def running(seconds: float, command: str | None = "SELECT", **changes: Any) -> Running:
    statement = Running(7, "app", "app", "web", "local", command, None, seconds)
    return statement._replace(**changes)


def a_load(**changes: Any) -> WorkloadSnapshot:
    server = SERVER._replace(**{k: changes.pop(k) for k in list(changes) if k in Server._fields})
    return replace(WorkloadSnapshot(server, (), (), (), (), Statements(None)), **changes)


def found(**changes: Any) -> list[Finding]:
    return list(sample_findings("app", SECTION, a_load(**changes)))


# Blocked sessions


@pytest.mark.parametrize(
    ("wait_s", "n_waiting", "severity"),
    [(31, 1, Severity.WARN), (301, 1, Severity.ERROR), (31, 11, Severity.ERROR)],
)
def test_blocked_sessions_are_worse_the_longer_and_the_more_they_are(
    wait_s: float, n_waiting: int, severity: Severity
) -> None:
    tree = LockTree((ROOT, waiting(2, wait_s, 1)), n_waiting)
    (finding,) = blocked_findings("app", tree)
    assert (finding.kind, finding.severity) == (FindingKind.SESSIONS_BLOCKED, severity)
    assert (finding.object, finding.value, finding.threshold) == ("app", wait_s, 30)


def test_lock_tree_is_in_the_data_with_its_roots() -> None:
    tree = LockTree((ROOT, waiting(2, 40, 1), waiting(3, 35, 1, 2)), 2)
    (finding,) = blocked_findings("app", tree)
    assert [each["pid"] for each in finding.data["blockers"]] == [1]
    assert [(n["pid"], n["blockers"]) for n in finding.data["blocked"]] == [(2, [1]), (3, [1, 2])]
    assert "pid 1" in finding.message


def test_blocker_without_a_session_is_a_prepared_transaction() -> None:
    nobody = LockNode(0, None, None, None, None, None, None, (), None, None)
    (finding,) = blocked_findings("app", LockTree((nobody, waiting(2, 40, 0)), 1))
    assert "prepared transaction" in finding.message


@pytest.mark.parametrize(
    "node", [waiting(2, 30, 1), waiting(2, 4000, 1, application="maintenance apply app")]
)
def test_short_wait_and_one_of_ours_are_no_finding(node: LockNode) -> None:
    assert list(blocked_findings("app", LockTree((ROOT, node), 1))) == []


# Statements at work


def test_statements_at_work_are_one_finding() -> None:
    (finding,) = running_findings("app", SECTION, [running(31), running(40), running(29)])
    assert (finding.kind, finding.object) == (FindingKind.QUERY_SLOW, "app/running")
    assert (finding.value, finding.threshold) == (40_000, 30_000)
    assert [each["statement_s"] for each in finding.data["statements"]] == [40, 31]


def test_limit_of_the_policy_counts_where_it_is_longer() -> None:
    section = WorkloadPolicy.model_validate({"slow_query": "2 minutes"})
    assert list(running_findings("app", section, [running(119)])) == []
    (finding,) = running_findings("app", section, [running(121)])
    assert finding.threshold == 120_000


@pytest.mark.parametrize(
    "statement",
    [
        *(running(900, command) for command in ("COPY", "VACUUM", "ANALYZE", "REINDEX", "CLUSTER")),
        running(900, "CREATE INDEX"),
        running(900, "CREATE UNIQUE INDEX"),
        running(900, application="maintenance apply app"),
        running(900, application="pg_dump"),
        running(900, application="pgBackRest [backup]"),
        running(900, wait="Lock"),
    ],
)
def test_upkeep_backups_and_waits_for_locks_are_not_slow_statements(statement: Running) -> None:
    assert list(running_findings("app", SECTION, [statement])) == []


def test_statement_whose_first_word_is_unknown_counts() -> None:
    assert len(list(running_findings("app", SECTION, [running(900, None)]))) == 1


# Slots


@pytest.mark.parametrize(
    ("state", "severity"),
    [
        ("not in use, extended", Severity.WARN),
        ("not in use, unreserved", Severity.ERROR),
        ("not in use, lost", Severity.ERROR),
    ],
)
def test_slot_that_loses_its_wal_is_an_error(state: str, severity: Severity) -> None:
    (finding,) = found(replicas=(Replica("slot", "b", state, 2**30, None),))
    assert (finding.kind, finding.severity) == (FindingKind.REPLICATION_LAG, severity)


# The band, and what both observations find


IDLE = Session(7, "session", "app", "app", "web", "local", "idle in transaction", 9e3, 9e3, True)
ALL_BAD: dict[str, Any] = {
    "n_connections": 97,
    "sessions": (IDLE,),
    "locks": LockTree((ROOT, waiting(2, 40, 1)), 1),
    "running": (running(40),),
    "wraparound": (Wraparound("app", True, 2**31 // 10 * 6, 0, 1),),
    "replicas": (Replica("slot", "b", "not in use, extended", 2**30, None),),
}


def test_sample_and_nightly_observation_find_the_same() -> None:
    nightly = list(server_findings("app", SECTION, a_load(**ALL_BAD), NOW))
    assert found(**ALL_BAD) == nightly
    assert len(nightly) == 7
    assert {finding.kind for finding in nightly} <= observed_objects("app", a_load()).keys()


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"n_connections": 85}, FindingKind.CONNECTIONS_SATURATED),
        ({"locks": LockTree((ROOT, waiting(2, 28, 1)), 1)}, FindingKind.SESSIONS_BLOCKED),
        ({"running": (running(28),)}, FindingKind.QUERY_SLOW),
        (
            {"replicas": (Replica("slot", "b", "not in use", 95 * 2**20, None),)},
            FindingKind.REPLICATION_LAG,
        ),
        (
            {"sessions": (IDLE._replace(idle_s=850.0, transaction_s=850.0),)},
            FindingKind.IDLE_IN_TRANSACTION,
        ),
    ],
)
def test_value_near_its_limit_is_only_noted(changes: dict[str, Any], kind: FindingKind) -> None:
    (finding,) = found(**changes)
    assert (finding.kind, finding.severity) == (kind, Severity.INFO)
    assert isinstance(finding.value, int | float)
    assert isinstance(finding.threshold, int | float)
    assert 0.9 * finding.threshold <= finding.value <= finding.threshold


def test_quiet_server_has_no_finding() -> None:
    assert found(n_connections=70) == []


# Unknown


def test_what_this_role_may_not_see_is_unknown_in_the_sample() -> None:
    sample = sample_of(a_load(n_hidden=3, **ALL_BAD), NOW)
    assert (sample.n_connections, sample.n_waiting, sample.slot_bytes) == (97, 1, 2**30)
    hidden = (sample.n_active, sample.n_idle_in_transaction, sample.longest_idle_s, sample.n_slow)
    assert hidden == (None, None, None, None)


def test_reading_that_failed_is_unknown_and_said() -> None:
    load = a_load(blind={"locks": "it was refused", "replication": "it took too long"})
    sample = sample_of(load, NOW)
    assert (sample.n_waiting, sample.longest_wait_s, sample.slot_bytes) == (None, None, None)
    assert sample.n_slow == 0
    blind = list(sample_findings("app", SECTION, load))
    assert [each.object for each in blind] == ["app/workload/locks", "app/workload/replication"]
    assert blind[0].leaves_open(FindingKind.SESSIONS_BLOCKED, "app")


def alert(kind: FindingKind, name: str) -> Alert:
    return Alert(Identity("app", kind, name), Severity.WARN, "", NOW, subject="workload")


@pytest.mark.parametrize(
    ("kind", "name", "covered"),
    [
        (FindingKind.QUERY_SLOW, "app/running", True),
        (FindingKind.QUERY_SLOW, "app/query/4f2a", False),
        (FindingKind.QUERY_SLOW, "app", False),
        (FindingKind.CONNECTIONS_SATURATED, "app", True),
        (FindingKind.CONNECTIONS_SATURATED, "app/replica 1", False),
        (FindingKind.REPLICATION_LAG, "app/slot/b", True),
        (FindingKind.REPLICATION_LAG, "app/replica 1", False),
        (FindingKind.LONG_TRANSACTION, "app/slot/b", False),
        (FindingKind.DISK_GROWTH, "app", False),
    ],
)
def test_sample_resolves_what_it_observes_and_nothing_else(
    kind: FindingKind, name: str, covered: bool
) -> None:
    observed = observed_objects("app", a_load())
    look = FindingSet(
        "app", [], frozenset(observed), subjects=frozenset({"workload"}), objects=observed
    )
    assert look.covers(alert(kind, name)) is covered


def test_standby_says_nothing_about_slots_and_ids() -> None:
    observed = observed_objects("app", a_load(in_recovery=True))
    assert FindingKind.REPLICATION_LAG not in observed
    assert FindingKind.WRAPAROUND_RISK not in observed
