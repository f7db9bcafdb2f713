"""Read the lowest and highest key of tables that are to be retired, by index or in a small table.

They only explain a plan: what can't be read at once stays unknown.
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple

import psycopg
from psycopg.rows import tuple_row

from maintenance.catalog.owner_code import owner_code
from maintenance.errors import MaintenanceError
from maintenance.names import QualifiedName, quote
from maintenance.partition_key import FUTURE, PAST, KeyCodec
from maintenance.server.session import Connection, fetch, read_transaction

MOST_PAGES = 1_000
"""Up to how many blocks (8 MB) a table is searched without an index."""
AT_ONCE = 24
"""How many tables one statement reads."""
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
    for at in range(0, len(tables), AT_ONCE):
        yield from _read_some(connection, tables[at : at + AT_ONCE], until)


def _read_some(
    connection: Connection, tables: Sequence[Keyed], until: float
) -> Iterator[tuple[int, KeyRange]]:
    """Read several tables in one statement, or each alone if one of them can't be read."""
    if time.monotonic() > until:
        return
    try:
        yield from _ranges(connection, tables)
    except (psycopg.Error, MaintenanceError):
        if len(tables) > 1:
            for table in tables:
                yield from _read_some(connection, [table], until)


def _ranges(connection: Connection, tables: Sequence[Keyed]) -> list[tuple[int, KeyRange]]:
    statement = " UNION ALL ".join(f"SELECT {n}, {_ends(each)}" for n, each in enumerate(tables))
    with read_transaction(connection, STATEMENT_CAP, "reading the keys of expired partitions"):
        rows: list[tuple[int, str | None, str | None]] = (
            connection.cursor(row_factory=tuple_row).execute(statement.encode()).fetchall()
        )
    found = [(tables[number], oldest, newest) for number, oldest, newest in rows]
    return [
        (each.oid, KeyRange(_moment(oldest, each.codec), _moment(newest, each.codec)))
        for each, oldest, newest in found
    ]


def _ends(table: Keyed) -> str:
    """Return the lowest and the highest key of a table as two columns."""
    key = quote(table.column)
    # qualified: `ORDER BY key` alone would mean the result, which is text
    first = (
        f"(SELECT t.{key}::pg_catalog.text FROM {table.relation} AS t WHERE t.{key} IS NOT NULL"
        f" ORDER BY t.{key}"
    )
    return f"{first} LIMIT 1), {first} DESC LIMIT 1)"


def _moment(text: str | None, codec: KeyCodec) -> str | None:
    if text is None:
        return None
    try:
        moment = codec.first_moment(codec.moment(f"'{text}'"))
    except ValueError:
        return text
    return text if moment in (PAST, FUTURE) else moment.isoformat(timespec="seconds")
