"""Where a subject looks: the common snapshot, and the sessions for what it alone needs."""

from dataclasses import dataclass
from datetime import datetime

from maintenance.catalog.models import Snapshot
from maintenance.engine.scope import Request
from maintenance.engine.target import Target
from maintenance.policy import Policy
from maintenance.server.session import Connection


@dataclass(frozen=True, slots=True)
class ObserveContext:
    """One look of one run at one database.

    Attributes:
        target: the database and how it is reached.
        now: the moment that plans count from.
        snapshot: the relations that the subjects named, as the catalog has them.
        connection: a session on the primary.
        store: a session on the store; None where there is no store yet.
    """

    target: Target
    now: datetime
    request: Request
    snapshot: Snapshot
    connection: Connection
    store: Connection | None

    @property
    def policy(self) -> Policy:
        """The policy of the database."""
        return self.target.policy
