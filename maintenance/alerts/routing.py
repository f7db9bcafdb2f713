"""Routing: which sinks receive an event, and as which transition. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from maintenance.alerts.models import Alert, AlertUpdate, Event, Identity, Route, Transition
from maintenance.engine.findings import Severity
from maintenance.policy.alerts import Sink

Named = tuple[str, Sink]
"""A sink with its name. Several sinks may have one name, and then take what one of them takes."""


def route(
    update: AlertUpdate,
    standing: Mapping[Identity, Alert],
    sinks: Sequence[Named],
    *,
    has_quiet_hours: bool = False,
) -> AlertUpdate:
    """Add for each event the sinks that receive it, and to each alert the sinks that know it.

    - The first event that a sink receives of an alert is `raised`, whatever the others receive.
    - A sink receives the resolution if, and only if, it received the alert.
    - An alert that is no longer an error is resolved at sinks that receive only errors, unless it
      was escalated to them. A sink that receives only warnings hears of an error when it is over.

    Args:
        update: the open alerts after an observation, and its events.
        standing: the open alerts before it.
        sinks: the sinks of the policy.
        has_quiet_hours: whether warnings may have to wait.

    Returns:
        The update; an escalation that no sink receives is left out.
    """
    named: dict[str, list[Sink]] = {}
    for name, sink in sinks:
        named.setdefault(name, []).append(sink)
    alerts = dict(update.alerts)
    events: list[tuple[Event, tuple[Route, ...]]] = []
    for event in update.events:
        identity = event.alert.identity
        before = standing.get(identity)
        knowing = _knowing(before, named)
        routes = tuple(_routes(event, before, knowing, named, has_quiet_hours))
        is_escalated = _escalates(event, before) and any(
            each.sink not in knowing for each in routes
        )
        if identity in alerts:
            known = _known_after(knowing, routes)
            escalated_at = event.alert.escalated_at
            if _escalates(event, before) and not is_escalated:
                escalated_at = None
            alerts[identity] = replace(
                alerts[identity], notified_sinks=known, escalated_at=escalated_at
            )
        if is_escalated or event.turn is not Transition.ESCALATED:
            told = event._replace(alert=alerts.get(identity, event.alert))
            events.append((told, routes))
    return AlertUpdate(
        alerts, tuple(told for told, _ in events), tuple(routes for _, routes in events)
    )


def _knowing(before: Alert | None, named: Mapping[str, object]) -> Sequence[str]:
    """Return the names of the sinks at which an alert is open."""
    if before is None or before.notified_at is None:
        return ()
    # Every sink received what was sent before their names were recorded.
    return tuple(named) if before.notified_sinks is None else before.notified_sinks


def _known_after(knowing: Sequence[str], routes: Sequence[Route]) -> tuple[str, ...]:
    over = {each.sink for each in routes if each.turn is Transition.RESOLVED}
    received = {each.sink for each in routes}
    return tuple(sorted((received | set(knowing)) - over))


def _routes(
    event: Event,
    before: Alert | None,
    knowing: Sequence[str],
    named: Mapping[str, Sequence[Sink]],
    has_quiet_hours: bool,
) -> Iterator[Route]:
    was_error = before is not None and before.notified_severity is Severity.ERROR
    is_of_error = was_error or event.alert.severity is Severity.ERROR
    for name, sinks in named.items():
        turn = _turn(event, before, sinks, is_known=name in knowing)
        if turn is not None:
            ends_error = turn is Transition.RESOLVED and was_error
            severity = Severity.ERROR if ends_error else event.alert.severity
            hears_of_errors = any(Severity.ERROR in sink.severities for sink in sinks)
            can_wait = has_quiet_hours and not (is_of_error and hears_of_errors)
            yield Route(name, turn, severity, can_wait)


def _turn(
    event: Event, before: Alert | None, sinks: Sequence[Sink], *, is_known: bool
) -> Transition | None:
    """Return what one sink receives of an event; None for nothing."""
    if event.turn is Transition.RESOLVED:
        return Transition.RESOLVED if is_known else None
    database, kind, _ = event.alert.identity
    interested = [sink for sink in sinks if sink.takes_kind(database, kind)]
    if any(event.alert.severity in sink.severities for sink in interested):
        return _turn_of_interest(event.turn, is_known=is_known)
    if event.alert.severity is Severity.WARN and interested:
        return _turn_at_error_sink(event, before, is_known=is_known)
    return None


def _turn_of_interest(turn: Transition, *, is_known: bool) -> Transition | None:
    if not is_known:
        return Transition.RAISED
    return None if turn is Transition.ESCALATED else turn


def _turn_at_error_sink(event: Event, before: Alert | None, *, is_known: bool) -> Transition | None:
    """Return what a sink that receives only errors receives of a warning."""
    if not is_known:
        return Transition.RAISED if _escalates(event, before) else None
    if event.turn is not Transition.RAISED or before is None:
        return None
    if before.escalated_at is not None:
        return Transition.RAISED
    return Transition.RESOLVED if before.notified_severity is Severity.ERROR else None


def _escalates(event: Event, before: Alert | None) -> bool:
    """Whether an alert is escalated by this event."""
    is_new = before is None or before.escalated_at is None
    return is_new and event.alert.escalated_at is not None
