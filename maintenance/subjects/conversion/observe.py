"""Observes the tables to convert: properties, sizes, the range of the key, taken names."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import psycopg

from maintenance.catalog.models import Table
from maintenance.catalog.owner_code import read_as_owner
from maintenance.engine.observe_context import ObserveContext
from maintenance.errors import MaintenanceError, UnreachableError
from maintenance.names import QualifiedName, quote
from maintenance.partition_key import types_of
from maintenance.policy import PartitionPolicy
from maintenance.server.session import fetch, read_transaction, to_error
from maintenance.server.sql_library import load_statement
from maintenance.store.undo import undone_goals
from maintenance.subjects.conversion.history import waits_of
from maintenance.subjects.conversion.matview_observe import with_matviews, with_twins
from maintenance.subjects.conversion.models import (
    ConversionObservation,
    ConvertibleTable,
    Fact,
    Helper,
    KeyRange,
    Sizes,
    Wait,
)
from maintenance.subjects.conversion.plan import target_if_any
from maintenance.subjects.conversion.target import Target, other_name
from maintenance.subjects.conversion.upsert_texts import upserts_of

SCANNED_BYTES = 1024**3
"""A larger table is not scanned for the ends of its key: an index has to give them."""


def observe(context: ObserveContext) -> ConversionObservation:
    """Read everything that the plan needs about unpartitioned tables with `convert: online`.

    Raises:
        UnreachableError: the connection is lost.
    """
    snapshot = context.snapshot
    sections = [s for s in context.policy.partitions if context.request.includes(s.table)]
    named = [(s, snapshot.tables[s.table]) for s in sections if s.table in snapshot.tables]
    plain = [(s, t) for s, t in named if not t.is_partitioned and s.table not in snapshot.failed]
    helpers = _helpers(context, [table.oid for _, table in named if table.kind in ("r", "p")])
    tables: list[ConvertibleTable] = []
    failed: dict[QualifiedName, str] = {}
    for section, table in plain:
        if section.convert == "never":
            continue
        begun = ConvertibleTable(section, table, helpers=helpers.get(table.oid, ()))
        try:
            tables.append(_looked_at(context, begun) if table.kind == "r" else begun)
        except UnreachableError:
            raise
        except MaintenanceError as exc:
            failed[section.table] = str(exc)
    abandoned = tuple(
        ConvertibleTable(section, table, helpers=helpers[table.oid])
        for section, table in plain
        if section.convert == "never" and helpers.get(table.oid)
    )
    partitioned = [
        ConvertibleTable(section, table, helpers=helpers.get(table.oid, ()))
        for section, table in named
        if table.is_partitioned
    ]
    unfinished: tuple[ConvertibleTable, ...] = ()
    unread: dict[QualifiedName, str] = {}
    try:
        unfinished = with_twins(context, partitioned)
    except UnreachableError:
        raise
    except MaintenanceError as exc:
        unread = {each.name: str(exc) for each in partitioned}
    unfinished = tuple(s for s in unfinished if s.helpers or s.matviews or s.orphans)
    version = snapshot.server.version
    return ConversionObservation(
        snapshot.server,
        tuple(tables),
        abandoned,
        unfinished,
        failed,
        unread,
        waits=_waits(context, tables),
        undone=_undone(context) if tables else {},
        facts_sql=load_statement("conversion", "list_facts", version).decode(),
    )


def _waits(context: ObserveContext, tables: Sequence[ConvertibleTable]) -> Mapping[str, Wait]:
    if context.store is None or not tables:
        return {}
    names = [str(each.name) for each in tables]
    return waits_of(context.store, context.policy.database.name, names)


def _undone(context: ObserveContext) -> Mapping[str, str]:
    """Return the goals that were undone, unless they are wanted again; the gate holds them."""
    if context.store is None or context.request.again:
        return {}
    with suppress(psycopg.Error):
        return undone_goals(context.store, context.policy.database.name)
    return {}


def _helpers(context: ObserveContext, oids: Sequence[int]) -> dict[int, tuple[Helper, ...]]:
    if not oids:
        return {}
    found: dict[int, tuple[Helper, ...]] = {}
    for row in fetch(context.connection, "conversion", "list_helpers", {"relations": list(oids)}):
        table = QualifiedName(row.schema, row.table_name) if row.schema is not None else None
        helper = Helper(
            row.kind,
            row.name,
            row.is_valid,
            tuple(row.columns or ()),
            table,
            row.owner or "",
            row.comment,
        )
        found[row.relation] = (*found.get(row.relation, ()), helper)
    return found


def _looked_at(context: ObserveContext, begun: ConvertibleTable) -> ConvertibleTable:
    connection, cap = context.connection, context.policy.observe.time_cap
    oid = begun.table.oid
    try:
        with read_transaction(connection, cap, f"reading the properties of {begun.name}"):
            rows = fetch(connection, "conversion", "list_facts", {"relation": oid})
            facts = tuple(Fact(row.kind, row.name, row.definition) for row in rows)
            if not facts:
                raise MaintenanceError("it was dropped meanwhile")
            seen = with_matviews(context, replace(begun, facts=facts))
            columns = list(seen.extended_key or (seen.section.column,))
            sizes = {"relation": oid, "columns": columns}
            (size,) = fetch(connection, "conversion", "measure_table", sizes)
    except psycopg.errors.LockNotAvailable as exc:
        raise MaintenanceError("it is locked in ACCESS EXCLUSIVE mode") from exc
    seen = replace(seen, sizes=Sizes(*size))
    if not _is_wanted(seen.section, seen.table, seen.sizes) and not seen.helpers:
        return seen
    seen = replace(seen, key_range=_key_range(context, seen), upserts=_upserts(context, seen))
    target = target_if_any(seen, context.now)
    if target is None:
        return seen
    names = sorted(set(_new_names(seen, target)))
    parameters = {"schemas": [n.schema for n in names], "names": [n.name for n in names]}
    taken = fetch(connection, "catalog", "list_names", parameters)
    return replace(seen, taken=frozenset(QualifiedName(row.schema, row.name) for row in taken))


def _is_wanted(section: PartitionPolicy, table: Table, sizes: Sizes) -> bool:
    """Whether its rows have to be looked at: it is large enough, and its key may be one."""
    column = table.column(section.column)
    fits = column is not None and column.type in types_of(section.encoding)
    return fits and sizes.total_bytes >= section.convert_when.larger_than


def _upserts(context: ObserveContext, seen: ConvertibleTable) -> tuple[str, ...]:
    if not seen.extends_key:
        return ()
    cap = context.policy.observe.time_cap
    with read_transaction(context.connection, cap, f"reading the upserts into {seen.name}"):
        return upserts_of(context.connection, seen.name)


def _key_range(context: ObserveContext, seen: ConvertibleTable) -> KeyRange:
    if seen.sizes.table_bytes > SCANNED_BYTES and not _is_indexed(seen):
        column = quote(seen.section.column)
        return KeyRange(error=f"no index begins with {column}. Create one, concurrently")
    try:
        first, last, has_nulls = _read_keys(context, seen)
    except psycopg.errors.LockNotAvailable:
        return KeyRange(error="it is locked in ACCESS EXCLUSIVE mode")
    except psycopg.errors.QueryCanceled:
        cap = context.policy.observe.time_cap.total_seconds()
        return KeyRange(
            error=f"it took longer than {cap:g} s. Create an index on"
            f" {quote(seen.section.column)}, or raise observe.time_cap"
        )
    except UnreachableError:
        raise
    except MaintenanceError as exc:
        return KeyRange(error=str(exc))
    return KeyRange(first, last, has_nulls)


def _is_indexed(seen: ConvertibleTable) -> bool:
    """Whether an index gives the ends of the key without a scan of the table."""
    return any(
        each.definition["columns"][:1] == [seen.section.column]
        and " USING btree " in each.definition["text"]
        and " WHERE " not in each.definition["text"]
        for each in seen.of("index")
    )


def _read_keys(
    context: ObserveContext, seen: ConvertibleTable
) -> tuple[str | None, str | None, bool]:
    key, table = quote(seen.section.column), seen.name
    is_nullable = seen.key is not None and not seen.key.definition["not_null"]
    nulls = f"EXISTS (SELECT FROM ONLY {table} WHERE {key} IS NULL)" if is_nullable else "false"
    # qualified: `ORDER BY key` alone would mean the result, which is text
    ends = (
        f"(SELECT t.{key}::text FROM ONLY {table} AS t WHERE t.{key} IS NOT NULL"
        f" ORDER BY t.{key}{order} LIMIT 1)"
        for order in ("", " DESC")
    )
    query = "SELECT {} AS first, {} AS last, {} AS has_nulls".format(*ends, nulls)
    doing = f"reading the range of {seen.section.column}"
    connection, code = context.connection, seen.table.code
    if code is not None:
        (row,) = read_as_owner(connection, code, query, context.policy.observe.time_cap, doing)
        return row["first"], row["last"], row["has_nulls"]
    try:
        found = connection.execute(query.encode()).fetchone()
    except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled):
        raise
    except psycopg.Error as exc:
        raise to_error(exc, doing) from exc
    assert found is not None, "it returns one row"
    return found[0], found[1], found[2]


def _new_names(seen: ConvertibleTable, target: Target) -> Iterator[QualifiedName]:
    """Yield the names that the conversion gives to relations."""
    first, schema = target.first, seen.name.schema
    yield first
    yield from (name for name, _ in target.following)
    for index in seen.of("index"):
        yield QualifiedName(schema, other_name(index.name, seen.name.name, first.name))
