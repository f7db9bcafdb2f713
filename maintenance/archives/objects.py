"""Reads and writes the objects of one archive, in any store that fsspec supports.

An object appears complete or not at all, if the store supports that: a local file is written under
a temporary name, made durable and renamed; an object store shows an upload when it is complete.
"""

import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from maintenance.archives.filesystem import is_local, lacks_credentials, open_store
from maintenance.archives.local_files import PART, LocalFiles, LocalUpload
from maintenance.archives.location import (
    ArchivePlace,
    secrets,
    segment,
    shown,
    table_segments,
)
from maintenance.archives.uploads import Upload, begin_upload
from maintenance.errors import ArchiveError, MaintenanceError
from maintenance.names import QualifiedName

READ_BYTES = 2**20

Write = Callable[[bytes], None]


class Folder:
    """The folder of one archive.

    Every method raises ArchiveError if the store fails; the message names the location and
    contains no credentials.
    """

    def __init__(self, place: ArchivePlace) -> None:
        self.place = place
        with _explained(place, "open_failed", "open"):
            self._objects = _objects(*open_store(place.url), place.segments)

    def size_of(self, name: str) -> int | None:
        """Return an object's size in bytes; None if there is no such object."""
        with _explained(self.place, "look_failed", f"check {name}"):
            return self._objects.size_of(name)

    def read(self, name: str) -> bytes | None:
        """Return a whole object; None if there is no such object."""
        with _explained(self.place, "read_failed", f"read {name}"):
            return self._objects.read(name)

    def open(self, name: str) -> Any:
        """Return an object as a seekable binary file, for random access."""
        with _explained(self.place, "read_failed", f"read {name}"):
            return self._objects.open(name)

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield an object in pieces, as the store returns them."""
        with self.open(name) as file:
            while True:
                with _explained(self.place, "read_failed", f"read {name}"):
                    data: bytes = file.read(READ_BYTES)
                if not data:
                    return
                yield data

    @contextmanager
    def creating(self, name: str, expected_bytes: int = 0) -> Generator[Write]:
        """Write an object in pieces; if the block fails, no object remains.

        Args:
            name: an object of that name is replaced.
            expected_bytes: estimate of its maximum size, 0 if unknown.
        """
        with _explained(self.place, "write_failed", f"write {name}"):
            upload = self._objects.begin(name, expected_bytes)

        def write(data: bytes) -> None:
            with _explained(self.place, "write_failed", f"write {name}"):
                upload.write(data)

        try:
            yield write
            with _explained(self.place, "write_failed", f"write {name}"):
                upload.finish()
        except BaseException:
            with suppress(Exception):  # the first error is reported
                upload.discard()
            raise

    def put(self, name: str, data: bytes) -> None:
        """Write a small object in one piece; if that fails, an existing object is unchanged."""
        with _explained(self.place, "write_failed", f"write {name}"):
            self._objects.put(name, data)

    def remove(self, name: str) -> None:
        """Remove an object if it exists."""
        with _explained(self.place, "remove_failed", f"remove {name}"):
            self._objects.remove(name)

    def clear(self, names: Iterable[str]) -> None:
        """Remove objects of these names and leftovers of their killed uploads, if permitted."""
        with suppress(Exception):  # they cost space and are otherwise harmless
            found = set(self._objects.names())
            for name in found.intersection(n + end for n in names for end in ("", PART)):
                self._objects.remove(name)


class _LocalObjects(LocalFiles):
    """Objects on a local disk."""

    def begin(self, name: str, _expected_bytes: int = 0) -> LocalUpload:  # pyright: ignore[reportIncompatibleMethodOverride]
        return super().begin(name)

    def put(self, name: str, data: bytes) -> None:
        upload = self.begin(name)
        try:
            upload.write(data)
            upload.finish()
        except BaseException:
            with suppress(OSError):  # the first error is reported
                upload.discard()
            raise


class _StoreObjects:
    """Objects of a store accessed with fsspec."""

    def __init__(self, fs: Any, root: str, segments: Sequence[str]) -> None:
        self._fs = fs
        self._path = "/".join((root.rstrip("/"), *segments))

    def size_of(self, name: str) -> int | None:
        self._fs.invalidate_cache()
        try:
            return int(self._fs.info(self._at(name))["size"])
        except FileNotFoundError:
            return None

    def read(self, name: str) -> bytes | None:
        self._fs.invalidate_cache()
        try:
            content: bytes = self._fs.cat_file(self._at(name))
        except FileNotFoundError:
            return None
        return content

    def open(self, name: str) -> Any:
        return self._fs.open(self._at(name), "rb")

    def begin(self, name: str, expected_bytes: int) -> Upload:
        return begin_upload(self._fs, self._at(name), expected_bytes)

    def put(self, name: str, data: bytes) -> None:
        self._fs.pipe_file(self._at(name), data)

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._fs.rm_file(self._at(name))

    def names(self) -> list[str]:
        self._fs.invalidate_cache()
        listed: list[str] = self._fs.ls(self._path, detail=False)
        return [path.rsplit("/", 1)[-1] for path in listed]

    def folders(self) -> list[str]:
        self._fs.invalidate_cache()
        try:
            listed = self._fs.ls(self._path, detail=True)
        except FileNotFoundError:
            return []
        entries = [entry for entry in listed if entry["type"] == "directory"]
        return sorted(entry["name"].rstrip("/").rsplit("/", 1)[-1] for entry in entries)

    def _at(self, name: str) -> str:
        return f"{self._path}/{name}"


def try_store(url: str, database: str) -> bool:
    """Write a small object below an archive url, read it back and remove it.

    Nothing else is changed: folders of a local disk that were missing are missing again.

    Args:
        url: of the archives, as in the policy.
        database: the database's name in its policy.

    Returns:
        Whether the object could be removed, as write-once stores refuse.

    Raises:
        ArchiveError: the store fails, or returns another content.
    """
    with _explained_url(url, shown(url), "probe_failed", "write and read"):
        fs, root = open_store(url)
        objects = _objects(fs, root, [segment(database)])
        name, content = f"check-{uuid.uuid4()}", uuid.uuid4().bytes
        with _without_new_folders(root, database) if is_local(fs) else nullcontext():
            objects.put(name, content)
            found = objects.read(name)
            is_removed = _removes(objects, name)
    if found != content:
        raise ArchiveError(
            f"archive {shown(url)}: an object does not read back as it was written",
            reason="probe_differs",
        )
    return is_removed


def _removes(objects: "_LocalObjects | _StoreObjects", name: str) -> bool:
    try:
        objects.remove(name)
    except Exception:  # noqa: BLE001 - each store has its own errors
        return False
    return True


@contextmanager
def _without_new_folders(root: str, database: str) -> Generator[None]:
    folder = Path(root, segment(database))
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        yield
    finally:
        with suppress(OSError):  # another process has put something there
            for each in new:
                each.rmdir()


def _objects(fs: Any, root: str, segments: Sequence[str]) -> "_LocalObjects | _StoreObjects":
    return _LocalObjects(root, segments) if is_local(fs) else _StoreObjects(fs, root, segments)


def subfolders(url: str, database: str, table: QualifiedName) -> list[str]:
    """Return the names of the folders of one table's archives, sorted.

    Raises:
        ArchiveError: the store fails.
    """
    place = ArchivePlace(url, database, table, "*")
    with _explained(place, "list_failed", "list"):
        return _objects(*open_store(url), table_segments(database, table)).folders()


def _explained(place: ArchivePlace, reason: str, doing: str) -> AbstractContextManager[None]:
    return _explained_url(place.url, str(place), reason, doing)


@contextmanager
def _explained_url(url: str, name: str, reason: str, doing: str) -> Generator[None]:
    try:
        yield
    except MaintenanceError:
        raise
    except Exception as exc:  # noqa: BLE001 - each store has its own errors
        if lacks_credentials(exc):
            raise ArchiveError(
                f"archive {name}: can't {doing}: no credentials found",
                hint="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give this"
                " machine a role; then run it again",
                reason="no_credentials",
            ) from None
        # They may repeat the url with a password, and so may a chain of errors.
        text = str(exc).replace(url, shown(url)) or type(exc).__name__
        for secret in secrets(url):
            text = text.replace(secret, "…")
        raise ArchiveError(
            f"archive {name}: can't {doing}: {text.splitlines()[0]}",
            retryable=True,
            reason=reason,
        ) from None
