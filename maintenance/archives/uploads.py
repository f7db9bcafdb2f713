"""Uploads an object that appears complete or, if the store supports that, not at all."""

from contextlib import suppress
from typing import Any, Protocol

MIN_BLOCK_BYTES = 16 * 2**20
MAX_BLOCKS = 9_000
"""S3 allows at most 10,000 parts per object, so a huge object is sent in larger parts."""


class Upload(Protocol):
    """An object that is being written."""

    def write(self, data: bytes) -> None:
        """Write one piece."""
        ...

    def finish(self) -> None:
        """Complete the object; durable when this returns."""
        ...

    def discard(self) -> None:
        """Leave nothing of it."""
        ...


def begin_upload(fs: Any, path: str, expected_bytes: int) -> Upload:
    """Begin to write an object, and abort leftovers of killed uploads to the same path.

    Args:
        fs: the file system.
        path: of the object.
        expected_bytes: estimate of its maximum size, 0 if unknown.
    """
    if "s3" in _protocols(fs):
        _end_abandoned_parts(fs, path)
    return _StoreUpload(fs, path, max(MIN_BLOCK_BYTES, expected_bytes // MAX_BLOCKS))


def _protocols(fs: Any) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def _end_abandoned_parts(fs: Any, path: str) -> None:
    """Abort killed uploads of this object: S3 keeps, and charges for, their parts."""
    bucket, key, _ = fs.split_path(path)
    with suppress(Exception):  # the permission to list them is not required
        found = fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=key)
        for upload in found.get("Uploads", ()):
            if upload["Key"] == key:
                number = upload["UploadId"]
                fs.call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=number)


class _StoreUpload:
    """An object of a store accessed with fsspec."""

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
