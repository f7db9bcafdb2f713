"""Which relations can't be read without running code of their owner, and reading those.

A query runs the functions of a view, of a virtual column and of a domain. And already its planning
evaluates constants in the CHECKs, indexes and statistics of a table, and in partition keys, as
whoever asks. So rows of such a relation are read with its owner's rights.
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
    """Return those relations that can't be read without running their owner's code, by OID.

    Raises:
        psycopg.Error: the catalog could not be read.
    """
    if not oids:
        return {}
    rows = fetch(connection, "catalog", "list_owner_code", {"relations": sorted(oids)})
    return {row.oid: OwnerCode(row.owner, not row.trusted, row.what) for row in rows}


def with_code(connection: Connection, tables: Sequence[Table]) -> list[Table]:
    """Return tables with what reading them runs of the code of others."""
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
    """Return the rows of a query, by column, run with the rights of a relation's owner.

    Args:
        connection: beside which a session is opened for it.
        code: of the relation.
        query: finished SQL whose names are qualified and whose columns have names.
        time_cap: for the query; None for that of the session.
        doing: what it is for; errors begin with it.
        sessions: where several such queries come one after the other.

    Raises:
        psycopg.Error: as the server raised it.
        PrivilegeError: it can't be run with the owner's rights; the hint says what to do.
    """
    if not code.safe:
        raise PrivilegeError(
            f"{doing}: it would run {code.what} with the rights of {code.owner}",
            hint="let one role own both the table and the code",
        )
    return read_as(connection, OwnerRights(code.owner), query, time_cap, doing, sessions)
