"""Find relations whose reading runs code of their owner, and read them with the owner's rights.

A query runs the functions of views, virtual columns and domains. Its planning already evaluates
constants in CHECKs, indexes and statistics of a table and in partition keys, as the current role.
So rows of such a relation are read with its owner's rights.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from maintenance.catalog.models import OwnerCode, Table
from maintenance.errors import PrivilegeError
from maintenance.server.owner_rights import OwnerRights
from maintenance.server.owner_sessions import OwnerSessions, read_as
from maintenance.server.session import Connection, fetch


def owner_code(connection: Connection, oids: Collection[int]) -> dict[int, OwnerCode]:
    """Return the relations whose reading runs their owner's code, by OID.

    Raises:
        psycopg.Error: the catalog could not be read.
    """
    if not oids:
        return {}
    rows = fetch(connection, "catalog", "list_owner_code", {"relations": sorted(oids)})
    return {row.oid: OwnerCode(row.owner, not row.trusted, row.what) for row in rows}


def with_code(connection: Connection, tables: Sequence[Table]) -> list[Table]:
    """Return tables with the code of other roles that reading them runs."""
    found = owner_code(connection, [table.oid for table in tables])
    return [replace(table, code=found.get(table.oid)) for table in tables]


def read_as_owner(
    connection: Connection,
    code: OwnerCode,
    query: str,
    time_cap: timedelta | None,
    doing: str,
    sessions: OwnerSessions | None = None,
) -> list[dict[str, Any]]:
    """Run a query with the rights of a relation's owner; return its rows by column.

    Args:
        connection: gives server, database and role of the session that is opened for it.
        code: of the relation.
        query: finished SQL whose names are qualified and whose columns have names.
        time_cap: for the query; None for that of the session.
        doing: the purpose; errors begin with it.
        sessions: for several such queries in sequence.

    Raises:
        psycopg.Error: as the server raised it.
        PrivilegeError: it can't be run with the owner's rights; the hint has the remedy.
    """
    if not code.safe:
        raise PrivilegeError(
            f"{doing}: refused: this would run {code.what} with the rights of {code.owner}",
            hint="make one role the owner of both the table and the code",
        )
    return read_as(connection, OwnerRights(code.owner), query, time_cap, doing, sessions)
