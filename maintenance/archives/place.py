"""Places: where the archive of one period lies, in any store that fsspec knows."""

import hashlib
import re
from dataclasses import dataclass
from urllib.parse import quote as percent_encode

from maintenance.names import QualifiedName

MAX_SEGMENT_CHARS = 120
"""Longer names keep their beginning and a hash: file systems end names at 255 bytes."""

_USER_INFO = re.compile(r"(?<=://)[^/@]*@")


@dataclass(frozen=True, slots=True)
class ArchivePlace:
    """The folder `<url>/<database>/<schema>.<table>/<period>/`.

    Attributes:
        url: a path or any fsspec url, as the policy holds it.
        database: the database's name in its policy.
        table: the partitioned table.
        period: the period's key, such as `2024-01`.
    """

    url: str
    database: str
    table: QualifiedName
    period: str

    @property
    def segments(self) -> tuple[str, str, str]:
        """The folders below the url, percent-encoded."""
        return (*table_segments(self.database, self.table), segment(self.period))

    def __str__(self) -> str:
        """The folder for messages: without user, password and parameters of the url."""
        return "/".join((shown(self.url).rstrip("/"), *self.segments))


def table_segments(database: str, table: QualifiedName) -> tuple[str, str]:
    """Return the folders that hold the archives of one table."""
    return segment(database), f"{segment(table.schema)}.{segment(table.name)}"


def segment(name: str) -> str:
    """Return a name as one path segment, different for different names."""
    # A dot inside a name is encoded too: it separates schema and table, and `..` is no folder.
    encoded = percent_encode(name, safe="").replace(".", "%2E")
    if len(encoded) <= MAX_SEGMENT_CHARS:
        return encoded
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{encoded[: MAX_SEGMENT_CHARS - 17]}~{digest}"


def shown(url: str) -> str:
    """Return an archive url without what may be secret in it."""
    return _USER_INFO.sub("", url.split("?", 1)[0])
