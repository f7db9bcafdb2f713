"""Reads archives and their manifests, and verifies their rows."""

from collections.abc import Callable, Sequence
from urllib.parse import unquote

from maintenance.archives.background import ahead
from maintenance.archives.checksum import Digest, Tally, refuse_difference
from maintenance.archives.formats import check_size, texts
from maintenance.archives.location import ArchivePlace
from maintenance.archives.manifest import MANIFEST, Column, Data, Manifest, parse_manifest
from maintenance.archives.objects import Folder, subfolders
from maintenance.archives.progress import Pace
from maintenance.engine.lock_retry import Progress, silent
from maintenance.errors import ArchiveError
from maintenance.names import QualifiedName


def read_manifest(place: ArchivePlace) -> Manifest | None:
    """Return the manifest of a complete archive, after a check of its object; None without one.

    Raises:
        DamagedArchiveError: the manifest is truncated, or its object missing or of another size.
        ArchiveError: it has a newer format or belongs to another archive, or the store fails.
    """
    folder = Folder(place)
    manifest = standing_manifest(folder)
    if manifest is not None:
        check_size(folder, manifest.data)
    return manifest


def standing_manifest(folder: Folder) -> Manifest | None:
    """Return the manifest of a complete archive, without a check of its object; None without one.

    Raises:
        DamagedArchiveError: the manifest is truncated or altered.
        ArchiveError: it has a newer format or belongs to another archive, or the store fails.
    """
    text = folder.read(MANIFEST)
    return parse_manifest(folder.place, text) if text is not None else None


def verify_archive(place: ArchivePlace, manifest: Manifest, *, progress: Progress = silent) -> None:
    """Read a complete archive back and compare its rows and hashes with its manifest.

    Raises:
        DamagedArchiveError: something differs.
        ArchiveError: the store fails.
    """
    pace = Pace(f"verifying {manifest.partition} {manifest.period}", progress, manifest.n_rows)
    found = read_back(Folder(place), manifest.data, manifest.columns, pace)
    refuse_difference(f"archive {place}", manifest.digest, found, "read back")


def read_back(
    folder: Folder,
    data: Data,
    columns: Sequence[Column],
    pace: Pace,
    take: Callable[[bytes], None] | None = None,
) -> Digest:
    """Read an archive's COPY text from beginning to end, hash it, and pass each piece to `take`.

    Raises:
        DamagedArchiveError: the object is missing or damaged.
        ArchiveError: the store fails.
    """
    tally = Tally()
    for text in ahead(texts(folder, data, columns)):
        tally.take(text)
        if take is not None:
            take(text)
        pace.show(tally)
    return tally.digest


def list_archives(
    url: str, database: str, table: QualifiedName, key: str | None = None
) -> list[tuple[str, Manifest | ArchiveError]]:
    """Return a table's archives by period; an unreadable one as its error.

    Raises:
        ArchiveError: the store fails.
    """
    found: list[tuple[str, Manifest | ArchiveError]] = []
    for name in subfolders(url, database, table):
        place = ArchivePlace(url, database, table, unquote(name), key)
        try:
            manifest = read_manifest(place)
        except ArchiveError as exc:
            found.append((place.period, exc))
            continue
        if manifest is not None:
            found.append((manifest.period, manifest))
    return found
