"""What tells whether partitions are in use: rows they take, and where a table has rows at all."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from maintenance.names import QualifiedName


class Seen(NamedTuple):
    """A count of an earlier look."""

    inserted: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen of partitions, by OID, and of tables.

    Attributes:
        inserted: rows taken since the server counts.
        before: the same at the last look that was recorded; what it did not count is missing.
        rowless: tables of which no partition that should be in use holds a row.
        retired_before: those of them of which earlier runs have retired partitions.
    """

    inserted: Mapping[int, int] = field(default_factory=dict[int, int])
    before: Mapping[int, Seen] = field(default_factory=dict[int, Seen])
    rowless: frozenset[QualifiedName] = frozenset()
    retired_before: frozenset[QualifiedName] = frozenset()

    def taken_since(self, oid: int) -> Seen | None:
        """Return how many rows a partition took since the last look, and when that was, if any.

        A counter that ran backwards was reset; what it shows came after that.
        """
        inserted, before = self.inserted.get(oid), self.before.get(oid)
        if inserted is None or before is None or inserted == before.inserted:
            return None
        taken = inserted - before.inserted if inserted > before.inserted else inserted
        return Seen(taken, before.at) if taken else None


NO_EVIDENCE = Evidence()
