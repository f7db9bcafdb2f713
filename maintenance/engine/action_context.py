"""What an executor works with: the session, the limits, the policy, and somebody to tell."""

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
class ActionContext:
    """The means by which one action is carried out.

    Attributes:
        connection: this action's alone as long as it is carried out.
        store: shared by actions side by side, so each use of it is a single statement.
        target: the database and how its statements wait for locks.
        budget: the time that is left for it and its like; None where there is no limit.
        owners: sessions for what runs with an owner's rights; closed by whoever made them.
        attempts: the most that any of its steps took.
    """

    connection: Connection
    store: Connection
    target: Target
    progress: Progress
    run_id: str
    budget: Budget | None = None
    owners: OwnerSessions = field(default_factory=OwnerSessions)
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
        """Carry out one step, waiting for locks in short tries.

        Raises:
            MaintenanceError: see `LockRetry.run`.
        """
        owner = self.owner_session(step.owner) if step.owner is not None else None
        taken = self.lock_retry.run(self.connection, step, self.progress, owner=owner)
        self.attempts = max(self.attempts, taken)

    def owner_session(self, owner: str) -> OwnerSession | None:
        """Return a session for statements with an owner's rights; None where they are ours.

        Raises:
            MaintenanceError: it can't be opened.
        """
        if not needs_rights(self.connection, owner):
            return None
        rights = OwnerRights(owner, self.policy.database.search_path)
        return self.owners.session(self.connection, rights)


Executor = Callable[[ActionContext, Action], Mapping[str, Any]]
"""Carries out an action; returns its detail (rows, bytes, urls), JSON-ready."""


def run_steps(context: ActionContext, action: Action) -> Mapping[str, Any]:
    """Carry out an action that is nothing but its steps."""
    for step in action.steps:
        context.run(step)
    return {}
