"""Findings on indexes: definitions that are wrong, drops with their cost, and missing evidence."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from maintenance.engine.findings import Finding, FindingKind
from maintenance.names import QualifiedName
from maintenance.policy import Policy
from maintenance.policy.thresholds import IndexesPolicy
from maintenance.subjects.indexes.advice import advise
from maintenance.subjects.indexes.blind_spots import blind_spot_findings
from maintenance.subjects.indexes.ddl import Definition, locks_all, restore
from maintenance.subjects.indexes.definition_checks import constant_keys
from maintenance.subjects.indexes.findings import findings
from maintenance.subjects.indexes.models import Catalog, Column, Index, Key, Table
from maintenance.subjects.indexes.observation import IndexesObservation
from maintenance.subjects.indexes.usage import Baseline, Count, Epoch, Gap, ServerUsage, Usage
from tests.policies import make_policy

NOW = datetime(2026, 11, 20, tzinfo=UTC)
SINCE = NOW - timedelta(days=35)
LONG_AGO = NOW - timedelta(days=400)
COLUMNS = {1: Column("a"), 2: Column("b")}
TABLE = Table(1, QualifiedName("public", "t"), pages=5_000, rows=200_000, columns=COLUMNS)


def an_index(*of: int | str, oid: int = 7, **changes: Any) -> Index:
    facts: dict[str, Any] = {
        "relation": QualifiedName("public", f"i{oid}"),
        "table_oid": TABLE.oid,
        "method": "btree",
        "keys": tuple(Key(each, 1, 0, 0) for each in of),
        "pages": 1_000,
    }
    return Index(oid, **(facts | changes))


@pytest.mark.parametrize("predicate", ["b", "(b = 5)", "(b IS NULL)", "((b = 5) AND (a > 7))"])
def test_constant_key_is_told_only_where_another_key_is_left(predicate: str) -> None:
    assert constant_keys(an_index(2, predicate=predicate), TABLE) == []
    assert constant_keys(an_index(1, 2, predicate=predicate), TABLE) == ["b"]
    assert constant_keys(an_index(2, "lower(c)", predicate=predicate), TABLE) == ["b"]


def test_keys_that_are_all_constant_are_left_alone() -> None:
    assert constant_keys(an_index(1, 2, predicate="((a = 1) AND (b = 5))"), TABLE) == []


@pytest.mark.parametrize("depth", [400, 900, 50_000])
def test_predicate_too_deep_to_be_read_fixes_no_column(depth: int) -> None:
    deep = "(" * depth + "b" + " + 1)" * depth + " = 5"
    assert constant_keys(an_index(1, 2, predicate=deep), TABLE) == []


# Evidence

EPOCH = Epoch(1, 1, None, LONG_AGO)
LIMITS = IndexesPolicy()


def seen(
    *indexes: Index, successors: Mapping[str, Gap] | None = None, before: bool = True
) -> IndexesObservation:
    """Indexes that nothing read since the window began, by one server."""
    counted = {index.oid: 5 for index in indexes} if before else {}
    usage = Usage(EPOCH, NOW, {index.oid: Count(5 * before) for index in indexes})
    watched = SINCE - timedelta(hours=1)
    witness = ServerUsage("primary", usage, Baseline(EPOCH, watched, counted), watched)
    catalog = Catalog(indexes, {TABLE.oid: TABLE})
    advice = advise(catalog, [witness], LIMITS, NOW, successors or {})
    return IndexesObservation(catalog, (witness,), advice, "me")


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    return make_policy(tmp_path, "postgresql://nowhere/app", indexes={})


def unproven(policy: Policy, observation: IndexesObservation) -> Finding:
    (found,) = blind_spot_findings(policy, LIMITS, observation, NOW)
    assert found.kind is FindingKind.INDEX_EVIDENCE_INSUFFICIENT
    return found


def test_index_that_stayed_for_a_dropped_one_has_its_own_reason(policy: Policy) -> None:
    gap = Gap("stayed_for_dropped", "stayed for public.old")
    found = unproven(policy, seen(an_index(1), successors={"public.i7": gap}))
    assert found.data["reasons"] == {"public.i7": "stayed_for_dropped"}
    assert found.data["gaps"] == {"public.i7": "stayed for public.old"}
    assert (found.value, found.threshold) == (None, None), "every server's counters are complete"


def test_index_younger_than_the_window_waits_for_counters(policy: Policy) -> None:
    found = unproven(policy, seen(an_index(1), before=False))
    assert found.data["reasons"] == {}
    assert found.threshold == 35


# Drops


def drops(policy: Policy, observation: IndexesObservation) -> dict[str, Finding]:
    told = findings(policy, LIMITS, observation, NOW)
    return {found.object: found for found in told if found.data.get("drop")}


def test_drop_that_can_not_run_concurrently_tells_that_it_blocks_everybody(policy: Policy) -> None:
    whole = an_index(1, oid=1, is_partitioned=True, pages=0)
    part = an_index(1, oid=2, parent=1)
    alone = an_index(2, oid=3)
    found = drops(policy, seen(whole, part, alone))
    assert {name: each.data["locks_writers"] for name, each in found.items()} == {
        "public.i1": True,
        "public.i3": False,
    }
    assert locks_all(an_index(1, constraint="k"))


def test_drop_of_an_expression_tells_whose_statistics_are_lost(policy: Policy) -> None:
    first, second = an_index("lower(c)", oid=1), an_index("lower(c)", 2, oid=2, is_unique=True)
    lost = {n: f.data["loses_statistics_of"] for n, f in drops(policy, seen(first)).items()}
    assert lost == {"public.i1": ["lower(c)"]}
    lost = {n: f.data["loses_statistics_of"] for n, f in drops(policy, seen(first, second)).items()}
    assert lost == {"public.i1": []}, "the other index has them too"


def test_restore_brings_back_comments_and_targets_and_analyzes_expressions() -> None:
    text = "CREATE INDEX i7 ON public.t USING btree (lower(c), a)"
    definition = Definition(text, comment="it's\\", targets={1: 500})
    assert list(restore(an_index("lower(c)", 1), TABLE, definition)) == [
        "CREATE INDEX CONCURRENTLY i7 ON public.t USING btree (lower(c), a)",
        "ALTER INDEX public.i7 ALTER COLUMN 1 SET STATISTICS 500",
        "COMMENT ON INDEX public.i7 IS  E'it''s\\\\'",
        "ANALYZE public.t",
    ]
    assert len(restore(an_index(1), TABLE, Definition(text))) == 1
