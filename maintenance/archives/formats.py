"""Archive formats: store COPY text and return it byte for byte.

Every format takes and returns the COPY text of `copy_stream`, so one hash verifies every archive,
and one procedure restores it.
"""

import hashlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any, Literal, Protocol

import zstandard

from maintenance.archives.checksum import DAMAGE_HINT
from maintenance.archives.manifest import Column, Data
from maintenance.archives.objects import Folder, Write
from maintenance.errors import ArchiveError, DamagedArchiveError

Format = Literal["copy", "parquet"]

OBJECTS: dict[Format, tuple[str, str]] = {
    "copy": ("data.copy.zst", "data-2.copy.zst"),
    "parquet": ("data.parquet", "data-2.parquet"),
}
"""Two names per format: a new archive is written next to the existing one."""

ZSTD_LEVEL = 2
"""Rows of events, numbers or requests become smaller than at 3, prose 4 % larger, both in half the
time: CPU time may be taken from the application."""
TEXT_BYTES = 2**20


class Encoder(Protocol):
    """Writes COPY text, piece by piece, in a format."""

    compression: str

    def take(self, text: bytes) -> None:
        """Store one piece."""
        ...

    def finish(self) -> None:
        """Store the buffered rest."""
        ...

    def abandon(self) -> None:
        """Write nothing any more."""
        ...


class CopyEncoder:
    """Writes unchanged COPY text in one Zstandard frame with a checksum."""

    compression = "zstd"

    def __init__(self, write: Write) -> None:
        self._write = write
        compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True)
        self._frame = compressor.compressobj()

    def take(self, text: bytes) -> None:
        """Compress one piece."""
        self._put(self._frame.compress(text))

    def finish(self) -> None:
        """End the frame."""
        self._put(self._frame.flush())

    def abandon(self) -> None:
        """Write nothing any more."""

    def _put(self, data: bytes) -> None:
        if data:
            self._write(data)


@contextmanager
def encoding(
    format_: Format, columns: Sequence[Column], charset: str, write: Write
) -> Generator[Encoder]:
    """Store the COPY text of a block, in the character set of its database.

    Raises:
        ArchiveError: the format can't store a column's type, or needs a package that is missing.
    """
    encoder = _encoder(format_, columns, charset, write)
    try:
        yield encoder
        encoder.finish()
    except BaseException:
        encoder.abandon()
        raise


def _encoder(format_: Format, columns: Sequence[Column], charset: str, write: Write) -> Encoder:
    if format_ == "copy":
        return CopyEncoder(write)
    return _parquet().ParquetEncoder(columns, charset, write)


def texts(folder: Folder, data: Data, columns: Sequence[Column]) -> Iterator[bytes]:
    """Yield the COPY text of an archive in pieces.

    Raises:
        DamagedArchiveError: the object is missing, damaged, or not the one that was written.
    """
    if data.format == "copy":
        yield from _decompressed(folder, data)
        return
    for _ in _stored(folder, data):  # Parquet is not read in order, so the hash needs its own pass
        pass
    yield from _parquet().read_texts(folder, data.name, columns)


def _parquet() -> ModuleType:
    try:
        return import_module("maintenance.archives.parquet")
    except ImportError as exc:
        raise ArchiveError(
            f"format parquet needs a package that is not installed: {exc.name}",
            hint="install maintenance[parquet]",
        ) from exc


def _decompressed(folder: Folder, data: Data) -> Iterator[bytes]:
    stored = _stored(folder, data)
    source: Any = _Source(stored)
    reader = zstandard.ZstdDecompressor().stream_reader(source)
    while True:
        try:
            text = reader.read(TEXT_BYTES)  # a few stored bytes may decompress to gigabytes
        except zstandard.ZstdError as exc:
            raise DamagedArchiveError(
                f"archive {folder.place}: {data.name} is damaged: {exc}",
                hint=DAMAGE_HINT,
                reason="damaged",
            ) from exc
        if not text:
            break
        yield text
    for _ in stored:  # bytes after the frame count for the object's hash
        pass


class _Source:
    """A readable file over an iterator of bytes."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def read(self, _size: int) -> bytes:
        return next(self._pieces, b"")


def _stored(folder: Folder, data: Data) -> Iterator[bytes]:
    """Yield an object's bytes; raise at the end if their hash is not that of the manifest."""
    check_size(folder, data)
    hashed = hashlib.sha256()
    for piece in folder.chunks(data.name):
        hashed.update(piece)
        yield piece
    if hashed.hexdigest() != data.sha256:
        raise DamagedArchiveError(
            f"archive {folder.place}: {data.name} is damaged: its sha256 is"
            f" {hashed.hexdigest()[:12]}…, expected {data.sha256[:12]}…",
            hint=DAMAGE_HINT,
            reason="damaged",
        )


def check_size(folder: Folder, data: Data) -> None:
    """Check that an object exists with the size of its manifest.

    Raises:
        DamagedArchiveError: it is missing or has another size.
    """
    size = folder.size_of(data.name)
    if size != data.size_bytes:
        found = "is missing" if size is None else f"has {size} bytes"
        raise DamagedArchiveError(
            f"archive {folder.place}: {data.name} {found}, expected {data.size_bytes} bytes",
            hint=DAMAGE_HINT,
            reason="missing" if size is None else "wrong_size",
        )
