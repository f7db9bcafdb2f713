"""What is answered to statements of the systems' plans that are wrong, declared as they are."""

from pathlib import Path

import psycopg
import pytest

from maintenance.engine.findings import FindingKind, Severity
from maintenance.errors import PolicyError
from maintenance.pipeline import run as pipeline
from maintenance.subjects.indexes import INDEXES
from tests.builders import Database
from tests.example_systems import schema
from tests.policies import make_policy
from tests.system_defects import DEFECTS, POLICY, Defect

pytestmark = pytest.mark.pg("== 18")

KINDS = {kind.value for kind in FindingKind if INDEXES.name in kind.spec.subjects}
ELSEWHERE = {"U6": "a row, refused while it is written", "P11h": "a view, which its section has"}
ANSWERED = [each for each in DEFECTS if each.answer in KINDS and each.id not in ELSEWHERE]
DECLARED = [each for each in ANSWERED if not each.statement.startswith("SELECT")]
ASKED = [each for each in ANSWERED if each.statement.startswith("SELECT")]
REFUSED = [each for each in DEFECTS if each.answer == POLICY]


def prepare(database: Database, defect: Defect) -> None:
    with psycopg.connect(database.url, autocommit=True) as connection:
        if defect.schema:
            system, _, file = defect.schema.partition("/")
            connection.execute(schema(system, file or "schema.sql").encode())
        for statement in defect.setup:
            connection.execute(statement.encode())


@pytest.mark.parametrize("defect", REFUSED, ids=lambda each: each.id)
def test_file_is_refused_before_anything_runs(defect: Defect, tmp_path: Path) -> None:
    (tmp_path / "indexes.sql").write_text(defect.statement)
    with pytest.raises(PolicyError) as error:
        make_policy(tmp_path, "postgresql://127.0.0.1:9/none", indexes={"declared": "indexes.sql"})
    assert {Path(problem.file).name for problem in error.value.problems} == {"indexes.sql"}
    assert all(problem.line for problem in error.value.problems)


@pytest.mark.parametrize("defect", DECLARED, ids=lambda each: each.id)
def test_declaration_is_answered_and_skipped(
    defect: Defect, database: Database, tmp_path: Path
) -> None:
    prepare(database, defect)
    (tmp_path / "indexes.sql").write_text(defect.statement)
    keys = {"declared": "indexes.sql", "allow_drop": True, "allow_rewrite": True}
    policy = make_policy(tmp_path, database.url, indexes=keys)
    before = database.execute("SELECT oid, relname FROM pg_class ORDER BY oid")
    report = pipeline.plan(policy, only=[INDEXES.name])
    found = [f for f in report.findings if f.kind.value == defect.answer]
    assert found, [str(f.kind) for f in report.findings]
    assert any(defect.said in f"{f.message} {f.data}" for f in found)
    assert database.execute("SELECT oid, relname FROM pg_class ORDER BY oid") == before


@pytest.mark.parametrize("defect", ASKED, ids=lambda each: each.id)
def test_query_that_can_not_be_planned_is_told(
    defect: Defect, database: Database, tmp_path: Path
) -> None:
    prepare(database, defect)
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries" / "q.sql").write_text(defect.statement)
    policy = make_policy(tmp_path, database.url, indexes={"queries": "queries"})
    found = pipeline.plan(policy, only=[INDEXES.name]).findings
    told = [f for f in found if f.kind.value == defect.answer]
    assert [f.object for f in told] == ["app/queries/q"]


def test_every_defect_for_declared_indexes_is_answered() -> None:
    assert (len(DECLARED), len(ASKED), len(REFUSED)) == (30, 4, 3)


def test_query_that_awaits_a_declared_column_is_no_drift(
    database: Database, tmp_path: Path
) -> None:
    database.execute("CREATE TABLE public.t (a int)")
    (tmp_path / "indexes.sql").write_text(
        "ALTER TABLE t ADD COLUMN twice int GENERATED ALWAYS AS (2 * a) STORED;"
    )
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries" / "awaits.sql").write_text("SELECT twice FROM t")
    (tmp_path / "queries" / "drifts.sql").write_text("SELECT thrice FROM t")
    keys = {"declared": "indexes.sql", "queries": "queries"}
    policy = make_policy(tmp_path, database.url, indexes=keys)
    found = {
        f.object: f.severity
        for f in pipeline.plan(policy, only=[INDEXES.name]).findings
        if f.kind is FindingKind.SCHEMA_DRIFT
    }
    assert found == {"app/queries/awaits": Severity.INFO, "app/queries/drifts": Severity.ERROR}
