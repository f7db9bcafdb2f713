"""One round of alerts: process findings, update the alerts, deliver to every sink.

The findings come from an observation of its own, or from the runs in the store.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
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
from maintenance.pipeline.alert_round import (
    AlertRound,
    FindingSets,
    FromStore,
    now_utc,
    spool_of,
)
from maintenance.pipeline.at_work import objects_at_work
from maintenance.pipeline.reachability import probe, reachability, standby_error
from maintenance.policy import Policy
from maintenance.policy.alerts import LogSink, Sink
from maintenance.server.poolers import SHARED_POOL
from maintenance.server.session import TOO_OLD
from maintenance.store import migrate

__all__ = ["FindingSets", "RoundReport", "notify", "run_round", "standing", "tend_alert"]

BUDGET_S = 10.0
"""Time limit of one round of delivery."""
_SETUP_ERRORS = (ForeignStoreError, PrivilegeError)
_SETUP_REASONS = (SHARED_POOL, TOO_OLD)
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


def notify(on: Policy | Target, *, now: datetime | None = None) -> RoundReport:
    """Observe the database, process its findings, and deliver pending events to every sink.

    Events for a sink that is down stay pending; the next round retries them. While the store can't
    be used, the spool holds the state.

    Raises:
        UsageError, MaintenanceError: as `pipeline.plan`; or the store can't be created.
        UnreachableError: neither store nor spool can be written. What could be delivered was, but
            this process was the last to know.
    """
    target, moment = Target.of(on), now or now_utc()
    looks = [(moment, each) for each in _look(target, moment)]
    report = run_round(target, looks, now=now, proves_room=True)
    if report.store_error is not None and spool_of(target).is_in_memory:
        raise UnreachableError(
            f"alerts of {report.database} were delivered, but could not be kept:"
            f" {report.store_error}; {'; '.join(report.notices)}",
            hint="make the folder of the spool writable; until then each call may deliver again",
        )
    return report


def run_round(
    on: Policy | Target,
    finding_sets: FindingSets,
    *,
    from_store: FromStore = (),
    patient: bool = False,
    ping: bool = True,
    now: datetime | None = None,
    proves_room: bool = False,
) -> RoundReport:
    """Process the findings of runs since the last round, then the given ones; deliver.

    Args:
        on: the database: its policy, or a target that has variables of its own.
        finding_sets: findings with their times, oldest first.
        from_store: the same, by functions of a session on the store; left out while it can't be
            used.
        patient: skip a sink that is backing off after failed attempts.
        ping: call the dead man's switch once the state is stored and a sink has nothing pending.
        now: the current time, aware; the clock's, or that of the newest finding set, if None.
        proves_room: check that the store can be written and that its disk has room, at most once
            a minute.

    Raises:
        UsageError: an environment variable is missing, or a url is invalid.
        ForeignStoreError, PrivilegeError: the store is another role's, or can't be created; what
            is known was delivered by the spool.
        MaintenanceError: another process holds the alerts of this policy for too long.
    """
    moments = [moment for moment, _ in (*finding_sets, *from_store)]
    target = Target.of(on)
    policy, spool = target.policy, spool_of(target)
    state = AlertRound(
        target,
        spool,
        now or max(moments, default=now_utc()),
        now or max((now_utc(), *moments)),
        finding_sets,
        from_store,
        proves_room,
    ).run()
    pending = Round(
        state.outbox, links(policy), BUDGET_S, patient, policy.alerts.quiet, state.waiting
    )
    delivered = deliver(pending, _sinks(target))
    if state.error is not None and _is_of_setup(state.error):
        raise state.error
    is_kept = state.error is None or _reaches_people(policy, spool)
    return RoundReport(
        policy.database.name,
        now or max(moments, default=now_utc()),
        state.events,
        tuple(state.alerts.values()),
        tuple(delivered),
        _ping(target, delivered, is_kept=is_kept) if ping else None,
        None if state.error is None else str(state.error),
        tuple(spool.notices),
    )


def standing(on: Policy | Target) -> tuple[list[Alert], str | None]:
    """Return the open and pending alerts of a database, without observing it.

    Returns:
        The alerts, and why they are those of the spool; None if they are those of the store.

    Raises:
        UsageError, ForeignStoreError, PrivilegeError: the store can't be used before a change of
            the setup.
    """
    target = Target.of(on)
    try:
        with target.store() as store:
            migrate(store)
            return list(standing_alerts(store, target.policy.database.name).values()), None
    except UsageError:
        raise
    except MaintenanceError as exc:
        if _is_of_setup(exc):
            raise
        return list(spool_of(target).standing().values()), str(exc)


def tend_alert(
    on: Policy | Target, kind: str, object_: str, column: str, until: datetime | None
) -> None:
    """Acknowledge or mute an open alert; in the spool while the store can't be used.

    Raises:
        UsageError: no such alert is open.
        MaintenanceError: the store can't be used before a change of the setup, or neither store
            nor spool can be written.
    """
    target = Target.of(on)
    alerts, store_error = standing(target)
    known = {alert.identity for alert in alerts}
    asked = next((i for i in known if (i.kind.value, i.object) == (kind, object_)), None)
    if asked is None:
        listed = ", ".join(f"{i.kind} {i.object}" for i in sorted(known)) or "none"
        raise UsageError(f"no open alert {kind} {object_}", hint=f"open alerts: {listed}")
    try:
        if store_error is None:
            with target.store() as store:
                tend(store, asked, column, until)
            return
    except UsageError:
        raise
    except MaintenanceError as exc:
        if _is_of_setup(exc):
            raise
        store_error = str(exc)
    _tend_in_spool(spool_of(target), asked, column, until, store_error)


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


def _look(target: Target, now: datetime) -> list[FindingSet]:
    """Observe the database; if that fails, return findings that say so."""
    policy = target.policy
    name, began = policy.database.name, time.monotonic()
    try:
        report = pipeline.plan(target, now=now)
    except UsageError:
        raise
    except MaintenanceError as exc:
        reached = probe(target)
        if reached.findings:
            return [reached]
        message = f"{name}: not observed: {exc.with_hint}"
        blind = Finding(FindingKind.MONITOR_BLIND, Severity.ERROR, name, message)
        return [reached, FindingSet(name, [blind], frozenset())]
    at_work = _at_work(target, report, time.monotonic() - began)
    seen = FindingSet(
        name, report.findings, report.kinds, subjects=report.subjects, at_work=at_work
    )
    return [reachability(policy, _standby(report)), seen]


def _at_work(target: Target, report: pipeline.Report, look_s: float) -> frozenset[str]:
    """Return what a run is changing; nothing where that can't be read."""
    if report.snapshot is None:
        return frozenset()
    with suppress(MaintenanceError):
        return objects_at_work(target, report.snapshot, look_s)
    return frozenset()


def _standby(report: pipeline.Report) -> MaintenanceError | None:
    is_standby = report.snapshot is not None and report.snapshot.server.in_recovery
    return standby_error() if is_standby else None


def _is_of_setup(error: MaintenanceError) -> bool:
    return isinstance(error, _SETUP_ERRORS) or error.reason in _SETUP_REASONS


def _reaches_people(policy: Policy, spool: Spool) -> bool:
    """Whether an outage is told by more than a log, and will be remembered."""
    is_heard = any(not isinstance(sink, LogSink) for sink in policy.alerts.sinks)
    return is_heard and not spool.is_in_memory


def _sinks(target: Target) -> list[OpenSink]:
    named = {name_of(sink): sink for sink in target.policy.alerts.sinks}
    return [OpenSink(name, _sender(sink, target)) for name, sink in named.items()]


def _sender(sink: Sink, target: Target) -> Send:
    """Return a sink's send function; if its URL is invalid, one that fails with the reason."""
    try:
        return sender_of(sink, target)
    except UsageError as exc:
        problem = SinkError(exc.with_hint)

    def refuse(message: Message, timeout_s: float) -> str:
        del message, timeout_s
        raise problem

    return refuse


def _ping(target: Target, delivered: Sequence[Delivered], *, is_kept: bool) -> str | None:
    """Call the dead man's switch, unless no sink accepts its pending events.

    In that case, and where an outage would go unnoticed, the missing call raises the alarm.
    """
    ping = target.policy.alerts.ping
    if ping is None:
        return None
    if not is_kept:
        return "not called: the store can't be used"
    if delivered and all(each.n_pending for each in delivered):
        return "not called: no sink accepts its pending events"
    try:
        return call(target.resolve(ping))
    except UsageError as exc:
        return f"not called: {exc}"
