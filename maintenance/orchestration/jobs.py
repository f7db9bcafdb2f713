"""Jobs and schedules. A run never depends on an earlier tick: it observes everything again."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from maintenance.names import slug
from maintenance.orchestration.analytics_assets import cache_key
from maintenance.orchestration.archive_assets import archives_key
from maintenance.orchestration.crons import cron_name
from maintenance.orchestration.dagster_internals import UnresolvedAssetJobDefinition
from maintenance.orchestration.digest_asset import digest_key
from maintenance.orchestration.matview_assets import matview_key
from maintenance.orchestration.naming import OWNER_TAG, name_of, owner_of
from maintenance.orchestration.partitions_defs import keys_ahead, partitions_key, range_tags
from maintenance.orchestration.retention_assets import retention_key, run_config
from maintenance.orchestration.rollout_assets import indexes_key, rollout_config
from maintenance.orchestration.run_mode import Mode
from maintenance.policy import MatviewPolicy, PartitionPolicy, Policy

MAX_RUNTIME_S = 4 * 3600
"""A run whose processes died is terminated after this, which frees its pool slot."""


def job_tags(policy: Policy) -> dict[str, str]:
    """Return the tags of all jobs of a database, and so of their runs."""
    return {OWNER_TAG: owner_of(policy), "dagster/max_runtime": str(MAX_RUNTIME_S)}


def nightly_name(policy: Policy) -> str:
    """Return the name of the nightly job."""
    return name_of(policy, "nightly")


def refresh_name(policy: Policy, section: MatviewPolicy) -> str:
    """Return the name of the job that refreshes a view: one per cron, else the nightly one."""
    if section.refresh is None:
        return nightly_name(policy)
    return name_of(policy, f"refresh_{cron_name(section.refresh)}")


def refreshes(policy: Policy) -> list[dg.ScheduleDefinition]:
    """Build one schedule per cron of the views; views of one cron are refreshed in parallel."""
    of_cron: dict[str, list[MatviewPolicy]] = {}
    for section in policy.matviews:
        if section.refresh is not None:
            of_cron.setdefault(section.refresh, []).append(section)
    return [_refresh(policy, cron, sections) for cron, sections in of_cron.items()]


def _refresh(policy: Policy, cron: str, sections: Sequence[MatviewPolicy]) -> dg.ScheduleDefinition:
    name = refresh_name(policy, sections[0])
    names = ", ".join(str(section.name) for section in sections)
    keys = [matview_key(policy, section.name) for section in sections]
    if policy.redis is not None:  # retries pending invalidations
        keys.append(cache_key(policy))
    return _scheduled(
        policy,
        name,
        cron,
        keys,
        what=f"Refreshes {names}; skipped if the tables they read are unchanged.",
        when=f"Refreshes {names} (cron {cron}, UTC).",
    )


def nightly(policy: Policy, keys: Sequence[dg.AssetKey]) -> dg.ScheduleDefinition:
    """Build the schedule and job `<db>_nightly` for assets without partition set or cron."""
    return _scheduled(
        policy,
        nightly_name(policy),
        policy.schedules.nightly,
        keys,
        what="Nightly maintenance: runs all checks and repairs.",
        when=f"Nightly maintenance: checks and repairs (cron {policy.schedules.nightly}, UTC).",
    )


def weekly(policy: Policy, assets: Sequence[dg.AssetsDefinition]) -> dg.ScheduleDefinition:
    """Build the schedule and job `<db>_weekly_review` for slow changes."""
    return _scheduled(
        policy,
        name_of(policy, "weekly_review"),
        policy.schedules.weekly,
        [key for asset in assets for key in asset.keys],
        what="Weekly index review: records index usage and gives advice.",
        when=f"Weekly index review (cron {policy.schedules.weekly}, UTC).",
    )


def digest(policy: Policy) -> dg.ScheduleDefinition:
    """Build the schedule and job `<db>_digest`; independent of the nightly job's success."""
    return _scheduled(
        policy,
        name_of(policy, "digest"),
        policy.schedules.digest,
        [digest_key(policy)],
        what="Writes the daily health summary. Read-only.",
        when=f"Writes the daily health summary (cron {policy.schedules.digest}, UTC).",
    )


def monthly(policy: Policy) -> list[dg.ScheduleDefinition]:
    """Build one schedule per table, which runs all periods from the current one to the horizon.

    A Dagster job has one partition set, so every table has its own job. The first is
    `<db>_monthly_partitions`; the others have the table's name appended.
    """
    base = name_of(policy, "monthly_partitions")
    sections = policy.partitions
    names = [base, *(f"{base}_{slug(section.table)}" for section in sections[1:])]
    return [_monthly(policy, *pair) for pair in zip(sections, names, strict=False)]


def retention(policy: Policy) -> dg.ScheduleDefinition:
    """Build the schedule and job `<db>_retention`; the schedule applies retention."""
    return _scheduled(
        policy,
        name_of(policy, "retention"),
        policy.schedules.retention,
        [retention_key(policy)],
        what="Applies retention to expired partitions; launched by hand, only shows the plan.",
        when=f"Applies retention to expired partitions (cron {policy.schedules.retention}, UTC).",
        run_config=run_config(policy, Mode.APPLY),
    )


def index_rollout(policy: Policy) -> UnresolvedAssetJobDefinition:
    """Return the job `<db>_index_rollout`, whose form has the mode."""
    return asset_job(
        policy,
        name_of(policy, "index_rollout"),
        [indexes_key(policy)],
        "Builds, replaces and drops indexes as declared, with `mode: APPLY`; else shows the plan.",
        config=rollout_config(policy, Mode.PLAN),
    )


def scheduled_rollout(policy: Policy) -> dg.ScheduleDefinition:
    """Build the schedule of the job `<db>_index_rollout`, which rolls out waves that have begun."""
    return running_schedule(
        index_rollout(policy),
        policy.schedules.index_rollout,
        f"Rolls out declared indexes, by waves (cron {policy.schedules.index_rollout}, UTC).",
        run_config=rollout_config(policy, Mode.APPLY),
    )


def archives(policy: Policy, section: PartitionPolicy) -> UnresolvedAssetJobDefinition:
    """Return the job `<db>_archives_<table>`, which archives a range of a table's periods."""
    name = name_of(policy, f"archives_{slug(section.table)}")
    return asset_job(
        policy,
        name,
        [archives_key(policy, section)],
        f"Archives periods of {section.table}; drops nothing.",
    )


def _monthly(policy: Policy, section: PartitionPolicy, name: str) -> dg.ScheduleDefinition:
    job = asset_job(
        policy,
        name,
        [partitions_key(policy, section)],
        f"Creates partitions of {section.table} up to the horizon.",
    )

    @dg.schedule(
        name=name,
        job=job,
        cron_schedule=policy.schedules.monthly,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=(
            f"Creates the partitions of {section.table} for the current period and the next"
            f" {section.premake}."
        ),
    )
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        keys = keys_ahead(section, context.scheduled_execution_time)
        if not keys:
            return dg.SkipReason(
                f"no period due: {section.table} starts with {section.start}, beyond the horizon"
            )
        return dg.RunRequest(tags=range_tags(keys))

    return tick


def _scheduled(
    policy: Policy,
    name: str,
    cron: str,
    keys: Sequence[dg.AssetKey],
    *,
    what: str,
    when: str,
    **further: Any,
) -> dg.ScheduleDefinition:
    return running_schedule(asset_job(policy, name, keys, what), cron, when, **further)


def running_schedule(
    job: UnresolvedAssetJobDefinition, cron: str, description: str, **further: Any
) -> dg.ScheduleDefinition:
    """Build the schedule of a job, by UTC, with the job's name, running by default."""
    return dg.ScheduleDefinition(
        name=job.name,
        job=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=description,
        **further,
    )


def asset_job(
    policy: Policy,
    name: str,
    keys: Sequence[dg.AssetKey],
    description: str,
    config: dg.RunConfig | None = None,
) -> UnresolvedAssetJobDefinition:
    """Return a job that materializes assets in the process of its run."""
    return dg.define_asset_job(
        name,
        selection=dg.AssetSelection.assets(*keys).without_checks(),
        # Steps share one process: another process costs two seconds of imports.
        executor_def=dg.in_process_executor,
        tags=job_tags(policy),
        description=description,
        config=config,
    )
