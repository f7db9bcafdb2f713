"""Whether default partitions hold rows: one statement for all, else one for each by itself."""

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
    """Tables with what is known of their default partitions, and why to look again at some."""

    tables: Sequence[Table]
    passing: Mapping[QualifiedName, str] = MappingProxyType({})


def obstacle_of(default: Partition, *, secured: bool, readable: bool) -> Unseen | None:
    """Return why a default partition must not be read, if so.

    A foreign table is never touched: its server may let a session wait for ever.
    """
    foreign = next((str(b.relation) for b in default.whole.branches if b.kind == "f"), None)
    if foreign is not None:
        return Unseen(Obstacle.FOREIGN, foreign)
    if secured:
        return Unseen(Obstacle.ROW_SECURITY)
    return None if readable else Unseen(Obstacle.PRIVILEGE)


def read_together(connection: Connection, tables: Sequence[Table]) -> Contents:
    """Look into all default partitions at once, in the caller's transaction.

    Raises:
        psycopg.Error: one of them could not be read, and the transaction has failed.
    """
    with OwnerSessions() as sessions:
        tables = [_seen_as_owner(connection, sessions, t) if _runs_code(t) else t for t in tables]
    asked = [t for t in tables if _is_local(t) and not _runs_code(t)]
    if not asked:
        return Contents(tables)
    looks = (f"SELECT {t.oid}::oid, {_question(t)}" for t in asked)
    found = dict(connection.execute(" UNION ALL ".join(looks).encode()).fetchall())
    return Contents([_told(t, found[t.oid]) if t.oid in found else t for t in tables])


def read_each(connection: Connection, tables: Iterable[Table], time_cap: timedelta) -> Contents:
    """Look into default partitions one by one: an error stays with its table.

    Raises:
        UnreachableError: the session is gone.
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
                passing[table.relation] = "its default partition was dropped or renamed meanwhile"
            unseen = Unseen(Obstacle.ERROR, str(exc))
            known.append(replace(table, default_unseen=unseen))
    return Contents(known, passing)


def _read_alone(connection: Connection, table: Table, time_cap: timedelta) -> Sequence[Table]:
    if not _is_local(table):
        return [table]
    with read_transaction(connection, time_cap, "looking into its default partition"):
        return read_together(connection, [table]).tables


def _runs_code(table: Table) -> bool:
    return table.code is not None and table.default is not None and table.default_unseen is None


def _seen_as_owner(connection: Connection, sessions: OwnerSessions, table: Table) -> Table:
    """Look into the default partition of a table as its owner: that runs the owner's code.

    Raises:
        psycopg.errors.LockNotAvailable: somebody holds it in ACCESS EXCLUSIVE mode.
    """
    assert table.code is not None, "only those are looked at so"
    query = f"SELECT {_question(table)} AS found"
    doing = "looking into its default partition"
    try:
        (row,) = read_as_owner(connection, table.code, query, None, doing, sessions)
    except psycopg.errors.LockNotAvailable:
        raise
    except psycopg.Error as exc:
        error = to_error(exc, doing)
        return replace(table, default_unseen=Unseen(Obstacle.ERROR, str(error)))
    except MaintenanceError as exc:
        told = f"{exc} ({exc.hint})" if exc.hint else str(exc)
        return replace(table, default_unseen=Unseen(Obstacle.ERROR, told))
    return replace(table, default_has_rows=bool(row["found"]))


def _is_local(table: Table) -> bool:
    unseen = table.default_unseen
    return table.default is not None and (unseen is None or unseen.obstacle is not Obstacle.FOREIGN)


def _question(table: Table) -> str:
    """Ask whether there are rows; of what we may not read, whether its files are empty."""
    assert table.default is not None, "only those are asked about"
    if table.default_unseen is None:
        return f"EXISTS (SELECT FROM {table.default.relation})"
    leaves = [branch.oid for branch in table.default.whole.leaves]
    sizes = " + ".join(f"coalesce(pg_catalog.pg_relation_size({oid}), 0)" for oid in leaves) or "0"
    return f"CASE WHEN {sizes} = 0 THEN false END"


def _told(table: Table, has_rows: bool | None) -> Table:
    unseen = table.default_unseen
    if unseen is not None and has_rows is False:
        unseen = unseen._replace(is_empty=True)
    return replace(table, default_has_rows=has_rows, default_unseen=unseen)
