"""Count the use of indexes on every server of a cluster.

Counters only grow until they are reset, so the difference between two observations of the same
epoch is exact. After a reset, a crash or a failover the difference is unknown, and an index whose
use is unknown is not reported as unused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

_DAY = timedelta(days=1)


class Epoch(NamedTuple):
    """Values that must be equal for two observations of a server's counters to be comparable.

    Attributes:
        timeline: changes at a promotion.
        database_reset_at: the last pg_stat_reset; None before the first.
        server_reset_at: when the server began to count: initdb, a crash, a first start from a
            backup.
    """

    system_identifier: int
    timeline: int
    database_reset_at: datetime | None
    server_reset_at: datetime

    @property
    def began_at(self) -> datetime:
        """The moment the counters began."""
        return max(self.server_reset_at, self.database_reset_at or self.server_reset_at)


class Count(NamedTuple):
    """One index's counter on one server.

    Attributes:
        last_scan_at: None if never, or before PostgreSQL 16.
        reset_at: when this counter was last reset; None if never, or before PostgreSQL 19.
    """

    scans: int
    last_scan_at: datetime | None = None
    reset_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """One observation of the counters of one server.

    Attributes:
        counts: by the index's OID, which is the same on all servers of a cluster.
        knows_last_scan: whether the server records the last scan of an index (16 and later).
        is_counting: whether `track_counts` is on.
    """

    epoch: Epoch
    taken_at: datetime
    counts: Mapping[int, Count]
    knows_last_scan: bool = False
    is_counting: bool = True


@dataclass(frozen=True, slots=True)
class Baseline:
    """The newest recorded observation of the same server before the window."""

    epoch: Epoch
    taken_at: datetime
    scans: Mapping[int, int]


class Gap(NamedTuple):
    """The reason why a server's use counts are unknown: a short code, and text."""

    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class ServerUsage:
    """One server of the cluster, with its present and recorded counters.

    Attributes:
        name: its name in the policy.
        usage: None if it can't be reached.
        baseline: None if there is no observation before the window.
        watched_since: the oldest observation of this epoch; None without one.
        silence: why there is no usage.
        reason: the code of that error, if it has one.
    """

    name: str
    usage: Usage | None
    baseline: Baseline | None = None
    watched_since: datetime | None = None
    silence: str = ""
    reason: str = ""

    def per_day(self, n: int) -> float:
        """Return a counter per day since it began, at least one day; 0 without counters."""
        if self.usage is None:
            return 0.0
        counted = self.usage.taken_at - self.usage.epoch.began_at
        return round(n / max(1.0, counted / _DAY), 1)

    def knows_since(self, moment: datetime) -> bool:
        """Whether its counters tell all use since a moment."""
        if self.usage is None or not self.usage.is_counting:
            return False
        epoch = self.usage.epoch
        if self.baseline is not None:
            return self.baseline.epoch == epoch
        return epoch.timeline <= 1 and epoch.began_at <= moment

    def gap(self, since: datetime) -> Gap | None:
        """Return why the counters since a moment are unknown; None if they are known."""
        if self.knows_since(since):
            return None
        if self.usage is None:
            return Gap("unreachable", self.silence or "not reachable")
        if not self.usage.is_counting:
            return Gap("track_counts_off", "track_counts is off")
        if self.baseline is not None:
            return _gap_between(self.baseline, self.usage.epoch)
        if self.usage.epoch.timeline > 1:
            return Gap("promoted", "it was promoted at an unknown time")
        began = self.usage.epoch.began_at
        return Gap("counters_young", f"its counters began on {began:%Y-%m-%d}")

    def scans_at_most(self, oid: int, since: datetime) -> int | None:
        """Return an upper bound of an index's scans since a moment; None if unknown."""
        if self.usage is None or not self.knows_since(since):
            return None
        count = self.usage.counts.get(oid, Count(0))
        if self.was_reset(oid, since):
            return None
        if self.baseline is not None:
            # One that is not in the baseline was built later, so its counter began at 0.
            return count.scans - self.baseline.scans.get(oid, 0)
        if self.usage.knows_last_scan and (count.last_scan_at or since) <= since:
            return 0
        return count.scans

    def was_reset(self, oid: int, since: datetime) -> bool:
        """Whether this index's own counter is known to have been reset in the window."""
        count = self.usage.counts.get(oid) if self.usage is not None else None
        if count is None:
            return False
        if self.baseline is not None:
            since = self.baseline.taken_at
            if count.scans < self.baseline.scans.get(oid, 0):
                return True
        return count.reset_at is not None and count.reset_at > since

    def scans(self, oid: int) -> int:
        """Return an index's scans since its counter began; 0 if that is unknown."""
        return self.usage.counts.get(oid, Count(0)).scans if self.usage is not None else 0

    def knew(self, oid: int, since: datetime) -> bool:
        """Whether the index is known to have existed at that moment."""
        if self.baseline is not None and oid in self.baseline.scans:
            return True
        last = self.last_scan_at(oid)
        return last is not None and last <= since

    def last_scan_at(self, oid: int) -> datetime | None:
        """Return the last scan of the index on this server, if the server records it."""
        count = self.usage.counts.get(oid) if self.usage is not None else None
        return count.last_scan_at if count is not None else None


class Evidence(NamedTuple):
    """The use of one index, or one partitioned index, on all servers together.

    Attributes:
        scans: upper bound for the window, on the servers whose counts are known.
        is_complete: whether the counts of all servers are known.
        observed: scans that may lie in the window, also on servers whose counts do not cover it.
        existed: whether it is known to be older than the window.
        last_scan_at: the latest on any server; None if never, or not recorded.
    """

    scans: int
    is_complete: bool
    existed: bool
    last_scan_at: datetime | None
    observed: int = 0


def evidence(witnesses: Sequence[ServerUsage], oids: Sequence[int], since: datetime) -> Evidence:
    """Sum the use of an index and its partitions over all servers."""
    scans = uncertain = 0
    is_complete, existed = True, False
    last_scan_at: datetime | None = None
    for witness in witnesses:
        for oid in oids:
            count = witness.scans_at_most(oid, since)
            if count is None:
                is_complete = False
                uncertain += witness.scans(oid)
            else:
                scans += count
            existed = existed or witness.knew(oid, since)
            last = witness.last_scan_at(oid)
            if last is not None and (last_scan_at is None or last > last_scan_at):
                last_scan_at = last
    return Evidence(scans, is_complete, existed, last_scan_at, scans + uncertain)


def _gap_between(baseline: Baseline, epoch: Epoch) -> Gap:
    text = f"{_change(baseline.epoch, epoch)} after {baseline.taken_at:%Y-%m-%d}"
    return Gap("counters_reset", text)


def _change(old: Epoch, new: Epoch) -> str:
    """Return why the counters of two epochs can't be compared."""
    if old.system_identifier != new.system_identifier:
        return "it was replaced by another server (pg_upgrade or restore)"
    if old.timeline != new.timeline:
        return "it was promoted"
    if old.database_reset_at != new.database_reset_at:
        return "its counters were reset"
    return "its counters began anew (crash or recovery)"
