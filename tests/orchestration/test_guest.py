"""Our definitions beside those of a project that has its own, in one process."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from maintenance import MaintenanceComponent, build_definitions
from maintenance.errors import UsageError
from maintenance.orchestration.build import build
from tests.builders import Database
from tests.policies import CREATE_EVENTS, EVENTS, write_policy

pytestmark = pytest.mark.pg("== 18")

CHILDREN = "SELECT count(*) FROM pg_catalog.pg_inherits WHERE inhparent = 'events'::regclass"
WRONG_URL = "postgresql://nobody@127.0.0.1:9/nowhere"


class OwnStore(dg.IOManager):
    """An IO manager that is only for the host's assets."""

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:  # noqa: ARG002
        raise AssertionError(context.asset_key)

    def load_input(self, context: dg.InputContext) -> object:
        raise AssertionError(context.asset_key)


def host() -> dg.Definitions:
    """A project that has taken every name that we have alone."""

    @dg.asset(key=["app", "bloat"], group_name="health")
    def bloat(maintainer: dg.ResourceParam[str]) -> str:
        return maintainer

    @dg.sensor(name="alert_on_findings", asset_selection=[bloat])
    def alert_on_findings() -> None: ...

    return dg.Definitions(
        assets=[bloat],
        sensors=[alert_on_findings],
        jobs=[dg.define_asset_job("app_nightly", [bloat])],
        resources={"maintainer": "theirs", "io_manager": OwnStore()},
        executor=dg.multiprocess_executor,
    )


def names(definitions: dg.Definitions) -> set[str]:
    repository = definitions.get_repository_def()
    return {
        *(job.name for job in repository.get_all_jobs() if not job.name.startswith("__")),
        *(each.name for each in (*repository.schedule_defs, *repository.sensor_defs)),
        # Ops of assets have two lines between the parts of the key.
        *(n.name.replace("__", "_") for j in repository.get_all_jobs() for n in j.all_node_defs),
        *("_".join(key.path) for key in repository.asset_graph.get_all_asset_keys()),
    }


@pytest.fixture
def policy(database: Database, tmp_path: Path) -> Path:
    database.execute(CREATE_EVENTS)
    return write_policy(tmp_path, database.url, EVENTS)


def test_host_that_has_our_names_hosts_us_twice_below_prefixes(tmp_path: Path) -> None:
    retention = {"keep": "2 months", "action": "archive_then_drop", "archive": {"url": "./a"}}
    (tmp_path / "broken.yaml").write_text("database: 1")
    for name in ("app", "shop"):
        write_policy(
            tmp_path, WRONG_URL, EVENTS | {"retention": retention}, name=name,
            bloat={}, workload={}, indexes={}, statistics={}, redis={"url": "redis://127.0.0.1:9"},
        )  # fmt: skip
    ours = [
        build_definitions(tmp_path, key_prefix=prefix, group="upkeep")
        for prefix in ("ops", ["ops", "second"])
    ]
    merged = dg.Definitions.merge(host(), *ours)
    mine = names(merged) - names(host())
    assert sum(name.startswith("ops_second_") for name in mine) * 2 == len(mine) > 100
    assert [name for name in mine if not name.startswith("ops_")] == []
    groups = {spec.group_name for spec in merged.resolve_all_asset_specs()}
    assert groups == {"upkeep", "health"}
    assert merged.executor is dg.multiprocess_executor
    assert [each for each in ours if each.executor or each.resources or each.loggers] == []
    assert names(build_definitions(tmp_path)) == names(build([tmp_path]))


def test_pools_are_limited_where_the_instance_limits_none(
    policy: Path, instance: dg.DagsterInstance
) -> None:
    instance.event_log_storage.set_concurrency_slots("app_work", 3)
    sensor = build_definitions(policy).get_repository_def().get_sensor_def("alert_on_findings")
    sensor.evaluate_tick(dg.build_sensor_context(instance))
    limits = {each.name: each.limit for each in instance.event_log_storage.get_pool_limits()}
    assert limits == {"app_ddl": 1, "app_work": 3}, "a limit of the host stays"


@pytest.mark.parametrize("prefix", ["a/b", ["ops", ""], "ö"])
def test_prefix_that_dagster_would_refuse_is_refused_by_its_name(prefix: Any) -> None:
    with pytest.raises(UsageError, match="key_prefix"):
        build_definitions(key_prefix=prefix)


class Watching(MaintenanceComponent):
    """A component whose project adds to each asset and each run."""

    def get_asset_spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        return super().get_asset_spec(spec).merge_attributes(metadata={"contact": "dba"})

    def execute(
        self, context: dg.AssetExecutionContext, body: Callable[[], Iterator[Any]]
    ) -> Iterator[Any]:
        context.log.info("watched by the project")
        yield from super().execute(context, body)


def test_jobs_of_a_changed_component_run_beside_the_hosts_executor_and_io_manager(
    policy: Path, database: Database, instance: dg.DagsterInstance
) -> None:
    attributes = {"policies": str(policy), "key_prefix": "ops", "group": "upkeep"}
    component = Watching.from_attributes_dict(attributes=attributes)
    ours = component.build_defs(dg.ComponentTree.for_test().load_context)
    specs = list(ours.resolve_all_asset_specs())
    assert {(spec.group_name, spec.metadata["contact"]) for spec in specs} == {("upkeep", "dba")}
    job = dg.Definitions.merge(host(), ours).resolve_job_def("ops_app_nightly")
    result = job.execute_in_process(instance=instance)
    inventory = dg.AssetKey(["ops", "app", "partition_inventory"])
    assert instance.get_latest_materialization_event(inventory) is not None
    logged = [entry.user_message for entry in instance.all_logs(result.run_id)]
    assert logged.count("watched by the project") == 2  # the inventory, and Dagster's storage
    partitions = dg.AssetKey(["ops", "app", "partitions", "events"])
    ((n_children,),) = database.execute(CHILDREN)
    assert len(instance.get_materialized_partitions(partitions)) == n_children == 4


class Renaming(MaintenanceComponent):
    """A component that changes what a component can't."""

    def get_asset_spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec.replace_attributes(key=dg.AssetKey("mine"))


def test_component_that_changes_a_key_is_told_to_set_a_prefix(policy: Path) -> None:
    component = Renaming.from_attributes_dict(attributes={"policies": str(policy)})
    with pytest.raises(UsageError, match="key") as raised:
        component.build_defs(dg.ComponentTree.for_test().load_context)
    assert "key_prefix" in (raised.value.hint or "")


def test_public_names_are_found_without_importing_dagster() -> None:
    code = "import sys, maintenance; print(*dir(maintenance), 'dagster' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["MaintenanceComponent", "build_definitions", "False"]
