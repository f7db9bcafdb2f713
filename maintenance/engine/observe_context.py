"""The context of an observation: the common snapshot, and the sessions for further queries."""

from dataclasses import dataclass
from datetime import datetime

from maintenance.catalog.models import Snapshot
from maintenance.engine.findings import Finding
from maintenance.engine.scope import Request
from maintenance.engine.target import Target
from maintenance.policy import Policy
from maintenance.server.session import Connection


@dataclass(frozen=True, slots=True)
class ObserveContext:
    """The context of one observation of one database.

    Attributes:
        target: the database and how it is reached.
        now: the current time for all plans.
        snapshot: the relations that the subjects named, from the catalog.
        connection: a session on the primary.
        store: a session on the store; None if there is no store yet.
        findings: those of the subjects that were observed before this one in the same run, and
            of those that it consults.
    """

    target: Target
    now: datetime
    request: Request
    snapshot: Snapshot
    connection: Connection
    store: Connection | None
    findings: tuple[Finding, ...] = ()

    @property
    def policy(self) -> Policy:
        """The policy of the database."""
        return self.target.policy
