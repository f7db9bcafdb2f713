from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance.catalog.history import History, PastAction
from maintenance.catalog.models import MarkedTable
from maintenance.ddl.marks import marked, read_mark
from maintenance.engine.actions import Lock, LockMode
from maintenance.engine.findings import FindingKind, Severity
from maintenance.engine.plan import Plan
from maintenance.names import QualifiedName
from tests.snapshots import (
    NOW,
    SERVER,
    a_partition,
    a_policy,
    a_snapshot,
    a_table,
    months,
    retention_planned,
)

USERS = QualifiedName("public", "users")


def retired(*partitions: Any, snapshot: dict[str, Any] | None = None, **retention: Any) -> Plan:
    """Plan retention of `public.events` (keep 2 months, drop) on 2026-11-20."""
    policy = a_policy({"retention": {"keep": "2 months", "action": "drop", **retention}})
    table = a_table(partitions, **(snapshot or {}).pop("table", {}))
    return retention_planned(policy, a_snapshot(table, **(snapshot or {})))


def done(plan: Plan) -> list[tuple[str, str]]:
    return [(a.kind.value, a.object.removeprefix("public.events_")) for a in plan.actions]


def kinds(plan: Plan) -> set[str]:
    return {finding.kind.value for finding in plan.findings}


def test_expiry_is_by_the_upper_bound() -> None:
    # On 2026-11-20 the cutoff is 2026-09-20: August ended before it, September did not.
    assert done(retired(*months("2026-08", "2026-11"))) == [
        ("detach_partition", "2026_08"),
        ("drop_partition", "2026_08"),
    ]


def test_partition_touching_the_window_is_kept() -> None:
    touching = a_partition("events_odd", "2026-01-01", "2026-09-21")
    assert retired(touching).actions == ()
    gone = a_partition("events_odd", "2026-01-01", "2026-09-20")
    assert len(retired(gone, *months("2026-10", "2026-11")).actions) == 2


def test_unbounded_future_and_default_partitions_are_kept() -> None:
    assert retired(a_partition("f", "2020-01-01", "MAXVALUE"), a_partition("d")).actions == ()


def test_past_without_a_lower_bound_expires_by_its_upper_one() -> None:
    past = a_partition("p", "MINVALUE", "2020-01-01")
    assert len(retired(past, *months("2026-10", "2026-11")).actions) == 2


def test_oldest_go_first_and_never_more_than_the_fuse() -> None:
    result = retired(*months("2026-01", "2026-11"), max_per_run=2)
    assert [name for kind, name in done(result) if kind == "drop_partition"] == [
        "2026_01",
        "2026_02",
    ]
    (fuse,) = [f for f in result.findings if f.kind is FindingKind.RETENTION_FUSE]
    assert (fuse.value, fuse.threshold) == (8, 2)


def test_hold_of_the_policy_keeps_a_period() -> None:
    result = retired(*months("2026-07", "2026-11"), hold=["2026-07"])
    assert {name for _, name in done(result)} == {"2026_08"}
    assert "retention_held" in kinds(result)


KNOWN = {9: frozenset({"public.events"})}
"""What the journal knows of a table that was detached."""


def a_detached(name: str, comment: str, *, oid: int = 9, owner: str = "owner") -> MarkedTable:
    return MarkedTable(oid, QualifiedName("public", name), comment, False, 0, owner)


def marks(partition: Any, **facts: Any) -> MarkedTable:
    comment = marked("my own words", facts)
    return MarkedTable(
        partition.oid, partition.relation, comment, attached=True, pages=1, owner="owner"
    )


def test_restored_period_is_held_until_its_day() -> None:
    (old, *others) = months("2026-01", "2026-01") + months("2026-10", "2026-11")
    old = old._replace(oid=9)
    held = {"marked": (marks(old, hold_until="2026-11-21"),)}
    assert retired(old, *others, snapshot=held).actions == ()
    over = {"marked": (marks(old, hold_until="2026-11-20"),)}
    assert len(retired(old, *others, snapshot=over).actions) == 2


def test_mark_that_is_no_date_holds() -> None:
    (old, *others) = months("2026-01", "2026-01") + months("2026-10", "2026-11")
    old = old._replace(oid=9)
    soon = {"marked": (marks(old, hold_until="soon"),)}
    assert retired(old, *others, snapshot=soon).actions == ()


def test_without_a_default_the_detach_is_concurrent() -> None:
    (detach, drop) = retired(*months("2026-08", "2026-11")).actions
    assert detach.sql[-1].endswith("DETACH PARTITION public.events_2026_08 CONCURRENTLY")
    assert not any(
        lock.mode.blocks_writers for lock in detach.locks if lock.object == "public.events"
    )
    # the second transaction of the server's own, when no query reads it any more
    assert Lock("public.events_2026_08", LockMode.ACCESS_EXCLUSIVE) in detach.locks
    assert drop.after == (detach.id,)
    assert drop.destructive


@pytest.mark.parametrize("with_default", [True, False])
def test_foreign_key_or_default_locks_are_declared(with_default: bool) -> None:
    extra = [a_partition("events_d")] if with_default else []
    (detach, _) = retired(
        *months("2026-08", "2026-11"), *extra, snapshot={"table": {"foreign_keys": (USERS,)}}
    ).actions
    locks = {lock.object: lock.mode.value for lock in detach.locks}
    assert locks["public.users"] == "SHARE ROW EXCLUSIVE"
    wanted = "ACCESS EXCLUSIVE" if with_default else "SHARE UPDATE EXCLUSIVE"
    assert locks["public.events"] == wanted


def test_detach_checks_identity_and_bound_under_lock() -> None:
    (detach, _) = retired(*months("2026-08", "2026-11")).actions
    guard = detach.sql[0]
    assert guard.startswith("DO ")
    assert "2026-08-01 00:00:00+00" in guard
    assert detach.preconditions["oid"] == 1


def test_incoming_foreign_key_keeps_everything_and_says_so() -> None:
    result = retired(
        *months("2026-08", "2026-11"),
        snapshot={"table": {"foreign_keys": (USERS,), "referenced_by": (USERS,)}},
    )
    assert result.actions == ()
    (finding,) = result.findings
    assert (finding.kind, finding.object) == (FindingKind.RETENTION_DUE, "public.events")
    (kept,) = finding.data["kept"]
    assert kept == {
        "partition": "public.events_2026_08",
        "reason": "references_unknown",
        "by": ["public.users"],
        "waits": False,
    }


def test_clocks_that_differ_keep_everything() -> None:
    skewed = {"server": replace(SERVER, clock_skew_s=61.0)}
    result = retired(*months("2026-08", "2026-11"), snapshot=skewed)
    assert result.actions == ()
    (finding,) = result.findings
    assert (finding.kind.value, finding.data) == ("retention_due", {"reason": "clock_skew"})


def test_grace_detaches_now_and_drops_later() -> None:
    assert done(retired(*months("2026-08", "2026-11"), grace="7 days")) == [
        ("detach_partition", "2026_08")
    ]
    for at, actions in (("2026-11-10", 1), ("2026-11-15", 0)):
        mark = {
            "detached_from": "public.events",
            "bound": "b",
            "period": "2026-08",
            "at": f"{at}T00:00:00+00:00",
        }
        snapshot: dict[str, Any] = {
            "marked": (a_detached("events_2026_08", marked(None, mark)),),
            "history": History(detached_from=KNOWN),
        }
        found = retired(*months("2026-09", "2026-11"), grace="7 days", snapshot=snapshot)
        assert len(found.actions) == actions


def test_tables_detached_by_others_are_never_dropped() -> None:
    strangers = [
        "events of 2019, do not touch",
        marked(None, {"detached_from": "public.other", "at": "2020-01-01T00:00:00+00:00"}),
        marked(None, {"detached_from": "public.events", "at": "some day"}),
        "maintenance: {broken",
    ]
    tables = tuple(a_detached(f"t{n}", comment, oid=100 + n) for n, comment in enumerate(strangers))
    snapshot = {
        "marked": tables,
        "history": History(detached_from={100 + n: KNOWN[9] for n in range(len(strangers))}),
    }
    assert retired(*months("2026-09", "2026-11"), snapshot=snapshot).actions == ()


@pytest.mark.parametrize(
    ("owner", "detached_from"),
    [
        ("owner", {}),
        ("owner", {9: frozenset({"public.other"})}),
        ("owner", {8: frozenset({"public.events"})}),
        ("tenant", {9: frozenset({"public.events"})}),
    ],
)
@pytest.mark.parametrize("action", ["drop", "detach"])
def test_a_comment_alone_moves_no_rows(
    owner: str, detached_from: dict[int, frozenset[str]], action: str
) -> None:
    mark = {
        "detached_from": "public.events",
        "bound": "FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
        "period": "2026-01",
        "at": "2026-02-01T00:00:00+00:00",
    }
    forged = a_detached("forged", marked(None, mark), owner=owner)
    snapshot = {"marked": (forged,), "history": History(detached_from=detached_from)}
    found = retired(*months("2026-09", "2026-11"), action=action, snapshot=snapshot)
    assert found.actions == ()
    assert [(f.kind, f.severity, f.object) for f in found.findings] == [
        (FindingKind.RETENTION_HELD, Severity.WARN, "public.forged")
    ]


def test_action_detach_never_drops() -> None:
    assert done(retired(*months("2026-08", "2026-11"), action="detach")) == [
        ("detach_partition", "2026_08")
    ]


def test_archive_stands_before_detach_and_drop() -> None:
    result = retired(
        *months("2026-08", "2026-11"), action="archive_then_drop", archive={"url": "/archive"}
    )
    assert [kind for kind, _ in done(result)] == [
        "archive_partition",
        "detach_partition",
        "drop_partition",
    ]
    archive, detach, drop = result.actions
    assert (detach.after, drop.after) == ((archive.id,), (detach.id,))


def test_pending_detach_is_ended_also_without_a_retention() -> None:
    pending = months("2026-08", "2026-08")[0]._replace(detach_pending=True)
    result = retention_planned(a_policy(), a_snapshot(a_table([pending])))
    assert result.actions[0].sql == (
        "ALTER TABLE public.events DETACH PARTITION public.events_2026_08 FINALIZE",
    )


def test_marks_keep_the_owners_words() -> None:
    comment = marked(marked("mine\nand more", {"a": 1}), {"b": "ü'\n"})
    assert comment.startswith("mine\nand more\nmaintenance: ")
    assert read_mark(comment) == {"b": "ü'\n"}


@given(
    st.integers(1, 60),
    st.lists(st.tuples(st.integers(0, 100), st.integers(1, 5)), max_size=12),
)
def test_nothing_inside_the_retention_is_ever_touched(
    keep: int, ranges: list[tuple[int, int]]
) -> None:
    """Whatever ranges exist: what goes ended at least `keep` months ago."""
    first = 2026 * 12 + 10
    found: list[Any] = []
    for number, (back, length) in enumerate(ranges):
        lower, upper = first - back, first - back + length
        bounds = [f"{m // 12:04}-{m % 12 + 1:02}-01" for m in (lower, upper)]
        found.append(a_partition(f"events_{number}", *bounds, oid=number))
    result = retired(*found, keep=f"{keep} months", max_per_run=1000)
    limit = first - keep
    for action in result.actions:
        back, length = ranges[int(action.preconditions["oid"])]
        assert first - back + length <= limit


def test_mark_of_a_detach_not_carried_out_goes_unless_this_run_detaches() -> None:
    july, august, september = (
        month._replace(oid=10 + n) for n, month in enumerate(months("2026-07", "2026-09"))
    )
    mark = marked(None, {"detached_from": "public.events", "at": "2026-11-01T00:00:00+00:00"})
    tables = tuple(
        MarkedTable(p.oid, p.relation, mark, True, 0, "owner") for p in (july, august, september)
    )
    result = retired(july, august, september, snapshot={"marked": tables}, max_per_run=1)
    assert done(result) == [
        ("repair_partition", "2026_08"),
        ("repair_partition", "2026_09"),
        ("detach_partition", "2026_07"),
        ("drop_partition", "2026_07"),
    ]


def detached_table(name: str, oid: int, at: str) -> MarkedTable:
    mark = {"detached_from": "public.events", "bound": "b", "period": name[-7:], "at": at}
    return a_detached(name, marked(None, mark), oid=oid)


def test_table_whose_drop_failed_the_last_time_comes_last() -> None:
    old = detached_table("events_2026_01", 91, "2026-10-01T00:00:00+00:00")
    later = detached_table("events_2026_02", 92, "2026-10-02T00:00:00+00:00")
    failed = PastAction("0198c0de", "public.events", "drop_partition", "failed", NOW)
    snapshot = {
        "marked": (old, later),
        "history": History(
            past_actions={"public.events_2026_01": failed},
            detached_from={91: KNOWN[9], 92: KNOWN[9]},
        ),
    }
    for fuse, wanted in ((1, ["2026_02"]), (2, ["2026_02", "2026_08"])):
        result = retired(*months("2026-08", "2026-11"), snapshot=snapshot, max_per_run=fuse)
        assert [name for kind, name in done(result) if kind == "drop_partition"] == wanted
