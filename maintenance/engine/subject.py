"""The interface by which `maintain` knows a subject."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import ClassVar, Generic, TypeVar

from maintenance.engine.action_context import Executor
from maintenance.engine.actions import ActionKind
from maintenance.engine.findings import FindingKind, kinds_of
from maintenance.engine.observe_context import ObserveContext
from maintenance.engine.plan import Plan
from maintenance.engine.scope import Request
from maintenance.names import QualifiedName
from maintenance.policy import Policy

Observation = TypeVar("Observation")
"""What a subject plans from: frozen, free of sessions."""


class Subject(ABC, Generic[Observation]):
    """One kind of maintenance: it looks, plans without a server in reach, and carries out.

    A subject inherits from this class, and overrides what it needs.
    """

    name: ClassVar[str]
    """The name that `--only` takes."""

    executors: ClassVar[Mapping[ActionKind, Executor]] = {}
    """Who carries out its actions; a kind that is not here is nothing but its steps."""

    @property
    def finding_kinds(self) -> frozenset[FindingKind]:
        """Every kind of finding that it can produce, general ones of a run included."""
        return kinds_of(self.name)

    @abstractmethod
    def is_enabled(self, policy: Policy) -> bool:
        """Whether the policy asks for any of this at all."""

    def require(self, policy: Policy) -> None:
        """Refuse a policy that this installation can't carry out; asks no server.

        Raises:
            UsageError: says what is missing.
        """
        del policy

    def relations(self, policy: Policy) -> Collection[QualifiedName]:
        """The relations that it needs in the common snapshot."""
        del policy
        return ()

    def concurrency(self, policy: Policy) -> int:
        """How many of its actions may be carried out side by side, each in its own session."""
        del policy
        return 1

    def time_budget(self, policy: Policy) -> timedelta | None:
        """How long its actions may take together in one run; those left over are a finding."""
        del policy
        return None

    @abstractmethod
    def observe(self, context: ObserveContext) -> Observation:
        """Read what it plans from, in few short read-only transactions.

        Raises:
            MaintenanceError: it can't; the other subjects go on without it.
        """

    def record(self, context: ObserveContext, seen: Observation) -> None:
        """Keep in the store what later runs must know of this observation.

        Only runs that apply record, once, before they plan. `context.store` is never None here.
        """
        del context, seen

    @abstractmethod
    def plan(self, policy: Policy, seen: Observation, now: datetime, request: Request) -> Plan:
        """Compute what to do and what the owner should know; no clock, no network."""
