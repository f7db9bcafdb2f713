"""Counting stale rows: one set-based query a table, each in a short transaction of its own."""

from datetime import datetime

import psycopg
from psycopg.rows import class_row

from maintenance.analytics import queries
from maintenance.analytics.fitness import unfit
from maintenance.analytics.models import SeenAnalytics, Staleness
from maintenance.catalog.models import Obstacle
from maintenance.catalog.unreadable import unreadable_tables
from maintenance.engine.look import Look
from maintenance.errors import MaintenanceError, UnreachableError
from maintenance.names import QualifiedName
from maintenance.policy import StaleAnalyticsPolicy
from maintenance.server.session import brief, explain


def observe(look: Look) -> SeenAnalytics:
    """Count the stale rows of every table that is fit; one that can't be read stops no other."""
    found: dict[QualifiedName, Staleness] = {}
    blind: dict[QualifiedName, str] = {}
    forbidden: set[QualifiedName] = set()
    hidden: set[QualifiedName] = set()
    for section in look.policy.stale_analytics:
        if not look.request.concerns(section.table) or unfit(section, look.snapshot) is not None:
            continue
        try:
            found[section.table] = _count(look, section)
        except UnreachableError:
            raise
        except psycopg.errors.LockNotAvailable as exc:
            blind[section.table] = str(explain(exc, "counting its stale rows"))
        except MaintenanceError as exc:
            blind[section.table] = str(exc)
            if isinstance(exc.__cause__, psycopg.errors.InsufficientPrivilege):
                obstacles = _obstacles(look, section)
                if obstacles == {Obstacle.PRIVILEGE}:
                    forbidden.add(section.table)
                hidden |= {section.table} if Obstacle.ROW_SECURITY in obstacles else set()
    return SeenAnalytics(look.snapshot, found, blind, frozenset(forbidden), frozenset(hidden))


def _obstacles(look: Look, section: StaleAnalyticsPolicy) -> set[Obstacle]:
    """Return what the server refused us for: a right, or rows behind row security."""
    activity = section.activity
    names = [section.table, *([activity.table] if activity is not None else [])]
    known = [table.oid for name in names if (table := look.snapshot.tables.get(name)) is not None]
    return set(unreadable_tables(look.connection, known).values())


def cutoff_of(section: StaleAnalyticsPolicy, now: datetime) -> datetime:
    """Return the moment before which a row is old."""
    return now - section.max_age


def _count(look: Look, section: StaleAnalyticsPolicy) -> Staleness:
    parameters = {"now": look.now, "cutoff": cutoff_of(section, look.now)}
    with (
        brief(look.connection, look.policy.observe.time_cap, "counting its stale rows"),
        look.connection.cursor(row_factory=class_row(Staleness)) as cursor,
    ):
        # Two such tables are joined in hashes, whose size this bounds; what is more is spilled.
        cursor.execute("SET LOCAL work_mem = '64MB'")
        row = cursor.execute(queries.summary(section).encode(), parameters).fetchone()
    assert row is not None, "an aggregate gives one row"
    return row
