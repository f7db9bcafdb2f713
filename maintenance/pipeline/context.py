"""The context of one run of a command on one database."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from maintenance.engine.gate import Gate
from maintenance.engine.lock_retry import Progress, silent
from maintenance.engine.scope import Request
from maintenance.engine.subject import Subject
from maintenance.engine.target import Target
from maintenance.policy import Policy
from maintenance.server.cost_meter import Meter
from maintenance.server.session import Connection


@dataclass(frozen=True, slots=True)
class RunContext:
    """One command on one database.

    Attributes:
        store: None if the history can't be read.
        gate: decides which actions may be executed; None for the store's own upkeep, which no
            mode or pause concerns.
    """

    target: Target
    now: datetime
    subjects: Sequence[Subject[Any]]
    request: Request
    connection: Connection
    store: Connection | None
    progress: Progress = silent
    meter: Meter = field(default_factory=Meter)
    gate: Gate | None = None

    @property
    def policy(self) -> Policy:
        """The policy of the database."""
        return self.target.policy
