"""The data of an overview. Frozen, no sessions."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from maintenance.alerts.models import Alert
from maintenance.engine.findings import Severity
from maintenance.monitoring.freshness import Age
from maintenance.monitoring.work_done import WorkDone
from maintenance.policy.pauses import Pause
from maintenance.policy.values import Mode
from maintenance.redis_client.models import CacheFacts
from maintenance.store.activity import Activity
from maintenance.store.refresh import Refresh
from maintenance.store.staleness import StalenessReading
from maintenance.subjects.capacity.history import Kept
from maintenance.subjects.partitions.inventory import TableInventory
from maintenance.subjects.workload.history import Moment, Table
from maintenance.subjects.workload.sample_history import Peaks, PoolPeak
from maintenance.subjects.workload.statement_history import Statement, StatementTotals


class View(NamedTuple):
    """A materialized view: its age and its newest successful refresh, if any."""

    age: Age
    refresh: Refresh | None


class Emptiness(NamedTuple):
    """Space that a rewrite would free, from the newest bloat observation."""

    seen_at: datetime
    tables_bytes: float
    indexes_bytes: float


class Load(NamedTuple):
    """The load of the last day; None where nothing was measured.

    Attributes:
        pool: the peak of used connections.
        pool_limit: the policy's limit, as a share of the usable connections.
        peaks: the peaks of transactions and waits.
        worst: the application's statement that took the most time.
        statements: sums of the application's statements.
    """

    pool: PoolPeak | None
    pool_limit: float | None
    peaks: Peaks | None
    worst: Statement | None
    statements: StatementTotals | None = None


class Coming(NamedTuple):
    """The next scheduled work of one kind.

    Attributes:
        n_expired: number of partitions that have expired by now; None if it drops none.
    """

    at: datetime
    what: str
    n_expired: int | None = None


@dataclass(frozen=True, slots=True)
class History:
    """The part of the overview that comes from the store.

    Attributes:
        alerts: the open alerts, the most severe first, then the oldest.
        views: in the order of the policy.
        computed: the newest readings of tables with computed rows.
        activity: runs and actions of the last day.
        moments: workload observations of the last months, oldest first.
        largest: the largest tables of the newest observation.
        emptiness: None if the policy has no bloat section.
        cache: the newest two cache readings, the older first.
        unobserved: subjects of the policy that no run has observed yet.
        load: the load of the last day; None if it was not read.
        work: the actions of the last day; None if they were not read.
        limits: the limits that are used most at the newest observation, the nearest first.
        pause: the pause of the database; None if it is not paused.
    """

    alerts: tuple[Alert, ...]
    views: tuple[View, ...]
    computed: tuple[StalenessReading, ...]
    activity: Activity
    moments: tuple[Moment, ...]
    largest: tuple[Table, ...]
    emptiness: Emptiness | None
    cache: tuple[CacheFacts, ...]
    unobserved: tuple[str, ...] = ()
    pause: Pause | None = None
    load: Load | None = None
    work: WorkDone | None = None
    limits: tuple[Kept, ...] = ()


@dataclass(frozen=True, slots=True)
class Overview:
    """The health overview of one database.

    Attributes:
        history: None if the store can't be reached or does not exist yet.
        tables: the valid partitioned tables, the one with the nearest horizon first.
        blind: why the server could not be observed; None if it could.
        coming: the next scheduled work, the earliest first.
        mode: of the policy: act or report.
    """

    database: str
    now: datetime
    history: History | None
    tables: tuple[TableInventory, ...]
    blind: str | None
    coming: tuple[Coming, ...]
    mode: Mode = "act"

    @property
    def ok(self) -> bool:
        """Always true: an overview has no failure of its own."""
        return True

    def alerts(self, severity: Severity) -> tuple[Alert, ...]:
        """Return the unmuted alerts of a severity."""
        found = self.history.alerts if self.history else ()
        return tuple(a for a in found if a.severity is severity and not a.is_muted(self.now))
