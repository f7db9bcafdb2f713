"""The keys Dagster offers: from start or the oldest kept period up to the premake horizon."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from maintenance.orchestration.build import build
from maintenance.orchestration.partitions_defs import keys_ahead, partition_set
from maintenance.partition_set.expected import current_period, horizon
from maintenance.policy import PartitionPolicy
from tests.policies import EVENTS, make_policy, write_policy
from tests.snapshots import NOW, a_policy

URL = "postgresql://nobody@127.0.0.1:9/nowhere"
RETENTION = {"keep": "3 months", "action": "detach"}


def a_section(**changes: Any) -> PartitionPolicy:
    (section,) = a_policy(changes).partitions
    return section


def keys(now: datetime = NOW, **changes: Any) -> list[str]:
    return list(partition_set(a_section(**changes), now).get_partition_keys(current_time=now))


@pytest.mark.parametrize(
    ("interval", "start", "first", "last", "n"),
    [
        ("1 day", "2026-11-16", "2026-11-16", "2026-11-22", 7),
        ("1 week", "2026-11-02", "2026-11-02", "2026-11-30", 5),
        ("1 month", "2024-01", "2024-01", "2027-01", 37),
        ("3 months", "2026-01", "2026-01", "2027-04", 6),
        ("1 year", "2020", "2020", "2028", 9),
    ],
)
def test_keys_reach_from_start_to_the_horizon(
    interval: str, start: str, first: str, last: str, n: int
) -> None:
    found = keys(interval=interval, start=start, premake=2)
    assert (found[0], found[-1], len(found)) == (first, last, n)
    assert found[-1] == horizon(a_section(interval=interval, premake=2), NOW).key


@pytest.mark.parametrize(
    ("interval", "keep", "first"),
    [
        ("1 day", "3 months", "2026-08-20"),
        ("1 week", "3 months", "2026-08-17"),
        ("1 month", "3 months", "2026-08"),
        ("3 months", "3 months", "2026-07"),
        ("1 year", "24 months", "2024"),
    ],
)
def test_without_start_the_oldest_kept_period_comes_first(
    interval: str, keep: str, first: str
) -> None:
    assert keys(interval=interval, retention={**RETENTION, "keep": keep})[0] == first


@pytest.mark.parametrize(
    ("interval", "first"),
    [
        ("1 day", "2026-01-01"),
        ("1 week", "2025-12-29"),
        ("1 month", "2026-01"),
        ("3 months", "2026-01"),
        ("1 year", "2026"),
    ],
)
def test_without_start_and_retention_this_january_comes_first(interval: str, first: str) -> None:
    assert keys(interval=interval)[0] == first


def test_start_comes_first_even_where_retention_keeps_less() -> None:
    assert keys(start="2024-01", retention=RETENTION)[0] == "2024-01"


@pytest.mark.parametrize(
    "now",
    [
        datetime(2026, 10, 31, 23, 59, 59, tzinfo=UTC),
        datetime(2026, 11, 1, tzinfo=UTC),
        datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(2028, 2, 29, 12, tzinfo=UTC),
    ],
)
@pytest.mark.parametrize("interval", ["1 day", "1 week", "1 month", "3 months", "1 year"])
def test_last_key_is_the_horizon_at_every_moment(now: datetime, interval: str) -> None:
    section = a_section(interval=interval)
    assert keys(now, interval=interval)[-1] == horizon(section, now).key


# Schedules


def test_keys_ahead_are_the_current_period_and_the_premade() -> None:
    assert keys_ahead(a_section(start="2024-01"), NOW) == [
        "2026-11", "2026-12", "2027-01", "2027-02",
    ]  # fmt: skip


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Los_Angeles", "Pacific/Kiritimati"])
@pytest.mark.parametrize("hour", range(0, 24, 3))
@pytest.mark.parametrize("interval", ["1 day", "1 month", "1 year"])
def test_keys_ahead_exist_whatever_the_zone_and_hour(zone: str, hour: int, interval: str) -> None:
    now = datetime(2026, 12, 31, hour, 30, tzinfo=UTC)
    section = a_section(time_zone=zone, interval=interval)
    ahead = keys_ahead(section, now)
    assert ahead[0] == current_period(section, now).key
    assert set(ahead) <= set(partition_set(section, now).get_partition_keys(current_time=now))
    assert ahead[-1] <= horizon(section, now).key
    assert len(ahead) >= section.premake


def tick(folder: Path, **changes: Any) -> dg.RunRequest | dg.SkipReason:
    """Evaluate the monthly schedule of a policy with one table as of `NOW`."""
    write_policy(folder, URL, {**EVENTS, **changes})
    schedule = build([folder], NOW).resolve_schedule_def("app_monthly_partitions")
    context = dg.build_schedule_context(scheduled_execution_time=NOW)
    data = schedule.evaluate_tick(context)
    if data.skip_message:
        return dg.SkipReason(data.skip_message)
    assert data.run_requests is not None
    (request,) = data.run_requests
    return request


def test_monthly_tick_asks_for_one_run_from_now_to_the_horizon(tmp_path: Path) -> None:
    request = tick(tmp_path)
    assert isinstance(request, dg.RunRequest)
    assert request.partition_key is None
    assert request.tags["dagster/asset_partition_range_start"] == "2026-11"
    assert request.tags["dagster/asset_partition_range_end"] == "2027-02"


def test_monthly_tick_skips_a_table_whose_start_is_far_ahead(tmp_path: Path) -> None:
    skipped = tick(tmp_path, start="2030-01")
    assert isinstance(skipped, dg.SkipReason)
    assert "starts with 2030-01" in (skipped.skip_message or "")


def test_start_within_the_horizon_asks_only_for_what_follows_it(tmp_path: Path) -> None:
    request = tick(tmp_path, start="2027-01")
    assert isinstance(request, dg.RunRequest)
    assert request.tags["dagster/asset_partition_range_start"] == "2027-01"


def test_nightly_tick_asks_for_one_run_of_everything_unpartitioned(tmp_path: Path) -> None:
    policy = make_policy(tmp_path, URL, EVENTS)
    definitions = build([tmp_path], NOW)
    data = definitions.resolve_schedule_def("app_nightly").evaluate_tick(
        dg.build_schedule_context(scheduled_execution_time=NOW)
    )
    assert len(data.run_requests or ()) == 1
    job = definitions.resolve_job_def("app_nightly")
    selected = {key.to_user_string() for key in job.asset_layer.executable_asset_keys}
    name = policy.database.name
    assert selected == {f"{name}/partition_inventory", f"{name}/dagster_storage"}
