"""Materialized views on real servers: made, refreshed, left alone where nothing changed."""

from pathlib import Path
from typing import Any

import pytest

from maintenance.engine.actions import ActionKind
from maintenance.engine.executor import Outcome
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.run import Report
from maintenance.policy import Policy
from tests.builders import Database
from tests.policies import make_policy

pytestmark = pytest.mark.store

SCHEMA = """
CREATE TABLE public.courses (id int PRIMARY KEY, title text);
CREATE TABLE public.enrollments (id int PRIMARY KEY, course int, progress int);
INSERT INTO public.courses SELECT n, 'course ' || n FROM generate_series(1, 10) n;
INSERT INTO public.enrollments SELECT n, n % 10 + 1, n FROM generate_series(1, 100) n;
"""
BY_COURSE = """
CREATE MATERIALIZED VIEW public.by_course AS
SELECT c.id AS course, count(e.id) AS n, sum(e.progress) AS progress
FROM courses c LEFT JOIN enrollments e ON e.course = c.id GROUP BY c.id;
"""
TOTAL = "SELECT count(*) AS n_courses, sum(n) AS n FROM by_course"


def a_view(folder: Path, name: str, sql: str, *key: str, **more: Any) -> dict[str, Any]:
    file = folder / f"{name}.sql"
    file.write_text(sql)
    return {
        "name": f"public.{name}",
        "definition": file.name,
        "unique_index": list(key),
        **more,
    }


@pytest.fixture
def policy(database: Database, tmp_path: Path) -> Policy:
    database.execute(SCHEMA)
    views = [
        a_view(tmp_path, "total", TOTAL, "n"),
        a_view(tmp_path, "by_course", BY_COURSE, "course"),
    ]
    return make_policy(tmp_path, database.url, matviews=views)


def kinds(report: Report) -> list[tuple[ActionKind, str, Outcome]]:
    return [(r.action.kind, r.action.object, r.outcome) for r in report.results]


def test_missing_views_are_made_in_their_order(database: Database, policy: Policy) -> None:
    report = pipeline.apply(policy)
    assert [r.error for r in report.results] == [None, None]
    assert kinds(report) == [
        (ActionKind.CREATE_MATVIEW, "public.by_course", Outcome.DONE),
        (ActionKind.CREATE_MATVIEW, "public.total", Outcome.DONE),
    ]
    assert report.findings == ()
    assert database.execute("SELECT * FROM public.total") == [(10, 100)]


def test_unchanged_views_are_left_alone(policy: Policy) -> None:
    pipeline.apply(policy)
    report = pipeline.apply(policy)
    assert report.plan.actions == ()
    assert [skip.object for skip in report.plan.skipped] == ["public.by_course", "public.total"]


def test_changed_rows_lead_to_a_concurrent_refresh_of_all_that_reads_them(
    database: Database, policy: Policy
) -> None:
    pipeline.apply(policy)
    database.execute("INSERT INTO public.enrollments VALUES (101, 1, 5)")
    report = pipeline.apply(policy)
    assert kinds(report) == [
        (ActionKind.REFRESH_MATVIEW, "public.by_course", Outcome.DONE),
        (ActionKind.REFRESH_MATVIEW, "public.total", Outcome.DONE),
    ]
    assert report.results[0].action.reason == (
        "public.enrollments: +1 inserted, +0 updated, +0 deleted"
    )
    assert report.results[0].detail | {"temp_bytes": 0, "as_of": 0} == {
        "mode": "concurrently",
        "changed": True,
        "as_of": 0,
        "rows": 10,
        "rows_inserted": 0,
        "rows_updated": 1,
        "rows_deleted": 0,
        "temp_bytes": 0,
    }
    assert database.execute("SELECT * FROM public.total") == [(10, 101)]
    assert pipeline.apply(policy).plan.actions == ()


def test_view_on_a_view_that_did_not_change_is_skipped_in_the_same_run(
    database: Database, policy: Policy
) -> None:
    pipeline.apply(policy)
    database.execute("UPDATE public.courses SET title = title")
    report = pipeline.apply(policy)
    assert kinds(report) == [
        (ActionKind.REFRESH_MATVIEW, "public.by_course", Outcome.DONE),
        (ActionKind.REFRESH_MATVIEW, "public.total", Outcome.SKIPPED),
    ]


def recommended(database: Database) -> dict[str, str]:
    return dict(
        database.execute(
            "SELECT view, recommendation FROM maintenance.get_mv_refresh_recommendations()"
        )
    )


def test_recommendation_is_to_leave_to_refresh_or_to_mend(
    database: Database, policy: Policy, tmp_path: Path
) -> None:
    pipeline.apply(policy)
    assert recommended(database) == {"public.by_course": "leave", "public.total": "leave"}
    database.execute("DROP MATERIALIZED VIEW public.total")
    section = {"name": "public.total", "unique_index": ["n"]}
    by_course = {"name": "public.by_course", "unique_index": ["course"]}
    undeclared = make_policy(tmp_path, database.url, matviews=[by_course, section])
    pipeline.apply(undeclared)
    assert recommended(database) == {"public.by_course": "leave", "public.total": "mend"}
    database.execute("INSERT INTO public.enrollments VALUES (101, 1, 5)")
    reporting = make_policy(
        tmp_path, database.url, matviews=[{**by_course, "mode": "report", "max_age": "0 minutes"}]
    )
    pipeline.apply(reporting)
    assert recommended(database)["public.by_course"] == "refresh"
    pipeline.apply(policy)
    assert recommended(database) == {"public.by_course": "leave", "public.total": "leave"}
