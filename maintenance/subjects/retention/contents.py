"""What tables that are to be retired hold: rows, bytes, and their oldest and newest key. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from maintenance.formatting import readable_size


class Contents(NamedTuple):
    """What a table holds, or several together; None where unknown.

    Attributes:
        rows: the catalog's estimate.
        size_bytes: on disk, with indexes and TOAST.
        oldest: the lowest key: an ISO 8601 moment if the encoding of the policy can read it, else
            its text.
        newest: the highest key.
    """

    rows: int | None = None
    size_bytes: int | None = None
    oldest: str | None = None
    newest: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as detail of an action, or data of a finding."""
        return {
            "rows_estimate": self.rows,
            "size_bytes": self.size_bytes,
            "oldest": self.oldest,
            "newest": self.newest,
        }

    def __str__(self) -> str:
        return ", ".join(self._parts())

    def _parts(self) -> Iterator[str]:
        yield f"~{self.rows:,} rows" if self.rows is not None else "rows unknown"
        yield readable_size(self.size_bytes) if self.size_bytes is not None else "size unknown"
        if self.oldest is not None and self.newest is not None:
            yield f"keys {self.oldest} to {self.newest}"


UNKNOWN = Contents()


def total(contents: Sequence[Contents]) -> Contents:
    """Return what several tables hold together; a value is unknown if it is for one of them.

    They are in order of time: the first has the oldest key, the last the newest.
    """
    if not contents:
        return UNKNOWN
    return Contents(
        _sum(each.rows for each in contents),
        _sum(each.size_bytes for each in contents),
        contents[0].oldest,
        contents[-1].newest,
    )


def _sum(values: Iterable[int | None]) -> int | None:
    known = list(values)
    return None if None in known else sum(value or 0 for value in known)
