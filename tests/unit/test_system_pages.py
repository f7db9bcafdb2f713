"""The measured part of the pages of the example systems is what was measured."""

from typing import Any

import pytest

from tests.declared import SYSTEMS, declared
from tests.system_pages import CLAIMS, PAGES, load, rendered, with_times

every_system = pytest.mark.parametrize("system", SYSTEMS)


@every_system
def test_page_has_the_measured_times(system: str) -> None:
    page = (PAGES / f"{system}.md").read_text()
    assert page == rendered(page, load(system)), (
        "outdated; run .venv/bin/python -m tests.system_pages"
    )


@every_system
def test_every_declared_index_was_measured_at_the_stated_scale(system: str) -> None:
    measured = load(system)
    assert measured["scale"] == "stated"
    assert measured["indexes"].keys() == {each.name for each in declared(system) if each.creates}
    assert CLAIMS[system]


def test_claim_holds_by_its_lowest_number() -> None:
    page = "| wave | index | serves | plan claims |\n|---|---|---|---|\n{}\n\n"
    rows = {
        "10x (5-20 to 1 ms)": (20.0, 2.0, 10.0, "yes"),
        "10x": (20.0, 2.1, 9.5, "no"),
        "60-70 % less": (100.0, 41.0, 2.4, "no"),
        "60-80 %": (100.0, 39.0, 2.5, "yes"),
        "20 %": (100.0, 50.0, None, "no"),
        "login 200 to 25 ms, target 50": (60.0, 49.0, None, "no"),
        "to 15-50 ms": (60.0, 49.0, None, "yes"),
        "at once": (60.0, 49.0, None, ""),
    }
    for claim, (before, after, ratio, reached) in rows.items():
        found = {"query": "q", "before_ms": before, "after_ms": after, "ratio": ratio}
        measured: dict[str, Any] = {
            "indexes": {"i": {**found, "verdict": "used", "reason": None}},
            "served": {"by": {}},
        }
        line = with_times(page.format(f"| 1 | `i` | `q` | {claim} |"), measured).splitlines()[2]
        assert line.split(" | ")[-2].strip() == reached, claim


@every_system
def test_index_that_is_not_used_has_one_that_serves_instead_or_a_small_table(system: str) -> None:
    measured = load(system)
    by = measured["served"]["by"].values()
    assert {each["service"] for each in by} <= {"declared_index", "another_index", "small_table"}
    page = (PAGES / f"{system}.md").read_text()
    for name, found in measured["indexes"].items():
        if found["verdict"] != "not used":
            continue
        instead = [
            each["index"]
            for key, each in measured["served"]["by"].items()
            if key.rpartition(" ")[0] == found["query"] and each["service"] == "another_index"
        ]
        (row,) = (line for line in page.splitlines() if f"| `{name}` |" in line)
        assert instead or found["reason"] == "table_too_small", name
        assert all(each.partition(".")[2].strip('"') in row for each in instead)
