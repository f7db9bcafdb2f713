"""One round of alerts: process findings, update the alerts, deliver to every sink.

The findings come from an observation of its own, or from the runs in the store.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from maintenance.alerts.delivery import Delivered, OpenSink, Round, deliver
from maintenance.alerts.heartbeat import call
from maintenance.alerts.messages import Message
from maintenance.alerts.models import Alert, Event, FindingSet, Identity
from maintenance.alerts.sinks import Send, SinkError, name_of, sender_of
from maintenance.alerts.spool import Spool
from maintenance.alerts.store import standing_alerts, tend
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.target import Target
from maintenance.errors import (
    ForeignStoreError,
    MaintenanceError,
    PrivilegeError,
    UnreachableError,
    UsageError,
)
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.alert_links import links
from maintenance.pipeline.alert_round import AlertRound, FindingSets, now_utc, spool_of
from maintenance.pipeline.reachability import STANDBY, probe, reachability
from maintenance.policy import Policy
from maintenance.policy.alerts import LogSink, Sink
from maintenance.store import migrate

__all__ = ["FindingSets", "RoundReport", "notify", "standing", "tell", "tend_alert"]

BUDGET_S = 10.0
"""Time limit of one round of delivery."""
_SETUP = (ForeignStoreError, PrivilegeError)
"""Errors of the store that only a change of the setup ends: delivered, and then raised."""


@dataclass(frozen=True, slots=True)
class RoundReport:
    """The result of a round.

    Attributes:
        events: the transitions of this round.
        alerts: the open alerts.
        delivered: the result of each sink.
        heartbeat_error: why the dead man's switch was not called or did not respond; None if it
            was called, or if there is none.
        store_error: why the store could not be used, so that the spool was; None if it could.
        notices: what the operator should know of the spool, said once by each process.
    """

    database: str
    now: datetime
    events: tuple[Event, ...]
    alerts: tuple[Alert, ...]
    delivered: tuple[Delivered, ...]
    heartbeat_error: str | None = None
    store_error: str | None = None
    notices: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Always true: a round is complete once its state is stored, even if a sink is down."""
        return True


def notify(
    policy: Policy, *, environ: Mapping[str, str] = os.environ, now: datetime | None = None
) -> RoundReport:
    """Observe the database, process its findings, and deliver pending events to every sink.

    Events for a sink that is down stay pending; the next round retries them. While the store can't
    be used, the spool holds the state.

    Raises:
        UsageError, MaintenanceError: as `pipeline.plan`; or the store can't be created.
        UnreachableError: neither store nor spool can be written. What could be delivered was, but
            this process was the last to know.
    """
    moment = now or now_utc()
    looks = [(moment, each) for each in _look(policy, environ, moment)]
    report = tell(policy, looks, environ=environ, now=now, proves_room=True)
    if report.store_error is not None and spool_of(policy, environ).is_in_memory:
        raise UnreachableError(
            f"alerts of {report.database} were delivered, but could not be kept:"
            f" {report.store_error}; {'; '.join(report.notices)}",
            hint="make the folder of the spool writable; until then each call may deliver again",
        )
    return report


def tell(
    policy: Policy,
    finding_sets: FindingSets,
    *,
    from_store: FindingSets = (),
    environ: Mapping[str, str] = os.environ,
    patient: bool = False,
    ping: bool = True,
    now: datetime | None = None,
    proves_room: bool = False,
) -> RoundReport:
    """Process the findings of runs since the last round, then the given ones; deliver.

    Args:
        policy: the policy of the database.
        finding_sets: findings with their times, oldest first.
        from_store: the same, by functions that read the store; left out while it can't be used.
        environ: where `{env: …}` references of the policy are resolved.
        patient: skip a sink that is backing off after failed attempts.
        ping: call the dead man's switch once the state is stored and a sink has nothing pending.
        now: the current time, aware; the clock's, or that of the newest finding set, if None.
        proves_room: check that the disk of the store has room, at most once a minute.

    Raises:
        UsageError: an environment variable is missing, or a url is invalid.
        ForeignStoreError, PrivilegeError: the store is another role's, or can't be created; what
            is known was delivered by the spool.
        MaintenanceError: another process holds the alerts of this policy for too long.
    """
    moments = [moment for moment, _ in (*finding_sets, *from_store)]
    targets = _targets(policy, environ)
    spool = spool_of(policy, environ)
    state = AlertRound(
        policy,
        environ,
        spool,
        now or max(moments, default=now_utc()),
        now or max((now_utc(), *moments)),
        finding_sets,
        from_store,
        proves_room,
    ).run()
    quiet = policy.alerts.quiet
    delivered = deliver(Round(state.outbox, links(policy), BUDGET_S, patient, quiet), targets)
    if isinstance(state.error, _SETUP):
        raise state.error
    is_kept = state.error is None or _reaches_people(policy, spool)
    return RoundReport(
        policy.database.name,
        now or max(moments, default=now_utc()),
        state.events,
        tuple(state.alerts.values()),
        tuple(delivered),
        _ping(policy, environ, delivered, is_kept=is_kept) if ping else None,
        None if state.error is None else str(state.error),
        tuple(spool.notices),
    )


def standing(
    policy: Policy, *, environ: Mapping[str, str] = os.environ
) -> tuple[list[Alert], str | None]:
    """Return the open and pending alerts of a database, without observing it.

    Returns:
        The alerts, and why they are those of the spool; None if they are those of the store.

    Raises:
        UsageError, ForeignStoreError, PrivilegeError: the store can't be used before a change of
            the setup.
    """
    try:
        with Target(policy, environ).store() as store:
            migrate(store)
            return list(standing_alerts(store, policy.database.name).values()), None
    except (UsageError, *_SETUP):
        raise
    except MaintenanceError as exc:
        return list(spool_of(policy, environ).standing().values()), str(exc)


def tend_alert(
    policy: Policy,
    kind: str,
    object_: str,
    column: str,
    until: datetime | None,
    *,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Acknowledge or mute an open alert; in the spool while the store can't be used.

    Raises:
        UsageError: no such alert is open.
        MaintenanceError: the store can't be used before a change of the setup, or neither store
            nor spool can be written.
    """
    alerts, store_error = standing(policy, environ=environ)
    known = {alert.identity for alert in alerts}
    asked = next((i for i in known if (i.kind.value, i.object) == (kind, object_)), None)
    if asked is None:
        listed = ", ".join(f"{i.kind} {i.object}" for i in sorted(known)) or "none"
        raise UsageError(f"no open alert {kind} {object_}", hint=f"open alerts: {listed}")
    try:
        if store_error is None:
            with Target(policy, environ).store() as store:
                tend(store, asked, column, until)
            return
    except (UsageError, *_SETUP):
        raise
    except MaintenanceError as exc:
        store_error = str(exc)
    _tend_in_spool(spool_of(policy, environ), asked, column, until, store_error)


def _tend_in_spool(
    spool: Spool, asked: Identity, column: str, until: datetime | None, store_error: str
) -> None:
    with spool.locked():
        is_there = spool.tend(asked, column, until)
    if not is_there or spool.is_in_memory:
        raise UnreachableError(
            f"{asked.kind} {asked.object}: neither store nor spool can be written: {store_error}",
            hint="try again once the store can be used",
        )


def _look(policy: Policy, environ: Mapping[str, str], now: datetime) -> list[FindingSet]:
    """Observe the database; if that fails, return findings that say so."""
    name = policy.database.name
    try:
        report = pipeline.plan(policy, environ=environ, now=now)
    except UsageError:
        raise
    except MaintenanceError as exc:
        reached = probe(policy, environ)
        if reached.findings:
            return [reached]
        hint = f" ({exc.hint})" if exc.hint else ""
        message = f"{name}: not observed: {exc}{hint}"
        blind = Finding(FindingKind.MONITOR_BLIND, Severity.ERROR, name, message)
        return [reached, FindingSet(name, [blind], frozenset())]
    seen = FindingSet(name, report.findings, report.kinds, subjects=report.subjects)
    return [reachability(policy, _standby(report)), seen]


def _standby(report: pipeline.Report) -> MaintenanceError | None:
    if report.snapshot is None or not report.snapshot.server.in_recovery:
        return None
    return UnreachableError(
        "the server is a standby, wanted the primary",
        hint="set database.url to the primary; list standbys under database.replicas",
        reason=STANDBY,
    )


def _reaches_people(policy: Policy, spool: Spool) -> bool:
    """Whether an outage is told by more than a log, and will be remembered."""
    is_heard = any(not isinstance(sink, LogSink) for sink in policy.alerts.sinks)
    return is_heard and not spool.is_in_memory


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


def _ping(
    policy: Policy, environ: Mapping[str, str], delivered: Sequence[Delivered], *, is_kept: bool
) -> str | None:
    """Call the dead man's switch, unless no sink accepts its pending events.

    In that case, and where an outage would be noticed by nobody, the missing call raises the alarm.
    """
    if policy.alerts.ping is None:
        return None
    if not is_kept:
        return "not called: the store can't be used"
    if delivered and all(each.n_waiting for each in delivered):
        return "not called: no sink accepts its pending events"
    try:
        return call(policy.alerts.ping.resolve(environ))
    except UsageError as exc:
        return f"not called: {exc}"
