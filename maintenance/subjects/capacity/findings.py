"""Findings on limits, with the time left and what to do: pure."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.formatting import listed, readable_size
from maintenance.policy.thresholds import CapacityPolicy, WorkloadPolicy
from maintenance.subjects.capacity.forecast import Forecast, forecast, severity_of
from maintenance.subjects.capacity.levels import levels
from maintenance.subjects.capacity.models import (
    IN_DATA,
    INTEGER_TYPES,
    CapacityObservation,
    Cliff,
    Level,
    Points,
    largest_of,
)

SHOWN = 5
FEW_LEFT = 1000
"""So few numbers are told as such; a share would be rounded to all."""
ALL = 0.995
LEAST_LOCKS = 128
"""The default of max_locks_per_transaction from 19 on."""


def cliff_findings(
    database: str,
    section: CapacityPolicy,
    workload: WorkloadPolicy,
    seen: CapacityObservation,
    now: datetime,
) -> Iterator[Finding]:
    """Yield the limits that are near, by the share in use or by time."""
    for level in levels(database, seen, now):
        past = _past(seen, level, now)
        ahead = forecast(level.used, level.ceiling, past, now)
        severity = _severity(level, ahead, section, workload, now)
        if severity is not None:
            yield _finding(database, section, level, ahead, severity)


def _past(seen: CapacityObservation, level: Level, now: datetime) -> Points:
    """Return earlier values; of connections the peaks of earlier days, where there are samples."""
    if level.cliff is Cliff.CONNECTIONS and seen.pool_peaks:
        today = now.date()
        return [(at, share * level.ceiling) for at, share in seen.pool_peaks if at.date() < today]
    return seen.past.get((level.cliff.value, level.object), ())


def _severity(
    level: Level,
    ahead: Forecast,
    section: CapacityPolicy,
    workload: WorkloadPolicy,
    now: datetime,
) -> Severity | None:
    """Return the severity of a level; settings and pools that do not grow are no errors."""
    if level.cliff is Cliff.CONNECTION_LIMITS:
        return Severity.INFO if level.share > 1 else None
    severity = severity_of(ahead, section, now)
    if severity is None:
        return None
    if level.cliff is Cliff.LOCK_TABLE:  # the server has some reserve, and few statements need all
        return Severity.WARN
    is_soon = ahead.is_growing and ahead.is_within(section.within, now)
    if level.cliff is Cliff.CONNECTIONS and not is_soon and level.share < 1:
        return Severity.WARN if level.share > workload.connections else Severity.INFO
    return severity


def _finding(
    database: str, section: CapacityPolicy, level: Level, ahead: Forecast, severity: Severity
) -> Finding:
    what, remedy, statements = _TEXTS[level.cliff](database, level)
    return Finding(
        FindingKind.CAPACITY_CLIFF,
        severity,
        level.object,
        f"{what}{_when(level, ahead)}. {remedy}{IN_DATA if statements else ''}",
        value=round(level.share, 4),
        threshold=section.used if severity is not Severity.INFO else None,
        data={
            "cliff": level.cliff.value,
            "used": round(level.used),
            "limit": round(level.ceiling),
            **ahead.as_data(),
            **level.facts,
            "remedy": remedy,
            "statements": statements,
        },
    )


def _when(level: Level, ahead: Forecast) -> str:
    """Return when the limit is reached, as the end of a sentence; nothing if that is in it."""
    if ahead.share >= 1 or level.cliff is Cliff.CONNECTION_LIMITS:
        return ""
    if ahead.reach is not None:
        latest = f"{ahead.reach.latest:%Y-%m-%d}" if ahead.reach.latest else "never"
        return (
            f"; at the present rate the limit is reached on {ahead.reach.at:%Y-%m-%d}"
            f" (earliest {ahead.reach.earliest:%Y-%m-%d}, latest {latest})"
        )
    if ahead.trend is None:
        return "; rate unknown: two observations at least two days apart are needed"
    return "; at the present rate the limit is not reached within ten years"


Text = tuple[str, str, list[str]]
"""The object with the fact and its consequence; what to do; statements to run."""


def _key(_: str, level: Level) -> Text:
    facts = level.facts
    kind = INTEGER_TYPES[facts["type_bytes"]]
    sequence, others = facts["sequence"], list(facts["references"])
    source = f" (sequence {sequence})" if sequence else " in the sample of the last ANALYZE"
    also = f", with the foreign keys {listed(others, SHOWN)}" if others else ""
    return (
        f"{level.object}: {kind} key at {facts['last_value']:,} of {facts['limit']:,}{source},"
        f" {_room(level, _full_key(level), 'every INSERT fails')}",
        f"Change it to bigint{also}{_first(level)}. ALTER COLUMN TYPE rewrites the table"
        " under an ACCESS EXCLUSIVE lock: for a large table add a bigint column, fill it in"
        " batches and swap the two",
        list(level.statements),
    )


def _full_key(level: Level) -> str:
    """Return the consequence of a full key; only a sequence tells what the next number is."""
    if level.facts["sequence"]:
        return "the key is full, and every INSERT fails now"
    return "the largest key is taken, and INSERTs of larger ones fail now"


def _room(level: Level, full: str, consequence: str) -> str:
    """Return what is left of numbers with the consequence: a share, or how many if few are left."""
    left: int = level.facts["left"]
    if left <= 0:
        return full
    if left <= FEW_LEFT or level.share >= ALL:
        return f"{left:,} left; then {consequence}"
    return f"{level.share:.0%} used; at the end {consequence}"


def _more(level: Level) -> str:
    """Return how a sequence gets room: never more than the columns that take its values have."""
    n_bytes = level.facts["narrowest_bytes"]
    if n_bytes is None:
        return "Give it a larger type or maximum, if what stores its values has room for them"
    kind, most = INTEGER_TYPES[n_bytes], largest_of(n_bytes)
    return (
        f"Give it a larger maximum, up to {most:,}: the {kind} of the column is the real limit,"
        " beyond it every INSERT fails"
    )


def _first(level: Level) -> str:
    """Return what stands in the way of another type, as the end of a sentence."""
    dependents = list(level.facts["dependents"])
    if not dependents:
        return ""
    return f": first drop and re-create {listed(dependents, SHOWN)}, else it fails"


def _reference(_: str, level: Level) -> Text:
    facts = level.facts
    kind, wanted = INTEGER_TYPES[facts["type_bytes"]], INTEGER_TYPES[facts["target_bytes"]]
    is_over = facts["last_value"] >= facts["limit"]
    end = "rows with newer keys can't be inserted" if is_over else "then rows can't be inserted"
    return (
        f"{level.object}: {kind} foreign key of {facts['target']}, which is {wanted} and at"
        f" {facts['last_value']:,}; the largest {kind} is {facts['limit']:,}, and {end}",
        f"Change the column to {wanted}{_first(level)}. ALTER COLUMN TYPE rewrites the table"
        f" under an ACCESS EXCLUSIVE lock: for a large table add a {wanted} column, fill it in"
        " batches and swap the two",
        list(level.statements),
    )


def _sequence(_: str, level: Level) -> Text:
    facts = level.facts
    columns = [f"{n} {t}" for n, t in zip(facts["columns"], facts["column_types"], strict=True)]
    of = f" (for {listed(columns, SHOWN)})" if columns else ""
    return (
        f"{level.object}: sequence{of} at {facts['last_value']:,} of {facts['limit']:,},"
        f" {_room(level, 'it is at its end, and nextval fails now', 'nextval fails')}",
        _more(level),
        list(level.statements),
    )


def _toast(_: str, level: Level) -> Text:
    facts = level.facts
    return (
        f"{level.object}: its TOAST table has up to {level.used:,.0f} of {level.ceiling:,.0f}"
        f" possible values ({facts['chunks']:,.0f} chunks); long before the end an INSERT searches"
        " for a free identifier for a long time, at the end it fails",
        "Partition the table, so that each partition has a TOAST table of its own, or move old rows"
        " elsewhere",
        [],
    )


def _members(database: str, level: Level) -> Text:
    known = "" if level.facts["is_counted"] else "at least "
    return (
        f"{database}: multixacts have {known}{level.used:,.0f} of {level.ceiling:,.0f} members; at"
        " the end no row can be locked by several transactions, so foreign key checks fail",
        "End old transactions, prepared transactions and slots, then VACUUM the tables with the"
        " oldest relminmxid; many sessions that lock the same rows (SELECT FOR SHARE, foreign keys)"
        " use members up",
        [],
    )


def _locks(database: str, level: Level) -> Text:
    facts = level.facts
    each = -(
        -2 * round(level.used) // (facts["max_connections"] + facts["max_prepared_transactions"])
    )
    statement = f"ALTER SYSTEM SET max_locks_per_transaction = {max(each, LEAST_LOCKS)}"
    return (
        f"{database}: a statement on all partitions of {facts['table']} locks {level.used:,.0f}"
        f" relations ({facts['partitions']:,} partitions, {facts['indexes']:,} indexes), and the"
        f" server's lock table has room for {level.ceiling:,.0f} locks of all sessions; beyond that"
        " statements can fail with 'out of shared memory'",
        f"Raise max_locks_per_transaction (a restart is needed): {statement}; or use longer"
        " intervals, and conditions on the partition key",
        [statement],
    )


def _slot(database: str, level: Level) -> Text:
    facts = level.facts
    use = "in use" if facts["active"] else "not in use"
    if facts["of_disk"]:
        limit = f"and {readable_size(level.ceiling - level.used)} are free on the server's disk"
        end = "when the disk is full the server stops"
    else:
        limit = f"of {readable_size(level.ceiling)} that max_slot_wal_keep_size allows"
        end = "beyond that the slot is lost and its consumer must be set up anew"
    name = level.object.split("/", 2)[2]
    quoted = "'" + name.replace("'", "''") + "'"
    return (
        f"{database}: slot {name} ({use}) holds {readable_size(level.used)} of WAL {limit}; {end}",
        "Restart its consumer, or drop the slot if it is not needed",
        [] if facts["active"] else [f"SELECT pg_catalog.pg_drop_replication_slot({quoted})"],
    )


def _connections(database: str, level: Level) -> Text:
    facts = level.facts
    return (
        f"{database}: up to {facts['peak']:,} of {facts['usable']:,} connections that applications"
        f" can use are in use ({facts['now']:,} now); beyond that connections are refused",
        "Reduce the application's pools, or put a pooler before the server; a higher"
        " max_connections needs a restart and more memory",
        [],
    )


def _limits(database: str, level: Level) -> Text:
    facts = level.facts
    return (
        f"{database}: the CONNECTION LIMITs of roles or databases allow {facts['promised']:,}"
        f" connections, and applications can use {facts['usable']:,}; once all pools are full,"
        " connections are refused",
        "Lower these limits, or raise max_connections",
        [],
    )


_TEXTS: Mapping[Cliff, Callable[[str, Level], Text]] = {
    Cliff.INTEGER_KEY: _key,
    Cliff.INTEGER_REFERENCE: _reference,
    Cliff.SEQUENCE: _sequence,
    Cliff.TOAST_VALUES: _toast,
    Cliff.MULTIXACT_MEMBERS: _members,
    Cliff.LOCK_TABLE: _locks,
    Cliff.SLOT_WAL: _slot,
    Cliff.CONNECTIONS: _connections,
    Cliff.CONNECTION_LIMITS: _limits,
}
