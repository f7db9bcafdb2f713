"""The policies of the example systems on the tables that their public repositories have.

What does not fit is told with the exact names and the near ones, and everything else is done.
"""

from pathlib import Path

import pytest
import yaml

from maintenance.engine.executor import Outcome
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.run import Report
from maintenance.policy import load_policy
from tests.builders import ROOT, Database
from tests.declared import declared, schema

pytestmark = pytest.mark.pg("== 18")

BESIDE = """
CREATE TABLE public.beside WITH (autovacuum_enabled = false)
  AS SELECT generate_series(1, 1000) AS id
"""
"""A table that fits: the run analyzes it."""

Missing = dict[str, str | None]
"""The columns that are not there, with the nearest name that is."""

UNPUZZLE: dict[str, Missing] = {
    "idx_video_progress_student_course_completion": {
        "student_id": None,
        "completed": "completed_at",
        "last_watched_at": None,
    },
    "idx_enrollments_user_progress_active": {"status": None},
    "idx_course_goal_assignments_goal_course": {"status": None},
    "idx_course_track_assignments_track_course": {"assignment_order": None},
    "idx_message_attachments_message_type": {"file_type": "mime_type"},
    "idx_ai_interactions_student_course_time": {
        "student_id": None,
        "context_type": "interaction_type",
    },
    "idx_learning_milestones_user_progress": {"achieved": "is_achieved"},
    "idx_learning_activities_user_course_date": {"points_earned": None},
}
PROPOSALS: dict[str, Missing] = {
    "idx_hypothesis_events_user_timestamp_hypothesis": {"user_id": "userId"},
    "idx_proposal_status_customer_created": {
        "customer_id": "customerId",
        "created_at": "createdAt",
    },
    "idx_content_search_optimization": {"is_active": "isActive", "created_at": "createdAt"},
    "idx_approval_execution_status_workflow_started": {
        "workflow_id": "workflowId",
        "started_at": "startedAt",
    },
    "idx_validation_issues_entity_severity_status": {
        "entity_type": "entityType",
        "detected_at": "detectedAt",
    },
    "idx_hypothesis_validation_compound": {
        "user_id": "userId",
        "target_value": "targetValue",
        "actual_value": "actualValue",
    },
    "idx_performance_baseline_lookup": {
        "metric_name": "metricName",
        "collection_date": "collectionDate",
    },
    "hypothesis_validation_events.check_improvement_range": {
        "performance_improvement": "performanceImprovement",
    },
}


@pytest.fixture
def run(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tables: str) -> Report:
    """One run of everything that the policy of a system asks for, on other tables."""
    system, _, file = tables.partition("/")
    with database.connect() as connection:
        connection.execute(schema(system, file).encode())
        connection.execute(BESIDE)
    document = yaml.safe_load((ROOT / "policies" / f"{system}.yaml").read_text())
    document.pop("redis", None)
    for view in document.get("matviews", ()):
        view.pop("invalidates", None)
    (tmp_path / "policies").mkdir()
    (tmp_path / "sql").symlink_to(ROOT / "sql")
    path = tmp_path / "policies" / f"{system}.yaml"
    path.write_text(yaml.safe_dump(document))
    monkeypatch.setenv(f"{system.upper()}_URL", database.url)
    return pipeline.apply(load_policy(path))


def of_kind(report: Report, kind: FindingKind) -> dict[str, Finding]:
    found = [each for each in report.findings if each.kind is kind]
    return {each.object.removeprefix("public."): each for each in found}


def drifts(report: Report) -> dict[str, Missing]:
    """What the declarations lack, by object; drifted queries are told of their own."""
    return {
        name: {
            column: next(iter(finding.data["near"][column]), None)
            for column in finding.data["missing"]
        }
        for name, finding in of_kind(report, FindingKind.SCHEMA_DRIFT).items()
        if "/queries/" not in name
    }


def done(report: Report, kind: str) -> set[str]:
    of = [r for r in report.results if r.action.kind.value == kind and r.outcome is Outcome.DONE]
    return {each.action.object.removeprefix("public.") for each in of}


def untold(report: Report, system: str, told: dict[str, Missing]) -> set[str]:
    """The declared indexes that fit."""
    return {each.name for each in declared(system) if each.creates} - told.keys()


@pytest.mark.parametrize("tables", ["unpuzzle/public_schema.sql"])
def test_eight_of_ten_indexes_of_unpuzzle_do_not_fit_and_two_are_built(run: Report) -> None:
    assert drifts(run) == UNPUZZLE
    fitting = untold(run, "unpuzzle", UNPUZZLE)
    assert len(fitting) == 2
    assert done(run, "create_index") == fitting
    assert "beside" in done(run, "analyze_table")
    assert not run.ok


@pytest.mark.parametrize("tables", ["nova/public_schema.sql"])
def test_name_that_another_index_of_nova_has_is_told_and_kept(
    run: Report, database: Database
) -> None:
    (clash,) = of_kind(run, FindingKind.INDEX_DEFINITION_DRIFT).values()
    assert clash.object == "public.idx_posts_user_created"
    assert "soft_delete" in clash.data["found"]
    assert "deleted_at IS NULL" in clash.data["wanted"]
    assert clash.data["covered_by"] == "public.idx_posts_active"
    assert done(run, "create_index") == {"idx_messages_sender_created"}
    kept = "SELECT pg_get_indexdef('public.idx_posts_user_created'::regclass) ~ 'soft_delete'"
    assert database.execute(kept) == [(True,)]
    queries = of_kind(run, FindingKind.SCHEMA_DRIFT)
    assert queries.keys() == {"nova/queries/messages_of_a_sender", "nova/queries/posts_of_a_user"}
    assert {each.data["sqlstate"] for each in queries.values()} == {"42703"}
    assert "beside" in done(run, "analyze_table")


@pytest.mark.parametrize("tables", ["proposals/prisma_schema.sql"])
def test_snake_case_of_proposals_is_told_with_camel_case_and_the_rest_is_done(run: Report) -> None:
    assert drifts(run) == PROPOSALS
    assert done(run, "create_index") == untold(run, "proposals", PROPOSALS) == set()
    assert done(run, "validate_constraint") == {
        "proposals.check_value_positive",
        "proposal_products.check_quantity_positive",
    }
    lost = of_kind(run, FindingKind.NO_SUCH_TABLE)
    assert lost.keys() == {"audit_logs"}
    assert '"AuditLog"' in str(lost["audit_logs"].data) + lost["audit_logs"].message
    errors = {each.object for each in run.findings if each.severity is Severity.ERROR}
    assert "public.proposal_analytics_summary" in errors
    assert "beside" in done(run, "analyze_table")
