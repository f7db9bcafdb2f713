"""Charts for the metadata, as SVG: values over weeks and months, and by name."""

import base64
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as ET

import dagster as dg
import leather
from leather.scales import Scale

from maintenance.formatting import visible
from maintenance.orchestration.markdown import code

Series = Sequence[tuple[datetime, float]]
"""Timestamps with values, oldest first."""

ORANGE, BLUE, GREEN, RED = "#dd8452", "#4c72b0", "#55a868", "#c44e52"

_COLOURS = (BLUE, ORANGE, GREEN, RED)
_WIDTH, _HEIGHT = 1000, 300
_ROW_HEIGHT, _MARGINS = 34, 130
_DOT, _PAIR_DOT = 2.5, 6
_DAY_S = 86_400
_MOST_POINTS, _MOST_DOTS = 240, 40
_MOST_MOMENTS = 7
_MOST_LABELS = 12

_FONT = "sans-serif"
leather.theme.margin = 0.04
leather.theme.background_color = "#ffffff"
leather.theme.title_font_family = leather.theme.legend_font_family = _FONT
leather.theme.axis_title_font_family = leather.theme.tick_font_family = _FONT
leather.theme.axis_title_font_size = leather.theme.tick_font_size = 12
leather.theme.tick_font_char_width = 7
leather.theme.axis_title_gap = 14
leather.theme.label_color = "#666"


def lines(title: str, unit: str, series: Mapping[str, Series]) -> dg.MarkdownMetadataValue:
    """Draw each series as a line over time, by UTC; a single value is a dot.

    Of many values that are close together the greatest is drawn.
    """
    drawn = {name: _numbers(points) for name, points in series.items()}
    drawn = {name: points for name, points in drawn.items() if points}
    if not drawn:
        return nothing(title)
    chart: Any = leather.Chart(title)
    moments = [at for points in drawn.values() for at, _ in points]
    first, last = min(moments), max(moments)
    chart.set_x_scale(_Span(first, last))
    is_of_days = last - first >= _MOST_MOMENTS * _DAY_S
    chart.add_x_axis(_ticks(first, last, is_of_days), labels(_moment(is_of_days)))
    _from_zero(chart, unit, (value for points in drawn.values() for _, value in points))
    for (name, points), colour in zip(drawn.items(), _COLOURS, strict=False):
        shape = _DottedLine(colour) if len(points) <= _MOST_DOTS else leather.Line(colour)
        chart.add_series(leather.Series(points, name=name), shape)
    return embedded(chart, title)


def bars(title: str, unit: str, values: Mapping[str, float]) -> dg.MarkdownMetadataValue:
    """Draw a bar for each name, in the given order."""
    if not values:
        return nothing(title)
    chart: Any = leather.Chart(title)
    places = name_places(chart, list(values))
    _from_zero(chart, unit, values.values())
    chart.add_columns(list(zip(places, values.values(), strict=True)), fill_color=BLUE)
    return embedded(chart, title)


def before_and_after(
    title: str, unit: str, values: Mapping[str, tuple[float, float]]
) -> dg.MarkdownMetadataValue:
    """Draw two dots for each name, before and after, on a logarithmic scale."""
    powers = {
        name: (math.log10(before), math.log10(after))
        for name, (before, after) in values.items()
        if before > 0 and after > 0
    }
    if not powers:
        return nothing(title)
    chart: Any = leather.Chart(title)
    least = math.floor(min(map(min, powers.values())))
    decades = range(1, math.ceil(max(map(max, powers.values()))) - least + 2)
    chart.set_x_scale(_Span(decades[0], decades[-1]))
    chart.add_x_axis(decades, labels(lambda decade: f"{10 ** (decade + least - 1):g} {unit}"))
    rows = range(len(powers), 0, -1)
    names = dict(zip(rows, powers, strict=True))
    chart.set_y_scale(_Span(0, len(powers) + 1))
    chart.add_y_axis(rows, labels(lambda row: names[int(row)]))
    for which, label, colour in ((0, "before", ORANGE), (1, "after", BLUE)):
        points = [(powers[names[row]][which] - least + 1, row) for row in rows]
        chart.add_dots(points, name=label, fill_color=colour, radius=_PAIR_DOT)
    return embedded(chart, title, _MARGINS + _ROW_HEIGHT * len(powers))


def name_places(chart: Any, names: Sequence[str]) -> list[str]:
    """Put names on the horizontal axis of a chart; return what stands for each in its data.

    Of many names only some are written, so that they do not overlap.
    """
    places = [str(place) for place in range(len(names))]
    chart.set_x_scale(leather.Ordinal(places))
    step = -(-len(names) // _MOST_LABELS)
    chart.add_x_axis(places[::step], labels(lambda place: names[int(place)]))
    return places


def labels(label: Callable[[float], str]) -> Callable[[Any, int, int], str]:
    """Return what leather calls for the text of a tick: its value, its number, of how many."""

    def text(value: Any, _number: int, _of: int) -> str:
        return label(float(value))

    return text


def nothing(title: str) -> dg.MarkdownMetadataValue:
    """Say that there is nothing to draw yet."""
    return dg.MetadataValue.md(f"{code(title)}: no values yet")


def embedded(chart: Any, caption: str, height: int = _HEIGHT) -> dg.MarkdownMetadataValue:
    """Embed a chart into Markdown metadata, so that no image file is needed."""
    size = {"width": str(_WIDTH), "height": str(height)}
    root = ET.Element("svg", size, xmlns="http://www.w3.org/2000/svg")
    root.append(chart.to_svg_group(_WIDTH, height))
    _tidy(root)
    encoded = base64.b64encode(ET.tostring(root)).decode()
    return dg.MetadataValue.md(f"![{caption}](data:image/svg+xml;base64,{encoded})")


class _Span(Scale):
    """From the least to the greatest value, where leather would go on to round ones.

    A twentieth is left free at both ends, as is all around a single value.
    """

    def __init__(self, least: float, most: float) -> None:
        free = (most - least) / 20 or 1
        self._least, self._length = least - free, most - least + 2 * free

    def contains(self, v: float) -> bool:
        return self._least <= v <= self._least + self._length

    def project(self, value: float, range_min: float, range_max: float) -> float:
        share = (value - self._least) / self._length
        return float(range_min) + share * (float(range_max) - float(range_min))


class _DottedLine(leather.Line):
    """A line with a dot at each value, so that a single one shows."""

    def __init__(self, colour: str) -> None:
        super().__init__(colour)
        self._dots: Any = leather.Dots(colour, _DOT)

    def to_svg(
        self, width: Any, height: Any, x_scale: Any, y_scale: Any, series: Any, palette: Any
    ) -> Any:
        what = (width, height, x_scale, y_scale, series, palette)
        group: Any = super().to_svg(*what)
        group.append(self._dots.to_svg(*what))
        return group


def _numbers(points: Series) -> list[tuple[float, float]]:
    numbers = [(at.timestamp(), value) for at, value in points if math.isfinite(value)]
    size = -(-len(numbers) // _MOST_POINTS)
    parts = (numbers[n : n + size] for n in range(0, len(numbers), size or 1))
    return [max(part, key=lambda point: point[1]) for part in parts]


def _ticks(first: float, last: float, is_of_days: bool) -> list[float]:
    if is_of_days:
        begin, unit_s = -(-first // _DAY_S) * _DAY_S, _DAY_S
    else:
        begin, unit_s = first, 1
    step = max(1, math.ceil((last - begin) / unit_s / _MOST_MOMENTS)) * unit_s
    return [begin + step * n for n in range(int((last - begin) // step) + 1)]


def _moment(is_of_days: bool) -> Callable[[float], str]:
    shape = "%Y-%m-%d" if is_of_days else "%m-%d %H:%M"
    return lambda at: datetime.fromtimestamp(at, UTC).strftime(shape)


def _from_zero(chart: Any, unit: str, values: Iterable[float]) -> None:
    chart.set_y_scale(leather.Linear(0, max(values) or 1))
    chart.add_y_axis(name=unit)


def _tidy(root: ET.Element) -> None:
    """Write coordinates as tenths of a pixel, not with 28 digits, and no character XML forbids."""
    for element in root.iter():
        element.text = element.text and visible(element.text)
        for name, text in element.items():
            if name == "d":
                element.set(name, " ".join(map(_tenths, text.split())))
            else:
                element.set(name, _tenths(text))


def _tenths(text: str) -> str:
    try:
        return f"{float(text):.1f}".removesuffix(".0")
    except ValueError:
        return text
