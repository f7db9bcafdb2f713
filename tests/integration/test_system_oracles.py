"""The lists and numbers that are known of the example systems, each told exactly by the product.

They were found by hand on PostgreSQL 15, from the definitions, and are repeated here in full: one
index more or less is a failure.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from maintenance.demo.postgres import PostgresServer
from maintenance.engine.actions import ActionKind
from maintenance.engine.findings import Finding, FindingKind
from maintenance.names import quote
from maintenance.pipeline import run as pipeline
from maintenance.subjects.indexes import INDEXES
from tests.builders import ROOT, SQL, Database, drop_database, make_database
from tests.catalogs import GROWN
from tests.declared import schema, system_plan
from tests.example_systems import template
from tests.policies import make_policy

Covers = dict[str, str]
"""Superfluous indexes, each with the one that stays for it."""
Keys = frozenset[tuple[str, str]]
"""Foreign keys: table and column."""


@dataclass(frozen=True)
class Advice:
    """What is to be told of a catalog, and nothing beside it.

    Attributes:
        duplicate: indexes that another one equals.
        redundant: those whose keys another one begins with.
        constant: those with a key that their predicate fixes.
        foreign_keys: those that no index serves.
    """

    duplicate: Covers = field(default_factory=Covers)
    redundant: Covers = field(default_factory=Covers)
    constant: frozenset[str] = frozenset()
    foreign_keys: Keys = frozenset()

    def and_(self, **more: Any) -> "Advice":
        """The same, and more."""
        return Advice(
            self.duplicate | more.get("duplicate", {}),
            self.redundant | more.get("redundant", {}),
            frozenset(more.get("constant", self.constant)),
            frozenset(more.get("foreign_keys", self.foreign_keys)),
        )


@dataclass(frozen=True)
class Oracle:
    """A schema, what is told of it, the statements of a plan, and what is told then."""

    tables: str
    before: Advice
    plan: Callable[[], str]
    after: Advice


def planned(system: str) -> str:
    """The indexes as a system's plan asks for them, its faults included."""
    return (ROOT / "tests" / "system_plans" / f"{system}.sql").read_text()


SEARCH_VECTOR = (
    "ALTER TABLE courses ADD COLUMN search_vector tsvector GENERATED ALWAYS AS"
    " (to_tsvector('english', coalesce(title, ''))) STORED;\n"
)


def lms_migration() -> str:
    """The plan's migration: a column, 19 indexes, six drops."""
    gone = [*LMS.duplicate, "course_progress_progressPercent_idx", "lesson_progress_completed_idx"]
    return SEARCH_VECTOR + planned("lms") + "".join(f"DROP INDEX {quote(name)};" for name in gone)


def in_camel_case() -> str:
    """The proposals' plan in the names of the public tables."""
    columns = r"\b([a-z]+)_(at|id|date|name|active|type|value)\b"
    return re.sub(columns, lambda m: f'"{m[1]}{m[2].capitalize()}"', planned("proposals"))


UNPUZZLE = Advice(
    duplicate={"idx_video_progress_user_video": "video_progress_student_id_video_id_key"},
    redundant={
        "idx_enrollments_user_id": "enrollments_user_id_course_id_key",
        "course_goal_assignments_course_id_idx": "course_goal_assignments_course_id_goal_id_key",
        "course_track_assignments_course_id_idx": "course_track_assignments_course_id_track_id_key",
    },
)
UNPUZZLE_NEW = {
    "idx_conversation_messages_timeline": "idx_conversation_messages_timeline_optimized",
    "idx_ai_interactions_user_course": "idx_ai_interactions_student_course_time",
    "course_goal_assignments_goal_id_idx": "idx_course_goal_assignments_goal_course",
    "course_track_assignments_track_id_idx": "idx_course_track_assignments_track_course",
    "idx_message_attachments_message": "idx_message_attachments_message_type",
    "idx_learning_activities_user_course": "idx_learning_activities_user_course_date",
}
UNPUZZLE_PUBLIC = UNPUZZLE.and_(
    duplicate={"idx_video_progress_user_video": "video_progress_user_id_video_id_key"},
    foreign_keys={
        ("conversation_messages", "reply_to_id"),
        ("learning_milestones", "prerequisite_milestone_id"),
    },
)
LMS = Advice(
    duplicate={
        "users_email_idx": "users_email_key",
        "courses_slug_idx": "courses_slug_key",
        "transactions_providerTxnId_idx": "transactions_providerTxnId_key",
        "certificates_certificateNo_idx": "certificates_certificateNo_key",
    },
    redundant={
        "enrollments_userId_idx": "enrollments_userId_courseId_key",
        "course_progress_userId_idx": "course_progress_userId_courseId_key",
        "lesson_progress_progressId_idx": "lesson_progress_progressId_lessonId_key",
    },
    foreign_keys=frozenset({("questions", "quizId")}),
)
LMS_AFTER = Advice(
    redundant=LMS.redundant
    | {
        "users_role_idx": "users_role_createdAt_idx",
        "transactions_userId_idx": "transactions_userId_createdAt_idx",
        "transactions_status_idx": "transactions_status_createdAt_idx",
        "quiz_attempts_userId_idx": "quiz_attempts_userId_startedAt_idx",
        "certificates_userId_idx": "certificates_userId_issuedAt_idx",
    },
    constant=frozenset({"lesson_progress_incomplete_idx", "quiz_attempts_failed_idx"}),
    foreign_keys=LMS.foreign_keys,
)
# That the application made it beside a longer one is no doing of the plan.
NOVA_PUBLIC = Advice(redundant={"idx_messages_active": "idx_messages_conversation_ts_id"})
LEARNING_PLATFORM = Advice(
    foreign_keys=frozenset(
        {
            ("users", "organization_id"),
            ("user_sessions", "user_id"),
            ("modules", "course_id"),
            ("lessons", "module_id"),
            ("enrollments", "user_id"),
            ("enrollments", "course_id"),
            ("progress", "user_id"),
            ("progress", "lesson_id"),
        }
    )
)
PROPOSALS = Advice(
    foreign_keys=frozenset(
        {
            ("proposals", "customer_id"),
            ("proposal_sections", "proposal_id"),
            ("proposal_products", "proposal_id"),
            ("proposal_products", "product_id"),
            ("approval_executions", "proposal_id"),
            ("validation_issues", "proposal_id"),
        }
    )
)
PROPOSALS_PUBLIC = Advice(
    duplicate={
        "idx_proposals_created_by": "proposals_createdBy_idx",
        "idx_proposals_customer_status": "proposals_customerId_status_idx",
        "idx_proposals_created_at": "proposals_createdAt_idx",
        "idx_proposals_updated_at": "proposals_updatedAt_idx",
        "idx_proposals_due_date": "proposals_dueDate_idx",
        "idx_content_created_by": "content_createdBy_idx",
        "idx_content_created_at": "content_createdAt_idx",
        "idx_content_updated_at": "content_updatedAt_idx",
        "idx_content_category": "content_category_idx",
        "idx_proposal_products_product_id": "proposal_products_productId_idx",
    },
    redundant={
        "proposals_tenantId_idx": "proposals_tenantId_status_idx",
        "proposals_customerId_idx": "proposals_customerId_status_idx",
        "proposals_status_idx": "proposals_status_priority_idx",
        "content_type_idx": "content_type_isActive_idx",
        "performance_baselines_hypothesis_metricName_idx": (
            "performance_baselines_hypothesis_metricName_collectionDate_key"
        ),
    },
    foreign_keys=frozenset(
        {("approval_executions", "proposalId"), ("validation_issues", "proposalId")}
    ),
)

ORACLES = (
    Oracle(
        "unpuzzle/schema.sql",
        UNPUZZLE,
        lambda: planned("unpuzzle"),
        UNPUZZLE.and_(
            redundant=UNPUZZLE_NEW, constant={"idx_video_progress_student_course_completion"}
        ),
    ),
    # requests_user_id_idx is not superfluous beside a partial index.
    Oracle(
        "unpuzzle/public_schema.sql",
        UNPUZZLE_PUBLIC,
        lambda: schema("unpuzzle", "public_indexes.sql"),
        UNPUZZLE_PUBLIC.and_(redundant=UNPUZZLE_NEW),
    ),
    Oracle("lms/schema.sql", LMS, lms_migration, LMS_AFTER),
    Oracle(
        "nova/public_schema.sql",
        NOVA_PUBLIC,
        lambda: "ALTER INDEX idx_posts_user_created RENAME TO other;" + planned("nova"),
        NOVA_PUBLIC.and_(duplicate={"idx_posts_user_created": "idx_posts_active"}),
    ),
    # The other index with a constant key, of courses, has no further one.
    Oracle(
        "learning_platform/schema.sql",
        LEARNING_PLATFORM,
        lambda: planned("learning_platform"),
        LEARNING_PLATFORM.and_(
            constant={"idx_enrollments_user_status_active"},
            foreign_keys=LEARNING_PLATFORM.foreign_keys
            - {("enrollments", "user_id"), ("progress", "user_id")},
        ),
    ),
    Oracle("proposals/schema.sql", PROPOSALS, lambda: planned("proposals"), PROPOSALS),
    Oracle(
        "proposals/prisma_schema.sql",
        PROPOSALS_PUBLIC,
        in_camel_case,
        PROPOSALS_PUBLIC.and_(
            redundant={
                "content_type_idx": "idx_content_search_optimization",
                "content_type_isActive_idx": "idx_content_search_optimization",
            }
        ),
    ),
)


def bare(name: str) -> str:
    return name.removeprefix("public.").strip('"')


def of_kind(findings: list[Finding], kind: FindingKind) -> list[Finding]:
    return [each for each in findings if each.kind is kind]


def covers(findings: list[Finding], kind: FindingKind) -> Covers:
    return {bare(f.object): bare(f.data["covered_by"]) for f in of_kind(findings, kind)}


def advice(database: Database, folder: Path) -> Advice:
    database.execute(GROWN)
    policy = make_policy(folder, database.url, indexes={})
    findings = list(pipeline.plan(policy, only=[INDEXES.name]).findings)
    keys = [
        (bare(key["table"]), column)
        for finding in of_kind(findings, FindingKind.FK_UNINDEXED)
        for key in finding.data["foreign_keys"]
        for column in key["columns"]
    ]
    assert len(keys) == len(set(keys))
    constant = of_kind(findings, FindingKind.INDEX_PREDICATE_IN_KEY)
    return Advice(
        covers(findings, FindingKind.INDEX_DUPLICATE),
        covers(findings, FindingKind.INDEX_REDUNDANT),
        frozenset(bare(each.object) for each in constant),
        frozenset(keys),
    )


@pytest.mark.in_turn
@pytest.mark.parametrize("oracle", ORACLES, ids=lambda each: each.tables)
def test_advice_before_and_after_a_plan_is_that_of_the_oracle(
    database: Database, tmp_path: Path, oracle: Oracle
) -> None:
    system, _, file = oracle.tables.partition("/")
    database.execute(schema(system, file))
    assert advice(database, tmp_path) == oracle.before
    database.execute(oracle.plan())
    assert advice(database, tmp_path) == oracle.after


# Drift


@pytest.mark.pg("== 18")
def test_one_of_nineteen_indexes_of_lms_does_not_fit_as_planned_and_one_is_superfluous(
    database: Database, tmp_path: Path
) -> None:
    quoted = 'WHERE "progressPercent" < 100'
    statements = planned("lms").replace(quoted, quoted.replace('"', ""))
    (tmp_path / "indexes.sql").write_text(SEARCH_VECTOR + statements)
    database.execute(schema("lms"))
    section = {"declared": "indexes.sql", "allow_rewrite": True}
    policy = make_policy(tmp_path, database.url, indexes=section)
    report = pipeline.plan(policy, only=[INDEXES.name])
    drift = of_kind(list(report.findings), FindingKind.SCHEMA_DRIFT)
    assert {bare(each.object): each.data["near"] for each in drift} == {
        "course_progress_incomplete_idx": {"progresspercent": ["progressPercent"]}
    }
    built = [each for each in report.plan.actions if each.kind is ActionKind.CREATE_INDEX]
    redundant = covers(list(report.findings), FindingKind.INDEX_REDUNDANT)
    assert redundant["users_role_idx"] == "users_role_createdAt_idx"
    names = {each.name for each in system_plan("lms")}
    assert len(names) == 19
    assert {bare(each.object) for each in built} == names - {
        "course_progress_incomplete_idx",
        "users_role_idx",
    }


# Plans and sizes

POSTS = """
INSERT INTO posts (user_id, content, created_at)
SELECT ('00000000-0000-0000-0000-' || lpad(to_hex(n % 300 + 1), 12, '0'))::uuid, 'eleven char',
  timestamptz '2026-01-01 00:00Z' + n * interval '1 minute'
FROM generate_series(1, 60000) AS n
"""
"""Narrow rows, of 77 bytes, 200 of each user."""


@pytest.mark.pg("== 18")
def test_posts_of_nova_are_read_whole_and_sorted_before_and_along_the_index_after(
    database: Database, tmp_path: Path
) -> None:
    database.execute(schema("nova"))
    database.execute(POSTS)
    database.execute("VACUUM (ANALYZE) posts")
    index = "public.idx_posts_user_created"
    folder = SQL / "systems/nova"
    (declared,) = [each for each in system_plan("nova") if each.name == bare(index)]
    (tmp_path / "indexes.sql").write_text(f"-- serves: posts_of_a_user\n{declared.text};")
    section = {
        "declared": "indexes.sql",
        "queries": str(folder / "queries"),
        "expected": [{"index": index, "of_table": 0.2}],
    }
    policy = make_policy(tmp_path, database.url, indexes=section)
    (built,) = pipeline.apply(policy, only=[INDEXES.name]).results
    proven = [each for each in built.detail["proof"]["queries"] if each["served"]]
    assert {(each["before_plan"], each["after_plan"]) for each in proven} == {
        ("posts by sequential scan, then a sort", f"posts by index {bare(index)}")
    }
    findings = list(pipeline.plan(policy, only=[INDEXES.name]).findings)
    (size,) = of_kind(findings, FindingKind.INDEX_NOT_AS_EXPECTED)
    assert (size.object, size.data["reason"]) == (index, "size")
    assert size.value == pytest.approx(0.48, abs=0.01), "of its table, not 20 % as planned"


@pytest.mark.pg("== 18")
def test_newest_baseline_of_proposals_is_served_by_the_unique_key_backwards(
    database: Database, tmp_path: Path
) -> None:
    database.execute(schema("proposals", "prisma_schema.sql"))
    database.execute(
        "INSERT INTO performance_baselines SELECT n, 'H' || n % 8, 'm' || n % 50,"
        " timestamp '2026-01-01' + n * interval '1 hour' FROM generate_series(1, 20000) AS n"
    )
    database.execute("VACUUM (ANALYZE) performance_baselines")
    index = in_camel_case().rpartition("CREATE INDEX idx_performance")
    (tmp_path / "indexes.sql").write_text("".join(index[1:]))
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries/newest_baseline.sql").write_text(
        "-- params: 'H1', 'm1'\n"
        'SELECT id FROM performance_baselines WHERE hypothesis = $1 AND "metricName" = $2'
        ' ORDER BY "collectionDate" DESC LIMIT 1'
    )
    section = {"declared": "indexes.sql", "queries": "queries"}
    policy = make_policy(tmp_path, database.url, indexes=section)
    (built,) = pipeline.apply(policy, only=[INDEXES.name]).results
    (proven,) = built.detail["proof"]["queries"]
    key = "performance_baselines_hypothesis_metricName_collectionDate_key"
    assert proven["before_plan"] == f"performance_baselines by index {key}"
    assert proven["before_blocks"] == proven["after_blocks"], "nothing is gained"


# Rows of the stated scale

STATED_ROWS = {
    "users": (100, 9_999),
    "courses": (10, 999),
    "course_modules": (100, 999),
    "lessons": (1_000, 9_999),
    "enrollments": (1_000, 99_999),
    "course_progress": (1_000, 99_999),
    "lesson_progress": (10_000, 99_999),
    "transactions": (1_000, 9_999),
    "course_analytics": (10, 999),
    "media": (100, 9_999),
    "quizzes": (100, 999),
    "questions": (1_000, 9_999),
    "quiz_attempts": (1_000, 99_999),
    "certificates": (1_000, 9_999),
}
"""What the plan of lms says: tens, hundreds, thousands."""
STATED_VALUES = {
    "lesson_progress.completed": 2,
    "courses.published": 2,
    "courses.featured": 2,
    "users.role": 3,
    "courses.difficulty": 4,
    "transactions.status": 4,  # PENDING, COMPLETED, and what they become
    "course_progress.progressPercent": 101,
}


@pytest.mark.slow
@pytest.mark.pg("== 18")
def test_lms_has_as_many_rows_and_values_as_stated_and_two_indexes_of_few(
    server: PostgresServer, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    database = make_database(server, template(server, "lms", "stated", now))
    counted = database.execute(
        "SELECT relname, reltuples::int FROM pg_catalog.pg_class"
        " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    rows = {name: n for name, n in counted if STATED_ROWS[name][0] <= n <= STATED_ROWS[name][1]}
    assert rows == dict(counted)
    assert rows.keys() == STATED_ROWS.keys()
    assert 50_000 <= sum(rows.values()) <= 100_000
    values = database.execute(
        "SELECT tablename || '.' || attname, n_distinct::int FROM pg_catalog.pg_stats"
        " WHERE schemaname = 'public' AND tablename || '.' || attname = ANY (%s)",
        (list(STATED_VALUES),),
    )
    assert dict(values) == STATED_VALUES
    section = {"low_cardinality": {"min_rows": 1}}
    policy = make_policy(tmp_path, database.url, indexes=section)
    pipeline.apply(policy, only=[INDEXES.name], now=now)
    later = pipeline.plan(policy, only=[INDEXES.name], now=now + timedelta(days=36))
    few = of_kind(list(later.findings), FindingKind.INDEX_LOW_CARDINALITY)
    # The others find rare values: of a percentage, of a status.
    assert {bare(each.object): each.value for each in few} == {
        "lesson_progress_completed_idx": 2,
        "courses_published_featured_idx": 4,
    }
    drop_database(database)
