"""Age of views and computed rows, from the store alone: cheap enough for every minute."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.target import Target
from maintenance.errors import MaintenanceError
from maintenance.formatting import readable_span
from maintenance.names import QualifiedName
from maintenance.policy import Policy
from maintenance.redis_client.models import CacheFacts
from maintenance.server.session import Connection, fetch, read_transaction
from maintenance.store import Refresh, first_run, newest_failures, newest_refreshes
from maintenance.store.staleness import StalenessReading, read_staleness
from maintenance.subjects.matviews.dependencies import Reads, upstream
from maintenance.subjects.matviews.freshness import AGE_UNKNOWN, first_refresh_over, with_sources
from maintenance.subjects.redis.history import newest_cache_looks


@dataclass(frozen=True, slots=True)
class Age:
    """The age of a view or of a table with computed rows.

    Attributes:
        name: the view, or the table with computed rows.
        fresh_as_of: the time up to which its content is known to be complete; None if unknown.
        max_age: the maximum age that the policy allows.
        late_from: of unknown age, when a first refresh should have been recorded; None if none
            is due, as far as known.
    """

    name: QualifiedName
    fresh_as_of: datetime | None
    max_age: timedelta
    late_from: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        """Whether it is older than `max_age`, or of unknown age."""
        return self.fresh_as_of is None or now - self.fresh_as_of > self.max_age

    def is_late(self, now: datetime) -> bool:
        """Whether it is older than `max_age`, or of unknown age although a refresh was due."""
        if self.fresh_as_of is None:
            return self.late_from is not None and now > self.late_from
        return self.is_over(now)


def views(store: Connection, policy: Policy, reads: Reads) -> list[Age]:
    """Return the ages of a policy's views, from the refresh ledger.

    A view is as old as the oldest of the views that it reads; its age is unknown if one of theirs
    is.

    Args:
        store: a session on the store.
        policy: the policy whose views are meant.
        reads: the relations that each view reads; those that are not views of the policy are
            taken as always fresh.
    """
    ledger = newest_refreshes(store, policy.database.name)
    return ages(policy, reads, ledger, first_dues(store, policy, ledger))


def first_dues(
    store: Connection, policy: Policy, ledger: Mapping[str, Refresh]
) -> Mapping[QualifiedName, datetime]:
    """Return when each view that was never refreshed is late, where that is known."""
    never = [view for view in policy.matviews if str(view.name) not in ledger]
    if not never:
        return {}
    name = policy.database.name
    since, failures = first_run(store, name, policy.hash), newest_failures(store, name)
    failed = {view.name: failures[str(view.name)] for view in never if str(view.name) in failures}
    due = {view.name: first_refresh_over(policy, view, since) for view in never if since}
    return due | {name: failure.started_at for name, failure in failed.items()}


def ages(
    policy: Policy,
    reads: Reads,
    ledger: Mapping[str, Refresh],
    late_from: Mapping[QualifiedName, datetime],
) -> list[Age]:
    """Return the ages of a policy's views from a ledger already read; see `views`."""
    own = {
        view.name: refresh.fresh_as_of if (refresh := ledger.get(str(view.name))) else None
        for view in policy.matviews
    }
    moments = with_sources(own, reads)
    return [
        Age(
            view.name,
            moments[view.name],
            view.max_age,
            max((late_from[n] for n in upstream(view.name, reads) if n in late_from), default=None),
        )
        for view in policy.matviews
    ]


def analytics(store: Connection, policy: Policy) -> Mapping[QualifiedName, StalenessReading]:
    """Return the newest readings of the tables with computed rows."""
    known = {seen.table_name: seen for seen in read_staleness(store, policy.database.name)}
    tables = [section.table for section in policy.stale_analytics]
    return {table: known[str(table)] for table in tables if str(table) in known}


def stale_views(ages: Collection[Age], now: datetime) -> Iterator[Finding]:
    """Yield a finding for each view that is older than allowed, or was never refreshed in time."""
    for age in ages:
        if age.is_late(now):
            yield _stale(age, now)


def _stale(age: Age, now: datetime) -> Finding:
    most_s = age.max_age.total_seconds()
    if age.fresh_as_of is None:
        text = f"{AGE_UNKNOWN}; it is refreshed on its next scheduled run"
        return _finding(age, Severity.WARN, text, None)
    old_s = (now - age.fresh_as_of).total_seconds()
    text = f"last fresh {readable_span(old_s)} ago, allowed {readable_span(most_s)}"
    return _finding(age, Severity.ERROR if old_s > 2 * most_s else Severity.WARN, text, old_s)


def _finding(age: Age, severity: Severity, text: str, old_s: float | None) -> Finding:
    value = round(old_s) if old_s is not None else None
    most_s = age.max_age.total_seconds()
    kind = FindingKind.MATVIEW_STALE
    return Finding(kind, severity, str(age.name), f"{age.name}: {text}", value, most_s)


def view_rows(policy: Policy) -> dict[QualifiedName, int]:
    """Return the row count of each view after its newest refresh, where known.

    Raises:
        UsageError: an environment variable is missing, or the url is invalid.
    """
    with Target(policy).optional_store() as store:
        ledger = newest_refreshes(store, policy.database.name) if store is not None else {}
    counts = {view.name: ledger.get(str(view.name)) for view in policy.matviews}
    return {name: r.n_rows for name, r in counts.items() if r is not None and r.n_rows is not None}


def sizes(policy: Policy, names: Collection[QualifiedName]) -> dict[QualifiedName, int]:
    """Return the sizes of relations in bytes, with their indexes, where they can be read.

    Raises:
        UsageError, UnreachableError: as `Target.database`.
    """
    pairs = {"schemas": [n.schema for n in names], "names": [n.name for n in names]}
    with Target(policy).database("sizes") as connection, suppress(MaintenanceError):
        try:
            with read_transaction(connection, policy.observe.time_cap, "reading sizes"):
                rows = fetch(connection, "catalog", "list_sizes", pairs)
        except psycopg.errors.LockNotAvailable:
            return {}
        return {QualifiedName(row.schema, row.name): row.size_bytes for row in rows}
    return {}


def cache_facts(policy: Policy) -> CacheFacts | None:
    """Return the newest cache reading; None if there is none.

    Raises:
        UsageError: an environment variable is missing, or the url is invalid.
    """
    with Target(policy).optional_store() as store:
        if store is None:
            return None
        return next(iter(newest_cache_looks(store, policy.database.name, 1)), None)
