"""Which actions the gate lets through: by mode, approval, pause and origin of the run."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from maintenance.engine.actions import Action, ActionKind, HeldBy, Hold, Step
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.gate import RETIRING, Gate, Origin
from maintenance.engine.plan import Plan
from maintenance.errors import UsageError
from maintenance.names import parse_name
from maintenance.periods import CalendarSpan
from maintenance.pipeline.gate import refuse_if_reporting
from maintenance.policy import Policy
from maintenance.policy.approvals import Approval, Terms, narrowed, withdrawn
from maintenance.policy.pauses import Pause

AT = datetime(2026, 11, 28, tzinfo=UTC)
REPORT = {"mode": "report"}
DECLARED = {
    ActionKind.CREATE_INDEX,
    ActionKind.DROP_INDEX,
    ActionKind.REPLACE_INDEX,
    ActionKind.DROP_INVALID_INDEX,
    ActionKind.ADD_CONSTRAINT,
    ActionKind.VALIDATE_CONSTRAINT,
    ActionKind.ADD_COLUMN,
    ActionKind.UNDO,
}
TABLE, VIEW, ROWS = "public.events", "public.daily", "public.totals"


def a_policy(
    retention: dict[str, Any] | None = None,
    *,
    database: dict[str, Any] | None = None,
    table: dict[str, Any] | None = None,
    view: dict[str, Any] | None = None,
    rows: dict[str, Any] | None = None,
    **sections: Any,
) -> Policy:
    """A policy with every section that changes something."""
    content = {
        "database": {"name": "app", "url": {"env": "APP_URL"}, **(database or {})},
        "partitions": [
            {
                "table": TABLE,
                "column": "at",
                "retention": {"keep": "2 months", "action": "drop", **(retention or {})},
                **(table or {}),
            }
        ],
        "matviews": [{"name": VIEW, **(view or {})}],
        "stale_analytics": [
            {"table": ROWS, "calculated_at": "at", "key": ["id"], **(rows or {})},
        ],
        "statistics": sections.get("statistics", {}),
        "bloat": sections.get("bloat", {}),
        "indexes": {"allow_drop": True, "allow_rewrite": True, **sections.get("indexes", {})},
    }
    return Policy.model_validate(content, context={"path": Path("app.yaml")})


def an_action(kind: ActionKind, after: tuple[str, ...] = ()) -> Action:
    """An action as the subject of its kind plans it."""
    view = "MATVIEW" in kind.name or kind is ActionKind.INVALIDATE_CACHE
    table = ROWS if kind is ActionKind.RECALCULATE_ROWS else TABLE
    name = VIEW if view else f"public.{kind.value}"
    step = Step((f"{kind.value} {name}",))
    return Action(kind, name, (step,), "a test", table=None if view else table, after=after)


def held(policy: Policy, **gate: Any) -> set[ActionKind]:
    """The kinds of actions that a gate holds."""
    actions = [an_action(kind) for kind in ActionKind]
    return {a.kind for a in actions if Gate(policy, **gate).hold(a) is not None}


def an_approval(action: str = "drop", keep: int = 2, grace_days: int = 0) -> dict[str, Approval]:
    spans = (CalendarSpan(keep, 0), CalendarSpan(0, grace_days))
    return {TABLE: Approval(TABLE, Terms(action, *spans), AT, "app/me@here", "approve")}


# Mode


def test_nothing_is_held_by_default() -> None:
    assert held(a_policy()) == set()


@pytest.mark.parametrize("origin", Origin)
def test_report_mode_of_the_database_holds_everything_whoever_acts(origin: Origin) -> None:
    assert held(a_policy(database=REPORT), origin=origin) == set(ActionKind)


def test_every_kind_of_action_belongs_to_a_section() -> None:
    policy = a_policy(
        table=REPORT, view=REPORT, rows=REPORT, statistics=REPORT, bloat=REPORT, indexes=REPORT
    )
    assert held(policy) == set(ActionKind) - {ActionKind.UNINSTALL}, "it asks no gate"


@pytest.mark.parametrize(
    ("sections", "kinds"),
    [
        ({"retention": REPORT}, RETIRING | {ActionKind.FINALIZE_DETACH}),
        ({"view": REPORT}, {k for k in ActionKind if "MATVIEW" in k.name or "CACHE" in k.name}),
        ({"rows": REPORT}, {ActionKind.RECALCULATE_ROWS}),
        ({"statistics": REPORT}, {ActionKind.ANALYZE_TABLE, ActionKind.VACUUM_TABLE}),
        ({"bloat": REPORT}, {ActionKind.REINDEX, ActionKind.REMOVE_REBUILD}),
        ({"indexes": REPORT}, DECLARED),
        ({"indexes": {"allow_drop": False}}, {ActionKind.DROP_INDEX, ActionKind.REPLACE_INDEX}),
        ({"indexes": {"allow_rewrite": False}}, set[ActionKind]()),
    ],
    ids=["retention", "view", "rows", "statistics", "bloat", "indexes", "drops", "rewrites"],
)
def test_report_mode_of_a_section_holds_its_own_actions(
    sections: dict[str, Any], kinds: set[ActionKind]
) -> None:
    assert held(a_policy(**sections)) == kinds


@pytest.mark.parametrize(("rewrites", "allowed"), [(True, True), (True, False), (False, False)])
def test_column_that_rewrites_its_table_needs_a_key_of_its_own(
    rewrites: bool, allowed: bool
) -> None:
    policy = a_policy(indexes={"allow_rewrite": allowed})
    action = replace(an_action(ActionKind.ADD_COLUMN), detail={"rewrites": rewrites})
    hold = Gate(policy).hold(action)
    assert (hold is None) == (allowed or not rewrites)
    assert hold is None or hold.by is HeldBy.REWRITES_NOT_ALLOWED


def test_report_mode_of_a_table_holds_its_partitions_and_its_retention() -> None:
    found = held(a_policy(table=REPORT))
    assert found > RETIRING
    assert {ActionKind.CREATE_PARTITION, ActionKind.DRAIN_DEFAULT} < found
    assert ActionKind.ANALYZE_TABLE not in found


def test_section_cannot_act_in_a_database_that_reports() -> None:
    policy = a_policy({"mode": "act"}, database=REPORT, table={"mode": "act"})
    assert held(policy) == set(ActionKind)


@pytest.mark.parametrize(
    ("sections", "new_table"),
    [({"database": REPORT}, True), ({"database": REPORT}, False), ({"table": REPORT}, False)],
)
def test_command_that_names_a_reported_table_is_refused(
    sections: dict[str, Any], new_table: bool
) -> None:
    with pytest.raises(UsageError) as refused:
        refuse_if_reporting(a_policy(**sections), parse_name(TABLE), new_table=new_table)
    assert refused.value.reason == "report_mode"


def test_command_is_refused_by_no_mode_of_another_section() -> None:
    refuse_if_reporting(a_policy(table=REPORT), parse_name(TABLE), new_table=True)
    refuse_if_reporting(a_policy(REPORT, view=REPORT), parse_name(TABLE))


# Approval


def test_schedule_retires_nothing_unapproved_and_all_else_is_done() -> None:
    assert held(a_policy(), origin=Origin.SCHEDULED) == RETIRING


@pytest.mark.parametrize("origin", [Origin.COMMAND, Origin.LAUNCHED])
def test_run_by_hand_needs_no_approval(origin: Origin) -> None:
    assert held(a_policy(), origin=origin) == set()


@pytest.mark.parametrize(
    "sections",
    [{"database": {"mode": "act"}}, {"table": {"mode": "act"}}, {"retention": {"mode": "act"}}],
    ids=["database", "table", "retention"],
)
def test_act_written_in_the_policy_is_an_approval(sections: dict[str, Any]) -> None:
    assert held(a_policy(**sections), origin=Origin.SCHEDULED) == set()


ARCHIVE = {"action": "archive_then_drop", "archive": {"url": "/tmp/archive"}}


@pytest.mark.parametrize(
    ("approved", "policy", "covered"),
    [
        (an_approval(), {}, True),
        (an_approval(), {"keep": "3 months"}, True),
        (an_approval(), {"keep": "1 month"}, False),
        (an_approval(), {"keep": "61 days"}, True),
        (an_approval(), {"keep": "60 days"}, False),
        (an_approval(), ARCHIVE, True),
        (an_approval(), {"action": "detach"}, True),
        (an_approval("archive_then_drop"), {}, False),
        (an_approval("detach"), ARCHIVE, False),
        (an_approval("detach"), {}, False),
        (an_approval(grace_days=7), {}, False),
        (an_approval(grace_days=7), {"grace": "8 days"}, True),
        ({}, {}, False),
    ],
)
def test_approval_covers_what_destroys_no_more_and_nothing_earlier(
    approved: dict[str, Approval], policy: dict[str, Any], covered: bool
) -> None:
    found = held(a_policy(policy), origin=Origin.SCHEDULED, approvals=approved)
    assert found == (set() if covered else RETIRING)


def test_approval_ends_with_the_retention_that_it_approved() -> None:
    assert list(withdrawn(a_policy({"action": "keep"}), an_approval())) == [TABLE]
    assert list(withdrawn(a_policy(table={"table": "public.other"}), an_approval())) == [TABLE]
    assert list(withdrawn(a_policy(), an_approval())) == []


def test_approval_is_reduced_to_a_policy_that_destroys_less() -> None:
    longer = a_policy({"keep": "12 months"})
    (reduced,) = narrowed(longer, an_approval())
    assert reduced.terms.keep == CalendarSpan(12, 0)
    assert (reduced.at, reduced.by) == (AT, "app/me@here")
    again = held(a_policy(), origin=Origin.SCHEDULED, approvals={TABLE: reduced})
    assert again == RETIRING


def test_approval_is_not_reduced_by_a_policy_that_it_does_not_cover() -> None:
    assert list(narrowed(a_policy({"keep": "1 month"}), an_approval())) == []
    assert list(narrowed(a_policy(), an_approval())) == []


# Pause and plan


@pytest.mark.parametrize("origin", Origin)
def test_pause_holds_everything_whoever_acts(origin: Origin) -> None:
    pause = Pause(AT, None, "migration", "app/me@here")
    policy = a_policy({"mode": "act"}, database={"mode": "act"})
    assert held(policy, origin=origin, pause=pause) == set(ActionKind)
    hold = Gate(policy, pause=pause).hold(an_action(ActionKind.DROP_PARTITION))
    assert hold is not None
    assert hold.by is HeldBy.PAUSED


def test_what_requires_a_held_action_is_held_too() -> None:
    drop = an_action(ActionKind.DROP_PARTITION)
    view = an_action(ActionKind.REFRESH_MATVIEW, after=(drop.id,))
    last = an_action(ActionKind.ANALYZE_TABLE, after=(view.id,))
    free = an_action(ActionKind.VACUUM_TABLE)
    plan = Gate(a_policy(), Origin.SCHEDULED).mark(Plan(actions=(drop, view, last, free)))
    by = [action.held.by if action.held else None for action in plan.actions]
    assert by == [HeldBy.UNAPPROVED] * 3 + [None]
    assert [each.as_json()["held_by"] for each in plan.actions] == by
    assert [each.id for each in plan.actions] == [drop.id, view.id, last.id, free.id]


# What findings promise


PROMISE = "the next apply builds it"
MISSING = Finding(
    FindingKind.INDEX_MISSING,
    Severity.WARN,
    "public.i",
    f"public.i: missing; {PROMISE}",
    promise=PROMISE,
)
BUILD = Action(ActionKind.CREATE_INDEX, "public.i", (), "missing", table=TABLE)
RENAMED = replace(BUILD, object="public.i_new", detail={"takes_name_of": "public.i"})


@pytest.mark.parametrize(
    ("action", "section", "undone", "by"),
    [
        (BUILD, {}, False, None),
        (BUILD, {}, True, HeldBy.UNDONE),
        (BUILD, REPORT, False, HeldBy.REPORT_MODE),
        (RENAMED, {"allow_drop": False}, False, HeldBy.DROPS_NOT_ALLOWED),
        (RENAMED, {}, False, None),
    ],
)
def test_finding_promises_only_what_the_next_run_does(
    action: Action, section: dict[str, Any], undone: bool, by: HeldBy | None
) -> None:
    gate = Gate(a_policy(indexes=section), undone={action.goal: "run"} if undone else {})
    other = replace(MISSING, object="public.j")
    told, unconcerned = gate.mark(Plan((action,), (MISSING, other))).findings
    assert unconcerned == other
    assert told.data.get("held_by") == by
    assert (PROMISE in told.message) is (by is None)


@pytest.mark.parametrize(
    ("now", "held"),
    [
        (datetime(2026, 12, 5, 23, 59, tzinfo=UTC), HeldBy.WAVE_NOT_DUE),
        (datetime(2026, 12, 6, tzinfo=UTC), None),
    ],
)
def test_wave_is_held_until_its_day(now: datetime, held: HeldBy | None) -> None:
    policy = a_policy(indexes={"waves": {"1": "2026-12-01", "2": "2026-12-06"}})
    action = replace(an_action(ActionKind.CREATE_INDEX), detail={"wave": 2})
    hold = Gate(policy, now=now).hold(action)
    assert (hold.by if hold is not None else None) == held
    assert Gate(policy, now=now, waves=(2,)).hold(action) is None, "it was chosen"


def test_declarations_wait_for_their_window_and_an_undo_does_not() -> None:
    policy = a_policy(indexes={"window": ["* 2-4 * * *"]})
    assert held(policy, now=datetime(2026, 12, 5, 4, 59, tzinfo=UTC)) == set()
    closed = datetime(2026, 12, 5, 5, tzinfo=UTC)
    assert held(policy, now=closed) == DECLARED - {ActionKind.UNDO}
    hold = Gate(policy, now=closed).hold(an_action(ActionKind.CREATE_INDEX))
    assert hold is not None
    assert hold.by is HeldBy.OUTSIDE_WINDOW


def test_without_a_backup_nothing_is_rolled_out_or_retired() -> None:
    found = held(a_policy({"mode": "act"}), no_backup="the file is missing")
    assert found == (DECLARED - {ActionKind.UNDO}) | RETIRING


def test_retention_that_waits_for_a_backup_is_one_warning_of_the_database() -> None:
    drops = tuple(
        replace(an_action(ActionKind.DROP_PARTITION), object=name)
        for name in ("public.b", "public.a")
    )
    plan = Plan(actions=(*drops, an_action(ActionKind.CREATE_INDEX)))
    policy = a_policy({"mode": "act"})
    (told,) = Gate(policy, no_backup="no file").mark(plan).findings
    assert (told.kind, told.severity) == (FindingKind.BACKUP_UNCONFIRMED, Severity.WARN)
    assert told.object == policy.database.name
    assert told.data == {"reason": "no file", "partitions": ["public.a", "public.b"]}
    declared = replace(plan, actions=plan.actions[2:])
    assert Gate(policy, no_backup="no file").mark(declared).findings == ()
    assert Gate(policy).mark(plan).findings == ()


def test_missing_index_of_a_later_wave_is_no_warning() -> None:
    policy = a_policy(indexes={"waves": {"2": "2026-12-06"}})
    action = replace(an_action(ActionKind.CREATE_INDEX), detail={"wave": 2})
    promise = "the next apply builds it"
    finding = Finding(
        FindingKind.INDEX_MISSING,
        Severity.WARN,
        action.object,
        f"missing; {promise}",
        promise=promise,
    )
    plan = Plan(actions=(action,), findings=(finding,))
    (early,) = Gate(policy, now=datetime(2026, 12, 1, tzinfo=UTC)).mark(plan).findings
    assert (early.severity, early.data["held_by"]) == (Severity.INFO, HeldBy.WAVE_NOT_DUE)
    comparing = replace(plan, actions=(replace(action, held=Hold(HeldBy.NO_ROLLOUT, "")),))
    assert Gate(policy, now=datetime(2026, 12, 1, tzinfo=UTC)).mark(comparing).findings == (early,)
    assert Gate(policy, now=datetime(2026, 12, 7, tzinfo=UTC)).mark(plan).findings == (finding,)
