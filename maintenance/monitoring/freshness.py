"""How fresh views and computed rows are, from the store alone: cheap enough for every minute."""

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.sessions import database_session, optional_store_session
from maintenance.errors import MaintenanceError
from maintenance.formatting import readable_span
from maintenance.names import QualifiedName
from maintenance.policy import Policy
from maintenance.redis_client.models import CacheFacts
from maintenance.server.session import fetch, read_transaction
from maintenance.store import Refresh, newest_refreshes
from maintenance.store.staleness import StalenessReading, read_staleness
from maintenance.subjects.matviews.dependencies import Reads, upstream
from maintenance.subjects.redis.history import newest_cache_looks


@dataclass(frozen=True, slots=True)
class Age:
    """How old what somebody looks at may be.

    Attributes:
        name: the view, or the table of computed rows.
        fresh_as_of: the moment up to which it is known to be right; None where nobody knows.
        max_age: how old it may be.
    """

    name: QualifiedName
    fresh_as_of: datetime | None
    max_age: timedelta

    def is_over(self, now: datetime) -> bool:
        """Whether it is older than it may be, or nobody knows."""
        return self.fresh_as_of is None or now - self.fresh_as_of > self.max_age


def views(
    policy: Policy, reads: Reads, environ: Mapping[str, str] = os.environ
) -> list[Age] | None:
    """Return the ages of a policy's views, by the ledger of refreshes.

    A view is as old as the oldest of the views that it reads.

    Args:
        policy: whose views.
        reads: what each of them reads; what is no view of the policy is always right.
        environ: where `{env: …}` references of the policy are resolved.

    Returns:
        None where there is no store within reach.

    Raises:
        UsageError: an environment variable is missing, or the url is none.
    """
    with optional_store_session(policy, environ) as store:
        if store is None:
            return None
        ledger = newest_refreshes(store, policy.database.name)
    return ages(policy, reads, ledger)


def ages(policy: Policy, reads: Reads, ledger: Mapping[str, Refresh]) -> list[Age]:
    """Return the ages of a policy's views by a ledger that was read already; see `views`."""
    own = {
        view.name: refresh.fresh_as_of if (refresh := ledger.get(str(view.name))) else None
        for view in policy.matviews
    }
    return [
        Age(
            view.name,
            _oldest([own[name] for name in upstream(view.name, reads) if name in own]),
            view.max_age,
        )
        for view in policy.matviews
    ]


def _oldest(moments: Collection[datetime | None]) -> datetime | None:
    known = [moment for moment in moments if moment is not None]
    return min(known) if len(known) == len(moments) else None


def analytics(
    policy: Policy, environ: Mapping[str, str] = os.environ
) -> Mapping[QualifiedName, StalenessReading] | None:
    """Return what was last seen of the tables of computed rows.

    Returns:
        None where there is no store within reach.

    Raises:
        UsageError: an environment variable is missing, or the url is none.
    """
    with optional_store_session(policy, environ) as store:
        if store is None:
            return None
        known = {seen.table_name: seen for seen in read_staleness(store, policy.database.name)}
    tables = [section.table for section in policy.stale_analytics]
    return {table: known[str(table)] for table in tables if str(table) in known}


def stale_views(ages: Collection[Age], now: datetime) -> Iterator[Finding]:
    """Yield a finding for each view that is older than its policy allows, or of unknown age."""
    for age in ages:
        if age.is_over(now):
            yield _stale(age, now)


def _stale(age: Age, now: datetime) -> Finding:
    most_s = age.max_age.total_seconds()
    if age.fresh_as_of is None:
        text = "how old its content is, is not known: no refresh of it is on record"
        return _finding(age, Severity.WARN, text, None)
    old_s = (now - age.fresh_as_of).total_seconds()
    text = f"its content is {readable_span(old_s)} old, wanted at most {readable_span(most_s)}"
    return _finding(age, Severity.ERROR if old_s > 2 * most_s else Severity.WARN, text, old_s)


def _finding(age: Age, severity: Severity, text: str, old_s: float | None) -> Finding:
    value = round(old_s) if old_s is not None else None
    most_s = age.max_age.total_seconds()
    kind = FindingKind.MATVIEW_STALE
    return Finding(kind, severity, str(age.name), f"{age.name}: {text}", value, most_s)


def view_rows(policy: Policy, environ: Mapping[str, str] = os.environ) -> dict[QualifiedName, int]:
    """Return how many rows each view has had since its newest refresh, where that is known.

    Raises:
        UsageError: an environment variable is missing, or the url is none.
    """
    with optional_store_session(policy, environ) as store:
        ledger = newest_refreshes(store, policy.database.name) if store is not None else {}
    counts = {view.name: ledger.get(str(view.name)) for view in policy.matviews}
    return {name: r.n_rows for name, r in counts.items() if r is not None and r.n_rows is not None}


def sizes(
    policy: Policy, names: Collection[QualifiedName], environ: Mapping[str, str] = os.environ
) -> dict[QualifiedName, int]:
    """Return how many bytes relations take with their indexes, as far as that can be told.

    Raises:
        UsageError, UnreachableError: as `database_session`.
    """
    pairs = {"schemas": [n.schema for n in names], "names": [n.name for n in names]}
    with database_session(policy, environ, "sizes") as connection, suppress(MaintenanceError):
        try:
            with read_transaction(connection, policy.observe.time_cap, "reading sizes"):
                rows = fetch(connection, "catalog", "list_sizes", pairs)
        except psycopg.errors.LockNotAvailable:
            return {}
        return {QualifiedName(row.schema, row.name): row.size_bytes for row in rows}
    return {}


def cache_facts(policy: Policy, environ: Mapping[str, str] = os.environ) -> CacheFacts | None:
    """Return what the newest look at the cache gave; None where there was none.

    Raises:
        UsageError: an environment variable is missing, or the url is none.
    """
    with optional_store_session(policy, environ) as store:
        if store is None:
            return None
        return next(iter(newest_cache_looks(store, policy.database.name, 1)), None)
