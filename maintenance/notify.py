"""One round of alerts: what was found is judged, kept, and told to every sink.

What is judged comes from a look of its own, or from what runs have left in the store.
"""

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from maintenance import maintain
from maintenance.alerts.delivery import Delivered, Round, Target, deliver
from maintenance.alerts.machine import judge
from maintenance.alerts.messages import Links
from maintenance.alerts.models import Alert, Event, Sight
from maintenance.alerts.records import (
    forget_old,
    keep,
    lock_alerts,
    note_judged,
    standing_alerts,
    tend,
    unjudged,
)
from maintenance.alerts.sinks import name_of, sender_of
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.errors import UnreachableError, UsageError
from maintenance.policy import Policy
from maintenance.server.session import Connection
from maintenance.sessions import on_store
from maintenance.store import migrate

BUDGET_S = 10.0
"""How long one round of delivery may take."""


@dataclass(frozen=True, slots=True)
class RoundReport:
    """What a round judged and told.

    Attributes:
        events: what has changed with this round.
        alerts: those that stand now.
        delivered: what came of each sink.
    """

    database: str
    now: datetime
    events: tuple[Event, ...]
    alerts: tuple[Alert, ...]
    delivered: tuple[Delivered, ...]

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
        UsageError, UnreachableError, MaintenanceError: as `maintain.plan`; a store that can't be
            made too.
    """
    moment = now or datetime.now(UTC)
    return tell(policy, [(moment, _look(policy, environ, moment))], environ=environ)


def tell(
    policy: Policy,
    sights: Sequence[tuple[datetime, Sight]],
    *,
    environ: Mapping[str, str] = os.environ,
    patient: bool = False,
) -> RoundReport:
    """Judge what runs found since the last round, then these sights in their order; deliver.

    Args:
        policy: whose alerts.
        sights: looks with their moments.
        environ: where `{env: …}` references of the policy are resolved.
        patient: leave alone a sink that is resting after tries in vain.

    Raises:
        UsageError, UnreachableError, MaintenanceError: the store can't be reached or made.
    """
    targets = _targets(policy, environ)
    events: list[Event] = []
    with on_store(policy, environ) as store:
        migrate(store)
        events += _judge_runs(store, policy)
        for moment, sight in sights:
            events += _judge(store, policy, sight, moment)
        oldest = policy.store.keep.before(datetime.now(UTC).date())
        forget_old(store, policy.database.name, oldest)
    _ping(policy, environ)
    opened = partial(on_store, policy, environ)
    round_ = Round(opened, policy.database.name, links(policy), BUDGET_S, patient)
    delivered = deliver(round_, targets)
    with on_store(policy, environ) as store:
        alerts = standing_alerts(store, policy.database.name)
    moment = sights[-1][0] if sights else datetime.now(UTC)
    name = policy.database.name
    return RoundReport(name, moment, tuple(events), tuple(alerts.values()), tuple(delivered))


def standing(policy: Policy, *, environ: Mapping[str, str] = os.environ) -> list[Alert]:
    """Return the alerts of a database that stand or wait, without a look at it.

    Raises:
        UsageError, UnreachableError, MaintenanceError: the store can't be reached or made.
    """
    with on_store(policy, environ) as store:
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
    with on_store(policy, environ) as store:
        tend(store, asked, column, until)


def links(policy: Policy) -> Links:
    """Return what finds the page to read on about a kind of finding."""

    def of(database: str, kind: FindingKind) -> Mapping[str, str]:
        del database
        return {"runbook": policy.alerts.runbook.replace("{kind}", kind.value)}

    return of


def _look(policy: Policy, environ: Mapping[str, str], now: datetime) -> Sight:
    """Look at the database; that nobody can see it is a finding too."""
    name = policy.database.name
    try:
        report = maintain.plan(policy, environ=environ, now=now)
    except UnreachableError as exc:
        message = f"{name}: nothing can be seen: {exc} ({exc.hint})"
        blind = Finding(FindingKind.MONITOR_BLIND, Severity.ERROR, name, message)
        return Sight(name, [blind], frozenset())
    return Sight(name, report.findings, report.kinds)


def _judge_runs(store: Connection, policy: Policy) -> list[Event]:
    """Judge the findings that runs have left, each run once."""
    events: list[Event] = []
    with store.transaction():
        lock_alerts(store, policy.database.name)
        runs = unjudged(store, policy.database.name)
        for run in runs:
            events += _judge(store, policy, run.sight, run.ended_at)
        note_judged(store, [run.id for run in runs])
    return events


def _judge(store: Connection, policy: Policy, sight: Sight, now: datetime) -> tuple[Event, ...]:
    """Judge a sight in one transaction: what is kept and what is to be told belong together."""
    sinks = [name_of(sink) for sink in policy.alerts.sinks]
    with store.transaction():
        lock_alerts(store, sight.database)
        known = standing_alerts(store, sight.database)
        judgement = judge(known, sight, policy.alerts, now)
        keep(store, sight.database, judgement, sinks)
    return judgement.events


def _targets(policy: Policy, environ: Mapping[str, str]) -> list[Target]:
    named = {name_of(sink): sink for sink in policy.alerts.sinks}
    return [Target(name, sender_of(sink, policy, environ)) for name, sink in named.items()]


def _ping(policy: Policy, environ: Mapping[str, str]) -> None:
    """Tell the dead man's switch that we live; it waits for nobody and fails nothing."""
    if policy.alerts.ping is not None:
        url = policy.alerts.ping.resolve(environ)
        threading.Thread(target=_call, args=(url,), daemon=True).start()


def _call(url: str) -> None:
    import requests  # noqa: PLC0415 - a third of a second, needed only where one is named

    try:
        requests.get(url, timeout=BUDGET_S / 2)
    except requests.RequestException:
        return  # whoever misses the call raises the alarm: that is what it is for
