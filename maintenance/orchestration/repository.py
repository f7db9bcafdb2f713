"""The definitions of a folder of policies, built as far as they are asked for.

Each run is a process that loads the definitions anew and asks for one job. With all of a hundred
databases that would take longer than the work, so a run builds those of its own database.
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import dagster as dg

from maintenance.errors import UsageError
from maintenance.orchestration.build import build, definitions_of
from maintenance.orchestration.fleet_asset import fleet_definitions, fleet_name
from maintenance.orchestration.naming import name_of
from maintenance.policy import STANDALONE, load_policies

_NAME = "__repository__"
"""As Dagster calls that of `dg.Definitions`; the state of schedules and sensors belongs to it."""
WITH_OUR_EXECUTOR = dg.Definitions(executor=dg.in_process_executor)
"""Runs launched by hand share one process too; see `orchestration.jobs`."""


def repository_of(paths: Sequence[Path]) -> dg.RepositoryDefinition:
    """Return the repository of policy files or folders; nothing of it is built yet."""
    return dg.RepositoryDefinition(_NAME, repository_data=OnDemand(paths))


class OnDemand(dg.RepositoryData):
    """Builds one database for a run, and all of them for the code server."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    @property
    def is_whole(self) -> bool:
        """Whether all databases have been built."""
        return "_whole" in self.__dict__

    @cached_property
    def _whole(self) -> dg.RepositoryDefinition:
        return _repository(build(self._paths))

    def get_job(self, job_name: str) -> dg.JobDefinition:
        """Return a job; if not all databases are built yet, only its own is."""
        if not self.is_whole:
            for part in _parts_with(self._paths, job_name):
                alone = _repository(part)
                if alone.has_job(job_name):
                    return alone.get_job(job_name)
        return self._whole.get_job(job_name)

    def has_job(self, job_name: str) -> bool:
        """Whether a job exists."""
        return self._whole.has_job(job_name)

    def get_job_names(self) -> Sequence[str]:
        """Return the names of all jobs."""
        return self._whole.job_names

    def get_all_jobs(self) -> Sequence[dg.JobDefinition]:
        """Return all jobs."""
        return self._whole.get_all_jobs()

    def get_all_schedules(self) -> Sequence[dg.ScheduleDefinition]:
        """Return all schedules."""
        return self._whole.schedule_defs

    def get_all_sensors(self) -> Sequence[dg.SensorDefinition]:
        """Return all sensors."""
        return self._whole.sensor_defs

    def get_assets_defs_by_key(self) -> Mapping[dg.AssetKey, dg.AssetsDefinition]:
        """Return all assets."""
        return self._whole.assets_defs_by_key

    def get_source_assets_by_key(self) -> Mapping[dg.AssetKey, dg.SourceAsset]:
        """Return the assets that are given by their keys alone."""
        return self._whole.source_assets_by_key

    def get_asset_checks_defs_by_key(self) -> Mapping[dg.AssetCheckKey, dg.AssetChecksDefinition]:
        """Return the checks that are no part of an asset."""
        return self._whole.asset_checks_defs_by_key

    def get_top_level_resources(self) -> Mapping[str, dg.ResourceDefinition]:
        """Return the resources: none."""
        return {}

    def get_env_vars_by_top_level_resource(self) -> Mapping[str, AbstractSet[str]]:
        """Return the environment variables that resources read: none."""
        return {}


def _repository(definitions: dg.Definitions) -> dg.RepositoryDefinition:
    return dg.Definitions.merge(definitions, WITH_OUR_EXECUTOR).get_repository_def()


def _parts_with(paths: Sequence[Path], job_name: str) -> Iterator[dg.Definitions]:
    """Yield the definitions that a job can be among by its name, the most likely first."""
    is_of_all = job_name == fleet_name(STANDALONE)
    databases = [job_name[:end] for end, sign in enumerate(job_name) if sign == "_" and end]
    try:
        policies = load_policies(paths, () if is_of_all else databases)
    except UsageError:  # `build` returns an asset that says so
        return
    if is_of_all:
        yield fleet_definitions(policies, STANDALONE)
    named = [each for each in policies.loaded if job_name.startswith(name_of(each, ""))]
    for policy in sorted(named, key=lambda policy: -len(policy.database.name)):
        yield definitions_of(policy, datetime.now(UTC))
