"""A demo that serves: what it tells, what it keeps to itself, and its UI in a real browser."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from maintenance.demo import ports, processes
from maintenance.orchestration.build import build
from tests.builders import ROOT
from tests.e2e.demos import MAINTENANCE, SERVING, Demo

CHROMIUM = Path("/usr/bin/chromium")
PATIENCE_MS = 60_000
SIZE = (1400, 900)
MIDDLE = (960, 450)

Shoot = Callable[[str], None]


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Demo]:
    """Started where variables lead to somebody's real database."""
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


def test_all_checks_pass(served: Demo) -> None:
    assert served.stdout.splitlines()[-1].endswith("checks passed")


def test_progress_goes_to_standard_error_alone(served: Demo) -> None:
    assert "PostgreSQL 18" in served.stderr
    assert "PostgreSQL" not in served.stdout
    assert served.url in served.stderr


def test_password_is_shown_nowhere(served: Demo) -> None:
    password = (served.data / "postgres" / "password").read_text().strip()
    logs = [path.read_text() for path in (served.data / "dagster" / "processes").glob("*.log")]
    assert len(logs) == 3
    assert not any(password in text for text in [served.stdout, served.stderr, *logs])
    assert not list(processes.find(password))


def test_written_variables_lead_the_command_line_to_the_demo(served: Demo) -> None:
    variables = served.data / "environment"
    assert variables.stat().st_mode & 0o777 == 0o600
    script = f'. "{variables}" && "{MAINTENANCE}" status'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert "3 of 3" in done.stdout


def test_second_demo_on_the_folder_is_refused_and_the_first_undisturbed(served: Demo) -> None:
    second = Demo(served.data, log=served.data.with_name("second"))
    assert second.run() == 2
    assert "found in use by process" in second.stderr
    assert ports.is_taken(served.port)


def test_asset_graph_is_green(served: Demo, page: Page, shoot: Shoot) -> None:
    _open_graph(page, served, "partitions")
    expect(page.get_by_text("analytics_events", exact=True).first).to_be_visible()
    expect(page.get_by_text("audit_logs", exact=True).first).to_be_visible()
    expect(page.get_by_text("100% filled")).to_have_count(2)
    expect(page.get_by_text("Materialized", exact=True)).to_have_count(2)
    expect(page.get_by_text(re.compile("failed|missing", re.IGNORECASE))).to_have_count(0)
    _zoom_out(page)
    shoot("lineage")


def test_views_hang_on_the_tables_that_they_read(served: Demo, page: Page, shoot: Shoot) -> None:
    _open_graph(page, served, "sources", "matviews", "health")
    for name in ("enrollments", "proposals", "redis"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible()
    expect(page.get_by_text(re.compile("failed", re.IGNORECASE))).to_have_count(0)
    shoot("views")


def test_view_explains_itself(served: Demo, page: Page, shoot: Shoot) -> None:
    page.goto(f"{served.url}/assets/learning_platform/matviews/mv_user_learning_summary")
    expect(page.get_by_text("how engaged they are").first).to_be_visible()
    expect(page.get_by_text("learning_platform_refresh_hourly_at_00")).to_be_visible()
    expect(page.get_by_text("Passing").first).to_be_visible()
    shoot("matview")


def test_inventory_shows_horizon_and_checks(served: Demo, page: Page, shoot: Shoot) -> None:
    page.goto(f"{served.url}/assets/learning_platform/partition_inventory")
    expect(page.get_by_text("Latest check results")).to_be_visible()
    expect(page.get_by_text("periods_ahead")).to_be_visible()
    expect(page.get_by_text("3 of 3")).to_be_visible()
    for title in ("Hide navigation", "Status", "Description"):  # so that the numbers fit
        page.get_by_text(title, exact=True).first.click()
    shoot("partition_inventory")


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
    made = build([ROOT / "policies"]).get_repository_def()
    n_all = len(made.schedule_defs) + len(made.sensor_defs)
    expect(page.locator("input:checked")).to_have_count(n_all)


def _open_graph(page: Page, served: Demo, *groups: str) -> None:
    opened = "%2C".join(f"global%40global%3A{group}" for group in groups)
    page.goto(f"{served.url}/asset-groups?expanded={opened}")


def _zoom_out(page: Page) -> None:
    """Make room for the whole graph, as a person does: with the wheel while Ctrl is held."""
    page.mouse.move(*MIDDLE)
    page.keyboard.down("Control")
    page.mouse.wheel(0, 90)
    page.keyboard.up("Control")
