"""Dagster's partition sets, reaching as far as the premake horizon of the policy.

Everything is in UTC: a key only names a period, its bounds follow the policy's time zone.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime

import dagster as dg

from maintenance.partition_set.expected import current_period, horizon, kept_since
from maintenance.periods import Interval, period_of
from maintenance.policy import PartitionPolicy

_CRONS = {
    Interval.DAY: "0 0 * * *",
    Interval.WEEK: "0 0 * * 1",
    Interval.MONTH: "0 0 1 * *",
    Interval.QUARTER: "0 0 1 */3 *",
    Interval.YEAR: "0 0 1 1 *",
}


def partition_set(policy: PartitionPolicy, now: datetime) -> dg.TimeWindowPartitionsDefinition:
    """Return the periods of a table: from its start, or the oldest kept, to the horizon."""
    start = first_day(policy, now)
    return dg.TimeWindowPartitionsDefinition(
        start=datetime(start.year, start.month, start.day, tzinfo=UTC),
        fmt=policy.interval.key_format,
        cron_schedule=_CRONS[policy.interval],
        timezone="UTC",
        # 1 adds the period that holds now, which Dagster counts as not yet complete
        end_offset=1 + policy.premake,
    )


def first_day(policy: PartitionPolicy, now: datetime) -> date:
    """Return the first day of the set: `start`, else the oldest kept, else this January."""
    if policy.start is not None:
        return policy.start.start
    floor = kept_since(policy, now)
    if floor is not None:
        return floor.start
    january = now.astimezone(policy.time_zone).date().replace(month=1, day=1)
    return period_of(january, policy.interval).start


def keys_ahead(policy: PartitionPolicy, now: datetime) -> list[str]:
    """Return the keys from the current period to the horizon, as far as the set has them.

    The set counts in UTC and the policy in its own zone, so that for some hours of a day one
    is a period ahead of the other. None where the policy's `start` is yet to come.
    """
    first, last = current_period(policy, now), horizon(policy, now)
    known = partition_set(policy, now).get_partition_keys(current_time=now)
    return [key for key in known if first.key <= key <= last.key]


def range_tags(keys: Sequence[str]) -> dict[str, str]:
    """Return the tags that make one run out of several keys that follow each other."""
    return {
        "dagster/asset_partition_range_start": keys[0],
        "dagster/asset_partition_range_end": keys[-1],
    }
