"""Loads an archive into an empty table, and verifies the loaded rows."""

import hashlib
from dataclasses import replace

import psycopg

from maintenance.archives.checksum import refuse_difference
from maintenance.archives.copy_stream import LOSSLESS, consistent, copy_out
from maintenance.archives.location import ArchivePlace
from maintenance.archives.manifest import Column, Manifest
from maintenance.archives.models import TableId
from maintenance.archives.objects import Folder
from maintenance.archives.progress import Pace
from maintenance.archives.read import read_back
from maintenance.engine.lock_retry import Progress
from maintenance.names import QualifiedName, cut, quote
from maintenance.server.owner_rights import OwnerSession
from maintenance.server.session import Connection, rollback_quietly, run_sql, to_error

_LOADING = {"row_security": "off", "statement_timeout": "0"}
_IN_ORDER = (
    "SET LOCAL synchronize_seqscans = off",
    "SET LOCAL max_parallel_workers_per_gather = 0",
)
_STAGE = "maintenance_restore_"


def load(
    connection: Connection,
    table: TableId,
    place: ArchivePlace,
    manifest: Manifest,
    progress: Progress,
) -> None:
    """Load an archive into a table of ours in one transaction.

    Raises:
        ArchiveError: the archive is damaged, or the table's content differs from it.
        MaintenanceError: a statement failed, such as for a row that violates a CHECK now.
    """
    settings = [f"SET LOCAL {key} = {value}" for key, value in (LOSSLESS | _LOADING).items()]
    # In a table truncated in the same transaction rows are appended strictly in order; otherwise a
    # small row could fill a gap on an earlier page, and the order would differ from the archive.
    begin = "; ".join(["BEGIN", *settings, f"TRUNCATE {table.relation}"])
    try:
        run_sql(connection, begin)
        _copy_in(connection, table.relation, place, manifest, progress)
        _prove(connection, table, manifest, progress)
        run_sql(connection, "COMMIT")
    except psycopg.Error as exc:
        rollback_quietly(connection)
        raise to_error(exc, f"restoring {table.relation}") from exc
    except BaseException:
        rollback_quietly(connection)
        raise


def stage_of(table: QualifiedName) -> QualifiedName:
    """Return the name of the staging table of a table."""
    name = table.name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return QualifiedName(table.schema, f"{cut(f'{_STAGE}{name}', 54)}_{digest}")


def create_stage(manifest: Manifest, stage: QualifiedName) -> str:
    """Return the statement that creates a staging table, which evaluates no code.

    Values of types that are not built in are stored as text.
    """
    columns = (f"{quote(c.name)} {_plain_type(c)}" for c in manifest.columns if not c.generated)
    return f"CREATE UNLOGGED TABLE {stage} ({', '.join(columns)})"


def load_staged(
    connection: Connection,
    table: TableId,
    stage: QualifiedName,
    owner: OwnerSession,
    place: ArchivePlace,
    manifest: Manifest,
    progress: Progress,
) -> None:
    """Load an archive via a staging table, so that code of the table runs as its owner.

    Args:
        connection: ours, which loads the archive into the staging table.
        table: owned by the owner.
        stage: as created by `create_stage`, readable for the owner.
        owner: a session of the owner.
        place: the archive.
        manifest: of the archive.
        progress: receives rows and share.

    Raises:
        ArchiveError, MaintenanceError: like `load`.
    """
    settings = [f"SET LOCAL {key} = {value}" for key, value in (LOSSLESS | _LOADING).items()]
    try:
        run_sql(connection, "; ".join(["BEGIN", *settings, f"TRUNCATE {stage}"]))
        _copy_in(connection, stage, place, manifest, progress)
        run_sql(connection, "COMMIT")
        owner.execute(
            f"TRUNCATE {table.relation}",
            _insert(manifest, table.relation, stage),
            settings=[*settings, *_IN_ORDER],
        )
        run_sql(connection, "; ".join(["BEGIN", *settings]))
        _prove(connection, table, manifest, progress)
        run_sql(connection, "COMMIT")
    except psycopg.Error as exc:
        raise to_error(exc, f"restoring {table.relation}") from exc
    finally:
        rollback_quietly(connection)
        rollback_quietly(owner.connection)


def _insert(manifest: Manifest, table: QualifiedName, stage: QualifiedName) -> str:
    stored = [column for column in manifest.columns if not column.generated]
    columns = ", ".join(quote(column.name) for column in stored)
    values = ", ".join(f"s.{quote(c.name)}::{c.type}" for c in stored)
    if not stored:
        return f"INSERT INTO {table} SELECT FROM {stage} AS s"
    return f"INSERT INTO {table} ({columns}) SELECT {values} FROM {stage} AS s"


def _plain_type(column: Column) -> str:
    return column.type if "." not in column.type else "text"


def _copy_in(
    connection: Connection,
    table: QualifiedName,
    place: ArchivePlace,
    manifest: Manifest,
    progress: Progress,
) -> None:
    columns = ", ".join(quote(name) for name in manifest.stored_columns)
    target = f"{table} ({columns})" if columns else str(table)
    statement = f"COPY {target} FROM STDIN (ENCODING '{manifest.data.encoding}')"
    pace = Pace(f"restoring {table}", progress, manifest.n_rows)
    with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        found = read_back(Folder(place), manifest.data, manifest.columns, pace, copy.write)
        refuse_difference(f"archive {place}", manifest.digest, found, "read back")


def _prove(connection: Connection, table: TableId, manifest: Manifest, progress: Progress) -> None:
    """Hash the table's columns that the archive has, in its encoding, and compare."""
    with consistent(connection, table) as description:
        archived = replace(description, columns=manifest.columns, encoding=manifest.data.encoding)
        pace = Pace(f"verifying {table.relation}", progress, manifest.n_rows)
        found = copy_out(connection, archived, pace).digest
    refuse_difference(str(table.relation), manifest.digest, found, "after restoring")
