"""Indexes beside what the policy expects of them."""

from datetime import timedelta
from typing import Any

import pytest

from maintenance.engine.findings import UNKNOWN, Finding, FindingKind, Severity
from maintenance.names import QualifiedName
from maintenance.policy.thresholds import IndexesPolicy
from maintenance.subjects.indexes.advice import Advice
from maintenance.subjects.indexes.expectations import expectation_findings
from maintenance.subjects.indexes.models import Catalog, Index, Key, Table
from maintenance.subjects.indexes.observation import IndexesObservation
from maintenance.subjects.indexes.usage import Baseline, Count, Epoch, ServerUsage, Usage
from tests.snapshots import NOW

NAME = QualifiedName("public", "i")
TABLE = Table(1, QualifiedName("public", "t"), pages=100, rows=1e4)
INDEX = Index(7, NAME, 1, "btree", (Key(1, 0, 0, 0),), pages=40)
EXPECTED = FindingKind.INDEX_NOT_AS_EXPECTED


def a_server(scans: int = 0, name: str = "primary", *, known: bool = True) -> ServerUsage:
    """A server that has counted so many scans since the window began."""
    epoch = Epoch(1, 1, None, NOW - timedelta(days=400))
    baseline = Baseline(epoch, NOW - timedelta(days=36), {7: 10, 8: 10})
    usage = Usage(epoch, NOW, {7: Count(scans + 10), 8: Count(scans + 10)})
    return ServerUsage(name, usage if known else None, baseline)


def found(
    *indexes: Index,
    servers: tuple[ServerUsage, ...] = (a_server(),),
    tables: tuple[Table, ...] = (TABLE,),
    hidden: bool = False,
    **expected: Any,
) -> list[Finding]:
    limits = IndexesPolicy.model_validate({"expected": [{"index": "public.i", **expected}]})
    blind = {TABLE.relation: [NAME]} if hidden else {}
    catalog = Catalog(indexes, {each.oid: each for each in tables}, blind=blind)
    seen = IndexesObservation(catalog, servers, Advice(NOW), "maintenance")
    return list(expectation_findings(limits, seen, NOW))


def reasons(findings: list[Finding]) -> list[Any]:
    assert {each.kind for each in findings} <= {EXPECTED}
    return [each.data["reason"] for each in findings]


def test_index_that_is_there_is_as_expected() -> None:
    assert found(INDEX) == []


def test_missing_or_invalid_index_is_an_error() -> None:
    (missing,) = found()
    (invalid,) = found(INDEX._replace(is_valid=False))
    assert reasons([missing, invalid]) == ["missing", "invalid"]
    assert missing.severity is invalid.severity is Severity.ERROR
    assert missing.object == "public.i"


def test_index_being_built_or_locked_is_not_judged() -> None:
    assert found(INDEX._replace(is_valid=False, is_building=True)) == []
    assert found(hidden=True) == []


@pytest.mark.parametrize(("pages", "too_large"), [(20, False), (21, True), (0, False)])
def test_index_larger_than_its_share_is_a_warning(pages: int, too_large: bool) -> None:
    findings = found(INDEX._replace(pages=pages), of_table=0.2)
    assert reasons(findings) == (["size"] if too_large else [])
    if too_large:
        assert (findings[0].value, findings[0].threshold) == (0.21, 0.2)


def test_share_of_an_empty_table_is_unknown() -> None:
    assert found(INDEX, tables=(TABLE._replace(pages=0),), of_table=0.2) == []


def test_partitioned_index_is_the_sum_of_its_parts() -> None:
    parent = INDEX._replace(is_partitioned=True, pages=0)
    part = INDEX._replace(oid=8, relation=QualifiedName("public", "p_i"), table_oid=2, parent=7)
    tables = (
        TABLE._replace(kind="p", pages=0),
        TABLE._replace(oid=2, relation=QualifiedName("public", "p"), pages=50),
    )
    (large,) = found(parent, part, tables=tables, of_table=0.5, scans=5, servers=(a_server(6),))
    assert large.value == 0.8


@pytest.mark.parametrize(("scans", "too_few"), [(999, True), (1000, False)])
def test_fewer_scans_on_all_servers_than_expected_are_a_warning(scans: int, too_few: bool) -> None:
    servers = (a_server(600), a_server(scans - 600, "replica"))
    findings = found(INDEX, servers=servers, scans=1000)
    assert reasons(findings) == (["scans"] if too_few else [])
    assert [each.value for each in findings] == ([999] if too_few else [])


@pytest.mark.parametrize(
    "servers",
    [
        (a_server(5), a_server(name="replica", known=False)),
        (ServerUsage("primary", a_server().usage, None),),
    ],
)
def test_unknown_scans_are_said_and_keep_the_alert(servers: tuple[ServerUsage, ...]) -> None:
    (finding,) = found(INDEX, servers=servers, scans=1000)
    assert finding.kind is FindingKind.INDEX_EVIDENCE_INSUFFICIENT
    assert finding.data[UNKNOWN] == {EXPECTED.value: ["public.i"]}
    assert found(INDEX, servers=servers) == []
