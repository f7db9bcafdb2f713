"""What is planned for a default partition, by what it holds."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance.catalog.models import (
    Bucket,
    Buckets,
    DefaultRows,
    MarkedTable,
    Own,
    Partition,
    Table,
)
from maintenance.ddl.marks import marked
from maintenance.engine.action_order import rounds
from maintenance.engine.actions import Action, ActionKind
from maintenance.engine.findings import Finding, FindingKind
from maintenance.engine.plan import Plan
from maintenance.engine.scope import Request
from maintenance.names import QualifiedName
from maintenance.policy import Policy
from maintenance.subjects.partitions.assess import assess, details_of
from maintenance.subjects.partitions.state import state_of
from tests.snapshots import (
    EVENTS,
    NOW,
    a_partition,
    a_policy,
    a_snapshot,
    a_table,
    months,
    planned,
)

MANY = 1_000_000
POLICY = a_policy({"start": "2026-07"})
"""Wants 2026-07 to 2027-02."""


def a_filled(
    partitions: list[Partition],
    periods: dict[str, int],
    policy: Policy = POLICY,
    **facts: Any,
) -> Table:
    """`events` with a default partition that holds rows of these periods, of which `before`,
    `after` and `null` lie outside."""
    default = a_partition("events_default", oid=77, pages=50_000)
    table = a_table([*partitions, default], default_has_rows=True)
    (section,) = policy.partitions
    window = state_of(section, table, NOW).window
    places: dict[str, int | None] = {slot.period.key: n + 1 for n, slot in enumerate(window)}
    places |= {"before": 0, "after": len(window) + 1, "null": None}
    buckets = [
        Bucket(places[key], n_rows, "2026-01-01 00:00:00+00", "infinity")
        for key, n_rows in periods.items()
    ]
    buckets.sort(key=lambda bucket: (bucket.place is None, bucket.place))
    rows = DefaultRows(facts.pop("is_exact", True), tuple(buckets))
    return replace(table, default_rows=rows, **facts)


def of_kind(plan: Plan, kind: ActionKind) -> list[Action]:
    return [action for action in plan.actions if action.kind is kind]


def the(plan: Plan, kind: ActionKind) -> Action:
    (action,) = of_kind(plan, kind)
    return action


def the_finding(plan: Plan) -> Finding:
    kind = FindingKind.DEFAULT_PARTITION_ROWS
    (finding,) = [finding for finding in plan.findings if finding.kind is kind]
    return finding


def why_stuck(plan: Plan) -> tuple[str, list[str]]:
    """Why the rows stay, and what is in the way."""
    data = the_finding(plan).data
    return data["reason"], data["by"]


def created(plan: Plan) -> list[str | None]:
    return [action.period for action in of_kind(plan, ActionKind.CREATE_PARTITION)]


# In place


def test_rows_of_one_month_are_swapped_in_after_what_lies_ahead() -> None:
    plan = planned(POLICY, a_filled(months("2026-07", "2026-10"), {"2026-11": MANY}))
    swap = the(plan, ActionKind.SWAP_DEFAULT)
    assert (swap.object, swap.period) == ("public.events_2026_11", "2026-11")
    assert created(plan) == ["2026-12", "2027-01", "2027-02"]
    assert swap.after == tuple(a.id for a in of_kind(plan, ActionKind.CREATE_PARTITION))
    assert swap.preconditions == {
        "default_oid": 77,
        "released": [["public.events_default_released", "events_default"]],
    }
    assert not swap.destructive


def test_swap_takes_its_blocking_locks_in_one_step_alone() -> None:
    table = a_filled(
        months("2026-07", "2026-10"),
        {"2026-11": MANY},
        foreign_keys=(QualifiedName("public", "users"),),
    )
    release, check, validate, exchange = the(planned(POLICY, table), ActionKind.SWAP_DEFAULT).steps
    assert not any(lock.mode.blocks_writers for lock in validate.locks)
    for step, name in ((release, "events_default"), (check, "events_default_released")):
        assert [lock.object for lock in step.locks if lock.mode.blocks_writers] == [
            f"public.{name}"
        ]
    assert [(lock.object, lock.mode.value) for lock in exchange.locks] == [
        ("public.events_default_released", "SHARE UPDATE EXCLUSIVE"),
        ("public.events", "ACCESS EXCLUSIVE"),
        ("public.events_default_released", "ACCESS EXCLUSIVE"),
        ("public.users", "ACCESS EXCLUSIVE"),
    ]
    assert "2026-11-01 00:00:00+00" in check.sql[-1]
    assert "2026-12-01 00:00:00+00" in check.sql[-1]


def test_few_rows_are_looked_through_under_the_lock_without_a_check() -> None:
    table = a_filled(months("2026-07", "2026-10"), {"2026-11": 10_000})
    table = replace(table, partitions=tuple(p._replace(pages=90) for p in table.partitions))
    plan = planned(POLICY, table)
    assert "CHECK" not in " ".join(sql for action in plan.actions for sql in action.sql)


def test_rows_of_neighbouring_months_become_one_wide_partition() -> None:
    present = [*months("2026-07", "2026-08"), *months("2027-01", "2027-02")]
    plan = planned(POLICY, a_filled(present, {"2026-09": 5, "2026-12": MANY}))
    swap = the(plan, ActionKind.SWAP_DEFAULT)
    assert swap.object == "public.events_2026_09_to_2026_12"
    assert swap.period is None
    assert swapped(swap) == ("2026-09", "2026-12")
    assert created(plan) == []


def test_month_that_holds_now_is_taken_along() -> None:
    plan = planned(POLICY, a_filled(months("2026-07", "2026-09"), {"2026-10": MANY}))
    assert the(plan, ActionKind.SWAP_DEFAULT).object == "public.events_2026_10_to_2026_11"


def test_gaps_behind_are_made_once_the_default_partition_is_empty() -> None:
    plan = planned(POLICY, a_filled(months("2026-09", "2026-10"), {"2026-11": MANY}))
    swap = the(plan, ActionKind.SWAP_DEFAULT)
    behind = [action for action in plan.actions if action.period in ("2026-07", "2026-08")]
    assert [(action.after, len(action.steps)) for action in behind] == [((swap.id,), 1)] * 2


def test_wide_name_keeps_its_suffix_within_63_bytes() -> None:
    table = a_filled(months("2026-07", "2026-09"), {"2026-10": MANY})
    name = QualifiedName("public", "e" * 63)
    policy = a_policy({"table": f"public.{name.name}", "start": "2026-07"})
    swap = the(planned(policy, replace(table, relation=name)), ActionKind.SWAP_DEFAULT)
    assert swap.object == "public." + "e" * 44 + "_2026_10_to_2026_11"


# By a copy


@pytest.mark.parametrize(
    "periods",
    [
        {"2026-08": MANY, "2026-11": MANY},
        {"2026-11": MANY, "after": 1},
        {"2026-11": MANY, "before": 1},
        {"2026-11": MANY, "null": 1},
    ],
)
def test_rows_apart_or_beside_others_are_copied(periods: dict[str, int]) -> None:
    present = [*months("2026-07", "2026-07"), *months("2026-09", "2026-10")]
    drain = the(planned(POLICY, a_filled(present, periods)), ActionKind.DRAIN_DEFAULT)
    wanted = {key for key in periods if key.startswith("2026")}
    assert drain.object == "public.events_default"
    assert set(drain.preconditions["periods"]) == wanted
    assert drain.preconditions["default_oid"] == 77
    assert any("ATTACH PARTITION public.events_2026_11" in statement for statement in drain.sql)


def test_month_that_holds_now_gets_its_copy_even_without_rows() -> None:
    drain = the(
        planned(POLICY, a_filled(months("2026-07", "2026-10"), {"after": MANY})),
        ActionKind.DRAIN_DEFAULT,
    )
    assert set(drain.preconditions["periods"]) == {"2026-11"}


# Not at all


def test_rows_outside_the_window_are_told_with_numbers_and_never_followed() -> None:
    table = a_filled(months("2026-07", "2027-02"), {"before": 3, "after": 2, "null": 1})
    plan = planned(POLICY, table)
    assert plan.actions == ()
    finding = the_finding(plan)
    assert finding.value == 6
    assert finding.data["before"]["rows"] == 3
    assert (finding.data["after"]["rows"], finding.data["after"]["last"]) == (2, "infinity")
    assert finding.data["without_key"] == 1


PARTLY = [
    *months("2026-07", "2026-07"),
    a_partition("half", "2026-08-01", "2026-08-15"),
    *months("2026-09", "2027-02"),
]
UNBRIDGED = a_policy({"start": "2026-07", "bridge": False})


def test_rows_in_a_period_that_is_partly_covered_and_not_bridged_are_only_told() -> None:
    plan = planned(UNBRIDGED, a_filled(PARTLY, {"2026-08": 5}, UNBRIDGED))
    assert plan.actions == ()
    assert the_finding(plan).data["periods"] == {"2026-08": 5}


def test_rows_in_the_uncovered_part_of_a_period_get_a_partition_of_that_part() -> None:
    buckets = (Bucket(3, 5, "2026-08-20", "2026-08-21"),)  # after July and the half that is held
    table = replace(a_filled(PARTLY, {}), default_rows=DefaultRows(True, buckets))
    (action,) = planned(POLICY, table).actions
    assert action.kind is ActionKind.SWAP_DEFAULT
    bound = "FROM ('2026-08-15 00:00:00+00') TO ('2026-09-01 00:00:00+00')"
    assert any(bound in statement for statement in action.sql)


def test_table_that_others_point_to_keeps_its_rows_and_says_why() -> None:
    notes = QualifiedName("public", "notes")
    table = a_filled(
        months("2026-07", "2026-10"),
        {"2026-11": MANY},
        foreign_keys=(notes,),
        referenced_by=(notes,),
    )
    plan = planned(POLICY, table)
    assert created(plan) == ["2026-12", "2027-01", "2027-02"]
    assert why_stuck(plan) == ("referenced", ["public.notes"])


@pytest.mark.parametrize("name", ["events_default_new", "events_default_released"])
def test_taken_interim_name_keeps_the_rows_and_says_why(name: str) -> None:
    taken = {QualifiedName("public", name): "r"}
    table = a_filled(months("2026-07", "2026-10"), {"2026-11": MANY})
    plan = planned(POLICY, table, taken=taken)
    assert not of_kind(plan, ActionKind.SWAP_DEFAULT)
    assert why_stuck(plan) == ("name_taken", [f"public.{name}"])


def test_month_whose_name_is_taken_is_left_in_the_default_partition() -> None:
    taken = {QualifiedName("public", "events_2026_11"): "v"}
    table = a_filled(months("2026-07", "2026-10"), {"2026-11": MANY})
    plan = planned(POLICY, table, taken=taken)
    assert not of_kind(plan, ActionKind.SWAP_DEFAULT)
    assert not of_kind(plan, ActionKind.DRAIN_DEFAULT)


def test_other_month_asked_for_by_hand_leaves_the_rows_alone() -> None:
    table = a_filled(months("2026-07", "2026-10"), {"2026-11": MANY})
    plan = planned(POLICY, table, request=Request(EVENTS, ("2026-12",)))
    assert created(plan) == ["2026-12"]
    assert not of_kind(plan, ActionKind.SWAP_DEFAULT)


# Beside


def test_check_refuses_neither_what_holds_now_nor_what_has_rows() -> None:
    table = a_filled(months("2026-08", "2026-10"), {"2026-11": 5, "after": MANY})
    actions = of_kind(planned(POLICY, table), ActionKind.CREATE_PARTITION)
    assert [action.period for action in actions] == ["2026-12", "2027-01", "2027-02", "2026-07"]
    for action in actions:
        assert action.period is not None
        add, validate, attach = action.steps
        assert action.period in add.sql[-1]
        assert not any(lock.mode.blocks_writers for lock in validate.locks)
        assert "DROP CONSTRAINT" in attach.sql[-1]


def test_names_and_buckets_to_be_read_are_those_of_the_window() -> None:
    table = a_filled(months("2026-07", "2026-10"), {"2026-11": 5})
    wanted = details_of(assess(POLICY, a_snapshot(table), NOW, Request()).states.values())
    (buckets,) = [detail for detail in wanted if isinstance(detail, Buckets)]
    assert len(buckets.bounds) == 9
    assert (buckets.bounds[0], buckets.bounds[-1]) == (
        "'2026-07-01 00:00:00+00'",
        "'2027-03-01 00:00:00+00'",
    )
    interim = {QualifiedName("public", f"events_default_{each}") for each in ("new", "released")}
    assert interim <= set(wanted)


def test_empty_default_partition_costs_no_count() -> None:
    default = a_partition("events_default")
    table = a_table([*months("2026-11", "2027-02"), default], default_has_rows=False)
    (own,) = details_of(assess(a_policy(), a_snapshot(table), NOW, Request()).states.values())
    assert isinstance(own, Own)


# What a killed run left


def test_leftovers_go_before_all_else() -> None:
    table = a_filled(
        months("2026-07", "2026-10"),
        {"2026-11": MANY},
        default_checks=("maintenance_not_2027_01_01", "maintenance_only_2026_11_01"),
    )
    comment = marked(None, {"draining": "public.events", "oid": 5, "made": [9], "function": 10})
    log = MarkedTable(
        9, QualifiedName("public", "maintenance_drain_5_log"), comment, False, 0, "owner"
    )
    plan = planned(POLICY, table, marked=(log,))
    checks, drain, *made = plan.actions
    assert {checks.kind, drain.kind} == {ActionKind.REMOVE_LEFTOVERS}
    assert [sql.count("DROP CONSTRAINT") for sql in checks.sql] == [0, 1, 1]
    assert drain.preconditions == {"schema": "public", "drained_oid": 5}
    adding = [action for action in made if "ADD CONSTRAINT" in " ".join(action.sql)]
    assert adding
    assert all(checks.id in action.after for action in adding)


@pytest.mark.parametrize(
    ("facts", "name", "owner"),
    [
        ({"draining": "public.other"}, "maintenance_drain_5_log", "owner"),
        ({}, "maintenance_drain_5_log", "tenant"),
        ({}, "orders", "owner"),
        ({}, "maintenance_drain_6_log", "owner"),
        ({"oid": "5; DROP"}, "maintenance_drain_5_log", "owner"),
        ({"made": "all"}, "maintenance_drain_5_log", "owner"),
    ],
)
def test_what_only_says_to_be_the_log_of_a_drain_is_not_ours_to_remove(
    facts: dict[str, Any], name: str, owner: str
) -> None:
    mark = {"draining": "public.events", "oid": 5, "made": [9], "function": 10, **facts}
    log = MarkedTable(9, QualifiedName("public", name), marked(None, mark), False, 0, owner)
    assert planned(a_policy(), a_table(months("2026-11", "2027-02")), marked=(log,)) == Plan()


RENAMED = [["public.events_default_released", "events_default"]]


def renamed(comment: str) -> Plan:
    """The plan where the default partition has another name, with this comment."""
    name = QualifiedName("public", "events_default_released")
    table = a_filled(months("2026-07", "2026-10"), {"2026-11": MANY})
    partitions = (p._replace(relation=name) if p.oid == 77 else p for p in table.partitions)
    table = replace(table, partitions=tuple(partitions))
    return planned(POLICY, table, marked=(MarkedTable(77, name, comment, True, 0, "owner"),))


def test_name_that_an_interrupted_run_released_is_given_back_after_all_else() -> None:
    plan = renamed(marked("rows without a month", {"released": RENAMED}))
    *made, back = plan.actions
    assert {action.kind for action in made} == {ActionKind.CREATE_PARTITION}
    assert (back.kind, back.preconditions) == (
        ActionKind.REMOVE_LEFTOVERS,
        {"oid": 77, "released": RENAMED},
    )
    assert back.sql[-1] == "ALTER TABLE public.events_default_released RENAME TO events_default"
    assert {step.owner for step in back.steps} == {"owner"}
    assert why_stuck(plan) == ("renamed", [])


def test_action_that_gives_a_name_back_comes_after_those_of_other_subjects() -> None:
    back = renamed(marked(None, {"released": RENAMED})).actions[-1]
    other = replace(back, kind=ActionKind.DETACH_PARTITION, object="public.events_2026_07")
    assert rounds([back, other]).work == (other, back)


@pytest.mark.parametrize(
    "names", [[["public.users", "x"]], [["", "x"]], [["x", ""]], [[1, 2]], [3], 5]
)
def test_mark_that_an_owner_wrote_renames_no_other_table(names: Any) -> None:
    (back,) = of_kind(renamed(marked(None, {"released": names})), ActionKind.REMOVE_LEFTOVERS)
    assert not any("RENAME" in sql for sql in back.sql)


@pytest.mark.parametrize("facts", [{}, {"released": RENAMED, "hold_until": "2027"}])
def test_mark_that_no_run_writes_is_none(facts: dict[str, Any]) -> None:
    assert not of_kind(renamed(marked(None, facts)), ActionKind.REMOVE_LEFTOVERS)


# Properties

KEYS = ["2026-07", "2026-08", "2026-09", "2026-10", "2026-11", "2026-12", "2027-01", "2027-02"]
counts = st.sampled_from([1, 20_000, MANY])


@given(
    st.sets(st.sampled_from(KEYS)),
    st.dictionaries(st.sampled_from([*KEYS, "before", "after", "null"]), counts, min_size=1),
)
def test_every_missing_month_is_made_once_and_no_row_is_refused(
    present: set[str], periods: dict[str, int]
) -> None:
    partitions = [p for key in present for p in months(key, key)]
    rows = {key: n for key, n in periods.items() if key not in present}
    if not rows:
        return
    plan = planned(POLICY, a_filled(partitions, rows))
    made = list(created(plan))
    for action in plan.actions:
        if action.kind is ActionKind.SWAP_DEFAULT:
            first, last = swapped(action)
            made += [key for key in KEYS if first <= key <= last]
            assert all(first <= key <= last for key in rows), "all its rows are in its range"
        if action.kind is ActionKind.DRAIN_DEFAULT:
            made += action.preconditions["periods"]
    assert sorted(str(key) for key in made) == sorted(set(KEYS) - present)
    for action in plan.actions:
        if len(action.steps) > 1 and action.kind is ActionKind.CREATE_PARTITION:
            assert action.period not in rows
            assert action.period != "2026-11"


def swapped(action: Action) -> tuple[str, str]:
    """The first and last period that a swap's partition holds."""
    attach = next(sql for sql in action.sql if "FOR VALUES FROM" in sql)
    lower, upper = attach.split("('")[1][:7], attach.split("('")[2][:7]
    return lower, KEYS[KEYS.index(upper) - 1] if upper in KEYS else KEYS[-1]
