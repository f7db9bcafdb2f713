"""Read sequences, integer keys and the columns that point to them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

from maintenance.engine.findings import Reading
from maintenance.engine.observations import Observations
from maintenance.names import QualifiedName, is_helper
from maintenance.server.session import Connection, fetch
from maintenance.subjects.capacity.models import (
    CapacityObservation,
    FilledColumn,
    Reference,
    SampledKey,
    SequenceUse,
)

SEQUENCES_AT_ONCE = 200
"""Sequences read in one transaction, which locks each of them until it ends."""
LEAST_VALUE = 3000
"""Of sequences below, no column is near its end, not even a smallint."""
LEAST_END = 10 * LEAST_VALUE
"""Of sequences that end below, even a small value is near the end."""
LEAST_KEY_ROWS = 1000
"""Of smaller tables no statistics are read."""


def with_keys(glances: Observations, seen: CapacityObservation) -> CapacityObservation:
    """Add to an observation the sequences and integer keys, and what depends on these."""
    listed = glances.see(Reading.SEQUENCES, _sequences, ())
    sequences = tuple(_with_last_values(glances, listed))
    wanted = [each.oid for each in sequences if _needs_columns(each)]
    columns = glances.see(Reading.SEQUENCES, lambda c: _columns(c, wanted), ())
    references = glances.see(Reading.SEQUENCES, _references, ())
    sampled_keys = glances.see(Reading.SEQUENCES, _sampled_keys, ())
    keys = {each.key for some in (columns, references, sampled_keys) for each in some}
    return replace(
        seen,
        sequences=sequences,
        columns=columns,
        references=references,
        sampled_keys=sampled_keys,
        dependents=glances.see(Reading.SEQUENCES, lambda c: _dependents(c, sorted(keys)), {}),
    )


def _needs_columns(sequence: SequenceUse) -> bool:
    """Whether the sequence may be near its end or that of a column, or its value is unknown."""
    is_up = sequence.increment > 0
    is_bounded = sequence.most < LEAST_END if is_up else sequence.least > -LEAST_END
    return not sequence.is_read or is_bounded or abs(sequence.last_value or 0) >= LEAST_VALUE


def _sequences(connection: Connection) -> tuple[SequenceUse, ...]:
    return tuple(
        SequenceUse(row.oid, QualifiedName(row.schema, row.name), *row[3:])
        for row in fetch(connection, "capacity", "list_sequences")
        if not is_helper(row.name)
    )


def _columns(connection: Connection, sequences: list[int]) -> tuple[FilledColumn, ...]:
    if not sequences:
        return ()
    rows = fetch(connection, "capacity", "list_filled_columns", {"sequences": sequences})
    return tuple(
        FilledColumn(
            row.sequence,
            row.table_oid,
            QualifiedName(row.schema, row.name),
            row.attnum,
            row.column_name,
            row.column_bytes,
        )
        for row in rows
        if not is_helper(row.name)
    )


def _with_last_values(
    glances: Observations, sequences: Sequence[SequenceUse]
) -> Iterator[SequenceUse]:
    """Read sequences in small transactions: each read locks one until its transaction ends."""
    for first in range(0, len(sequences), SEQUENCES_AT_ONCE):
        some = sequences[first : first + SEQUENCES_AT_ONCE]
        oids = [each.oid for each in some if each.is_readable]
        last = glances.see(Reading.SEQUENCES, lambda c, oids=oids: _last_values(c, oids), {})
        for each in some:
            yield each._replace(is_read=each.oid in last, last_value=last.get(each.oid))


def _last_values(connection: Connection, oids: list[int]) -> dict[int, int | None]:
    if not oids:
        return {}
    rows = fetch(connection, "capacity", "read_sequences", {"sequences": oids})
    return {row.oid: row.last_value for row in rows}


def _references(connection: Connection) -> tuple[Reference, ...]:
    rows = fetch(connection, "capacity", "list_references")
    return tuple(
        Reference(
            QualifiedName(row.schema, row.name),
            row.column_name,
            row.column_bytes,
            row.target_oid,
            row.target_attnum,
            row.target_bytes,
            QualifiedName(row.target_schema, row.target_name),
            row.target_column,
            row.table_oid,
            row.attnum,
        )
        for row in rows
        if not is_helper(row.name)
    )


def _dependents(
    connection: Connection, keys: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], list[str]]:
    if not keys:
        return {}
    about = {"tables": [oid for oid, _ in keys], "attnums": [attnum for _, attnum in keys]}
    found: dict[tuple[int, int], list[str]] = {}
    for row in fetch(connection, "capacity", "list_dependents", about):
        found.setdefault((row.table_oid, row.attnum), []).append(f"{row.what} {row.name}")
    return found


def _sampled_keys(connection: Connection) -> tuple[SampledKey, ...]:
    rows = fetch(connection, "capacity", "list_integer_keys", {"least_rows": LEAST_KEY_ROWS})
    return tuple(
        SampledKey(
            row.table_oid,
            row.attnum,
            QualifiedName(row.schema, row.name),
            row.column_name,
            row.column_bytes,
            row.correlation,
            *_ends(row.bounds),
        )
        for row in rows
        if row.bounds and row.correlation is not None and not is_helper(row.name)
    )


def _ends(bounds: str) -> tuple[int, int]:
    """Return the first and last number of an array of integers as text."""
    numbers: list[int] = json.loads(f"[{bounds.strip('{}')}]")
    return numbers[0], numbers[-1]
