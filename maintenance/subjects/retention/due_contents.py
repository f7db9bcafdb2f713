"""Read what due tables hold, for the plan: estimated rows, bytes, oldest and newest key."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import psycopg

from maintenance.engine.observe_context import ObserveContext
from maintenance.errors import MaintenanceError
from maintenance.names import QualifiedName
from maintenance.partition_set.bounds import codec_of
from maintenance.partition_set.expiry import detached
from maintenance.server.session import fetch, read_transaction
from maintenance.subjects.retention.assess import RetentionState
from maintenance.subjects.retention.contents import Contents
from maintenance.subjects.retention.key_range import Keyed, read_key_ranges

MOST_READ = 24
"""How many due partitions of a table are searched for their keys, oldest first."""


def read_contents(
    context: ObserveContext, states: Sequence[RetentionState], unreadable: Collection[int]
) -> Mapping[int, Contents]:
    """Return what due tables hold, by OID.

    Args:
        context: of the observation.
        states: tables whose retention removes something.
        unreadable: OIDs of tables whose rows this role may not see in full.

    Raises:
        psycopg.Error: the catalog could not be read.
    """
    due = [due for state in states for due in _due(context, state)]
    sizes = _sizes(context, [name for each in due for name in each.names])
    keyed = [each.keyed for each in due if each.keyed is not None]
    keys = read_key_ranges(context.connection, keyed, unreadable)
    return {
        each.oid: Contents(
            each.rows,
            sum(sizes[name] for name in each.names) if sizes.keys() >= set(each.names) else None,
            *keys.get(each.oid, (None, None)),
        )
        for each in due
    }


class _Due(NamedTuple):
    """A due table: its estimate of rows, all its tables' names, and how its keys are read."""

    oid: int
    rows: int | None
    names: tuple[QualifiedName, ...]
    keyed: Keyed | None = None


def _due(context: ObserveContext, state: RetentionState) -> Iterator[_Due]:
    """Yield the due tables of one table; the keys of the oldest ones are read."""
    section = state.section
    codec = codec_of(section, context.snapshot.tables[section.table])
    for item in detached(section, context.snapshot, ()):
        table = item.table
        keyed = Keyed(table.oid, table.relation, section.column, codec)
        yield _Due(table.oid, None, table.names, keyed)
    for place, item in enumerate(state.due):
        partition = item.span.partition
        rows = round(partition.rows) if partition.rows >= 0 else None
        keyed = Keyed(partition.oid, partition.relation, section.column, codec)
        is_read = place < MOST_READ
        yield _Due(partition.oid, rows, partition.names, keyed if is_read else None)


def _sizes(context: ObserveContext, names: Sequence[QualifiedName]) -> Mapping[QualifiedName, int]:
    """Return sizes in bytes, with indexes and TOAST; none if one of the tables is locked."""
    if not names:
        return {}
    pairs = {"schemas": [name.schema for name in names], "names": [name.name for name in names]}
    try:
        with read_transaction(context.connection, context.policy.observe.time_cap, "sizes"):
            rows = fetch(context.connection, "catalog", "list_sizes", pairs)
    except (psycopg.errors.LockNotAvailable, MaintenanceError):
        return {}
    return {QualifiedName(row.schema, row.name): row.size_bytes or 0 for row in rows}
