"""Formats: how COPY text is stored, and had back byte for byte.

Whatever the format, what goes in and comes out is the COPY text of `content`, so one hash proves
every archive, and one way restores it.
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
"""Two names each: what replaces a standing archive is written beside it."""

ZSTD_LEVEL = 2
"""Rows of events, numbers or requests come out smaller than at 3, prose 4 % larger, both in half
the time: it is taken from the machine that serves the application, or from one beside it."""
TEXT_BYTES = 2**20


class Encoder(Protocol):
    """Takes COPY text in pieces and writes it in its format."""

    compression: str

    def take(self, text: bytes) -> None:
        """Store one piece."""
        ...

    def finish(self) -> None:
        """Store what is held back."""
        ...

    def abandon(self) -> None:
        """Write nothing any more."""
        ...


class CopyEncoder:
    """COPY text as it is, in one Zstandard frame with a checksum."""

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
        ArchiveError: the format can't hold a column's type, or needs a package that is missing.
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
    for _ in _stored(folder, data):  # Parquet is read by jumps, so the hash takes its own pass
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
            text = reader.read(TEXT_BYTES)  # of a few stored bytes there may be gigabytes
        except zstandard.ZstdError as exc:
            raise DamagedArchiveError(
                f"archive {folder.place}: {data.name} is damaged: {exc}",
                hint=DAMAGE_HINT,
                reason="damaged",
            ) from exc
        if not text:
            break
        yield text
    for _ in stored:  # what lies behind the frame counts for the object's hash
        pass


class _Source:
    """An iterator of bytes as a file to read from."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def read(self, _size: int) -> bytes:
        return next(self._pieces, b"")


def _stored(folder: Folder, data: Data) -> Iterator[bytes]:
    """Yield an object's bytes; at the end they were those that the manifest tells of."""
    check_size(folder, data)
    hashed = hashlib.sha256()
    for piece in folder.chunks(data.name):
        hashed.update(piece)
        yield piece
    if hashed.hexdigest() != data.sha256:
        raise DamagedArchiveError(
            f"archive {folder.place}: {data.name} is damaged: its sha256 is"
            f" {hashed.hexdigest()[:12]}…, wanted {data.sha256[:12]}…",
            hint=DAMAGE_HINT,
            reason="damaged",
        )


def check_size(folder: Folder, data: Data) -> None:
    """Look whether an object is there, with the size that its manifest tells.

    Raises:
        DamagedArchiveError: it is not.
    """
    size = folder.size_of(data.name)
    if size != data.size_bytes:
        found = "is missing" if size is None else f"has {size} bytes"
        raise DamagedArchiveError(
            f"archive {folder.place}: {data.name} {found}, wanted {data.size_bytes} bytes",
            hint=DAMAGE_HINT,
            reason="missing" if size is None else "wrong_size",
        )
