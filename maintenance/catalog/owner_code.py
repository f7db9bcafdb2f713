"""Which relations can't be read without running code of their owner, and reading those.

A query runs the functions of a view, of a virtual column and of a domain. And already its planning
evaluates constants in the CHECKs, indexes and statistics of a table, and in partition keys, as
whoever asks. So rows of such a relation are read with its owner's rights.
"""

from collections.abc import Collection
from datetime import timedelta
from typing import Any, NamedTuple

from maintenance.errors import PrivilegeError
from maintenance.server.owner_rights import OwnerRights
from maintenance.server.owner_sessions import reading_as
from maintenance.server.session import Connection, fetch


class OwnerCode(NamedTuple):
    """Code that reading a relation runs.

    Attributes:
        owner: of the relation.
        safe: whether it can be run with the owner's rights: nobody else wrote it who has fewer.
        what: for messages, such as `code of app in app.events`.
    """

    owner: str
    safe: bool
    what: str


def owner_code(connection: Connection, oids: Collection[int]) -> dict[int, OwnerCode]:
    """Return those relations that can't be read without running their owner's code, by OID.

    Raises:
        psycopg.Error: the catalog could not be read.
    """
    if not oids:
        return {}
    rows = fetch(connection, "catalog", "list_owner_code", {"relations": sorted(oids)})
    return {row.oid: OwnerCode(row.owner, not row.trusted, row.what) for row in rows}


def read_as_owner(
    connection: Connection, code: OwnerCode, query: str, time_cap: timedelta, doing: str
) -> list[dict[str, Any]]:
    """Return the rows of a query, by column, run with the rights of a relation's owner.

    Args:
        connection: beside which a session is opened for it.
        code: of the relation.
        query: finished SQL whose names are qualified and whose columns have names.
        time_cap: for the query.
        doing: what it is for; errors begin with it.

    Raises:
        psycopg.errors.LockNotAvailable: somebody holds ACCESS EXCLUSIVE on what was looked at.
        MaintenanceError: the server refused it, or it outlasted the cap.
    """
    if not code.safe:
        raise PrivilegeError(
            f"{doing}: it would run {code.what} with the rights of {code.owner}",
            hint="let the table be owned by the role whose code it runs, or the code by the table's",
        )
    with reading_as(connection, OwnerRights(code.owner), time_cap, doing) as (session, settings):
        return session.query(query, settings)
