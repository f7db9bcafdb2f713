"""Names of partitions: what a template must hold, how it is cut, when two collide."""

import re
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance.errors import PolicyError
from maintenance.periods import Interval, Period, period_of
from maintenance.policy import PartitionPolicy, load_policy
from maintenance.policy.name_templates import colliding, default_template, faults, render

NOVEMBER = Period(date(2026, 11, 1), Interval.MONTH)


def table(**settings: object) -> PartitionPolicy:
    return PartitionPolicy.model_validate({"table": "events", "column": "at", **settings})


def messages(folder: Path, *tables: str) -> list[str]:
    path = folder / "shop.yaml"
    listed = "".join(f"  - {{column: at, {each}}}\n" for each in tables)
    path.write_text(f"database: {{name: shop, url: {{env: A}}}}\npartitions:\n{listed}")
    try:
        load_policy(path)
    except PolicyError as error:
        return [str(each) for each in error.problems]
    return []


@pytest.mark.parametrize(
    ("interval", "name"),
    [
        ("1 year", "events_2024"),
        ("3 months", "events_2024_01"),
        ("1 month", "events_2024_01"),
        ("1 week", "events_2024_01_01"),
        ("1 day", "events_2024_01_01"),
    ],
)
def test_default_name_follows_the_interval(interval: str, name: str) -> None:
    assert table(interval=interval).child_name(Period(date(2024, 1, 1), Interval(interval))) == name


def test_own_template_is_rendered() -> None:
    policy = table(table='"Sales"."Order Log"', name="p{yyyy}{mm} of {table}")
    assert policy.child_name(NOVEMBER) == "p202611 of Order Log"


def test_long_name_keeps_its_suffix() -> None:
    name = table(table="e" * 63).child_name(NOVEMBER)
    assert name == "e" * 55 + "_2026_11"


def test_cut_never_splits_a_character() -> None:
    name = table(table="é" * 31).child_name(NOVEMBER)
    assert name == "é" * 27 + "_2026_11"
    assert len(name.encode()) == 62


@given(st.text(min_size=1), st.sampled_from(Interval), st.dates(date(1, 1, 8), date(9998, 1, 1)))
def test_names_of_neighbours_differ_and_fit(name: str, interval: Interval, day: date) -> None:
    name = name.replace("\0", "x").encode(errors="ignore").decode()
    template = default_template(interval)
    period = period_of(day, interval)
    names = {render(template, name, each.start) for each in (period, period.shift(1))}
    assert len(names) == 2
    assert all(len(each.encode()) <= 63 for each in names)


def test_table_named_like_a_placeholder_is_not_filled_in() -> None:
    assert render("{table}_{yyyy}_{mm}", "{mm}{table}", date(2026, 11, 1)) == "{mm}{table}_2026_11"


@pytest.mark.parametrize(
    "template",
    [
        "{table}_{yyyy}_{mm}_{hh}",
        "{table}_{yyyy}_{mm",
        "{}_{yyyy}_{mm}",
        "{table!r}{yyyy}{mm}",
        "{{x}}{mm}",
    ],
)
def test_unknown_placeholder_is_refused(template: str) -> None:
    assert placeholders(faults(template, Interval.MONTH)[0]) == {
        "{table}", "{yyyy}", "{mm}", "{dd}", "{mon}", "{q}", "{iyyy}", "{ww}",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("interval", "template", "day", "name"),
    [
        ("1 month", "{table}_{yyyy}_{mon}", date(2026, 11, 1), "events_2026_nov"),
        ("3 months", "{table}_p{yyyy}q{q}", date(2026, 12, 28), "events_p2026q4"),
        ("1 week", "{table}_p{iyyy}w{ww}", date(2026, 12, 28), "events_p2026w53"),
        ("1 day", "{table}_{yyyy}_{mon}_{dd}", date(2026, 12, 28), "events_2026_dec_28"),
    ],
)
def test_names_of_other_tools_can_be_written(
    interval: str, template: str, day: date, name: str
) -> None:
    policy = table(interval=interval, name=template)
    assert policy.child_name(period_of(day, Interval(interval))) == name
    assert policy.may_name(name)
    assert not policy.may_name(name.replace("2026", "20xx"))


def test_iso_year_of_a_week_belongs_to_its_week() -> None:
    week = Period(date(2024, 12, 30), Interval.WEEK)
    assert table(interval="1 week", name="{table}_{iyyy}w{ww}").child_name(week) == "events_2025w01"


@pytest.mark.parametrize(
    ("interval", "template"),
    [
        (Interval.MONTH, "{table}_{yyyy}_{q}"),
        (Interval.WEEK, "{table}_{yyyy}_{ww}"),
        (Interval.DAY, "{table}_{iyyy}_{ww}"),
        (Interval.YEAR, "{table}_{iyyy}"),
    ],
)
def test_template_by_which_two_periods_share_a_name_is_refused(
    interval: Interval, template: str
) -> None:
    assert faults(template, interval)


def test_names_of_months_collide_with_written_ones() -> None:
    templates = [("{table}_{yyyy}_{mon}", "events"), ("events_{yyyy}_nov_{mm}{table}", "")]
    assert colliding([*templates, ("events_{yyyy}_nov", "")]) == [(2, 0)]


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"\{\w+\}", text))


@pytest.mark.parametrize(
    ("interval", "template", "missing"),
    [
        (Interval.YEAR, "{table}", {"{yyyy}"}),
        (Interval.MONTH, "{table}_{yyyy}", {"{mm}"}),
        (Interval.QUARTER, "{table}_{mm}", {"{yyyy}"}),
        (Interval.WEEK, "{table}_{yyyy}_{mm}", {"{dd}"}),
        (Interval.DAY, "{table}_{dd}", {"{yyyy}", "{mm}"}),
    ],
)
def test_template_tells_any_two_periods_apart(
    interval: Interval, template: str, missing: set[str]
) -> None:
    (fault,) = faults(template, interval)
    assert placeholders(fault) == missing


def test_fixed_text_fits_63_bytes() -> None:
    assert faults("x" * 56 + "{yyyy}{mm}{table}", Interval.MONTH) == []
    (fault,) = faults("x" * 58 + "{yyyy}{mm}", Interval.MONTH)
    assert "63" in fault
    assert faults("é" * 29 + "{yyyy}{mm}", Interval.MONTH)


def test_same_names_after_the_cut_are_refused_with_both_tables(tmp_path: Path) -> None:
    (message,) = messages(tmp_path, f"table: {'e' * 56}_a", f"table: {'e' * 56}_b")
    assert "shop.yaml:4:5: partitions[1].name:" in message
    assert f"public.{'e' * 56}_a" in message
    assert f"public.{'e' * 56}_b" in message


def test_same_names_by_template_are_refused(tmp_path: Path) -> None:
    name = 'name: "p_{yyyy}_{mm}"'
    (message,) = messages(tmp_path, f"table: a, {name}", f"table: b, {name}")
    for part in ("partitions[1].name:", "public.a", "public.b"):
        assert part in message


def test_table_whose_own_name_looks_like_a_date_may_collide(tmp_path: Path) -> None:
    daily = 'table: e, interval: 1 day, name: "{table}_{yyyy}_{mm}_{dd}"'
    yearly = 'table: e_2024_01, interval: 1 year, name: "e_{yyyy}_01_05"'
    assert len(messages(tmp_path, daily, yearly)) == 1


def test_same_names_in_other_schemas_are_fine(tmp_path: Path) -> None:
    assert messages(tmp_path, "table: a.events", "table: b.events", "table: events") == []


def test_tables_of_other_lengths_are_fine(tmp_path: Path) -> None:
    assert messages(tmp_path, "table: events", "table: events_2024", "table: event") == []


SHAPES = st.sampled_from(["e", "e_2024_01", "e_2024_02", "e_1", "e_2", "e_2024_01_05", "f"])
TEMPLATES = st.sampled_from(
    [
        "{table}_{yyyy}",
        "{table}_{yyyy}_{mm}",
        "e_{yyyy}_{mm}_05",
        "{table}{dd}_{mm}_{yyyy}",
        "p{yyyy}",
    ]
)


def can_meet(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether some dates, of any digits, give both tables a partition of one name."""
    shapes = [
        template.replace("{table}", table)
        .replace("{yyyy}", "????")
        .replace("{mm}", "??")
        .replace("{dd}", "??")
        for template, table in (one, other)
    ]
    return len(shapes[0]) == len(shapes[1]) and all(
        a == b or ("?" in a + b and (a + b).strip("?0123456789") == "")
        for a, b in zip(*shapes, strict=True)
    )


@given(st.lists(st.tuples(TEMPLATES, SHAPES), max_size=8))
def test_every_table_that_collides_is_found_with_the_first_it_collides_with(
    tables: list[tuple[str, str]],
) -> None:
    wanted = [
        (later, next(n for n in range(later) if can_meet(tables[later], tables[n])))
        for later in range(len(tables))
        if any(can_meet(tables[later], tables[n]) for n in range(later))
    ]
    assert colliding(tables) == wanted
