"""Partitions with bounds of another calendar, on a real server: which rows go in, and when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from maintenance.engine.executor import Outcome
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from tests.builders import Database
from tests.policies import make_policy

NOW = datetime(2026, 11, 28, 14, tzinfo=UTC)
pytestmark = [pytest.mark.pg("== 16"), pytest.mark.store(NOW)]
TREES = "SELECT relname FROM pg_class WHERE relispartition AND relkind IN ('r', 'p')"


@dataclass(frozen=True)
class Odd:
    """A table whose partitions end where its policy's periods do not.

    `fails` is the first value of the key, from now on, that no partition takes; `before` one
    right before it.
    """

    type: str
    bounds: Sequence[tuple[str, str]]
    before: str
    fails: str
    policy: dict[str, Any]
    gap: bool = False


def days_of_march(last: int) -> list[tuple[str, str]]:
    return [(f"2027-03-{day}", f"2027-03-{day + 1}") for day in range(10, last + 1)]


ODD = {
    "weeks of another zone": Odd(
        "timestamptz",
        [("2026-11-22 23:00+00", "2026-11-29 23:00+00")],
        "2026-11-29 22:59:59.999999+00",
        "2026-11-29 23:00+00",
        {"interval": "1 week", "premake": 2},
    ),
    "months that end within a second": Odd(
        "timestamptz",
        [("2026-10-01+00", "2026-11-28 15:00:07.25+00")],
        "2026-11-28 15:00:07.249999+00",
        "2026-11-28 15:00:07.25+00",
        {"interval": "1 month"},
    ),
    "a hole before now": Odd(
        "timestamptz",
        [("2026-10-01+00", "2026-11-10 10:00+00"), ("2026-11-10 11:30+00", "2027-01-01+00")],
        "2026-11-10 09:59:59+00",
        "2026-11-10 10:00+00",
        {"interval": "1 month", "premake": 1},
        gap=True,
    ),
    "a clock that skips midnight": Odd(
        "timestamp",
        [("2026-11-28", "2027-03-14")],
        "2027-03-13 23:59:59",
        "2027-03-14 00:00:00",
        {"interval": "1 day", "time_zone": "America/Havana", "premake": 120},
    ),
    "dates under a zone far from UTC": Odd(
        "date",
        [("2026-11-02", "2026-12-03")],
        "2026-12-02",
        "2026-12-03",
        {"interval": "1 month", "time_zone": "Pacific/Auckland"},
    ),
    "milliseconds": Odd(
        "bigint",
        [("1793491200000", "1796083200000"), ("1796083200000", "1796083200123")],
        "1796083200122",
        "1796083200123",
        {"interval": "1 month", "encoding": "epoch_ms"},
    ),
}


def make(database: Database, folder: Path, odd: Odd, *more: str, **policy: Any) -> Policy:
    database.execute(
        f"CREATE TABLE public.odd (id int, at {odd.type} NOT NULL) PARTITION BY RANGE (at)"
    )
    for place, (lower, upper) in enumerate(odd.bounds):
        database.execute(
            f"CREATE TABLE public.odd_{place} PARTITION OF public.odd"
            f" FOR VALUES FROM ('{lower}') TO ('{upper}')"
        )
    for statement in more:
        database.execute(statement)
    section = {"table": "public.odd", "column": "at", **odd.policy, **policy}
    return make_policy(folder, database.url, section)


def insert(database: Database, value: str) -> None:
    database.execute(f"INSERT INTO public.odd VALUES (1, '{value}')")


def the(findings: Sequence[Finding], kind: FindingKind) -> Finding:
    (finding,) = [finding for finding in findings if finding.kind is kind]
    return finding


def apply(policy: Policy) -> pipeline.Report:
    report = pipeline.apply(policy, now=NOW, only=["partitions"])
    errors = [result.error for result in report.results if result.outcome is not Outcome.DONE]
    assert not errors
    return report


def urgent(report: pipeline.Report) -> set[FindingKind]:
    return {f.kind for f in report.findings if f.severity is not Severity.INFO}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_first_moment_without_a_partition_is_told_to_the_second_and_bridged(
    database: Database, tmp_path: Path, odd: Odd
) -> None:
    policy = make(database, tmp_path, odd)
    findings = pipeline.plan(policy, now=NOW).findings
    kind = FindingKind.PARTITION_GAP if odd.gap else FindingKind.PARTITION_HORIZON_SHORT
    data = the(findings, kind).data
    told = data["ranges"][0][0] if odd.gap else data["first_missing_key"]
    insert(database, odd.before)
    for value in (odd.fails, told):
        with pytest.raises(psycopg.errors.CheckViolation):
            insert(database, value)
    if odd.type == "timestamptz":
        with pytest.raises(psycopg.errors.CheckViolation):
            insert(database, data["impact_at"])
    assert urgent(apply(policy)) == set()
    insert(database, odd.fails)
    again = pipeline.plan(policy, now=NOW, only=["partitions"])
    assert not again.plan.actions


def test_bridge_takes_the_rows_that_a_default_partition_holds_of_it(
    database: Database, tmp_path: Path
) -> None:
    default = "CREATE TABLE public.odd_default PARTITION OF public.odd DEFAULT"
    rows = (
        "INSERT INTO public.odd SELECT g, timestamptz '2026-11-29 23:00+00' + g * interval '1 min'"
        " FROM generate_series(0, 100) g",
        "INSERT INTO public.odd VALUES (-1, '2019-01-01')",
    )
    policy = make(database, tmp_path, ODD["weeks of another zone"], default, *rows)
    apply(policy)
    found = database.execute(
        "SELECT tableoid::regclass::text, count(*) FROM public.odd GROUP BY 1 ORDER BY 1"
    )
    assert found == [
        ("odd_2026_11_23_from_2026_11_29_230000", 60),
        ("odd_2026_11_30", 41),
        ("odd_default", 1),
    ]


def test_bridge_of_a_tree_is_a_tree_with_names_of_its_own(
    database: Database, tmp_path: Path
) -> None:
    database.execute("CREATE TABLE public.odd (id int, at timestamptz) PARTITION BY RANGE (at)")
    database.execute(
        "CREATE TABLE public.odd_2026_10 PARTITION OF public.odd"
        " FOR VALUES FROM ('2026-10-01+00') TO ('2026-12-20 04:30+00') PARTITION BY HASH (id)"
    )
    for n in range(2):
        database.execute(
            f"CREATE TABLE public.h{n}_2026_10 PARTITION OF public.odd_2026_10"
            f" FOR VALUES WITH (MODULUS 2, REMAINDER {n})"
        )
    policy = make_policy(tmp_path, database.url, {"table": "public.odd", "column": "at"})
    apply(policy)
    insert(database, "2026-12-31 12:00+00")
    names = {name for (name,) in database.execute(TREES)}
    assert {"h0_2026_12_from_2026_12_20_043000", "h0_2027_01"} <= names
    assert not pipeline.plan(policy, now=NOW, only=["partitions"]).plan.actions


def test_policy_can_forbid_bridges_and_then_the_statements_are_given(
    database: Database, tmp_path: Path
) -> None:
    policy = make(database, tmp_path, ODD["weeks of another zone"], bridge=False)
    drift = the(apply(policy).findings, FindingKind.PARTITION_TIME_ZONE_DRIFT)
    with pytest.raises(psycopg.errors.CheckViolation):
        insert(database, "2026-11-29 23:30+00")
    for statement in drift.data["statements"]:
        database.execute(statement)
    insert(database, "2026-11-29 23:30+00")
    assert urgent(apply(policy)) == set()


@pytest.mark.parametrize(
    ("type_", "lower", "upper", "encoding"),
    [
        ("timestamptz", "'2026-07-01+00'", "MAXVALUE", "native"),
        ("timestamp", "'2026-11-03'", "'2100-01-01'", "native"),
        ("bigint", "MINVALUE", "MAXVALUE", "epoch_ms"),
    ],
)
def test_catch_all_is_a_warning_whose_statements_bound_it(
    database: Database, tmp_path: Path, type_: str, lower: str, upper: str, encoding: str
) -> None:
    key = {"bigint": "1795860000000"}.get(type_, "2026-11-28 10:00")
    database.execute(f'CREATE TABLE public.ev ("At" {type_}, id int) PARTITION BY RANGE ("At")')
    database.execute(
        'CREATE TABLE public."catch$$all" PARTITION OF public.ev'
        f" FOR VALUES FROM ({lower}) TO ({upper})"
    )
    database.execute(f"INSERT INTO public.ev VALUES ('{key}', 1)")
    section = {"table": "public.ev", "column": "At", "encoding": encoding}
    policy = make_policy(tmp_path, database.url, section)
    report = apply(policy)
    finding = the(report.findings, FindingKind.PARTITION_OVERLAP)
    assert (finding.severity, finding.object) == (Severity.WARN, "public.ev")
    assert not report.results
    with database.connect() as connection:
        for statement in finding.data["statements"]:
            connection.execute(statement)
    assert urgent(apply(policy)) == set()
    assert {"ev_2026_12", "ev_2027_02"} <= {name for (name,) in database.execute(TREES)}
    assert database.execute("SELECT count(*) FROM public.ev") == [(1,)]
