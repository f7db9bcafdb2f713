"""Dagster partition sets, up to the premake horizon of the policy.

Everything is in UTC: a key only names a period; its bounds follow the policy's time zone.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime

import dagster as dg

from maintenance.names import slug
from maintenance.orchestration.naming import asset_key
from maintenance.partition_set.expected import current_period, horizon
from maintenance.partition_set.expiry import kept_since
from maintenance.periods import Interval, period_of
from maintenance.policy import PartitionPolicy, Policy

_CRONS = {
    Interval.DAY: "0 0 * * *",
    Interval.WEEK: "0 0 * * 1",
    Interval.MONTH: "0 0 1 * *",
    Interval.QUARTER: "0 0 1 */3 *",
    Interval.YEAR: "0 0 1 1 *",
}


def partitions_key(policy: Policy, section: PartitionPolicy) -> dg.AssetKey:
    """Return the asset key of a table's partitions: `<db>/partitions/<table>`."""
    return asset_key(policy, "partitions", slug(section.table))


def partition_set(policy: PartitionPolicy, now: datetime) -> dg.TimeWindowPartitionsDefinition:
    """Return the periods of a table: from its start, or the oldest retained, to the horizon."""
    start = first_day(policy, now)
    return dg.TimeWindowPartitionsDefinition(
        start=datetime(start.year, start.month, start.day, tzinfo=UTC),
        fmt=policy.interval.key_format,
        cron_schedule=_CRONS[policy.interval],
        timezone="UTC",
        # + 1 for the current period, which Dagster counts as incomplete
        end_offset=1 + policy.premake,
    )


def first_day(policy: PartitionPolicy, now: datetime) -> date:
    """Return the first day of the set: `start`, else the oldest retained, else this January 1."""
    if policy.start is not None:
        return policy.start.start
    floor = kept_since(policy, now)
    if floor is not None:
        return floor.start
    january = now.astimezone(policy.time_zone).date().replace(month=1, day=1)
    return period_of(january, policy.interval).start


def keys_ahead(policy: PartitionPolicy, now: datetime) -> list[str]:
    """Return the keys from the current period to the horizon that the set contains.

    The set uses UTC and the policy its own time zone, so one can be a period ahead of the other
    for some hours. Empty if the policy's `start` is in the future.
    """
    first, last = current_period(policy, now), horizon(policy, now)
    known = partition_set(policy, now).get_partition_keys(current_time=now)
    return [key for key in known if first.key <= key <= last.key]


def range_tags(keys: Sequence[str]) -> dict[str, str]:
    """Return the tags that combine consecutive keys into one run."""
    return {
        "dagster/asset_partition_range_start": keys[0],
        "dagster/asset_partition_range_end": keys[-1],
    }
