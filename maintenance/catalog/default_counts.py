"""Count the rows of a default partition in one pass: exactly if fast enough, else by a sample."""

from collections.abc import Sequence
from contextlib import suppress

import psycopg
from psycopg.rows import dict_row

from maintenance.catalog.models import Bucket, DefaultRows, Partition, Table
from maintenance.catalog.owner_code import read_as_owner
from maintenance.names import quote
from maintenance.server.session import Connection, to_error

SAMPLED_PAGES = 2_000
"""How many blocks (8 kB) are sampled if reading all of them exceeds the time cap."""

WHOLE = 100.0
"""Per cent of the blocks, as TABLESAMPLE takes it."""

_AS_TEXT = frozenset({"uuid", "text", "character varying", "character"})
"""Types that sort like their text; before 18 there is no min(uuid)."""


def count_default(connection: Connection, table: Table, bounds: Sequence[str]) -> DefaultRows:
    """Count the rows of a table's default partition in intervals of the key.

    Every query is capped by the session's statement timeout.

    Args:
        connection: an autocommit session, so that no snapshot is held after the query.
        table: partitioned by one column, with a default partition that this role may read.
        bounds: values of the key as SQL text, ascending; at least one.

    Raises:
        psycopg.errors.LockNotAvailable: the default partition is locked in ACCESS EXCLUSIVE mode.
        MaintenanceError: the server refused for another reason.
    """
    try:
        with suppress(psycopg.errors.QueryCanceled):
            return DefaultRows(is_exact=True, buckets=_count(connection, table, bounds, WHOLE))
        share = _share(connection, table)
        return DefaultRows(share >= WHOLE, _count(connection, table, bounds, share))
    except psycopg.errors.LockNotAvailable:
        raise
    except psycopg.Error as exc:
        raise to_error(exc, f"counting the default partition of {table.relation}") from exc


def _count(
    connection: Connection, table: Table, bounds: Sequence[str], share: float
) -> tuple[Bucket, ...]:
    """Count in one pass over a percentage of the blocks."""
    assert table.default is not None, "only called with a default partition"
    statement = bucket_query(table, table.default, bounds, share)
    if table.code is not None:
        rows = read_as_owner(connection, table.code, statement, None, "counting its rows")
    else:
        with connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(statement.encode()).fetchall()
    return tuple(
        Bucket(row["place"], round(row["n"] * WHOLE / share), row["first"], row["last"])
        for row in rows
    )


def bucket_query(
    table: Table, partition: Partition, bounds: Sequence[str], share: float = WHOLE
) -> str:
    """Return the query that counts the rows of a partition in intervals of the key.

    Args:
        table: partitioned by one column.
        partition: one of its partitions.
        bounds: values of the key as SQL text, ascending.
        share: the percentage of its blocks to read.
    """
    column = table.column(table.key_columns[0] or "")
    assert column is not None, "the section was validated"
    key = quote(column.name)
    text = f'({key}::text COLLATE "C")' if column.type in _AS_TEXT else key
    # As a cast, `character` would mean a single character.
    type_ = "bpchar" if column.type == "character" else column.type
    sample = "" if share >= WHOLE else f" TABLESAMPLE SYSTEM ({share})"
    only = "ONLY " if partition.tree is None else ""
    return (
        f"SELECT pg_catalog.width_bucket({key}, ARRAY[{', '.join(bounds)}]::{type_}[]) AS place,"
        f" count(*) AS n, min({text})::text AS first, max({text})::text AS last"
        f" FROM {only}{partition.relation}{sample} GROUP BY 1 ORDER BY 1 NULLS LAST"
    )


def _share(connection: Connection, table: Table) -> float:
    """Return the percentage of the blocks to sample."""
    assert table.default is not None, "only called with a default partition"
    row = connection.execute(
        "SELECT pg_catalog.pg_relation_size(%s::oid) / 8192", (table.default.oid,)
    ).fetchone()
    pages = row[0] if row and row[0] else max(table.default.pages, 1)
    return min(WHOLE, WHOLE * SAMPLED_PAGES / pages)
