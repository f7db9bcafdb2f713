"""Which partitions are split, into which parts, and what is said of them."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance.catalog.models import Partition
from maintenance.ddl.marks import PREFIX
from maintenance.engine.actions import Action, ActionKind
from maintenance.engine.build_load import ServerLoad, Slot, WalRate
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.pace import behind, blocked_session
from maintenance.engine.plan import Plan
from maintenance.names import QualifiedName
from maintenance.partition_key import PAST, Encoding, KeyCodec
from maintenance.partition_set.bounds import Span, bound_literals, read_bound
from maintenance.policy.partitions import SplitLimits
from maintenance.subjects.partitions.drain.kept_mark import read_kept
from maintenance.subjects.partitions.wide_partitions import cells_of, last_slot, parts_of
from tests.snapshots import a_partition, a_policy, a_table, months, planned

ONLINE = {"split": "online", "premake": 2}
RETENTION = {"keep": "12 months", "action": "drop"}
PRESENT = months("2026-10", "2027-01")
PAST_MONTHS = a_partition("events_old", "MINVALUE", "2026-10-01", oid=77)
YEAR = a_partition("events_2024", "2024-01-01", "2025-01-01", oid=78)


def plan_of(*partitions: Partition, **section: Any) -> Plan:
    policy = a_policy({**ONLINE, **section})
    return planned(policy, a_table([*partitions, *PRESENT]))


def the_split(plan: Plan) -> Action:
    (action,) = [a for a in plan.actions if a.kind is ActionKind.SPLIT_PARTITION]
    return action


def no_split(plan: Plan) -> bool:
    return ActionKind.SPLIT_PARTITION not in {a.kind for a in plan.actions}


def the_finding(plan: Plan) -> Finding:
    (found,) = [f for f in plan.findings if f.kind is FindingKind.PARTITION_SPANS_PERIODS]
    return found


def reasons(plan: Plan) -> list[str]:
    return the_finding(plan).data["reasons"]


def test_partition_of_all_past_months_is_split() -> None:
    plan = plan_of(PAST_MONTHS)
    action = the_split(plan)
    assert action.object == "public.events_old"
    assert action.preconditions["oid"] == 77
    assert not action.destructive
    attached = [s.split("ATTACH PARTITION ")[1] for s in action.sql if "ATTACH" in s]
    assert attached == [
        "public.events_before_2026_09 FOR VALUES FROM (MINVALUE) TO ('2026-09-01 00:00:00+00')",
        "public.events_2026_09 FOR VALUES FROM ('2026-09-01 00:00:00+00')"
        " TO ('2026-10-01 00:00:00+00')",
    ]
    assert {lock.object for lock in action.locks if lock.mode.blocks_writers} == {
        "public.events",
        "public.events_old",
    }
    assert reasons(plan) == ["due"]


def test_one_partition_a_run_is_split_the_oldest_first() -> None:
    middle = a_partition("events_middle", "2025-01-01", "2026-10-01", oid=79)
    assert the_split(plan_of(YEAR, middle)).object == "public.events_2024"


def test_split_that_a_run_has_begun_goes_first_and_is_not_removed() -> None:
    middle = a_partition("events_middle", "2025-01-01", "2026-10-01", oid=79)
    mark = (
        f'{PREFIX}{{"draining": "public.events", "oid": 79, "function": 1, "made": [1],'
        ' "kept": {"digest": "x", "parts": [["2025-01", "FOR VALUES FROM (1) TO (2)", "a", "b"]]}}'
    )
    log = SimpleNamespace(
        relation=QualifiedName("public", "maintenance_drain_79_log"),
        comment=mark,
        owner="owner",
        oid=5,
        attached=False,
    )
    table = a_table([YEAR, middle, *PRESENT])
    log.owner = table.properties.owner
    plan = planned(a_policy(ONLINE), table, marked=(log,))
    assert the_split(plan).object == "public.events_middle"
    assert ActionKind.REMOVE_LEFTOVERS not in {a.kind for a in plan.actions}
    assert reasons(plan) == ["due", "begun"]
    never = planned(a_policy({"premake": 2}), table, marked=(log,))
    assert [a.kind for a in never.actions] == [ActionKind.REMOVE_LEFTOVERS]


@pytest.mark.parametrize(
    "odd",
    [
        a_partition("events_month", "2026-09-01", "2026-10-01"),
        a_partition("events_half", "2026-08-15", "2026-10-01"),
        a_partition("events_old", "MINVALUE", "2026-10-01", rows=0, pages=30),
        a_partition("stray", "2097-01-01", "2099-01-01"),
    ],
)
def test_partition_of_one_period_or_without_rows_or_of_the_future_is_not_wide(
    odd: Partition,
) -> None:
    plan = plan_of(odd, retention=RETENTION)
    assert no_split(plan)
    assert FindingKind.PARTITION_SPANS_PERIODS not in {f.kind for f in plan.findings}


def test_without_the_policy_it_is_told_when_it_expires() -> None:
    plan = plan_of(PAST_MONTHS, split="never", retention=RETENTION)
    assert no_split(plan)
    assert reasons(plan) == ["split_never"]
    assert the_finding(plan).severity is Severity.INFO
    assert the_finding(plan).data["expire_at"][0].startswith("2027-10-01")
    kinds = {f.kind for f in plan_of(PAST_MONTHS, split="never").findings}
    assert FindingKind.PARTITION_SPANS_PERIODS not in kinds


def test_expired_partition_is_left_to_retention() -> None:
    plan = plan_of(YEAR, retention=RETENTION)
    assert no_split(plan)
    assert FindingKind.PARTITION_SPANS_PERIODS not in {f.kind for f in plan.findings}


def test_partition_that_holds_now_waits_until_it_has_ended() -> None:
    current = a_partition("events_old", "MINVALUE", "2026-12-01")
    table = a_table([current, *months("2026-12", "2027-01")])
    plan = planned(a_policy(ONLINE), table)
    assert no_split(plan)
    assert reasons(plan) == ["not_ended"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"referenced_by": (QualifiedName("public", "likes"),)}, "referenced"),
        ({"partitions": (PAST_MONTHS._replace(kind="f"), *PRESENT)}, "foreign"),
        ({"partitions": (PAST_MONTHS._replace(detach_pending=True), *PRESENT)}, "undetachable"),
    ],
)
def test_what_stands_in_the_way_is_a_warning(changes: dict[str, Any], reason: str) -> None:
    table = replace(a_table([PAST_MONTHS, *PRESENT]), **changes)
    plan = planned(a_policy(ONLINE), table)
    assert no_split(plan)
    assert reasons(plan) == [reason]
    assert the_finding(plan).severity is Severity.WARN


def test_partition_that_is_held_stays_whole() -> None:
    held = SimpleNamespace(
        oid=77,
        relation=PAST_MONTHS.relation,
        comment=f'{PREFIX}{{"hold_until": "2027-01-01"}}',
        owner="owner",
    )
    plan = planned(a_policy(ONLINE), a_table([PAST_MONTHS, *PRESENT]), marked=(held,))
    assert no_split(plan)
    assert reasons(plan) == ["held"]


def test_rows_of_the_default_partition_get_a_check_instead_of_a_scan() -> None:
    filled = a_table([PAST_MONTHS, *PRESENT, a_partition("events_default", oid=80, pages=9_000)])
    table = replace(filled, default_has_rows=True)
    action = the_split(planned(a_policy(ONLINE), table))
    assert action.preconditions["check"] == "maintenance_not_2026_10_01_000000"
    assert any("events_default ADD CONSTRAINT" in sql for sql in action.sql)
    assert "public.events_default" in {lock.object for lock in action.steps[-1].locks}


# Parts

UTC_ZONE = ZoneInfo("UTC")
CODEC = KeyCodec(Encoding.NATIVE, "timestamp with time zone", UTC_ZONE)
SECTION = a_policy(ONLINE).partitions[0]


def span_of(partition: Partition) -> Span:
    return Span(*read_bound(partition.bound or "", CODEC), partition)


@given(
    st.integers(0, 60),
    st.integers(1, 40),
    st.sets(st.integers(0, 130)),
    st.integers(3, 30),
    st.booleans(),
)
def test_parts_cover_exactly_the_range_and_are_few(
    shift_days: int, n_months: int, rows: set[int], most: int, unbounded: bool
) -> None:
    begins = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=shift_days)
    ends = begins + timedelta(days=40 * n_months + 70)
    lower = "MINVALUE" if unbounded else f"{begins:%Y-%m-%d}"
    span = span_of(a_partition("old", lower, f"{ends:%Y-%m-%d}"))
    first = None
    if unbounded:
        first = last_slot(
            SECTION, CODEC, span_of(a_partition("x", "2000-01-01", lower_day(begins)))
        )
    cells = cells_of(SECTION, CODEC, span, first)
    occupied = {place for place in rows if place < len(cells)} | {0}
    parts = parts_of(CODEC, span, cells, occupied, most)
    assert parts[0].lower == bound_literals(span.partition.bound or "")[0]
    assert parts[-1].upper == bound_literals(span.partition.bound or "")[1]
    for left, right in itertools.pairwise(parts):
        assert left.upper == right.lower
    assert 1 < len(parts) <= most
    assert (span.lower == PAST) is parts[0].is_before
    names = {part.name(SECTION, "public") for part in parts}
    assert len(names) == len(parts) == len({part.key for part in parts})


def lower_day(begins: datetime) -> str:
    return f"{begins + timedelta(days=1):%Y-%m-%d}"


def test_months_with_rows_stand_alone_and_gaps_are_one_part() -> None:
    span = span_of(YEAR)
    cells = cells_of(SECTION, CODEC, span, None)
    parts = parts_of(CODEC, span, cells, {1, 2, 7}, 20)
    assert [part.name(SECTION, "public").name for part in parts] == [
        "events_2024_01",
        "events_2024_02",
        "events_2024_03",
        "events_2024_04_to_2024_07",
        "events_2024_08",
        "events_2024_09_to_2024_12",
    ]


# Pace

LIMITS = SplitLimits()
IDLE = ServerLoad(
    at_s=0.0,
    wal_bytes=0,
    n_active=0,
    n_hidden=0,
    n_hidden_here=0,
    n_hidden_builds=0,
    replica=None,
    replica_lag_bytes=None,
    n_hidden_replicas=0,
    role="m",
)
MB = 1024**2
GB = 1024**3


@pytest.mark.parametrize(
    ("lag", "retained", "rate", "reason"),
    [
        (None, None, None, None),
        (100 * MB, GB, 64.0 * MB, None),
        (101 * MB, None, None, "replica_lag"),
        (None, GB + 1, None, "slot_retains_wal"),
        (None, None, 65.0 * MB, "wal_rate"),
    ],
)
def test_work_waits_while_the_server_is_behind(
    lag: int | None, retained: int | None, rate: float | None, reason: str | None
) -> None:
    load = IDLE._replace(replica="r", replica_lag_bytes=lag)
    slot = Slot("s", "physical", None, True, retained, None, None)
    found = behind(load, [slot], WalRate(rate), LIMITS, GB)
    assert (found.reason if found is not None else None) == reason


def test_work_waits_for_sessions_that_wait_for_a_lock() -> None:
    assert blocked_session(5, 0.5) is None
    found = blocked_session(5, 2.0)
    assert found is not None
    assert found.reason == "blocked_sessions"


@pytest.mark.parametrize(
    "kept", ["7", "{}", '{"parts": 3, "digest": "x"}', '{"parts": [["a", "; DROP", "b", "c"]]}']
)
def test_mark_that_we_did_not_write_is_not_continued(kept: str) -> None:
    assert read_kept(f'{PREFIX}{{"kept": {kept}}}') is None
