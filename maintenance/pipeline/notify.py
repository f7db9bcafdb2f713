"""One round of alerts: process findings, update the alerts, deliver to every sink.

The findings come from an observation of its own, or from the runs in the store.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from maintenance.alerts.delivery import Delivered, OpenSink, Round, deliver
from maintenance.alerts.heartbeat import call
from maintenance.alerts.messages import Message
from maintenance.alerts.models import Alert, Event, FindingSet
from maintenance.alerts.routing import route
from maintenance.alerts.sinks import Send, SinkError, name_of, sender_of
from maintenance.alerts.state import update_alerts
from maintenance.alerts.store import (
    forget_old,
    keep,
    lock_alerts,
    note_processed,
    standing_alerts,
    tend,
    unprocessed_runs,
)
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.target import Target
from maintenance.errors import MaintenanceError, UsageError
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.alert_links import links
from maintenance.policy import Policy
from maintenance.policy.alerts import Sink
from maintenance.server.session import Connection
from maintenance.store import migrate

BUDGET_S = 10.0
"""Time limit of one round of delivery."""


FindingSets = Sequence[tuple[datetime, FindingSet | Callable[[], FindingSet]]]
"""Findings with their times. Cheap observations may be functions, which are called under the alert
lock, so that two rounds at once process them in the order of observation."""


@dataclass(frozen=True, slots=True)
class RoundReport:
    """The result of a round.

    Attributes:
        events: the transitions of this round.
        alerts: the open alerts.
        delivered: the result of each sink.
        heartbeat_error: why the dead man's switch was not called or did not respond; None if it
            was called, or if there is none.
    """

    database: str
    now: datetime
    events: tuple[Event, ...]
    alerts: tuple[Alert, ...]
    delivered: tuple[Delivered, ...]
    heartbeat_error: str | None = None

    @property
    def ok(self) -> bool:
        """Always true: a round is complete once its state is stored, even if a sink is down."""
        return True


def notify(
    policy: Policy, *, environ: Mapping[str, str] = os.environ, now: datetime | None = None
) -> RoundReport:
    """Observe the database, process its findings, and deliver pending events to every sink.

    Events for a sink that is down stay pending; the next round retries them.

    Raises:
        UsageError, UnreachableError, MaintenanceError: as `pipeline.plan`; or the store can't be
            created.
    """
    moment = now or datetime.now(UTC)
    return tell(policy, [(moment, _look(policy, environ, moment))], environ=environ)


def tell(
    policy: Policy,
    finding_sets: FindingSets,
    *,
    environ: Mapping[str, str] = os.environ,
    patient: bool = False,
    ping: bool = True,
) -> RoundReport:
    """Process the findings of runs since the last round, then the given ones; deliver.

    Args:
        policy: the policy of the database.
        finding_sets: findings with their times, oldest first.
        environ: where `{env: …}` references of the policy are resolved.
        patient: skip a sink that is backing off after failed attempts.
        ping: call the dead man's switch once the state is stored and a sink has nothing pending.

    Raises:
        UsageError, UnreachableError, MaintenanceError: the store can't be reached or created.
    """
    targets = _targets(policy, environ)
    events: list[Event] = []
    with Target(policy, environ).store() as store:
        migrate(store)
        events += _process_runs(store, policy)
        for moment, finding_set in finding_sets:
            events += _update_alerts(store, policy, finding_set, moment)
        oldest = policy.store.keep.before(datetime.now(UTC).date())
        forget_old(store, policy.database.name, oldest)
    opened = Target(policy, environ).store
    quiet = policy.alerts.quiet
    round_ = Round(opened, policy.database.name, links(policy), BUDGET_S, patient, quiet)
    delivered = deliver(round_, targets)
    heartbeat_error = _ping(policy, environ, delivered) if ping else None
    with Target(policy, environ).store() as store:
        alerts = standing_alerts(store, policy.database.name)
    moment = finding_sets[-1][0] if finding_sets else datetime.now(UTC)
    name = policy.database.name
    return RoundReport(
        name, moment, tuple(events), tuple(alerts.values()), tuple(delivered), heartbeat_error
    )


def standing(policy: Policy, *, environ: Mapping[str, str] = os.environ) -> list[Alert]:
    """Return the open and pending alerts of a database, without observing it.

    Raises:
        UsageError, UnreachableError, MaintenanceError: the store can't be reached or created.
    """
    with Target(policy, environ).store() as store:
        migrate(store)
        return list(standing_alerts(store, policy.database.name).values())


def tend_alert(
    policy: Policy,
    kind: str,
    object_: str,
    column: str,
    until: datetime | None,
    *,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Acknowledge or mute an open alert.

    Raises:
        UsageError: no such alert is open.
        UnreachableError, MaintenanceError: the store can't be reached or created.
    """
    known = {alert.identity for alert in standing(policy, environ=environ)}
    asked = next((i for i in known if (i.kind.value, i.object) == (kind, object_)), None)
    if asked is None:
        listed = ", ".join(f"{i.kind} {i.object}" for i in sorted(known)) or "none"
        raise UsageError(f"no open alert {kind} {object_}", hint=f"open alerts: {listed}")
    with Target(policy, environ).store() as store:
        tend(store, asked, column, until)


def _look(policy: Policy, environ: Mapping[str, str], now: datetime) -> FindingSet:
    """Observe the database; if that fails, return a finding that says so."""
    name = policy.database.name
    try:
        report = pipeline.plan(policy, environ=environ, now=now)
    except UsageError:
        raise
    except MaintenanceError as exc:
        hint = f" ({exc.hint})" if exc.hint else ""
        message = f"{name}: not observed: {exc}{hint}"
        blind = Finding(FindingKind.MONITOR_BLIND, Severity.ERROR, name, message)
        return FindingSet(name, [blind], frozenset())
    return FindingSet(name, report.findings, report.kinds, subjects=report.subjects)


def _process_runs(store: Connection, policy: Policy) -> list[Event]:
    """Process the findings of finished runs, each run once."""
    events: list[Event] = []
    with store.transaction():
        lock_alerts(store, policy.database.name)
        runs = unprocessed_runs(store, policy.database.name)
        for run in runs:
            events += _update_alerts(store, policy, run.finding_set, run.ended_at)
        note_processed(store, [run.id for run in runs])
    return events


def _update_alerts(
    store: Connection, policy: Policy, seen: FindingSet | Callable[[], FindingSet], now: datetime
) -> tuple[Event, ...]:
    """Update the alerts and queue the events in one transaction."""
    sinks = [(name_of(sink), sink) for sink in policy.alerts.sinks]
    name = policy.database.name
    with store.transaction():
        lock_alerts(store, name)
        known = standing_alerts(store, name)
        finding_set = seen if isinstance(seen, FindingSet) else seen()
        updated = update_alerts(known, finding_set, policy.alerts, now)
        changes = route(updated, known, sinks, has_quiet_hours=bool(policy.alerts.quiet))
        keep(store, name, changes)
    return changes.events


def _targets(policy: Policy, environ: Mapping[str, str]) -> list[OpenSink]:
    named = {name_of(sink): sink for sink in policy.alerts.sinks}
    return [OpenSink(name, _sender(sink, policy, environ)) for name, sink in named.items()]


def _sender(sink: Sink, policy: Policy, environ: Mapping[str, str]) -> Send:
    """Return a sink's send function; if its URL is invalid, one that fails with the reason."""
    try:
        return sender_of(sink, policy, environ)
    except UsageError as exc:
        problem = SinkError(f"{exc} ({exc.hint})" if exc.hint else str(exc))

    def refuse(message: Message, timeout_s: float) -> str:
        del message, timeout_s
        raise problem

    return refuse


def _ping(policy: Policy, environ: Mapping[str, str], delivered: Sequence[Delivered]) -> str | None:
    """Call the dead man's switch, unless no sink accepts its pending events.

    In that case the missing call raises the alarm.
    """
    if policy.alerts.ping is None:
        return None
    if delivered and all(each.n_waiting for each in delivered):
        return "not called: no sink accepts its pending events"
    try:
        return call(policy.alerts.ping.resolve(environ))
    except UsageError as exc:
        return f"not called: {exc}"
