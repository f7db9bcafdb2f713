"""Before and during the build of a declared index: free disk, and how far it is."""

from pathlib import Path
from typing import Any

import pytest

from maintenance.engine import build_monitor
from maintenance.engine.executor import Outcome
from maintenance.errors import MaintenanceError
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from tests.builders import Database
from tests.policies import make_policy

pytestmark = pytest.mark.in_turn

INDEXES = (
    "SELECT indexrelid::regclass::text FROM pg_catalog.pg_index WHERE indrelid = 't'::regclass"
)


def policy_of(database: Database, folder: Path, **preflight: Any) -> Policy:
    (folder / "declared.sql").write_text("CREATE INDEX t_a ON public.t (a);")
    section = {"declared": "declared.sql", "preflight": preflight}
    return make_policy(folder, database.url, indexes=section)


def test_build_without_enough_free_disk_is_refused(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE t AS SELECT generate_series(1, 1000) AS a")
    report = pipeline.apply(policy_of(database, tmp_path, free_disk="1000000 GB"))
    (result,) = report.results
    assert result.outcome is Outcome.FAILED
    assert isinstance(result.cause, MaintenanceError)
    assert result.cause.reason == "free_disk_low"
    assert database.execute(INDEXES) == []
    assert pipeline.apply(policy_of(database, tmp_path, free_disk="1 MB")).ok
    assert database.execute(INDEXES) == [("t_a",)]


def test_progress_of_a_build_is_told_with_its_phase(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_monitor, "FIRST_AFTER_S", 0.0)
    monkeypatch.setattr(build_monitor, "EVERY_S", 0.01)
    monkeypatch.setattr(build_monitor, "TELL_EVERY_S", 0.0)
    database.execute("CREATE TABLE t AS SELECT md5(n::text) AS a FROM generate_series(1, 300000) n")
    lines: list[str] = []
    report = pipeline.apply(policy_of(database, tmp_path, free_disk="1 MB"), progress=lines.append)
    assert report.ok
    assert [line for line in lines if "building index" in line], lines
