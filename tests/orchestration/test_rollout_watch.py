"""What becomes of a rollout is looked at when the policy says, not only at night."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from maintenance.engine.findings import FindingKind
from maintenance.monitoring.rollout_watch import WatchTime, newest_reached
from maintenance.pipeline import run as pipeline
from maintenance.policy import load_policy
from tests.builders import ROOT, Database
from tests.calendars import Calendar, make_calendar
from tests.declared import schema

MINUTES, HOURS, DAYS = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SENSOR = "nova_rollout_watch"
INDEX = "public.idx_messages_sender_created"
ROWS = """
INSERT INTO public.messages (conversation_id, sender_id, content)
  SELECT gen_random_uuid(), gen_random_uuid(), 'hello' FROM generate_series(1, 100)
"""
JUDGED = """
SELECT kind, severity FROM maintenance.finding AS f JOIN maintenance.run AS r ON r.id = f.run_id
WHERE f.object = %s AND kind IN ('index_not_scanned', 'index_review')
ORDER BY r.started_at
"""


def asked(calendar: Calendar, at: datetime) -> dg.RunRequest | None:
    """Evaluate the sensor at a time."""
    calendar.now = at
    with dg.build_sensor_context(
        instance=calendar.instance, repository_def=calendar.repository
    ) as context:
        tick = calendar.repository.get_sensor_def(SENSOR).evaluate_tick(context)
    requests = tick.run_requests or []
    return requests[0] if requests else None


@pytest.mark.pg("== 18")
def test_nova_is_looked_at_half_an_hour_a_day_and_a_week_after_its_rollout(
    database: Database,
    tmp_path: Path,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with database.connect() as connection:
        connection.execute(schema("nova").encode())
        connection.execute(ROWS)
    shutil.copytree(ROOT / "sql", tmp_path / "sql")
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    monkeypatch.setenv("NOVA_URL", database.url)
    path = tmp_path / "policies" / "nova.yaml"
    calendar = make_calendar(path, instance, datetime.now(UTC), monkeypatch)
    assert asked(calendar, calendar.now) is None
    pipeline.apply(load_policy(path), only=["indexes"])
    built = datetime.now(UTC)
    assert asked(calendar, built + 29 * MINUTES) is None
    database.execute("SELECT count(*) FROM public.messages")  # read, but not by the new index

    keys = set[str | None]()
    for at in (built + 31 * MINUTES, built + 24 * HOURS + MINUTES, built + 7 * DAYS + MINUTES):
        request = asked(calendar, at)
        assert request is not None
        again = asked(calendar, at + 5 * MINUTES)
        assert again is not None
        assert again.run_key == request.run_key
        keys.add(request.run_key)
        calendar.run(SENSOR, at, request, **{"dagster/sensor_name": SENSOR})
    assert len(keys) == 3
    assert asked(calendar, built + 8 * DAYS + MINUTES) is None

    found = [tuple(row) for row in database.execute(JUDGED, [INDEX])]
    unscanned, review = FindingKind.INDEX_NOT_SCANNED.value, FindingKind.INDEX_REVIEW.value
    assert found[:2] == [(unscanned, "warn"), (unscanned, "error")]
    assert (review, "info") in found


def test_each_age_is_reached_once_and_by_the_youngest_index_last() -> None:
    watch = (30 * MINUTES, 24 * HOURS, 7 * DAYS)
    now = datetime(2027, 3, 28, 1, 30, tzinfo=UTC)
    assert newest_reached([], watch, now) is None
    assert newest_reached([now - 29 * MINUTES], watch, now) is None
    built = [now - 40 * MINUTES, now - 35 * MINUTES, now - 20 * MINUTES]
    assert newest_reached(built, watch, now) == WatchTime(now - 5 * MINUTES, 1)
    assert newest_reached([now - 7 * DAYS], watch, now) == WatchTime(now, 3)
    # missed for longer than a day: the nightly run has looked since
    assert newest_reached([now - 6 * DAYS, now - 8 * DAYS], watch, now) is None
