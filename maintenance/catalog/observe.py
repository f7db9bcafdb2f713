"""Reading the catalog: a few set-based queries, each short, read-only and capped in time."""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import psycopg

from maintenance import names
from maintenance.catalog.beside import marked_tables, unattached_tables
from maintenance.catalog.comparing import oddities, shared_properties
from maintenance.catalog.counting import count_default
from maintenance.catalog.growing import Children, drifted_branches, grown, unreadable
from maintenance.catalog.models import (
    Buckets,
    Child,
    Column,
    ColumnSetting,
    Common,
    Grant,
    Partition,
    Properties,
    Question,
    Server,
    Shared,
    Snapshot,
    Table,
)
from maintenance.names import QualifiedName
from maintenance.server.session import Connection, brief, explain, fetch

MOST_DRIFTED = 200
"""How many partitions that differ from their parents one look describes."""

PAUSES_S = (0.15, 0.3, 0.6)
"""After a look that met somebody's ACCESS EXCLUSIVE lock, so long until the next one."""


def identify(connection: Connection) -> Server:
    """Ask a server who it is; one round trip."""
    before = datetime.now(UTC)
    (row,) = fetch(connection, "catalog", "identify")
    ours = before + (datetime.now(UTC) - before) / 2
    return Server(
        version=connection.info.server_version,
        database=row.database,
        role=row.role,
        is_superuser=row.is_superuser,
        in_recovery=row.in_recovery,
        encoding=row.encoding,
        clock_skew_s=(row.server_now - ours).total_seconds(),
        monitors=row.monitors,
    )


def observe(
    connection: Connection,
    relations: Collection[QualifiedName],
    *,
    time_cap: timedelta,
    sleep: Callable[[float], None] = time.sleep,
) -> Snapshot:
    """Look at the named relations and their partitions.

    A table that stays behind somebody's ACCESS EXCLUSIVE lock for all of the looks is left
    out of what may be planned and named in `blind`; the others are not held up by it.

    Raises:
        MaintenanceError: the server refused a query, or a query outlasted the cap.
    """
    server = identify(connection)
    tables = _settled(connection, relations, time_cap, sleep)
    return Snapshot(
        server=server,
        tables={table.relation: table for table in tables},
        missing=_missing(connection, set(relations) - {table.relation for table in tables}),
        blind=_unreadable(tables),
        marked=marked_tables(connection, relations),
        unattached=unattached_tables(connection, tables),
    )


def look_up(
    connection: Connection,
    snapshot: Snapshot,
    wanted: Collection[Question],
) -> Snapshot:
    """Add to a snapshot what planners ask about once they have seen it.

    Args:
        connection: the session that took the snapshot.
        snapshot: to be added to.
        wanted: names, to learn which of them are taken and by what kind of relation; buckets, to
            learn how many rows of a default partition each holds; what partitions have in common.
    """
    named = [question for question in wanted if isinstance(question, QualifiedName)]
    if named:
        rows = fetch(connection, "catalog", "list_names", _pairs(named))
        taken = {QualifiedName(r.schema, r.name): r.kind for r in rows}
        snapshot = replace(snapshot, taken=taken)
    for question in wanted:
        if isinstance(question, Buckets):
            snapshot = _counted(connection, snapshot, question)
    parents = [question.relation for question in wanted if isinstance(question, Common)]
    return _with_common(connection, snapshot, parents)


def _with_common(
    connection: Connection, snapshot: Snapshot, parents: Collection[QualifiedName]
) -> Snapshot:
    tables = {name: snapshot.tables[name] for name in parents}
    shared = shared_properties(connection, [table.oid for table in tables.values()])
    told = {
        name: replace(table, shared=shared.get(table.oid, Shared()))
        for name, table in tables.items()
    }
    return replace(snapshot, tables={**snapshot.tables, **told}) if told else snapshot


def _counted(connection: Connection, snapshot: Snapshot, question: Buckets) -> Snapshot:
    table = snapshot.tables[question.relation]
    try:
        rows = count_default(connection, table, question.bounds)
    except psycopg.errors.LockNotAvailable:
        reason = "its default partition is locked in ACCESS EXCLUSIVE mode"
        return replace(snapshot, blind={**snapshot.blind, table.relation: reason})
    counted = replace(table, default_rows=rows)
    return replace(snapshot, tables={**snapshot.tables, table.relation: counted})


def _settled(
    connection: Connection,
    relations: Collection[QualifiedName],
    time_cap: timedelta,
    sleep: Callable[[float], None],
) -> list[Table]:
    """Look until nothing is in the way, or the looks are used up."""
    if not relations:
        return []
    for pause in PAUSES_S:
        with suppress(psycopg.errors.LockNotAvailable):
            tables = _look(connection, relations, time_cap)
            if not _unreadable(tables):
                return tables
        sleep(pause)
    try:
        return _look(connection, relations, time_cap)
    except psycopg.errors.LockNotAvailable as exc:
        raise explain(exc, "observing the catalog") from exc


def _look(
    connection: Connection, relations: Collection[QualifiedName], time_cap: timedelta
) -> list[Table]:
    with brief(connection, time_cap, "observing the catalog"):
        return _tables(connection, relations)


def _tables(connection: Connection, relations: Collection[QualifiedName]) -> list[Table]:
    rows = fetch(connection, "catalog", "list_tables", _pairs(relations))
    parents = [row.oid for row in rows if row.kind == "p"]
    found, differing = _partitions(connection, parents)
    children = grown(connection, found)
    # A parent's own statistics targets are not to be seen in the rows of its partitions.
    suspects = differing.union(row.oid for row in rows if row.kind == "p" and row.targets)
    drifted = _drifted(connection, suspects, children)
    odd = oddities(connection, parents, differing, MOST_DRIFTED)
    tables = [
        replace(
            _table(row, tuple(children.get(row.oid, ()))),
            drifted=tuple(drifted[row.oid]),
            oddities=tuple(odd[row.oid]),
        )
        for row in rows
    ]
    occupied = _occupied_defaults(connection, tables)
    return [
        replace(t, default_has_rows=occupied[t.oid]) if t.oid in occupied else t for t in tables
    ]


def _partitions(
    connection: Connection, parents: list[int]
) -> tuple[dict[int, list[Partition]], set[int]]:
    """Return partitions by parent, and the parents some of whose partitions may differ."""
    children: dict[int, list[Partition]] = defaultdict(list)
    differing: set[int] = set()
    if parents:
        rows = fetch(connection, "catalog", "list_partitions", {"parents": parents})
        for parent, oid, schema, name, kind, pending, pages, n_rows, bound, differs in rows:
            relation = QualifiedName(schema, name)
            child = Partition(oid, relation, kind, pending, pages, n_rows, bound)
            children[parent].append(child)
            if differs:
                differing.add(parent)
    return children, differing


def _drifted(
    connection: Connection, suspects: Collection[int], children: Children
) -> dict[int, list[Child]]:
    """Look closer at partitions that may differ from their parents; usually there are none."""
    found = drifted_branches(connection, children, MOST_DRIFTED)
    if suspects:
        parameters = {"parents": sorted(suspects), "most": MOST_DRIFTED}
        found = fetch(connection, "catalog", "list_drifted_partitions", parameters) + found
    parent_of = {QualifiedName(row.schema, row.name): row.parent for row in found}
    drifted: dict[int, list[Child]] = defaultdict(list)
    if parent_of:
        for row in fetch(connection, "catalog", "list_tables", _pairs(parent_of)):
            child = _table(row, ())
            drifted[parent_of[child.relation]].append(Child(child.relation, child.properties))
    return drifted


def _table(row: Any, partitions: tuple[Partition, ...]) -> Table:
    return Table(
        oid=row.oid,
        relation=QualifiedName(row.schema, row.name),
        kind=row.kind,
        columns=tuple(Column(*column) for column in row.columns or ()),
        properties=Properties(
            owner=row.owner,
            replica_identity=row.replica_identity,
            row_security=row.row_security,
            force_row_security=row.force_row_security,
            tablespace=row.tablespace,
            grants=tuple(Grant(*g) for g in chain(row.grants or [], row.column_grants or [])),
            owner_lacks=tuple(row.owner_lacks or ()),
            default_grantees=tuple(row.default_grantees or ()),
            targets=tuple(ColumnSetting(*target) for target in row.targets or ()),
            access_method=row.access_method,
        ),
        key_strategy=row.key_strategy,
        key_columns=tuple(row.key_columns or ()),
        manageable=row.manageable,
        creatable=row.creatable,
        foreign_keys=tuple(QualifiedName(*name) for name in row.foreign_keys or ()),
        referenced_by=tuple(QualifiedName(*name) for name in row.referenced_by or ()),
        default_checks=tuple(row.default_checks or ()),
        partitions=partitions,
    )


def _occupied_defaults(connection: Connection, tables: Iterable[Table]) -> dict[int, bool]:
    """Look into all default partitions that we may read, in one statement."""
    looks = [
        f"SELECT {t.oid}::oid, CASE WHEN pg_catalog.has_table_privilege({d.oid}, 'SELECT')"
        f" THEN EXISTS (SELECT FROM {d.relation}) END"
        for t in tables
        if (d := t.default) is not None
    ]
    if not looks:
        return {}
    rows = connection.execute(" UNION ALL ".join(looks).encode()).fetchall()
    return dict(rows)


def _unreadable(tables: Iterable[Table]) -> dict[QualifiedName, str]:
    blind: dict[QualifiedName, str] = {}
    for table in tables:
        for child in table.partitions:
            locked = unreadable(child)
            if locked is not None:
                blind[table.relation] = f"{locked} is locked in ACCESS EXCLUSIVE mode"
    return blind


def _missing(
    connection: Connection, absent: Collection[QualifiedName]
) -> dict[QualifiedName, tuple[str, ...]]:
    if not absent:
        return {}
    rows = fetch(connection, "catalog", "list_near_names")
    known = {r.name: str(QualifiedName(r.schema, r.name)) for r in rows}
    return {
        relation: tuple(known[name] for name in names.near(relation.name, known))
        for relation in absent
    }


def _pairs(relations: Iterable[QualifiedName]) -> dict[str, list[str]]:
    ordered = sorted(relations)
    return {"schemas": [r.schema for r in ordered], "names": [r.name for r in ordered]}
