"""Computes the location of the archive of one period, in any store that fsspec supports."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit
from urllib.parse import quote as percent_encode

from maintenance.names import QualifiedName

MAX_NAME_CHARS = 120
"""Maximum for a schema or table; longer names keep their beginning and a hash.

File systems limit a name to 255 bytes, and 63 bytes may be 189 percent-encoded.
"""

_USER_INFO = re.compile(r"(?<=://)[^/@]*@")


@dataclass(frozen=True, slots=True)
class ArchivePlace:
    """The folder `<url>/<database>/<schema>.<table>/<period>/`.

    Attributes:
        url: a path or any fsspec url, as in the policy.
        database: the database's name in its policy.
        table: the partitioned table.
        period: the period's key, such as `2024-01`.
        key: the key that seals its manifests; None if only their hash is written.
    """

    url: str
    database: str
    table: QualifiedName
    period: str
    key: str | None = field(default=None, repr=False)

    @property
    def segments(self) -> tuple[str, str, str]:
        """The folders below the url, percent-encoded."""
        return (*table_segments(self.database, self.table), segment(self.period))

    def __str__(self) -> str:
        """The folder for messages: without user, password and parameters of the url."""
        return "/".join((shown(self.url).rstrip("/"), *self.segments))


def table_segments(database: str, table: QualifiedName) -> tuple[str, str]:
    """Return the folders of the archives of one table."""
    return segment(database), f"{_short(table.schema)}.{_short(table.name)}"


def segment(name: str) -> str:
    """Return a name as one path segment, unique for each name."""
    # A dot in a name is encoded too: it separates schema and table, and `..` is the parent.
    return percent_encode(name, safe="").replace(".", "%2E")


def _short(name: str) -> str:
    encoded = segment(name)
    if len(encoded) <= MAX_NAME_CHARS:
        return encoded
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{encoded[: MAX_NAME_CHARS - 17]}~{digest}"


def shown(url: str) -> str:
    """Return an archive url without parts that may be secret."""
    return _USER_INFO.sub("", url.split("?", 1)[0])


def secrets(url: str) -> Iterator[str]:
    """Yield the parts of an archive url that may be secret: its password and parameter values."""
    for part in url.split("::"):
        with suppress(ValueError):  # not a url
            split = urlsplit(part)
            if split.password:
                yield from (split.password, unquote(split.password))
            yield from (value for _, value in parse_qsl(split.query) if len(value) > 1)
