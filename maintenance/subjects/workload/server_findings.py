"""What the owner should know of a server at work: connections, transactions, ids, disk."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.formatting import readable_size
from maintenance.policy.thresholds import WorkloadPolicy
from maintenance.subjects.workload.deltas import WEEK, Growth, growth
from maintenance.subjects.workload.models import Session, WorkloadSnapshot
from maintenance.subjects.workload.vacuum_holders import held_back_by

LEAST_BLOCKS = 10_000
"""Blocks asked for between two looks, from which on a rate says anything."""
LEAST_GROWTH_BYTES = 100 * 2**20
"""A week; whatever grows less is no matter."""
FORECAST = timedelta(weeks=4)
NEARLY_USED = 0.9
"""From this share of all transaction ids on, writes will soon be refused."""
SHOWN = 5


def server_findings(
    database: str, section: WorkloadPolicy, load: WorkloadSnapshot, now: datetime
) -> Iterator[Finding]:
    """Yield everything but what concerns single statements."""
    yield from _connections(database, section, load)
    yield from _transactions(database, section, load.sessions)
    yield from _wraparound(database, section, load)
    yield from _replication(database, section, load)
    yield from _hit_rate(database, section, load)
    yield from _growth(database, section, load, now)


def hit_rate(load: WorkloadSnapshot) -> float | None:
    """Return the share of blocks found in memory since the last look; None where unknown."""
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
    taken, most, what = server.n_connections, server.n_usable, "usable connections"
    if server.is_limited and server.connection_limit is not None:
        taken, most = server.n_ours, max(server.connection_limit, 1)
        what = "connections that the database's CONNECTION LIMIT allows"
    share = taken / most
    if share > section.connections:
        yield Finding(
            FindingKind.CONNECTIONS_SATURATED,
            Severity.ERROR if share >= 1 else Severity.WARN,
            database,
            f"{database}: {taken} of {most} {what} are taken"
            f" ({server.n_active} active, {server.n_idle} idle,"
            f" {server.n_idle_in_transaction} idle in a transaction), wanted at most"
            f" {section.connections:.0%}; make the application's pools smaller, or pool in between",
            value=round(share, 3),
            threshold=section.connections,
            data={
                "taken": taken,
                "usable": most,
                "is_limited": server.is_limited,
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
            f"{len(idle)} sessions sit idle in a transaction",
            idle,
            idle[0].idle_s or 0.0,
            most_idle,
        )
    longest = section.long_transaction.total_seconds()
    long = [s for s in sessions if s.transaction_s > longest]
    if long:
        held = "; VACUUM can't clean what they may still see" if long[0].holds_snapshot else ""
        yield _open(
            FindingKind.LONG_TRANSACTION,
            database,
            f"{len(long)} transactions are open for long{held}",
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
        f"{database}: {what}: {who}; wanted at most {threshold:.0f} s; have the application end"
        " them, or end the session with pg_terminate_backend",
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
            f" at most {section.wraparound:.0%}; end what keeps VACUUM from freezing (old"
            f" transactions, prepared ones, slots{holders}), then VACUUM the oldest tables",
            value=round(share, 3),
            threshold=section.wraparound,
            data={**worst._asdict(), "holders": [each._asdict() for each in load.holders]},
        )


def _replication(
    database: str, section: WorkloadPolicy, load: WorkloadSnapshot
) -> Iterator[Finding]:
    for replica in load.replicas:
        lost = "lost" in (replica.state or "")
        lag = replica.lag_bytes
        if not lost and (lag is None or lag <= section.replication_lag):
            continue
        behind = f"{readable_size(lag)} behind" if lag is not None else "beyond what is kept"
        yield Finding(
            FindingKind.REPLICATION_LAG,
            Severity.WARN,
            f"{database}/{replica.what}/{replica.name}",
            f"{database}: {replica.what} {replica.name} ({replica.state}) is {behind}, wanted at"
            f" most {readable_size(section.replication_lag)}; bring its reader back, or drop the"
            " slot if nobody needs it: it keeps WAL until the disk is full",
            value=lag,
            threshold=section.replication_lag,
            data=replica._asdict(),
        )


def _hit_rate(database: str, section: WorkloadPolicy, load: WorkloadSnapshot) -> Iterator[Finding]:
    rate = hit_rate(load)
    if rate is not None and rate < section.buffer_hit_rate:
        yield Finding(
            FindingKind.BUFFER_HIT_RATE_LOW,
            Severity.WARN,
            database,
            f"{database}: {rate:.1%} of the blocks asked for since"
            f" {load.looks[-1].taken_at:%Y-%m-%d %H:%M} were in memory, wanted at least"
            f" {section.buffer_hit_rate:.0%}; look for statements that read much, or give the"
            " server more memory",
            value=round(rate, 4),
            threshold=section.buffer_hit_rate,
        )


def _growth(
    database: str, section: WorkloadPolicy, load: WorkloadSnapshot, now: datetime
) -> Iterator[Finding]:
    for size in load.sizes:
        before = load.sizes_before.get(str(size.relation), ())
        grown = growth(before, now, size.size_bytes)
        if grown is not None and _is_fast(grown, section):
            name = str(size.relation)
            yield _grows(name, size.n_partitions, size.size_bytes, grown, section)
    yield from _disk(database, section, load, now)


def _disk(
    database: str, section: WorkloadPolicy, load: WorkloadSnapshot, now: datetime
) -> Iterator[Finding]:
    before = [(look.taken_at, look.size_bytes) for look in load.looks if look.size_bytes]
    size = load.size_bytes or 0
    grown = growth(before, now, size) if size else None
    left = (load.free_bytes or 0) - section.disk_growth.free_disk
    full_at = grown.reaches(max(left, 0), now) if grown and load.free_bytes is not None else None
    if load.free_bytes is not None and (left < 0 or (full_at and full_at < now + FORECAST)):
        when = f", and on {full_at:%Y-%m-%d} too little" if full_at and left > 0 else ""
        yield Finding(
            FindingKind.DISK_GROWTH,
            Severity.WARN if left > 0 else Severity.ERROR,
            database,
            f"{database}: {readable_size(load.free_bytes)} are free on the server's disk{when};"
            f" {readable_size(section.disk_growth.free_disk)} are to be left; make room, or let"
            " retention take more",
            value=load.free_bytes,
            threshold=section.disk_growth.free_disk,
            data={"full_at": full_at.isoformat() if full_at else None},
        )
    elif grown is not None and _is_fast(grown, section):
        yield _grows(database, 0, size, grown, section)


def _is_fast(grown: Growth, section: WorkloadPolicy) -> bool:
    limit = section.disk_growth.fraction_per_week
    return grown.fraction_a_week > limit and grown.bytes_a_week >= LEAST_GROWTH_BYTES


def _grows(
    name: str, n_partitions: int, size_bytes: int, grown: Growth, section: WorkloadPolicy
) -> Finding:
    parts = f" in {n_partitions} partitions" if n_partitions else ""
    limit = section.disk_growth.fraction_per_week
    in_a_month = size_bytes + grown.bytes_a_week * (timedelta(days=30) / WEEK)
    return Finding(
        FindingKind.DISK_GROWTH,
        Severity.WARN,
        name,
        f"{name}: {readable_size(size_bytes)}{parts}, growing by {grown.fraction_a_week:.0%} a week"
        f" since {grown.since:%Y-%m-%d}, wanted at most {limit:.0%};"
        f" {readable_size(in_a_month)} in a month if it goes on so",
        value=round(grown.fraction_a_week, 3),
        threshold=limit,
        data={
            "bytes_a_week": round(grown.bytes_a_week),
            "in_a_month_bytes": round(in_a_month),
            "n_partitions": n_partitions,
        },
    )
