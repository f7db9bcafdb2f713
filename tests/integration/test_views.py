"""The views of the example systems: what they say, and that they can be refreshed concurrently."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg.rows
import pytest

from maintenance.demo.data import fill_learning_platform, fill_proposals
from maintenance.names import quote
from maintenance.policy import MatviewPolicy, load_policy
from tests.builders import ROOT, SQL, Database

newest = pytest.mark.pg("== 18")
NOW = datetime(2026, 11, 20, 11, 30, tzinfo=UTC)
DASHBOARDS = {
    "learning_platform": [
        "course_dashboard",
        "courses_losing_learners",
        "engaged_learners",
        "organization_engagement",
    ],
    "proposals": ["approval_pace", "proposal_trend"],
}
"""The queries through a view, of all queries of a system."""


def views(system: str) -> tuple[MatviewPolicy, ...]:
    return load_policy(ROOT / "policies" / f"{system}.yaml").matviews


def run(database: Database, path: Path) -> list[tuple[Any, ...]]:
    return database.execute(path.read_text())


def make_views(database: Database, system: str) -> None:
    for view in views(system):
        assert view.definition
        run(database, view.definition)
        columns = ", ".join(map(quote, view.unique_index))
        database.execute(f"CREATE UNIQUE INDEX ON {view.name} ({columns})")


def make_default(database: Database, parent: str) -> None:
    database.execute(f"CREATE TABLE {parent}_all PARTITION OF {parent} DEFAULT")


@pytest.fixture
def learning_platform(learning_platform_database: Database) -> Database:
    make_default(learning_platform_database, "analytics_events")
    connection = learning_platform_database.connect()
    fill_learning_platform(connection, now=NOW, months=1, events=50, users=200, courses=12)
    make_views(learning_platform_database, "learning_platform")
    return learning_platform_database


@pytest.fixture
def proposals(proposals_database: Database) -> Database:
    make_default(proposals_database, "audit_logs")
    fill_proposals(proposals_database.connect(), now=NOW, months=2, audit_rows=50, proposals=300)
    make_views(proposals_database, "proposals")
    return proposals_database


def row(database: Database, view: str, where: str) -> dict[str, Any]:
    connection = database.connect(row_factory=psycopg.rows.dict_row)
    (found,) = connection.execute(f"SELECT * FROM {view} WHERE {where}".encode()).fetchall()
    return dict(found)


def enroll(database: Database, user: str, *courses: tuple[str, str, float]) -> None:
    database.execute(f"INSERT INTO users (id, email) VALUES ('{user}', '{user}@example.org')")
    for n, (course, status, progress) in enumerate(courses):
        values = f"'{user}_{n}', '{user}', '{course}', '{status}', {progress}"
        database.execute(f"INSERT INTO enrollments VALUES ({values})")


def refresh(database: Database, view: str) -> None:
    database.execute(f"REFRESH MATERIALIZED VIEW CONCURRENTLY {view}")


@newest
def test_every_user_and_course_has_one_row(learning_platform: Database) -> None:
    counted = learning_platform.execute(
        "SELECT (SELECT count(*) FROM mv_user_learning_summary), (SELECT count(*) FROM users),"
        " (SELECT count(*) FROM mv_course_performance), (SELECT count(*) FROM courses)"
    )
    assert counted == [(200, 200, 12, 12)]


@newest
def test_engagement_is_mean_progress_and_ten_points_a_completed_course(
    learning_platform: Database,
) -> None:
    begun = [("crs_0000", "COMPLETED", 100.0), ("crs_0001", "ACTIVE", 20.0)]
    enroll(learning_platform, "ada", *begun, ("crs_0002", "ACTIVE", 10.0))
    refresh(learning_platform, "mv_user_learning_summary")
    assert row(learning_platform, "mv_user_learning_summary", "user_id = 'ada'") == {
        "user_id": "ada",
        "total_enrollments": 3,
        "completed_courses": 1,
        "avg_completion_progress": Decimal("100.00"),
        "engagement_score": Decimal("53.33"),
    }


@newest
def test_engagement_is_at_most_a_hundred_and_never_null(learning_platform: Database) -> None:
    enroll(learning_platform, "eve")
    enroll(learning_platform, "zoe", *((f"crs_{n:04}", "COMPLETED", 100.0) for n in range(3)))
    refresh(learning_platform, "mv_user_learning_summary")
    found = learning_platform.execute(
        "SELECT user_id, engagement_score FROM mv_user_learning_summary"
        " WHERE user_id IN ('eve', 'zoe') ORDER BY 1"
    )
    assert found == [("eve", 0), ("zoe", 100)]
    outside = "engagement_score IS NULL OR engagement_score NOT BETWEEN 0 AND 100"
    counted = f"SELECT count(*) FROM mv_user_learning_summary WHERE {outside}"
    assert learning_platform.execute(counted) == [(0,)]


@newest
def test_double_enrollment_counts_once(learning_platform: Database) -> None:
    enroll(learning_platform, "ada", *[("crs_0011", "COMPLETED", 100.0)] * 2)
    refresh(learning_platform, "mv_user_learning_summary")
    refresh(learning_platform, "mv_course_performance")
    user = row(learning_platform, "mv_user_learning_summary", "user_id = 'ada'")
    course = row(learning_platform, "mv_course_performance", "course_id = 'crs_0011'")
    assert (user["total_enrollments"], user["completed_courses"]) == (1, 1)
    assert (course["total_enrollments"], course["completion_rate_percent"]) == (1, 100)


@newest
def test_course_without_enrollments_has_no_rate_and_divides_by_nothing(
    learning_platform: Database,
) -> None:
    assert row(learning_platform, "mv_course_performance", "course_id = 'crs_0011'") == {
        "course_id": "crs_0011",
        "total_enrollments": 0,
        "completion_rate_percent": None,
        "average_progress": None,
    }


@newest
def test_completion_rate_is_the_share_of_users_with_two_decimals(
    learning_platform: Database,
) -> None:
    for n, status in enumerate(["COMPLETED", "ACTIVE", "ACTIVE"]):
        enroll(learning_platform, f"u{n}", ("crs_0011", status, 60.0 + n))
    refresh(learning_platform, "mv_course_performance")
    course = row(learning_platform, "mv_course_performance", "course_id = 'crs_0011'")
    assert course["completion_rate_percent"] == Decimal("33.33")
    assert course["average_progress"] == Decimal("61.00")


@newest
def test_proposals_of_a_day_and_status_are_summed(proposals: Database) -> None:
    columns = "id, title, customer_id, status, value, created_at, approved_at"
    day = "2020-01-02"
    for n, (value, hours) in enumerate([(100, 12), (None, 36), (50, None)]):
        approved = f"'{day} 01:00+00'::timestamptz + interval '{hours} hours'" if hours else "NULL"
        proposals.execute(
            f"INSERT INTO proposals ({columns}) VALUES ('x{n}', 't', 'cus_00000', 'APPROVED',"
            f" {value or 'NULL'}, '{day} 01:00+00', {approved})"
        )
    refresh(proposals, "proposal_analytics_summary")
    assert row(proposals, "proposal_analytics_summary", f"date = '{day}'") == {
        "date": datetime(2020, 1, 2, tzinfo=UTC).date(),
        "status": "APPROVED",
        "count": 3,
        "avg_value": Decimal("75.00"),
        "total_value": Decimal(150),
        "avg_processing_hours": Decimal("24.00"),
    }


@newest
def test_day_of_a_proposal_is_that_of_utc_whoever_refreshes(proposals: Database) -> None:
    first = proposals.execute("SELECT * FROM proposal_analytics_summary ORDER BY 1, 2")
    with proposals.connect() as connection:
        connection.execute("SET TimeZone = 'Asia/Tokyo'")
        connection.execute("REFRESH MATERIALIZED VIEW proposal_analytics_summary")
    assert proposals.execute("SELECT * FROM proposal_analytics_summary ORDER BY 1, 2") == first


def test_refresh_without_changes_changes_no_row(
    learning_platform: Database, proposals: Database
) -> None:
    for database, system in ((learning_platform, "learning_platform"), (proposals, "proposals")):
        for view in views(system):
            versions = f"SELECT ctid, xmin FROM {view.name} ORDER BY 1"
            before = database.execute(versions)
            refresh(database, str(view.name))
            assert database.execute(versions) == before


def test_queries_of_a_system_run_through_its_views(
    learning_platform: Database, proposals: Database
) -> None:
    for database, system in ((learning_platform, "learning_platform"), (proposals, "proposals")):
        names = [f"public.{view.name.name}" for view in views(system)]
        folder = SQL / "systems" / system / "queries"
        through = [q for q in folder.glob("*.sql") if any(name in q.read_text() for name in names)]
        assert sorted(query.stem for query in through) == DASHBOARDS[system]
        for query in through:
            assert run(database, query), query.name
