"""The running demo: its output, its secrets, and its UI in a real browser."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

from maintenance.demo import ports, processes
from maintenance.demo.webserver import Webserver
from maintenance.engine.findings import FindingKind
from maintenance.monitoring.health import Level
from maintenance.orchestration.build import build
from tests.builders import ROOT
from tests.e2e.demos import (
    MAINTENANCE,
    PARTITIONED,
    PATIENCE_S,
    SERVING,
    Demo,
    wait_until,
)
from tests.orchestration.test_runs import month

# Its demo takes minutes to start, whatever test asks for it first.
pytestmark = [pytest.mark.thorough, pytest.mark.timeout(2 * PATIENCE_S)]

CHROMIUM = Path("/usr/bin/chromium")
PATIENCE_MS = 90_000
SIZE = (1400, 1000)
GREEN = """() => [...document.querySelectorAll("div")].filter(
    each => getComputedStyle(each).borderTopColor === "rgb(46, 204, 129)").length >= 8"""
GROUPS = ("sources", "partitions", "matviews", "statistics", "health", "digest")

RUN = re.compile(r"/runs/([0-9a-f-]{36})")
COUNT = "SELECT count(*) FROM public.analytics_events"

VIEWS = ROOT / "sql" / "systems" / "learning_platform" / "matviews"

VIEW_PAGE = "/assets/learning_platform/matviews/mv_course_performance"

Shoot = Callable[[str], None]


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Demo]:
    """Started with environment variables that point to a foreign database."""
    demo = Demo(folder / "served")
    real = "postgresql://somebody@192.0.2.1/real"
    environment = {"LEARNING_PLATFORM_URL": real, "PROPOSALS_URL": real, "PGPORT": "1"}
    demo.start(environment=os.environ | environment)
    try:
        demo.wait_for(SERVING)
        yield demo
    finally:
        demo.close()


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    if not CHROMIUM.exists():
        missing = f"{CHROMIUM} is not installed"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    with sync_playwright() as playwright:
        # Chromium's sandbox does not work as root.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]})
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        yield page
        browser.close()


@pytest.fixture
def shoot(page: Page) -> Shoot:
    """Saves a picture of the page, by name, in the folder that $SCREENSHOTS names, if any."""

    def shoot(name: str) -> None:
        if folder := os.environ.get("SCREENSHOTS"):
            page.screenshot(path=Path(folder) / f"{name}.png", animations="disabled")

    return shoot


def test_main_job_creates_the_months_ahead(served: Demo) -> None:
    created = [line for line in served.table if line.state == "created"]
    assert [line.table for line in created] == ["analytics_events"] * 3 + ["audit_logs"] * 3


def test_table_shows_rows_and_size_of_past_months(served: Demo) -> None:
    events, *_ = (line for line in served.table if line.table == "analytics_events")
    assert events.state.endswith("existed")
    assert int(events.rows.replace(",", "")) > 100_000
    assert events.size.endswith(" MB")


def test_only_what_is_there_to_be_done_fails_its_check(served: Demo) -> None:
    assert served.n_passed > 0
    assert served.failed_checks == {"retention_unapproved"}


def test_progress_goes_to_standard_error_alone(served: Demo) -> None:
    assert "PostgreSQL 1" in served.stderr
    assert "PostgreSQL" not in served.stdout
    assert served.url in served.stderr


def test_password_is_shown_nowhere(served: Demo) -> None:
    password = (served.data / "postgres" / "password").read_text().strip()
    logs = [path.read_text() for path in (served.data / "dagster" / "processes").glob("*.log")]
    assert len(logs) == 3
    assert not any(password in text for text in [served.stdout, served.stderr, *logs])
    assert not list(processes.find(password))


def test_written_variables_lead_the_command_line_to_the_demo(served: Demo) -> None:
    assert (served.data / "environment").stat().st_mode & 0o777 == 0o600
    assert "3 of 3" in _command(served, "status")
    script = f". {served.data / 'environment'} && command -v maintenance"
    found = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, check=True, env={"PATH": "/bin"}
    )
    assert Path(found.stdout.strip()).parent == Path(sys.executable).parent


def test_second_demo_on_the_folder_is_refused_and_the_first_undisturbed(served: Demo) -> None:
    second = Demo(served.data, log=served.data.with_name("second"))
    assert second.run() == 2
    assert str(served.data / "postgres") in second.stderr
    assert "--data" in second.stderr
    assert "--port" in second.stderr
    assert ports.is_taken(served.port)


def test_asset_graph_is_green_and_reads_from_left_to_right(
    served: Demo, page: Page, shoot: Shoot
) -> None:
    _open_graph(page, served, *GROUPS, of="proposals")
    for name in ("proposals", "redis", "audit_logs", "digest"):
        expect(page.get_by_text(name, exact=True).last).to_be_visible()
    page.get_by_text("Hide navigation", exact=True).click()
    page.get_by_role("button", name="panel_show_right").last.click()
    page.wait_for_function(GREEN)
    expect(page.get_by_text(re.compile("failed", re.IGNORECASE))).to_have_count(0)
    shoot("lineage")
    _open_graph(page, served)
    path = ("sources", "matviews", "health", "digest")
    boxes = [page.get_by_text(group, exact=True).last.bounding_box() for group in path]
    places = [box["x"] for box in boxes if box]
    assert places == sorted(places)
    assert len(places) == len(path)


def test_view_explains_itself(served: Demo, page: Page) -> None:
    page.goto(f"{served.url}/assets/learning_platform/matviews/mv_user_learning_summary")
    *_, told = (VIEWS / "mv_user_learning_summary.sql").read_text().splitlines()[0].split(", ")
    expect(page.get_by_text(told).first).to_be_visible()
    expect(page.get_by_text("learning_platform_refresh_hourly_at_00")).to_be_visible()
    expect(page.get_by_text("Passing").first).to_be_visible()


def test_inventory_shows_horizon_and_checks(served: Demo, page: Page) -> None:
    page.goto(f"{served.url}/assets/learning_platform/partition_inventory")
    expect(page.get_by_text("Latest check results")).to_be_visible()
    expect(page.get_by_text("periods_ahead")).to_be_visible()
    expect(page.get_by_text("3 of 3")).to_be_visible()


def test_timeline_is_a_picture(served: Demo, page: Page, shoot: Shoot) -> None:
    page.goto(f"{served.url}/assets/learning_platform/partition_inventory")
    line = page.get_by_role("row").filter(has_text="analytics_events_timeline")
    line.get_by_text("[Show Markdown]").click()
    expect(page.get_by_role("dialog").get_by_role("img").last).to_be_visible()
    shoot("partition_timeline")


def test_every_partition_is_materialized(served: Demo, page: Page) -> None:
    page.goto(f"{served.url}/assets/learning_platform/partitions/analytics_events?view=partitions")
    expect(page.get_by_text("Missing (0)")).to_be_visible()
    expect(page.get_by_text("Failed (0)")).to_be_visible()


def test_all_schedules_and_sensors_are_on(served: Demo, page: Page) -> None:
    page.goto(f"{served.url}/automation")
    expect(page.get_by_text("learning_platform_nightly")).to_be_visible()
    expect(page.get_by_text("learning_platform_staleness")).to_be_visible()
    policies = [ROOT / "policies" / f"{name}.yaml" for name in PARTITIONED]
    made = build(policies).get_repository_def()
    n_all = len(made.schedule_defs) + len(made.sensor_defs)
    expect(page.locator("input:checked")).to_have_count(n_all)


def test_months_chosen_by_hand_are_made_in_one_run(served: Demo, page: Page) -> None:
    first, last = month(1), month(2)
    name = f"public.analytics_events_{last.replace('-', '_')}"
    _execute(served, f"DROP TABLE {name}")
    page.goto(f"{served.url}/assets/learning_platform/partitions/analytics_events?view=partitions")
    _button(page, "Materialize")
    dialog = page.get_by_role("dialog")
    dialog.get_by_placeholder(re.compile("^ex:")).fill(f"[{first}...{last}]")
    page.keyboard.press("Enter")
    expect(dialog.get_by_text("2 partitions")).to_be_visible()
    expect(dialog.get_by_text("Backfills all partitions in a single run.")).to_be_visible()
    dialog.get_by_text("Launch backfill").click()
    wait_until(lambda: _execute(served, f"SELECT to_regclass('{name}')") != [(None,)])


def test_retention_launched_by_hand_shows_its_plan(served: Demo, page: Page) -> None:
    _materialize(page, served, "retention")
    expect(_row(page, "mode")).to_contain_text("plan")
    expect(_row(page, "actions")).to_be_visible()


def test_trouble_is_red_then_an_alert_on_the_digest_and_then_over(
    served: Demo, page: Page, shoot: Shoot
) -> None:
    """A table of the application bears the name of next month's partition."""
    name = f"analytics_events_{month(3).replace('-', '_')}"
    _execute(served, f"DROP TABLE public.{name}", f"CREATE TABLE public.{name} (n int)")
    check = page.get_by_text("partition_name_taken", exact=True).first
    _materialize(page, served, "partition_inventory")
    page.goto(f"{served.url}/assets/learning_platform/partition_inventory?view=checks")
    check.click()
    expect(page.get_by_text(f"public.{name}").first).to_be_visible()
    shoot("failed_check")
    _command(served, "notify")
    _materialize(page, served, "digest")
    _show(page, "digest")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(FindingKind.PARTITION_NAME_TAKEN.replace("_", " "))
    dialog.get_by_role("heading", name=Level.NOW.capitalize()).scroll_into_view_if_needed()
    shoot("digest")
    dialog.locator(f'a[href$="{VIEW_PAGE}"]').first.click()
    expect(page).to_have_url(re.compile(VIEW_PAGE))
    _execute(served, f"DROP TABLE public.{name}")
    _materialize(page, served, "partition_inventory")
    _command(served, "notify")
    _materialize(page, served, "digest")
    expect(_row(page, "verdict")).to_be_visible()
    expect(_row(page, "verdict")).not_to_contain_text("partition_name_taken")


# The end, and another beginning


def test_stopped_demo_leaves_nothing_and_starts_again_with_the_same_rows(served: Demo) -> None:
    rows = _execute(served, COUNT)
    before = served.stderr
    served.send(signal.SIGTERM)
    assert served.wait() == 0
    (told,) = served.stderr.removeprefix(before).splitlines()
    assert "Ctrl-C" in told
    assert served.leftovers() == []
    served.start()
    served.wait_for(served.url)
    served.send(signal.SIGTERM)
    assert served.wait() == 128 + signal.SIGINT
    assert served.leftovers() == []
    assert served.at_rest("learning_platform", COUNT) == rows


def _open_graph(page: Page, served: Demo, *groups: str, of: str = "") -> None:
    opened = "%2C".join(f"global%40global%3A{group}" for group in groups)
    chosen = f"~key%3A%22{of}%2F*%22" if of else ""
    page.goto(f"{served.url}/asset-groups{chosen}?expanded={opened}")


def _button(page: Page, text: str) -> None:
    page.get_by_text(re.compile(f"^{text}")).first.click()


def _row(page: Page, key: str) -> Locator:
    """The newest value of a key of the metadata."""
    return page.get_by_role("row").filter(has=page.get_by_text(key, exact=True)).first


def _show(page: Page, key: str) -> None:
    _row(page, key).get_by_text("[Show Markdown]").click()


def _materialize(page: Page, served: Demo, asset: str) -> None:
    """Press the button, and wait for the end of the run."""
    page.goto(f"{served.url}/assets/learning_platform/{asset}")
    expect(page.get_by_text("Latest check results")).to_be_visible()
    _button(page, "Materialize")
    page.get_by_text(re.compile("^Launched run")).wait_for()
    page.get_by_text("View", exact=True).last.click()
    page.wait_for_url(RUN)
    run = RUN.findall(page.url)[0]
    statuses = Webserver(served.url, "maintenance").statuses
    wait_until(lambda: statuses([run])[run] in ("SUCCESS", "FAILURE"))
    page.goto(f"{served.url}/assets/learning_platform/{asset}")


def _command(served: Demo, *arguments: str) -> str:
    """Run a command of ours on the demo's databases, as the demo says how."""
    script = f'. "{served.data / "environment"}" && "{MAINTENANCE}" {" ".join(arguments)}'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    return done.stdout


def _execute(served: Demo, *statements: str) -> list[tuple[Any, ...]]:
    script = f'. "{served.data / "environment"}" && printf %s "$LEARNING_PLATFORM_URL"'
    url = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    with psycopg.connect(url, autocommit=True) as connection:
        cursors = [connection.execute(statement.encode()) for statement in statements]
        return cursors[-1].fetchall() if cursors[-1].description else []
