"""Read the catalog with a few set-based queries, each read-only and with a time cap."""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any, Generic, NamedTuple, TypeVar

import psycopg

from maintenance import names
from maintenance.catalog.default_counts import count_default
from maintenance.catalog.default_rows import Contents, obstacle_of, read_each, read_together
from maintenance.catalog.models import (
    Buckets,
    Child,
    Column,
    ColumnSetting,
    Common,
    Detail,
    Grant,
    Obstacle,
    Own,
    Partition,
    Place,
    Properties,
    Server,
    Shared,
    Snapshot,
    Table,
    Unseen,
)
from maintenance.catalog.objects import own_objects
from maintenance.catalog.owner_code import with_code
from maintenance.catalog.related_tables import (
    differences,
    marked_tables,
    schema_rights,
    schemas_of,
    shared_properties,
    unattached_tables,
)
from maintenance.catalog.tree_observe import Children, drifted_branches, grown, unreadable
from maintenance.errors import MaintenanceError, UnreachableError
from maintenance.names import QualifiedName
from maintenance.server.read_retry import read_with_retry
from maintenance.server.session import (
    Connection,
    fetch,
    fetch_together,
    read_transaction,
    to_error,
)

MOST_DRIFTED = 200
"""How many differing partitions one observation describes."""

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


def identify(connection: Connection) -> Server:
    """Read version, database, role and clock of a server in one round trip."""
    before = datetime.now(UTC)
    (row,), (roles,) = fetch_together(
        connection,
        [("catalog", "identify", None), ("server", "list_privileged_roles", None)],
    )
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
        superusers=frozenset(roles.superusers),
        administrators=frozenset(roles.administrators),
    )


def observe(
    connection: Connection,
    relations: Collection[QualifiedName],
    *,
    time_cap: timedelta,
    sleep: Callable[[float], None] = time.sleep,
    rows: bool = True,
) -> Snapshot:
    """Observe the named relations and their partitions.

    Args:
        connection: a session on the database.
        relations: their names.
        time_cap: of each query.
        sleep: waits between two attempts.
        rows: whether to look if default partitions have rows, with the rights of their owners.

    A table that is locked in ACCESS EXCLUSIVE mode at every attempt is not planned and named in
    `blind`; one that can't be read is named in `failed`. Other tables are not affected.

    Raises:
        UnreachableError: the connection is lost.
        MaintenanceError: not even the server's identity could be read.
    """
    server = identify(connection)
    finding_set = _settled(connection, relations, _Look(time_cap, rows), sleep)
    failed = dict(finding_set.failed)
    tables = {table.relation: table for table in finding_set.contents.tables}
    homes = {r: schemas_of(tables[r]) if r in tables else {r.schema} for r in relations}
    schemas = sorted(set(chain.from_iterable(homes.values())))
    marked = _each_or_all(
        schemas,
        lambda some: marked_tables(connection, some),
        "reading the marked tables of its schemas",
    )
    failed |= {
        relation: marked.failed[schema]
        for relation, own in homes.items()
        for schema in own.intersection(marked.failed)
    }
    unattached = _each_or_all(
        list(tables.values()),
        lambda some: unattached_tables(connection, some),
        "reading unattached tables",
    )
    failed |= {table.relation: text for table, text in unattached.failed.items()}
    return Snapshot(
        server=server,
        tables=tables,
        missing=_missing(connection, set(relations) - tables.keys() - failed.keys()),
        blind=_passing(finding_set.contents),
        failed=failed,
        marked=tuple(chain.from_iterable(marked.found)),
        unattached=tuple(chain.from_iterable(unattached.found)),
    )


def fetch_details(
    connection: Connection, snapshot: Snapshot, details: Collection[Detail]
) -> Snapshot:
    """Add requested details to a snapshot.

    Args:
        connection: the session that took the snapshot.
        snapshot: to be added to.
        details: names, to check which of them are taken and by which kind of relation; buckets,
            to count rows of a default partition; shared properties and own objects of partitions.
    """
    named = {each for each in details if isinstance(each, QualifiedName)}
    if named:
        rows = fetch(connection, "catalog", "list_names", _pairs(named))
        taken = {QualifiedName(r.schema, r.name): r.kind for r in rows}
        snapshot = replace(snapshot, taken=taken)
    for each in details:
        if isinstance(each, Buckets):
            snapshot = _counted(connection, snapshot, each)
    parents = [each.relation for each in details if isinstance(each, Common)]
    snapshot = _with_common(connection, snapshot, parents)
    places = {each for each in details if isinstance(each, Place)}
    if places:
        snapshot = replace(snapshot, places=schema_rights(connection, places))
    return _with_objects(connection, snapshot, _own_details(snapshot, details, parents))


def _own_details(
    snapshot: Snapshot, details: Collection[Detail], parents: Collection[QualifiedName]
) -> list[Own]:
    """Return the requested details, and those needed to copy a table with row-level security."""
    asked = [each for each in details if isinstance(each, Own)]
    rest = set(parents).difference(each.relation for each in asked)
    return asked + [
        Own(name, needed=True)
        for name in sorted(rest)
        if snapshot.tables[name].properties.row_security
    ]


def _with_objects(connection: Connection, snapshot: Snapshot, details: Collection[Own]) -> Snapshot:
    """Add own objects of partitions, which new partitions must get too."""
    answers = _each_or_all(
        list(details),
        lambda some: own_objects(connection, snapshot.tables, some),
        "reading own objects of its partitions",
    )
    told = {
        name: replace(snapshot.tables[name], objects=objects)
        for found in answers.found
        for name, objects in found.items()
    }
    unread = {
        name: "it is locked in ACCESS EXCLUSIVE mode"
        for name, table in told.items()
        if table.oid not in table.objects
    }
    failed = {own.relation: text for own, text in answers.failed.items()}
    return replace(
        snapshot,
        tables={**snapshot.tables, **told},
        blind={**snapshot.blind, **unread},
        failed={**snapshot.failed, **failed},
    )


def _with_common(
    connection: Connection, snapshot: Snapshot, parents: Collection[QualifiedName]
) -> Snapshot:
    if not parents:
        return snapshot
    tables = {snapshot.tables[name].oid: snapshot.tables[name] for name in parents}
    answers = _each_or_all(
        list(tables),
        lambda some: shared_properties(connection, some),
        "reading shared properties of its partitions",
    )
    shared = {oid: found for answer in answers.found for oid, found in answer.items()}
    told = {
        table.relation: replace(table, shared=shared.get(oid, Shared()))
        for oid, table in tables.items()
    }
    failed = {tables[oid].relation: text for oid, text in answers.failed.items()}
    return replace(
        snapshot, tables={**snapshot.tables, **told}, failed={**snapshot.failed, **failed}
    )


def _counted(connection: Connection, snapshot: Snapshot, buckets: Buckets) -> Snapshot:
    table = snapshot.tables[buckets.relation]
    try:
        rows = count_default(connection, table, buckets.bounds)
    except psycopg.errors.LockNotAvailable:
        reason = "its default partition is locked in ACCESS EXCLUSIVE mode"
        return replace(snapshot, blind={**snapshot.blind, table.relation: reason})
    except UnreachableError:
        raise
    except MaintenanceError as exc:
        unseen = Unseen(Obstacle.ERROR, str(exc))
        counted = replace(table, default_has_rows=None, default_unseen=unseen)
    else:
        counted = replace(table, default_rows=rows)
    return replace(snapshot, tables={**snapshot.tables, table.relation: counted})


class _Observed(NamedTuple):
    """The observed relations, and those that could not be read."""

    contents: Contents
    failed: Mapping[QualifiedName, str]


class _Look(NamedTuple):
    """How relations are read: the time cap of each query, and whether rows are looked for."""

    time_cap: timedelta
    rows: bool = True


def _settled(
    connection: Connection,
    relations: Collection[QualifiedName],
    look: _Look,
    sleep: Callable[[float], None],
) -> _Observed:
    """Observe until no lock is met, or the attempts are used up."""
    if not relations:
        return _Observed(Contents(()), {})
    try:
        return read_with_retry(
            lambda: _Observed(_look(connection, relations, look), {}),
            last=lambda: _look_at_each(connection, relations, look),
            is_complete=lambda observed: not _passing(observed.contents),
            sleep=sleep,
        )
    except UnreachableError:
        raise
    except MaintenanceError:
        return _look_at_each(connection, relations, look)


def _look_at_each(
    connection: Connection, relations: Collection[QualifiedName], look: _Look
) -> _Observed:
    """Observe all together, else each separately, so that an error affects only its table."""
    answers = _each_or_all(
        sorted(relations),
        lambda some: _look(connection, some, look),
        "observing the catalog",
    )
    contents = Contents(
        [table for each in answers.found for table in each.tables],
        {name: text for each in answers.found for name, text in each.passing.items()},
    )
    return _Observed(contents, answers.failed)


class _Answers(NamedTuple, Generic[Asked, Answer]):
    """The results, and the failed items with their errors."""

    found: Sequence[Answer]
    failed: Mapping[Asked, str]


def _each_or_all(
    asked: Sequence[Asked], ask: Callable[[Sequence[Asked]], Answer], doing: str
) -> _Answers[Asked, Answer]:
    """Query all items together; if that fails, each separately.

    Raises:
        UnreachableError: the connection is lost.
    """
    if not asked:
        return _Answers((), {})
    answer = _attempt(asked, ask, doing)
    if not isinstance(answer, MaintenanceError):
        return _Answers([answer], {})
    found: list[Answer] = []
    failed: dict[Asked, str] = {}
    for one in asked:
        answer = _attempt([one], ask, doing)
        if isinstance(answer, MaintenanceError):
            failed[one] = str(answer)
        else:
            found.append(answer)
    return _Answers(found, failed)


def _attempt(
    asked: Sequence[Asked], ask: Callable[[Sequence[Asked]], Answer], doing: str
) -> Answer | MaintenanceError:
    try:
        return ask(asked)
    except UnreachableError:
        raise
    except MaintenanceError as exc:
        return exc
    except psycopg.Error as exc:
        error = to_error(exc, doing)
        if isinstance(error, UnreachableError):
            raise error from exc
        return error


def _look(connection: Connection, relations: Collection[QualifiedName], look: _Look) -> Contents:
    with read_transaction(connection, look.time_cap, "observing the catalog"):
        tables = _tables(connection, relations)
        if not look.rows:
            return Contents(tables)
        # The last statement of its transaction: if it fails, nothing else is lost.
        with suppress(psycopg.Error):
            return read_together(connection, tables)
    return read_each(connection, tables, look.time_cap)


def _tables(connection: Connection, relations: Collection[QualifiedName]) -> list[Table]:
    rows = fetch(connection, "catalog", "list_tables", _pairs(relations))
    parents = [row.oid for row in rows if row.kind == "p"]
    found, differing = _partitions(connection, parents)
    children = grown(connection, found)
    # A parent's own statistics targets are not in the rows of its partitions.
    suspects = differing.union(row.oid for row in rows if row.kind == "p" and row.targets)
    drifted = _drifted(connection, suspects, children)
    odd = differences(connection, parents, differing, MOST_DRIFTED)
    tables = [
        replace(
            _table(row, tuple(children.get(row.oid, ()))),
            drifted=tuple(drifted[row.oid]),
            differences=tuple(odd[row.oid]),
        )
        for row in rows
    ]
    return with_code(connection, tables)


def _partitions(
    connection: Connection, parents: list[int]
) -> tuple[dict[int, list[Partition]], set[int]]:
    """Return partitions by parent, and the parents with partitions that may differ."""
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
    """Read the properties of partitions that may differ from their parents; usually none."""
    found = drifted_branches(connection, children, MOST_DRIFTED)
    if suspects:
        parameters = {"parents": sorted(suspects), "most": MOST_DRIFTED}
        found = fetch(connection, "catalog", "list_drifted_partitions", parameters) + found
    parent_of = {QualifiedName(row.schema, row.name): row.parent for row in found}
    drifted: dict[int, list[Child]] = defaultdict(list)
    if parent_of:
        for row in fetch(connection, "catalog", "list_tables", _pairs(parent_of)):
            child = _table(row, ())
            drifted[parent_of[child.relation]].append(
                Child(child.relation, child.properties, child.oid)
            )
    return drifted


def _table(row: Any, partitions: tuple[Partition, ...]) -> Table:
    default = next((child for child in partitions if child.is_default), None)
    unseen = None
    if default is not None:
        unseen = obstacle_of(
            default, secured=bool(row.default_secured), readable=bool(row.default_readable)
        )
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
        secured=row.secured,
        lends=row.lends,
        owner_creates=row.owner_creates,
        creatable=row.creatable,
        foreign_keys=tuple(QualifiedName(*name) for name in row.foreign_keys or ()),
        referenced_by=tuple(QualifiedName(*name) for name in row.referenced_by or ()),
        default_unseen=unseen,
        default_checks=tuple(row.default_checks or ()),
        partitions=partitions,
    )


def _passing(contents: Contents) -> dict[QualifiedName, str]:
    """Return the tables to retry, with the reason: locked, or replaced during the observation."""
    blind = dict(contents.passing)
    for table in contents.tables:
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
