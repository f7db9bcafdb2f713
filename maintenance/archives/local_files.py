"""Stores the objects of one archive on a local disk, without following links.

A user who may write to the archive could replace a folder or file by a link, and we would read or
write its target with our permissions. So every name below the configured folder is opened relative
to its parent folder, without following links, and only files that belong to us, or to the owner of
the configured folder, are used. The configured folder itself may be a link.
Source: open(2), O_NOFOLLOW.
"""

import errno
import os
import stat
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from maintenance.errors import ArchiveError

PART = ".part"
"""Suffix of a file until it is complete."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY
_LINK_ERRORS = (errno.ELOOP, errno.EMLINK, errno.ENOTDIR)


class LocalFiles:
    """The files of one folder.

    Every method raises ArchiveError for a link or a file of another user, and OSError if the disk
    fails.
    """

    def __init__(self, root: str, segments: Sequence[str]) -> None:
        self._root = Path(root)
        self._segments = tuple(segments)

    def size_of(self, name: str) -> int | None:
        """Return a file's size in bytes; None if there is no such file."""
        with self._folder() as folder:
            found = self._look(folder, name)
            return found.st_size if found is not None else None

    def read(self, name: str) -> bytes | None:
        """Return a whole file; None if there is no such file."""
        try:
            with self.open(name) as file:
                content: bytes = file.read()
                return content
        except FileNotFoundError:
            return None

    def open(self, name: str) -> Any:
        """Return a file to read, seekable."""
        with self._folder() as folder:
            if folder is None:
                raise FileNotFoundError(name)
            # opening a pipe would wait
            opened = self._open(folder, name, os.O_RDONLY | os.O_NONBLOCK)
            try:
                self._refuse_strange(os.fstat(opened), name)
            except BaseException:
                os.close(opened)
                raise
            return os.fdopen(opened, "rb")

    def begin(self, name: str) -> "LocalUpload":
        """Begin to write a file, which appears under its name when it is complete."""
        with self._folder(create=True) as folder:
            assert folder is not None, "it was just made"
            for each in (name, name + PART):
                self._look(folder, each)
            with suppress(FileNotFoundError):  # left by a killed upload
                os.unlink(name + PART, dir_fd=folder)
            file = self._open(folder, name + PART, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            return LocalUpload(os.dup(folder), file, name)

    def remove(self, name: str) -> None:
        """Remove a file if it exists."""
        with self._folder() as folder:
            if folder is not None and self._look(folder, name) is not None:
                os.unlink(name, dir_fd=folder)

    def names(self) -> list[str]:
        """Return the names of all entries of the folder; none if it does not exist."""
        with self._folder() as folder:
            return os.listdir(folder) if folder is not None else []  # noqa: PTH208 - of an opened folder

    def folders(self) -> list[str]:
        """Return the names of the subfolders, and of links, which are never followed."""
        with self._folder() as folder:
            if folder is None:
                return []
            with os.scandir(folder) as entries:
                return sorted(
                    entry.name
                    for entry in entries
                    if entry.is_symlink() or entry.is_dir(follow_symlinks=False)
                )

    @contextmanager
    def _folder(self, *, create: bool = False) -> Generator[int | None]:
        """Open the folder step by step; None if it is missing and not created."""
        current: int | None = None
        try:
            if create:
                self._root.mkdir(parents=True, exist_ok=True)
            current = os.open(self._root, _FOLDER)
            for name in self._segments:
                below = self._enter(current, name, create=create)
                os.close(current)
                current = below
        except FileNotFoundError:
            if current is not None:
                os.close(current)
            yield None
            return
        except BaseException:
            if current is not None:
                os.close(current)
            raise
        try:
            yield current
        finally:
            os.close(current)

    def _enter(self, folder: int, name: str, *, create: bool) -> int:
        if create:
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=folder)
        below = self._open(folder, name, _FOLDER)
        try:
            self._refuse_others(os.fstat(below), name)
        except BaseException:
            os.close(below)
            raise
        return below

    def _open(self, folder: int, name: str, flags: int) -> int:
        try:
            return os.open(name, flags | os.O_NOFOLLOW, 0o666, dir_fd=folder)
        except OSError as exc:
            if exc.errno in _LINK_ERRORS:
                raise self._link(name) from exc
            raise

    def _look(self, folder: int | None, name: str) -> os.stat_result | None:
        if folder is None:
            return None
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        self._refuse_strange(found, name)
        return found

    def _refuse_strange(self, found: os.stat_result, name: str) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise self._link(name)
        self._refuse_others(found, name)

    def _refuse_others(self, found: os.stat_result, name: str) -> None:
        if found.st_uid not in (os.geteuid(), self._root.stat().st_uid):
            raise ArchiveError(
                f"archive folder {self._root}: {name} in it belongs to user {found.st_uid}, not to"
                " the user that runs maintenance; nothing is read, written or dropped",
                hint="check who created it; run chown if it is one of your archives",
                reason="another_owner",
            )

    def _link(self, name: str) -> ArchiveError:
        return ArchiveError(
            f"archive folder {self._root}: {name} in it is a link or not a regular file or folder;"
            " links are not followed, and nothing is read, written or dropped",
            hint="replace the link with its target; the configured folder itself may be a link",
            reason="link",
        )


class LocalUpload:
    """A file that is being written; durable when `finish` returns."""

    def __init__(self, folder: int, file: int, name: str) -> None:
        self._folder = folder
        self._name = name
        self._file = os.fdopen(file, "wb")

    def write(self, data: bytes) -> None:
        """Write one piece."""
        self._file.write(data)

    def finish(self) -> None:
        """Complete the file."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        part = self._name + PART
        os.replace(part, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        os.fsync(self._folder)
        os.close(self._folder)

    def discard(self) -> None:
        """Leave nothing of it."""
        try:
            self._file.close()  # fails again on a full disk
        finally:
            with suppress(FileNotFoundError):
                os.unlink(self._name + PART, dir_fd=self._folder)
            os.close(self._folder)
