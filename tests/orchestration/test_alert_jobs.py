"""Jobs about alerts, as the Dagster UI launches them: test the sinks, acknowledge an alert."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from maintenance.alerts.sinks import name_of
from maintenance.orchestration.build import build
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.notify import run_round, standing
from maintenance.policy import Policy, load_policy
from tests.builders import Database
from tests.policies import EVENTS, write_policy
from tests.receivers import Receiver

pytestmark = pytest.mark.pg("== 18")

NOWHERE = "postgresql://nobody@127.0.0.1:9/app"
SILENT = {"type": "webhook", "url": "http://127.0.0.1:9/TOKEN"}


def run(
    folder: Path, instance: dg.DagsterInstance, job: str, op: str, **config: Any
) -> dg.ExecuteInProcessResult:
    definition = build([folder]).resolve_job_def(job)
    return definition.execute_in_process(
        instance=instance, raise_on_error=False, run_config={"ops": {op: {"config": config}}}
    )


def shown(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """The metadata of the only output."""
    (output,) = [
        event.step_output_data for event in result.all_events if event.is_successful_output
    ]
    return {key: value.value for key, value in output.metadata.items()}


def test_sinks_are_tested_without_a_database(
    tmp_path: Path, receiver: Receiver, instance: dg.DagsterInstance
) -> None:
    sinks = [receiver.webhook(), {"type": "log", "severities": ["error"]}]
    policy = load_policy(write_policy(tmp_path, NOWHERE, EVENTS, alerts={"sinks": sinks}))
    result = run(tmp_path, instance, "app_alerts_test", "app_test_sinks")
    assert result.success
    answers = shown(result)
    assert answers.keys() == {name_of(sink) for sink in policy.alerts.sinks}
    assert "200" in answers[name_of(policy.alerts.sinks[0])]
    (document,) = receiver.documents()
    assert document["state"] == "test"


def test_sink_that_fails_fails_the_test_and_raises_no_alert(
    database: Database, tmp_path: Path, receiver: Receiver, instance: dg.DagsterInstance
) -> None:
    sinks = [receiver.webhook(), SILENT]
    path = write_policy(tmp_path, database.url, EVENTS, alerts={"sinks": sinks})
    policy = load_policy(path)
    result = run(tmp_path, instance, "app_alerts_test", "app_test_sinks")
    assert not result.success
    failure = failure_of(result, "app_test_sinks")
    assert failure.metadata.keys() == {name_of(sink) for sink in policy.alerts.sinks}
    assert name_of(policy.alerts.sinks[1]) in (failure.description or "")
    assert "TOKEN" not in str(result.all_events)
    repository = build([tmp_path]).get_repository_def()
    with dg.build_sensor_context(instance=instance, repository_def=repository) as context:
        repository.get_sensor_def("alert_on_run_failure").evaluate_tick(context)
    assert standing(policy) == ([], None)


def failure_of(result: dg.ExecuteInProcessResult, op: str) -> Any:
    data = result.failure_data_for_node(op)
    assert data is not None
    return data.user_failure_data


def test_one_sink_is_tested_by_its_name(
    tmp_path: Path, receiver: Receiver, instance: dg.DagsterInstance
) -> None:
    write_policy(tmp_path, NOWHERE, EVENTS, alerts={"sinks": [receiver.webhook(), {"type": "log"}]})
    result = run(tmp_path, instance, "app_alerts_test", "app_test_sinks", sink="log")
    assert list(shown(result)) == ["log"]
    assert receiver.bodies == []


@pytest.fixture
def policy(database: Database, tmp_path: Path) -> Policy:
    """A policy with one open alert: its table is missing."""
    policy = load_policy(write_policy(tmp_path, database.url, EVENTS))
    pipeline.apply(policy)
    run_round(policy, [])
    return policy


def tend(folder: Path, instance: dg.DagsterInstance, **config: Any) -> dg.ExecuteInProcessResult:
    given = {"kind": "no_such_table", "object": "public.events", **config}
    return run(folder, instance, "app_acknowledge_alert", "app_tend_alert", **given)


def test_alert_is_acknowledged_muted_and_cleared(
    policy: Policy, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    assert tend(tmp_path, instance).success
    ((alert,), _) = standing(policy)
    assert alert.acknowledged_until is not None
    assert alert.muted_until is None
    muted = tend(tmp_path, instance, action="mute", until="2100-01-01")
    assert "2100-01-01" in shown(muted)["muted_until"]
    assert tend(tmp_path, instance, action="clear").success
    ((alert,), _) = standing(policy)
    assert (alert.acknowledged_until, alert.muted_until) == (None, None)


@pytest.mark.usefixtures("policy")
def test_what_can_not_be_done_is_said_with_what_can(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    listed = "no_such_table public.events"
    wrong = [
        ({"object": "public.other"}, listed),
        ({"kind": "typo"}, listed),
        ({"until": "x"}, "x"),
    ]
    for config, wanted in wrong:
        result = tend(tmp_path, instance, **config)
        assert not result.success
        assert wanted in failure_of(result, "app_tend_alert").description
