"""Overviews for tests that need no server."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from maintenance.alerts.models import Alert, Identity
from maintenance.engine.findings import FindingKind, Severity
from maintenance.monitoring import Overview
from maintenance.monitoring.freshness import Age
from maintenance.monitoring.models import Coming, Emptiness, History, Load, View
from maintenance.monitoring.work_done import WorkDone
from maintenance.names import QualifiedName
from maintenance.redis_client.models import CacheFacts
from maintenance.store.activity import ActionTotals, Activity, Failure
from maintenance.store.past_actions import PastAction, Span
from maintenance.store.refresh import Refresh
from maintenance.store.staleness import StalenessReading
from maintenance.subjects.capacity.history import Kept
from maintenance.subjects.partitions.inventory import PartitionFacts, TableInventory
from maintenance.subjects.workload.history import Moment, Table
from maintenance.subjects.workload.sample_history import Peaks, PoolPeak
from maintenance.subjects.workload.statement_history import Statement, StatementTotals

NOW = datetime(2026, 11, 20, 6, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOSTILE = 'a"|`b`</script><img src=x>\n\\'


def an_alert(
    kind: FindingKind = FindingKind.INDEX_BLOAT,
    severity: Severity = Severity.WARN,
    object_: str = "public.orders_pkey",
    **others: Any,
) -> Alert:
    identity = Identity("app", kind, object_)
    return Alert(identity, severity, f"{object_}: found", NOW - 3 * HOUR, 0.456, 0.2, **others)


def a_table(name: str = "public.events", ahead: int = 3) -> TableInventory:
    month = PartitionFacts(f"{name}_2026_11", "2026-11", NOW, NOW, 8192, 10)
    old = replace(month, name=f"{name}_2024_01", retention="expired")
    until = NOW + 30 * 24 * HOUR * ahead + HOUR
    return TableInventory(name, "1 month", ahead, 3, "2026-11", "2027-02", until, (old, month))


def a_view(name: str = "totals", hours: float = 1.0) -> View:
    at = NOW - hours * HOUR
    refresh = Refresh(f"public.{name}", "run", at, at + HOUR / 60, "plain", "due", n_rows=1200)
    return View(Age(QualifiedName("public", name), at, 4 * HOUR), refresh)


def some_doings(**others: Any) -> Activity:
    past_actions = (
        ActionTotals("analyze_table", "done", 12, 3.2),
        ActionTotals("reindex", "failed", 1, 0.5),
    )
    failures = (Failure(NOW - HOUR, "reindex public.x", "disk full"),)
    activity = Activity(14, 0, 0, NOW - 4 * HOUR, False, None, 1.5, past_actions, failures)
    return activity._replace(**others)


def a_history(alerts: Sequence[Alert] = (), **others: Any) -> History:
    looks = (
        CacheFacts("run", "8.1", 1000, 100, 0, 0, 2**20, 0, 50, 40),
        CacheFacts("run", "8.1", 3000, 300, 0, 0, 2**21, 0, 60, 40),
    )
    history = History(
        alerts=tuple(alerts),
        views=(a_view(),),
        computed=(StalenessReading("public.scores", NOW - HOUR, 7, 9000.0),),
        activity=some_doings(),
        moments=(Moment(NOW - HOUR, 0.25, 0.991, 0.02, 2**30, 4096, 0.01, 25, 3, 2),),
        largest=(Table("public.events", 24, 2**29, -(2**20)),),
        emptiness=Emptiness(NOW - HOUR, 2**20, 2**22),
        limits=(Kept("integer_key", "public.orders.id", 1.5e9, 2**31 - 1.0),),
        cache=looks,
    )
    return replace(history, **others)


def a_load(text: str = "SELECT * FROM orders") -> Load:
    seen = Peaks(1440, 2, 600.0, 300.0, 3, 20.0, 45.0, 0, None, None, None, 0.02, None)
    worst = Statement(
        "primary", "k1", text, 1200, 0.5, 60000.0, 0.4, 50.0, 90.0, 5000.0, 1.0, 10, 0, 0
    )
    return Load(PoolPeak(NOW - HOUR, 80, 97), 0.9, seen, worst, StatementTotals(9000, 12.5, 3))


def an_action(kind: str = "reindex", name: str = "public.orders_pkey", **others: Any) -> PastAction:
    action = PastAction(NOW - HOUR, kind, "done", name, None, None, "run", "apply", 500, None, {})
    return action._replace(**others)


def some_work(*actions: PastAction) -> WorkDone:
    return WorkDone(Span(NOW - 24 * HOUR, NOW), actions)


def an_overview(history: History | None = None, **others: Any) -> Overview:
    coming = (Coming(NOW + HOUR, "look at everything"),)
    overview = Overview("app", NOW, history or a_history(), (a_table(),), None, coming)
    return replace(overview, **others)
