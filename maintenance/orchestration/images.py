"""Images for the metadata: the partitions of a table over time."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import dagster as dg

from maintenance.catalog.history import Archived
from maintenance.orchestration.charts import embedded
from maintenance.subjects.partitions.inventory import PartitionFacts, TableInventory

_GONE = "archived and dropped"
_COLOURS = {
    _GONE: "#dcdcdc",
    "expired": "#c44e52",
    "held": "#dd8452",
    "past": "#4c72b0",
    "current": "#55a868",
    "ahead": "#c6d8ec",
    "default": "#8c8c8c",
}
"""Colors by state, in the order of the legend."""

_HATCHED: dict[str, Any] = {"hatch": "////", "edgecolor": "#9a9a9a", "linewidth": 0.4}
_MARK: dict[str, Any] = {"marker": "v", "color": "#2f2f2f", "linestyle": "", "markersize": 4}
_MEGABYTE = 2**20
_MOST_LABELS = 24


class Bar(NamedTuple):
    """One bar; sizes are in MB."""

    label: str
    state: str
    size: float
    archived: bool


def timeline(
    table: TableInventory, now: datetime, archives: Sequence[Archived] = ()
) -> dg.MarkdownMetadataValue:
    """Draw a table's partitions in order of time: the height is the size, the color the state.

    Args:
        table: its partitions.
        now: the current time.
        archives: its archived periods from the store; those without a partition are drawn with
            the size of the archive.
    """
    bars = bars_of(table, now, archives)
    figure = _draw(bars, f"{table.table}: {table.ahead} of {table.premake} ahead")
    return embedded(figure, f"{len(bars)} periods")


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


def _draw(bars: Sequence[Bar], title: str) -> Any:
    # Importing Matplotlib takes half a second, so only charts pay for it.
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(10, 3.2), dpi=110, layout="constrained")
    axes = figure.subplots()
    # A `$` in a name must not be read as a formula.
    axes.set_title(title, fontsize=10, loc="left", fontweight="bold", parse_math=False)
    _draw_bars(axes, bars)
    _draw_scales(axes, bars)
    # Outside the axes, so that it hides no bar.
    figure.legend(
        handles=list(_legend(bars)),
        loc="outside lower left",
        ncols=len(_COLOURS) + 1,
        fontsize=8,
        frameon=False,
        handlelength=1.2,
        columnspacing=1.4,
    )
    return figure


def _draw_bars(axes: Any, bars: Sequence[Bar]) -> None:
    # Empty partitions get a minimum height, so that they are visible.
    least = max((bar.size for bar in bars), default=0.0) * 0.02 or 0.1
    heights = [max(bar.size, least) for bar in bars]
    colours = [_COLOURS[bar.state] for bar in bars]
    drawn = axes.bar(range(len(bars)), heights, color=colours, width=0.86)
    for patch, bar in zip(drawn, bars, strict=True):
        if bar.state == _GONE:
            patch.set(**_HATCHED)
    marked = [place for place, bar in enumerate(bars) if bar.archived]
    above = max(heights, default=1.0) * 0.06
    axes.plot(marked, [heights[place] + above for place in marked], **_MARK)


def _draw_scales(axes: Any, bars: Sequence[Bar]) -> None:
    step = -(-len(bars) // _MOST_LABELS) or 1
    labels = [bar.label for bar in bars][::step]
    axes.set_xticks(
        range(0, len(bars), step),
        labels,
        rotation=50,
        ha="right",
        rotation_mode="anchor",
        parse_math=False,
    )
    axes.margins(x=0.01, y=0.1)
    axes.set_ylabel("MB", fontsize=8)
    axes.tick_params(axis="both", length=2, labelsize=8)
    axes.yaxis.grid(visible=True, color="#e8e8e8", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _legend(bars: Sequence[Bar]) -> Iterator[Any]:
    from matplotlib.lines import Line2D  # noqa: PLC0415
    from matplotlib.patches import Patch  # noqa: PLC0415

    states = {bar.state for bar in bars}
    for state, colour in _COLOURS.items():
        if state in states:
            hatched = _HATCHED if state == _GONE else {}
            yield Patch(facecolor=colour, label=state, **hatched)
    if any(bar.archived for bar in bars):
        yield Line2D([], [], label="archived", **_MARK)


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
