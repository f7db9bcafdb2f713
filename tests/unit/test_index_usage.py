"""What the counters of several servers prove, and what they don't."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance.names import QualifiedName
from maintenance.policy.thresholds import IndexesPolicy
from maintenance.subjects.indexes.advice import advise
from maintenance.subjects.indexes.models import Catalog, Index, Key, Table
from maintenance.subjects.indexes.usage import (
    Baseline,
    Count,
    Epoch,
    Evidence,
    ServerUsage,
    Usage,
    evidence,
)
from maintenance.subjects.indexes.verdicts import IssueKind

NOW = datetime(2026, 11, 20, tzinfo=UTC)
SINCE = NOW - timedelta(days=35)
LONG_AGO = NOW - timedelta(days=400)
RECENTLY = NOW - timedelta(days=3)
OID = 7


def epoch(**changes: Any) -> Epoch:
    return Epoch(1, 1, None, LONG_AGO)._replace(**changes)


def a_witness(
    scans: int = 0,
    before: int | None = 0,
    last: datetime | None = None,
    now_in: Epoch | None = None,
    **usage: Any,
) -> ServerUsage:
    """A server that has counted `scans`, and had counted `before` when the window began."""
    current = now_in or epoch()
    baseline = (
        Baseline(epoch(), SINCE - timedelta(hours=1), {OID: before}) if before is not None else None
    )
    return ServerUsage("primary", Usage(current, NOW, {OID: Count(scans, last)}, **usage), baseline)


def proof(*witnesses: ServerUsage) -> Evidence:
    return evidence(witnesses, [OID], SINCE)


def is_proven_unused(*witnesses: ServerUsage) -> bool:
    seen = proof(*witnesses)
    return seen.is_complete and seen.existed and not seen.scans


def test_counter_that_stood_still_in_one_epoch_proves_that_nobody_looked() -> None:
    assert is_proven_unused(a_witness(scans=9, before=9))


def test_only_what_was_counted_since_the_baseline_counts() -> None:
    assert proof(a_witness(scans=12, before=9)).scans == 3


def test_counts_of_all_servers_are_added() -> None:
    seen = proof(a_witness(scans=9, before=9), a_witness(scans=5, before=1))
    assert (seen.scans, seen.is_complete) == (4, True)


def test_use_on_a_replica_alone_is_use() -> None:
    assert not is_proven_unused(a_witness(), a_witness(scans=1))


@pytest.mark.parametrize(
    "changes",
    [
        {"database_reset_at": RECENTLY},
        {"server_reset_at": RECENTLY},
        {"timeline": 2},
        {"system_identifier": 2},
    ],
    ids=["reset", "crash", "failover", "another cluster"],
)
def test_another_epoch_proves_nothing(changes: dict[str, Any]) -> None:
    witness = a_witness(now_in=epoch(**changes))
    assert not proof(witness).is_complete
    gap = witness.gap(SINCE)
    assert gap is not None
    assert gap.reason == "counters_reset"


def test_counter_that_ran_backwards_proves_nothing() -> None:
    assert not proof(a_witness(scans=3, before=9)).is_complete


def test_one_server_that_cannot_tell_is_enough_to_prove_nothing() -> None:
    silent = ServerUsage("replica", None, silence="it does not answer")
    assert not proof(a_witness(), silent).is_complete
    assert silent.gap(SINCE) == ("unreachable", "it does not answer")


def test_counters_that_are_switched_off_prove_nothing() -> None:
    assert not proof(a_witness(is_counting=False)).is_complete


def test_index_younger_than_the_window_is_not_called_unused() -> None:
    witness = a_witness()
    fresh = ServerUsage("primary", witness.usage, Baseline(epoch(), SINCE, {}))
    assert proof(fresh).is_complete
    assert not proof(fresh).existed


def test_index_built_since_the_baseline_was_counted_from_nothing() -> None:
    witness = a_witness(scans=4)
    fresh = ServerUsage("primary", witness.usage, Baseline(epoch(), SINCE, {}))
    assert proof(fresh).scans == 4


def test_first_look_proves_disuse_where_the_server_notes_the_last_use() -> None:
    last = SINCE - timedelta(days=1)
    assert is_proven_unused(a_witness(scans=90, before=None, last=last, knows_last_scan=True))


def test_first_look_at_an_index_never_used_proves_nothing_as_it_may_be_young() -> None:
    assert not is_proven_unused(a_witness(before=None, knows_last_scan=True))


def test_last_use_in_the_window_is_use() -> None:
    witness = a_witness(scans=1, before=None, last=RECENTLY, knows_last_scan=True)
    assert proof(witness).scans == 1


def test_first_look_without_last_use_counts_all_there_ever_was() -> None:
    assert proof(a_witness(scans=5, before=None)).scans == 5


@pytest.mark.parametrize("changes", [{"server_reset_at": RECENTLY}, {"timeline": 2}])
def test_first_look_at_young_counters_or_a_promoted_server_proves_nothing(
    changes: dict[str, Any],
) -> None:
    last = SINCE - timedelta(days=1)
    witness = a_witness(
        before=None, last=last, now_in=epoch(**changes), knows_last_scan=True, scans=1
    )
    assert not is_proven_unused(witness)


moments = st.sampled_from([None, LONG_AGO, SINCE, RECENTLY])
epochs = st.builds(
    Epoch, st.just(1), st.integers(1, 2), moments, st.sampled_from([LONG_AGO, RECENTLY])
)
witnesses = st.builds(
    a_witness,
    scans=st.integers(0, 3),
    before=st.none() | st.integers(0, 3),
    last=moments,
    now_in=epochs,
    knows_last_scan=st.booleans(),
)


@given(st.lists(witnesses, min_size=1, max_size=3), st.integers(1, 5))
def test_index_that_any_server_used_in_the_window_is_never_called_unused(
    others: list[ServerUsage], used: int
) -> None:
    user = a_witness(scans=used, before=0, last=RECENTLY, knows_last_scan=True)
    assert not is_proven_unused(*others, user)


@given(st.lists(witnesses, min_size=1, max_size=4))
def test_no_order_of_servers_matters(servers: list[ServerUsage]) -> None:
    assert proof(*servers) == proof(*reversed(servers))


# Verdicts

LIMITS = IndexesPolicy()
TABLE = Table(1, QualifiedName("public", "t"), rows=100_000, pages=1_000)


def an_index(**changes: Any) -> Index:
    facts: dict[str, Any] = {
        "oid": OID,
        "relation": QualifiedName("public", "t_a"),
        "table_oid": TABLE.oid,
        "method": "btree",
        "keys": (Key(1, 1, 0, 0),),
        "pages": 1_000,
    }
    return Index(**(facts | changes))


def charges(*indexes: Index, witness: ServerUsage | None = None) -> list[IssueKind]:
    catalog = Catalog(indexes, {i.table_oid: TABLE._replace(oid=i.table_oid) for i in indexes})
    judgement = advise(catalog, [witness or a_witness()], LIMITS, NOW)
    return [verdict.charge for verdict in judgement.verdicts]


def test_unused_index_of_some_size_is_called_unused() -> None:
    assert charges(an_index()) == [IssueKind.UNUSED]


@pytest.mark.parametrize(
    "changes",
    [
        {"is_unique": True},
        {"is_exclusion": True},
        {"is_replica_identity": True},
        {"is_clustered": True},
        {"is_referenced": True},
        {"constraint": "t_a_key"},
        {"pages": 100},
    ],
    ids=str,
)
def test_index_that_serves_more_than_scans_or_is_small_is_not(changes: dict[str, Any]) -> None:
    assert charges(an_index(**changes)) == []


def test_partitioned_index_is_used_if_one_partition_uses_it() -> None:
    root = an_index(oid=1, is_partitioned=True, pages=0)
    leaf = an_index(parent=1, table_oid=2)
    assert charges(root, leaf) == [IssueKind.UNUSED]
    assert charges(root, leaf, witness=a_witness(scans=1)) == []


def test_partitioned_index_is_as_old_as_its_oldest_partition() -> None:
    """A partition of this month has an index of this month, which was not in the baseline."""
    root = an_index(oid=1, is_partitioned=True, pages=0)
    old, young = an_index(parent=1, table_oid=2), an_index(oid=8, parent=1, table_oid=3)
    assert charges(root, old, young) == [IssueKind.UNUSED]


def test_index_that_is_being_built_is_not_called_invalid() -> None:
    assert charges(an_index(is_valid=False)) == [IssueKind.INVALID]
    assert charges(an_index(is_valid=False, is_building=True)) == []


def test_partitioned_index_with_a_build_in_a_partition_is_not_called_invalid() -> None:
    root = an_index(oid=1, is_partitioned=True, is_valid=False)
    assert charges(root, an_index(parent=1, table_oid=2)) == [IssueKind.INVALID]
    assert charges(root, an_index(parent=1, table_oid=2, is_building=True)) == []


def test_one_index_gets_one_verdict() -> None:
    wider = an_index(oid=8, keys=(Key(1, 1, 0, 0), Key(2, 1, 0, 0)), is_unique=True)
    assert charges(an_index(), wider) == [IssueKind.REDUNDANT]


def test_order_of_the_catalog_does_not_matter() -> None:
    equals = [an_index(oid=n, is_unique=n == 3) for n in range(1, 5)]
    catalog = Catalog(tuple(equals), {TABLE.oid: TABLE})
    turned = Catalog(tuple(reversed(equals)), {TABLE.oid: TABLE})
    first, second = (
        advise(each, [a_witness()], LIMITS, NOW).verdicts for each in (catalog, turned)
    )
    assert {v.tree.root.oid for v in first} == {v.tree.root.oid for v in second} == {1, 2, 4}
