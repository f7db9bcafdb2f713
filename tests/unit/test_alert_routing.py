"""Which sink receives what: by severity, kind and database, by escalation, in quiet hours."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maintenance.alerts.models import (
    Alert,
    AlertUpdate,
    Event,
    FindingSet,
    Identity,
    PendingDelivery,
    Route,
    Transition,
)
from maintenance.alerts.quiet import quiet_until, release
from maintenance.alerts.routing import route
from maintenance.alerts.state import due_events, update_alerts
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.policy.alerts import AlertsPolicy

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
KINDS = frozenset(FindingKind)
GAP = FindingKind.PARTITION_GAP
UNUSED = FindingKind.INDEX_UNUSED
WARN, ERROR = Severity.WARN, Severity.ERROR
NIGHT = ["* 22-23 * * *", "* 0-5 * * *"]

Told = tuple[str, str]
"""Transition and severity, as a sink receives them."""


def a_finding(
    severity: Severity = WARN, kind: FindingKind = GAP, name: str = "public.events", **more: Any
) -> Finding:
    return Finding(kind, severity, name, f"{name}: {severity}", **more)


@dataclass
class World:
    """The alerts of a database and its sinks, without a store: events wait in memory."""

    policy: AlertsPolicy
    now: datetime = NOON
    alerts: dict[Identity, Alert] = field(default_factory=dict[Identity, Alert])
    pending: dict[str, list[PendingDelivery]] = field(
        default_factory=dict[str, list[PendingDelivery]]
    )
    received: dict[str, list[Event]] = field(default_factory=dict[str, list[Event]])
    events: list[Event] = field(default_factory=list[Event])
    routes: list[tuple[Route, ...]] = field(default_factory=list[tuple[Route, ...]])
    is_down: bool = False

    @property
    def sinks(self) -> list[tuple[str, Any]]:
        return [(str(number), sink) for number, sink in enumerate(self.policy.sinks)]

    def see(self, *findings: Finding, kinds: frozenset[FindingKind] = KINDS) -> None:
        """Process one observation and deliver."""
        finding_set = FindingSet("app", findings, kinds)
        self.take(update_alerts(self.alerts, finding_set, self.policy, self.now))
        self.take(due_events(self.alerts, self.policy, self.now))
        self.deliver()

    def take(self, changes: AlertUpdate) -> None:
        routed = route(changes, self.alerts, self.sinks, has_quiet_hours=bool(self.policy.quiet))
        self.alerts = dict(routed.alerts)
        for event, routes in zip(routed.events, routed.routes, strict=True):
            self.events.append(event)
            self.routes.append(routes)
            for each in routes:
                self.queue(event, each)

    def queue(self, event: Event, to: Route) -> None:
        row = PendingDelivery(len(self.events), event, 0, None, to.turn, to.severity, to.can_wait)
        self.pending.setdefault(to.sink, []).append(row)

    def deliver(self) -> None:
        for sink, rows in self.pending.items():
            due, held, _ = release(rows, self.policy.quiet, self.now)
            if self.is_down:
                tried = [row._replace(attempts=row.attempts + 1) for row in due]
                self.pending[sink] = sorted([*tried, *held], key=lambda row: row.id)
            else:
                self.received.setdefault(sink, []).extend(row.as_routed for row in due)
                self.pending[sink] = held

    def told(self, sink: int) -> list[Told]:
        return [
            (event.turn.value, event.alert.severity.value)
            for event in self.received.get(str(sink), [])
        ]


def a_world(*sinks: dict[str, Any], **alerts: Any) -> World:
    written = [{"type": "log", **sink} for sink in sinks]
    return World(AlertsPolicy.model_validate({"sinks": written, **alerts}))


def after(world: World, *steps: Iterable[Finding], every: timedelta = HOUR) -> World:
    for findings in steps:
        world.see(*findings)
        world.now += every
    return world


BOTH: dict[str, Any] = {}
ERRORS = {"severities": ["error"]}
WARNINGS = {"severities": ["warn"]}


# By severity, kind and database


def test_sink_without_options_receives_warnings_and_errors() -> None:
    world = after(a_world(BOTH), [a_finding()], [a_finding(ERROR)], [a_finding(ERROR)], [])
    assert world.told(0) == [("raised", "warn"), ("raised", "error"), ("resolved", "error")]


def test_alert_that_gets_worse_is_raised_where_only_errors_go_and_resolved_on_the_way_back() -> (
    None
):
    world = after(a_world(ERRORS), [a_finding()], [a_finding(ERROR)], [a_finding()], [])
    assert world.told(0) == [("raised", "error"), ("resolved", "error")]


def test_sink_of_warnings_hears_of_an_error_only_that_it_is_over() -> None:
    """Resolved while it is worse would be a lie."""
    world = after(a_world(WARNINGS), [a_finding()], [a_finding(ERROR)], [a_finding(ERROR)])
    assert world.told(0) == [("raised", "warn")]
    assert [told for told, _ in after(world, []).told(0)] == ["raised", "resolved"]
    assert after(a_world(WARNINGS), [a_finding(ERROR)], []).told(0) == []


@pytest.mark.parametrize("kind", [kind for kind in FindingKind if kind.spec.is_advice])
def test_advice_goes_only_to_a_sink_that_names_its_kind(kind: FindingKind) -> None:
    world = a_world(BOTH, {"kinds": [kind.value]}, {"except_kinds": ["bloat_unknown"]})
    after(world, [a_finding(kind=kind)], [a_finding(kind=kind)], [])
    assert world.told(1) == [("raised", "warn"), ("resolved", "warn")]
    assert world.told(0) == world.told(2) == []
    assert [event.turn.value for event in world.events] == ["raised", "resolved"]


@pytest.mark.parametrize(
    ("sink", "n_delivered"),
    [
        ({"kinds": ["partition_gap"]}, 1),
        ({"kinds": ["query_slow"]}, 0),
        ({"except_kinds": ["partition_gap"]}, 0),
        ({"except_kinds": ["query_slow"]}, 1),
        ({"databases": ["app"]}, 1),
        ({"databases": ["shop", "crm"]}, 0),
        ({"kinds": ["partition_gap"], "databases": ["shop"]}, 0),
        ({"kinds": ["partition_gap"], "severities": ["error"]}, 0),
    ],
)
def test_sink_receives_its_kinds_of_its_databases(sink: dict[str, Any], n_delivered: int) -> None:
    assert len(after(a_world(sink), [a_finding()]).told(0)) == n_delivered


def test_entries_of_one_sink_add_up() -> None:
    policy = a_world(ERRORS, {"kinds": ["index_unused"]}).policy
    changes = update_alerts(
        {},
        FindingSet("app", [a_finding(), a_finding(ERROR, name="b"), a_finding(kind=UNUSED)], KINDS),
        policy,
        NOON,
    )
    routed = route(changes, {}, [("log", sink) for sink in policy.sinks])
    told = {
        event.alert.identity[1:]: [each.sink for each in routes]
        for event, routes in zip(routed.events, routed.routes, strict=True)
    }
    assert told == {
        (GAP, "public.events"): [],
        (GAP, "b"): ["log"],
        (UNUSED, "public.events"): ["log"],
    }


def test_sink_that_is_added_hears_first_that_an_alert_is_raised() -> None:
    """Never that something is repeated or over of which it has not heard."""
    world = after(a_world(BOTH), [a_finding()])
    world.policy = a_world(BOTH, BOTH).policy
    gone = replace_world(world)
    assert after(gone, []).told(1) == []
    world.now += 24 * HOUR
    after(world, [a_finding()], [])
    assert world.told(0) == [("raised", "warn"), ("repeated", "warn"), ("resolved", "warn")]
    assert world.told(1) == [("raised", "warn"), ("resolved", "warn")]


def replace_world(world: World) -> World:
    return World(world.policy, world.now, dict(world.alerts))


def test_sink_that_takes_less_now_hears_the_end_of_what_it_received() -> None:
    world = after(a_world(BOTH), [a_finding()])
    world.policy = a_world({"except_kinds": ["partition_gap"]}).policy
    assert after(world, [a_finding(ERROR)], []).told(0) == [
        ("raised", "warn"),
        ("resolved", "error"),
    ]


def test_alert_from_before_sinks_were_recorded_is_resolved_everywhere() -> None:
    world = after(a_world(ERRORS, BOTH), [a_finding(kind=UNUSED)])
    world.alerts = {i: replace(a, notified_sinks=None) for i, a in world.alerts.items()}
    after(world, [])
    assert world.told(0) == world.told(1) == [("resolved", "warn")]


# Escalation


def test_warning_that_stands_too_long_goes_once_to_sinks_of_errors() -> None:
    world = a_world(BOTH, ERRORS, repeat_after="20 hours")
    after(world, *[[a_finding()]] * 50, [])
    assert world.told(1) == [("raised", "warn"), ("resolved", "warn")]
    raised, resolved = world.received["1"]
    assert (raised.at, resolved.at) == (NOON + 24 * HOUR, NOON + 50 * HOUR)
    assert [told for told, _ in world.told(0)] == ["raised", "repeated", "repeated", "resolved"]


def test_time_as_a_warning_counts_from_when_it_was_no_error_any_more() -> None:
    world = after(a_world(ERRORS), *[[a_finding(ERROR)]] * 30, *[[a_finding()]] * 24)
    assert [told for told, _ in world.told(0)] == ["raised", "repeated", "resolved"]
    assert after(world, [a_finding()]).told(0)[3:] == [("raised", "warn")]


def test_escalated_warning_that_gets_worse_and_better_stays_open_there() -> None:
    world = after(a_world(ERRORS), *[[a_finding()]] * 25, [a_finding(ERROR)], [a_finding()], [])
    assert world.told(0) == [
        ("raised", "warn"),
        ("raised", "error"),
        ("raised", "warn"),
        ("resolved", "warn"),
    ]


@pytest.mark.parametrize("column", ["acknowledged_until", "muted_until"])
def test_acknowledged_or_muted_warning_is_not_escalated_until_that_ends(column: str) -> None:
    world = after(a_world(ERRORS), [a_finding()])
    until: dict[str, Any] = {column: NOON + 30 * HOUR}
    world.alerts = {i: replace(alert, **until) for i, alert in world.alerts.items()}
    after(world, *[[a_finding()]] * 29)
    assert world.told(0) == []
    assert after(world, [a_finding()]).told(0) == [("raised", "warn")]


def test_warning_is_escalated_although_its_kind_is_not_looked_for_again() -> None:
    world = after(a_world(ERRORS), [a_finding()])
    world.now = NOON + 24 * HOUR
    world.see(kinds=frozenset())
    assert world.told(0) == [("raised", "warn")]


def test_without_a_sink_that_takes_only_errors_nothing_is_escalated() -> None:
    for sinks in ([BOTH], [WARNINGS], [BOTH, {"severities": ["error"], "kinds": ["query_slow"]}]):
        world = after(a_world(*sinks), *[[a_finding()]] * 30)
        assert [event.turn.value for event in world.events] == ["raised", "repeated"]
        assert all(alert.escalated_at is None for alert in world.alerts.values())


# Quiet hours


def at_night(*sinks: dict[str, Any], **alerts: Any) -> World:
    world = a_world(*sinks, quiet=NIGHT, **alerts)
    world.now = NOON + 11 * HOUR
    return world


def test_warning_of_the_night_is_delivered_in_the_morning() -> None:
    world = after(at_night(BOTH), *[[a_finding()]] * 7)
    assert world.told(0) == []
    assert after(world, [a_finding()]).told(0) == [("raised", "warn")]
    assert world.received["0"][0].at == NOON + 11 * HOUR


def test_warning_raised_and_resolved_in_the_night_is_never_sent() -> None:
    world = after(at_night(BOTH), [a_finding()], [a_finding()], [], [a_finding()], [])
    world.now = NOON + 20 * HOUR
    assert after(world, []).told(0) == []
    assert [event.turn.value for event in world.events] == ["raised", "resolved"] * 2


def test_warning_of_the_day_that_ends_in_the_night_is_resolved_in_the_morning() -> None:
    world = a_world(BOTH, quiet=NIGHT)
    after(world, *[[a_finding()]] * 11, [])
    assert world.told(0) == [("raised", "warn")]
    world.now = NOON + 18 * HOUR
    assert after(world, []).told(0) == [("raised", "warn"), ("resolved", "warn")]


def test_two_nights_are_not_one() -> None:
    """What was raised in one night and resolved in the next was true all day."""
    rows = [
        a_row(1, Transition.RAISED, NOON + 11 * HOUR),
        a_row(2, Transition.RESOLVED, NOON + 35 * HOUR),
    ]
    assert release(rows, NIGHT, NOON + 48 * HOUR).due == rows


def test_error_is_not_held_up_by_a_warning_that_waits() -> None:
    world = after(at_night(BOTH), [a_finding()], [a_finding(), a_finding(ERROR, name="b")])
    assert world.told(0) == [("raised", "error")]
    world.now = NOON + 18 * HOUR
    after(world, [a_finding(), a_finding(ERROR, name="b")])
    assert world.told(0) == [("raised", "error"), ("raised", "warn")]


def test_warning_that_waits_and_gets_worse_is_sent_as_the_error_alone() -> None:
    world = after(at_night(BOTH), [a_finding()], [a_finding(ERROR)])
    assert world.told(0) == [("raised", "error")]
    assert world.pending["0"] == []


def test_sink_of_warnings_is_not_woken_by_the_end_of_an_error() -> None:
    world = a_world(WARNINGS, quiet=NIGHT)
    after(world, [a_finding()])
    world.now = NOON + 11 * HOUR
    assert after(world, [a_finding(ERROR)], []).told(0) == [("raised", "warn")]
    world.now = NOON + 18 * HOUR
    assert len(after(world, []).told(0)) == 2
    night = after(at_night(WARNINGS), [a_finding()], [a_finding(ERROR)], [])
    assert (night.told(0), night.pending["0"]) == ([], [])


def test_end_of_an_error_does_not_wait() -> None:
    world = after(at_night(BOTH, ERRORS), [a_finding(ERROR)], [])
    assert world.told(0) == world.told(1) == [("raised", "error"), ("resolved", "error")]


def test_error_that_becomes_a_warning_is_told_at_once_and_its_end_in_the_morning() -> None:
    world = after(at_night(BOTH, ERRORS), [a_finding(ERROR)], [a_finding()], [])
    assert world.told(0) == [("raised", "error"), ("raised", "warn")]
    assert world.told(1) == [("raised", "error"), ("resolved", "error")]
    world.now = NOON + 18 * HOUR
    assert after(world, []).told(0)[2:] == [("resolved", "warn")]


def test_escalation_waits_for_the_morning() -> None:
    world = a_world(ERRORS, quiet=NIGHT, escalate_after="10 hours")
    after(world, *[[a_finding()]] * 18)
    assert world.told(0) == []
    assert after(world, [a_finding()]).told(0) == [("raised", "warn")]


def test_warning_that_may_have_arrived_before_the_night_is_resolved() -> None:
    rows = [
        a_row(1, Transition.RAISED, NOON + 11 * HOUR, attempts=1),
        a_row(2, Transition.RESOLVED, NOON + 12 * HOUR),
    ]
    released = release(rows, NIGHT, NOON + 12 * HOUR)
    assert (released.due, released.held, released.dropped) == ([], rows, [])


def test_what_does_not_wait_is_sent_whatever_the_hour() -> None:
    """Events from before quiet hours were in the policy."""
    rows = [
        a_row(1, Transition.RAISED, NOON + 11 * HOUR, can_wait=False),
        a_row(2, Transition.RESOLVED, NOON + 12 * HOUR, can_wait=False),
    ]
    assert release(rows, NIGHT, NOON + 12 * HOUR).due == rows
    assert release([row._replace(can_wait=True) for row in rows], [], NOON + 12 * HOUR).held == []


def a_row(
    number: int, turn: Transition, at: datetime, *, attempts: int = 0, can_wait: bool = True
) -> PendingDelivery:
    alert = Alert(Identity("app", GAP, "public.events"), WARN, "", at)
    return PendingDelivery(number, Event(turn, alert, at), attempts, None, can_wait=can_wait)


@pytest.mark.parametrize(
    ("hour", "minute", "wanted"),
    [(22, 0, 30), (23, 59, 30), (5, 59, 6), (21, 59, None), (6, 0, None)],
)
def test_quiet_hours_end_with_their_last_minute(hour: int, minute: int, wanted: int | None) -> None:
    moment = datetime(2026, 11, 20, hour, minute, 30, tzinfo=UTC)
    end = moment if wanted is None else datetime(2026, 11, 20, tzinfo=UTC) + wanted * HOUR
    assert quiet_until(NIGHT, moment) == end


# Properties


OBJECTS = ["a", "b"]
FINDINGS = st.lists(
    st.builds(
        a_finding,
        severity=st.sampled_from([Severity.INFO, WARN, ERROR]),
        kind=st.sampled_from([GAP, UNUSED, FindingKind.QUERY_SLOW]),
        name=st.sampled_from(OBJECTS),
    ),
    unique_by=lambda finding: (finding.kind, finding.object),
    max_size=4,
)
SINKS = st.fixed_dictionaries(
    {},
    optional={
        "severities": st.sampled_from([["warn"], ["error"], ["warn", "error"]]),
        "kinds": st.sampled_from([[], ["partition_gap"], ["index_unused", "query_slow"]]),
        "databases": st.sampled_from([[], ["app"], ["shop"]]),
    },
)
STEPS = st.lists(
    st.tuples(st.sampled_from([1, 60, 300, 900]), FINDINGS, st.booleans()), min_size=1, max_size=14
)


@settings(max_examples=150)
@given(st.lists(SINKS, min_size=1, max_size=2), STEPS, st.sampled_from([[], NIGHT]))
def test_each_sink_receives_a_story_that_holds_together(
    sinks: list[dict[str, Any]], steps: list[tuple[int, list[Finding], bool]], quiet: Sequence[str]
) -> None:
    """Raised before anything else, resolved in the end, and every error where errors are taken."""
    world = a_world(*sinks, quiet=quiet, escalate_after="6 hours")
    world.now = NOON + 9 * HOUR
    for minutes, findings, is_down in steps:
        world.now += minutes * MINUTE
        before = {identity: alert.notified_severity for identity, alert in world.alerts.items()}
        world.is_down = is_down
        world.see(*findings)
        for name, sink in world.sinks:
            raised = {
                event.alert.identity
                for event, routes in zip(world.events, world.routes, strict=True)
                if event.at == world.now and Route(name, Transition.RAISED, ERROR) in routes
            }
            for identity, alert in world.alerts.items():
                is_new_error = (
                    alert.notified_severity is ERROR and before.get(identity) is not ERROR
                )
                if is_new_error and ERROR in sink.severities:
                    takes = sink.takes_kind(identity.database, identity.kind)
                    assert (identity in raised) is takes
    world.now, world.is_down = NOON + timedelta(days=30), False
    world.see()
    for name, sink in world.sinks:
        assert world.pending.get(name, []) == []
        for kind in FindingKind:
            for object_ in OBJECTS:
                story = [
                    event.turn
                    for event in world.received.get(name, [])
                    if event.alert.identity == ("app", kind, object_)
                ]
                assert is_consistent(story)
                assert not story or sink.takes_kind("app", kind)


def is_consistent(story: Sequence[Transition]) -> bool:
    is_open = False
    for turn in story:
        if not is_open and turn is not Transition.RAISED:
            return False
        is_open = turn is not Transition.RESOLVED
    return not is_open


@given(STEPS)
def test_sinks_without_options_receive_every_event_but_advice(
    steps: list[tuple[int, list[Finding], bool]],
) -> None:
    world = a_world(BOTH, BOTH)
    for minutes, findings, is_down in steps:
        world.now += minutes * MINUTE
        world.is_down = is_down
        world.see(*findings)
    world.is_down = False
    world.deliver()
    wanted = [
        (event.turn, event.alert.identity, event.alert.severity, event.at)
        for event in world.events
        if not event.alert.identity.kind.spec.is_advice
    ]
    for name, _ in world.sinks:
        assert wanted == [
            (event.turn, event.alert.identity, event.alert.severity, event.at)
            for event in world.received.get(name, [])
        ]
