"""Measure bloat exactly by pgstattuple, for the few relations where it matters most.

Source: PostgreSQL manual, F.34 pgstattuple. It reads the whole relation.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from math import isnan
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import namedtuple_row

from maintenance.errors import MaintenanceError, UnreachableError
from maintenance.names import quote
from maintenance.server.session import Connection, fetch, read_transaction
from maintenance.subjects.bloat.estimate import LINE_POINTER_BYTES, PAGE, leaf_room, rows_a_page
from maintenance.subjects.bloat.models import (
    MOST_BYTES,
    Bloat,
    Extension,
    Method,
    Observed,
    ObservedIndex,
    ObservedTable,
)
from maintenance.subjects.bloat.page_layout import ALIGNED, aligned, row_width, stored

NAME = "pgstattuple"
_NOT_MEASURABLE = (
    psycopg.errors.QueryCanceled,
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedObject,
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.FeatureNotSupported,
    psycopg.errors.ObjectNotInPrerequisiteState,
)
"""Too slow, dropped meanwhile, or not supported by the extension: no fault of the relation."""
MOST_MEASURED = 5
"""Relations that one observation measures."""
LEAF_BYTES = 8152
"""Bytes of a leaf page that pgstatindex counts as usable."""


def find_extension(connection: Connection) -> Extension:
    """Return whether pgstattuple is installed and usable by this role."""
    (row,) = fetch(connection, "server", "find_extension", {"name": NAME})
    if row.schema is None:
        return Extension(None, f"CREATE EXTENSION {NAME}" if row.is_available else "")
    remedy = "" if row.scans_all else f"GRANT pg_stat_scan_tables TO {row.role}"
    return Extension(row.schema, remedy)


class Measured(NamedTuple):
    """Measured bloat by OID, the errors of relations that can't be read, and those left out.

    Attributes:
        tried: OIDs of relations that were too slow or refused, through no fault of their own.
    """

    bloat: Mapping[int, Bloat]
    failed: Mapping[int, str]
    tried: frozenset[int]


def measure(
    connection: Connection,
    extension: Extension,
    order: Sequence[Observed],
    time_cap: timedelta,
) -> Measured:
    """Measure the first relations of an order; one that is dropped, locked or too slow is left out.

    Those larger than the bytes that are left are skipped.

    Raises:
        UnreachableError: the session is gone.
    """
    found: dict[int, Bloat] = {}
    failed: dict[int, str] = {}
    tried: set[int] = set()
    if not extension.is_usable:
        return Measured(found, failed, frozenset())
    for seen in affordable(order):
        try:
            found[seen.oid] = _measured(connection, extension.schema or "", seen, time_cap)
        except UnreachableError:
            raise
        except psycopg.errors.LockNotAvailable:
            continue
        except MaintenanceError as exc:
            if isinstance(exc.__cause__, _NOT_MEASURABLE):
                tried.add(seen.oid)
            else:
                failed[seen.oid] = str(exc)
    return Measured(found, failed, frozenset(tried))


def affordable(order: Sequence[Observed]) -> Iterator[Observed]:
    """Yield the first relations of an order that one observation can read, in number and bytes."""
    left, places = MOST_BYTES, MOST_MEASURED
    for seen in order:
        if places and seen.size_bytes <= left:
            left, places = left - seen.size_bytes, places - 1
            yield seen


def _measured(connection: Connection, schema: str, seen: Observed, time_cap: timedelta) -> Bloat:
    is_index = isinstance(seen, ObservedIndex)
    function = f"{quote(schema)}.{'pgstatindex' if is_index else 'pgstattuple'}"
    question = f"SELECT * FROM {function}(%s::pg_catalog.oid::pg_catalog.regclass)"
    with (
        read_transaction(connection, time_cap, f"measuring {seen.relation}"),
        connection.cursor(row_factory=namedtuple_row) as cursor,
    ):
        row = cursor.execute(question.encode(), (seen.oid,)).fetchone()
    fraction = exact_index(seen, row) if is_index else exact_table(seen, row)
    return Bloat(Method.EXACT, min(max(fraction, 0.0), 1.0))


def exact_table(table: ObservedTable, row: Any) -> float:
    """Return the fraction of its pages that a table would free, as counted by pgstattuple."""
    if not row.tuple_count:
        return 1.0 if row.table_len else 0.0
    mean = row.tuple_len / row.tuple_count
    columns = [stored(column) for column in table.columns]
    constant = mean == int(mean) and not any(0 < column.present < 1 for column in columns)
    width = aligned(mean) if constant else _padded(table, mean)
    per_page = rows_a_page(width, table.fill_factor / 100, constant=constant)
    return 1 - row.tuple_count / per_page / (row.table_len / PAGE)


def _padded(table: ObservedTable, mean: float) -> float:
    """Return the mean bytes of its rows with their padding, which pgstattuple does not count.

    The padding of a row is up to seven bytes; the statistics narrow that down, if they agree.
    """
    low, high = mean, mean + ALIGNED - 1
    if table.columns and not any(column.width is None for column in table.columns):
        width = row_width([stored(column) for column in table.columns])
        if max(low, width.low) <= min(high, width.high):
            low, high = max(low, width.low), min(high, width.high)
    return (low + high) / 2


def exact_index(index: ObservedIndex, row: Any) -> float:
    """Return the fraction of its pages that an index would free, as counted by pgstatindex."""
    density = 0 if isnan(row.avg_leaf_density) else row.avg_leaf_density
    used = row.leaf_pages * density / 100 * LEAF_BYTES
    leaves = used / (leaf_room(index.fill_factor) + LINE_POINTER_BYTES)
    inner = row.internal_pages * leaves / max(row.leaf_pages, 1)
    return 1 - (1 + leaves + inner) / (row.index_size / PAGE)
