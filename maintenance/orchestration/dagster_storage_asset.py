"""The asset that keeps Dagster's own storage small: what the nightly run deleted from it."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import dagster as dg

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.formatting import readable_size
from maintenance.orchestration.checks import check_results, check_specs
from maintenance.orchestration.dagster_retention import (
    Freed,
    Owned,
    delete_old_runs,
    purge_ticks,
)
from maintenance.orchestration.metadata import Metadata
from maintenance.orchestration.naming import asset_key, name_of, owner_of
from maintenance.orchestration.subject_asset import AssetResult, face, make_asset, materialized
from maintenance.periods import midnight
from maintenance.policy import Policy
from maintenance.policy.database import DagsterPolicy

GROUP = "health"
KINDS = frozenset({FindingKind.DAGSTER_UNKEPT})


def dagster_storage_key(policy: Policy) -> dg.AssetKey:
    """Return the asset key `<db>/dagster_storage`."""
    return asset_key(policy, "dagster_storage")


def storage_check(policy: Policy) -> dg.AssetCheckKey:
    """Return the check that fails if old runs could not be deleted."""
    return dg.AssetCheckKey(dagster_storage_key(policy), FindingKind.DAGSTER_UNKEPT.value)


def storage_object(policy: Policy) -> str:
    """Return the object of the finding: the job that deletes them."""
    return name_of(policy, "nightly")


def owned_by(
    policy: Policy,
    assets: Iterable[dg.AssetsDefinition],
    instigators: Iterable[dg.ScheduleDefinition | dg.SensorDefinition],
) -> Owned:
    """Return what of a Dagster instance belongs to a database."""
    made = list(assets)
    watch = name_of(policy, "watch")
    return Owned(
        owner_of(policy),
        frozenset({dagster_storage_key(policy), *(key for each in made for key in each.keys)}),
        tuple(key for each in made for key in each.check_keys),
        frozenset({watch, *(each.name for each in instigators)}),
    )


def dagster_storage_asset(
    policy: Policy, section: DagsterPolicy, owned: Owned
) -> dg.AssetsDefinition:
    """Build the asset that deletes old runs of a database from Dagster's storage.

    An error of the storage is a finding: what the nightly run is for does not fail by it.
    """
    key = dagster_storage_key(policy)
    arguments = face(
        policy,
        key,
        group=GROUP,
        kinds=("dagster",),
        about=(
            "Deletes ended runs of this database's jobs that are older than `dagster.keep` from"
            " Dagster's storage, with their events, check results and output, and old ticks. Runs"
            " of other jobs, the newest runs of each job, and those that hold the newest"
            " materialization of an asset or partition stay."
        ),
        when_red="the failed check has the error of the storage; the next night tries again.",
        check_specs=check_specs(key, KINDS),
        op_tags={"dagster/priority": "-2"},  # after all that the night is for
    )

    def keep_small(context: dg.AssetExecutionContext) -> Iterator[AssetResult]:
        last_kept = section.keep.before(datetime.now(UTC).date())
        before = midnight(last_kept, ZoneInfo("UTC"))
        try:
            freed = delete_old_runs(context.instance, owned, before)
            origin = context.run.remote_job_origin
            if origin is not None:
                repository = origin.repository_origin.get_selector_id()
                purge_ticks(context.instance, owned, repository, before)
        except Exception as exc:  # noqa: BLE001 - of whatever storage the project has
            context.log.warning("Dagster's storage not kept small", exc_info=True)
            yield from check_results(key, KINDS, [_unkept(policy, exc)])
            yield dg.MaterializeResult(asset_key=key)
            return
        yield from check_results(key, KINDS, [])
        yield materialized(key, _metadata(freed, last_kept.isoformat()))

    return make_asset(policy, arguments, keep_small)


def _metadata(freed: Freed, kept_since: str) -> Metadata:
    """Return numbers to plot, and the size to read."""
    return {
        "kept_since": kept_since,
        "deleted_runs": freed.runs,
        "deleted_events": freed.events,
        "deleted_check_results": freed.check_results,
        "deleted_bytes": freed.text_bytes,
        "deleted": readable_size(freed.text_bytes),
        "old_runs_kept": freed.n_kept,
        "continues_next_night": not freed.is_complete,
    }


def _unkept(policy: Policy, error: Exception) -> Finding:
    # The text of a foreign error may contain a secret; it is in the log of the run.
    name, reason = policy.database.name, type(error).__name__
    return Finding(
        FindingKind.DAGSTER_UNKEPT,
        Severity.WARN,
        storage_object(policy),
        f"{name}: old runs not deleted from Dagster's storage: {reason}; the log of the run has"
        " the error",
        data={"error": reason},
    )
