"""Counts and hashes COPY text."""

import hashlib
from typing import NamedTuple

from maintenance.errors import DamagedArchiveError

DAMAGE_HINT = (
    "restore the object from a backup of the archive storage; or, if the table still exists, move"
    " the folder away and run again to archive it again"
)


class Digest(NamedTuple):
    """The number of rows of a table, and the SHA-256 of its COPY text in hex."""

    n_rows: int
    sha256: str


class Tally:
    """Counts and hashes COPY text piece by piece."""

    def __init__(self) -> None:
        self.n_rows = 0
        self.n_bytes = 0
        self._hash = hashlib.sha256()

    def take(self, text: bytes) -> None:
        """Count one piece."""
        self.n_rows += _count_rows(text)
        self.n_bytes += len(text)
        self._hash.update(text)

    @property
    def digest(self) -> Digest:
        """The digest of all pieces so far."""
        return Digest(self.n_rows, self._hash.hexdigest())


def _count_rows(text: bytes) -> int:
    """Count rows: in every server encoding a line feed byte ends one; values have it escaped."""
    # Imported only when needed: the import is slow.
    import numpy as np  # noqa: PLC0415

    # Before Python 3.13 bytes.count takes as long as the hash, and blocks other threads.
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord("\n")))


def refuse_difference(what: str, wanted: Digest, found: Digest, where: str) -> None:
    """Compare two digests that should be equal.

    Raises:
        DamagedArchiveError: they differ.
    """
    if wanted != found:
        raise DamagedArchiveError(
            f"{what}: {where}: found {found.n_rows} rows with sha256 {found.sha256[:12]}…,"
            f" expected {wanted.n_rows} rows with {wanted.sha256[:12]}…",
            hint=DAMAGE_HINT,
            reason="other_content",
        )
