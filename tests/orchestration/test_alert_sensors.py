"""The sensor of alerts: what runs have found is told, whatever breaks one database."""

from pathlib import Path

import dagster as dg
import pytest

from maintenance import maintain
from maintenance.orchestration.build import build
from maintenance.policy import load_policy
from tests.builders import Database
from tests.policies import EVENTS, write_policy

pytestmark = pytest.mark.pg("== 18")


def evaluate(folder: Path) -> str:
    sensor = build([folder]).resolve_sensor_def("alert_on_findings")
    with dg.DagsterInstance.ephemeral() as instance:
        result = sensor(dg.build_sensor_context(instance=instance))
    assert isinstance(result, dg.SkipReason)
    return str(result.skip_message)


def test_findings_of_a_run_are_told_once(database: Database, tmp_path: Path) -> None:
    path = write_policy(tmp_path, database.url, EVENTS)
    maintain.apply(load_policy(path))
    assert evaluate(tmp_path) == "app: 1 alerts stand, 1 told"
    assert evaluate(tmp_path) == "app: 1 alerts stand, 0 told"


def test_database_out_of_reach_stops_no_other(database: Database, tmp_path: Path) -> None:
    write_policy(tmp_path, "postgresql://nobody:secret@127.0.0.1:9/gone", EVENTS, name="gone")
    path = write_policy(tmp_path, database.url, EVENTS)
    maintain.apply(load_policy(path))
    told = evaluate(tmp_path)
    assert "app: 1 alerts stand, 1 told" in told
    assert "gone: 127.0.0.1:9/gone as nobody: " in told
    assert "secret" not in told
