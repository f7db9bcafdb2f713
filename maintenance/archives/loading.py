"""Loading an archive into an empty table, and proving that it is all there."""

from dataclasses import replace

import psycopg

from maintenance.archives.content import LOSSLESS, consistent, copy_out
from maintenance.archives.digest import refuse_difference
from maintenance.archives.folder import Folder
from maintenance.archives.manifest import Manifest
from maintenance.archives.pace import Pace
from maintenance.archives.place import ArchivePlace
from maintenance.archives.reading import read_back
from maintenance.archives.tables import TableId
from maintenance.engine.ladder import Progress
from maintenance.names import quote
from maintenance.server.session import Connection, explain, rollback_quietly, run_sql

_LOADING = {"row_security": "off", "statement_timeout": "0"}


def load(
    connection: Connection,
    table: TableId,
    place: ArchivePlace,
    manifest: Manifest,
    progress: Progress,
) -> None:
    """Fill a table of our own from an archive in one transaction.

    Raises:
        ArchiveError: the archive is damaged, or the table's content is not the archive's.
        MaintenanceError: the server refused, such as a row that a CHECK no longer admits.
    """
    settings = [f"SET LOCAL {key} = {value}" for key, value in (LOSSLESS | _LOADING).items()]
    # Into a table emptied in the same transaction rows go strictly one behind the other; else
    # a small one could fill a gap on an earlier page, and the order would not be the archive's.
    begin = "; ".join(["BEGIN", *settings, f"TRUNCATE {table.relation}"])
    try:
        run_sql(connection, begin)
        _copy_in(connection, table, place, manifest, progress)
        _prove(connection, table, manifest, progress)
        run_sql(connection, "COMMIT")
    except psycopg.Error as exc:
        rollback_quietly(connection)
        raise explain(exc, f"restoring {table.relation}") from exc
    except BaseException:
        rollback_quietly(connection)
        raise


def _copy_in(
    connection: Connection,
    table: TableId,
    place: ArchivePlace,
    manifest: Manifest,
    progress: Progress,
) -> None:
    columns = ", ".join(quote(name) for name in manifest.stored_columns)
    target = f"{table.relation} ({columns})" if columns else str(table.relation)
    statement = f"COPY {target} FROM STDIN (ENCODING '{manifest.data.encoding}')"
    pace = Pace(f"restoring {table.relation}", progress, manifest.n_rows)
    with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        found = read_back(Folder(place), manifest.data, manifest.columns, pace, copy.write)
        refuse_difference(f"archive {place}", manifest.digest, found, "read back")


def _prove(connection: Connection, table: TableId, manifest: Manifest, progress: Progress) -> None:
    """Hash what the archive has of the table, in the encoding of the archive."""
    with consistent(connection, table) as description:
        archived = replace(description, columns=manifest.columns, encoding=manifest.data.encoding)
        pace = Pace(f"verifying {table.relation}", progress, manifest.n_rows)
        found = copy_out(connection, archived, pace).digest
    refuse_difference(str(table.relation), manifest.digest, found, "after restoring")
