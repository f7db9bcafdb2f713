"""Read what runs have left in a database and in its store."""

from collections.abc import Mapping, Sequence
from typing import Any

from maintenance.catalog.observe import identify
from maintenance.ddl.marks import read_mark
from maintenance.names import QualifiedName, parse_name, quote
from maintenance.server.read_retry import read_with_retry
from maintenance.server.session import Connection, fetch
from maintenance.store import is_ready
from maintenance.subjects.bloat.history import rebuilds_of
from maintenance.subjects.bloat.models import Leftover
from maintenance.subjects.bloat.observe import list_leftovers
from maintenance.subjects.bloat.plan import ours_among
from maintenance.subjects.partitions.drain.job import DRAINED
from maintenance.uninstall.models import (
    Helper,
    Marked,
    PendingDetach,
    Remains,
    Served,
    StoreObject,
    UnfinishedIndex,
)


def observe(connection: Connection, store: Connection, database: str) -> Remains:
    """Read what runs have left.

    Args:
        connection: a session on the maintained database.
        store: a session on the database of the store, which may have none.
        database: the policy's name of the database.

    Raises:
        psycopg.Error: the catalog or the store could not be read.
        PrivilegeError: our role may not read the store.
    """
    server = identify(connection)
    objects = [StoreObject(*row) for row in _read(store, "list_store")]
    is_store = any(each.name == "migration" for each in objects)
    has_history = is_store and is_ready(store)
    return Remains(
        database=database,
        role=server.role,
        is_superuser=server.is_superuser,
        marked=_with_owners_of_drained(
            connection, [_marked(row) for row in _read(connection, "list_marks")]
        ),
        helpers=_helpers(connection, store if has_history else None, database),
        builds=_builds(connection, store, database) if has_history else (),
        indexes=_indexes(connection, store, database) if has_history else (),
        pending=_pending(connection, store if has_history else None, database),
        store=objects,
        served=[Served(*row) for row in _read(store, "list_databases")] if has_history else (),
        store_role=identify(store).role,
        is_store_old=is_store and not has_history,
    )


def _read(connection: Connection, name: str) -> list[Any]:
    return read_with_retry(lambda: fetch(connection, "uninstall", name))


def _builds(connection: Connection, store: Connection, database: str) -> Sequence[Leftover]:
    """Return the invalid indexes that a rebuild or a build of ours left, by the history."""
    invalid = list_leftovers(connection)
    rebuilt = list(ours_among(invalid, rebuilds_of(store, database)))
    rest = [each for each in invalid if each not in rebuilt and not each.is_building]
    heads = {e.oid: f" CONCURRENTLY {quote(e.relation.name)} ON {e.table} " for e in rest}
    begun = _begun(store, database, heads)
    return [*rebuilt, *(each for each in rest if each.oid in begun)]


def _begun(store: Connection, database: str, heads: Mapping[int, str]) -> frozenset[int]:
    """Return the OIDs of the indexes that a run began to build, given their part of the text."""
    if not heads:
        return frozenset()
    parameters = {"database": database, "oids": list(heads), "heads": list(heads.values())}
    rows = fetch(store, "uninstall", "list_begun_builds", parameters)
    return frozenset(row.oid for row in rows)


def _indexes(connection: Connection, store: Connection, database: str) -> Sequence[UnfinishedIndex]:
    rows = {row.oid: row for row in _read(connection, "list_unfinished_indexes")}
    found = {
        oid: UnfinishedIndex(
            QualifiedName(row.schema, row.name), QualifiedName(row.table_schema, row.table_name)
        )
        for oid, row in rows.items()
    }
    heads = {oid: f" {quote(e.relation.name)} ON ONLY {e.table} " for oid, e in found.items()}
    begun = _begun(store, database, heads)
    return [each for oid, each in found.items() if oid in begun]


def _pending(
    connection: Connection, store: Connection | None, database: str
) -> Sequence[PendingDetach]:
    rows = _read(connection, "list_pending")
    about = {"database": database, "relations": [row.oid for row in rows]}
    known = fetch(store, "store", "list_detached", about) if store is not None and rows else []
    ours = {row.relation_oid for row in known}
    return [
        PendingDetach(
            QualifiedName(row.parent_schema, row.parent),
            QualifiedName(row.schema, row.name),
            row.oid in ours,
        )
        for row in rows
    ]


def _marked(row: Any) -> Marked:
    return Marked(
        row.oid,
        QualifiedName(row.schema, row.name),
        row.part,
        row.kind,
        row.comment,
        row.owner,
        row.is_ours,
        row.attached,
        row.has_rows,
        row.size_bytes,
        row.is_valid,
    )


def _with_owners_of_drained(connection: Connection, marked: Sequence[Marked]) -> list[Marked]:
    """Return what is marked; of logs of drains, with the owner of the table that the mark names."""
    drained = {each.oid: name for each in marked if (name := _drained(each.comment)) is not None}
    if not drained:
        return list(marked)
    names = list(drained.values())
    wanted = {"schemas": [e.schema for e in names], "names": [e.name for e in names]}
    rows = read_with_retry(lambda: fetch(connection, "uninstall", "list_owners", wanted))
    owners = {QualifiedName(row.schema, row.name): row.owner for row in rows}
    return [
        each._replace(drained_owner=owners.get(drained[each.oid])) if each.oid in drained else each
        for each in marked
    ]


def _drained(comment: str) -> QualifiedName | None:
    try:
        return parse_name(str(read_mark(comment)[DRAINED]))
    except (KeyError, ValueError):
        return None


def _helpers(connection: Connection, store: Connection | None, database: str) -> Sequence[Helper]:
    found = [_helper(row) for row in _read(connection, "list_helpers")]
    about = {"database": database}
    known = fetch(store, "uninstall", "list_conversions", about) if store is not None else []
    converted = {row.object for row in known}
    return [
        each._replace(is_proven=each.is_proven and str(each.relation) in converted)
        if each.kind == "conversion check"
        else each
        for each in found
    ]


def _helper(row: Any) -> Helper:
    return Helper(
        row.oid,
        row.kind,
        QualifiedName(row.schema, row.name),
        row.part,
        row.owner,
        row.is_ours,
        row.is_proven,
        tuple(QualifiedName(*each) for each in row.partitions or ()),
        row.size_bytes,
    )
