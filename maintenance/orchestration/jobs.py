"""Jobs and schedules. A schedule never relies on the tick before it: every run looks anew."""

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
from maintenance.orchestration.partition_assets import partitions_key
from maintenance.orchestration.partitions_defs import keys_ahead, range_tags
from maintenance.orchestration.retention_assets import Mode, retention_key, run_config
from maintenance.policy import MatviewPolicy, PartitionPolicy, Policy

MAX_RUNTIME_S = 4 * 3600
"""After this a run whose processes died is ended, and gives its pool slot back."""


def nightly_name(policy: Policy) -> str:
    """Return the name of the job that looks at everything each night."""
    return f"{policy.database.name}_nightly"


def refresh_name(policy: Policy, section: MatviewPolicy) -> str:
    """Return the name of the job that refreshes a view: one for each cron, else the nightly one."""
    if section.refresh is None:
        return nightly_name(policy)
    return f"{policy.database.name}_refresh_{cron_name(section.refresh)}"


def refreshes(policy: Policy) -> list[dg.ScheduleDefinition]:
    """Schedule the views that have a cron of their own; those of one cron go side by side."""
    of_cron: dict[str, list[MatviewPolicy]] = {}
    for section in policy.matviews:
        if section.refresh is not None:
            of_cron.setdefault(section.refresh, []).append(section)
    return [_refresh(policy, cron, sections) for cron, sections in of_cron.items()]


def _refresh(policy: Policy, cron: str, sections: Sequence[MatviewPolicy]) -> dg.ScheduleDefinition:
    name = refresh_name(policy, sections[0])
    names = ", ".join(str(section.name) for section in sections)
    keys = [matview_key(policy, section.name) for section in sections]
    if policy.redis is not None:  # told by the next run what it could not be told before
        keys.append(cache_key(policy))
    return _scheduled(
        name,
        cron,
        keys,
        what=f"Refreshes {names}, unless nothing that they read has changed.",
        when=f"Refreshes {names} at {cron} UTC.",
    )


def nightly(policy: Policy, keys: Sequence[dg.AssetKey]) -> dg.ScheduleDefinition:
    """Schedule what has neither a partition set nor a cron, with its job `<db>_nightly`."""
    return _scheduled(
        nightly_name(policy),
        policy.schedules.nightly,
        keys,
        what="Looks at everything and repairs what is missing.",
        when=f"Every night at {policy.schedules.nightly} UTC.",
    )


def weekly(policy: Policy, assets: Sequence[dg.AssetsDefinition]) -> dg.ScheduleDefinition:
    """Schedule what is looked at with more time, with its job `<db>_weekly_review`."""
    return _scheduled(
        f"{policy.database.name}_weekly_review",
        policy.schedules.weekly,
        [key for asset in assets for key in asset.keys],
        what="Reviews what grows or decays slowly; changes nothing of itself.",
        when=f"Every week at {policy.schedules.weekly} UTC.",
    )


def digest(policy: Policy) -> dg.ScheduleDefinition:
    """Schedule the digest, with its job `<db>_digest`: a night that failed must not take it."""
    return _scheduled(
        f"{policy.database.name}_digest",
        policy.schedules.digest,
        [digest_key(policy)],
        what="Sums up on one page whether to worry; changes nothing.",
        when=f"Every day at {policy.schedules.digest} UTC.",
    )


def monthly(policy: Policy) -> list[dg.ScheduleDefinition]:
    """Schedule one run a table over all periods from the current one to the horizon.

    A Dagster job has one partition set, so every table has a job of its own. The first is
    `<db>_monthly_partitions`, the others bear their table's name behind.
    """
    base = f"{policy.database.name}_monthly_partitions"
    sections = policy.partitions
    names = [base, *(f"{base}_{slug(section.table)}" for section in sections[1:])]
    return [_monthly(policy, *pair) for pair in zip(sections, names, strict=False)]


def retention(policy: Policy) -> dg.ScheduleDefinition:
    """Schedule the retention of all tables, with its job `<db>_retention`, to be carried out."""
    return _scheduled(
        f"{policy.database.name}_retention",
        policy.schedules.retention,
        [retention_key(policy)],
        what="Retires expired partitions; by hand, shows a plan.",
        when=f"Carries out what has expired, at {policy.schedules.retention} UTC.",
        run_config=run_config(policy, Mode.APPLY),
    )


def archives(policy: Policy, section: PartitionPolicy) -> UnresolvedAssetJobDefinition:
    """Return the job that archives a range of a table's periods, `<db>_archives_<table>`."""
    name = f"{policy.database.name}_archives_{slug(section.table)}"
    return _job(name, [archives_key(policy, section)], f"Archives periods of {section.table}.")


def _monthly(policy: Policy, section: PartitionPolicy, name: str) -> dg.ScheduleDefinition:
    job = _job(
        name, [partitions_key(policy, section)], f"Partitions of {section.table}, to the horizon."
    )

    @dg.schedule(
        name=name,
        job=job,
        cron_schedule=policy.schedules.monthly,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"The current period and the next {section.premake} of {section.table}.",
    )
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        keys = keys_ahead(section, context.scheduled_execution_time)
        if not keys:
            return dg.SkipReason(f"{section.table} starts with {section.start}, beyond the horizon")
        return dg.RunRequest(tags=range_tags(keys))

    return tick


def _scheduled(
    name: str, cron: str, keys: Sequence[dg.AssetKey], *, what: str, when: str, **further: Any
) -> dg.ScheduleDefinition:
    """Schedule a job of its own that bears the same name, running from the start."""
    return dg.ScheduleDefinition(
        name=name,
        job=_job(name, keys, what),
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=when,
        **further,
    )


def _job(name: str, keys: Sequence[dg.AssetKey], description: str) -> UnresolvedAssetJobDefinition:
    return dg.define_asset_job(
        name,
        selection=dg.AssetSelection.assets(*keys),
        # Steps share one process: a second one costs two seconds of imports.
        executor_def=dg.in_process_executor,
        tags={"dagster/max_runtime": str(MAX_RUNTIME_S)},
        description=description,
    )
