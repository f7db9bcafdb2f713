"""Findings on a server: connections, transactions, wraparound, replication, cache, disk."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.formatting import readable_size
from maintenance.policy.thresholds import WorkloadPolicy
from maintenance.subjects.workload.connection_findings import tls_findings
from maintenance.subjects.workload.growth_findings import growth_findings
from maintenance.subjects.workload.lock_findings import LEAST_WAIT_S, blocked_findings
from maintenance.subjects.workload.models import Replica, Session, WorkloadSnapshot
from maintenance.subjects.workload.running_findings import LEAST_RUNNING, running_findings
from maintenance.subjects.workload.vacuum_holders import held_back_by

LEAST_BLOCKS = 10_000
"""Fewest requested blocks between two observations for a meaningful hit rate."""
NEARLY_USED = 0.9
"""Above this fraction of the transaction ids, writes will soon be refused."""
SHOWN = 5


def server_findings(
    database: str, section: WorkloadPolicy, load: WorkloadSnapshot, now: datetime
) -> Iterator[Finding]:
    """Yield all findings on a server except those on statements that have ended."""
    yield from watched_findings(database, section, load)
    yield from tls_findings(database, section, load)
    yield from _hit_rate(database, section, load)
    yield from growth_findings(database, section, load, now)


def watched_findings(
    database: str, section: WorkloadPolicy, load: WorkloadSnapshot, share: float = 1.0
) -> Iterator[Finding]:
    """Yield the findings that need no history and may be over in a minute.

    The nightly observation and the watch share them, so that both raise and resolve the same.

    Args:
        database: begins the objects of the findings.
        section: the limits of the policy.
        load: what was observed.
        share: of the limits that are fixed, from which on to report.
    """
    yield from _connections(database, section, load)
    yield from _transactions(database, section, load.sessions)
    yield from blocked_findings(database, load.locks, LEAST_WAIT_S * share)
    yield from running_findings(database, section, load.running, LEAST_RUNNING * share)
    yield from _wraparound(database, section, load)
    yield from _replication(database, section, load)


def hit_rate(load: WorkloadSnapshot) -> float | None:
    """Return the buffer hit rate since the last observation; None if unknown."""
    if not load.looks or load.looks[-1].epoch != load.server.epoch:
        return None
    hit = load.server.blocks_hit - load.looks[-1].blocks_hit
    read = load.server.blocks_read - load.looks[-1].blocks_read
    if hit < 0 or read < 0 or hit + read < LEAST_BLOCKS:
        return None
    return hit / (hit + read)


def _connections(
    database: str, section: WorkloadPolicy, load: WorkloadSnapshot
) -> Iterator[Finding]:
    server = load.server
    taken, most = server.pool
    is_limited = server.is_limited
    what = "connections of the database's CONNECTION LIMIT" if is_limited else "usable connections"
    share = taken / most
    if share > section.connections:
        yield Finding(
            FindingKind.CONNECTIONS_SATURATED,
            Severity.ERROR if share >= 1 else Severity.WARN,
            database,
            f"{database}: {taken} of {most} {what} are in use"
            f" ({server.n_active} active, {server.n_idle} idle,"
            f" {server.n_idle_in_transaction} idle in transaction), wanted at most"
            f" {section.connections:.0%}; reduce the application's pools, or use a pooler",
            value=round(share, 3),
            threshold=section.connections,
            data={
                "taken": taken,
                "usable": most,
                "is_limited": is_limited,
                "max_connections": server.max_connections,
                "reserved": server.n_reserved,
                "connection_limit": server.connection_limit,
                "active": server.n_active,
                "idle": server.n_idle,
                "idle_in_transaction": server.n_idle_in_transaction,
                "other": server.n_other,
            },
        )


def _transactions(
    database: str, section: WorkloadPolicy, sessions: Sequence[Session]
) -> Iterator[Finding]:
    most_idle = section.idle_in_transaction.total_seconds()
    idle = [s for s in sessions if s.idle_s is not None and s.idle_s > most_idle]
    if idle:
        idle.sort(key=lambda session: -(session.idle_s or 0))
        yield _open(
            FindingKind.IDLE_IN_TRANSACTION,
            database,
            f"{len(idle)} sessions are idle in transaction",
            idle,
            idle[0].idle_s or 0.0,
            most_idle,
        )
    longest = section.long_transaction.total_seconds()
    long = [s for s in sessions if s.transaction_s > longest]
    if long:
        held = "; VACUUM can't remove rows visible to them" if long[0].holds_snapshot else ""
        yield _open(
            FindingKind.LONG_TRANSACTION,
            database,
            f"{len(long)} long-running transactions{held}",
            long,
            long[0].transaction_s,
            longest,
        )


def _open(
    kind: FindingKind,
    database: str,
    what: str,
    sessions: Sequence[Session],
    value: float,
    threshold: float,
) -> Finding:
    who = "; ".join(_who(session) for session in sessions[:SHOWN])
    return Finding(
        kind,
        Severity.WARN,
        database,
        f"{database}: {what}: {who}; wanted at most {threshold:.0f} s; end the transactions in the"
        " application, or end the session with pg_terminate_backend",
        value=round(value, 1),
        threshold=threshold,
        data={"sessions": [session._asdict() for session in sessions[:SHOWN]]},
    )


def _who(session: Session) -> str:
    name = session.what if session.pid is None else f"pid {session.pid}"
    application = session.application or "no application name"
    return (
        f"{name} ({session.role}, {application}, {session.client}) for"
        f" {session.transaction_s:.0f} s"
    )


def _wraparound(
    database: str, section: WorkloadPolicy, load: WorkloadSnapshot
) -> Iterator[Finding]:
    ages = [(max(w.xid_age, w.multixact_age), w) for w in load.wraparound]
    if not ages:
        return
    age, worst = max(ages, key=lambda pair: pair[0])
    share = age / 2**31
    if share > section.wraparound:
        held = held_back_by(load.holders)
        holders = f"; now {held}" if held else ""
        kind = "transaction" if age == worst.xid_age else "multixact"
        yield Finding(
            FindingKind.WRAPAROUND_RISK,
            Severity.ERROR if share > NEARLY_USED else Severity.WARN,
            database,
            f"{database}: database {worst.database} has used {share:.0%} of its {kind} ids, wanted"
            f" at most {section.wraparound:.0%}; at 100% the server refuses writes; end what holds"
            f" back VACUUM (old transactions, prepared transactions, slots{holders}), then VACUUM"
            " the oldest tables",
            value=round(share, 3),
            threshold=section.wraparound,
            data={**worst._asdict(), "holders": [each._asdict() for each in load.holders]},
        )


def _replication(
    database: str, section: WorkloadPolicy, load: WorkloadSnapshot
) -> Iterator[Finding]:
    for replica in load.replicas:
        broken = is_broken(replica)
        lag = replica.lag_bytes
        if not broken and (lag is None or lag <= section.replication_lag):
            continue
        behind = f"{readable_size(lag)} behind" if lag is not None else "behind the retained WAL"
        yield Finding(
            FindingKind.REPLICATION_LAG,
            Severity.ERROR if broken else Severity.WARN,
            f"{database}/{replica.what}/{replica.name}",
            f"{database}: {replica.what} {replica.name} ({replica.state}) is {behind}, wanted at"
            f" most {readable_size(section.replication_lag)}; a slot retains WAL until the disk is"
            " full; restart its consumer, or drop the slot if it is not needed",
            value=lag,
            threshold=section.replication_lag,
            data=replica._asdict(),
        )


def is_broken(replica: Replica) -> bool:
    """Whether a slot has lost WAL that its consumer needs, or loses it at the next checkpoint."""
    words = (replica.state or "").split(", ")
    return replica.what == "slot" and bool({"lost", "unreserved"} & set(words))


def _hit_rate(database: str, section: WorkloadPolicy, load: WorkloadSnapshot) -> Iterator[Finding]:
    rate = hit_rate(load)
    if rate is not None and rate < section.buffer_hit_rate:
        yield Finding(
            FindingKind.BUFFER_HIT_RATE_LOW,
            Severity.WARN,
            database,
            f"{database}: buffer hit rate {rate:.1%} since"
            f" {load.looks[-1].taken_at:%Y-%m-%d %H:%M}, wanted at least"
            f" {section.buffer_hit_rate:.0%}; check statements that read many blocks, or increase"
            " shared_buffers",
            value=round(rate, 4),
            threshold=section.buffer_hit_rate,
        )
