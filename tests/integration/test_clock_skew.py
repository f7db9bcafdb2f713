"""Our clock and the server's are apart: nothing is dropped, and the difference is told."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from maintenance.engine.findings import FindingKind
from maintenance.pipeline import run as pipeline
from tests.builders import Database
from tests.policies import CREATE_EVENTS, EVENTS, make_policy

pytestmark = [pytest.mark.store, pytest.mark.in_turn]

OLD = """
CREATE TABLE public.events_2020_01 PARTITION OF public.events
  FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2020-02-01 00:00+00')
"""


@pytest.mark.parametrize("hours", [1, -1, 24, -24])
def test_nothing_is_dropped_while_the_clocks_are_apart(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    apart = timedelta(hours=hours)

    class Ours(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.now(tz) + apart

    database.execute(CREATE_EVENTS)
    database.execute(OLD)
    retention = {"keep": "12 months", "action": "drop"}
    policy = make_policy(tmp_path, database.url, {**EVENTS, "retention": retention})
    pipeline.apply(policy, only=["partitions"])
    database.execute("UPDATE maintenance.run SET started_at = now() - interval '5 years'")
    with monkeypatch.context() as patch:
        patch.setattr("maintenance.catalog.observe.datetime", Ours)
        report = pipeline.apply(policy, now=Ours.now(UTC))
    (skew,) = [f for f in report.findings if f.kind is FindingKind.CLOCK_SKEW]
    assert round(float(skew.value or 0) / 3600) == -hours
    there = "SELECT to_regclass('public.events_2020_01') IS NOT NULL"
    assert database.execute(there) == [(True,)]
    old_runs = "SELECT FROM maintenance.run WHERE started_at < now() - interval '1 year'"
    assert len(database.execute(old_runs)) == 1
    assert pipeline.apply(policy).ok
    assert database.execute(there) == [(False,)]
    assert database.execute(old_runs) == []
