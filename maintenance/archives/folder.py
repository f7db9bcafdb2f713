"""The objects of one archive, in any store that fsspec knows.

An object appears whole or not at all where the store can do that: a local file is written
beside its name, made durable and renamed; an object store shows an upload when it is complete.
"""

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from fsspec.core import url_to_fs  # pyright: ignore[reportUnknownVariableType]
from fsspec.implementations.local import LocalFileSystem

from maintenance.archives.place import ArchivePlace, shown, table_segments
from maintenance.errors import ArchiveError, MaintenanceError
from maintenance.names import QualifiedName

MIN_BLOCK_BYTES = 16 * 2**20
MAX_BLOCKS = 9_000
"""S3 takes at most 10,000 parts an object, so a huge one is sent in larger ones."""
READ_BYTES = 2**20

Write = Callable[[bytes], None]


class _Upload(Protocol):
    def write(self, data: bytes) -> None: ...
    def finish(self) -> None: ...
    def discard(self) -> None: ...


class Folder:
    """The folder of one archive.

    Every method raises ArchiveError where the store fails; the message names the place and
    holds no credentials.
    """

    def __init__(self, place: ArchivePlace) -> None:
        self.place = place
        with _explained(place, "open"):
            self._fs, root = _open_store(place.url)
        self._path = "/".join((root.rstrip("/"), *place.segments))

    def size_of(self, name: str) -> int | None:
        """Return an object's size in bytes; None if there is no such object."""
        with _explained(self.place, f"look at {name}"):
            self._fs.invalidate_cache()
            try:
                return int(self._fs.info(self._at(name))["size"])
            except FileNotFoundError:
                return None

    def read(self, name: str) -> bytes | None:
        """Return a whole object; None if there is no such object."""
        with _explained(self.place, f"read {name}"):
            self._fs.invalidate_cache()
            try:
                return self._fs.cat_file(self._at(name))
            except FileNotFoundError:
                return None

    def open(self, name: str) -> Any:
        """Return an object as a seekable binary file, for readers that jump."""
        with _explained(self.place, f"read {name}"):
            return self._fs.open(self._at(name), "rb")

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield an object in pieces, as they come from the store."""
        with self.open(name) as file:
            while True:
                with _explained(self.place, f"read {name}"):
                    data: bytes = file.read(READ_BYTES)
                if not data:
                    return
                yield data

    @contextmanager
    def creating(self, name: str, expected_bytes: int = 0) -> Generator[Write]:
        """Write an object by pieces; a block that fails leaves none.

        Args:
            name: an object of that name is replaced.
            expected_bytes: about how large it will be at most, 0 if unknown.
        """
        with _explained(self.place, f"write {name}"):
            upload = self._begin(name, expected_bytes)

        def write(data: bytes) -> None:
            with _explained(self.place, f"write {name}"):
                upload.write(data)

        try:
            yield write
            with _explained(self.place, f"write {name}"):
                upload.finish()
        except BaseException:
            with suppress(Exception):  # the first error is the one to tell
                upload.discard()
            raise

    def remove(self, name: str) -> None:
        """Remove an object if it is there."""
        with _explained(self.place, f"remove {name}"), suppress(FileNotFoundError):
            self._fs.rm_file(self._at(name))

    def _at(self, name: str) -> str:
        return f"{self._path}/{name}"

    def _begin(self, name: str, expected_bytes: int) -> _Upload:
        if isinstance(self._fs, LocalFileSystem):
            return _LocalUpload(Path(self._at(name)))
        block_bytes = max(MIN_BLOCK_BYTES, expected_bytes // MAX_BLOCKS)
        return _StoreUpload(self._fs, self._at(name), block_bytes)


def subfolders(url: str, database: str, table: QualifiedName) -> list[str]:
    """Return the names of the folders that archives of one table lie in, sorted.

    Raises:
        ArchiveError: the store fails.
    """
    place = ArchivePlace(url, database, table, "*")
    with _explained(place, "list"):
        fs, root = _open_store(url)
        fs.invalidate_cache()
        path = "/".join((root.rstrip("/"), *table_segments(database, table)))
        try:
            listed = fs.ls(path, detail=True)
        except FileNotFoundError:
            return []
        entries = [entry for entry in listed if entry["type"] == "directory"]
        return sorted(entry["name"].rstrip("/").rsplit("/", 1)[-1] for entry in entries)


class _LocalUpload:
    """A local file; fsspec's own would be written in the system's folder and not synced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._part.open("wb")

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def finish(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def discard(self) -> None:
        self._file.close()
        self._part.unlink(missing_ok=True)


class _StoreUpload:
    """An object of a store that fsspec talks to."""

    def __init__(self, fs: Any, path: str, block_bytes: int) -> None:
        self._fs = fs
        self._path = path
        try:
            self._file = fs.open(path, "wb", block_size=block_bytes)
        except FileNotFoundError:  # a store with real folders
            fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
            self._file = fs.open(path, "wb", block_size=block_bytes)

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def finish(self) -> None:
        self._file.close()

    def discard(self) -> None:
        # Closing would complete the upload; discarding ends a multipart one on the server.
        with suppress(AttributeError):
            self._file.discard()
        self._file.closed = True
        with suppress(FileNotFoundError):
            self._fs.rm_file(self._path)


def _open_store(url: str) -> tuple[Any, str]:
    opened: tuple[Any, str] = url_to_fs(url)  # pyright: ignore[reportUnknownVariableType]
    return opened


@contextmanager
def _explained(place: ArchivePlace, doing: str) -> Generator[None]:
    try:
        yield
    except MaintenanceError:
        raise
    except ImportError as exc:
        raise ArchiveError(
            f"archive {place}: the store needs a package that is not installed: {exc}",
            hint="for s3 urls install maintenance[s3], for others the package fsspec names",
        ) from exc
    except Exception as exc:
        # Each store has errors of its own; what they repeat of the url may hold a password.
        text = str(exc).replace(place.url, shown(place.url)) or type(exc).__name__
        raise ArchiveError(
            f"archive {place}: can't {doing}: {text.splitlines()[0]}", retryable=True
        ) from exc
