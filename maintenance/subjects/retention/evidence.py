"""What tells whether partitions are in use: rows they take, and where a table has rows at all."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from maintenance.names import QualifiedName

IN_USE_FOR = timedelta(hours=20)
"""So long a partition counts as in use after a look has seen that it took rows: less than a day,
so that each night judges anew."""


class Taken(NamedTuple):
    """Rows that a partition took between two looks, and when the later one was."""

    n_rows: int
    at: datetime


class InsertReading(NamedTuple):
    """What an earlier look counted, and the last rows that it or one before knew to be taken."""

    inserted: int
    taken: Taken | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen of partitions, by OID, and of tables.

    Attributes:
        inserted: rows taken since the server counts.
        before: the same at the last look that was recorded; what it did not count is missing.
        rowless: tables of which no partition that should be in use holds a row, unless runs of
            ours have made all that are due.
        renewed: those of them whose partitions that are kept were all made by runs of ours.
        retired_before: those of them of which earlier runs have retired partitions.
    """

    inserted: Mapping[int, int] = field(default_factory=dict[int, int])
    before: Mapping[int, InsertReading] = field(default_factory=dict[int, InsertReading])
    rowless: frozenset[QualifiedName] = frozenset()
    renewed: frozenset[QualifiedName] = frozenset()
    retired_before: frozenset[QualifiedName] = frozenset()

    def taken(self, oid: int, now: datetime) -> Taken | None:
        """Return the rows that a partition has taken lately, if any: since the last look, or then.

        A counter that ran backwards was reset; what it shows came after that.
        """
        inserted, before = self.inserted.get(oid), self.before.get(oid)
        if inserted is None or before is None:
            return None
        since = inserted - before.inserted if inserted >= before.inserted else inserted
        if since:
            return Taken(since, now)
        is_recent = before.taken is not None and now - before.taken.at < IN_USE_FOR
        return before.taken if is_recent else None


NO_EVIDENCE = Evidence()
