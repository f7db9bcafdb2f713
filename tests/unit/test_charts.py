"""Charts: whatever the values, a small picture that every browser can read."""

import base64
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st

from maintenance.orchestration import charts

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SVG = "{http://www.w3.org/2000/svg}"
MOST_BYTES = 60_000

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
values = st.floats(min_value=0, max_value=1e18, allow_nan=False) | st.just(float("inf"))
ages = st.timedeltas(timedelta(), timedelta(days=9000)) | st.timedeltas(
    timedelta(), timedelta(minutes=5)
)
moments = ages.map(lambda age: NOW - age)
series = st.lists(st.tuples(moments, values), max_size=20).map(sorted)


def drawn(markdown: object) -> ET.Element:
    """The picture in a text."""
    text = str(getattr(markdown, "md_str", ""))
    encoded = text.rpartition("base64,")[2].removesuffix(")")
    return ET.fromstring(base64.b64decode(encoded))


def texts(picture: ET.Element) -> list[str]:
    return [str(element.text) for element in picture.iter(f"{SVG}text")]


@settings(max_examples=60)
@given(title=names, unit=names, each=st.dictionaries(names, series, max_size=4))
def test_any_values_over_time_make_a_picture(
    title: str, unit: str, each: dict[str, charts.Series]
) -> None:
    found = charts.lines(title, unit, each)
    if any(value != float("inf") for points in each.values() for _, value in points):
        assert len(drawn(found)) == 1
    else:
        assert (found.md_str or "").endswith(": no values yet")


@settings(max_examples=60)
@given(title=names, by_name=st.dictionaries(names, st.floats(0, 1e15), max_size=40))
def test_any_values_by_name_make_a_picture(title: str, by_name: dict[str, float]) -> None:
    found = charts.bars(title, "MB", by_name)
    if by_name:
        assert len(drawn(found)) == 1
    else:
        assert (found.md_str or "").endswith(": no values yet")


@settings(max_examples=60)
@given(st.dictionaries(names, st.tuples(st.floats(0, 1e9), st.floats(0, 1e9)), max_size=12))
def test_any_pairs_make_a_picture(pairs: dict[str, tuple[float, float]]) -> None:
    found = charts.before_and_after("queries", "ms", pairs)
    if any(before > 0 and after > 0 for before, after in pairs.values()):
        assert len(drawn(found)) == 1
    else:
        assert (found.md_str or "").endswith(": no values yet")


def test_week_of_minutes_is_small_and_keeps_its_peak() -> None:
    minutes = [(NOW + timedelta(minutes=n), 0.1) for n in range(10_000)]
    minutes[7_777] = (minutes[7_777][0], 0.9)
    found = charts.lines("app", "share", {"in use": minutes, "idle": minutes})
    assert len(found.md_str or "") < MOST_BYTES
    paths = drawn(found).iter(f"{SVG}path")
    heights = [set(map(float, path.attrib["d"].split()[2::3])) for path in paths]
    assert [len(found) for found in heights] == [2, 2]


def test_axes_say_days_units_and_names() -> None:
    days = [(NOW + timedelta(days=n), n * 10.0) for n in range(8)]
    assert {"app", "MB", "2026-11-22", "2026-11-27", "75"} <= set(
        texts(drawn(charts.lines("app", "MB", {"size": days})))
    )
    minutes = [(NOW + timedelta(minutes=n), 1.0) for n in range(8)]
    assert "11-20 12:00" in texts(drawn(charts.lines("app", "MB", {"size": minutes})))
    pairs = charts.before_and_after("queries", "ms", {"orders <of> a day": (900.0, 3.0)})
    assert {"orders <of> a day", "1 ms", "1000 ms", "before", "after"} <= set(texts(drawn(pairs)))


def test_a_single_value_is_a_dot() -> None:
    picture = drawn(charts.lines("app", "MB", {"size": [(NOW, 3.0)]}))
    assert len(list(picture.iter(f"{SVG}circle"))) == 1
