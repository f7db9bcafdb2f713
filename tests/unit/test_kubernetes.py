"""The files for Kubernetes: every key exists, and they say what dagster.yaml and Compose say."""

from collections.abc import Iterator
from typing import Any

import kubernetes.client
import pytest
import yaml

from tests.builders import ROOT

FOLDER = ROOT / "deploy/kubernetes"
MODELS: Any = kubernetes.client
KINDS = {"Deployment": "V1Deployment", "Service": "V1Service"}


def manifests() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / "plain.yaml").read_text()))


def values() -> dict[str, Any]:
    return yaml.safe_load((FOLDER / "values.yaml").read_text())


def instance() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "dagster.yaml").read_text())


def unknown_keys(model: str, written: Any, path: str = "") -> Iterator[str]:
    """The keys of a manifest that the model of the Kubernetes client does not have."""
    if model.startswith("list["):
        for number, each in enumerate(written):
            yield from unknown_keys(model[5:-1], each, f"{path}[{number}]")
    elif hasattr(MODELS, model):
        types = getattr(MODELS, model)
        names = {name: types.openapi_types[own] for own, name in types.attribute_map.items()}
        for key, value in written.items():
            if key in names:
                yield from unknown_keys(names[key], value, f"{path}.{key}")
            else:
                yield f"{path}.{key}"


def test_plain_manifests_have_only_keys_that_exist() -> None:
    found = [each for m in manifests() for each in unknown_keys(KINDS[m["kind"]], m, m["kind"])]
    assert found == []
    (daemon, *_) = manifests()
    daemon["spec"]["template"]["spec"]["containers"][0]["readOnly"] = True
    assert list(unknown_keys("V1Deployment", daemon)) == [
        ".spec.template.spec.containers[0].readOnly"
    ]


def containers() -> dict[str, dict[str, Any]]:
    pods = [m["spec"]["template"]["spec"] for m in manifests() if m["kind"] == "Deployment"]
    made = [c for pod in pods for c in (*pod.get("initContainers", ()), *pod["containers"])]
    return {each["name"]: each for each in made}


def test_plain_manifests_run_what_compose_runs_and_as_confined() -> None:
    compose = yaml.safe_load((ROOT / "deploy/project/compose.yaml").read_text())["services"]
    assert {n: c["command"] for n, c in containers().items()} == {
        name: service["command"] for name, service in compose.items() if "command" in service
    }
    for each in containers().values():
        assert each["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert each["workingDir"] == compose["daemon"]["working_dir"]
        mounted = {mount["mountPath"] for mount in each["volumeMounts"]}
        assert {v.split(":")[1] for v in compose["daemon"]["volumes"]} <= mounted


@pytest.mark.parametrize(
    ("of_chart", "of_instance"),
    [
        (
            ("concurrency", "runs", "maxConcurrentRuns"),
            ("concurrency", "runs", "max_concurrent_runs"),
        ),
        (("concurrency", "pools", "granularity"), ("concurrency", "pools", "granularity")),
        (("concurrency", "pools", "defaultLimit"), ("concurrency", "pools", "default_limit")),
        (("dagsterDaemon", "schedules", "numWorkers"), ("schedules", "num_workers")),
        (("dagsterDaemon", "sensors", "numWorkers"), ("sensors", "num_workers")),
        (
            ("retention", "schedule", "purgeAfterDays"),
            ("retention", "schedule", "purge_after_days"),
        ),
        (("additionalInstanceConfig", "run_retries"), ("run_retries",)),
        (("additionalInstanceConfig", "nux"), ("nux",)),
        (("telemetry", "enabled"), ("telemetry", "enabled")),
        (("pythonLogs", "pythonLogLevel"), ("python_logs", "python_log_level")),
        (("postgresql", "postgresqlScheme"), ("storage", "postgres", "postgres_db", "scheme")),
        *(
            (("dagsterDaemon", "runMonitoring", chart), ("run_monitoring", own))
            for chart, own in (
                ("enabled", "enabled"),
                ("pollIntervalSeconds", "poll_interval_seconds"),
                ("freeSlotsAfterRunEndSeconds", "free_slots_after_run_end_seconds"),
            )
        ),
    ],
)
def test_chart_is_set_as_the_instance_is(
    of_chart: tuple[str, ...], of_instance: tuple[str, ...]
) -> None:
    assert at(values(), of_chart) == at(instance(), of_instance)


def at(settings: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        settings = settings[key]
    return settings


def test_no_password_is_in_the_files() -> None:
    assert "assword" not in (FOLDER / "plain.yaml").read_text()
    assert "postgresqlPassword" not in values()["postgresql"]
