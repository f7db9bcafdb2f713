"""Computed rows: which are found stale, and what recalculating them does to them and to writers."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from maintenance.engine.actions import ActionKind
from maintenance.engine.executor import Outcome
from maintenance.engine.findings import FindingKind, Severity
from maintenance.errors import EffectError, LockNotAcquiredError
from maintenance.names import quote
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.run import Report
from maintenance.policy import Policy
from maintenance.store.staleness import read_staleness
from tests.builders import SQL, Database, Role
from tests.policies import make_policy
from tests.sessions import session

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)

pytestmark = [pytest.mark.store(NOW), pytest.mark.in_turn]
LMS = SQL / "systems" / "lms"
COURSES: dict[str, Any] = {
    "table": "public.course_analytics",
    "calculated_at": "lastCalculatedAt",
    "key": ["courseId"],
    "activity": {"table": "public.enrollments", "key": ["courseId"], "at": "enrolledAt"},
}
RECALCULATED = COURSES | {"recalculate": str(LMS / "recalculate_course_analytics.sql")}


@pytest.fixture
def lms(database: Database) -> Database:
    database.execute((LMS / "schema.sql").read_text())
    return database


def add_course(database: Database, name: str, calculated: timedelta, *enrolled: timedelta) -> None:
    """Add a course with what was computed, and with enrollments, so long ago each."""
    database.execute(
        'INSERT INTO courses (id, slug, title, "instructorId") VALUES (%s, %s, %s, %s)', [name] * 4
    )
    database.execute(
        'INSERT INTO course_analytics ("courseId", "lastCalculatedAt") VALUES (%s, %s)',
        [name, naive(calculated)],
    )
    for n, ago in enumerate(enrolled):
        database.execute(
            'INSERT INTO enrollments (id, "userId", "courseId", "enrolledAt", status)'
            " VALUES (%s, %s, %s, %s, %s)",
            [f"{name}{n}", f"u{n}", name, naive(ago), "COMPLETED" if n == 0 else "ACTIVE"],
        )


def naive(ago: timedelta) -> datetime:
    """As Prisma writes it: in UTC, without saying so."""
    return (NOW - ago).replace(tzinfo=None)


def hours(n: float) -> timedelta:
    return timedelta(hours=n)


def apply(policy: Policy, **options: Any) -> Report:
    return pipeline.apply(policy, only=["stale_analytics"], now=NOW, **options)


def policy_of(database: Database, folder: Path, *sections: Any, **others: Any) -> Policy:
    return make_policy(folder, database.url, stale_analytics=list(sections), **others)


# Finding


def test_row_is_stale_when_it_is_old_and_its_activity_newer(lms: Database, tmp_path: Path) -> None:
    add_course(lms, "stale", hours(30), hours(40), hours(2))
    add_course(lms, "staler", hours(50), hours(49))
    add_course(lms, "old but quiet", hours(90), hours(91))
    add_course(lms, "old and empty", hours(90))
    add_course(lms, "busy but new", hours(23), hours(1))
    report = apply(policy_of(lms, tmp_path, COURSES))
    (finding,) = report.findings
    assert (finding.kind, finding.severity) == (FindingKind.ANALYTICS_STALE, Severity.WARN)
    assert (finding.object, finding.value) == ("public.course_analytics", 2)
    assert finding.data["oldest_age_s"] == hours(50).total_seconds()
    assert finding.data["recalculated"] is False
    assert report.results == ()
    with session(lms.url) as store:
        (seen,) = read_staleness(store, "app")
    assert (seen.n_stale, seen.oldest_age_s, seen.seen_at) == (2, 180_000.0, NOW)


def test_without_activity_age_alone_makes_a_row_stale(lms: Database, tmp_path: Path) -> None:
    add_course(lms, "old and empty", hours(90))
    add_course(lms, "new", hours(1))
    section = {name: COURSES[name] for name in ("table", "calculated_at", "key")}
    (finding,) = apply(policy_of(lms, tmp_path, section)).findings
    assert finding.value == 1


def test_rows_that_are_right_find_nothing(lms: Database, tmp_path: Path) -> None:
    add_course(lms, "new", hours(1), hours(2))
    report = apply(policy_of(lms, tmp_path, RECALCULATED))
    assert (report.findings, report.results) == ((), ())


# Recalculating


def test_stale_rows_are_recalculated_and_verified(lms: Database, tmp_path: Path) -> None:
    add_course(lms, "stale", hours(30), hours(40), hours(3), hours(2))
    add_course(lms, "quiet", hours(90), hours(91))
    lms.execute(
        'INSERT INTO transactions (id, "userId", "courseId", amount, status)'
        " VALUES ('1', 'u', 'stale', 12.50, 'COMPLETED'), ('2', 'u', 'stale', 7, 'PENDING')"
    )
    report = apply(policy_of(lms, tmp_path, RECALCULATED))
    (result,) = report.results
    assert result.action.kind is ActionKind.RECALCULATE_ROWS
    assert result.outcome is Outcome.DONE, result.error
    assert (result.detail["keys"], result.detail["complete"]) == (1, True)
    assert report.findings == ()
    computed = lms.execute(
        'SELECT "courseId", "totalEnrollments", "activeEnrollments",'
        ' round("completionRate"::numeric, 1)::text, "totalRevenue"::text FROM course_analytics'
        " ORDER BY 1"
    )
    assert computed == [("quiet", 0, 0, "0.0", "0.00"), ("stale", 3, 2, "33.3", "12.50")]
    assert apply(policy_of(lms, tmp_path, RECALCULATED)).results == ()


def test_plan_shows_the_sql_and_changes_nothing(lms: Database, tmp_path: Path) -> None:
    add_course(lms, "stale", hours(30), hours(2))
    report = pipeline.plan(policy_of(lms, tmp_path, RECALCULATED), now=NOW)
    (action,) = report.plan.actions
    assert "%(keys)s" in action.sql[0]
    assert action.preconditions["cutoff"] == (NOW - hours(24)).isoformat()
    assert lms.execute('SELECT "totalEnrollments" FROM course_analytics') == [(0,)]


@pytest.fixture
def pages_of_seven(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maintenance.subjects.stale_analytics.apply.PAGE", 7)


@pytest.mark.pg("== 18")
def test_every_page_of_keys_is_recalculated(
    lms: Database, tmp_path: Path, pages_of_seven: None
) -> None:
    for n in range(30):
        add_course(lms, f"c{n}", hours(30), hours(2))
    (result,) = apply(policy_of(lms, tmp_path, RECALCULATED)).results
    assert result.detail["keys"] == 30
    assert result.detail["batches"] >= 5
    assert lms.execute('SELECT min("totalEnrollments") FROM course_analytics') == [(1,)]


HOSTILE = 'Ünï "quoted" 100%s\n%(x)s.'
SNAKES = "ключ-%-" + "x" * 40


@pytest.mark.pg("== 18")
def test_hostile_names_and_keys_of_several_columns(database: Database, tmp_path: Path) -> None:
    schema, table, at = quote("S%s"), quote(HOSTILE), quote(SNAKES)
    relation = f"{schema}.{table}"
    database.execute(f"CREATE SCHEMA {schema}")
    database.execute(
        f'CREATE TABLE {relation} ("Tenant" int, "Day" date, {at} timestamptz,'
        ' PRIMARY KEY ("Tenant", "Day"))'
    )
    database.execute(f'CREATE TABLE {schema}.log ("of%" int, on_day date, "at" timestamptz)')
    days = "SELECT t, date '2026-01-01' + d FROM generate_series(1, 4) t, generate_series(1, 6) d"
    database.execute(f"INSERT INTO {relation} {days}")
    database.execute(
        f"INSERT INTO {schema}.log {days.replace(' FROM', ', now() FROM')} WHERE t < 4"
    )
    doubled = relation.replace("%", "%%")
    recalculate = tmp_path / "recalculate.sql"
    recalculate.write_text(
        f"UPDATE {doubled} AS r SET {at.replace('%', '%%')} = now()"
        ' FROM jsonb_to_recordset(%(keys)s) AS k ("Tenant" int, "Day" date)'
        ' WHERE (r."Tenant", r."Day") = (k."Tenant", k."Day")'
    )
    section = {
        "table": f"{schema}.{table}",
        "calculated_at": SNAKES,
        "key": ["Tenant", "Day"],
        "activity": {"table": f"{schema}.log", "key": ["of%", "on_day"], "at": "at"},
    }
    (finding,) = apply(policy_of(database, tmp_path, section)).findings
    assert (finding.value, finding.object) == (18, relation)
    assert finding.data["never_calculated"] == 18
    policy = policy_of(database, tmp_path, section | {"recalculate": str(recalculate)})
    (result,) = apply(policy).results
    assert (result.outcome, result.detail["keys"]) == (Outcome.DONE, 18), result.error
    assert database.execute(f"SELECT count({at}) FROM {relation}") == [(18,)]


@pytest.mark.pg("== 18")
def test_names_of_the_owners_sql_are_found_by_his_search_path(
    lms: Database, tmp_path: Path
) -> None:
    add_course(lms, "stale", hours(30), hours(2))
    recalculate = tmp_path / "recalculate.sql"
    recalculate.write_text(
        'UPDATE course_analytics SET "lastCalculatedAt" = now() WHERE "courseId" = ANY (%(keys)s)'
    )
    section = COURSES | {"recalculate": str(recalculate)}
    report = apply(policy_of(lms, tmp_path, section))
    assert [result.outcome for result in report.results] == [Outcome.DONE]
    assert report.findings == ()


@pytest.mark.pg("== 18")
def test_sql_that_leaves_a_row_stale_fails_and_names_it(lms: Database, tmp_path: Path) -> None:
    add_course(lms, "stale", hours(30), hours(2))
    idle = tmp_path / "idle.sql"
    idle.write_text("SELECT %(keys)s::text[]")
    report = apply(policy_of(lms, tmp_path, COURSES | {"recalculate": str(idle)}))
    (result,) = report.results
    assert result.outcome is Outcome.FAILED
    assert isinstance(result.cause, EffectError)
    assert "public.course_analytics" in str(result.cause)
    assert "'stale'" in str(result.cause)
    assert [finding.kind for finding in report.findings] == [FindingKind.ANALYTICS_STALE]
    assert not report.ok


@pytest.mark.pg("== 18")
def test_sql_that_the_server_refuses_fails_with_its_words(lms: Database, tmp_path: Path) -> None:
    add_course(lms, "stale", hours(30), hours(2))
    wrong = tmp_path / "wrong.sql"
    wrong.write_text("UPDATE course_analytics SET lastcalculatedat = now() WHERE %(keys)s IS NULL")
    (result,) = apply(policy_of(lms, tmp_path, COURSES | {"recalculate": str(wrong)})).results
    assert result.outcome is Outcome.FAILED
    assert "public.course_analytics" in (result.error or "")
    assert '"lastcalculatedat"' in (result.error or "")
    assert "42703" in (result.error or "")


@pytest.mark.pg("== 18")
@pytest.mark.parametrize("parameter", ["%(courseId)s", "%s", "%(keys)d"])
def test_sql_with_a_wrong_parameter_keeps_nothing_else_from_being_done(
    lms: Database, tmp_path: Path, parameter: str
) -> None:
    add_course(lms, "stale", hours(30), hours(2))
    wrong = tmp_path / "wrong.sql"
    wrong.write_text(
        f'UPDATE course_analytics SET "lastCalculatedAt" = now() WHERE {parameter} IS NULL'
    )
    policy = policy_of(lms, tmp_path, COURSES | {"recalculate": str(wrong)})
    (result,) = apply(policy).results
    assert result.outcome is Outcome.FAILED
    assert "public.course_analytics" in (result.error or "")
    assert "%(keys)s" in (result.error or ""), "the one parameter there is"


# Others


@pytest.mark.pg("== 18")
def test_row_that_somebody_holds_is_given_up_and_reported(lms: Database, tmp_path: Path) -> None:
    add_course(lms, "stale", hours(30), hours(2))
    holder = lms.connect(autocommit=False)
    holder.execute("SELECT FROM course_analytics FOR UPDATE")
    locks = {"give_up_after": "1 second"}
    report = apply(policy_of(lms, tmp_path, RECALCULATED, locks=locks))
    (result,) = report.results
    assert result.outcome is Outcome.FAILED
    assert result.cause is not None
    assert (type(result.cause), result.cause.reason) == (LockNotAcquiredError, "row_locked")
    assert "public.course_analytics" in str(result.cause)
    kinds = {finding.kind for finding in report.findings}
    assert kinds == {FindingKind.ANALYTICS_STALE, FindingKind.LOCK_NOT_ACQUIRED}


@pytest.mark.pg("== 18")
def test_used_up_budget_leaves_the_rest_to_the_next_run(lms: Database, tmp_path: Path) -> None:
    add_course(lms, "stale", hours(30), hours(2))
    section = RECALCULATED | {"time_budget": "0 seconds"}
    report = apply(policy_of(lms, tmp_path, section))
    (result,) = report.results
    assert (result.outcome, result.detail["complete"]) == (Outcome.DONE, False)
    assert [finding.kind for finding in report.findings] == [FindingKind.ANALYTICS_STALE]


def test_missing_table_and_column_are_found_with_what_is_near(
    lms: Database, tmp_path: Path
) -> None:
    policy = policy_of(
        lms,
        tmp_path,
        COURSES | {"calculated_at": "last_calculated_at"},
        COURSES | {"table": "public.enrollments", "calculated_at": "enrolledAt", "key": ["id"]},
        COURSES | {"table": "public.course_analytic"},
        {**COURSES, "table": "public.courses", "calculated_at": "createdAt", "key": ["id"]}
        | {"activity": {"table": "public.enrolments", "key": ["courseId"], "at": "enrolledAt"}},
    )
    found = {f.object: (f.kind, f.data) for f in pipeline.plan(policy, now=NOW).findings}
    assert found == {
        "public.course_analytics": (
            FindingKind.NO_SUCH_COLUMN,
            {
                "table": "public.course_analytics",
                "column": "last_calculated_at",
                "near": ["lastCalculatedAt"],
            },
        ),
        "public.course_analytic": (
            FindingKind.NO_SUCH_TABLE,
            {"table": "public.course_analytic", "near": ["public.course_analytics"]},
        ),
        "public.courses": (
            FindingKind.NO_SUCH_TABLE,
            {"table": "public.enrolments", "near": ["public.enrollments"]},
        ),
    }


@pytest.mark.pg("== 18")
def test_missing_right_is_found_with_the_grant(
    lms: Database, tmp_path: Path, limited_role: Role
) -> None:
    add_course(lms, "stale", hours(30), hours(2))
    policy = make_policy(tmp_path, lms.url_of(limited_role), stale_analytics=[COURSES])
    (finding,) = pipeline.plan(policy, now=NOW).findings
    assert finding.kind is FindingKind.PRIVILEGE_MISSING
    (grant,) = finding.data["grants"]
    assert grant in finding.message
    lms.execute(grant)
    (finding,) = pipeline.plan(policy, now=NOW).findings
    assert finding.kind is FindingKind.ANALYTICS_STALE


@pytest.mark.pg("== 18")
def test_locked_table_blinds_us_to_itself_alone(lms: Database, tmp_path: Path) -> None:
    add_course(lms, "stale", hours(30), hours(2))
    lms.execute("CREATE TABLE other (id int, at timestamptz)")
    lms.execute("INSERT INTO other VALUES (1, NULL)")
    holder = lms.connect(autocommit=False)
    holder.execute("LOCK TABLE enrollments IN ACCESS EXCLUSIVE MODE")
    other = {"table": "public.other", "calculated_at": "at", "key": ["id"]}
    found = pipeline.plan(policy_of(lms, tmp_path, COURSES, other), now=NOW).findings
    assert {(f.object, f.kind) for f in found} == {
        ("public.course_analytics", FindingKind.MONITOR_BLIND),
        ("public.other", FindingKind.ANALYTICS_STALE),
    }
