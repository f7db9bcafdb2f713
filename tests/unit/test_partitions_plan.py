import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance.catalog.models import Common, Own, Partition, Snapshot
from maintenance.engine.actions import Action, LockMode
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.plan import Plan
from maintenance.engine.scope import Request
from maintenance.names import QualifiedName
from maintenance.partition_set.expected import refusal
from maintenance.subjects.partitions.assess import assess, details_of
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


def periods(plan: Plan) -> list[str | None]:
    return [action.period for action in plan.actions if action.refused is None]


def kinds(plan: Plan) -> set[str]:
    return {finding.kind.value for finding in plan.findings}


def the(plan: Plan, kind: FindingKind) -> Finding:
    (finding,) = [finding for finding in plan.findings if finding.kind is kind]
    return finding


def test_new_table_gets_the_current_month_and_the_horizon() -> None:
    assert periods(planned(a_policy(), a_table())) == ["2026-11", "2026-12", "2027-01", "2027-02"]


def test_complete_table_needs_nothing_and_finds_nothing() -> None:
    assert planned(a_policy(), a_table(months("2026-01", "2027-02"))) == Plan()


def test_horizon_counts_from_the_clock_and_not_from_the_data() -> None:
    stray = a_partition("events_2097_01", "2097-01-01", "2097-02-01")
    plan = planned(a_policy(), a_table([*months("2026-11", "2026-11"), stray]))
    assert periods(plan) == ["2026-12", "2027-01", "2027-02"]


def test_gap_between_the_oldest_and_the_current_month_is_filled() -> None:
    present = [*months("2026-06", "2026-07"), *months("2026-09", "2027-02")]
    plan = planned(a_policy(), a_table(present))
    assert periods(plan) == ["2026-08"]
    data = the(plan, FindingKind.PARTITION_GAP).data
    assert (data["periods"], data["impact_at"]) == (["2026-08"], "2026-08-01T00:00:00+00:00")


def test_start_reaches_back_and_ahead_of_what_stands() -> None:
    plan = planned(a_policy({"start": "2026-09"}), a_table(months("2026-11", "2027-02")))
    assert periods(plan) == ["2026-09", "2026-10"]
    later = planned(a_policy({"start": "2026-09"}), a_table(months("2026-05", "2026-06")))
    assert periods(later)[0] == "2026-09"


RETENTION = {"keep": "2 months", "action": "drop"}


def test_expired_months_are_never_made_again() -> None:
    plan = planned(
        a_policy({"start": "2026-01", "retention": RETENTION}),
        a_table(months("2026-11", "2027-02")),
    )
    assert periods(plan) == ["2026-09", "2026-10"]


def test_retention_that_keeps_is_no_floor() -> None:
    kept = {"keep": "2 months", "action": "keep"}
    plan = planned(a_policy({"start": "2026-01", "retention": kept}), a_table())
    assert periods(plan)[0] == "2026-01"


def test_bounds_carry_their_utc_offset_whatever_the_zone() -> None:
    (first, *_) = planned(a_policy({"time_zone": "America/New_York"}), a_table()).actions
    assert "FROM ('2026-11-01 04:00:00+00') TO ('2026-12-01 05:00:00+00')" in first.sql[-1]


def test_creation_takes_no_lock_that_blocks_a_writer() -> None:
    modes = {
        lock.mode for action in planned(a_policy(), a_table()).actions for lock in action.locks
    }
    assert modes == {LockMode.SHARE_UPDATE_EXCLUSIVE}


def test_locks_on_default_and_foreign_keys_are_declared_after_the_parents() -> None:
    table = a_table(
        [*months("2026-11", "2027-01"), a_partition("events_default")],
        foreign_keys=(QualifiedName("public", "users"),),
    )
    (action,) = planned(a_policy(), table).actions
    assert [(lock.object, lock.mode.value) for lock in action.locks] == [
        ("public.events", "SHARE UPDATE EXCLUSIVE"),
        ("public.events_default", "SHARE UPDATE EXCLUSIVE"),
        ("public.events_default", "ACCESS EXCLUSIVE"),
        ("public.users", "SHARE ROW EXCLUSIVE"),
    ]


def test_short_horizon_tells_from_when_inserts_fail() -> None:
    finding = the(
        planned(a_policy(), a_table(months("2026-11", "2026-12"))),
        FindingKind.PARTITION_HORIZON_SHORT,
    )
    assert (finding.value, finding.threshold, finding.severity) == (1, 3, Severity.WARN)
    assert finding.data["impact_at"] == "2027-01-01T00:00:00+00:00"
    assert not finding.data["has_default"]


def test_missing_current_month_is_an_error_because_writes_fail_now() -> None:
    finding = the(planned(a_policy(), a_table()), FindingKind.PARTITION_HORIZON_SHORT)
    assert finding.severity is Severity.ERROR
    assert finding.data["impact_at"] == NOW.isoformat()


def test_with_a_default_partition_rows_fall_into_it_instead() -> None:
    finding = the(
        planned(a_policy(), a_table([a_partition("events_default")])),
        FindingKind.PARTITION_HORIZON_SHORT,
    )
    assert finding.severity is Severity.WARN
    assert finding.data["has_default"]


def test_month_wholly_inside_a_wider_partition_is_information() -> None:
    year = a_partition("events_2026", "2026-01-01", "2027-01-01")
    plan = planned(a_policy(), a_table([year, *months("2027-01", "2027-02")]))
    assert not plan.actions
    assert the(plan, FindingKind.PARTITION_OVERLAP).severity is Severity.INFO


def test_month_partly_covered_that_must_not_be_bridged_is_an_error_and_stops_no_other() -> None:
    half = a_partition("events_half", "2026-12-01", "2026-12-15")
    policy = a_policy({"bridge": False})
    plan = planned(policy, a_table([*months("2026-11", "2026-11"), half]))
    assert periods(plan) == ["2027-01", "2027-02"]
    finding = the(plan, FindingKind.PARTITION_OVERLAP)
    assert finding.severity is Severity.ERROR
    assert finding.data["uncovered"] == ["2026-12"]
    assert finding.data["statements"][1].endswith(
        "FOR VALUES FROM ('2026-12-15 00:00:00+00') TO ('2027-01-01 00:00:00+00')"
    )


@pytest.mark.parametrize(("zone", "hours"), [("America/New_York", {4, 5}), ("Asia/Tokyo", {-9})])
def test_months_of_another_zone_are_recognised_by_their_offset(
    zone: str, hours: set[float]
) -> None:
    made = planned(a_policy({"time_zone": zone, "start": "2026-06"}), a_table()).actions
    partitions = [attached(action, oid) for oid, action in enumerate(made)]
    plan = planned(a_policy(), a_table(partitions))
    finding = the(plan, FindingKind.PARTITION_TIME_ZONE_DRIFT)
    # With daylight saving in June the first partition may miss the calendar by an hour less.
    assert finding.data["hours"] in hours
    assert not [f for f in plan.findings if f.kind is FindingKind.PARTITION_OVERLAP]


def test_unbounded_partitions_cover_their_side_of_time() -> None:
    past = a_partition("events_past", "MINVALUE", "2026-11-01")
    future = a_partition("events_future", "2026-11-01", "MAXVALUE")
    plan = planned(a_policy(), a_table([past, future]))
    assert not plan.actions
    assert kinds(plan) == {"partition_overlap"}


def test_taken_name_is_a_finding_and_stops_no_other() -> None:
    taken = {QualifiedName("public", "events_2026_12"): "v"}
    plan = planned(a_policy(), a_table(), taken=taken)
    assert periods(plan) == ["2026-11", "2027-01", "2027-02"]
    finding = the(plan, FindingKind.PARTITION_NAME_TAKEN)
    assert finding.data == {"names": ["public.events_2026_12"], "periods": ["2026-12"]}


def test_details_are_those_of_missing_partitions_only() -> None:
    present = months("2026-11", "2027-01")
    states = assess(a_policy(), a_snapshot(a_table(present)), NOW, Request()).states
    assert details_of(states.values()) == [
        QualifiedName("public", "events_2027_02"),
        Common(EVENTS),
        Own(EVENTS, sampled=(present[0],), described=tuple(present)),
    ]


def test_half_detached_partition_is_an_error_and_is_not_doubled() -> None:
    present = months("2026-11", "2027-02")
    present[1] = present[1]._replace(detach_pending=True)
    plan = planned(a_policy(), a_table(present))
    assert not plan.actions
    finding = the(plan, FindingKind.DETACH_PENDING)
    assert finding.data["partitions"] == ["public.events_2026_12"]
    assert finding.data["statements"] == [
        "ALTER TABLE public.events DETACH PARTITION public.events_2026_12 FINALIZE"
    ]


def other_key(strategy: str, *columns: str | None) -> dict[str, Any]:
    return {"reason": "other_key", "strategy": strategy, "columns": list(columns)}


def test_rows_in_the_default_partition_are_reported() -> None:
    table = a_table([*months("2026-11", "2027-02"), a_partition("d")], default_has_rows=True)
    assert kinds(planned(a_policy(), table)) == {"default_partition_rows"}


@pytest.mark.parametrize(
    ("changes", "kind", "data"),
    [
        ({"kind": "r", "key_strategy": None}, "not_partitioned", {"relkind": "r"}),
        ({"kind": "v", "key_strategy": None}, "not_partitioned", {"relkind": "v"}),
        ({"key_strategy": "l"}, "partition_key_mismatch", other_key("LIST", "at")),
        ({"key_columns": ("at", "id")}, "partition_key_mismatch", other_key("RANGE", "at", "id")),
        ({"key_columns": (None,)}, "partition_key_mismatch", other_key("RANGE", None)),
        ({"key_columns": ("id",)}, "partition_key_mismatch", other_key("RANGE", "id")),
        ({"manageable": False}, "privilege_missing", {"grants": ["GRANT owner TO owner"]}),
        (
            {"creatable": False},
            "privilege_missing",
            {"grants": ["GRANT USAGE, CREATE ON SCHEMA public TO owner, owner"]},
        ),
    ],
)
def test_unfit_table_is_one_error_that_says_what_to_do(
    changes: dict[str, Any], kind: str, data: dict[str, Any]
) -> None:
    plan = planned(a_policy(), a_table(**changes))
    assert not plan.actions
    (finding,) = plan.findings
    assert (finding.kind.value, finding.severity) == (kind, Severity.ERROR)
    assert finding.data == data


def test_key_of_an_unsupported_type_names_the_supported_ones() -> None:
    (finding,) = planned(a_policy({"column": "id"}), a_table(key_columns=("id",))).findings
    assert finding.kind is FindingKind.PARTITION_KEY_MISMATCH
    assert finding.data == {
        "reason": "other_type",
        "type": "bigint",
        "wanted": ["date", "timestamp with time zone", "timestamp without time zone"],
    }


def test_unknown_column_shows_the_near_one() -> None:
    (finding,) = planned(a_policy({"column": "At"}), a_table()).findings
    assert finding.kind is FindingKind.NO_SUCH_COLUMN
    assert finding.data["near"] == ["at"]


def test_unknown_table_shows_the_near_one_and_stops_no_other() -> None:
    policy = a_policy({"table": "evnts"}, {})
    missing = {QualifiedName("public", "evnts"): ("public.events",)}
    plan = planned(policy, a_table(), missing=missing)
    assert len(plan.actions) == 4
    assert the(plan, FindingKind.NO_SUCH_TABLE).data["near"] == ["public.events"]


def test_table_that_cannot_be_read_is_left_alone() -> None:
    child = months("2026-11", "2026-11")[0]._replace(bound=None)
    plan = planned(a_policy(), a_table([child]), blind={EVENTS: "locked"})
    assert not plan.actions
    assert kinds(plan) == {"monitor_blind"}


def asked(*keys: str) -> Request:
    return Request(EVENTS, keys)


def test_asked_period_is_made_even_below_the_start() -> None:
    plan = planned(a_policy({"start": "2026-06"}), a_table(), request=asked("2025-03"))
    assert periods(plan) == ["2025-03"]


@pytest.mark.parametrize(
    ("key", "limit"),
    [
        ("2026-03", "2026-09"),  # what retention keeps
        ("2030-01", "2027-02"),  # the horizon
        ("2026-11-15", "2026-11"),  # where a period starts
        ("soon", "YYYY-MM-DD"),
    ],
)
def test_period_that_must_not_be_made_is_refused_with_the_reason(key: str, limit: str) -> None:
    policy = a_policy({"retention": RETENTION})
    plan = planned(policy, a_table(), request=asked(key, "2026-11"))
    refused = [action for action in plan.actions if action.refused]
    assert len(refused) == 1
    words = re.findall(r"[\w-]+", str(refused[0].refused))
    assert {key, limit} <= set(words)
    assert periods(plan) == ["2026-11"]
    assert policy.partitions is not None
    assert refusal(policy.partitions[0], key, NOW) == refused[0].refused


def test_several_periods_that_are_refused_are_told_apart() -> None:
    policy = a_policy({"retention": RETENTION})
    plan = planned(policy, a_table(), request=asked("2026-03", "2026-04", "2026-03"))
    refused = [action for action in plan.actions if action.refused]
    assert len({action.id for action in refused}) == len(refused) == 2


# Properties

moments = st.integers(2000 * 366, 2099 * 365).map(
    lambda day: datetime.combine(date.fromordinal(day), time(13, 7), UTC)
)
intervals = st.sampled_from(["1 day", "1 week", "1 month", "3 months", "1 year"])
zones = st.sampled_from(["UTC", "America/New_York", "Asia/Kathmandu", "Pacific/Apia"])


def attached(action: Action, oid: int) -> Partition:
    """The partition that an action's own SQL would make, as the catalog would show it."""
    bound = action.sql[-1].split(" FOR VALUES ")[1]
    schema, name = action.object.split(".")
    return Partition(oid, QualifiedName(schema, name), "r", False, 0, -1, f"FOR VALUES {bound}")


@given(moments, intervals, zones, st.integers(1, 40), st.sets(st.integers(0, 39)))
def test_replanning_after_applying_is_empty(
    now: datetime, interval: str, zone: str, premake: int, lost: set[int]
) -> None:
    policy = a_policy({"interval": interval, "time_zone": zone, "premake": premake})
    first = planned(policy, a_table(), now=now)
    present = [attached(action, i) for i, action in enumerate(first.actions)]
    assert planned(policy, a_table(present), now=now) == Plan()
    holes = [p for i, p in enumerate(present) if i == 0 or i not in lost]
    again = planned(policy, a_table(holes), now=now)
    assert {a.id for a in again.actions} <= {a.id for a in first.actions}
    assert len(again.actions) + len(holes) == len(present)


@given(st.permutations(months("2026-03", "2026-12")))
def test_order_of_what_is_observed_is_irrelevant(partitions: list[Partition]) -> None:
    expected = planned(a_policy(), a_table(months("2026-03", "2026-12")))
    actual = planned(a_policy(), a_table(partitions))
    assert actual == expected
    assert [a.id for a in actual.actions] == [a.id for a in expected.actions]


@given(moments, st.integers(1, 60), st.integers(0, 31))
def test_nothing_that_retention_has_given_up_is_made(
    now: datetime, keep_months: int, days: int
) -> None:
    keep = f"{keep_months} months {days} days"
    retention = {"keep": keep, "action": "drop"}
    policy = a_policy({"start": "1990-01", "retention": retention})
    plan = planned(policy, a_table(), now=now)
    cutoff = now - timedelta(days=keep_months * 31 + days)
    for action in plan.actions:
        upper = action.sql[-1].rsplit("TO ('", 1)[1][:10]
        assert upper > (cutoff - timedelta(days=1)).date().isoformat()


def test_snapshot_defaults_are_empty() -> None:
    assert a_snapshot() == Snapshot(server=a_snapshot().server)
