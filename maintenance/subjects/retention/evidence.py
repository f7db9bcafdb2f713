"""Evidence that partitions are in use: recent inserts, and whether a table has rows at all."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from maintenance.names import QualifiedName

IN_USE_FOR = timedelta(hours=20)
"""How long a partition counts as in use after inserts were observed: less than a day, so that
each nightly run decides again."""


class Taken(NamedTuple):
    """Rows inserted into a partition between two observations, and the time of the later one."""

    n_rows: int
    at: datetime


class InsertReading(NamedTuple):
    """The insert count of an earlier observation, and the latest inserts known by then."""

    inserted: int
    taken: Taken | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Evidence of use, for partitions (by OID) and tables.

    Attributes:
        inserted: rows inserted since the statistics of the server began.
        before: the same at the last recorded observation; partitions not counted are missing.
        rowless: tables without a row in any partition that should be in use, unless our own runs
            created all partitions that are due.
        renewed: those of them whose kept partitions were all created by our own runs.
        retired_before: those of them with partitions that earlier runs have retired.
    """

    inserted: Mapping[int, int] = field(default_factory=dict[int, int])
    before: Mapping[int, InsertReading] = field(default_factory=dict[int, InsertReading])
    rowless: frozenset[QualifiedName] = frozenset()
    renewed: frozenset[QualifiedName] = frozenset()
    retired_before: frozenset[QualifiedName] = frozenset()

    def taken(self, oid: int, now: datetime) -> Taken | None:
        """Return the recent inserts into a partition, if any.

        A counter that ran backwards was reset; its value counts the inserts since then.
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
