"""The protocol by which `maintain` knows a subject, and what a run is asked to do."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from maintenance.catalog.models import Snapshot
from maintenance.engine.findings import FindingKind
from maintenance.engine.plans import Plan
from maintenance.names import QualifiedName
from maintenance.policy import Policy


@dataclass(frozen=True, slots=True)
class Request:
    """What one run was asked for beyond what the policy says anyway.

    Attributes:
        table: only this table; None means all.
        periods: keys of periods that must exist, those outside the policy's window included;
            empty means the policy's window.
    """

    table: QualifiedName | None = None
    periods: tuple[str, ...] = ()

    def concerns(self, table: QualifiedName) -> bool:
        """Whether a table is within what was asked for."""
        return self.table is None or self.table == table


EVERYTHING = Request()
"""What the policy says, on all of its tables."""


class Subject(Protocol):
    """One kind of maintenance. Pure: all it does is compute plans from observations."""

    @property
    def name(self) -> str:
        """The name that `--only` takes."""
        ...

    @property
    def finding_kinds(self) -> frozenset[FindingKind]:
        """Every kind of finding it can produce, general ones of a run included."""
        ...

    def relations(self, policy: Policy) -> Collection[QualifiedName]:
        """The relations it needs observed; none where the policy has no section of it."""
        ...

    def names_wanted(
        self, policy: Policy, snapshot: Snapshot, now: datetime, request: Request
    ) -> Collection[QualifiedName]:
        """Names it is about to give, to be looked up before it plans."""
        ...

    def plan(self, policy: Policy, snapshot: Snapshot, now: datetime, request: Request) -> Plan:
        """Compute what to do and what the owner should know; no clock, no network."""
        ...
