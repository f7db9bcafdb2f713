"""A policy with a typo raises an alert: at its own sinks if they can be read, else at others'."""

from pathlib import Path

import dagster as dg
import pytest

from maintenance.orchestration.build import build
from tests.builders import Database
from tests.policies import EVENTS, write_policy
from tests.receivers import Receiver, http_receiver

pytestmark = pytest.mark.pg("== 18")


def look(folder: Path, instance: dg.DagsterInstance) -> None:
    definitions = build([folder])
    repository = definitions.get_repository_def()
    with dg.build_sensor_context(instance=instance, repository_def=repository) as context:
        repository.get_sensor_def("alert_on_findings").evaluate_tick(context)


def told(receiver: Receiver) -> list[tuple[str, str, str]]:
    return [(each["state"], each["kind"], each["object"]) for each in receiver.events()]


def test_typo_is_told_to_the_sinks_of_its_own_file_until_it_is_corrected(
    database: Database, tmp_path: Path, receiver: Receiver, instance: dg.DagsterInstance
) -> None:
    alerts = {"sinks": [receiver.webhook()], "ui": "http://ui"}
    path = write_policy(
        tmp_path, database.url, EVENTS, alerts=alerts, statistics={"changed_rowz": 1}
    )
    for _ in range(2):
        look(tmp_path, instance)
    assert told(receiver) == [("raised", "policy_broken", str(path))]
    (document,) = receiver.documents()
    assert document["links"]["dagster"] == "http://ui/assets/app/broken_policy"
    assert "changed_rowz" in document["message"]
    write_policy(tmp_path, database.url, EVENTS, alerts=alerts, statistics={})
    look(tmp_path, instance)
    assert told(receiver)[1:] == [("resolved", "policy_broken", str(path))]


def test_file_that_can_not_be_read_is_told_by_another_policy(
    database: Database, tmp_path: Path, receiver: Receiver, instance: dg.DagsterInstance
) -> None:
    alerts = {"sinks": [receiver.webhook()]}
    write_policy(tmp_path, database.url, EVENTS, alerts=alerts)
    broken = tmp_path / "broken.yaml"
    broken.write_text("database: {name: [\n")
    look(tmp_path, instance)
    assert told(receiver) == [("raised", "policy_broken", str(broken))]
    broken.unlink()
    look(tmp_path, instance)
    assert told(receiver)[1:] == [("resolved", "policy_broken", str(broken))]


def test_second_file_of_one_name_is_told_by_the_first(
    database: Database, tmp_path: Path, receiver: Receiver, instance: dg.DagsterInstance
) -> None:
    write_policy(tmp_path, database.url, EVENTS, alerts={"sinks": [receiver.webhook()]})
    with http_receiver() as other:
        path = write_policy(tmp_path, database.url, alerts={"sinks": [other.webhook()]})
        second = path.rename(tmp_path / "second.yaml")
        write_policy(tmp_path, database.url, EVENTS, alerts={"sinks": [receiver.webhook()]})
        look(tmp_path, instance)
        assert told(receiver) == [("raised", "policy_broken", str(second))]
        assert told(other) == []


def test_tick_fails_where_nobody_can_be_told(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    (tmp_path / "broken.yaml").write_text("database: {name: [\n")
    with pytest.raises(dg.Failure, match=r"broken\.yaml"):
        look(tmp_path, instance)
