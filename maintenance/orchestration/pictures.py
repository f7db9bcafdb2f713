"""Pictures in the metadata: what a person grasps at a glance and a table does not tell."""

import base64
import io
from datetime import datetime

import dagster as dg

from maintenance.partitions.inventory import PartitionFacts, TableInventory

_COLOURS = {
    "expired": "#c44e52",
    "held": "#dd8452",
    "past": "#4c72b0",
    "current": "#55a868",
    "ahead": "#c6d8ec",
    "default": "#8c8c8c",
}
_MEGABYTE = 2**20
_MOST_LABELS = 24


def timeline(table: TableInventory, now: datetime) -> dg.MarkdownMetadataValue:
    """Draw a table's partitions in order of time: height is size, colour is state."""
    # Half a second of imports, paid only where a picture is drawn.
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.patches import Patch  # noqa: PLC0415

    figure = Figure(figsize=(10, 2.6), dpi=110, layout="constrained")
    axes = figure.subplots()
    states = [_state(facts, now) for facts in table.partitions]
    sizes = [facts.size_bytes / _MEGABYTE for facts in table.partitions]
    # An empty partition is there too, and is to be seen.
    least = max(sizes, default=0.0) * 0.02 or 0.1
    places = range(len(sizes))
    axes.bar(
        places,
        [max(size, least) for size in sizes],
        color=[_COLOURS[state] for state in states],
        width=0.9,
    )
    axes.margins(x=0.01, y=0.3)  # room for the legend
    step = max(1, len(sizes) // _MOST_LABELS)
    axes.set_xticks(list(places)[::step])
    axes.set_xticklabels(
        [facts.period or _short(facts) for facts in table.partitions][::step],
        rotation=60,
        ha="right",
        fontsize=8,
    )
    axes.set_ylabel("MB")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(
        f"{table.table}: {table.ahead} of {table.premake} ahead", fontsize=10, loc="left"
    )
    shown = [state for state in _COLOURS if state in states]
    axes.legend(
        handles=[Patch(color=_COLOURS[state], label=state) for state in shown],
        ncols=len(shown),
        fontsize=8,
        frameon=False,
    )
    image = io.BytesIO()
    figure.savefig(image, format="png")
    encoded = base64.b64encode(image.getvalue()).decode()
    return dg.MetadataValue.md(f"![{len(sizes)} partitions](data:image/png;base64,{encoded})")


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
