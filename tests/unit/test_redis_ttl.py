"""Keys that live longer than the policy says."""

from typing import Any

import pytest

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.redis_client.models import CacheFacts, KeySample
from maintenance.subjects.redis.plan import RedisObservation, ttl_findings
from tests.snapshots import a_policy

FACTS = CacheFacts("run", "8.1", 0, 0, 0, 0, 0, 0, 0, 0)
PATTERN = "proposals:*"
WHERE = f"app/redis/{PATTERN}"


def found(sample: KeySample | None, **changes: Any) -> list[Finding]:
    redis = {"url": "redis://localhost", "ttl": {PATTERN: "5 minutes"}}
    ttls = {PATTERN: sample} if sample is not None else {}
    return list(ttl_findings(a_policy(redis=redis), RedisObservation(FACTS, ttls=ttls, **changes)))


@pytest.mark.parametrize(
    "sample",
    [
        KeySample(3, 0, (300.0, 20.0, 1.0), is_complete=True),
        KeySample(0, 0, (), is_complete=True),
        KeySample(200, 0, (299.0,) * 200, is_complete=False),
    ],
)
def test_keys_that_expire_in_time_are_no_finding(sample: KeySample) -> None:
    assert found(sample) == []


@pytest.mark.parametrize(
    ("sample", "n_beyond"),
    [
        (KeySample(3, 1, (300.0, 20.0), is_complete=True), 1),
        (KeySample(3, 0, (301.0, 300.0, 20.0), is_complete=True), 1),
        (KeySample(4, 2, (900.0, 20.0), is_complete=False), 3),
    ],
)
def test_keys_that_never_expire_or_too_late_are_counted(sample: KeySample, n_beyond: int) -> None:
    (finding,) = found(sample)
    assert (finding.kind, finding.severity) == (FindingKind.REDIS_TTL_EXCEEDED, Severity.WARN)
    assert (finding.object, finding.value) == (WHERE, n_beyond)
    assert finding.data["without_ttl"] == sample.n_without_ttl


@pytest.mark.parametrize(
    ("sample", "changes", "severity"),
    [
        (KeySample(0, 0, (), is_complete=False), {}, Severity.INFO),
        (None, {"ttl_error": "refused"}, Severity.WARN),
        (None, {"error": "down"}, Severity.INFO),
    ],
)
def test_what_was_not_seen_is_unknown(
    sample: KeySample | None, changes: dict[str, str], severity: Severity
) -> None:
    (finding,) = found(sample, **changes)
    assert (finding.kind, finding.severity) == (FindingKind.MONITOR_BLIND, severity)
    assert finding.leaves_open(FindingKind.REDIS_TTL_EXCEEDED, WHERE)
