"""The sensor that has new indexes judged by their use at the times that the policy says."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from maintenance.errors import MaintenanceError
from maintenance.monitoring.rollout_watch import watch_time
from maintenance.orchestration.dagster_internals import UnresolvedAssetJobDefinition
from maintenance.orchestration.health_assets import health_key
from maintenance.orchestration.index_assets import usage_key
from maintenance.orchestration.jobs import asset_job
from maintenance.orchestration.naming import name_of
from maintenance.orchestration.rollout_assets import indexes_key
from maintenance.policy import Policy
from maintenance.subjects.workload import WORKLOAD

EVERY_S = 300


def rollout_watch_job(policy: Policy) -> UnresolvedAssetJobDefinition:
    """Return the job `<db>_rollout_watch`: what became of a rollout; it builds nothing."""
    return asset_job(
        policy,
        _name(policy),
        [*_judged(policy), usage_key(policy)],
        "Judges new indexes by their use, and the workload since; builds and drops nothing. Its"
        " sensor launches it at the times of `indexes.watch` after a build.",
    )


def rollout_watch_sensor(policy: Policy, job: UnresolvedAssetJobDefinition) -> dg.SensorDefinition:
    """Build the sensor `<db>_rollout_watch`, which asks only the store.

    Each time of `indexes.watch` is asked for once: a failed run is an alert, and the nightly run
    looks again.
    """

    @dg.sensor(
        name=_name(policy),
        job=job,
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Has indexes that a run built judged by their use at the times of `indexes.watch`,"
            " wherever that run was started."
        ),
    )
    def tick(_context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        try:
            reached = watch_time(policy, datetime.now(UTC))
        except MaintenanceError as exc:
            yield dg.SkipReason(exc.with_hint)
            return
        if reached is None:
            yield dg.SkipReason("no index was built that is to be judged now")
            return
        keys = [*_judged(policy), *([usage_key(policy)] if reached.is_review else [])]
        yield dg.RunRequest(
            run_key=f"{reached.number}@{reached.at.isoformat()}", asset_selection=keys
        )

    return tick


def _name(policy: Policy) -> str:
    return name_of(policy, "rollout_watch")


def _judged(policy: Policy) -> list[dg.AssetKey]:
    """Return the assets whose checks say whether new indexes are used and nothing is slower."""
    slower = [health_key(policy, WORKLOAD)] if policy.workload is not None else []
    return [indexes_key(policy), *slower]
