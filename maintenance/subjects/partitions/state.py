"""A table's partitions held against the periods it should have."""

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
"""A partition of so many periods, such as a quarter among months, is still a usual one."""


@dataclass(frozen=True)
class PartitionState:
    """What one table has and lacks.

    Attributes:
        now: the moment from which the horizon counts.
        window: every period from the first that is wanted, or the current one, to the horizon.
        holding: what the default partition holds, where it has rows and they were counted.
        missing: what is to be made: wanted periods of which no partition holds any part, and, if
            the policy allows bridges, the parts of others that none holds.
        overlapped: wanted periods that partitions of other bounds hold, wholly or in part.
        unbridged: their parts that no partition holds and, as the policy says, none is made for.
        rights: in the schema of partitions, where it is not the table's and they were asked for.
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
        """Where now stands among the bounds."""
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
        """The first stretch up to the horizon, not ended yet, in which rows have no partition.

        One that holds now begins where the partition before it ends, within the current period.
        """
        hole = self.coverage.first_hole(self.position, self.end)
        if hole is None or hole[0] > self.position:
            return hole
        lower = self.current.bounds(self.codec.calendar)[0]
        return max(self.coverage.ends_before(self.position), lower), hole[1]

    @cached_property
    def catch_all(self) -> Span | None:
        """The partition that takes the rows of so many periods to come that none is made."""
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
        """Whole periods beyond the current one with partitions of their own, without a break."""
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
        """The slots of the window of which no partition holds any part."""
        overlapping = self.coverage.overlapping
        return tuple(slot for slot in self.window if not overlapping(slot.lower, slot.upper))

    @property
    def default_is_small(self) -> bool:
        """Whether the default partition is looked through while a lock may be held."""
        default = self.table.default
        if default is None or not self.table.default_has_rows:
            return True
        return self.holding is not None and self.holding.is_small and default.pages <= FEW_PAGES

    @property
    def default_may_hide_rows(self) -> bool:
        """Whether the default partition may hold rows of any period, and can't be looked at."""
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
        """Whether rows of now belong into a slot."""
        return slot.lower <= self.position < slot.upper

    @cached_property
    def sharing(self) -> Sharing:
        """What its partitions share that it does not give them."""
        return sharing_of(self.table, self.coverage.spans, self.now, self.policy.column)

    @cached_property
    def schema(self) -> str:
        """The schema of partitions to be made: the policy's, else that of the newest ones."""
        newest = self.policy.schema_name or schema_of(self.coverage.spans, self.now)
        return newest or self.table.relation.schema

    @property
    def place(self) -> Place | None:
        """The question about the schema of partitions, where it is not the table's."""
        if self.schema == self.table.relation.schema:
            return None
        return Place(self.schema, self.table.properties.owner)

    @property
    def is_shut_out(self) -> bool:
        """Whether partitions can't be made where they are to be."""
        return self.rights is not None and not self.rights.creatable

    @cached_property
    def parent(self) -> Table:
        """The table, as one that is made like it in the schema of partitions is to be."""
        rights = self.rights
        if rights is None:
            return self.table
        grantees = rights.default_grantees
        properties = replace(self.table.properties, default_grantees=grantees)
        return replace(self.table, properties=properties)

    @cached_property
    def siblings(self) -> Siblings:
        """What its partitions say about how the next one is built."""
        return siblings_of(self.coverage.spans, self.policy.column)

    def blueprint(self, slot: PeriodRange) -> Blueprint:
        """Return how a slot's partition is built like its siblings."""
        calendar = self.codec.calendar
        return of_slot(self.policy, self.siblings, calendar, self.child(slot), slot)

    def names(self, slot: PeriodRange) -> tuple[QualifiedName, ...]:
        """Return the names of all tables that make a slot's partition, its own first."""
        return tuple(self.blueprint(slot).names.values())

    def child(self, slot: PeriodRange) -> QualifiedName:
        """Return the name of a slot's partition, in the schema of partitions."""
        return QualifiedName(self.schema, slot_name(self.policy, slot))


def state_of(
    policy: PartitionPolicy, table: Table, now: datetime, asked: Sequence[str] = ()
) -> PartitionState:
    """Hold a table against its policy.

    Args:
        policy: its policy.
        table: as observed; `validate` has found nothing against it.
        now: the moment from which the horizon counts, aware.
        asked: keys of the periods wanted instead of the policy's window.

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
        # Only slots that are split need to be: where all is covered nothing is counted or made.
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
    """Return up to where no part of a period gets a bridge: it has expired, or was never wanted.

    Without a `start`, what lies before the oldest partition is wanted only if it holds now.
    """
    position = codec.position(now)
    since = PAST
    retention = policy.retention
    if retention is not None and retention.action != "keep":
        since = codec.position(cutoff(retention, policy, now))
    bounded = (span.lower for span in coverage.spans if span.lower > PAST)
    oldest = next(bounded, PAST)
    return since if policy.start is not None or asked else max(since, min(oldest, position))
