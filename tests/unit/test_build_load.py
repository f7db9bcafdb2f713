"""Rules of what speaks against the build of an index: slots, replicas, sessions and WAL."""

from math import inf

import pytest

from maintenance.engine.build_load import (
    SMALL_BUILD,
    Build,
    ServerLoad,
    Slot,
    WalRate,
    load_obstacles,
    not_seen,
    retaining,
    unread_load,
    without_limits,
)
from maintenance.errors import BuildPostponedError
from maintenance.policy.thresholds import IndexPreflight

MB = 2**20
GB = 2**30
QUIET = ServerLoad(1000.0, 5 * GB, 3, 0, 0, 0, None, None, 0, "maintainer")
UNUSED = Slot("reports", "logical", "app", False, 2 * MB, None, 10)
LARGE = 300 * MB


def limits(**written: object) -> IndexPreflight:
    return IndexPreflight.model_validate(written)


def obstacles(
    *slots: Slot,
    load: ServerLoad = QUIET,
    rate: float | None = None,
    size_bytes: int = LARGE,
    preflight: IndexPreflight | None = None,
) -> list[BuildPostponedError]:
    return list(
        load_obstacles(
            Build("public.i"), size_bytes, preflight or limits(), load, slots, WalRate(rate)
        )
    )


def reasons(found: list[BuildPostponedError]) -> list[str]:
    return [each.reason for each in found]


def test_usual_limits_let_a_quiet_server_build() -> None:
    lively = QUIET._replace(n_active=400, replica="standby", replica_lag_bytes=99 * MB)
    slots = UNUSED, UNUSED._replace(name="feed", is_active=True, retained_bytes=900 * MB)
    assert obstacles(*slots, load=lively, rate=GB) == []


@pytest.mark.parametrize("is_active", [True, False])
def test_slot_that_retains_more_than_its_limit_is_named(is_active: bool) -> None:
    slot = UNUSED._replace(retained_bytes=GB + 1, is_active=is_active)
    (found,) = obstacles(slot)
    assert found.reason == "slot_retains_wal"
    assert found.facts["slot"] == "reports"
    assert found.facts["retained_bytes"] == GB + 1
    assert found.facts["limit"] == GB
    assert obstacles(slot._replace(retained_bytes=GB)) == []
    assert obstacles(slot, preflight=limits(max_slot_wal="never")) == []


def test_slot_that_would_lose_what_its_consumer_needs_is_named() -> None:
    slot = UNUSED._replace(left_bytes=LARGE - 1)
    assert reasons(obstacles(slot)) == ["slot_would_lose_wal"]
    assert obstacles(slot._replace(left_bytes=LARGE)) == []
    assert obstacles(slot._replace(is_active=True)) == [], "its consumer reads on"
    assert reasons(obstacles(slot, preflight=limits(max_slot_wal="never"))) == [
        "slot_would_lose_wal"
    ]


def test_slot_that_holds_rows_is_named_only_if_the_policy_says_how_many() -> None:
    slot = UNUSED._replace(retained_bytes=None, age=150_000_000)
    assert obstacles(slot) == []
    found = obstacles(slot, preflight=limits(max_slot_age=100_000_000))
    assert reasons(found) == ["slot_holds_rows"]
    assert found[0].facts["age"] == 150_000_000


def test_replica_that_is_behind_is_named() -> None:
    behind = QUIET._replace(replica="standby", replica_lag_bytes=101 * MB)
    (found,) = obstacles(load=behind)
    assert found.reason == "replica_lag"
    assert found.facts == {"replica": "standby", "lag_bytes": 101 * MB, "limit": 100 * MB}
    assert obstacles(load=behind, preflight=limits(max_replica_lag="1 GB")) == []
    assert obstacles(load=behind, preflight=limits(max_replica_lag="never")) == []


def test_sessions_and_wal_are_limited_only_by_the_policy() -> None:
    busy = QUIET._replace(n_active=21)
    strict = limits(max_active_sessions=20, max_wal_rate="50 MB")
    found = obstacles(load=busy, rate=51.0 * MB, preflight=strict)
    assert reasons(found) == ["active_sessions", "wal_rate"]
    assert found[0].facts["active_sessions"] == 21
    quiet = QUIET._replace(n_active=20)
    assert obstacles(load=quiet, rate=50.0 * MB, preflight=strict) == []
    assert obstacles(load=quiet, rate=None, preflight=strict) == [], "not measured yet"


def test_small_index_is_built_whatever_the_load() -> None:
    slot = UNUSED._replace(retained_bytes=9 * GB, left_bytes=0)
    assert obstacles(slot, size_bytes=SMALL_BUILD - 1) == []
    assert reasons(obstacles(slot, size_bytes=SMALL_BUILD)) == [
        "slot_retains_wal",
        "slot_would_lose_wal",
    ]


def test_what_is_not_shown_counts_as_unknown_only_where_the_policy_limits_it() -> None:
    blind = QUIET._replace(n_hidden=30, n_hidden_here=4, n_hidden_replicas=1, n_hidden_builds=1)
    assert list(not_seen(blind)) == ["transactions", "sessions", "replicas", "builds"]
    assert obstacles(load=blind) == []
    found = obstacles(load=blind, preflight=limits(max_active_sessions=20))
    assert reasons(found) == ["load_unknown"]
    assert found[0].facts == {"not_seen": "sessions"}
    assert obstacles(load=blind, preflight=limits(max_active_sessions=33)) == []
    found = obstacles(load=blind, preflight=limits(max_replica_lag="100 MB"))
    assert [each.facts for each in found] == [{"not_seen": "replicas"}]
    assert obstacles(load=blind, preflight=limits(max_replica_lag="never")) == []


def test_rate_of_wal_is_measured_over_a_second() -> None:
    rate = WalRate()
    rate.note(QUIET)
    assert rate.bytes_per_s is None
    rate.note(QUIET._replace(at_s=1000.5, wal_bytes=QUIET.wal_bytes + 9 * MB))
    assert rate.bytes_per_s is None
    rate.note(QUIET._replace(at_s=1002.0, wal_bytes=QUIET.wal_bytes + 10 * MB))
    assert rate.bytes_per_s == 5 * MB
    rate.note(QUIET._replace(at_s=1003.0, wal_bytes=QUIET.wal_bytes + 10 * MB))
    assert rate.bytes_per_s == 0


def test_only_an_unused_slot_without_limit_retains_all_wal_of_a_build() -> None:
    used = UNUSED._replace(is_active=True)
    limited = UNUSED._replace(left_bytes=GB)
    empty = UNUSED._replace(retained_bytes=None)
    assert retaining([used, limited, empty]) is None
    assert retaining([used, limited, UNUSED]) is UNUSED


def test_limit_of_never_is_infinite() -> None:
    assert limits(max_slot_wal="never").max_slot_wal == inf
    assert limits().max_active_sessions == inf
    shown = limits(max_slot_wal="never", max_replica_lag="10 MB").model_dump(mode="json")
    assert shown["max_slot_wal"] == "never"
    assert shown["max_replica_lag"] == 10 * MB


def test_urgent_build_has_no_limits_of_load_and_keeps_the_others() -> None:
    found = without_limits(limits(max_slot_wal="1 MB", free_disk="7 MB"))
    assert found.max_slot_wal == found.max_replica_lag == found.max_active_sessions == inf
    assert found.free_disk == 7 * MB
    assert found.max_transaction_age == limits().max_transaction_age
    assert list(unread_load(Build("i"), LARGE, found)) == []


def test_load_that_is_not_told_counts_only_where_the_policy_limits_it() -> None:
    assert list(unread_load(Build("i"), LARGE, limits())) == []
    assert list(unread_load(Build("i"), LARGE, limits(max_slot_wal="never"))) == []
    (found,) = unread_load(Build("i"), LARGE, limits(max_slot_wal="1 GB"))
    assert found.reason == "load_unknown"
    assert list(unread_load(Build("i"), SMALL_BUILD - 1, limits(max_slot_wal="1 GB"))) == []
