"""What the spool and the store make of one history together: the same as the store alone."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance.alerts.merge import SpoolChanges, merge
from maintenance.alerts.messages import event_key
from maintenance.alerts.models import (
    Alert,
    Event,
    FindingSet,
    Identity,
    PendingDelivery,
    Route,
    Transition,
)
from maintenance.alerts.spool import PendingEvent, Spool, spool_path
from maintenance.alerts.state import HELD_BACK, due_events, none_after, update_alerts
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.policy.alerts import AlertsPolicy

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
GAP, FAILED = FindingKind.PARTITION_GAP, FindingKind.RUN_FAILED
OUTAGE = FindingKind.DATABASE_UNREACHABLE
KINDS = frozenset(FindingKind)
POLICY = AlertsPolicy.model_validate({"repeat_after": "5 hours"})


def a_finding(name: str, kind: FindingKind = GAP) -> Finding:
    return Finding(kind, Severity.ERROR, name, f"{name}: is unwell")


def a_set(*findings: Finding) -> FindingSet:
    return FindingSet("app", findings, KINDS)


Alerts = Mapping[Identity, Alert]


def after(alerts: Alerts, *rounds: tuple[int, FindingSet]) -> tuple[Alerts, list[Event]]:
    events: list[Event] = []
    for hour, finding_set in rounds:
        update = update_alerts(alerts, finding_set, POLICY, NOW + hour * HOUR)
        due = due_events(update.alerts, POLICY, NOW + hour * HOUR)
        alerts = due.alerts
        events += [*update.events, *due.events]
    return alerts, events


SETS = st.lists(
    st.builds(a_finding, st.sampled_from(["a", "b", "c"]), st.sampled_from([GAP, FAILED, OUTAGE])),
    max_size=4,
    unique_by=lambda finding: (finding.kind, finding.object),
).map(lambda findings: a_set(*findings))
HISTORY = st.lists(SETS, max_size=12)


def changes_of(before: Alerts, alerts: Alerts, moment: datetime) -> SpoolChanges:
    changed = {i: a for i, a in alerts.items() if before.get(i) != a}
    return SpoolChanges(changed, dict.fromkeys(before.keys() - alerts.keys(), moment))


@given(HISTORY, HISTORY)
def test_outage_leaves_the_alerts_that_an_undisturbed_store_would_have(
    first: list[FindingSet], then: list[FindingSet]
) -> None:
    rounds = list(enumerate([*first, *then]))
    store, _ = after({}, *rounds[: len(first)])
    spool, _ = after(store, *rounds[len(first) :])
    changes = changes_of(store, spool, NOW + len(rounds) * HOUR)
    merged = merge(store, changes, {})
    assert merged == spool
    assert merge(merged, changes, {}) == merged


@given(HISTORY, HISTORY)
def test_what_another_host_saw_later_counts(
    outage: list[FindingSet], later: list[FindingSet]
) -> None:
    """A spool that is merged late changes nothing that was seen after it."""
    alerts, _ = after({}, (0, a_set(a_finding("a"), a_finding("b"))))
    spool, _ = after(alerts, *enumerate(outage, 1))
    start = len(outage) + 1
    rounds = [(start + n, each) for n, each in enumerate([a_set(), *later])]
    store, events = after(alerts, *rounds)
    resolved = {e.alert.identity: e.at for e in events if e.turn is Transition.RESOLVED}
    pending_only = {i for i, a in spool.items() if a.notified_at is None or i not in resolved}
    merged = merge(store, changes_of(alerts, spool, NOW + (start - 1) * HOUR), resolved)
    for identity in merged.keys() | store.keys():
        if identity not in pending_only:
            assert merged.get(identity) == store.get(identity)


@given(HISTORY, st.integers(0, 11), SETS)
def test_observation_older_than_the_last_sighting_changes_nothing(
    history: list[FindingSet], hour: int, late: FindingSet
) -> None:
    alerts, _ = after({}, *enumerate(history))
    moment = NOW + hour * HOUR - timedelta(minutes=1)
    update = update_alerts(alerts, late, POLICY, moment)
    for identity, alert in alerts.items():
        if alert.seen_at is not None and alert.seen_at > moment:
            assert update.alerts[identity] == alert
            assert identity not in {event.alert.identity for event in update.events}


@given(HISTORY)
def test_nothing_that_follows_from_an_outage_is_raised_while_it_stands(
    history: list[FindingSet],
) -> None:
    alerts: Alerts = {}
    for hour, finding_set in enumerate(history):
        alerts, events = after(alerts, (hour, finding_set))
        is_away = any(identity.kind is OUTAGE for identity in alerts)
        raised = {e.alert.identity.kind for e in events if e.turn is Transition.RAISED}
        assert not (is_away and raised & HELD_BACK)
        if not is_away:
            assert all(alert.notified_at is not None for alert in alerts.values())


@given(HISTORY, st.integers(-20, 20))
def test_clock_that_is_set_back_leaves_nothing_in_the_future(
    history: list[FindingSet], hour: int
) -> None:
    alerts, _ = after({}, *enumerate(history))
    now = NOW + hour * HOUR
    clamped = none_after(alerts, now)
    assert clamped.keys() == alerts.keys()
    assert update_alerts(clamped, a_set(), POLICY, now).alerts == {}
    for alert in clamped.values():
        moments = (alert.since, alert.notified_at, alert.seen_at)
        assert max(moment for moment in moments if moment) <= now


def test_alert_is_due_by_time_alone() -> None:
    alerts, _ = after({}, (0, a_set(a_finding("a"))))
    assert due_events(alerts, POLICY, NOW + 4.9 * HOUR).events == ()
    (event,) = due_events(alerts, POLICY, NOW + 5 * HOUR).events
    assert event.turn is Transition.REPEATED
    slow = AlertsPolicy.model_validate({"for": "2 hours"})
    pending = update_alerts({}, a_set(a_finding("a")), slow, NOW).alerts
    assert due_events(pending, slow, NOW + HOUR).events == ()
    (event,) = due_events(pending, slow, NOW + 2 * HOUR).events
    assert event.turn is Transition.RAISED


# The file


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "state" / "alerts.db", "app\n/policies/app.yaml")


def an_alert(name: str) -> Alert:
    return next(iter(after({}, (0, a_set(a_finding(name))))[0].values()))


def test_file_keeps_what_is_put_in(spool: Spool) -> None:
    alert = replace(an_alert('public."ü\n\x1b"'), value=0.5, threshold="x", muted_until=NOW)
    event = Event(Transition.RAISED, alert, NOW)
    alert = replace(alert, notified_sinks=("one", "two"), escalated_at=NOW, severity_since=NOW)
    routes = (
        Route("one", Transition.RESOLVED, Severity.ERROR),
        Route("two", Transition.RAISED, Severity.WARN, can_wait=True),
    )
    spool.keep({alert.identity: alert}, [(event, routes)], NOW)
    again = Spool(spool.path, spool.scope)
    assert again.state().is_away
    assert again.standing() == {alert.identity: alert}
    (told,) = again.pending_deliveries("one")
    assert (told.turn, told.severity, told.can_wait) == routes[0][1:]
    assert [row.event for row in again.pending_deliveries("two")] == [event]
    assert [row.can_wait for row in again.pending_deliveries("two")] == [True]
    again.note_tried("two", [event], None, ended=True)
    assert again.pending_deliveries("two") == []
    (spooled,) = again.changes().events
    assert [(d.sink, d.ended_at is not None) for d in spooled.deliveries] == [
        ("one", False),
        ("two", True),
    ]
    views = [(d.sink, d.turn, d.severity, d.can_wait) for d in spooled.deliveries]
    assert views == list(routes)


def test_scopes_of_one_file_are_apart(spool: Spool) -> None:
    other = Spool(spool.path, "app\n/elsewhere/app.yaml")
    alert = an_alert("a")
    spool.keep({alert.identity: alert}, [], NOW)
    assert not other.state().is_away
    assert other.standing() == {}


def test_mirror_is_written_only_if_it_differs(spool: Spool) -> None:
    alert = an_alert("a")
    pending = [
        PendingEvent("one", PendingDelivery(7, Event(Transition.RAISED, alert, NOW), 2, NOW))
    ]
    spool.mirror({alert.identity: alert}, pending)
    before = spool.path.read_bytes()
    seen = replace(alert, seen_at=NOW + HOUR)
    spool.mirror({alert.identity: seen}, pending)
    assert spool.path.read_bytes() == before
    assert not spool.changes()
    spool.note_tried("one", [pending[0].waiting.event], None, ended=True)
    assert spool.changes()
    spool.mirror({alert.identity: seen}, pending)
    assert spool.pending_deliveries("one") == [], "the store was read before the delivery"
    spool.mirror({alert.identity: seen}, [])
    assert not spool.changes()
    assert spool.pending_deliveries("one") == []


def test_file_and_folder_are_closed_to_others(spool: Spool) -> None:
    spool.mirror({}, [])
    assert spool.path.stat().st_mode & 0o077 == 0
    assert spool.path.parent.stat().st_mode & 0o077 == 0


def test_place_of_the_file() -> None:
    assert spool_path({"DAGSTER_HOME": "/d", "HOME": "/h"}) == Path("/d/maintenance/alerts.db")
    assert spool_path({"XDG_STATE_HOME": "/x"}) == Path("/x/maintenance/alerts.db")
    assert spool_path({"HOME": "/h"}) == Path("/h/.local/state/maintenance/alerts.db")


def test_event_has_one_key_in_every_time_zone() -> None:
    alert = an_alert("a")
    there = timedelta(hours=5)
    moved = NOW.astimezone(timezone(there))
    keys = {event_key(Event(Transition.RAISED, alert, moment)) for moment in (NOW, moved)}
    assert len(keys) == 1
