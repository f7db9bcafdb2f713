"""Take a sample of what may change in a minute, in one round trip."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from maintenance.engine.findings import Reading
from maintenance.policy.thresholds import WorkloadPolicy
from maintenance.server.session import (
    Connection,
    Question,
    fetch,
    fetch_together,
    read_transaction,
    to_error,
)
from maintenance.subjects.workload.models import (
    Statements,
    WatchSample,
    WorkloadSnapshot,
)
from maintenance.subjects.workload.observe import Observations
from maintenance.subjects.workload.running_findings import of_applications
from maintenance.subjects.workload.watch_rows import (
    as_lock_tree,
    as_replicas,
    as_running,
    as_server,
    as_sessions,
    as_wraparound,
)

_SERVER: Question = ("workload", "read_server", None)
_STATEMENTS = {
    Reading.SESSIONS: "list_sessions",
    Reading.LOCKS: "list_blocked",
    Reading.RUNNING: "list_running",
    Reading.WRAPAROUND: "list_wraparound",
    Reading.REPLICATION: "list_replication",
}


def read_sample(
    connection: Connection, section: WorkloadPolicy, time_cap: timedelta
) -> WorkloadSnapshot:
    """Read what may change in a minute; what the server refuses is in `blind`, with the reason.

    Raises:
        UnreachableError: the connection was lost.
        MaintenanceError: not even the connections could be read.
    """
    questions = _questions(section)
    try:
        (server,), *found = fetch_together(connection, [_SERVER, *questions.values()])
        return _snapshot(server, dict(zip(questions, found, strict=True)), {})
    except psycopg.Error as exc:
        if connection.closed or connection.broken:
            raise to_error(exc, "taking a sample") from exc
    # One of them failed, and took the others with it.
    return _one_by_one(connection, questions, time_cap)


def _questions(section: WorkloadPolicy) -> dict[Reading, Question]:
    parameters: dict[Reading, Mapping[str, Any]] = {
        Reading.SESSIONS: {"least_s": 0.0},
        Reading.RUNNING: {"least_s": section.slow_query.total_seconds()},
    }
    return {what: ("workload", name, parameters.get(what)) for what, name in _STATEMENTS.items()}


def _one_by_one(
    connection: Connection, questions: Mapping[Reading, Question], time_cap: timedelta
) -> WorkloadSnapshot:
    with read_transaction(connection, time_cap, "observing the server"):
        (server,) = fetch(connection, *_SERVER)
    readings = Observations(connection, time_cap)
    nothing: list[Any] = []
    answers = {
        what: readings.see(what, _Ask(question), nothing) for what, question in questions.items()
    }
    return _snapshot(server, answers, readings.blind)


@dataclass(frozen=True, slots=True)
class _Ask:
    question: Question

    def __call__(self, connection: Connection) -> list[Any]:
        return fetch(connection, *self.question)


def _snapshot(
    server: Any, rows: Mapping[Reading, list[Any]], blind: Mapping[Reading, str]
) -> WorkloadSnapshot:
    return WorkloadSnapshot(
        server=as_server([server]),
        sessions=as_sessions(rows[Reading.SESSIONS]),
        locks=as_lock_tree(rows[Reading.LOCKS]),
        running=as_running(rows[Reading.RUNNING]),
        wraparound=as_wraparound(rows[Reading.WRAPAROUND]),
        replicas=as_replicas(rows[Reading.REPLICATION]),
        sizes=(),
        statements=Statements(None),
        blind=blind,
    )


def sample_of(load: WorkloadSnapshot, now: datetime) -> WatchSample:
    """Return the numbers of a sample; those that this role may not see are unknown."""
    server = load.server
    taken, usable = server.pool
    is_hidden = server.n_hidden > 0
    activity = not is_hidden and "sessions" not in load.blind
    statements = not is_hidden and "running statements" not in load.blind
    locks, replication = "locks" not in load.blind, "replication" not in load.blind
    running = of_applications(load.running)
    slots = [each.lag_bytes for each in load.replicas if each.what == "slot"]
    standbys = [each.lag_bytes for each in load.replicas if each.what == "standby"]
    return WatchSample(
        taken_at=now,
        n_connections=taken,
        n_usable=usable,
        n_active=None if is_hidden else server.n_active,
        n_idle=None if is_hidden else server.n_idle,
        n_idle_in_transaction=None if is_hidden else server.n_idle_in_transaction,
        n_waiting=load.locks.n_waiting if locks else None,
        longest_wait_s=_most(node.wait_s for node in load.locks.nodes) if locks else None,
        oldest_transaction_s=_most(s.transaction_s for s in load.sessions) if activity else None,
        longest_idle_s=_most(s.idle_s for s in load.sessions) if activity else None,
        n_slow=len(running) if statements else None,
        longest_statement_s=_most(each.statement_s for each in running) if statements else None,
        slot_bytes=round(_most(slots)) if replication and not server.in_recovery else None,
        standby_lag_bytes=round(_most(standbys)) if replication and not is_hidden else None,
        wraparound=max(
            (max(w.xid_age, w.multixact_age) / 2**31 for w in load.wraparound), default=None
        ),
    )


def _most(values: Iterable[float | None]) -> float:
    return max((value for value in values if value is not None), default=0.0)
