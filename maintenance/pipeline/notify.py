"""One round of alerts: what was found is judged, kept, and told to every sink.

What is judged comes from a look of its own, or from what runs have left in the store.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from maintenance.alerts.delivery import Delivered, OpenSink, Round, deliver
from maintenance.alerts.heartbeat import call
from maintenance.alerts.messages import Message
from maintenance.alerts.models import Alert, Event, FindingSet
from maintenance.alerts.sinks import Send, SinkError, name_of, sender_of
from maintenance.alerts.state import update_alerts
from maintenance.alerts.store import (
    forget_old,
    keep,
    lock_alerts,
    note_judged,
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
"""How long one round of delivery may take."""


FindingSets = Sequence[tuple[datetime, FindingSet | Callable[[], FindingSet]]]
"""Looks with their moments. What is cheap to see may be looked at late, by a function: under the
lock of the alerts, so that two at once judge in the order in which they saw."""


@dataclass(frozen=True, slots=True)
class RoundReport:
    """What a round judged and told.

    Attributes:
        events: what has changed with this round.
        alerts: those that stand now.
        delivered: what came of each sink.
        heartbeat_error: why the dead man's switch was not called, or did not answer; None where it
            was, or where there is none.
    """

    database: str
    now: datetime
    events: tuple[Event, ...]
    alerts: tuple[Alert, ...]
    delivered: tuple[Delivered, ...]
    heartbeat_error: str | None = None

    @property
    def ok(self) -> bool:
        """A round is done once its state is stored, also where a sink is down."""
        return True


def notify(
    policy: Policy, *, environ: Mapping[str, str] = os.environ, now: datetime | None = None
) -> RoundReport:
    """Look, judge what was found, and tell every sink what it has not been told.

    A sink that is down delays its messages and loses none; the next round tries again.

    Raises:
        UsageError, UnreachableError, MaintenanceError: as `pipeline.plan`; a store that can't be
            made too.
    """
    moment = now or datetime.now(UTC)
    return tell(policy, [(moment, _look(policy, environ, moment))], environ=environ)


def tell(
    policy: Policy,
    sights: FindingSets,
    *,
    environ: Mapping[str, str] = os.environ,
    patient: bool = False,
    ping: bool = True,
) -> RoundReport:
    """Judge what runs found since the last round, then these sights in their order; deliver.

    Args:
        policy: whose alerts.
        sights: looks with their moments, oldest first.
        environ: where `{env: …}` references of the policy are resolved.
        patient: leave alone a sink that is resting after tries in vain.
        ping: call the dead man's switch once the state is stored and some sink has nothing left.

    Raises:
        UsageError, UnreachableError, MaintenanceError: the store can't be reached or made.
    """
    targets = _targets(policy, environ)
    events: list[Event] = []
    with Target(policy, environ).store() as store:
        migrate(store)
        events += _judge_runs(store, policy)
        for moment, finding_set in sights:
            events += _judge(store, policy, finding_set, moment)
        oldest = policy.store.keep.before(datetime.now(UTC).date())
        forget_old(store, policy.database.name, oldest)
    opened = Target(policy, environ).store
    round_ = Round(opened, policy.database.name, links(policy), BUDGET_S, patient)
    delivered = deliver(round_, targets)
    heartbeat_error = _ping(policy, environ, delivered) if ping else None
    with Target(policy, environ).store() as store:
        alerts = standing_alerts(store, policy.database.name)
    moment = sights[-1][0] if sights else datetime.now(UTC)
    name = policy.database.name
    return RoundReport(
        name, moment, tuple(events), tuple(alerts.values()), tuple(delivered), heartbeat_error
    )


def standing(policy: Policy, *, environ: Mapping[str, str] = os.environ) -> list[Alert]:
    """Return the alerts of a database that stand or wait, without a look at it.

    Raises:
        UsageError, UnreachableError, MaintenanceError: the store can't be reached or made.
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
    """Acknowledge or mute an alert that stands.

    Raises:
        UsageError: no such alert stands.
        UnreachableError, MaintenanceError: the store can't be reached or made.
    """
    known = {alert.identity for alert in standing(policy, environ=environ)}
    asked = next((i for i in known if (i.kind.value, i.object) == (kind, object_)), None)
    if asked is None:
        listed = ", ".join(f"{i.kind} {i.object}" for i in sorted(known)) or "none"
        raise UsageError(f"no alert {kind} {object_} stands", hint=f"those that do: {listed}")
    with Target(policy, environ).store() as store:
        tend(store, asked, column, until)


def _look(policy: Policy, environ: Mapping[str, str], now: datetime) -> FindingSet:
    """Look at the database; that nobody can see it is a finding too."""
    name = policy.database.name
    try:
        report = pipeline.plan(policy, environ=environ, now=now)
    except UsageError:
        raise
    except MaintenanceError as exc:
        hint = f" ({exc.hint})" if exc.hint else ""
        message = f"{name}: nothing can be seen: {exc}{hint}"
        blind = Finding(FindingKind.MONITOR_BLIND, Severity.ERROR, name, message)
        return FindingSet(name, [blind], frozenset())
    return FindingSet(name, report.findings, report.kinds, subjects=report.subjects)


def _judge_runs(store: Connection, policy: Policy) -> list[Event]:
    """Judge the findings that runs have left, each run once."""
    events: list[Event] = []
    with store.transaction():
        lock_alerts(store, policy.database.name)
        runs = unprocessed_runs(store, policy.database.name)
        for run in runs:
            events += _judge(store, policy, run.finding_set, run.ended_at)
        note_judged(store, [run.id for run in runs])
    return events


def _judge(
    store: Connection, policy: Policy, seen: FindingSet | Callable[[], FindingSet], now: datetime
) -> tuple[Event, ...]:
    """Judge a sight in one transaction: what is kept and what is to be told belong together."""
    sinks = [name_of(sink) for sink in policy.alerts.sinks]
    name = policy.database.name
    with store.transaction():
        lock_alerts(store, name)
        known = standing_alerts(store, name)
        finding_set = seen if isinstance(seen, FindingSet) else seen()
        judgement = update_alerts(known, finding_set, policy.alerts, now)
        keep(store, name, judgement, sinks)
    return judgement.events


def _targets(policy: Policy, environ: Mapping[str, str]) -> list[OpenSink]:
    named = {name_of(sink): sink for sink in policy.alerts.sinks}
    return [OpenSink(name, _sender(sink, policy, environ)) for name, sink in named.items()]


def _sender(sink: Sink, policy: Policy, environ: Mapping[str, str]) -> Send:
    """Return what sends to a sink; one whose variable is wrong keeps no other from being told."""
    try:
        return sender_of(sink, policy, environ)
    except UsageError as exc:
        problem = SinkError(f"{exc} ({exc.hint})" if exc.hint else str(exc))

    def refuse(message: Message, timeout_s: float) -> None:
        del message, timeout_s
        raise problem

    return refuse


def _ping(policy: Policy, environ: Mapping[str, str], delivered: Sequence[Delivered]) -> str | None:
    """Tell the dead man's switch that we live, unless nobody hears of it from us anyway.

    Where no sink takes what waits for it, silence is what makes somebody look.
    """
    if policy.alerts.ping is None:
        return None
    if delivered and all(each.n_waiting for each in delivered):
        return "not called, since no sink takes what waits for it"
    try:
        return call(policy.alerts.ping.resolve(environ))
    except UsageError as exc:
        return f"not called: {exc}"
