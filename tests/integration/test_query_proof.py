"""Declared indexes proven by their queries, on real servers."""

import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from maintenance.demo.postgres import PostgresServer
from maintenance.engine.action_context import ActionContext
from maintenance.engine.actions import Action, ActionKind
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.lock_retry import silent
from maintenance.engine.target import Target
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.undo import undo
from maintenance.policy import Policy
from maintenance.subjects.indexes import INDEXES
from maintenance.subjects.indexes.declared.prove import measure_after, measure_before
from maintenance.subjects.indexes.declared.query_models import NotRun, PlanMode, QueryKey
from maintenance.subjects.indexes.declared.query_verdicts import Reason, Use
from tests.builders import Database, cloned, make_filled_template, make_role, run_all
from tests.policies import make_policy

pytestmark = pytest.mark.in_turn

MESSAGES = (
    """CREATE TABLE messages (id int PRIMARY KEY, sender_id int, content text,
    created_at timestamptz, deleted_at timestamptz)""",
    """INSERT INTO messages SELECT g, g % 4000, 'text ' || g, '2026-01-01'::timestamptz
    + g * interval '1 second', CASE WHEN g % 10 = 0 THEN now() END
    FROM generate_series(1, 200000) g""",
    "ANALYZE messages",
)
DECLARED = """-- serves: newest_of_sender
CREATE INDEX idx_messages_sender_created ON messages
    (sender_id, created_at DESC) WHERE deleted_at IS NULL;
"""
NEWEST = """-- params: 7
-- params: 11
SELECT id, content FROM messages WHERE sender_id = $1 AND deleted_at IS NULL
ORDER BY created_at DESC LIMIT 50;
"""
COUNT = "SELECT count(*) FROM messages;"
BUILD = """CREATE INDEX idx_messages_sender_created ON messages
    (sender_id, created_at DESC) WHERE deleted_at IS NULL"""
INDEX = "public.idx_messages_sender_created"
CREATE = Action(ActionKind.CREATE_INDEX, INDEX, (), "declared", table="public.messages")


@pytest.fixture
def nova(server: PostgresServer) -> Iterator[Database]:
    yield from cloned(server, make_filled_template(server, "messages", run_all(*MESSAGES)))


def declare(
    folder: Path,
    database: Database,
    indexes: str,
    queries: dict[str, str],
    *,
    url: str = "",
    **section: Any,
) -> Policy:
    """A policy with declared indexes and queries."""
    (folder / "indexes.sql").write_text(indexes)
    (folder / "queries").mkdir(exist_ok=True)
    for name, text in queries.items():
        (folder / "queries" / f"{name}.sql").write_text(text)
    declared = {"declared": "indexes.sql", "queries": "queries", **section}
    return make_policy(folder, url or database.url, indexes=declared)


@contextmanager
def context(policy: Policy) -> Generator[ActionContext]:
    """The context of an action of this policy, with a store."""
    pipeline.apply(policy, only=["statistics"])
    target = Target.of(policy)
    with target.database("test") as connection, target.store() as store:
        made = ActionContext(connection, store, target, silent, str(uuid.uuid4()))
        with made.owners:
            yield made


def found(policy: Policy, *kinds: FindingKind, now: datetime | None = None) -> list[Finding]:
    plan = pipeline.plan(policy, only=[INDEXES.name], now=now)
    return [finding for finding in plan.findings if finding.kind in kinds]


def test_build_is_proven_by_its_query_with_ratio_and_plans(nova: Database, tmp_path: Path) -> None:
    policy = declare(tmp_path, nova, DECLARED, {"newest_of_sender": NEWEST, "count": COUNT})
    with context(policy) as made:
        before = measure_before(made, CREATE)
        assert before is not None
        nova.execute(BUILD)
        proof = measure_after(made, before)
    assert (proof.verdict, proof.reason) == (Use.USED, None)
    assert proof.ratio is not None
    assert proof.ratio > 2
    assert proof.slower_than(1.2) is None
    by_key = {each.key: each for each in proof.queries}
    assert by_key.keys() == {
        QueryKey("newest_of_sender", 1),
        QueryKey("newest_of_sender", 2),
        QueryKey("count", 1),
    }
    first = by_key[QueryKey("newest_of_sender", 1)]
    assert first.is_served
    assert not by_key[QueryKey("count", 1)].is_served
    assert first.timings is not None
    assert [len(timing.times_ms) for timing in first.timings] == [5, 5]
    assert first.timings[1].buffers.total < first.timings[0].buffers.total
    answer = proof.as_json()
    assert answer["verdict"] == "used"
    plans = [each["after_plan"] for each in answer["queries"] if each["served"]]
    assert all("idx_messages_sender_created" in plan for plan in plans)
    assert "7" not in str([each["text"] for each in answer["queries"]])
    stored = nova.execute(
        "SELECT phase, count(*), count(times_ms) FROM maintenance.query_measurement"
        " GROUP BY phase ORDER BY phase"
    )
    assert stored == [("after", 3, 3), ("before", 3, 3)]


def test_stored_plans_have_no_values_of_parameters(nova: Database, tmp_path: Path) -> None:
    secret = "-- params: 'a secret value'\nSELECT id FROM messages WHERE content = $1"
    policy = declare(tmp_path, nova, DECLARED, {"newest_of_sender": NEWEST, "secret": secret})
    pipeline.apply(policy, only=[INDEXES.name])
    pipeline.apply(policy, only=[INDEXES.name])
    rows = nova.execute("SELECT m::text FROM maintenance.query_measurement AS m")
    assert rows
    assert not [row for (row,) in rows if "secret value" in row]


def test_query_over_its_time_limit_is_not_measured(nova: Database, tmp_path: Path) -> None:
    slow = "SELECT count(*) FROM messages a, messages b WHERE a.sender_id <> b.sender_id"
    policy = declare(
        tmp_path, nova, DECLARED, {"newest_of_sender": NEWEST, "slow": slow},
        proof={"time_limit": "300 ms", "repeats": 3},
    )  # fmt: skip
    with context(policy) as made:
        before = measure_before(made, CREATE)
    assert before is not None
    measured = before.measurements[QueryKey("slow", 1)]
    assert measured.timing is None
    assert measured.failure is not None
    assert measured.failure.reason is NotRun.TIME_LIMIT
    assert before.measurements[QueryKey("newest_of_sender", 1)].timing is not None


def test_partial_index_is_measured_by_both_kinds_of_plans(nova: Database, tmp_path: Path) -> None:
    nova.execute("ALTER TABLE messages ADD COLUMN status text NOT NULL DEFAULT 'done'")
    nova.execute("UPDATE messages SET status = 'open' WHERE id % 50 = 0")
    nova.execute("VACUUM ANALYZE messages")
    index = """-- serves: open
    CREATE INDEX idx_open ON messages (sender_id) WHERE status <> 'done';"""
    query = "-- params: 50, 'open'\nSELECT * FROM messages WHERE sender_id = $1 AND status = $2"
    policy = declare(tmp_path, nova, index, {"open": query})
    action = Action(ActionKind.CREATE_INDEX, "public.idx_open", (), "declared")
    with context(policy) as made:
        before = measure_before(made, action)
        assert before is not None
        nova.execute("CREATE INDEX idx_open ON messages (sender_id) WHERE status <> 'done'")
        proof = measure_after(made, before)
    (only,) = proof.queries
    assert only.after.settled is PlanMode.CUSTOM
    assert only.after.timings.keys() == {PlanMode.CUSTOM, PlanMode.GENERIC}
    slow, fast = only.after.timings[PlanMode.GENERIC], only.after.timings[PlanMode.CUSTOM]
    assert slow.buffers.total > 2 * fast.buffers.total
    assert (proof.verdict, proof.reason) == (Use.USED, Reason.PARAMETER)


def test_role_with_few_rights_proves_an_index_of_the_owner(nova: Database, tmp_path: Path) -> None:
    owner, role = make_role(nova.server, "owner"), make_role(nova.server, "role")
    nova.give_to(owner)
    for grant in (
        f"GRANT {owner.name}, pg_monitor, pg_read_all_data TO {role.name}",
        f"GRANT CREATE ON DATABASE {nova.name} TO {role.name}",
    ):
        nova.execute(grant)
    policy = declare(tmp_path, nova, DECLARED, {"newest_of_sender": NEWEST}, url=nova.url_of(role))
    with context(policy) as made:
        before = measure_before(made, CREATE)
        assert before is not None
        nova.execute(BUILD)
        proof = measure_after(made, before)
    assert proof.verdict is Use.USED
    assert proof.ratio is not None
    # Its own scans are counted, so that they prove nothing.
    later = datetime.now(UTC) + timedelta(hours=25)
    assert found(policy, FindingKind.INDEX_NOT_SCANNED, now=later) == []


# Findings


def test_index_that_no_query_uses_is_found_with_the_share(nova: Database, tmp_path: Path) -> None:
    other = "-- params: 7\nSELECT id FROM messages WHERE sender_id = $1"
    policy = declare(tmp_path, nova, DECLARED, {"newest_of_sender": other})
    kind = FindingKind.INDEX_NOT_USED_BY_QUERY
    assert found(policy, kind) == []
    nova.execute(BUILD)
    unused, share = found(policy, kind)
    assert (unused.object, unused.severity) == (INDEX, Severity.WARN)
    assert unused.data["reason"] == Reason.PREDICATE
    assert (share.object, share.value, share.threshold) == ("app/queries", 0, 0.95)
    policy = declare(tmp_path, nova, DECLARED, {"newest_of_sender": NEWEST})
    assert found(policy, kind) == []


WIDE = """-- serves: of_sender
CREATE INDEX messages_wide ON messages (sender_id) INCLUDE (content, created_at);
"""
OF_SENDER = "-- params: 7\n-- params: 11\nSELECT * FROM messages WHERE sender_id = $1"


def service(policy: Policy) -> dict[str, Any]:
    """What serves the declared queries, as documents have it."""
    facts = pipeline.plan(policy, only=[INDEXES.name]).facts
    share: dict[str, Any] = facts["declared_queries"]
    return share


def test_query_that_an_older_index_serves_as_well_is_served_and_the_index_is_named(
    nova: Database, tmp_path: Path
) -> None:
    policy = declare(tmp_path, nova, WIDE, {"of_sender": OF_SENDER})
    assert (service(policy)["index_missing"], service(policy)["share"]) == (2, None)
    pipeline.apply(policy, only=[INDEXES.name])
    share = service(policy)
    assert (share["declared_index"], share["share"]) == (2, 1)
    nova.execute("CREATE INDEX messages_narrow ON messages (sender_id)")
    share = service(policy)
    assert (share["another_index"], share["not_served"], share["share"]) == (2, 0, 1)
    assert {each["index"] for each in share["queries"]} == {"public.messages_narrow"}
    (unused,) = found(policy, FindingKind.INDEX_NOT_USED_BY_QUERY)
    assert (unused.object, unused.severity) == ("public.messages_wide", Severity.INFO)
    assert unused.data["reason"] == Reason.AS_GOOD


def test_index_that_is_walked_along_its_order_serves_no_query(
    nova: Database, tmp_path: Path
) -> None:
    declared = """-- serves: newest
    CREATE INDEX messages_part ON messages (sender_id, created_at) WHERE deleted_at IS NULL;"""
    newest = "-- params: 7\nSELECT * FROM messages WHERE sender_id = $1 ORDER BY id"
    policy = declare(tmp_path, nova, declared, {"newest": newest})
    for statement in (
        "CREATE INDEX messages_part ON messages (sender_id, created_at) WHERE deleted_at IS NULL",
        # makes the planner read the table along its primary key
        "ALTER DATABASE {} SET enable_sort = off",
        "ALTER DATABASE {} SET enable_seqscan = off",
    ):
        nova.execute(statement.format(nova.name))
    share = service(policy)
    assert (share["not_served"], share["share"]) == (1, 0)


def test_lost_column_of_a_query_is_drift_and_the_others_are_planned(
    nova: Database, tmp_path: Path
) -> None:
    queries = {"newest_of_sender": NEWEST, "lost": "SELECT body FROM messages"}
    policy = declare(tmp_path, nova, DECLARED, queries)
    nova.execute(BUILD)
    (drift,) = found(policy, FindingKind.SCHEMA_DRIFT, FindingKind.MONITOR_BLIND)
    assert (drift.kind, drift.severity) == (FindingKind.SCHEMA_DRIFT, Severity.ERROR)
    assert drift.object == "app/queries/lost"
    assert drift.data["sqlstate"] == "42703"


def test_changed_plan_is_found_against_the_stored_one(nova: Database, tmp_path: Path) -> None:
    policy = declare(tmp_path, nova, DECLARED, {"newest_of_sender": NEWEST})
    nova.execute(BUILD)
    now = datetime.now(UTC)
    pipeline.apply(policy, only=[INDEXES.name], now=now)
    kind = FindingKind.QUERY_PLAN_CHANGED
    assert found(policy, kind, now=now + timedelta(days=1)) == []
    nova.execute("DROP INDEX idx_messages_sender_created")
    (changed,) = found(policy, kind, now=now + timedelta(days=1))
    assert (changed.object, changed.severity) == ("app/queries/newest_of_sender", Severity.WARN)
    assert changed.data["lost"] == [INDEX]
    assert changed.data["parameters"] == [1, 2]
    assert isinstance(changed.value, float)
    assert changed.value > 2


def changed(policy: Policy, days: float) -> list[str]:
    """The queries with another plan than before, some days from now."""
    later = datetime.now(UTC) + timedelta(days=days)
    return [each.object for each in found(policy, FindingKind.QUERY_PLAN_CHANGED, now=later)]


def test_plan_that_an_undo_changed_is_no_news(nova: Database, tmp_path: Path) -> None:
    policy = declare(tmp_path, nova, DECLARED, {"newest_of_sender": NEWEST})
    pipeline.apply(policy, only=[INDEXES.name])
    assert changed(policy, 0) == []
    undo(policy, "last")
    assert changed(policy, 0) == []
    # What is recorded from then on is compared again.
    pipeline.apply(policy, only=[INDEXES.name], now=datetime.now(UTC) + timedelta(days=1))
    nova.execute(BUILD)
    assert changed(policy, 2) == ["app/queries/newest_of_sender"]


def test_plan_that_a_declared_drop_changed_is_no_news(nova: Database, tmp_path: Path) -> None:
    policy = declare(tmp_path, nova, DECLARED, {"newest_of_sender": NEWEST})
    nova.execute(BUILD)
    pipeline.apply(policy, only=[INDEXES.name], now=datetime.now(UTC) - timedelta(days=9))
    drop = "DROP INDEX idx_messages_sender_created;"
    policy = declare(tmp_path, nova, drop, {"newest_of_sender": NEWEST}, allow_drop=True)
    (dropped,) = pipeline.apply(policy, only=[INDEXES.name]).results
    assert dropped.action.kind is ActionKind.DROP_INDEX
    assert changed(policy, 0) == []


def test_missed_expectation_of_a_build_is_a_warning_then_an_error(
    nova: Database, tmp_path: Path
) -> None:
    declared = f"-- expect: 1000000x\n{DECLARED}"
    policy = declare(tmp_path, nova, declared, {"newest_of_sender": NEWEST})
    (build,) = pipeline.apply(policy, only=[INDEXES.name]).results
    assert build.detail["proof"]["expectation"] == "missed"
    kind, now = FindingKind.INDEX_BELOW_EXPECTATION, datetime.now(UTC)
    after = (timedelta(minutes=1), timedelta(hours=2), timedelta(hours=25), timedelta(days=8))
    told = [found(policy, kind, now=now + each) for each in after]
    assert [finding.severity for each in told for finding in each] == [
        Severity.INFO,
        Severity.WARN,
        Severity.ERROR,
        Severity.INFO,
    ]
    assert {finding.object for each in told for finding in each} == {INDEX}
    assert found(policy, kind, now=now + timedelta(days=15)) == []
    # What is promised in the file is what counts.
    corrected = f"-- expect: 2x\n{DECLARED}"
    policy = declare(tmp_path, nova, corrected, {"newest_of_sender": NEWEST})
    assert found(policy, kind, now=now + timedelta(hours=25)) == []


def test_new_index_that_is_not_scanned_is_a_warning_then_an_error(
    nova: Database, tmp_path: Path
) -> None:
    policy = declare(tmp_path, nova, DECLARED, {"newest_of_sender": NEWEST})
    pipeline.apply(policy, only=[INDEXES.name])
    assert nova.execute("SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'idx_mess%'") == [
        (1,)
    ]
    kind, now = FindingKind.INDEX_NOT_SCANNED, datetime.now(UTC)
    assert found(policy, kind) == []
    # Nothing has read the table since, so that its index was not scanned says nothing.
    assert found(policy, kind, now=now + timedelta(hours=25)) == []
    nova.execute("SELECT count(*) FROM messages WHERE deleted_at IS NOT NULL")
    hours = [
        (finding.severity, finding.threshold)
        for after in (2, 25)
        for finding in found(policy, kind, now=now + timedelta(hours=after))
    ]
    assert hours == [(Severity.WARN, 3600), (Severity.ERROR, 86400)]
    nova.execute("SELECT id FROM messages WHERE sender_id = 7 AND deleted_at IS NULL")
    assert found(policy, kind, now=now + timedelta(hours=25)) == []


def test_review_after_a_week_tells_scans_queries_and_ratio(nova: Database, tmp_path: Path) -> None:
    policy = declare(tmp_path, nova, DECLARED, {"newest_of_sender": NEWEST})
    pipeline.apply(policy, only=[INDEXES.name])
    nova.execute("SELECT id FROM messages WHERE sender_id = 7 AND deleted_at IS NULL")
    kind, now = FindingKind.INDEX_REVIEW, datetime.now(UTC)
    assert found(policy, kind, now=now + timedelta(days=6)) == []
    (review,) = found(policy, kind, now=now + timedelta(days=8))
    assert (review.object, review.severity) == (INDEX, Severity.INFO)
    assert review.data["verdict"] == "keep"
    assert review.data["scans"] >= 1
    assert (review.data["queries"], review.data["queries_using"]) == (2, 2)
    assert found(policy, kind, now=now + timedelta(days=15)) == []
