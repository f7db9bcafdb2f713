"""How far sequences, the columns they fill and the keys that point there have come: pure."""

from collections.abc import Iterator, Mapping, Sequence

from maintenance.names import QualifiedName
from maintenance.subjects.capacity.models import (
    INTEGER_TYPES,
    CapacityObservation,
    Cliff,
    FilledColumn,
    Level,
    Reference,
    SampledKey,
    SequenceUse,
    alter_type,
    column_name,
    largest_of,
)

BIGINT = 8
"""Bytes of the widest integer type."""


def key_levels(seen: CapacityObservation) -> Iterator[Level]:
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
        "dependents": dependents_of(seen, column, *references),
    }
    name = column_name(column.table, column.column)
    level = _level(Cliff.INTEGER_KEY, name, sequence, ends, facts)
    statements = wider_columns(column.table, column.column, references)
    if sequence.type_bytes < BIGINT:
        statements += (f"ALTER SEQUENCE {sequence.relation} AS bigint",)
    return level._replace(statements=statements)


def wider_columns(
    table: QualifiedName, column: str, references: Sequence[Reference]
) -> tuple[str, ...]:
    """Return the statements that make a key and the keys that point to it bigint."""
    return (
        alter_type(table, column),
        *(alter_type(each.table, each.column) for each in references),
    )


def dependents_of(
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


def reference_levels(seen: CapacityObservation) -> Iterator[Level]:
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
                "dependents": dependents_of(seen, each),
                "last_value": value,
                "limit": limit,
            },
            (alter_type(each.table, each.column, INTEGER_TYPES[each.target_bytes]),),
        )
