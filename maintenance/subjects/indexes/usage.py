"""How often indexes are used, by what every server of a cluster can swear to.

Counters only grow as long as they are not emptied, so what was counted since an older look of
the same epoch is exact. Whatever breaks that (a reset, a crash, another server behind the same
name) makes a server unable to testify, and an index whose use is unknown is not unused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple


class Epoch(NamedTuple):
    """What must stay the same for two looks at one server's counters to be comparable.

    Attributes:
        timeline: another one after a promotion.
        database_reset_at: of pg_stat_reset; None until the first.
        server_reset_at: when the server began to count: initdb, a crash, a first start from a
            backup.
    """

    system_identifier: int
    timeline: int
    database_reset_at: datetime | None
    server_reset_at: datetime

    @property
    def began_at(self) -> datetime:
        """Since when the counters count."""
        return max(self.server_reset_at, self.database_reset_at or self.server_reset_at)


class Count(NamedTuple):
    """One index's counter on one server; `last_scan_at` is None before PostgreSQL 16."""

    scans: int
    last_scan_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """One look at the counters of one server.

    Attributes:
        counts: by the index's oid, which is the same on all servers of a cluster.
        knows_last_scan: whether the server notes when an index was last used (16+).
        is_counting: whether `track_counts` is on.
    """

    epoch: Epoch
    taken_at: datetime
    counts: Mapping[int, Count]
    knows_last_scan: bool = False
    is_counting: bool = True


@dataclass(frozen=True, slots=True)
class Baseline:
    """An older look at the same server, from the store: the newest that precedes the window."""

    epoch: Epoch
    taken_at: datetime
    scans: Mapping[int, int]


class Gap(NamedTuple):
    """Why a server can't tell what happened: a short code, and in words."""

    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class ServerUsage:
    """One server of the cluster, and what it can tell.

    Attributes:
        name: how the policy names it.
        usage: None where it can't be reached.
        baseline: None where nobody looked before the window began.
        watched_since: the oldest look of this epoch; None without one.
        silence: why there is no usage.
        reason: the code of that error, where it has one.
    """

    name: str
    usage: Usage | None
    baseline: Baseline | None = None
    watched_since: datetime | None = None
    silence: str = ""
    reason: str = ""

    def gap(self, since: datetime) -> Gap | None:
        """Say why this server can't tell what happened since then; None if it can."""
        if self.usage is None:
            return Gap("unreachable", self.silence or "it can't be reached")
        if not self.usage.is_counting:
            return Gap("track_counts_off", "track_counts is off")
        if self.baseline is not None:
            text = f"its counters were emptied since {self.baseline.taken_at:%Y-%m-%d}"
            is_same = self.baseline.epoch == self.usage.epoch
            return None if is_same else Gap("counters_reset", text)
        if self.usage.epoch.timeline > 1:
            return Gap("promoted", "it was promoted, nobody knows when")
        began = self.usage.epoch.began_at
        text = f"its counters began on {began:%Y-%m-%d}"
        return None if began <= since else Gap("counters_young", text)

    def scans_at_most(self, oid: int, since: datetime) -> int | None:
        """Count an index's scans since then; rather too many, and None where nobody knows."""
        if self.usage is None or self.gap(since) is not None:
            return None
        count = self.usage.counts.get(oid, Count(0))
        if self.baseline is not None:
            # One that is not in the baseline was built later, and counted from nothing.
            grown = count.scans - self.baseline.scans.get(oid, 0)
            return grown if grown >= 0 else None
        if self.usage.knows_last_scan and (count.last_scan_at or since) <= since:
            return 0
        return count.scans

    def knew(self, oid: int, since: datetime) -> bool:
        """Tell whether the index is known to have existed then."""
        if self.baseline is not None and oid in self.baseline.scans:
            return True
        last = self.last_scan_at(oid)
        return last is not None and last <= since

    def last_scan_at(self, oid: int) -> datetime | None:
        """When the index was last used here, as far as the server notes it."""
        count = self.usage.counts.get(oid) if self.usage is not None else None
        return count.last_scan_at if count is not None else None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What all servers together say about one index, or one tree of them.

    Attributes:
        scans: in the window, at most, by those servers that can tell.
        is_complete: whether all of them can.
        existed: whether it is known to be older than the window.
        last_scan_at: the latest on any server; None if never, or not noted.
    """

    scans: int
    is_complete: bool
    existed: bool
    last_scan_at: datetime | None


def evidence(witnesses: Sequence[ServerUsage], oids: Sequence[int], since: datetime) -> Evidence:
    """Add up what the servers say about an index and its partitions."""
    counts = [witness.scans_at_most(oid, since) for witness in witnesses for oid in oids]
    known = [count for count in counts if count is not None]
    lasts = [witness.last_scan_at(oid) for witness in witnesses for oid in oids]
    return Evidence(
        scans=sum(known),
        is_complete=len(known) == len(counts),
        existed=any(witness.knew(oid, since) for witness in witnesses for oid in oids),
        last_scan_at=max((last for last in lasts if last is not None), default=None),
    )
