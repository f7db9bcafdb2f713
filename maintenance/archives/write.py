"""Writes archives: stream the rows, read them back, then write the manifest."""

import hashlib
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from maintenance.archives.checksum import Digest, Tally, refuse_difference
from maintenance.archives.copy_stream import consistent, copy_out
from maintenance.archives.formats import OBJECTS, Format, encoding
from maintenance.archives.location import ArchivePlace
from maintenance.archives.manifest import MANIFEST, Column, Constraint, Content, Data, Manifest
from maintenance.archives.models import TableId
from maintenance.archives.objects import Folder, Write
from maintenance.archives.progress import Pace
from maintenance.archives.read import read_back, standing_manifest, verify_archive
from maintenance.archives.table_definition import Description, create_standalone, estimate_size
from maintenance.engine.lock_retry import Progress, silent
from maintenance.errors import ArchiveError, DamagedArchiveError
from maintenance.names import quote
from maintenance.server.session import Connection, fetch, run_sql


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts for the manifest that the table itself does not show.

    Attributes:
        key: the column of the partition key; None leaves out its minimum and maximum.
        bound: as in the catalog, such as `FOR VALUES FROM (…) TO (…)`.
        lower: the bound as an aware moment; None if it is open.
        upper: likewise.
        policy_hash: of the policy under which it is archived.
        run_id: of the run that archives it.
    """

    key: str | None
    bound: str
    lower: datetime | None
    upper: datetime | None
    policy_hash: str
    run_id: str


class Archived(NamedTuple):
    """A complete and verified archive; `reused` if an earlier run wrote it."""

    manifest: Manifest
    reused: bool


class _Export(NamedTuple):
    """The content of one object."""

    description: Description
    content: Content
    data: Data


def write_archive(
    connection: Connection,
    table: TableId,
    place: ArchivePlace,
    facts: Facts,
    *,
    format_: Format = "copy",
    progress: Progress = silent,
) -> Archived:
    """Archive one table, and verify the archive by reading it back.

    The rows are from one snapshot. Without the manifest, which is written last, there is no
    archive; an interrupted call leaves at most an object without one, which the next call replaces.
    An existing archive with the same content is verified and kept; with other content it is valid
    until the new one is. A damaged manifest, or that of another archive, is never replaced.

    Args:
        connection: an autocommit session of `server.session.connect`, not in a transaction.
        table: a plain table, or one that is itself partitioned; attached or not.
        place: the location of the archive.
        facts: for the manifest, in addition to the table's definition.
        format_: the format of the rows.
        progress: receives rows, bytes and share, at most a few times a second.

    Raises:
        DamagedArchiveError: the data read back differ, or a damaged manifest exists.
        ArchiveError: the table is gone or has values that the format can't store, the store fails,
            or an archive of another table or a newer version exists.
        MaintenanceError: a statement failed.
    """
    folder = Folder(place)
    standing = standing_manifest(folder)
    if (
        standing is not None
        and standing.data.format == format_
        and standing.bound == facts.bound
        and _holds_all(connection, table, place, standing, progress)
    ):
        return Archived(standing, reused=True)
    if standing is not None:
        _refuse_other_table(standing, table, place)
    taken = standing.data.name if standing is not None else None
    name = next(name for name in OBJECTS[format_] if name != taken)
    export = _export(connection, table, folder, name, facts.key, format_, progress)
    manifest = _manifest(connection, table, place, facts, export)
    folder.put(MANIFEST, manifest.to_json())
    folder.clear(other for pair in OBJECTS.values() for other in pair if other != name)
    return Archived(manifest, reused=False)


def _refuse_other_table(standing: Manifest, table: TableId, place: ArchivePlace) -> None:
    """Raise if the existing archive is of another table: it may be the only copy of its rows.

    A period created again after its archive is another table. Only the archived table, changed
    since then, may replace its own archive.
    """
    if standing.n_rows and standing.partition_oid != table.oid:
        raise ArchiveError(
            f"archive {place}: not overwritten: it contains {standing.n_rows} rows of another table"
            f" of that period; {table.relation} is not archived",
            hint="restore that archive as a separate table (maintenance restore --as), merge the"
            " rows, and move the archive away",
            reason="another_table",
        )


def _holds_all(
    connection: Connection,
    table: TableId,
    place: ArchivePlace,
    manifest: Manifest,
    progress: Progress,
) -> bool:
    """Whether an existing archive is complete and equals the table's current content."""
    with consistent(connection, table) as description:
        if not _describes(manifest, description):
            return False
        pace = Pace(f"reading {table.relation}", progress, description.n_rows_estimated)
        digest = copy_out(connection, description, pace).digest
    if digest != manifest.digest:
        return False
    try:
        verify_archive(place, manifest, progress=progress)
    except DamagedArchiveError:
        return False
    return True


def _describes(manifest: Manifest, table: Description) -> bool:
    """Whether a manifest equals the one that would be written for a table now."""
    return (
        _shape(table.columns) == _shape(manifest.columns)
        and _checks(table.constraints) == _checks(manifest.constraints)
        and table.indexes == manifest.indexes
    )


def _checks(constraints: Sequence[Constraint]) -> list[Constraint]:
    # A detached table loses foreign keys, and gets a CHECK for its bound.
    return [c for c in constraints if c.kind in ("p", "u", "x")]


def _shape(columns: Sequence[Column]) -> list[tuple[str, str, bool]]:
    return [(column.name, column.type, column.generated is None) for column in columns]


def _export(
    connection: Connection,
    table: TableId,
    folder: Folder,
    name: str,
    key: str | None,
    format_: Format,
    progress: Progress,
) -> _Export:
    """Stream one table into one object, and verify it while the server computes the key's range.

    The transaction ends as soon as the server is done, even if the store is not.
    """
    expected_bytes = estimate_size(connection, table.relation)
    with ThreadPoolExecutor(1) as pool, ExitStack() as snapshot:
        description = snapshot.enter_context(consistent(connection, table))
        with folder.creating(name, expected_bytes) as write:
            stored = _Stored(write)
            tally, compression = _stream(connection, description, format_, stored.write, progress)
            last = snapshot.pop_all()
            key_range = pool.submit(_last_look, last, connection, description, key)
        data = Data(
            name=name,
            format=format_,
            compression=compression,
            encoding=description.encoding,
            size_bytes=stored.n_bytes,
            sha256=stored.sha256,
        )
        with _kept_if_proven(folder, name):
            _prove(folder, description, data, tally.digest, progress)
            least, greatest = key_range.result()
    content = Content(
        n_rows=tally.n_rows,
        n_bytes=tally.n_bytes,
        sha256=tally.digest.sha256,
        key_min=least,
        key_max=greatest,
    )
    return _Export(description, content, data)


def _stream(
    connection: Connection,
    description: Description,
    format_: Format,
    write: Write,
    progress: Progress,
) -> tuple[Tally, str]:
    """Write a table's rows in their format; return the content and the stored object."""
    pace = Pace(f"archiving {description.relation}", progress, description.n_rows_estimated)
    with encoding(format_, description.columns, description.encoding, write) as encoder:
        return copy_out(connection, description, pace, encoder.take), encoder.compression


class _Stored:
    """Counts and hashes the bytes written to an object."""

    def __init__(self, write: Write) -> None:
        self.n_bytes = 0
        self._write = write
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def write(self, data: bytes) -> None:
        self._write(data)
        self.n_bytes += len(data)
        self._hash.update(data)


def _last_look(
    snapshot: ExitStack, connection: Connection, description: Description, key: str | None
) -> tuple[str | None, str | None]:
    with snapshot:
        return _key_range(connection, description, key)


def _key_range(
    connection: Connection, description: Description, key: str | None
) -> tuple[str | None, str | None]:
    if key is None:
        return None, None
    column = next((c for c in description.columns if c.name == key), None)
    if column is None:
        raise ArchiveError(f"{description.relation}: has no column {quote(key)}")
    if fetch(connection, "archives", "find_owner_code", {"relation": str(description.relation)}):
        return None, None  # planning a query could evaluate it as our role
    run_sql(connection, "SET LOCAL enable_indexscan = on; SET LOCAL enable_indexonlyscan = on")
    # uuid has no min() before 18; its text sorts alike.
    value = f'{quote(key)}::text COLLATE "C"' if column.type == "uuid" else quote(key)
    row = connection.execute(
        f"SELECT min({value})::text, max({value})::text FROM {description.relation}".encode()
    ).fetchone()
    assert row is not None, "an aggregate returns one row"
    return row[0], row[1]


@contextmanager
def _kept_if_proven(folder: Folder, name: str) -> Generator[None]:
    try:
        yield
    except BaseException:
        folder.clear([name])
        raise


def _prove(
    folder: Folder, description: Description, data: Data, wanted: Digest, progress: Progress
) -> None:
    pace = Pace(f"verifying {description.relation}", progress, wanted.n_rows)
    found = read_back(folder, data, description.columns, pace)
    refuse_difference(f"archive {folder.place}", wanted, found, "written and read back")


def _manifest(
    connection: Connection, table: TableId, place: ArchivePlace, facts: Facts, export: _Export
) -> Manifest:
    description = export.description
    statements = create_standalone(description, description.relation)
    return Manifest(
        database=place.database,
        table=place.table,
        partition=description.relation,
        partition_oid=table.oid,
        period=place.period,
        bound=facts.bound,
        lower=facts.lower,
        upper=facts.upper,
        key=facts.key,
        columns=description.columns,
        constraints=description.constraints,
        indexes=description.indexes,
        schema_sql="".join(f"{statement};\n" for statement in statements),
        content=export.content,
        data=export.data,
        server_version=connection.info.parameter_status("server_version") or "",
        policy_hash=facts.policy_hash,
        run_id=facts.run_id,
        written_at=datetime.now(UTC),
    ).sealed(place.key)
