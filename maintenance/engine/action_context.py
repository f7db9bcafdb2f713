"""The context of an action's executor: session, limits, policy and progress."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from maintenance.engine.actions import Action, Step
from maintenance.engine.lock_retry import LockRetry, Progress
from maintenance.engine.target import Target
from maintenance.engine.time_budget import Budget
from maintenance.policy import Policy
from maintenance.server.owner_rights import OwnerRights, OwnerSession
from maintenance.server.owner_sessions import OwnerSessions, needs_rights
from maintenance.server.session import Connection


@dataclass(slots=True)
class BuildWaits:
    """What a run has learned before its builds of indexes.

    Attributes:
        given_up: the obstacles on which a build was given up, after a wait.
        not_seen: what is not shown to our role, as codes; it was told.
    """

    given_up: set[tuple[object, ...]] = field(default_factory=set[tuple[object, ...]])
    not_seen: set[str] = field(default_factory=set[str])


@dataclass(slots=True)
class ActionContext:
    """The context in which one action is executed.

    Attributes:
        connection: the session of this action alone while it is executed.
        store: shared by parallel actions, so each use is a single statement.
        target: the database and how its statements wait for locks.
        budget: the remaining time of the subject; None without a limit.
        owners: sessions with an owner's rights; closed by their creator.
        builds: shared by all actions of a run.
        attempts: the highest number of attempts of any step.
    """

    connection: Connection
    store: Connection
    target: Target
    progress: Progress
    run_id: str
    budget: Budget | None = None
    owners: OwnerSessions = field(default_factory=OwnerSessions)
    builds: BuildWaits = field(default_factory=BuildWaits)
    attempts: int = field(default=0)

    @property
    def policy(self) -> Policy:
        """The policy of the database."""
        return self.target.policy

    @property
    def lock_retry(self) -> LockRetry:
        """How statements wait for locks."""
        return self.target.lock_retry

    def run(self, step: Step) -> None:
        """Execute one step with lock retries.

        Raises:
            MaintenanceError: see `LockRetry.run`.
        """
        owner = self.owner_session(step.owner) if step.owner is not None else None
        taken = self.lock_retry.run(self.connection, step, self.progress, owner=owner)
        self.attempts = max(self.attempts, taken)

    def owner_session(self, owner: str) -> OwnerSession | None:
        """Return a session with an owner's rights; None if our own role is the owner.

        Raises:
            MaintenanceError: it can't be opened.
        """
        if not needs_rights(self.connection, owner):
            return None
        rights = OwnerRights(owner, self.policy.database.search_path)
        return self.owners.session(self.connection, rights)


Executor = Callable[[ActionContext, Action], Mapping[str, Any]]
"""Executes an action; returns its details (rows, bytes, URLs), JSON-ready."""
