"""The demo's rows: believable, consistent, the same for a seed, all of them or none."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import repeat
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from maintenance.demo.data import (
    Connection,
    Progress,
    fill_learning_platform,
    fill_proposals,
    first_month,
    silent,
)
from maintenance.demo.learning_platform import LearningPlatform
from maintenance.demo.proposals import Proposals
from maintenance.demo.rhythm import LEARNERS, OFFICE, moments
from maintenance.errors import MaintenanceError
from maintenance.periods import periods_between
from tests.builders import Database

NOW = datetime(2026, 11, 20, 11, 30, tzinfo=UTC)
START = datetime(2024, 12, 1, tzinfo=UTC)
AUTUMN = datetime(2026, 10, 1, tzinfo=UTC)
UTC_ZONE = ZoneInfo("UTC")
MONTHS = 3

Fill = Callable[[Connection, Progress], int]


def _make_partitions(database: Database, parent: str, *, but: str = "") -> None:
    first = first_month(NOW, MONTHS)
    for period in periods_between(first, first.shift(MONTHS - 1)):
        if period.key != but:
            lower, upper = period.bounds(UTC_ZONE)
            name = f"{parent}_{period.key.replace('-', '_')}"
            bounds = f"FOR VALUES FROM ('{lower}') TO ('{upper}')"
            database.execute(f"CREATE TABLE {name} PARTITION OF {parent} {bounds}")


def _fill_learning_platform(connection: Connection, progress: Progress = silent) -> int:
    return fill_learning_platform(
        connection, now=NOW, months=MONTHS, events=500, users=40, courses=9, progress=progress
    )


def _fill_proposals(connection: Connection, progress: Progress = silent) -> int:
    return fill_proposals(
        connection, now=NOW, months=MONTHS, audit_rows=300, proposals=50, progress=progress
    )


@pytest.fixture
def learning_platform(learning_platform_database: Database) -> Database:
    _make_partitions(learning_platform_database, "analytics_events")
    _fill_learning_platform(learning_platform_database.connect())
    return learning_platform_database


@pytest.fixture
def proposals(proposals_database: Database) -> Database:
    _make_partitions(proposals_database, "audit_logs")
    _fill_proposals(proposals_database.connect())
    return proposals_database


def test_as_many_events_as_asked_for_in_every_month(learning_platform: Database) -> None:
    counted = learning_platform.execute(
        "SELECT count(*), count(DISTINCT tableoid) FROM analytics_events"
    )
    assert counted == [(500, MONTHS)]


def test_as_many_audit_rows_as_asked_for_in_every_month(proposals: Database) -> None:
    counted = proposals.execute("SELECT count(*), count(DISTINCT tableoid) FROM audit_logs")
    assert counted == [(300, MONTHS)]


@pytest.mark.pg("== 18")
def test_nothing_happens_before_the_first_month_or_after_now(learning_platform: Database) -> None:
    [(first, last)] = learning_platform.execute(
        'SELECT min("timestamp"), max("timestamp") FROM analytics_events'
    )
    assert first >= datetime(2026, 9, 1, tzinfo=UTC)
    assert last < NOW


@pytest.mark.pg("== 18")
def test_second_fill_writes_nothing(learning_platform: Database, proposals: Database) -> None:
    assert _fill_learning_platform(learning_platform.connect()) == 0
    assert _fill_proposals(proposals.connect()) == 0


@pytest.mark.pg("== 18")
def test_month_without_partition_is_named_and_nothing_is_written(
    learning_platform_database: Database,
) -> None:
    _make_partitions(learning_platform_database, "analytics_events", but="2026-10")
    connection = learning_platform_database.connect()
    with pytest.raises(MaintenanceError, match=r"public\.analytics_events.*2026-10-01") as caught:
        _fill_learning_platform(connection)
    assert isinstance(caught.value.__cause__, psycopg.errors.CheckViolation)
    assert learning_platform_database.execute("SELECT count(*) FROM analytics_events") == [(0,)]
    assert connection.info.transaction_status.name == "IDLE"


@pytest.mark.pg("== 18")
def test_interrupted_fill_leaves_nothing(proposals_database: Database) -> None:
    _make_partitions(proposals_database, "audit_logs")

    def interrupt(table: str, n_rows: int) -> None:
        if table == "proposals":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _fill_proposals(proposals_database.connect(), interrupt)
    assert proposals_database.execute("SELECT count(*) FROM audit_logs") == [(0,)]
    assert _fill_proposals(proposals_database.connect()) > 0


@pytest.mark.pg("== 18")
def test_progress_ends_with_the_rows_of_each_table(
    learning_platform_database: Database, proposals_database: Database
) -> None:
    _make_partitions(learning_platform_database, "analytics_events")
    _make_partitions(proposals_database, "audit_logs")
    _assert_progress_is_true(learning_platform_database, _fill_learning_platform)
    _assert_progress_is_true(proposals_database, _fill_proposals)


def _assert_progress_is_true(database: Database, fill: Fill) -> None:
    told: dict[str, int] = {}
    written = fill(database.connect(), told.__setitem__)
    assert sum(told.values()) == written
    for table, n_rows in told.items():
        assert database.execute(f"SELECT count(*) FROM {table}") == [(n_rows,)]


@pytest.mark.pg("== 18")
def test_smallest_sizes_are_filled(
    learning_platform_database: Database, proposals_database: Database
) -> None:
    _make_partitions(learning_platform_database, "analytics_events")
    _make_partitions(proposals_database, "audit_logs")
    a, b = learning_platform_database.connect(), proposals_database.connect()
    assert fill_learning_platform(a, now=NOW, months=1, events=1, users=1, courses=2)
    assert fill_proposals(b, now=NOW, months=1, audit_rows=1, proposals=1)


@pytest.mark.pg("== 18")
def test_keys_meant_unique_are_unique(learning_platform: Database) -> None:
    for keys in ("enrollments (user_id, course_id)", "progress (user_id, lesson_id)"):
        learning_platform.execute(f"CREATE UNIQUE INDEX ON {keys}")


@pytest.mark.pg("== 18")
def test_course_is_completed_when_all_its_lessons_are_done(learning_platform: Database) -> None:
    agree = """
        SELECT bool_and((status = 'COMPLETED') = (progress = 100)),
               bool_and(round(progress * 12 / 100) = (
                   SELECT count(*) FROM progress AS p
                   JOIN lessons AS l ON l.id = p.lesson_id JOIN modules AS m ON m.id = l.module_id
                   WHERE p.user_id = e.user_id AND m.course_id = e.course_id))
        FROM enrollments AS e
    """
    assert learning_platform.execute(agree) == [(True, True)]


@pytest.mark.pg("== 18")
def test_events_are_of_courses_the_user_is_enrolled_in(learning_platform: Database) -> None:
    strangers = """
        SELECT count(*) FROM analytics_events AS a WHERE data ? 'courseId' AND NOT EXISTS (
            SELECT FROM enrollments AS e
            WHERE e.user_id = a.user_id AND e.course_id = a.data ->> 'courseId')
    """
    assert learning_platform.execute(strangers) == [(0,)]


@pytest.mark.pg("== 18")
def test_one_course_has_neither_enrollments_nor_description(learning_platform: Database) -> None:
    bare = """
        SELECT count(*) FROM courses AS c WHERE description IS NULL
        AND NOT EXISTS (SELECT FROM enrollments AS e WHERE e.course_id = c.id)
    """
    assert learning_platform.execute(bare) == [(1,)]


@pytest.mark.pg("== 18")
@pytest.mark.parametrize(
    "check",
    [
        "proposals ADD CHECK (value IS NULL OR value >= 0)",
        "proposals ADD CHECK (approved_at >= created_at)",
        "proposal_products ADD CHECK (quantity > 0)",
        "hypothesis_validation_events ADD CHECK (performance_improvement BETWEEN -100 AND 1000)",
    ],
)
def test_rows_satisfy_the_constraints_to_come(proposals: Database, check: str) -> None:
    proposals.execute(f"ALTER TABLE {check}")


def _platform_rows(seed: int) -> list[Any]:
    platform = LearningPlatform(seed, 30, 6)
    times = moments(LEARNERS, AUTUMN, NOW, 200, Random(seed))
    return [
        *platform.users(),
        *platform.enrollments(),
        *platform.progress(),
        *platform.analytics_events(times, 200),
    ]


def _proposal_rows(seed: int) -> list[Any]:
    business = Proposals(seed, tuple(moments(OFFICE, AUTUMN, NOW, 30, Random(seed))), NOW)
    times = moments(OFFICE, AUTUMN, NOW, 200, Random(seed))
    return [*business.proposals(), *business.proposal_products(), *business.audit_logs(times)]


@pytest.mark.parametrize("rows", [_platform_rows, _proposal_rows])
def test_seed_decides_every_row(rows: Callable[[int], list[Any]]) -> None:
    assert rows(7) == rows(7)
    assert rows(7) != rows(8)


def test_moments_are_exactly_as_many_and_ascending() -> None:
    times = list(moments(LEARNERS, START, NOW, 5_000, Random(1)))
    assert len(times) == 5_000
    assert times == sorted(times)


def test_activity_grows_over_the_months() -> None:
    by_month = Counter(f"{at:%Y-%m}" for at in moments(LEARNERS, START, NOW, 20_000, Random(1)))
    assert by_month["2026-10"] > 2 * by_month["2024-12"]


def test_office_sleeps_at_night_and_on_sundays() -> None:
    times = list(moments(OFFICE, START, NOW, 20_000, Random(1)))
    by_hour, by_weekday = Counter(at.hour for at in times), Counter(at.weekday() for at in times)
    assert by_hour[10] > 10 * by_hour[3]
    assert by_weekday[1] > 10 * by_weekday[6]


def test_events_are_made_one_at_a_time() -> None:
    endless = LearningPlatform(1, 10, 3).analytics_events(repeat(NOW), 1_000_000_000)
    assert next(endless)[0] == "evt_0000000000"
