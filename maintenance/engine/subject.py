"""The protocol by which `maintain` knows a subject."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Protocol

from maintenance.catalog.models import Buckets, Snapshot
from maintenance.engine.actions import ActionKind
from maintenance.engine.findings import FindingKind
from maintenance.engine.plans import Plan
from maintenance.engine.requests import Request
from maintenance.engine.workbench import Executor
from maintenance.names import QualifiedName
from maintenance.policy import Policy


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

    @property
    def executors(self) -> Mapping[ActionKind, Executor]:
        """Who carries out its actions; a kind that is not here is nothing but its steps."""
        ...

    def relations(self, policy: Policy) -> Collection[QualifiedName]:
        """The relations it needs observed; none where the policy has no section of it."""
        ...

    def names_wanted(
        self, policy: Policy, snapshot: Snapshot, now: datetime, request: Request
    ) -> Collection[QualifiedName | Buckets]:
        """What is to be looked up before it plans: names it is about to give, rows to count."""
        ...

    def plan(self, policy: Policy, snapshot: Snapshot, now: datetime, request: Request) -> Plan:
        """Compute what to do and what the owner should know; no clock, no network."""
        ...
