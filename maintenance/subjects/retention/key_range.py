"""Read the lowest and highest key of tables that are to be retired, by index or in a small table.

They only explain a plan: what can't be read at once stays unknown.
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import NamedTuple

import psycopg

from maintenance.catalog.owner_code import owner_code
from maintenance.errors import MaintenanceError
from maintenance.names import QualifiedName, quote
from maintenance.partition_key import FUTURE, PAST, KeyCodec
from maintenance.server.session import Connection, fetch, read_transaction

MOST_PAGES = 1_000
"""Up to how many blocks (8 MB) a table is searched without an index."""
STATEMENT_CAP = timedelta(milliseconds=200)
TOTAL_CAP_S = 1.0
"""How long all tables may take together."""


class Keyed(NamedTuple):
    """A table with its key column and the reading of its values."""

    oid: int
    relation: QualifiedName
    column: str
    codec: KeyCodec


class KeyRange(NamedTuple):
    """The lowest and highest key: a moment where the codec can read it, else text."""

    oldest: str | None
    newest: str | None


def read_key_ranges(
    connection: Connection, tables: Sequence[Keyed], unreadable: Collection[int]
) -> Mapping[int, KeyRange]:
    """Return the key ranges of tables, by OID; those that can't be read at once are missing.

    Args:
        connection: an autocommit session.
        tables: in the order of reading.
        unreadable: OIDs of tables whose rows this role may not see in full.

    Raises:
        psycopg.Error: the catalog could not be read.
    """
    asked = [table for table in tables if table.oid not in unreadable]
    if not asked:
        return {}
    parameters = {
        "tables": [table.oid for table in asked],
        "columns": [table.column for table in asked],
        "most_pages": MOST_PAGES,
    }
    found = {row.oid for row in fetch(connection, "retention", "list_searchable", parameters)}
    readable = found - owner_code(connection, found).keys()
    return dict(_read(connection, [table for table in asked if table.oid in readable]))


def _read(connection: Connection, tables: Sequence[Keyed]) -> Iterator[tuple[int, KeyRange]]:
    until = time.monotonic() + TOTAL_CAP_S
    for table in tables:
        if time.monotonic() > until:
            return
        with suppress(psycopg.Error, MaintenanceError):
            yield table.oid, _range(connection, table)


def _range(connection: Connection, table: Keyed) -> KeyRange:
    key = quote(table.column)
    first = (
        f"(SELECT {key}::pg_catalog.text FROM {table.relation} WHERE {key} IS NOT NULL"
        f" ORDER BY {key}"
    )
    statement = f"SELECT {first} LIMIT 1), {first} DESC LIMIT 1)"
    with read_transaction(connection, STATEMENT_CAP, f"reading the keys of {table.relation}"):
        ((oldest, newest),) = connection.execute(statement.encode()).fetchall()
    return KeyRange(_moment(oldest, table.codec), _moment(newest, table.codec))


def _moment(text: str | None, codec: KeyCodec) -> str | None:
    if text is None:
        return None
    try:
        moment = codec.first_moment(codec.moment(f"'{text}'"))
    except ValueError:
        return text
    return text if moment in (PAST, FUTURE) else moment.isoformat(timespec="seconds")
