"""Advice on schemas in the image of real ones: true, coherent, complete and quiet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from maintenance.demo.programs import has_extension
from maintenance.engine.findings import Finding, FindingKind
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from tests.advice_corpus.experiment import Experiment, prepare, run, undone
from tests.advice_corpus.judgement import (
    Index,
    contradictions,
    creates_of,
    drops_of,
    false_verdicts,
    missed,
    missed_unused,
    noise,
    read_indexes,
    restores_of,
)
from tests.advice_corpus.models import Schema
from tests.advice_corpus.random_schema import random_schema
from tests.advice_corpus.schemas import SCHEMAS
from tests.builders import Database
from tests.policies import make_policy

AFTER = timedelta(days=36)
SECTIONS: dict[str, Any] = {
    "indexes": {},
    "statistics": {},
    "bloat": {},
    "capacity": {},
    "workload": {"disk_growth": {"free_disk": "1 MB"}},
}
LOUD = {
    FindingKind.INDEX_DUPLICATE,
    FindingKind.INDEX_REDUNDANT,
    FindingKind.INDEX_UNUSED,
    FindingKind.INDEX_LOW_CARDINALITY,
    FindingKind.INDEX_INVALID,
    FindingKind.FK_UNINDEXED,
}
MAX_ROUNDS = 3


def load(database: Database, schema: Schema) -> None:
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("SET jit = off")
        connection.execute("SET max_parallel_maintenance_workers = 0")
        connection.execute("SET maintenance_work_mem = '64MB'")
        if has_extension(database.server.binaries, "pg_stat_statements"):
            connection.execute("CREATE EXTENSION pg_stat_statements")
        connection.execute(schema.tables.encode())
        connection.execute("VACUUM (ANALYZE)")


def work(database: Database, schema: Schema) -> None:
    """Run the application's statements, and hand their counters over."""
    with psycopg.connect(database.url, autocommit=True) as connection:
        prepare(connection)
        # Which of two equal indexes is read is the planner's secret, so it gets only one to see.
        with undone(connection):
            for index in sorted(schema.unread):
                run(connection, f'DROP INDEX "{index}"')
            for query in schema.queries:
                run(connection, query)
        for statement in schema.writes:
            run(connection, statement)
        run(connection, "SELECT pg_stat_force_next_flush()")


def look(policy: Policy, now: datetime) -> list[Finding]:
    return list(pipeline.apply(policy, now=now).findings)


def scans_since(before: Mapping[str, Index], after: Mapping[str, Index]) -> dict[str, Index]:
    return {
        name: replace(index, scans=index.scans - before[name].scans)
        for name, index in after.items()
    }


def follow(experiment: Experiment, policy: Policy, findings: Sequence[Finding]) -> list[str]:
    """Carry the advice out, and what is advised then, until there is none."""
    faults: list[str] = []
    for _ in range(MAX_ROUNDS):
        drops = drops_of(findings)
        creates = creates_of(findings)
        if not drops and not creates:
            return faults
        faults += experiment.drop(drops, restores_of(findings))
        faults += experiment.create(creates)
        now = datetime.now(UTC) + AFTER + timedelta(minutes=1)
        findings = pipeline.plan(policy, now=now).findings
        faults += contradictions(findings)
    return [*faults, f"still advised: {sorted(drops_of(findings))}"]


def follow_at_once(experiment: Experiment, findings: Sequence[Finding]) -> list[str]:
    """Carry the advice out, and take it back."""
    with undone(experiment.connection):
        return list(experiment.drop(drops_of(findings), restores_of(findings)))


@dataclass(frozen=True)
class Life:
    """A database that had its work before the first look, and as much in the window after it.

    Attributes:
        findings: of the first look and of the one after the window.
        indexes: with the scans before the first look, and in the window.
        faults: of the advice of the first look.
    """

    policy: Policy
    findings: tuple[Sequence[Finding], Sequence[Finding]]
    indexes: tuple[Mapping[str, Index], Mapping[str, Index]]
    experiment: Experiment
    faults: Sequence[str]


def live(database: Database, folder: Path, schema: Schema) -> Life:
    load(database, schema)
    policy = make_policy(folder, database.url, **SECTIONS)
    # What is measured is no use of an index.
    connection = database.connect(options="-c track_counts=off")
    loaded = read_indexes(connection)
    work(database, schema)
    first = scans_since(loaded, read_indexes(connection))
    start = datetime.now(UTC)
    advice = look(policy, start)
    experiment = Experiment(connection, schema.queries)
    faults = [
        *contradictions(advice),
        *false_verdicts(schema, advice, first, experiment),
        *missed(schema, advice, is_first=True),
        *follow_at_once(experiment, advice),
    ]
    before = read_indexes(connection)
    work(database, schema)
    window = scans_since(before, read_indexes(connection))
    later = look(policy, start + AFTER)
    return Life(policy, (advice, later), (first, window), experiment, faults)


def untruths(schema: Schema, life: Life) -> list[str]:
    (_, findings), (_, indexes) = life.findings, life.indexes
    return [
        *(f"at first, {fault}" for fault in life.faults),
        *contradictions(findings),
        *false_verdicts(schema, findings, indexes, life.experiment),
        *missed(schema, findings),
        *missed_unused(findings, indexes),
        *follow(life.experiment, life.policy, findings),
    ]


@pytest.mark.pg("!= 16")
@pytest.mark.parametrize("schema", SCHEMAS, ids=[schema.name for schema in SCHEMAS])
def test_advice_is_true_complete_and_quiet_and_can_be_followed_as_a_whole(
    database: Database, tmp_path: Path, schema: Schema
) -> None:
    if database.server.major < 18:
        schema = replace(schema, unindexed=schema.unindexed | schema.skip_scanned)
    life = live(database, tmp_path, schema)
    faults = [
        *noise(schema, life.findings[0], life.indexes[0], LOUD),
        *noise(schema, life.findings[1], life.indexes[1], LOUD),
        *untruths(schema, life),
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.slow
@pytest.mark.pg("!= 16")
@pytest.mark.parametrize("seed", range(20))
def test_advice_on_random_indexes_can_be_followed_as_a_whole(
    database: Database, tmp_path: Path, seed: int
) -> None:
    schema = random_schema(seed)
    faults = untruths(schema, live(database, tmp_path, schema))
    assert not faults, "\n".join(faults)
