"""Streams the content of a table as COPY text that is lossless and reproducible.

Text is lossless for every type under the settings below, works across major versions, and needs no
knowledge of types. A sequential scan that always begins at the first block returns the rows of an
unchanged table in the same order, so one hash over the stream proves that nothing changed.
Source: PostgreSQL manual, COPY, and what pg_dump sets.
"""

import time
from collections.abc import Generator
from contextlib import contextmanager

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn
from psycopg.waiting import Wait

from maintenance.archives.background import Take, aside
from maintenance.archives.checksum import Digest, Tally
from maintenance.archives.models import TableId
from maintenance.archives.progress import Pace
from maintenance.archives.table_definition import Description, describe
from maintenance.engine.lock_retry import Progress, silent
from maintenance.errors import ArchiveError
from maintenance.names import quote
from maintenance.server.session import Connection, rollback_quietly, run_sql, to_error

LOSSLESS = {
    "bytea_output": "'hex'",
    "DateStyle": "'ISO, YMD'",
    "extra_float_digits": "3",
    "IntervalStyle": "'postgres'",
    "lc_monetary": "'C'",
    "search_path": "''",
    "TimeZone": "'UTC'",
    "xmloption": "'content'",
}
"""Settings under which a value's text is the same everywhere, and reads back as the same value."""

_READING = {
    # rows hidden by a policy cause an error and are never left out
    "row_security": "off",
    # the order of rows is that of the table
    "synchronize_seqscans": "off",
    "max_parallel_workers_per_gather": "0",
    "enable_indexscan": "off",
    "enable_indexonlyscan": "off",
    "enable_bitmapscan": "off",
    "statement_timeout": "0",
    "lock_timeout": "'60s'",
}

CHUNK_BYTES = 2**20
"""Large enough that passing on a piece, and starting to compress it, costs almost nothing."""

INPUT_BYTES = 2**19
"""Size of libpq's input buffer, which it otherwise fills with 16 kB at a time."""

_GATHERING_S = 0.0005
"""How long to collect rows after the first: otherwise each packet costs two thread switches."""


def content_digest(
    connection: Connection, table: TableId, *, progress: Progress = silent
) -> Digest:
    """Hash the current content of a table as its archive would, without writing anything.

    Inside a transaction of the caller it uses that snapshot and its locks, and restores its
    settings; otherwise it uses a separate transaction.

    Raises:
        ArchiveError: the table is gone or was replaced by another one.
        MaintenanceError: a statement failed.
    """
    with consistent(connection, table) as description:
        pace = Pace(f"reading {table.relation}", progress, description.n_rows_estimated)
        return copy_out(connection, description, pace).digest


@contextmanager
def consistent(connection: Connection, table: TableId) -> Generator[Description]:
    """Read one table in one snapshot, under the settings that make its text lossless.

    Raises:
        ArchiveError: the table is gone or was replaced by another one.
        MaintenanceError: a statement failed.
    """
    nested = connection.info.transaction_status == TransactionStatus.INTRANS
    settings = [f"SET LOCAL {key} = {value}" for key, value in (LOSSLESS | _READING).items()]
    begin = "SAVEPOINT content" if nested else "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
    end = "ROLLBACK TO content; RELEASE content" if nested else "COMMIT"
    try:
        # The lock comes before the snapshot: what is observed is the table that is read.
        run_sql(connection, "; ".join([begin, *settings]))
        run_sql(connection, f"LOCK TABLE {table.relation} IN ACCESS SHARE MODE")
        description = describe(connection, table)
        yield description
        run_sql(connection, end)
    except psycopg.Error as exc:
        if not nested:
            rollback_quietly(connection)
        raise to_error(exc, f"reading {table.relation}") from exc
    except BaseException:
        if not nested:
            rollback_quietly(connection)
        raise


def copy_out(
    connection: Connection, description: Description, pace: Pace, take: Take | None = None
) -> Tally:
    """Stream a table's rows in pieces of about `CHUNK_BYTES` to `take`, and count and hash them.

    Counting, hashing and `take` run in a separate thread while the server sends.

    Raises:
        ArchiveError: the number of rows differs from what the server reports.
    """
    tally = Tally()

    def count(text: bytes) -> None:
        tally.take(text)
        if take is not None:
            take(text)

    with aside(count) as give:

        def pass_on(text: bytes) -> None:
            give(text)
            pace.show(tally)

        n_sent = _stream(connection, copy_statement(description), pass_on)
    if n_sent != tally.n_rows:
        raise ArchiveError(
            f"{description.relation}: the server sent {n_sent} rows, but {tally.n_rows} arrived"
        )
    return tally


def _stream(connection: Connection, statement: str, take: Take) -> int:
    """Run a COPY TO STDOUT; return the number of rows that the server reports.

    Rows are fetched from libpq directly: psycopg's own loop takes as long for a short row as the
    server.
    """
    _widen_input(connection)
    fetch_row = connection.pgconn.get_copy_data
    piece = bytearray()  # appending costs half as much as with a list of rows
    with connection.cursor() as cursor, cursor.copy(statement.encode()):
        while (fetched := fetch_row(1))[0] >= 0:
            n_bytes, row = fetched
            if n_bytes:
                piece += row
                continue
            # libpq's buffer is empty, so a piece grows by at most its size between two checks.
            if len(piece) >= CHUNK_BYTES:
                take(bytes(piece))
                piece.clear()
            _receive(connection)
        n_sent = _rows_sent(connection.pgconn)
    if piece:
        take(bytes(piece))
    return n_sent


def _widen_input(connection: Connection) -> None:
    """Enlarge libpq's buffer: it grows with the largest message and does not shrink."""
    connection.execute(f"SELECT pg_catalog.repeat('x', {INPUT_BYTES})".encode())


def _receive(connection: Connection) -> None:
    """Read what the server has sent, or wait for it."""
    connection.wait(_readable())
    time.sleep(_GATHERING_S)
    connection.pgconn.consume_input()


def _readable() -> PQGen[None]:
    while not (yield Wait.R):
        pass  # waiting is interrupted regularly to check that the server is still connected


def _rows_sent(pgconn: PGconn) -> int:
    """Read the result after the last row: the number of rows, or the error."""
    result = pgconn.get_result()
    assert result is not None, "a COPY ends with a result"
    while pgconn.get_result() is not None:
        pass
    if result.status != ExecStatus.COMMAND_OK:
        raise psycopg.errors.error_from_result(result)
    return result.command_tuples or 0


def copy_statement(description: Description) -> str:
    """Return the COPY that streams a table's stored columns, in the encoding of its description."""
    listed = ", ".join(quote(name) for name in description.stored_columns)
    relation = description.relation
    # COPY reads only plain tables by name; a tree of partitions goes through a query.
    if description.kind == "r":
        source = f"{relation} ({listed})" if listed else str(relation)
    else:
        source = f"(SELECT {listed} FROM {relation})"
    return f"COPY {source} TO STDOUT (ENCODING '{description.encoding}')"
