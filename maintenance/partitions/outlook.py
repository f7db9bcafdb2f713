"""A table's partitions held against the periods it should have."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from maintenance.catalog.models import Place, SchemaRights, Table
from maintenance.ddl.trees import Blueprint
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
from maintenance.partitions.blueprints import of_period
from maintenance.partitions.holding import FEW_PAGES, Holding, holding_of
from maintenance.partitions.sharing import Sharing, schema_of, sharing_of
from maintenance.partitions.siblings import Siblings, siblings_of
from maintenance.periods import Period
from maintenance.policy import PartitionPolicy


@dataclass(frozen=True)
class Outlook:
    """What one table has and lacks.

    Attributes:
        now: the moment from which the horizon counts.
        window: every period from the first that is wanted, or the current one, to the horizon.
        holding: what the default partition holds, where it has rows and they were counted.
        missing: wanted periods of which no partition holds any part.
        overlapped: wanted periods that partitions of other bounds hold, wholly or in part.
        rights: in the schema of partitions, where it is not the table's and they were asked for.
    """

    policy: PartitionPolicy
    table: Table
    codec: KeyCodec
    coverage: Coverage
    now: datetime
    window: tuple[Slot, ...]
    holding: Holding | None
    missing: tuple[Slot, ...]
    overlapped: tuple[tuple[Slot, list[Span]], ...]
    rights: SchemaRights | None = None

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

    @cached_property
    def ahead(self) -> int:
        """Whole periods beyond the current one that are covered without a break."""
        first = self.first_uncovered
        if first is None:
            return self.policy.premake
        ahead = slots(self.current.shift(1), self.horizon, self.policy.time_zone)
        return sum(slot.period < first.period for slot in ahead)

    @cached_property
    def uncovered(self) -> tuple[Slot, ...]:
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
    def occupied(self) -> tuple[Slot, ...]:
        """The slots of the window with rows in the default partition."""
        return tuple(held.slot for held in self.holding.held) if self.holding else ()

    def between(self, first: Slot, last: Slot) -> tuple[Slot, ...]:
        """Return the slots of the window from one to another, both included."""
        return tuple(slot for slot in self.window if first.period <= slot.period <= last.period)

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

    def blueprint(self, slot: Slot) -> Blueprint:
        """Return how a slot's partition is built like its siblings."""
        return of_period(self.policy, self.siblings, self.child(slot), slot.period)

    def names(self, slot: Slot) -> tuple[QualifiedName, ...]:
        """Return the names of all tables that make a slot's partition, its own first."""
        return tuple(self.blueprint(slot).names.values())

    def child(self, slot: Slot) -> QualifiedName:
        """Return the name of a slot's partition, in the schema of partitions."""
        return QualifiedName(self.schema, self.policy.child_name(slot.period))


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
    first, last = first_period(policy, coverage, now), horizon(policy, now)
    wanted = slots(first, last, policy.time_zone)
    if asked:
        wanted = asked_slots(policy, asked, now)
        first = min([first, *(slot.period for slot in wanted)])
    window = slots(min(first, current_period(policy, now)), last, policy.time_zone)
    rows = table.default_rows
    exact = coverage.exact
    inexact = [slot for slot in wanted if (slot.lower, slot.upper) not in exact]
    held = [(slot, coverage.overlapping(slot.lower, slot.upper)) for slot in inexact]
    return Outlook(
        policy=policy,
        table=table,
        codec=codec,
        coverage=coverage,
        now=now,
        window=window,
        holding=holding_of(rows, codec, window) if rows is not None else None,
        missing=tuple(slot for slot, spans in held if not spans),
        overlapped=tuple((slot, spans) for slot, spans in held if spans),
    )
