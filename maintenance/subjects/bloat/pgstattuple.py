"""Measure bloat exactly by pgstattuple, for the few relations where it matters most.

Source: PostgreSQL manual, F.34 pgstattuple. It reads the whole relation.
"""

from collections.abc import Mapping, Sequence
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
    Bloat,
    Extension,
    Method,
    Observed,
    ObservedIndex,
    ObservedTable,
)
from maintenance.subjects.bloat.page_layout import ALIGNED, aligned

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
MOST_BYTES = 4 * 2**30
"""Bytes that all measurements of one observation may read."""
UNKNOWN_WEIGHT = 0.5
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
    """Measured bloat by OID, and the errors of relations that can't be read."""

    bloat: Mapping[int, Bloat]
    failed: Mapping[int, str]


def measure(
    connection: Connection,
    extension: Extension,
    worst: Sequence[Observed],
    time_cap: timedelta,
) -> Measured:
    """Measure some relations; one that is dropped, locked or too slow is left out.

    Raises:
        UnreachableError: the session is gone.
    """
    found: dict[int, Bloat] = {}
    failed: dict[int, str] = {}
    if extension.schema is None or extension.remedy:
        return Measured(found, failed)
    left = MOST_BYTES
    for seen in worst[:MOST_MEASURED]:
        if seen.size_bytes > left:
            continue
        left -= seen.size_bytes
        try:
            found[seen.oid] = _measured(connection, extension.schema, seen, time_cap)
        except UnreachableError:
            raise
        except psycopg.errors.LockNotAvailable:
            continue
        except MaintenanceError as exc:
            if not isinstance(exc.__cause__, _NOT_MEASURABLE):
                failed[seen.oid] = str(exc)
    return Measured(found, failed)


def worst_first(
    seen: Sequence[Observed], bloat: Mapping[int, Bloat], least: Mapping[type[Observed], float]
) -> list[Observed]:
    """Return the relations to measure: estimated as bloated or unknown, largest first."""

    def weight(each: Observed) -> float:
        fraction = bloat[each.oid].fraction
        if fraction is None:
            return each.size_bytes * UNKNOWN_WEIGHT
        return each.size_bytes * fraction if fraction > least[type(each)] else 0.0

    locked = [each for each in seen if each.freshness.size_bytes is None]
    weighed = [(weight(each), each) for each in seen if each not in locked]
    weighed.sort(key=lambda pair: -pair[0])
    return [each for worth, each in weighed if worth > 0]


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
    constant = mean == int(mean)
    width = aligned(mean) if constant else mean + (ALIGNED - 1) / 2
    per_page = rows_a_page(width, table.fill_factor / 100, constant=constant)
    return 1 - row.tuple_count / per_page / (row.table_len / PAGE)


def exact_index(index: ObservedIndex, row: Any) -> float:
    """Return the fraction of its pages that an index would free, as counted by pgstatindex."""
    density = 0 if isnan(row.avg_leaf_density) else row.avg_leaf_density
    used = row.leaf_pages * density / 100 * LEAF_BYTES
    leaves = used / (leaf_room(index.fill_factor) + LINE_POINTER_BYTES)
    inner = row.internal_pages * leaves / max(row.leaf_pages, 1)
    return 1 - (1 + leaves + inner) / (row.index_size / PAGE)
