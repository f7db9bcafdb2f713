"""One round of alert state: in the store, or in the spool while the store can't be used.

A round is the same in both: findings update the alerts, what is due by time is told, and events are
queued for every sink. The first round that reaches the store again merges the spool into it.

Most rounds change nothing. They are recognized in one round trip and write nothing, except one a
minute, which proves that the store can be written.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial

import psycopg

from maintenance.alerts.models import (
    Alert,
    AlertUpdate,
    Event,
    FindingSet,
    Identity,
)
from maintenance.alerts.outbox import OpenOutbox, spool_outbox, store_outbox
from maintenance.alerts.routing import route
from maintenance.alerts.sinks import name_of
from maintenance.alerts.spool import PendingEvent, Spool, spool_path
from maintenance.alerts.state import due_events, none_after, update_in_order
from maintenance.alerts.store import (
    forget_old,
    glance,
    keep,
    lock_alerts,
    merge_spool,
    note_processed,
    pending_events,
    prove_room,
    prove_writable,
    standing_alerts,
    unprocessed_runs,
)
from maintenance.engine.findings import FindingKind
from maintenance.engine.target import Target
from maintenance.errors import MaintenanceError, UnreachableError, UsageError
from maintenance.pipeline.reachability import refuse_standby, store_reachability
from maintenance.policy import Policy
from maintenance.server.refusals import DISK_FULL, IO_ERROR, READ_ONLY, TIMEOUT
from maintenance.server.session import Connection, to_error
from maintenance.store import RECENT, migrate

Observe = Callable[[], FindingSet]
FindingSets = Sequence[tuple[datetime, FindingSet | Observe]]
"""Findings with their times. Cheap observations may be functions, which are called under the alert
lock, so that two rounds at once process them in the order of observation."""
Recall = Callable[[Connection], FindingSet]
FromStore = Sequence[tuple[datetime, Recall]]
"""The same of observations that are in the store."""

ROOM_S = 60.0
"""Shortest time between two checks for room on the disk."""
_room_proved_at: dict[str, float] = {}
SEEN = timedelta(minutes=5)
"""How old the newest sighting of an alert in the store may be, while nothing else changes."""

_WRITES = (DISK_FULL, READ_ONLY, IO_ERROR)
"""Reasons that a session on the store does not disprove: only a write does."""
_UNREACHABLE = frozenset({FindingKind.DATABASE_UNREACHABLE})


@dataclass(frozen=True, slots=True)
class RoundState:
    """The alerts after a round.

    Attributes:
        alerts: the open and pending alerts.
        events: the transitions of the round.
        error: why the store could not be used; None if the round was stored there.
        outbox: opens what is to be delivered.
        waiting: the sinks for which something is; None if that is not known.
    """

    alerts: Mapping[Identity, Alert]
    events: tuple[Event, ...]
    outbox: OpenOutbox
    error: MaintenanceError | None = None
    waiting: frozenset[str] | None = None


def spool_of(target: Target) -> Spool:
    """Return the spool of a policy: the same for every process that runs the same file."""
    policy = target.policy
    scope = f"{policy.database.name}\n{policy.path.absolute()}"
    return Spool(spool_path(target.environ).absolute(), scope)


@dataclass
class AlertRound:
    """One round for one policy.

    Attributes:
        now: the time at which alerts become due.
        latest: no observation is later than this; what claims to be, was noted before the clock
            was set back.
        finding_sets: findings of this round, oldest first.
        from_store: observations that read the store; left out where it can't be used.
        proves_room: whether to check that the disk of the store has room, at most once a minute.
    """

    target: Target
    spool: Spool
    now: datetime
    latest: datetime
    finding_sets: FindingSets
    from_store: FromStore = ()
    proves_room: bool = False
    _events: list[Event] = field(default_factory=list[Event])

    @property
    def policy(self) -> Policy:
        """The policy of the database."""
        return self.target.policy

    def run(self) -> RoundState:
        """Process the findings in the store, else in the spool.

        Raises:
            UsageError: an environment variable is missing, or the url is invalid.
            MaintenanceError: others hold the alerts of this policy for too long.
        """
        started_at = time.time()
        with ExitStack() as stack:
            # Connect first: a server that does not answer must not hold up others at the lock.
            store = self._open(stack)
            stack.enter_context(self.spool.locked())
            if isinstance(store, MaintenanceError) and self.spool.state().reached_at > started_at:
                store = self._open(stack)
            if not isinstance(store, MaintenanceError):
                store = self._in_store(store)
            if isinstance(store, MaintenanceError):
                return self._in_spool(store)
            return store

    def _open(self, stack: ExitStack) -> Connection | MaintenanceError:
        try:
            return stack.enter_context(self.target.store(RECENT))
        except UsageError:
            raise
        except MaintenanceError as exc:
            return exc

    # In the store

    def _in_store(self, store: Connection) -> RoundState | MaintenanceError:
        """Run the round in the store; return why that was not possible.

        Raises:
            MaintenanceError: others were at work there; the next round may succeed.
        """
        self._events = []
        try:
            migrate(store)
            alerts, waiting = self._unchanged(store), frozenset[str]()
            if alerts is None:
                alerts, waiting = self._update_store(store)
        except UsageError:
            raise
        except MaintenanceError as exc:
            return _unless_busy(exc)
        except psycopg.Error as exc:
            return _unless_busy(_store_error(store, exc))
        open_store = partial(self.target.store, RECENT)
        opened = store_outbox(open_store, self.policy.database.name, self.spool)
        return RoundState(alerts, tuple(self._events), opened, waiting=waiting)

    def _unchanged(self, store: Connection) -> Mapping[Identity, Alert] | None:
        """Return the alerts if this round would change none and nothing waits; else None."""
        if self._is_room_unproved():
            return None
        sinks = [name_of(sink) for sink in self.policy.alerts.sinks]
        known, waits = glance(store, self.policy.database.name, sinks)
        is_told = not waits and self._outage not in known and self.spool.mirrors(known, [])
        if not is_told or known != none_after(known, self.latest):
            return None
        given = [(at, _seen_now(each)) for at, each in self.finding_sets]
        recalled = [(at, recall(store)) for at, recall in self.from_store]
        found = self._updated(known, [*given, *recalled])
        due = due_events(found.alerts, self.policy.alerts, self.now)
        is_same = not found.events and not due.events and not _changes(known, due.alerts)
        return known if is_same else None

    def _is_room_unproved(self) -> bool:
        proved_at = _room_proved_at.get(self.spool.scope, -ROOM_S)
        return self.proves_room and time.monotonic() - proved_at >= ROOM_S

    @property
    def _outage(self) -> Identity:
        """The alert that the store can't be used."""
        back = store_reachability(self.policy, None)
        return Identity(back.database, FindingKind.DATABASE_UNREACHABLE, back.only or "")

    def _update_store(self, store: Connection) -> tuple[Mapping[Identity, Alert], frozenset[str]]:
        """Process the round; return the alerts, and the sinks for which something waits."""
        name = self.policy.database.name
        with store.transaction():
            lock_alerts(store, name)
            if changes := self.spool.changes():
                merge_spool(store, name, changes)
        self._resolve_outage(store)
        if self._is_room_unproved():
            prove_room(store)
            _room_proved_at[self.spool.scope] = time.monotonic()
        self._process_round(store)
        with store.transaction():
            lock_alerts(store, name)
            known = self._standing(store)
            update = self._routed(due_events(known, self.policy.alerts, self.now), known)
            keep(store, name, update)  # also without events: it must be writable
        self._events += update.events
        forget_old(store, name, self.policy.store.keep.before(self.latest.date()))
        pending = [PendingEvent(*each) for each in pending_events(store, name)]
        self.spool.mirror(update.alerts, pending)
        return update.alerts, frozenset(each.sink for each in pending)

    def _resolve_outage(self, store: Connection) -> None:
        """Resolve the alert that the store can't be used: this session proves that it can."""
        back = store_reachability(self.policy, None)
        alert = standing_alerts(store, back.database).get(self._outage)
        if alert is None:
            return
        if alert.value in _WRITES:
            prove_writable(store, back.database)
            prove_room(store)
        self._process(store, [(max(self.now, alert.seen_at or self.now), back)])

    def _process_round(self, store: Connection) -> None:
        """Process finished runs, each run once, then the given findings, in one transaction."""
        name = self.policy.database.name
        with store.transaction():
            lock_alerts(store, name)
            runs = unprocessed_runs(store, name)
            self._process(
                store,
                [
                    *((run.ended_at, run.finding_set) for run in runs),
                    *((moment, _seen_now(given)) for moment, given in self.finding_sets),
                    *((moment, recall(store)) for moment, recall in self.from_store),
                ],
            )
            note_processed(store, [run.id for run in runs])

    def _process(
        self, store: Connection, observations: Sequence[tuple[datetime, FindingSet]]
    ) -> None:
        """Update the alerts and queue the events in one transaction."""
        name = self.policy.database.name
        with store.transaction():
            lock_alerts(store, name)
            known = self._standing(store)
            update = self._routed(self._updated(known, observations), known)
            keep(store, name, update)
        self._events += update.events

    def _updated(
        self, known: Mapping[Identity, Alert], observations: Sequence[tuple[datetime, FindingSet]]
    ) -> AlertUpdate:
        if self.policy.store.url is None:
            observations = [(at, _without_disproved(each)) for at, each in observations]
        return update_in_order(known, observations, self.policy.alerts)

    def _standing(self, store: Connection) -> dict[Identity, Alert]:
        return none_after(standing_alerts(store, self.policy.database.name), self.latest)

    # In the spool

    def _in_spool(self, error: MaintenanceError) -> RoundState:
        outage = store_reachability(self.policy, error)
        sets = [(self.now, outage), *((m, _seen(given)) for m, given in self.finding_sets)]
        known = none_after(self.spool.standing(), self.latest)
        observations: list[tuple[datetime, FindingSet]] = []
        for number, (moment, finding_set) in enumerate(sets):
            if finding_set is None:
                continue
            is_wrong = number > 0 and finding_set.only in (None, outage.only)
            kinds = finding_set.kinds - _UNREACHABLE if is_wrong else finding_set.kinds
            observations.append((moment, replace(finding_set, kinds=kinds)))
        found = self._routed(update_in_order(known, observations, self.policy.alerts), known)
        due = due_events(found.alerts, self.policy.alerts, self.now)
        last = self._routed(due, found.alerts)
        routed = [*found.routed, *last.routed]
        self.spool.keep(last.alerts, routed, self.now)
        events = tuple(event for event, _ in routed)
        return RoundState(last.alerts, events, spool_outbox(self.spool), error)

    def _routed(self, update: AlertUpdate, known: Mapping[Identity, Alert]) -> AlertUpdate:
        settings = self.policy.alerts
        sinks = [(name_of(sink), sink) for sink in settings.sinks]
        return route(update, known, sinks, has_quiet_hours=bool(settings.quiet))


def now_utc() -> datetime:
    """Return the current time."""
    return datetime.now(UTC)


def _changes(known: Mapping[Identity, Alert], alerts: Mapping[Identity, Alert]) -> bool:
    """Whether alerts differ; one that was merely seen again does after a while."""
    return known.keys() != alerts.keys() or any(
        replace(after, seen_at=known[identity].seen_at) != known[identity]
        or _was_seen_long_after(known[identity].seen_at, after.seen_at)
        for identity, after in alerts.items()
    )


def _was_seen_long_after(before: datetime | None, after: datetime | None) -> bool:
    return after is not None and (before is None or after - before > SEEN)


def _seen_now(given: FindingSet | Observe) -> FindingSet:
    return given if isinstance(given, FindingSet) else given()


def _seen(given: FindingSet | Observe) -> FindingSet | None:
    """Return an observation; None if it can't be made without the store."""
    if isinstance(given, FindingSet):
        return given
    try:
        return given()
    except UsageError:
        raise
    except MaintenanceError:
        return None


def _without_disproved(finding_set: FindingSet) -> FindingSet:
    """Leave out that the database can't be reached: the store is in it, and was reached later."""
    left = [
        finding
        for finding in finding_set.findings
        if finding.kind is not FindingKind.DATABASE_UNREACHABLE or finding.value in _WRITES
    ]
    return replace(finding_set, findings=left)


def _unless_busy(error: MaintenanceError) -> MaintenanceError:
    if error.retryable:
        raise error  # a lock or a deadlock: no outage
    return error


def _store_error(store: Connection, exc: psycopg.Error) -> MaintenanceError:
    """Return why the store refused; a standby refuses every write."""
    error = to_error(exc, "updating alerts in the store")
    if isinstance(exc, psycopg.errors.QueryCanceled):
        # A minute for one small statement: the server hangs.
        return UnreachableError(str(error), reason=TIMEOUT)
    if error.reason != READ_ONLY:
        return error
    try:
        refuse_standby(store)
    except MaintenanceError as standby:
        return standby
    except psycopg.Error:
        return error
    return error
