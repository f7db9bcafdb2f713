"""Finds what blocks the retention of due tables.

PostgreSQL refuses to detach a partition that rows of other tables reference, and searches for them
under locks that stop all writers. So we search before, with ordinary read locks, and skip a
partition that can't be checked within a lock timeout.
Source: PostgreSQL manual, ALTER TABLE … DETACH PARTITION; decision 0012.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row

from maintenance.catalog.models import OwnerCode, Snapshot
from maintenance.catalog.owner_code import owner_code, read_as_owner
from maintenance.catalog.trees import Tree
from maintenance.catalog.unreadable import unreadable_tables
from maintenance.engine.observe_context import ObserveContext
from maintenance.errors import MaintenanceError
from maintenance.names import QualifiedName, quote
from maintenance.partition_set.expiry import Expired, detached
from maintenance.policy import PartitionPolicy
from maintenance.policy.approvals import Approvals, is_approved, is_reporting
from maintenance.server.session import fetch
from maintenance.store.approvals import read_approvals
from maintenance.subjects.retention.assess import RetentionState, assess
from maintenance.subjects.retention.due_contents import read_contents
from maintenance.subjects.retention.insert_counts import find_evidence
from maintenance.subjects.retention.models import Blockers, OutboundKey, RetentionObservation

COLD = 20
"""How many times as long a check may take the first time, when rows come from the disk."""

MOST_LOOKED_AT = 24
"""How many partitions of a table are checked for referenced rows, oldest first."""


def observe(context: ObserveContext) -> RetentionObservation:
    """Find what blocks the tables that are due by the retention of the policy.

    Raises:
        psycopg.Error: the catalog could not be read.
    """
    states = assess(context.policy, context.snapshot, context.now, context.request)
    active = [each for each in states.values() if isinstance(each, RetentionState) and _acts(each)]
    blockers = _find_blockers(context, active)
    unapproved = frozenset(each.section.table for each in _unapproved(context, active))
    contents = read_contents(context, active, blockers.unreadable)
    return RetentionObservation(context.snapshot, states, blockers, unapproved, contents)


def _unapproved(
    context: ObserveContext, states: Sequence[RetentionState]
) -> Iterator[RetentionState]:
    """Yield the tables whose retention needs an approval before a schedule carries it out.

    None if the approvals can't be read. Without a store in the database itself there are none.
    """
    policy, store = context.policy, context.store
    approvals: Approvals = {}
    if store is not None:
        try:
            approvals = read_approvals(store, policy.database.name)
        except psycopg.errors.InsufficientPrivilege:
            return
    elif policy.store.url is not None:
        return
    for state in states:
        section = state.section
        if not is_reporting(policy, section) and not is_approved(policy, section, approvals):
            yield state


def _acts(state: RetentionState) -> bool:
    retention = state.section.retention
    return retention is not None and retention.action != "keep"


def _find_blockers(context: ObserveContext, states: Sequence[RetentionState]) -> Blockers:
    evidence = find_evidence(context, states)
    due = {each.section: each.due for each in states}
    trees = dict(_due_tables(context.snapshot, due))
    if not trees:
        return Blockers(evidence=evidence)
    tables = list(trees)
    dependents: dict[int, tuple[str, ...]] = {}
    for row in fetch(context.connection, "retention", "list_dependents", {"tables": tables}):
        dependents[row.oid] = (*dependents.get(row.oid, ()), row.dependent)
    return Blockers(
        dependents,
        dict(_holders(context, due)),
        evidence,
        unreadable_tables(context.connection, tables),
        _outbound_keys(context, trees),
    )


def _due_tables(
    snapshot: Snapshot, due: Mapping[PartitionPolicy, Sequence[Expired]]
) -> Iterator[tuple[int, Sequence[int]]]:
    """Yield the OID of each table that is due or detached, and those of its own partitions."""
    for section, items in due.items():
        children = snapshot.tables[section.table].partitions
        pending = {child.oid for child in children if child.detach_pending}
        for loose in detached(section, snapshot, pending):
            yield loose.table.oid, _oids(loose.table.tree)
        for item in items:
            yield item.span.partition.oid, _oids(item.span.partition.tree)


def _oids(tree: Tree | None) -> Sequence[int]:
    return () if tree is None else tuple(tree.oids)


def _outbound_keys(
    context: ObserveContext, trees: Mapping[int, Sequence[int]]
) -> dict[int, tuple[OutboundKey, ...]]:
    parameters = {"tables": [oid for root, leaves in trees.items() for oid in (root, *leaves)]}
    found: dict[int, tuple[OutboundKey, ...]] = {}
    for row in fetch(context.connection, "retention", "list_outbound_keys", parameters):
        key = OutboundKey(row.own, row.name, row.referenced)
        found[row.oid] = (*found.get(row.oid, ()), key)
    return found


def _holders(
    context: ObserveContext, due: Mapping[PartitionPolicy, Sequence[Expired]]
) -> Iterator[tuple[int, tuple[QualifiedName, ...]]]:
    tables = {context.snapshot.tables[section.table].oid: items for section, items in due.items()}
    pointed_at = [
        context.snapshot.tables[section.table].oid
        for section, items in due.items()
        if items and context.snapshot.tables[section.table].referenced_by
    ]
    if not pointed_at:
        return
    keys: dict[int, list[Any]] = {oid: [] for oid in pointed_at}
    for key in fetch(context.connection, "retention", "list_incoming_keys", {"tables": pointed_at}):
        keys[key.referenced].append(key)
    for oid, of_table in keys.items():
        yield from _search(context, tables[oid][:MOST_LOOKED_AT], of_table)


def _search(
    context: ObserveContext, items: Iterable[Expired], keys: list[Any]
) -> Iterator[tuple[int, tuple[QualifiedName, ...]]]:
    """Check partitions of one table, until one takes longer than locks may be held.

    The detach checks the same under its locks. A partition that took longer is checked once more:
    then its rows are in memory, as they will be for the detach.
    """
    limit_s = context.policy.locks.lock_timeout.total_seconds()
    due = list(items)
    asked = {item.span.partition.oid for item in due} | {key.referencing for key in keys}
    code = owner_code(context.connection, asked)

    def check(item: Expired) -> tuple[tuple[QualifiedName, ...], float]:
        began = time.perf_counter()
        found = {name for key in keys for name in _pointing(context, item, key, code)}
        return tuple(sorted(found)), time.perf_counter() - began

    for item in due:
        try:
            found, took_s = check(item)
            if not found and limit_s < took_s <= COLD * limit_s:
                found, took_s = check(item)
        except (psycopg.Error, MaintenanceError):  # too slow, locked, no privilege: unknown
            return
        if took_s > limit_s and not found:
            return
        yield item.span.partition.oid, found


def _pointing(
    context: ObserveContext, item: Expired, key: Any, code: Mapping[int, OwnerCode]
) -> Iterator[QualifiedName]:
    """Yield the tables with rows that reference rows of a partition by a foreign key."""
    pairs = zip(key.columns, key.referenced_columns, strict=True)
    equal = " AND ".join(f"r.{quote(one)} = p.{quote(other)}" for one, other in pairs)
    referencing = QualifiedName(key.schema, key.name)
    rows_of = f"{referencing} r JOIN {item.relation} p ON {equal}"
    statement = (
        "SELECT n.nspname::text AS schema, c.relname::text AS name FROM pg_catalog.pg_class c"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        f" WHERE c.oid IN (SELECT r.tableoid FROM {rows_of})"
    )
    run = [code[oid] for oid in (key.referencing, item.span.partition.oid) if oid in code]
    for row in _rows(context, statement, run):
        yield QualifiedName(row["schema"], row["name"])


def _rows(
    context: ObserveContext, statement: str, code: Sequence[OwnerCode]
) -> list[dict[str, Any]]:
    """Return the rows of a query, run as the owner of the code that it evaluates, if any."""
    if not code:
        with context.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(statement.encode()).fetchall()
    first, *others = code
    safe = first.safe and all(other.safe and other.owner == first.owner for other in others)
    one = OwnerCode(first.owner, safe, " and ".join(each.what for each in code))
    return read_as_owner(
        context.connection, one, statement, None, "checking for rows that reference it"
    )
