"""Advice on schemas in the image of real ones: true, coherent, complete and quiet."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from maintenance.engine.findings import Finding, FindingKind
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from tests.advice_corpus.experiment import Experiment, prepare, run
from tests.advice_corpus.judgement import (
    Index,
    above_info,
    contradictions,
    drops_of,
    false_verdicts,
    missed,
    noise,
    read_indexes,
    restores_of,
    told_keys,
)
from tests.advice_corpus.models import Schema
from tests.advice_corpus.schemas import SCHEMAS
from tests.builders import Database
from tests.policies import make_policy

AFTER = timedelta(days=36)
SECTIONS: dict[str, Any] = {
    "indexes": {},
    "statistics": {},
    "bloat": {},
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
        if database.server.major == 15:
            connection.execute("CREATE EXTENSION pg_stat_statements")
        connection.execute(schema.tables.encode())
        connection.execute("VACUUM (ANALYZE)")


def work(database: Database, schema: Schema) -> None:
    """Run the application's statements, and hand their counters over."""
    with psycopg.connect(database.url, autocommit=True) as connection:
        prepare(connection)
        for statement in (*schema.queries, *schema.writes):
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
        creates = {key: create for key, _, create in told_keys(above_info(findings))}
        if not drops and not creates:
            return faults
        faults += experiment.drop(drops, restores_of(findings))
        faults += experiment.create(creates)
        now = datetime.now(UTC) + AFTER + timedelta(minutes=1)
        findings = pipeline.plan(policy, now=now).findings
        faults += contradictions(findings)
    return [*faults, f"still advised: {sorted(drops_of(findings))}"]


@pytest.mark.pg("!= 16")
@pytest.mark.parametrize("schema", SCHEMAS, ids=[schema.name for schema in SCHEMAS])
def test_advice_is_true_complete_and_quiet_and_can_be_followed_as_a_whole(
    database: Database, tmp_path: Path, schema: Schema
) -> None:
    load(database, schema)
    policy = make_policy(tmp_path, database.url, **SECTIONS)
    start = datetime.now(UTC)
    first = look(policy, start)
    connection = database.connect()
    before = read_indexes(connection)
    work(database, schema)
    indexes = scans_since(before, read_indexes(connection))
    findings = look(policy, start + AFTER)
    experiment = Experiment(connection, schema.queries)
    faults = [
        *contradictions(first),
        *noise(first, before, LOUD),
        *contradictions(findings),
        *false_verdicts(schema, findings, indexes, experiment),
        *missed(schema, findings, indexes),
        *noise(findings, indexes, LOUD),
        *follow(experiment, policy, findings),
    ]
    assert not faults, "\n".join(faults)
