"""Check whether default partitions have rows, with one statement for all or one for each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import NamedTuple

import psycopg

from maintenance.catalog.models import Obstacle, Partition, Table, Unseen
from maintenance.catalog.owner_code import read_as_owner
from maintenance.errors import MaintenanceError, UnreachableError
from maintenance.names import QualifiedName
from maintenance.server.owner_sessions import OwnerSessions
from maintenance.server.session import Connection, read_transaction, to_error


class Contents(NamedTuple):
    """Tables with the state of their default partitions, and the reasons to retry some."""

    tables: Sequence[Table]
    passing: Mapping[QualifiedName, str] = MappingProxyType({})


def obstacle_of(default: Partition, *, secured: bool, readable: bool) -> Unseen | None:
    """Return why a default partition must not be read; None if it may.

    A foreign table is never read: its server may let a session wait forever.
    """
    foreign = next((str(b.relation) for b in default.whole.branches if b.kind == "f"), None)
    if foreign is not None:
        return Unseen(Obstacle.FOREIGN, foreign)
    if secured:
        return Unseen(Obstacle.ROW_SECURITY)
    return None if readable else Unseen(Obstacle.PRIVILEGE)


def read_together(connection: Connection, tables: Sequence[Table]) -> Contents:
    """Check all default partitions with one statement, in the caller's transaction.

    Raises:
        psycopg.Error: one of them could not be read, and the transaction is aborted.
    """
    with OwnerSessions() as sessions:
        tables = [_seen_as_owner(connection, sessions, t) if _runs_code(t) else t for t in tables]
    asked = [t for t in tables if _is_local(t) and not _runs_code(t)]
    if not asked:
        return Contents(tables)
    looks = (f"SELECT {t.oid}::oid, {_question(t)}" for t in asked)
    found = dict(connection.execute(" UNION ALL ".join(looks).encode()).fetchall())
    return Contents([_with_result(t, found[t.oid]) if t.oid in found else t for t in tables])


def read_each(connection: Connection, tables: Iterable[Table], time_cap: timedelta) -> Contents:
    """Check default partitions one by one, so that an error affects only its table.

    Raises:
        UnreachableError: the connection is lost.
    """
    known: list[Table] = []
    passing: dict[QualifiedName, str] = {}
    for table in tables:
        try:
            known += _read_alone(connection, table, time_cap)
        except UnreachableError:
            raise
        except psycopg.errors.LockNotAvailable:
            known.append(table)
            passing[table.relation] = "its default partition is locked in ACCESS EXCLUSIVE mode"
        except MaintenanceError as exc:
            if isinstance(exc.__cause__, psycopg.errors.UndefinedTable):
                passing[table.relation] = (
                    "its default partition was dropped or renamed during the check"
                )
            unseen = Unseen(Obstacle.ERROR, str(exc))
            known.append(replace(table, default_unseen=unseen))
    return Contents(known, passing)


def _read_alone(connection: Connection, table: Table, time_cap: timedelta) -> Sequence[Table]:
    if not _is_local(table):
        return [table]
    with read_transaction(connection, time_cap, "reading its default partition"):
        return read_together(connection, [table]).tables


def _runs_code(table: Table) -> bool:
    return table.code is not None and table.default is not None and table.default_unseen is None


def _seen_as_owner(connection: Connection, sessions: OwnerSessions, table: Table) -> Table:
    """Check the default partition of a table as its owner, because it runs the owner's code.

    Raises:
        psycopg.errors.LockNotAvailable: it is locked in ACCESS EXCLUSIVE mode.
    """
    assert table.code is not None, "only called for tables with owner's code"
    query = f"SELECT {_question(table)} AS found"
    doing = "reading its default partition"
    try:
        (row,) = read_as_owner(connection, table.code, query, None, doing, sessions)
    except psycopg.errors.LockNotAvailable:
        raise
    except psycopg.Error as exc:
        error = to_error(exc, doing)
        return replace(table, default_unseen=Unseen(Obstacle.ERROR, str(error)))
    except MaintenanceError as exc:
        told = exc.with_hint
        return replace(table, default_unseen=Unseen(Obstacle.ERROR, told))
    return replace(table, default_has_rows=bool(row["found"]))


def _is_local(table: Table) -> bool:
    unseen = table.default_unseen
    return table.default is not None and (unseen is None or unseen.obstacle is not Obstacle.FOREIGN)


def _question(table: Table) -> str:
    """Return the query for whether there are rows; if not readable, whether its files are empty."""
    assert table.default is not None, "only called for tables with a default partition"
    if table.default_unseen is None:
        return f"EXISTS (SELECT FROM {table.default.relation})"
    leaves = [branch.oid for branch in table.default.whole.leaves]
    sizes = " + ".join(f"coalesce(pg_catalog.pg_relation_size({oid}), 0)" for oid in leaves) or "0"
    return f"CASE WHEN {sizes} = 0 THEN false END"


def _with_result(table: Table, has_rows: bool | None) -> Table:
    unseen = table.default_unseen
    if unseen is not None and has_rows is False:
        unseen = unseen._replace(is_empty=True)
    return replace(table, default_has_rows=has_rows, default_unseen=unseen)
