"""Charts for the metadata: values over weeks and months."""

import base64
import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import dagster as dg

Series = Sequence[tuple[datetime, float]]
"""Timestamps with values, oldest first."""

_DAY_S = 86_400
"""Matplotlib counts time in days since 1970."""

_PALETTE = 32
"""Colors of an image: those of the lines, and their shades at the edges."""
_COLOURS = ("#4c72b0", "#dd8452", "#55a868", "#c44e52")


def lines(title: str, unit: str, series: Mapping[str, Series]) -> dg.MarkdownMetadataValue:
    """Draw each series as a line over time; a single value is a point."""
    # Importing Matplotlib takes half a second, so only charts pay for it.
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(10, 2.6), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.xaxis_date()
    for (name, points), colour in zip(series.items(), _COLOURS, strict=False):
        axes.plot(
            [at.timestamp() / _DAY_S for at, _ in points],
            [value for _, value in points],
            color=colour,
            label=name,
            marker="o",
            markersize=3,
        )
    axes.set_ylabel(unit)
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, fontsize=10, loc="left", parse_math=False)
    figure.autofmt_xdate(rotation=30)
    if series:
        axes.legend(fontsize=8, frameon=False, ncols=len(series))
    return embedded(figure, title)


def bars(title: str, unit: str, values: Mapping[str, float]) -> dg.MarkdownMetadataValue:
    """Draw a bar for each name, in the given order."""
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(10, 2.6), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.bar(list(values), list(values.values()), color=_COLOURS[0])
    axes.set_ylabel(unit)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, fontsize=10, loc="left", parse_math=False)
    axes.tick_params(axis="x", rotation=30)
    return embedded(figure, title)


def before_and_after(
    title: str, unit: str, values: Mapping[str, tuple[float, float]]
) -> dg.MarkdownMetadataValue:
    """Draw two bars for each name, before and after, on a logarithmic scale."""
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(10, 3.2), dpi=110, layout="constrained")
    axes = figure.subplots()
    places = range(len(values))
    for shift, label, colour, each in (
        (-0.2, "before", _COLOURS[1], 0),
        (0.2, "after", _COLOURS[0], 1),
    ):
        heights = [pair[each] for pair in values.values()]
        axes.bar([place + shift for place in places], heights, 0.4, color=colour, label=label)
    axes.set_xticks(places, list(values), rotation=35, ha="right", fontsize=8, parse_math=False)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_ylabel(unit)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, fontsize=10, loc="left", parse_math=False)
    axes.legend(fontsize=8, frameon=False, ncols=2)
    return embedded(figure, title)


def embedded(figure: Any, caption: str) -> dg.MarkdownMetadataValue:
    """Embed a figure into Markdown metadata, so that no image file is needed.

    Dagster stores each text twice: with a palette, a picture takes a quarter of the room.
    """
    from PIL import Image  # noqa: PLC0415 - as Matplotlib, which needs it

    drawn, image = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    palette = Image.open(drawn).convert("RGB").quantize(_PALETTE)
    palette.save(image, format="png", optimize=True)
    encoded = base64.b64encode(image.getvalue()).decode()
    return dg.MetadataValue.md(f"![{caption}](data:image/png;base64,{encoded})")
