"""Fills the example systems with two years of realistic rows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from psycopg import errors
from psycopg.rows import TupleRow

from maintenance.demo.learning_platform import LearningPlatform
from maintenance.demo.proposals import Proposals
from maintenance.demo.rhythm import LEARNERS, OFFICE, Rhythm, moments
from maintenance.errors import MaintenanceError
from maintenance.names import quote
from maintenance.periods import Interval, Period, midnight, period_of

Connection = psycopg.Connection[TupleRow]
Progress = Callable[[str, int], None]
"""Called with a table's name and the number of its rows written so far."""

_REPORT_EVERY = 20_000


def first_month(now: datetime, months: int) -> Period:
    """Return the first of a number of months, the last of which contains `now` (UTC)."""
    return period_of(now.astimezone(UTC).date(), Interval.MONTH).shift(1 - months)


def silent(table: str, n_rows: int) -> None:
    """Ignore progress."""


def fill_learning_platform(
    connection: Connection,
    *,
    now: datetime,
    months: int = 24,
    events: int = 300_000,
    users: int = 2_000,
    courses: int = 48,
    seed: int = 1,
    progress: Progress = silent,
) -> int:
    """Write the rows of sql/systems/learning_platform, in one transaction.

    The same arguments give the same rows. Nothing is written if there are users already.

    Args:
        connection: to a database with the schema, and with a partition of `analytics_events` for
            each month from `first_month(now, months)` on.
        now: aware; no row is later.
        months: number of months of events, including that of `now`.
        events: number of rows of `analytics_events`.
        users: number of users; enrollments and progress follow from them.
        courses: number of courses, at least 2.
        seed: seed of all random numbers.
        progress: called from time to time.

    Returns:
        The number of rows written.

    Raises:
        MaintenanceError: a month has no partition; nothing is written.
    """
    platform = LearningPlatform(seed, users, courses)
    happened = _moments(LEARNERS, now, months, events, seed)
    tables = {
        "analytics_events": platform.analytics_events(happened, events),
        "organizations": platform.organizations(),
        "users": platform.users(),
        "user_sessions": platform.user_sessions(now),
        "courses": platform.courses(),
        "modules": platform.modules(),
        "lessons": platform.lessons(),
        "enrollments": platform.enrollments(),
        "progress": platform.progress(),
    }
    return _fill(connection, tables, "users", progress)


def fill_proposals(
    connection: Connection,
    *,
    now: datetime,
    months: int = 24,
    audit_rows: int = 60_000,
    proposals: int = 2_000,
    seed: int = 1,
    progress: Progress = silent,
) -> int:
    """Write the rows of sql/systems/proposals, in one transaction.

    As `fill_learning_platform`; the partitioned table is `audit_logs`, and a quarter as many
    rows go to `hypothesis_validation_events`.
    """
    created = tuple(_moments(OFFICE, now, months, proposals, seed))
    business = Proposals(seed, created, now)
    logged = _moments(OFFICE, now, months, audit_rows, seed + 1)
    validated = _moments(OFFICE, now, months, audit_rows // 4, seed + 2)
    tables = {
        "audit_logs": business.audit_logs(logged),
        "customers": business.customers(),
        "products": business.products(),
        "proposals": business.proposals(),
        "proposal_sections": business.proposal_sections(),
        "proposal_products": business.proposal_products(),
        "content": business.content(),
        "approval_executions": business.approval_executions(),
        "validation_issues": business.validation_issues(),
        "hypothesis_validation_events": business.hypothesis_validation_events(validated),
        "performance_baselines": business.performance_baselines(),
    }
    return _fill(connection, tables, "proposals", progress)


def _moments(rhythm: Rhythm, now: datetime, months: int, n: int, seed: int) -> Iterable[datetime]:
    start = midnight(first_month(now, months).start, ZoneInfo("UTC"))
    return moments(rhythm, start, now, n, Random(f"{seed} moments"))


def _fill(
    connection: Connection,
    tables: Mapping[str, Iterable[Sequence[Any]]],
    filled_if: str,
    progress: Progress,
) -> int:
    with connection.transaction():
        found = connection.execute(f"SELECT FROM public.{quote(filled_if)} LIMIT 1".encode())
        if found.fetchone() is not None:
            return 0
        return sum(_copy(connection, table, rows, progress) for table, rows in tables.items())


def _copy(
    connection: Connection, table: str, rows: Iterable[Sequence[Any]], progress: Progress
) -> int:
    n_rows = 0
    try:
        with (
            connection.cursor() as cursor,
            cursor.copy(f"COPY public.{quote(table)} FROM STDIN".encode()) as copy,
        ):
            for row in rows:
                copy.write_row(row)
                n_rows += 1
                if n_rows % _REPORT_EVERY == 0:
                    progress(table, n_rows)
    except errors.CheckViolation as exc:
        if exc.diag.constraint_name:
            raise
        raise MaintenanceError(
            f"table public.{quote(table)}: no partition for a row. {exc.diag.message_detail}",
            hint="create all partitions first: maintenance apply --only partitions",
        ) from exc
    progress(table, n_rows)
    return n_rows
