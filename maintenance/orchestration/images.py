"""Images for the metadata: the partitions of a table over time."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

import dagster as dg
import leather

from maintenance.catalog.history import Archived
from maintenance.orchestration.charts import (
    BLUE,
    GREEN,
    ORANGE,
    RED,
    embedded,
    name_places,
    nothing,
)
from maintenance.subjects.partitions.inventory import PartitionFacts, TableInventory

_GONE = "archived and dropped"
_COLOURS = {
    _GONE: "#dcdcdc",
    "expired": RED,
    "held": ORANGE,
    "past": BLUE,
    "current": GREEN,
    "ahead": "#c6d8ec",
    "default": "#8c8c8c",
}
"""Colors by state, in the order of the legend."""

_MARK, _MARK_RADIUS = "#2f2f2f", 3

_MEGABYTE = 2**20
_MOST_BARS = 240


class Bar(NamedTuple):
    """One bar; sizes are in MB."""

    label: str
    state: str
    size: float
    archived: bool


def timeline(
    table: TableInventory, now: datetime, archives: Sequence[Archived] = ()
) -> dg.MarkdownMetadataValue:
    """Draw a table's newest partitions by time: the height is the size, the color the state.

    Args:
        table: its partitions.
        now: the current time.
        archives: its archived periods from the store; those without a partition are drawn with
            the size of the archive.
    """
    bars = bars_of(table, now, archives)
    title = f"{table.table}: {table.ahead} of {table.premake} ahead"
    if len(bars) > _MOST_BARS:
        title = f"{title}; newest {_MOST_BARS} of {len(bars)} periods"
    return _drawn(bars[-_MOST_BARS:], title) if bars else nothing(title)


def bars_of(table: TableInventory, now: datetime, archives: Sequence[Archived]) -> list[Bar]:
    """Return the bars in order of time, the default partition last."""
    archived = {each.period for each in archives}
    present = {facts.period for facts in table.partitions}
    gone = sorted(each for each in archives if each.period not in present)
    bars = [Bar(each.period, _GONE, each.size_bytes / _MEGABYTE, archived=True) for each in gone]
    return bars + [
        Bar(
            facts.period or _short(facts),
            _state(facts, now),
            facts.size_bytes / _MEGABYTE,
            archived=facts.period in archived,
        )
        for facts in table.partitions
    ]


def _drawn(bars: Sequence[Bar], title: str) -> dg.MarkdownMetadataValue:
    chart: Any = leather.Chart(title)
    places = name_places(chart, [bar.label for bar in bars])
    most = max(bar.size for bar in bars)
    # Empty partitions get a minimum height, so that they are visible.
    least = most * 0.02 or 0.1
    heights = [max(bar.size, least) for bar in bars]
    chart.set_y_scale(leather.Linear(0, max(heights) * 1.1))
    chart.add_y_axis(name="MB")
    columns = list(zip(places, heights, bars, strict=True))
    for state, colour in _COLOURS.items():
        if of_state := [(place, height) for place, height, bar in columns if bar.state == state]:
            chart.add_columns(of_state, name=state, fill_color=colour)
    above = max(heights) * 0.05
    if marked := [(place, height + above) for place, height, bar in columns if bar.archived]:
        chart.add_series(leather.Series(marked, name="archived"), _Marks(_MARK, _MARK_RADIUS))
    return embedded(chart, f"{len(bars)} periods")


class _Marks(leather.Dots):
    """Dots above columns, whose places have names."""

    def validate_series(self, series: Any) -> Literal[True]:  # noqa: ARG002 - as it is called
        return True


def _state(facts: PartitionFacts, now: datetime) -> str:
    if facts.retention is not None:
        return facts.retention
    if facts.lower is None and facts.upper is None:
        return "default"
    if facts.upper is not None and facts.upper <= now:
        return "past"
    return "ahead" if facts.lower is not None and facts.lower > now else "current"


def _short(facts: PartitionFacts) -> str:
    return facts.name.rsplit(".", 1)[-1]
