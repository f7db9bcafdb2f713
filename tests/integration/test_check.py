"""`check` tries everything that a policy names: objects, columns, roles, sinks, stores, zones."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from maintenance.demo.ports import free_port
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.target import Target
from maintenance.pipeline import run as pipeline
from tests import strangers
from tests.builders import Database
from tests.policies import make_policy

pytestmark = pytest.mark.pg("== 18")


def found(findings: Sequence[Finding], kind: FindingKind) -> list[str]:
    return [finding.object for finding in findings if finding.kind is kind]


def test_every_part_of_a_policy_that_can_not_work_is_named(
    database: Database, tmp_path: Path
) -> None:
    database.execute(strangers.schema("rails"))
    policy = make_policy(
        tmp_path,
        database.url,
        {"table": "public.ahoy_event", "column": "created_at"},
        redis={"url": f"redis://127.0.0.1:{free_port()}/0"},
        matviews=[
            {"name": "public.daily_visit"},
            {
                "name": "public.daily_visits",
                "unique_index": ["dy"],
                "depends_on": ["public.absent"],
                "grants": [{"to": "absent_role", "rights": ["SELECT"]}],
            },
        ],
        stale_analytics=[
            {
                "table": "public.users",
                "calculated_at": "updatd_at",
                "key": ["id"],
                "max_age": "1 hour",
            }
        ],
        alerts={
            "sinks": [
                {"type": "apprise", "url": "slak://token_a/token_b/token_c"},
                {"type": "webhook", "url": {"env": "HOOK_URL"}, "secret": {"env": "HOOK_SECRET"}},
            ]
        },
    )
    checked = pipeline.check(Target(policy, dict(os.environ)))
    assert not checked.ok
    assert found(checked.findings, FindingKind.NO_SUCH_TABLE) == [
        "public.ahoy_event",
        "public.daily_visits",
    ]
    assert found(checked.findings, FindingKind.NO_SUCH_COLUMN) == ["public.users"]
    assert found(checked.findings, FindingKind.MATVIEW_MISSING) == ["public.daily_visit"]
    assert found(checked.findings, FindingKind.MATVIEW_NO_UNIQUE_INDEX) == ["public.daily_visits"]
    assert found(checked.findings, FindingKind.MATVIEW_DEFINITION_DRIFT) == ["public.daily_visits"]
    assert found(checked.findings, FindingKind.REDIS_UNREACHABLE) == ["app"]
    broken = [f for f in checked.findings if f.kind is FindingKind.POLICY_BROKEN]
    assert {f.data.get("variable") for f in broken} == {"HOOK_URL", "HOOK_SECRET", None}
    (sink,) = (f for f in broken if f.data["reason"] == "sink")
    assert "slak://" in sink.message
    assert "token_a" not in sink.message


def test_zone_of_a_policy_is_compared_with_the_bounds(database: Database, tmp_path: Path) -> None:
    database.execute(strangers.schema("iot"))
    days: dict[str, Any] = {
        "table": '"IoT Data"."Sensor ""Reading"": #1"',
        "column": "at",
        "interval": "1 day",
        "name": "Sensor: {yyyy}.{mm}.{dd}",
        "time_zone": "America/New_York",
    }
    checked = pipeline.check(make_policy(tmp_path, database.url, days))
    assert found(checked.findings, FindingKind.PARTITION_TIME_ZONE_DRIFT)


def archiving(folder: Path, database: Database, url: str) -> Sequence[Finding]:
    section = {
        "table": "public.ahoy_events",
        "column": "created_at",
        "name": "{table}_y{yyyy}m{mm}",
        "retention": {"keep": "10 years", "action": "archive_then_drop", "archive": {"url": url}},
    }
    findings = pipeline.check(make_policy(folder, database.url, section)).findings
    return [each for each in findings if each.kind is FindingKind.ARCHIVE_UNUSABLE]


def test_archive_store_is_tried_and_left_as_it_was(database: Database, tmp_path: Path) -> None:
    database.execute(strangers.schema("rails"))
    assert archiving(tmp_path, database, "./new/archive") == []
    assert not (tmp_path / "new").exists()
    (tmp_path / "taken").write_text("a file")
    (finding,) = archiving(tmp_path, database, "./taken")
    assert finding.severity is Severity.ERROR
    kept = tmp_path / "kept" / "app"
    kept.mkdir(parents=True)
    assert archiving(tmp_path, database, "./kept") == []
    assert list(kept.iterdir()) == []
