"""A round that changes nothing is one session and writes nothing; whatever has changed is told."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from maintenance.alerts.models import FindingSet
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.pipeline import notify
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.alert_round import SEEN
from maintenance.policy import Policy, load_policy
from tests.builders import Database
from tests.policies import EVENTS, write_policy
from tests.receivers import Receiver
from tests.sessions import until

pytestmark = pytest.mark.pg("== 18")

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
GAP = Finding(FindingKind.PARTITION_GAP, Severity.WARN, "a", "a: a gap", 1, 0)
SESSIONS = "SELECT sessions FROM pg_stat_database WHERE datname = current_database()"
ROWS = "SELECT kind, object, ctid::text, xmin::text FROM maintenance.alert"


def a_policy(folder: Path, database: Database, receiver: Receiver, **alerts: Any) -> Policy:
    settings = {"sinks": [receiver.webhook()], "for": "0 minutes", **alerts}
    return load_policy(write_policy(folder, database.url, EVENTS, alerts=settings))


def tell(policy: Policy, after: timedelta, *findings: Finding, **how: Any) -> notify.RoundReport:
    seen = FindingSet(policy.database.name, list(findings), frozenset({FindingKind.PARTITION_GAP}))
    return notify.run_round(policy, [(NOW + after, seen)], now=NOW + after, **how)


@contextmanager
def sessions(database: Database) -> Generator[list[int]]:
    """How many sessions began and ended in a block; those of the test are no part of it."""
    counted: list[int] = []
    with database.connect() as connection:

        def ended() -> int:
            connection.execute("SELECT pg_stat_clear_snapshot()")
            found = connection.execute(SESSIONS).fetchone()
            assert found is not None
            return int(found[0])

        def others() -> int:
            found = connection.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE application_name LIKE 'maintenance %' AND datname = current_database()"
            ).fetchone()
            assert found is not None
            return int(found[0])

        until(lambda: others() == 0)
        before = ended()
        yield counted
        until(lambda: others() == 0)
        counted.append(ended() - before)


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def test_round_without_news_is_one_session_and_writes_nothing(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    policy = a_policy(tmp_path, database, receiver)
    tell(policy, minutes(0), GAP)
    tell(policy, minutes(1), GAP)
    rows = database.execute(ROWS)
    with sessions(database) as counted:
        report = tell(policy, minutes(2), GAP)
    assert counted == [1]
    assert database.execute(ROWS) == rows
    assert [alert.message for alert in report.alerts] == ["a: a gap"]
    assert [each.n_pending for each in report.delivered] == [0]
    assert receiver.told() == [("raised", "a")]


@pytest.mark.parametrize(
    ("after", "changed", "wanted"),
    [
        (minutes(2), {"message": "a: a larger gap"}, []),
        (minutes(2), {"severity": Severity.ERROR}, [("raised", "a")]),
        (minutes(2), None, [("resolved", "a")]),
        (timedelta(days=2), {}, [("repeated", "a")]),
        (minutes(1) + 2 * SEEN, {}, []),
    ],
    ids=["message", "severity", "over", "due", "seen"],
)
def test_whatever_changes_is_stored_and_told(
    database: Database,
    tmp_path: Path,
    receiver: Receiver,
    after: timedelta,
    changed: dict[str, Any] | None,
    wanted: list[tuple[str, str]],
) -> None:
    policy = a_policy(tmp_path, database, receiver)
    tell(policy, minutes(0), GAP)
    tell(policy, minutes(1), GAP)
    rows = database.execute(ROWS)
    told = receiver.told()
    findings = [] if changed is None else [replace(GAP, **changed)]
    tell(policy, after, *findings)
    assert database.execute(ROWS) != rows
    assert receiver.told()[len(told) :] == wanted


def test_finished_run_and_failed_delivery_are_no_quiet_round(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    policy = a_policy(tmp_path, database, receiver)
    tell(policy, minutes(0))
    assert pipeline.apply(policy).findings, "the table is missing"
    receiver.statuses.append(500)
    (failed,) = notify.run_round(policy, []).delivered
    assert failed.n_pending
    (delivered,) = notify.run_round(policy, []).delivered
    assert delivered.n_delivered
    assert receiver.told()
