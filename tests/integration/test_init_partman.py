"""Tables that the real pg_partman maintains are taken over: same partitions kept, same horizon."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.target import Target
from maintenance.partition_set.expected import horizon
from maintenance.partition_set.expiry import expired_of, spans_of
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.init import InitReport, init
from maintenance.policy import PartitionPolicy, load_policy
from tests.builders import Database

pytestmark = pytest.mark.pg("== 15")

SETS = {
    # table: interval, premake, retention, whether removed partitions stay as tables
    "months": ("monthly", 4, "6 months", True),
    "days": ("daily", 5, "20 days", False),
    "weeks": ("weekly", 3, "8 weeks", False),
    "quarters": ("quarterly", 2, "2 years", True),
}
NAMES = {
    "months": "{table}_p{yyyy}_{mm}",
    "days": "{table}_p{yyyy}_{mm}_{dd}",
    "weeks": "{table}_p{iyyy}w{ww}",
    "quarters": "{table}_p{yyyy}q{q}",
}
VARIABLE = "PARTMAN_URL"


@pytest.fixture
def partman(database: Database) -> Database:
    """Tables made by pg_partman, with a row of now and maintained once."""
    known = "SELECT FROM pg_available_extensions WHERE name = 'pg_partman'"
    if not database.execute(f"SELECT EXISTS ({known})")[0][0]:
        pytest.skip("pg_partman is not installed")
    database.execute(f"ALTER DATABASE {database.name} SET TimeZone = 'UTC'")
    with database.connect() as session:
        session.execute("CREATE SCHEMA partman")
        session.execute("CREATE EXTENSION pg_partman SCHEMA partman")
        for table, (interval, premake, retention, keeps) in SETS.items():
            session.execute(
                f"CREATE TABLE public.{table} (id bigint NOT NULL, at timestamptz NOT NULL)"
                " PARTITION BY RANGE (at)".encode()
            )
            session.execute(
                "SELECT partman.create_parent(%s, 'at', 'native', %s, p_premake := %s,"
                " p_start_partition := (now() - %s::interval)::text, p_jobmon := false)",
                (f"public.{table}", interval, premake, retention),
            )
            session.execute(
                "UPDATE partman.part_config SET retention = %s, retention_keep_table = %s"
                " WHERE parent_table = %s",
                (retention, keeps, f"public.{table}"),
            )
            session.execute(f"INSERT INTO public.{table} VALUES (1, now())".encode())
        session.execute("SELECT partman.run_maintenance(p_jobmon := false)")
    return database


def proposal(database: Database, folder: Path) -> tuple[InitReport, Target]:
    path = folder / "app.yaml"
    report = init(database.url, os.environ, name="app", variable=VARIABLE, path=path)
    path.write_text(report.text)
    return report, Target(load_policy(path), {**os.environ, VARIABLE: database.url})


def removed_by_partman(database: Database, table: str, at: datetime) -> set[str]:
    """The partitions that its own function would remove at a moment; rolled back."""
    listed = (
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = %s::regclass"
    )
    with database.connect(autocommit=False) as session:
        before = {name for (name,) in session.execute(listed, [f"public.{table}"])}
        session.execute(
            "SELECT partman.drop_partition_time(%s, p_reference_timestamp := %s)",
            (f"public.{table}", at),
        )
        after = {name for (name,) in session.execute(listed, [f"public.{table}"])}
        session.rollback()
    return before - after


def removed_by_us(target: Target, section: PartitionPolicy, at: datetime) -> set[str]:
    """The partitions that have expired by the proposed retention; the newest one never goes."""
    report = pipeline.plan(target, only=["retention"])
    assert report.snapshot is not None
    assert section.retention is not None
    spans = spans_of(section, report.snapshot)
    expired = expired_of(spans, section, section.retention, report.snapshot, at)
    names = {each.relation.name for each in expired}
    return names - {spans[-1].partition.relation.name}


def of_kind(findings: tuple[Finding, ...], kind: FindingKind) -> dict[str, Finding]:
    return {finding.object: finding for finding in findings if finding.kind is kind}


def test_every_table_is_taken_over_as_it_is(partman: Database, tmp_path: Path) -> None:
    report, target = proposal(partman, tmp_path)
    sections = {section.table.name: section for section in target.policy.partitions}
    assert sections.keys() == SETS.keys()
    for name, (_, premake, _, keeps) in SETS.items():
        section = sections[name]
        assert section.premake == premake
        assert section.name == NAMES[name]
        assert section.retention is not None
        assert section.retention.action == ("detach" if keeps else "drop")
    planned = pipeline.plan(target)
    assert planned.plan.actions == ()
    assert report.ok


def test_both_keep_the_same_partitions_at_given_moments(partman: Database, tmp_path: Path) -> None:
    _, target = proposal(partman, tmp_path)
    now = datetime.now(UTC)
    removed = 0
    for section in target.policy.partitions:
        for days in (0, 1, 7, 29, 31, 61, 95, 200):
            at = now + timedelta(days=days)
            theirs = removed_by_partman(partman, section.table.name, at)
            assert removed_by_us(target, section, at) == theirs
            removed += len(theirs)
    assert removed > 0


def test_both_have_the_same_horizon(partman: Database, tmp_path: Path) -> None:
    _, target = proposal(partman, tmp_path)
    now = datetime.now(UTC)
    report = pipeline.plan(target, now=now, only=["partitions"])
    assert report.snapshot is not None
    for section in target.policy.partitions:
        newest = spans_of(section, report.snapshot)[-1]
        assert newest.partition.relation.name == section.child_name(horizon(section, now))


def test_check_warns_until_pg_partman_is_switched_off(partman: Database, tmp_path: Path) -> None:
    _, target = proposal(partman, tmp_path)
    found = of_kind(pipeline.check(target).findings, FindingKind.PARTMAN_ACTIVE)
    assert found.keys() == {f"public.{name}" for name in SETS}
    assert {finding.severity for finding in found.values()} == {Severity.WARN}
    for finding in found.values():
        for statement in finding.data["statements"]:
            partman.execute(statement)
    assert of_kind(pipeline.check(target).findings, FindingKind.PARTMAN_ACTIVE) == {}


def test_retention_under_which_partitions_would_go_at_once_is_a_comment(
    partman: Database, tmp_path: Path
) -> None:
    partman.execute("UPDATE partman.part_config SET retention = '2 days' WHERE control = 'at'")
    _, target = proposal(partman, tmp_path)
    sections = {section.table.name: section for section in target.policy.partitions}
    assert sections["days"].retention is None
    assert pipeline.plan(target).plan.actions == ()
