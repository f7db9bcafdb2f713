"""Counts the rows inserted into partitions, and records the counts for the next observation."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from maintenance.catalog.models import Partition
from maintenance.engine.observe_context import ObserveContext
from maintenance.names import QualifiedName
from maintenance.partition_key import Snowflake
from maintenance.partition_set.expected import current_period
from maintenance.partition_set.expiry import label
from maintenance.server.session import Connection, fetch, run_statement
from maintenance.subjects.retention.assess import RetentionState
from maintenance.subjects.retention.evidence import NO_EVIDENCE, Evidence, InsertReading, Taken

MOST_COUNTED = 200
"""For how many expired partitions of a table inserts are counted, oldest first."""

N_IN_USE = 3
"""How many partitions up to the present are counted too: the policy may change before the next
observation."""


def find_evidence(context: ObserveContext, states: Sequence[RetentionState]) -> Evidence:
    """Count the inserts into partitions that are due or in use.

    Raises:
        psycopg.Error: a query failed.
    """
    counted = {p.oid: _leaves(p) for each in states for p in _counted(each, context.now)}
    if not counted:
        return NO_EVIDENCE
    inserted = _count(context.connection, counted)
    due = [each for each in states if each.due]
    if not due:
        return Evidence(inserted)
    oids = [item.span.partition.oid for each in due for item in each.due[:MOST_COUNTED]]
    rowless = frozenset(_rowless(context, due))
    rowless -= _made_by_us(context, [each for each in due if each.section.table in rowless])
    everything = rowless | {each.section.table for each in due if len(each.due) == len(each.spans)}
    return Evidence(
        inserted,
        before=_before(context, oids),
        rowless=rowless,
        renewed=_renewed(context, [each for each in due if each.section.table in rowless]),
        retired_before=_retired_before(context, everything),
    )


def record_evidence(context: ObserveContext, evidence: Evidence) -> None:
    """Record the counts for the next observation."""
    assert context.store is not None, "only runs with a store record"
    if evidence.inserted:
        parameters = {
            "database": context.policy.database.name,
            "inserted": Jsonb(_record(evidence, context.now)),
            "all": context.request.is_of_everything,
        }
        run_statement(context.store, "store", "replace_insert_counts", parameters)


def _record(evidence: Evidence, now: datetime) -> dict[str, list[Any]]:
    """Return the insert count by OID, with the number and time of recent inserts."""
    record: dict[str, list[Any]] = {}
    for oid, inserted in evidence.inserted.items():
        taken = evidence.taken(oid, now)
        lately = [] if taken is None else [taken.n_rows, taken.at.isoformat()]
        record[str(oid)] = [inserted, *lately]
    return record


def _counted(each: RetentionState, now: datetime) -> Iterator[Partition]:
    yield from (item.span.partition for item in each.due[:MOST_COUNTED])
    n_begun = bisect_right(each.spans, now, key=lambda span: span.lower)
    yield from (span.partition for span in each.spans[max(0, n_begun - N_IN_USE) : n_begun])


def _leaves(partition: Partition) -> list[int]:
    return [branch.oid for branch in partition.whole.branches if branch.kind == "r"]


def _count(connection: Connection, counted: Mapping[int, Sequence[int]]) -> dict[int, int]:
    leaves = sorted({leaf for leaves in counted.values() for leaf in leaves})
    rows = fetch(connection, "retention", "count_inserts", {"relations": leaves})
    by_leaf: dict[int, int] = {row.oid: row.inserted for row in rows}
    return {oid: sum(by_leaf.get(leaf, 0) for leaf in leaves) for oid, leaves in counted.items()}


def _before(context: ObserveContext, oids: Sequence[int]) -> dict[int, InsertReading]:
    if context.store is None:
        return {}
    # A store of an older version has no such table: then there is no earlier observation.
    with suppress(psycopg.errors.UndefinedTable):
        about = {"database": context.policy.database.name, "oids": [str(oid) for oid in oids]}
        rows = fetch(context.store, "store", "list_insert_counts", about)
        return {int(oid): _read(*facts) for oid, facts in rows}
    return {}


def _read(inserted: int, n_rows: int | None = None, at: str | None = None) -> InsertReading:
    if n_rows is None or at is None:
        return InsertReading(inserted)
    return InsertReading(inserted, Taken(n_rows, datetime.fromisoformat(at)))


def partitions_in_use(each: RetentionState, now: datetime) -> list[Partition]:
    """Return the partitions some of which must hold rows if the bounds are read correctly.

    These are the kept partitions. A wrong snowflake epoch shifts all moments alike, and bounds
    still look like months: for snowflakes, these are the partitions of the present.
    """
    if isinstance(each.section.encoding, Snowflake):
        last_period = current_period(each.section, now).shift(-1)
        recent = last_period.bounds(each.section.time_zone)[0]
        return [span.partition for span in each.spans if span.upper > recent]
    going = {item.span.partition.oid for item in each.due}
    return [span.partition for span in each.spans if span.partition.oid not in going]


def _rowless(context: ObserveContext, due: Sequence[RetentionState]) -> Iterator[QualifiedName]:
    """Yield the tables without rows in partitions that should be in use, by file size."""
    in_use = {each.section.table: partitions_in_use(each, context.now) for each in due}
    unsure = {
        table: partitions
        for table, partitions in in_use.items()
        if not any(p.pages > 0 or p.rows > 0 or p.kind == "f" for p in partitions)
    }
    going = {each.section.table: _at_stake(each) for each in due if each.section.table in unsure}
    asked = [p for of_table in (*unsure.values(), *going.values()) for p in of_table]
    leaves = [leaf for partition in asked for leaf in _leaves(partition)]
    filled: set[int] = set()
    if leaves:
        rows = fetch(context.connection, "catalog", "list_filled", {"relations": leaves})
        filled = {row.oid for row in rows}

    def has_rows(partitions: Sequence[Partition]) -> bool:
        leaves = (leaf for p in partitions for leaf in _leaves(p))
        return any(p.pages > 0 or p.rows > 0 for p in partitions) or not filled.isdisjoint(leaves)

    for table, partitions in unsure.items():
        if not has_rows(partitions) and (not going[table] or has_rows(going[table])):
            yield table


def _at_stake(each: RetentionState) -> list[Partition]:
    """Return the partitions whose rows would be removed; none for a snowflake.

    A correctly read table may have no rows at all, and then no row is lost. The epoch of a
    snowflake may be wrong from the first day on.
    """
    if isinstance(each.section.encoding, Snowflake):
        return []
    return [item.span.partition for item in each.due]


def _made_by_us(context: ObserveContext, due: Sequence[RetentionState]) -> frozenset[QualifiedName]:
    """Return the tables whose due partitions were all created by our own runs.

    If they were created for the period that their bounds are read as now, the bounds are read
    correctly. A snowflake's epoch may have been wrong then too.
    """
    asked = {
        each.section.table: {
            (str(item.relation), label(each.section, each.calendar, item.span)) for item in each.due
        }
        for each in due
        if not isinstance(each.section.encoding, Snowflake)
    }
    if context.store is None or not asked:
        return frozenset()
    with suppress(psycopg.errors.UndefinedTable):
        made = _created(context, [name for made in asked.values() for name, _ in made])
        return frozenset(table for table, wanted in asked.items() if wanted <= made)
    return frozenset()


def _renewed(context: ObserveContext, due: Sequence[RetentionState]) -> frozenset[QualifiedName]:
    """Return the tables that would keep only partitions created by our own runs."""
    kept = {
        each.section.table: {
            str(partition.relation) for partition in partitions_in_use(each, context.now)
        }
        for each in due
    }
    if context.store is None or not kept:
        return frozenset()
    with suppress(psycopg.errors.UndefinedTable):
        created = _created(context, [name for names in kept.values() for name in names])
        made = {name for name, _ in created}
        return frozenset(table for table, names in kept.items() if names <= made)
    return frozenset()


def _created(context: ObserveContext, objects: Sequence[str]) -> set[tuple[str, str | None]]:
    """Return which of some partitions runs of ours have made, each with its period."""
    assert context.store is not None, "only where there is a store"
    about = {"database": context.policy.database.name, "objects": objects}
    rows = fetch(context.store, "store", "list_created_partitions", about)
    return {(row.object, row.period) for row in rows}


def _retired_before(
    context: ObserveContext, tables: frozenset[QualifiedName]
) -> frozenset[QualifiedName]:
    if context.store is None or not tables:
        return frozenset()
    by_name = {str(table): table for table in tables}
    with suppress(psycopg.errors.UndefinedTable):
        about = {"database": context.policy.database.name, "tables": list(by_name)}
        rows = fetch(context.store, "store", "list_retired_tables", about)
        return frozenset(by_name[name] for (name,) in rows)
    return frozenset()
