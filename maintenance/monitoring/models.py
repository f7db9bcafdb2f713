"""What an overview shows. Frozen, free of sessions."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from maintenance.alerts.models import Alert
from maintenance.engine.findings import Severity
from maintenance.monitoring.freshness import Age
from maintenance.redis_client.models import CacheFacts
from maintenance.store.activity import Activity
from maintenance.store.refresh import Refresh
from maintenance.store.staleness import StalenessReading
from maintenance.subjects.partitions.inventory import TableInventory
from maintenance.subjects.workload.history import Moment, Table


class View(NamedTuple):
    """A materialized view: how old it is, and its newest refresh that succeeded, if any."""

    age: Age
    refresh: Refresh | None


class Emptiness(NamedTuple):
    """How much a rewrite would give back, as the newest look at bloat has it."""

    seen_at: datetime
    tables_bytes: float
    indexes_bytes: float


class Coming(NamedTuple):
    """Something that a schedule will do.

    Attributes:
        n_expired: how many partitions have expired by now; None where it retires none.
    """

    at: datetime
    what: str
    n_expired: int | None = None


@dataclass(frozen=True, slots=True)
class History:
    """What the store tells.

    Attributes:
        alerts: those that stand, the worst first, then the oldest.
        views: in the order of the policy.
        computed: the newest looks at tables of computed rows.
        doings: of the last day.
        moments: looks at the server over the last months, oldest first.
        largest: the largest tables of the newest look.
        emptiness: None where bloat is not looked at.
        cache: the newest two looks at the cache, the older first.
    """

    alerts: tuple[Alert, ...]
    views: tuple[View, ...]
    computed: tuple[StalenessReading, ...]
    activity: Activity
    moments: tuple[Moment, ...]
    largest: tuple[Table, ...]
    emptiness: Emptiness | None
    cache: tuple[CacheFacts, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """One database at a glance.

    Attributes:
        history: None where there is no store within reach, or none yet.
        tables: the partitioned tables that are fit, the one with the nearest end first.
        blind: why the server could not be looked at; None where it could.
        coming: what schedules will do, the next first.
    """

    database: str
    now: datetime
    history: History | None
    tables: tuple[TableInventory, ...]
    blind: str | None
    coming: tuple[Coming, ...]

    @property
    def ok(self) -> bool:
        """To have looked is to have done it."""
        return True

    def alerts(self, severity: Severity) -> tuple[Alert, ...]:
        """The alerts of a severity that somebody wants to hear of."""
        found = self.history.alerts if self.history else ()
        return tuple(a for a in found if a.severity is severity and not a.is_muted(self.now))
