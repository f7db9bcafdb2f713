"""The interface of a subject."""

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
"""The observation that a subject plans from: frozen, without sessions."""


class Subject(ABC, Generic[Observation]):
    """One kind of maintenance: observes, plans without a server, and executes.

    A subject inherits from this class and overrides what it needs.
    """

    name: ClassVar[str]
    """The name for `--only`."""

    serves_any_table: ClassVar[bool] = False
    """Whether it can be forced on a table that the policy does not name."""

    executors: ClassVar[Mapping[ActionKind, Executor]] = {}
    """The executors of its action kinds; a kind without one runs its steps."""

    @property
    def finding_kinds(self) -> frozenset[FindingKind]:
        """Every kind of finding that it can produce, general ones of a run included."""
        return kinds_of(self.name)

    @abstractmethod
    def is_enabled(self, policy: Policy) -> bool:
        """Whether the policy enables this subject."""

    def require(self, policy: Policy) -> None:
        """Reject a policy that this installation can't apply; asks no server.

        Raises:
            UsageError: names what is missing.
        """
        del policy

    def relations(self, policy: Policy) -> Collection[QualifiedName]:
        """The relations that it needs in the common snapshot."""
        del policy
        return ()

    def consults(self, policy: Policy) -> Collection[str]:
        """The names of the subjects whose findings it needs in `ObserveContext.findings`.

        Those that are not part of the run are observed for it, without a record or a report.
        """
        del policy
        return ()

    def concurrency(self, policy: Policy) -> int:
        """Return the number of its actions that may run in parallel, each in its own session."""
        del policy
        return 1

    def time_budget(self, policy: Policy) -> timedelta | None:
        """Time limit of its actions together in one run; those left over are a finding."""
        del policy
        return None

    @abstractmethod
    def observe(self, context: ObserveContext) -> Observation:
        """Read the facts for its plan, in few short read-only transactions.

        Raises:
            MaintenanceError: the observation failed; the other subjects continue.
        """

    def record(self, context: ObserveContext, seen: Observation) -> None:
        """Save the parts of this observation that later runs need in the store.

        Only runs that apply record, once, before they plan. `context.store` is never None here.
        """
        del context, seen

    @abstractmethod
    def plan(self, policy: Policy, seen: Observation, now: datetime, request: Request) -> Plan:
        """Compute actions and findings; without clock or network."""
