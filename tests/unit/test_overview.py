"""The health verdict, the digest page and the metrics; missing data is never taken as good."""

import json
import re
from typing import Any

import pytest
from markdown_it import MarkdownIt
from prometheus_client.parser import text_string_to_metric_families

from maintenance.engine.findings import FindingKind, Severity
from maintenance.monitoring import Level, Overview, assess_health
from maintenance.monitoring.metrics import FAMILIES, PREFIX, exposition
from maintenance.monitoring.metrics import MOST_ALERTS as MOST_SERIES
from maintenance.monitoring.models import Load
from maintenance.orchestration.digest_day import UNKNOWN
from maintenance.orchestration.digest_links import AssetLinks
from maintenance.orchestration.digest_page import MOST_ALERTS, digest_page
from maintenance.policy.pauses import Pause
from tests.builders import ROOT
from tests.overviews import (
    HOSTILE,
    HOUR,
    NOW,
    a_history,
    a_load,
    a_table,
    a_view,
    an_action,
    an_alert,
    an_overview,
    some_doings,
    some_work,
)

DASHBOARD = json.loads((ROOT / "docs/grafana/dashboard.json").read_text())
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])

error = an_alert(FindingKind.PARTITION_GAP, Severity.ERROR, "public.events")
warning = an_alert()


def alerted(*alerts: Any, **others: Any) -> Overview:
    return an_overview(a_history(alerts, **others))


# The verdict


def test_nothing_found_and_the_night_gone_well_is_fine() -> None:
    assert assess_health(an_overview()) == (Level.FINE, ())
    assert str(assess_health(an_overview())) == "All is well"


@pytest.mark.parametrize(
    ("overview", "level", "reason"),
    [
        (alerted(error, warning), Level.NOW, "1 error: partition_gap on public.events"),
        (alerted(warning, warning), Level.TODAY, "2 warnings: index_bloat on"),
        (an_overview(blind="no route"), Level.NOW, "server not observed: no route"),
        (an_overview(tables=(a_table(ahead=1),)), Level.TODAY, "has 1 of 3 partitions ahead"),
        (
            an_overview(a_history(activity=some_doings(last_ended_at=NOW - 27 * HOUR))),
            Level.NOW,
            "no run finished for 1 day",
        ),
        (
            an_overview(a_history(activity=some_doings(last_ended_at=None))),
            Level.TODAY,
            "no run has finished yet",
        ),
        (
            an_overview(a_history(activity=some_doings(last_failed=True))),
            Level.TODAY,
            "the last run failed",
        ),
        (
            an_overview(a_history(activity=some_doings(unprocessed_since=NOW - 4 * HOUR))),
            Level.TODAY,
            "findings unprocessed for 4 hours",
        ),
        (an_overview(a_history(views=(a_view(hours=5),))), Level.TODAY, "public.totals"),
    ],
)
def test_what_is_wrong_is_said(overview: Overview, level: Level, reason: str) -> None:
    verdict = assess_health(overview)
    assert verdict.level is level
    assert reason in str(verdict)


def test_what_no_run_has_looked_at_yet_is_said_and_is_no_trouble() -> None:
    overview = an_overview(a_history(unobserved=("indexes",)))
    verdict = assess_health(overview)
    assert (verdict.level, str(verdict)) == (
        Level.FINE,
        "All is well so far: indexes: not looked at yet",
    )
    assert digest_page(overview).startswith("## All is well so far\n\n- indexes: not looked at yet")
    assert assess_health(alerted(warning, unobserved=("indexes",))).level is Level.TODAY


def test_database_without_a_store_is_not_called_fine() -> None:
    overview = Overview("app", NOW, None, (), None, ())
    assert assess_health(overview).level is Level.TODAY


def test_muted_and_acknowledged_alerts_are_no_reason() -> None:
    muted = an_alert(severity=Severity.ERROR, muted_until=NOW + HOUR)
    taken_on = an_alert(severity=Severity.ERROR, acknowledged_until=NOW + HOUR)
    assert assess_health(alerted(muted, taken_on)).level is Level.FINE


def test_what_an_alert_says_is_not_said_twice() -> None:
    alert = an_alert(FindingKind.PARTITION_HORIZON_SHORT, object_="public.events")
    overview = an_overview(a_history((alert,)), tables=(a_table(ahead=1),))
    assert len(assess_health(overview).reasons) == 1


# The page


def test_page_begins_with_the_verdict_and_has_every_part() -> None:
    page = digest_page(alerted(error, warning))
    assert page.startswith("## Act now\n\n- **act now**: 1 error")
    assert re.findall("^### (.*)$", page, re.MULTILINE) == [
        "Open alerts",
        "Partitions",
        "Views",
        "Computed rows",
        "The last 24 hours",
        "Sizes and load",
        "Planned next",
    ]
    assert "| error | partition gap | ` public.events ` | 3&nbsp;hours | 0.456 | 0.2 |" in page
    assert "| the next run creates it |" in page
    assert "database 1.0 GB" in page
    assert "−1.0 MB" in page  # noqa: RUF001 - a minus sign
    assert "cache hit rate 91%" in page


def test_page_says_that_nothing_is_changed_while_paused_or_reporting() -> None:
    assert "Paused" not in digest_page(an_overview())
    pause = Pause(NOW, None, HOSTILE, "app/me@here")
    page = digest_page(an_overview(a_history(pause=pause), mode="report"))
    assert "Paused" in page
    assert "Report mode" in page
    assert "<img" not in PARSER.render(page)


def test_page_of_a_database_that_nobody_can_see_says_so() -> None:
    page = digest_page(Overview("app", NOW, None, (), "no route to host", ()))
    assert page.startswith("## Act now\n\n- **act now**: server not observed: no route to host")


def test_very_many_alerts_are_counted() -> None:
    page = digest_page(alerted(*[warning] * (MOST_ALERTS + 7)))
    assert "and 7 more" in page
    assert page.count("index bloat") == MOST_ALERTS


def test_load_of_the_last_day_has_its_numbers() -> None:
    page = digest_page(an_overview(a_history(load=a_load())))
    for number in ("80 of 97 (82%)", "2026-11-20 05:00 UTC", "limit 90%", "1,200 calls"):
        assert number in page


def test_load_without_a_sample_is_not_measured() -> None:
    page = digest_page(an_overview(a_history(load=Load(None, 0.9, None, None))))
    assert page.count(UNKNOWN) == 4


def test_objects_link_to_assets_that_exist() -> None:
    view = an_action("refresh_matview", "public.totals")
    history = a_history([warning], work=some_work(an_action(), view))
    page = digest_page(an_overview(history), AssetLinks({"app/bloat", "app/matviews/totals"}))
    assert page.count("[` public.orders_pkey `](/assets/app/bloat)") == 2
    assert "](/assets/app/matviews/" in page
    assert "](/assets" not in digest_page(an_overview(history))


def test_hostile_names_of_the_last_day_make_no_markup() -> None:
    work = some_work(an_action("analyze_table", HOSTILE))
    page = digest_page(
        an_overview(a_history(load=a_load(HOSTILE), work=work)), AssetLinks({"app/statistics"})
    )
    assert "<script" not in PARSER.render(page)
    assert "<img" not in PARSER.render(page)


def test_no_name_makes_markup_on_the_page() -> None:
    alert = an_alert(object_=HOSTILE, severity=Severity.ERROR)
    history = a_history((alert,), views=(a_view(HOSTILE, 9),))
    page = digest_page(an_overview(history, tables=(a_table(HOSTILE, 1),), blind=HOSTILE))
    tokens = [c for t in PARSER.parse(page) for c in (t, *(t.children or []))]
    assert not {"html_block", "html_inline", "image", "link_open"} & {t.type for t in tokens}


# The numbers


def numbers(*overviews: Overview) -> dict[str, list[Any]]:
    families = text_string_to_metric_families(exposition(overviews))
    return {family.name: family.samples for family in families}


def test_every_family_is_there_and_parses() -> None:
    found = numbers(an_overview(a_history([error], load=a_load())))
    assert set(found) == {f"{PREFIX}{name}" for name in FAMILIES}
    named = {name: {s.labels["database"] for s in samples} for name, samples in found.items()}
    assert named == {name: {"app"} for name in named}


def test_load_that_was_not_measured_has_no_series() -> None:
    found = numbers(an_overview(a_history(load=Load(None, 0.9, None, None))))
    peaks = {"connections_peak_ratio", "oldest_transaction_peak_seconds"}
    assert not found.keys() & {f"{PREFIX}{name}" for name in (*peaks, "blocked_last_day_seconds")}


def test_several_databases_share_one_page() -> None:
    other = an_overview()
    found = numbers(an_overview(), Overview("shop", *_rest(other)))
    assert [s.labels["database"] for s in found[f"{PREFIX}up"]] == ["app", "shop"]


def _rest(overview: Overview) -> tuple[Any, ...]:
    return (overview.now, overview.history, overview.tables, "down", overview.coming)


def test_hostile_names_come_through_whole() -> None:
    found = numbers(alerted(an_alert(object_=HOSTILE)))
    (sample,) = found[f"{PREFIX}alert_since_timestamp_seconds"]
    assert sample.labels["object"] == HOSTILE


def test_number_of_series_has_a_bound_and_the_count_has_none() -> None:
    alerts = [an_alert(object_=f"public.i{n}") for n in range(MOST_SERIES + 50)]
    found = numbers(alerted(*alerts))
    assert len(found[f"{PREFIX}alert_since_timestamp_seconds"]) == MOST_SERIES
    standing = {s.labels["severity"]: s.value for s in found[f"{PREFIX}alerts_standing"]}
    assert standing == {"error": 0, "warn": MOST_SERIES + 50}


def test_names_follow_the_conventions() -> None:
    for name, (about, labels) in FAMILIES.items():
        assert re.fullmatch("[a-z][a-z_]*", name)
        assert not name.endswith(("_total", "_count", "_sum", "_bucket"))
        assert about.endswith(".")
        assert "database" not in labels


# The dashboard


def expressions() -> list[tuple[str, str]]:
    targets = [target for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return [(target["expr"], target["legendFormat"]) for target in targets]


@pytest.mark.parametrize(("expression", "legend"), expressions())
def test_dashboard_asks_for_metrics_and_labels_that_exist(expression: str, legend: str) -> None:
    named = re.findall(rf"{PREFIX}(\w+)", expression)
    assert named
    assert set(named) <= FAMILIES.keys()
    labels = {"database", *(label for name in named for label in FAMILIES[name][1])}
    assert set(re.findall(r"\{\{(\w+)\}\}", legend)) <= labels
    grouped = re.findall(r"by \(([\w, ]+)\)", expression)
    assert {label for each in grouped for label in each.split(", ")} <= labels


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in DASHBOARD["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells)) > 0
    assert all(panel["description"] for panel in DASHBOARD["panels"])


def test_connections_are_counted_by_state_and_statements_of_the_day_are_summed() -> None:
    found = numbers(an_overview(a_history(load=a_load())))
    states = {s.labels["state"]: s.value for s in found[f"{PREFIX}connections"]}
    assert states == {"active": 3, "idle in transaction": 2, "idle": 20}
    values = {
        name: found[f"{PREFIX}{name}"][0].value
        for name in (
            "statements_last_day",
            "statements_mean_last_day_seconds",
            "statements_slow_last_day",
            "rollback_ratio",
        )
    }
    assert list(values.values()) == [9000, 0.0125, 3, 0.01]
