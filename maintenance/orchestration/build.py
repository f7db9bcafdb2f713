"""Build Dagster definitions from policies, without connecting to a server."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from maintenance.errors import UsageError
from maintenance.names import text_slug
from maintenance.orchestration.alert_jobs import alert_jobs
from maintenance.orchestration.alert_sensors import (
    Watched,
    alert_on_findings,
    alert_on_freshness,
    alert_on_run_failure,
)
from maintenance.orchestration.analytics_assets import (
    analytics_asset,
    cache_asset,
    tables_watched,
)
from maintenance.orchestration.archive_assets import archives_asset
from maintenance.orchestration.bloat_sensor import bloat_sensor
from maintenance.orchestration.broken_policies import Hosts, hosts_of
from maintenance.orchestration.conversion_job import convert_job
from maintenance.orchestration.conversion_metadata import converts
from maintenance.orchestration.dagster_storage_asset import (
    dagster_storage_asset,
    dagster_storage_key,
    owned_by,
)
from maintenance.orchestration.digest_asset import digest_asset
from maintenance.orchestration.fleet_asset import fleet_definitions
from maintenance.orchestration.form_job import is_by_hand
from maintenance.orchestration.health_assets import health_assets
from maintenance.orchestration.index_assets import index_usage_asset
from maintenance.orchestration.jobs import (
    archives,
    digest,
    index_rollout,
    monthly,
    nightly,
    refreshes,
    retention,
    scheduled_rollout,
    weekly,
)
from maintenance.orchestration.matview_assets import (
    matview_key,
    matviews_asset,
    source_spec,
    tables_read,
)
from maintenance.orchestration.mode_jobs import approve_job, pause_job
from maintenance.orchestration.partition_assets import inventory_asset, partitions_asset
from maintenance.orchestration.restore_job import restore_job
from maintenance.orchestration.retention_assets import retention_asset
from maintenance.orchestration.rollout_assets import has_declarations, indexes_asset
from maintenance.orchestration.rollout_watch import rollout_watch_job, rollout_watch_sensor
from maintenance.orchestration.run_history import RunHistory
from maintenance.orchestration.staleness_sensor import staleness_sensor
from maintenance.orchestration.statistics_assets import statistics_asset
from maintenance.orchestration.table_jobs import table_jobs
from maintenance.orchestration.undo_job import undo_job
from maintenance.orchestration.watch_sensor import watch_sensors
from maintenance.policy import (
    STANDALONE,
    BrokenPolicyError,
    Placement,
    Policies,
    Policy,
    load_policies,
)
from maintenance.policy.approvals import terms_of

SpecOf = Callable[[dg.AssetSpec], dg.AssetSpec]
"""Returns the spec of an asset as a project wants it."""


def same_spec(spec: dg.AssetSpec) -> dg.AssetSpec:
    """Return the spec of an asset as we build it."""
    return spec


def build(
    paths: Sequence[Path],
    now: datetime | None = None,
    placement: Placement = STANDALONE,
    spec: SpecOf = same_spec,
) -> dg.Definitions:
    """Build the definitions of all policies; an invalid policy does not affect the others.

    Args:
        paths: policy files or folders.
        now: the current time, for partition sets without `start`; the clock's if None.
        placement: what all of it is called in the project.
        spec: changes the spec of an asset, but for its key.

    Returns:
        For a path that does not exist or has no policy, a single asset that reports it.
    """
    moment = now or datetime.now(UTC)
    try:
        policies = load_policies(paths)
    except UsageError as error:
        return dg.Definitions(assets=_with_specs([no_policies(error, placement)], spec))
    loaded = [policy.placed(placement) for policy in policies.loaded]
    served = [(policy, definitions_of(policy, moment)) for policy in loaded]
    whole = dg.Definitions.merge(
        dg.Definitions(
            assets=[broken_policy(*pair, placement) for pair in _named(policies.broken).items()],
            sensors=[
                *_alerting(
                    [_watched(*pair) for pair in served],
                    hosts_of(loaded, policies.broken, placement),
                    placement,
                ),
                *watch_sensors(loaded, placement),
            ],
        ),
        *(definitions for _, definitions in served),
        fleet_definitions(Policies(tuple(loaded), policies.broken), placement),
    )
    return dg.Definitions(
        assets=_with_specs(whole.assets or (), spec),
        schedules=whole.schedules,
        sensors=whole.sensors,
        jobs=whole.jobs,
    )


def _with_specs(assets: Iterable[Any], spec: SpecOf) -> list[Any]:
    if spec is same_spec:
        return list(assets)

    def checked(ours: dg.AssetSpec) -> dg.AssetSpec:
        changed = spec(ours)
        if changed.key != ours.key:
            raise UsageError(
                f"the asset {ours.key.to_user_string()} can't be called"
                f" {changed.key.to_user_string()}: its jobs and checks use its key",
                hint="set `key_prefix`; everything else of a spec may be changed",
            )
        return changed

    return list(dg.map_asset_specs(checked, assets))


def _alerting(
    watched: Sequence[Watched], hosts: Hosts, placement: Placement
) -> list[dg.SensorDefinition]:
    """Build the sensors shared by all databases; without one, only that tells of invalid files."""
    if not watched:
        return [alert_on_findings(hosts, placement)]
    history = RunHistory()
    return [
        alert_on_findings(hosts, placement),
        alert_on_run_failure(watched, placement, history),
        alert_on_freshness(watched, placement, history),
    ]


def _watched(policy: Policy, definitions: dg.Definitions) -> Watched:
    schedules = [s for s in definitions.schedules or () if isinstance(s, dg.ScheduleDefinition)]
    jobs = {job.name for job in definitions.jobs or () if not is_by_hand(job.tags or {})}
    return Watched(policy, sorted(jobs | {each.job_name for each in schedules}), schedules)


def definitions_of(policy: Policy, now: datetime) -> dg.Definitions:
    """Build the assets, jobs and schedules of one database."""
    sections = policy.partitions
    archived = [(s, s.retention.archive) for s in sections if s.retention and s.retention.archive]
    assets = [
        *(partitions_asset(policy, section, now) for section in sections),
        *(archives_asset(policy, section, archive, now) for section, archive in archived),
    ]
    jobs = [archives(policy, section) for section, _ in archived]
    schedules, sensors = monthly(policy), list[dg.SensorDefinition]()
    whole = [*([inventory_asset(policy)] if sections else []), *health_assets(policy)]
    if policy.statistics is not None:
        whole.append(statistics_asset(policy))
    if has_declarations(policy):
        whole.append(indexes_asset(policy))
        job = rollout_watch_job(policy)
        jobs.append(job)
        sensors.append(rollout_watch_sensor(policy, job))
        if policy.schedules.index_rollout == "never":
            jobs.append(index_rollout(policy))
        else:
            schedules.append(scheduled_rollout(policy))
    reviewed = [index_usage_asset(policy)] if policy.indexes is not None else []
    if any(section.retention for section in sections):
        assets.append(retention_asset(policy))
        schedules.append(retention(policy))
    if reviewed:
        schedules.append(weekly(policy, reviewed))
    computed = _computed(policy)
    views = [matviews_asset(policy)] if policy.matviews else []
    refreshed = [*refreshes(policy), *_nightly(policy, [*whole, *computed])]
    if views or policy.stale_analytics:
        sensors.append(staleness_sensor(policy, refreshed))
    if policy.bloat is not None:
        sensors.append(bloat_sensor(policy, policy.bloat))
    sources = sorted(tables_read(policy) | tables_watched(policy))
    # The weekly assets are not upstream: before the first review Dagster would wait for them.
    shown = [key for made in (*whole, *views, *computed) for key in made.keys]
    linked = {key for made in (*assets, *reviewed) for key in made.keys}
    summary = [digest_asset(policy, shown, linked)] if shown else []
    by_hand = [
        *([restore_job(policy)] if archived else []),
        *([convert_job(policy)] if converts(policy) else []),
        *([undo_job(policy)] if has_declarations(policy) or converts(policy) else []),
        *(_of_every_database(policy) if shown or reviewed else []),
    ]
    schedules = [*schedules, *refreshed, *([digest(policy)] if summary else [])]
    made = [*assets, *whole, *views, *computed, *reviewed, *summary]
    if summary and policy.dagster is not None:
        owned = owned_by(policy, made, [*schedules, *sensors])
        made.append(dagster_storage_asset(policy, policy.dagster, owned))
    return dg.Definitions(
        assets=[
            *made,
            *(source_spec(policy, name) for name in sources),
        ],
        schedules=schedules,
        jobs=[*jobs, *by_hand],
        sensors=sensors,
    )


def _of_every_database(policy: Policy) -> list[dg.JobDefinition]:
    retired = any(terms_of(section) is not None for section in policy.partitions)
    approvals = [approve_job(policy)] if retired else []
    return [*alert_jobs(policy), *table_jobs(policy), pause_job(policy), *approvals]


def _computed(policy: Policy) -> list[dg.AssetsDefinition]:
    stale = [analytics_asset(policy)] if policy.stale_analytics else []
    return [*stale, *([cache_asset(policy)] if policy.redis else [])]


def _nightly(
    policy: Policy, assets: Sequence[dg.AssetsDefinition]
) -> Iterator[dg.ScheduleDefinition]:
    """Yield the nightly schedule, if it has any asset."""
    keys = [key for asset in assets for key in asset.keys]
    keys += [matview_key(policy, view.name) for view in policy.matviews if view.refresh is None]
    if (keys or policy.matviews) and policy.dagster is not None:
        keys.append(dagster_storage_key(policy))
    if keys:
        yield nightly(policy, keys)


def _named(errors: Sequence[BrokenPolicyError]) -> dict[str, BrokenPolicyError]:
    """Return unique asset names for invalid policy files; a duplicate would unload all assets."""
    named: dict[str, BrokenPolicyError] = {}
    for error in errors:
        name = text_slug(error.path.stem)
        named[name if name not in named else text_slug(str(error.path))] = error
    return named


def no_policies(error: UsageError, placement: Placement) -> dg.AssetsDefinition:
    """Build an asset that reports in the UI that no policy was found."""
    message = error.with_hint

    @dg.asset(
        key=dg.AssetKey(placement.key("no_policies")),
        group_name="broken_policies",
        description=f"**No policy found.** {message}\n\n"
        "Policies are read from the paths in `MAINTENANCE_POLICIES`, else from `policies/`. Add a"
        " policy there and reload the code location.",
    )
    def show() -> None:
        raise dg.Failure(description=message, allow_retries=False)

    return show


def broken_policy(name: str, error: BrokenPolicyError, placement: Placement) -> dg.AssetsDefinition:
    """Build an asset that reports the problems of an invalid policy file in the UI."""

    @dg.asset(
        key=dg.AssetKey(placement.key(name, "broken_policy")),
        group_name="broken_policies",
        description=f"**Invalid policy {error.path}.** Fix it and reload the code location.\n\n"
        + "\n".join(f"- {problem}" for problem in error.problems),
    )
    def show() -> None:
        raise dg.Failure(description=str(error), allow_retries=False)

    return show
