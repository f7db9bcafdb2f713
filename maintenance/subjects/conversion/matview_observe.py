"""Reads the materialized views on converted tables, and the twins that are to replace them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import psycopg

from maintenance.ddl.marks import read_mark
from maintenance.engine.observe_context import ObserveContext
from maintenance.errors import MaintenanceError
from maintenance.names import QualifiedName
from maintenance.server.session import Connection, fetch, owner_path, read_transaction
from maintenance.subjects.conversion.matviews import MARK, Twin
from maintenance.subjects.conversion.models import (
    PREFIX,
    ConvertibleTable,
    DependentMatview,
    Fact,
)


def with_matviews(context: ObserveContext, seen: ConvertibleTable) -> ConvertibleTable:
    """Return a plain table with the materialized views that read it.

    Call it in a transaction.
    """
    rows = _rows(context.connection, relations=[seen.table.oid])
    twins = tuple(_name(row) for row in rows if row.name.startswith(PREFIX))
    views = tuple(_read(context, row, row) for row in rows if not row.name.startswith(PREFIX))
    return replace(seen, matviews=views, orphans=twins)


def with_twins(
    context: ObserveContext, tables: Sequence[ConvertibleTable]
) -> tuple[ConvertibleTable, ...]:
    """Return partitioned tables with the twins that have not replaced their views yet.

    Raises:
        MaintenanceError: a view or what it reads is locked, or the server refused.
    """
    if not tables:
        return ()
    doing = "reading the materialized views on converted tables"
    try:
        with read_transaction(context.connection, context.policy.observe.time_cap, doing):
            oids = [each.table.oid for each in tables]
            rows = _rows(context.connection, relations=oids, twins=True)
            return tuple(_with_twins(context, each, rows) for each in tables)
    except psycopg.errors.LockNotAvailable as exc:
        raise MaintenanceError(f"{doing}: one is locked in ACCESS EXCLUSIVE mode") from exc


def _with_twins(
    context: ObserveContext, seen: ConvertibleTable, rows: Sequence[Any]
) -> ConvertibleTable:
    own = [row for row in rows if row.relation == seen.table.oid]
    names = [_original(row) for row in own]
    originals = {str(_name(row)): row for row in _rows(context.connection, names=names)}
    views: list[DependentMatview] = []
    orphans: list[QualifiedName] = []
    for row in own:
        original = originals.get(_original(row))
        view = _read(context, original, row) if original is not None else None
        if view is not None and Twin(view).name == _name(row) and not row.in_partition:
            views.append(view)
        else:
            orphans.append(_name(row))
    return replace(seen, matviews=tuple(views), orphans=tuple(orphans))


def _original(row: Any) -> str:
    """Return the qualified name of the view that a twin is to replace; empty if unknown."""
    return str(read_mark(row.comment).get(MARK, ""))


def _rows(
    connection: Connection,
    *,
    relations: Sequence[int] = (),
    names: Sequence[str] = (),
    twins: bool = False,
) -> list[Any]:
    if not relations and not names:
        return []
    named = [name for name in names if name]
    parameters = {"relations": list(relations), "names": named, "twins": twins}
    return fetch(connection, "conversion", "list_matviews", parameters)


def _read(context: ObserveContext, view: Any, text: Any) -> DependentMatview:
    rows = fetch(context.connection, "conversion", "list_facts", {"relation": view.oid})
    facts = tuple(Fact(row.kind, row.name, row.definition) for row in rows)
    path = owner_path(context.policy.database.search_path)
    return DependentMatview(_name(view), text.query, facts, view.size_bytes, path)


def _name(row: Any) -> QualifiedName:
    return QualifiedName(row.schema, row.name)
