"""Time to impact: what grows how fast, by history and by what partitions hold."""

from datetime import timedelta
from typing import Any

import pytest

from maintenance.catalog.history import History, RowCount
from maintenance.catalog.models import Bucket, DefaultRows
from maintenance.engine.findings import FindingKind
from maintenance.subjects.partitions.growth import Rate, growth
from tests.snapshots import NOW, a_partition, a_policy, a_table, months, planned


def readings(*values: float, first: timedelta = timedelta(days=4)) -> list[RowCount]:
    """A reading a day, the first so long ago."""
    return [RowCount(NOW - first + timedelta(days=n), value) for n, value in enumerate(values)]


def test_growth_is_measured_from_the_oldest_count() -> None:
    assert growth(readings(100, 250, 300), 500, NOW) == Rate(100, NOW - timedelta(days=4))


def test_growth_begins_anew_where_rows_were_put_right() -> None:
    assert growth(readings(900, 1000, 0, 100), 200, NOW) == Rate(100, NOW - timedelta(days=2))


def test_rows_that_are_fewer_than_ever_have_no_rate() -> None:
    assert growth(readings(900, 1000), 5, NOW) is None


@pytest.mark.parametrize("ago", [timedelta(0), timedelta(minutes=59)])
def test_less_than_an_hour_is_no_measure(ago: timedelta) -> None:
    assert growth(readings(3, first=ago), 500, NOW) is None


def test_no_history_is_no_rate() -> None:
    assert growth([], 500, NOW) is None


def finding_of(kind: FindingKind, *partitions: Any, n_rows: int = 0, **facts: Any) -> Any:
    rows = DefaultRows(True, (Bucket(0, n_rows, "2001-01-01 00:00:00+00", None),))
    table = a_table(
        partitions,
        default_has_rows=bool(n_rows),
        default_rows=rows if n_rows else None,
    )
    found = planned(a_policy(), table, **facts).findings
    return next(finding for finding in found if finding.kind is kind)


def filled(n_rows: int, *values: float) -> Any:
    history = History(default_rows={"public.events": tuple(readings(*values))})
    partitions = [*months("2026-11", "2027-02"), a_partition("events_default")]
    kind = FindingKind.DEFAULT_PARTITION_ROWS
    return finding_of(kind, *partitions, n_rows=n_rows, history=history)


def test_default_partition_tells_its_growth_and_what_waiting_costs() -> None:
    finding = filled(30_000_000, 10_000_000)
    assert finding.data["rows_per_day"] == 5_000_000
    assert finding.data["rate_since"] == "2026-11-16T00:00:00+00:00"
    assert (finding.data["copy_s"], finding.data["copy_in_a_week_s"]) == (120, 260)


def test_small_default_partition_tells_until_when_it_stays_small() -> None:
    finding = filled(6_000, 2_000)
    assert finding.data["small_until"] == "2026-11-24T00:00:00+00:00"
    assert "small_until" not in filled(6_000, 6_000).data


def test_default_partition_without_history_tells_no_rate() -> None:
    finding = filled(500)
    assert "rows_per_day" not in finding.data


def test_short_horizon_tells_how_soon_and_how_many_rows() -> None:
    past, *rest = months("2026-10", "2026-11")
    analyzed = past._replace(rows=3_100_000.0)
    finding = finding_of(FindingKind.PARTITION_HORIZON_SHORT, analyzed, *rest)
    assert finding.data["impact_at"] == "2026-12-01T00:00:00+00:00"
    assert finding.data["rows_per_day"] == 100_000


def test_history_of_another_table_says_nothing() -> None:
    history = History(default_rows={"public.other": (RowCount(NOW - timedelta(days=3), 1.0),)})
    partitions = [*months("2026-11", "2027-02"), a_partition("events_default")]
    kind = FindingKind.DEFAULT_PARTITION_ROWS
    assert "rows_per_day" not in finding_of(kind, *partitions, n_rows=5, history=history).data
