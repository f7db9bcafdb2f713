"""How much of each limit is in use: pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from maintenance.names import QualifiedName
from maintenance.subjects.capacity.models import (
    INTEGER_TYPES,
    CapacityObservation,
    Cliff,
    FilledColumn,
    Level,
    Limits,
    Reference,
    SampledKey,
    SequenceUse,
    Slot,
    Toast,
    alter_type,
    column_name,
    largest_of,
)

BIGINT = 8
"""Bytes of the widest integer type."""
OIDS = 2**32
"""Values that one TOAST table has identifiers for."""
MEMBERS = 2**32
"""Members of multixacts that exist at one time, up to 18."""
MEMBERS_PER_FILE = 32 * 1636
LEAST_MEMBERS = 2
"""Members of a multixact with few: each is made for two lockers or more."""
CHUNKS_OF_LARGEST = 2**30 // 1996
"""Chunks of the largest value, 1 GB."""
IN_ORDER = 0.9
"""Correlation of a column whose values were given one after the other."""
A_YEAR = timedelta(days=365)
EARLIEST_TIME = datetime(2000, 1, 1, tzinfo=UTC).timestamp()
FIRST_YEAR, LAST_YEAR = 1970, 2147
PEAK = timedelta(days=7)
"""The highest number of connections of so many days counts."""


def levels(database: str, seen: CapacityObservation, now: datetime) -> tuple[Level, ...]:
    """Return the levels that are known, in no order: of each object the limit that is nearest."""
    found = [*_keys(seen), *_references(seen), *_sampled(seen, now)]
    found += [_toast(each) for each in seen.toast]
    if seen.limits is not None:
        found += _server(database, seen, seen.limits, now)
    found += (level for slot in seen.slots for level in _slot(database, slot, seen.free_bytes))
    ordered = sorted(found, key=lambda level: level.share)
    return tuple({level.object: level for level in ordered}.values())


def rates(database: str, seen: CapacityObservation) -> tuple[Level, ...]:
    """Return counters without a limit of their own, which are recorded for their rate."""
    if seen.limits is None:
        return ()
    return (
        Level(Cliff.TRANSACTION_IDS, database, float(seen.limits.next_xid), 0.0),
        Level(Cliff.MULTIXACT_IDS, database, float(seen.limits.next_multixact), 0.0),
    )


def _keys(seen: CapacityObservation) -> Iterator[Level]:
    """Yield the level of each column that a sequence fills, or of the sequence if that ends first.

    A sequence that starts again at its end is no limit, unless a column ends before.
    """
    columns = _by_sequence(seen.columns)
    for sequence in seen.sequences:
        if sequence.last_value is None:
            continue
        narrow = [each for each in columns.get(sequence.oid, ()) if _ends_first(each, sequence)]
        for column in narrow:
            assert column.n_bytes is not None, "only integers end first"
            yield _of_column(seen, sequence, column, column.n_bytes)
        if not narrow and not sequence.cycles:
            yield _of_sequence(sequence, columns.get(sequence.oid, ()))


def _of_sequence(sequence: SequenceUse, columns: Sequence[FilledColumn]) -> Level:
    narrow = [each.n_bytes for each in columns if each.n_bytes and each.n_bytes < BIGINT]
    narrowest = min(narrow, default=None)
    facts = {
        "type_bytes": sequence.type_bytes,
        "columns": [column_name(each.table, each.column) for each in columns],
        "column_types": [INTEGER_TYPES.get(each.n_bytes or 0, "(no integer)") for each in columns],
        "narrowest_bytes": narrowest,
    }
    name, ends = str(sequence.relation), (sequence.least, sequence.most)
    level = _level(Cliff.SEQUENCE, name, sequence, ends, facts)
    return level._replace(statements=(_wider_sequence(sequence, narrowest),))


def _wider_sequence(sequence: SequenceUse, narrowest: int | None) -> str:
    """Return the statement that gives a sequence as much room as the columns it fills have.

    A wider type moves the end along only where that is the largest of the type.
    """
    n_bytes = narrowest or BIGINT
    is_up = sequence.increment > 0
    end, bound = (sequence.most, "MAXVALUE") if is_up else (sequence.least, "MINVALUE")
    natural = largest_of(sequence.type_bytes) if is_up else -largest_of(sequence.type_bytes) - 1
    parts = [f"ALTER SEQUENCE {sequence.relation}"]
    if sequence.type_bytes < n_bytes:
        parts.append(f"AS {INTEGER_TYPES[n_bytes]}")
    if narrowest is not None:
        most = largest_of(narrowest)
        parts.append(f"{bound} {most if is_up else -most - 1}")
    elif end != natural or sequence.type_bytes >= BIGINT:
        parts.append(f"NO {bound}")
    return " ".join(parts)


def _by_sequence(columns: Sequence[FilledColumn]) -> dict[int, list[FilledColumn]]:
    found: dict[int, list[FilledColumn]] = {}
    for column in columns:
        found.setdefault(column.sequence, []).append(column)
    return found


def _ends_first(column: FilledColumn, sequence: SequenceUse) -> bool:
    """Whether the column's type has no larger value than the sequence; a tie is the column's."""
    if column.n_bytes is None or column.n_bytes >= BIGINT:
        return False
    most = largest_of(column.n_bytes)
    if sequence.cycles:
        return sequence.most > most
    return most <= sequence.most if sequence.increment > 0 else -most - 1 >= sequence.least


def _of_column(
    seen: CapacityObservation, sequence: SequenceUse, column: FilledColumn, n_bytes: int
) -> Level:
    most = largest_of(n_bytes)
    ends = (max(sequence.least, -most - 1), min(sequence.most, most))
    references = [each for each in seen.references if each.target_key == column.key]
    facts = {
        "type_bytes": n_bytes,
        "sequence": str(sequence.relation),
        "references": [each.object for each in references],
        "dependents": _dependents(seen, column, *references),
    }
    name = column_name(column.table, column.column)
    level = _level(Cliff.INTEGER_KEY, name, sequence, ends, facts)
    statements = _wider(column.table, column.column, references)
    if sequence.type_bytes < BIGINT:
        statements += (f"ALTER SEQUENCE {sequence.relation} AS bigint",)
    return level._replace(statements=statements)


def _wider(table: QualifiedName, column: str, references: Sequence[Reference]) -> tuple[str, ...]:
    """Return the statements that make a key and the keys that point to it bigint."""
    return (
        alter_type(table, column),
        *(alter_type(each.table, each.column) for each in references),
    )


def _dependents(
    seen: CapacityObservation, *columns: FilledColumn | Reference | SampledKey
) -> list[str]:
    """Return what must be dropped before the type of the columns can change, each once."""
    return list(dict.fromkeys(x for each in columns for x in seen.dependents.get(each.key, ())))


def _level(
    cliff: Cliff,
    name: str,
    sequence: SequenceUse,
    ends: tuple[int, int],
    facts: Mapping[str, object],
) -> Level:
    """Return how far a sequence has come on its way from its first value to its last."""
    least, most = ends
    last = sequence.last_value or 0
    if sequence.increment > 0:
        first = 0 if least < 0 <= sequence.start else least
        used, ceiling, limit = last - first, most - first, most
    else:
        first = 0 if most > 0 >= sequence.start else most
        used, ceiling, limit = first - last, first - least, least
    left = max(ceiling - used, 0) // abs(sequence.increment)
    data = {**facts, "last_value": last, "limit": limit, "left": left}
    return Level(cliff, name, float(max(used, 0)), float(ceiling), data)


def _references(seen: CapacityObservation) -> Iterator[Level]:
    """Yield the columns of foreign keys that are narrower than the key they point to."""
    filled = {each.key: each.sequence for each in seen.columns}
    last = {each.oid: each.last_value for each in seen.sequences}
    for each in seen.references:
        sequence = filled.get(each.target_key)
        value = last.get(sequence) if sequence is not None else None
        if value is None or each.n_bytes >= each.target_bytes:
            continue
        limit = largest_of(each.n_bytes)
        yield Level(
            Cliff.INTEGER_REFERENCE,
            each.object,
            float(max(value, 0)),
            float(limit),
            {
                "type_bytes": each.n_bytes,
                "target_bytes": each.target_bytes,
                "target": column_name(each.target, each.target_column),
                "dependents": _dependents(seen, each),
                "last_value": value,
                "limit": limit,
            },
            (alter_type(each.table, each.column, INTEGER_TYPES[each.target_bytes]),),
        )


def _sampled(seen: CapacityObservation, now: datetime) -> Iterator[Level]:
    """Yield keys that the application numbers itself, by the largest value of the sample."""
    filled = {each.key for each in seen.columns}
    for key in seen.sampled_keys:
        if key.key in filled or not _is_numbered(key, now):
            continue
        limit = largest_of(key.n_bytes)
        references = [each for each in seen.references if each.target_key == key.key]
        facts = {
            "type_bytes": key.n_bytes,
            "sequence": None,
            "references": [each.object for each in references],
            "dependents": _dependents(seen, key, *references),
            "last_value": key.most,
            "limit": limit,
            "left": limit - key.most,
        }
        name = column_name(key.table, key.column)
        statements = _wider(key.table, key.column, references)
        yield Level(Cliff.INTEGER_KEY, name, float(key.most), float(limit), facts, statements)


def _is_numbered(key: SampledKey, now: datetime) -> bool:
    """Whether values were given one after the other: hashes, codes and times are not."""
    is_in_order = key.correlation >= IN_ORDER and 0 <= key.least < key.most
    return is_in_order and not (_is_unix_time(key, now) or _is_date(key.least, key.most))


def _is_unix_time(key: SampledKey, now: datetime) -> bool:
    """Whether values may be seconds since 1970: they end in 2038, whatever is inserted."""
    latest = (now + A_YEAR).timestamp()
    is_recent = abs(key.most - now.timestamp()) < A_YEAR.total_seconds()
    return is_recent or (key.least >= EARLIEST_TIME and key.most <= latest)


def _is_date(*values: int) -> bool:
    """Whether values may be dates with hours, such as 2026113023."""
    return all(
        FIRST_YEAR <= value // 10**6 <= LAST_YEAR
        and 1 <= value // 10**4 % 100 <= 12  # noqa: PLR2004 - months
        and 1 <= value // 100 % 100 <= 31  # noqa: PLR2004 - days
        and value % 100 < 24  # noqa: PLR2004 - hours
        for value in values
    )


def _toast(toast: Toast) -> Level:
    """Return the level of a TOAST table: it has no more values than chunks.

    Nor more than its table has rows and columns that can be moved there, if that number of rows
    can be right: so many values would have so many chunks at most.
    """
    n_values = toast.n_chunks
    at_most = toast.n_rows * toast.n_columns
    if toast.n_rows >= 0 and at_most * CHUNKS_OF_LARGEST >= toast.n_chunks:
        n_values = min(n_values, at_most)
    facts = {"toast_table_oid": toast.oid, "chunks": toast.n_chunks, "rows": toast.n_rows}
    return Level(Cliff.TOAST_VALUES, str(toast.table), n_values, float(OIDS), facts)


def _server(
    database: str, seen: CapacityObservation, limits: Limits, now: datetime
) -> Iterator[Level]:
    if limits.members_end:
        yield _members(database, limits)
    if seen.widest is not None:
        tree = seen.widest
        facts = {
            "table": str(tree.table),
            "partitions": tree.n_partitions,
            "indexes": tree.n_indexes,
            "max_locks_per_transaction": limits.locks_each,
            "max_connections": limits.max_connections,
            "max_prepared_transactions": limits.max_prepared,
        }
        name = f"{database}/lock_table"
        yield Level(Cliff.LOCK_TABLE, name, tree.n_relations, float(limits.n_locks), facts)
    yield _connections(database, seen, limits, now)
    if limits.n_promised:
        facts = {"usable": limits.n_usable, "promised": limits.n_promised}
        name = f"{database}/connection_limits"
        yield Level(
            Cliff.CONNECTION_LIMITS, name, float(limits.n_promised), float(limits.n_usable), facts
        )


def _members(database: str, limits: Limits) -> Level:
    """Return the members of multixacts: by their files, else at least so many."""
    members = LEAST_MEMBERS * limits.oldest_multixact_age
    if limits.member_files is not None:
        members = max(members, (limits.member_files - 1) * MEMBERS_PER_FILE)
    facts = {"is_counted": limits.member_files is not None, "files": limits.member_files}
    name = f"{database}/multixact_members"
    return Level(Cliff.MULTIXACT_MEMBERS, name, float(members), float(MEMBERS), facts)


def _connections(database: str, seen: CapacityObservation, limits: Limits, now: datetime) -> Level:
    """Return the peak of connections of the last days, or what is in use now if that is more."""
    recent = [share for at, share in seen.pool_peaks if at >= now - PEAK]
    current = limits.n_connections / limits.n_usable
    peak = max([*recent, current])
    facts = {
        "usable": limits.n_usable,
        "now": limits.n_connections,
        "peak": round(peak * limits.n_usable),
        "max_connections": limits.max_connections,
        "reserved": limits.n_reserved,
    }
    used = peak * limits.n_usable
    return Level(Cliff.CONNECTIONS, f"{database}/connections", used, float(limits.n_usable), facts)


def _slot(database: str, slot: Slot, free_bytes: int | None) -> Iterator[Level]:
    """Yield the level of a slot: against its own limit, else the disk; nothing if none is known."""
    if slot.state == "lost":
        return
    if slot.keep_bytes is not None:
        ceiling, of_disk = slot.keep_bytes, False
    elif free_bytes is not None:
        ceiling, of_disk = slot.held_bytes + free_bytes, True
    else:
        return
    facts = {"active": slot.is_active, "state": slot.state, "of_disk": of_disk}
    name = f"{database}/slot/{slot.name}"
    yield Level(Cliff.SLOT_WAL, name, float(max(slot.held_bytes, 0)), float(max(ceiling, 1)), facts)
