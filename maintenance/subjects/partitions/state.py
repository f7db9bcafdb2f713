"""Compares the partitions of a table with the periods it should have."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from maintenance.catalog.models import Place, SchemaRights, Table
from maintenance.ddl.trees import Blueprint
from maintenance.names import QualifiedName
from maintenance.partition_key import FUTURE, PAST, KeyCodec
from maintenance.partition_set.bounds import Coverage, Span, codec_of, coverage_of
from maintenance.partition_set.expected import (
    PeriodRange,
    asked_slots,
    current_period,
    first_period,
    fragments,
    horizon,
    slots,
)
from maintenance.partition_set.expiry import cutoff
from maintenance.periods import Period, period_at
from maintenance.policy import PartitionPolicy
from maintenance.subjects.partitions.default_rows import FEW_PAGES, DefaultContents, holding_of
from maintenance.subjects.partitions.shared_objects import Sharing, schema_of, sharing_of
from maintenance.subjects.partitions.template import Siblings, of_slot, siblings_of, slot_name

_MANY = 3
"""A partition of this many periods, such as a quarter among months, is still ordinary."""


@dataclass(frozen=True)
class PartitionState:
    """The partitions that one table has and lacks.

    Attributes:
        now: the moment from which the horizon counts.
        window: every period from the first required or the current one to the horizon.
        holding: the contents of the default partition, if it has rows and they were counted.
        missing: partitions to create: required periods without any partition and, if the policy
            allows bridges, the uncovered parts of others.
        overlapped: required periods covered, wholly or in part, by partitions with other bounds.
        unbridged: their uncovered parts, if the policy forbids bridges.
        rights: privileges in the schema of partitions, if it differs from the table's and they
            were requested.
    """

    policy: PartitionPolicy
    table: Table
    codec: KeyCodec
    coverage: Coverage
    now: datetime
    window: tuple[PeriodRange, ...]
    holding: DefaultContents | None
    missing: tuple[PeriodRange, ...]
    overlapped: tuple[tuple[PeriodRange, list[Span]], ...]
    unbridged: tuple[PeriodRange, ...]
    rights: SchemaRights | None = None

    @cached_property
    def position(self) -> datetime:
        """The position of now among the bounds."""
        return self.codec.position(self.now)

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
    def end(self) -> datetime:
        """Position of the end of the last period that must exist."""
        return self._end(self.horizon)

    @cached_property
    def first_uncovered(self) -> tuple[datetime, datetime] | None:
        """The first range up to the horizon, not in the past, in which rows have no partition.

        If it contains now, it begins at the end of the previous partition, within the period.
        """
        hole = self.coverage.first_hole(self.position, self.end)
        if hole is None or hole[0] > self.position:
            return hole
        lower = self.current.bounds(self.codec.calendar)[0]
        return max(self.coverage.ends_before(self.position), lower), hole[1]

    @cached_property
    def catch_all(self) -> Span | None:
        """The partition that covers so many future periods that none is created."""
        spans = self.coverage.overlapping(self.position, FUTURE)
        return next((span for span in spans if self._swallows(span)), None)

    def _swallows(self, span: Span) -> bool:
        if span.lower > self.end or span.upper <= self.end:
            return False
        if span.upper == FUTURE:
            return True
        begins = max(span.lower, self.position)
        first = period_at(begins, self.policy.interval, self.codec.calendar)
        return span.upper > self._end(first.shift(max(self.policy.premake, _MANY)))

    @cached_property
    def ahead(self) -> int:
        """The number of consecutive periods after the current one with their own partitions."""
        limits = [self.end]
        if self.first_uncovered is not None:
            limits.append(self.first_uncovered[0])
        if self.catch_all is not None:
            limits.append(self.catch_all.lower)
        ends = (self._end(self.current.shift(n + 1)) for n in range(self.policy.premake))
        return sum(end <= min(limits) for end in ends)

    def _end(self, period: Period) -> datetime:
        return period.bounds(self.codec.calendar)[1]

    @cached_property
    def uncovered(self) -> tuple[PeriodRange, ...]:
        """The slots of the window that no partition covers, not even in part."""
        overlapping = self.coverage.overlapping
        return tuple(slot for slot in self.window if not overlapping(slot.lower, slot.upper))

    @property
    def default_is_small(self) -> bool:
        """Whether the default partition can be scanned within the time a lock may be held."""
        default = self.table.default
        if default is None or not self.table.default_has_rows:
            return True
        return self.holding is not None and self.holding.is_small and default.pages <= FEW_PAGES

    @property
    def default_may_hide_rows(self) -> bool:
        """Whether the default partition can't be read and may hold rows of any period."""
        unseen = self.table.default_unseen
        return unseen is not None and not unseen.is_empty

    @property
    def occupied(self) -> tuple[PeriodRange, ...]:
        """The slots of the window with rows in the default partition."""
        return tuple(held.slot for held in self.holding.held) if self.holding else ()

    def between(self, first: PeriodRange, last: PeriodRange) -> tuple[PeriodRange, ...]:
        """Return the slots of the window from one to another, both included."""
        return tuple(slot for slot in self.window if first.lower <= slot.lower <= last.lower)

    def holds_now(self, slot: PeriodRange) -> bool:
        """Whether current rows belong to a slot."""
        return slot.lower <= self.position < slot.upper

    @cached_property
    def sharing(self) -> Sharing:
        """The objects that its partitions share and the table lacks."""
        return sharing_of(self.table, self.coverage.spans, self.now, self.policy.column)

    @cached_property
    def schema(self) -> str:
        """The schema of new partitions: the policy's, else that of the newest partitions."""
        newest = self.policy.schema_name or schema_of(self.coverage.spans, self.now)
        return newest or self.table.relation.schema

    @property
    def place(self) -> Place | None:
        """The detail to read about the schema of partitions, if it differs from the table's."""
        if self.schema == self.table.relation.schema:
            return None
        return Place(self.schema, self.table.properties.owner)

    @property
    def is_shut_out(self) -> bool:
        """Whether partitions can't be created in their schema."""
        return self.rights is not None and not self.rights.creatable

    @cached_property
    def parent(self) -> Table:
        """The table, as the template of a new table in the schema of partitions."""
        rights = self.rights
        if rights is None:
            return self.table
        grantees = rights.default_grantees
        properties = replace(self.table.properties, default_grantees=grantees)
        return replace(self.table, properties=properties)

    @cached_property
    def siblings(self) -> Siblings:
        """The template that its partitions give for the next one."""
        return siblings_of(self.coverage.spans, self.policy.column)

    def blueprint(self, slot: PeriodRange) -> Blueprint:
        """Return the blueprint of a slot's partition, modeled on its siblings."""
        calendar = self.codec.calendar
        return of_slot(self.policy, self.siblings, calendar, self.child(slot), slot)

    def names(self, slot: PeriodRange) -> tuple[QualifiedName, ...]:
        """Return the names of all tables of a slot's partition, the partition itself first."""
        return tuple(self.blueprint(slot).names.values())

    def child(self, slot: PeriodRange) -> QualifiedName:
        """Return the name of a slot's partition, in the schema of partitions."""
        return QualifiedName(self.schema, slot_name(self.policy, slot))


def state_of(
    policy: PartitionPolicy, table: Table, now: datetime, asked: Sequence[str] = ()
) -> PartitionState:
    """Compare a table with its policy.

    Args:
        policy: its policy.
        table: as observed; it has passed validation.
        now: the moment from which the horizon counts, aware.
        asked: keys of the periods requested instead of the policy's window.

    Raises:
        ValueError: a bound that is not of this key.
    """
    codec = codec_of(policy, table)
    coverage = coverage_of(table.partitions, codec)
    calendar = codec.calendar
    first, last = first_period(policy, coverage, calendar, now), horizon(policy, now)
    wanted = slots(first, last, calendar)
    if asked:
        wanted = asked_slots(policy, asked, calendar, now)
        first = min([first, *(slot.period for slot in wanted)])
    window = slots(min(first, current_period(policy, now)), last, calendar)
    exact = coverage.exact
    inexact = [slot for slot in wanted if (slot.lower, slot.upper) not in exact]
    held = [(slot, coverage.overlapping(slot.lower, slot.upper)) for slot in inexact]
    overlapped = tuple((slot, spans) for slot, spans in held if spans)
    split = {slot: tuple(fragments(slot, spans)) for slot, spans in overlapped}
    since = _bridged_since(policy, coverage, codec, now, asked=bool(asked))
    bridges = {
        part for parts in split.values() for part in parts if part.is_bridge and part.upper > since
    }
    if policy.bridge and bridges:
        # Slots are split only if something is uncovered: otherwise nothing is counted or created.
        window = tuple(
            part
            for slot in window
            for part in (split[slot] if bridges.intersection(split.get(slot, ())) else (slot,))
        )
    rows = table.default_rows
    missing = [slot for slot, spans in held if not spans]
    return PartitionState(
        policy=policy,
        table=table,
        codec=codec,
        coverage=coverage,
        now=now,
        window=window,
        holding=holding_of(rows, codec, window) if rows is not None else None,
        missing=tuple(sorted([*missing, *bridges])) if policy.bridge else tuple(missing),
        overlapped=overlapped,
        unbridged=() if policy.bridge else tuple(sorted(bridges)),
    )


def _bridged_since(
    policy: PartitionPolicy, coverage: Coverage, codec: KeyCodec, now: datetime, *, asked: bool
) -> datetime:
    """Return the position before which no bridges are created: expired, or never required.

    Without a `start`, periods before the oldest partition are required only if they contain now.
    """
    position = codec.position(now)
    since = PAST
    retention = policy.retention
    if retention is not None and retention.action != "keep":
        since = codec.position(cutoff(retention, policy, now))
    bounded = (span.lower for span in coverage.spans if span.lower > PAST)
    oldest = next(bounded, PAST)
    return since if policy.start is not None or asked else max(since, min(oldest, position))
