"""A table's partitions held against the periods it should have."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from maintenance.catalog.models import Table
from maintenance.keys import KeyCodec
from maintenance.names import QualifiedName
from maintenance.partitioning.coverage import Coverage, Span, codec_of, coverage_of
from maintenance.partitioning.window import (
    Slot,
    asked_slots,
    current_period,
    first_period,
    horizon,
    slots,
)
from maintenance.periods import Period
from maintenance.policy import PartitionPolicy


@dataclass(frozen=True)
class Outlook:
    """What one table has and lacks.

    Attributes:
        now: the moment from which the horizon counts.
        missing: wanted periods of which no partition holds any part.
        overlapped: wanted periods that partitions of other bounds hold, wholly or in part.
    """

    policy: PartitionPolicy
    table: Table
    codec: KeyCodec
    coverage: Coverage
    now: datetime
    missing: tuple[Slot, ...]
    overlapped: tuple[tuple[Slot, list[Span]], ...]

    @property
    def name(self) -> str:
        """The table's name as PostgreSQL quotes it."""
        return str(self.table.relation)

    @cached_property
    def current(self) -> Period:
        """The period that holds now."""
        return current_period(self.policy, self.now)

    @cached_property
    def horizon(self) -> Period:
        """The last period that must exist."""
        return horizon(self.policy, self.now)

    @cached_property
    def first_uncovered(self) -> Slot | None:
        """The first slot from the current one on that lacks a partition for any part of it."""
        ahead = slots(self.current, self.horizon, self.policy.time_zone)
        return next((s for s in ahead if not self.coverage.covers(s.lower, s.upper)), None)

    @property
    def ahead(self) -> int:
        """Whole periods beyond the current one that are covered without a break."""
        first = self.first_uncovered
        if first is None:
            return self.policy.premake
        ahead = slots(self.current.shift(1), self.horizon, self.policy.time_zone)
        return sum(slot.period < first.period for slot in ahead)

    def child(self, slot: Slot) -> QualifiedName:
        """Return the name of a slot's partition, in the parent's schema."""
        return QualifiedName(self.table.relation.schema, self.policy.child_name(slot.period))


def look(
    policy: PartitionPolicy, table: Table, now: datetime, asked: Sequence[str] = ()
) -> Outlook:
    """Hold a table against its policy.

    Args:
        policy: its policy.
        table: as observed; `fitness.unfit` has found nothing against it.
        now: the moment from which the horizon counts, aware.
        asked: keys of the periods wanted instead of the policy's window.

    Raises:
        ValueError: a bound that is not of this key.
    """
    codec = codec_of(policy, table)
    coverage = coverage_of(table.partitions, codec)
    if asked:
        wanted = asked_slots(policy, asked, now)
    else:
        first = first_period(policy, coverage, now)
        wanted = slots(first, horizon(policy, now), policy.time_zone)
    exact = coverage.exact
    inexact = [slot for slot in wanted if (slot.lower, slot.upper) not in exact]
    held = [(slot, coverage.overlapping(slot.lower, slot.upper)) for slot in inexact]
    return Outlook(
        policy=policy,
        table=table,
        codec=codec,
        coverage=coverage,
        now=now,
        missing=tuple(slot for slot, spans in held if not spans),
        overlapped=tuple((slot, spans) for slot, spans in held if spans),
    )
