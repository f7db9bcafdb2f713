"""The spool: alerts and pending deliveries of a policy in a file outside the store.

While the store can be used, the file mirrors it. While it can't, rounds work on the file, and what
they change is marked until it is merged into the store. One file serves all policies of a host.
"""

import fcntl
import hashlib
import json
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from maintenance.alerts.merge import SpoolChanges, SpooledDelivery, SpooledEvent
from maintenance.alerts.messages import event_key
from maintenance.alerts.models import (
    Alert,
    Event,
    Identity,
    PendingDelivery,
    Route,
    RoutedEvent,
    Transition,
)
from maintenance.engine.findings import FindingKind, Severity
from maintenance.errors import MaintenanceError

LOCK_LIMIT_S = 30.0
"""Longest wait for another process that works on the alerts of the same policy."""
BUSY_S = 10.0
"""Longest wait for a transaction of another process."""
_POLL_S = 0.02
_VERSION = 1
_TABLES = f"""
CREATE TABLE scope (
  name TEXT PRIMARY KEY, is_away INTEGER NOT NULL, reached_at REAL NOT NULL, digest TEXT NOT NULL);
CREATE TABLE alert (
  scope TEXT NOT NULL, kind TEXT NOT NULL, object TEXT NOT NULL, document TEXT, gone_at TEXT,
  is_new INTEGER NOT NULL, PRIMARY KEY (scope, kind, object));
CREATE TABLE event (
  id INTEGER PRIMARY KEY AUTOINCREMENT, scope TEXT NOT NULL, key TEXT NOT NULL,
  turn TEXT NOT NULL, happened_at TEXT NOT NULL, document TEXT NOT NULL, is_new INTEGER NOT NULL,
  UNIQUE (scope, key));
CREATE TABLE delivery (
  event_id INTEGER NOT NULL REFERENCES event ON DELETE CASCADE, sink TEXT NOT NULL,
  attempts INTEGER NOT NULL, tried_at TEXT, ended_at TEXT, error TEXT, turn TEXT, severity TEXT,
  can_wait INTEGER NOT NULL, is_new INTEGER NOT NULL,
  PRIMARY KEY (event_id, sink));
PRAGMA user_version = {_VERSION};
"""
_MOMENTS = (
    *("since", "severity_since", "notified_at", "acknowledged_until", "muted_until"),
    *("escalated_at", "seen_at"),
)
_PLAIN = tuple(f.name for f in fields(Alert) if f.name not in (*_MOMENTS, "identity"))

_NOTE_ENDED = """
UPDATE delivery SET attempts = ?, tried_at = ?, ended_at = ?, error = ?, is_new = 1
WHERE sink = ? AND event_id = (SELECT id FROM event WHERE scope = ? AND key = ?)
"""
_KNOWN_KINDS = frozenset(kind.value for kind in FindingKind)
"""The file may hold kinds of another version of this software."""

T = TypeVar("T")

_LOG = logging.getLogger("maintenance.alerts")


class PendingEvent(NamedTuple):
    """An event of the store that a sink has not received yet."""

    sink: str
    waiting: PendingDelivery


class SpoolState(NamedTuple):
    """Whether the spool has taken over.

    Attributes:
        is_away: the store can't be used; the spool decides.
        reached_at: when the store was last used, in seconds since 1970.
    """

    is_away: bool = False
    reached_at: float = 0.0


def spool_path(environ: Mapping[str, str]) -> Path:
    """Return the file: below DAGSTER_HOME, else in the state folder of the user (XDG)."""
    if home := environ.get("DAGSTER_HOME"):
        return Path(home) / "maintenance" / "alerts.db"
    state = environ.get("XDG_STATE_HOME") or Path(environ.get("HOME") or "~").expanduser() / (
        ".local/state"
    )
    return Path(state) / "maintenance" / "alerts.db"


@dataclass
class _Memory:
    """Spools of this process whose file can't be written."""

    connection: sqlite3.Connection
    lock: threading.RLock = field(default_factory=threading.RLock)


_memories: dict[Path, _Memory] = {}
_memories_lock = threading.Lock()
_said: dict[Path, set[str]] = {}


@dataclass
class Spool:
    """The alerts of one policy in the spool.

    Attributes:
        path: the file.
        scope: what the alerts belong to: a policy's database.
        notices: what the operator should know of the file, each said once by this process.
    """

    path: Path
    scope: str
    notices: list[str] = field(default_factory=list[str])

    @property
    def is_in_memory(self) -> bool:
        """Whether nothing of it will survive this process."""
        return self.path in _memories

    # Locks

    @contextmanager
    def locked(self) -> Generator[None]:
        """Keep other processes of this host from working on the alerts of this policy.

        Raises:
            MaintenanceError: another one does so for too long.
        """
        with self._held("", LOCK_LIMIT_S) as is_held:
            if not is_held:
                raise MaintenanceError(
                    f"alerts of {self.scope.splitlines()[0]}: another process has been working on"
                    f" them for {LOCK_LIMIT_S:.0f} seconds",
                    hint="the next round tries again",
                    retryable=True,
                )
            yield

    @contextmanager
    def delivering(self, sink: str) -> Generator[bool]:
        """Allow one deliverer per sink on this host; yield whether that is us."""
        with self._held(f"\n{sink}", 0.0) as is_held:
            yield is_held

    @contextmanager
    def _held(self, what: str, limit_s: float) -> Generator[bool]:
        name = hashlib.sha256(f"{self.scope}{what}".encode()).hexdigest()[:16]
        try:
            self._make_folder()
            path = self.path.with_name(f"alerts.{name}.lock")
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            with _thread_lock(f"{self.path}{name}", limit_s) as is_held:
                yield is_held
            return
        try:
            yield _flock(descriptor, limit_s)
        finally:
            os.close(descriptor)  # which gives the lock back

    # State

    def state(self) -> SpoolState:
        """Return whether the spool has taken over."""

        def read(db: sqlite3.Connection) -> SpoolState:
            row = db.execute(
                "SELECT is_away, reached_at FROM scope WHERE name = ?", (self.scope,)
            ).fetchone()
            return SpoolState(bool(row[0]), float(row[1])) if row else SpoolState()

        return self._run(read)

    def standing(self) -> dict[Identity, Alert]:
        """Return the open and pending alerts."""

        def read(db: sqlite3.Connection) -> dict[Identity, Alert]:
            rows = db.execute(
                "SELECT document, kind FROM alert WHERE scope = ? AND document IS NOT NULL"
                " ORDER BY kind, object",
                (self.scope,),
            )
            alerts = (_alert(json.loads(r[0])) for r in rows if r[1] in _KNOWN_KINDS)
            return {alert.identity: alert for alert in alerts}

        return self._run(read)

    def keep(
        self,
        alerts: Mapping[Identity, Alert],
        events: Sequence[RoutedEvent],
        now: datetime,
    ) -> None:
        """Take over, replace the alerts, and queue routed events, in one transaction."""
        known = self.standing()

        def write(db: sqlite3.Connection) -> None:
            self._note_scope(db, is_away=True)
            for identity in known.keys() - alerts.keys():
                self._put(db, identity, None, now)
            for identity, alert in alerts.items():
                if known.get(identity) != alert:
                    self._put(db, identity, alert, now)
            for event, routes in events:
                self._queue(db, event, routes)

        self._run(write)

    def tend(self, identity: Identity, column: str, until: datetime | None) -> bool:
        """Acknowledge or mute an alert, as `store.tend`; return whether it exists."""
        alert = self.standing().get(identity)
        if alert is None:
            return False
        changes: dict[str, Any] = {column: until}
        tended = replace(alert, **changes)

        def write(db: sqlite3.Connection) -> None:
            self._note_scope(db, is_away=True)
            self._put(db, identity, tended, None)

        self._run(write)
        return True

    # Delivery

    def pending_deliveries(self, sink: str) -> list[PendingDelivery]:
        """Return the events that a sink has not received yet, in order."""

        def read(db: sqlite3.Connection) -> list[PendingDelivery]:
            rows = db.execute(
                "SELECT e.id, e.turn, e.happened_at, e.document, d.attempts, d.tried_at,"
                " d.turn, d.severity, d.can_wait"
                " FROM delivery AS d JOIN event AS e ON e.id = d.event_id"
                " WHERE e.scope = ? AND d.sink = ? AND d.ended_at IS NULL ORDER BY e.id",
                (self.scope, sink),
            )
            return [
                PendingDelivery(r[0], _event(r[1:4]), r[4], _moment(r[5]), *_view(r[6:9]))
                for r in rows
                if json.loads(r[3])["kind"] in _KNOWN_KINDS
            ]

        return self._run(read)

    def note_tried(
        self, sink: str, events: Iterable[Event], error: str | None, *, ended: bool
    ) -> None:
        """Note a try to deliver events; `ended` if the sink has taken them or refused for good."""
        now = datetime.now(UTC).isoformat()
        keys = [
            (now, now if ended else None, error, sink, self.scope, event_key(e)) for e in events
        ]

        def write(db: sqlite3.Connection) -> None:
            db.executemany(
                "UPDATE delivery SET attempts = attempts + 1, tried_at = ?, ended_at = ?,"
                " error = ?, is_new = 1 WHERE sink = ? AND ended_at IS NULL"
                " AND event_id = (SELECT id FROM event WHERE scope = ? AND key = ?)",
                keys,
            )

        self._run(write)

    # The way back

    def changes(self) -> SpoolChanges:
        """Return what the store does not know yet."""

        def read(db: sqlite3.Connection) -> SpoolChanges:
            alerts: dict[Identity, Alert] = {}
            gone: dict[Identity, datetime] = {}
            for kind, name, document, gone_at in db.execute(
                "SELECT kind, object, document, gone_at FROM alert WHERE scope = ? AND is_new",
                (self.scope,),
            ):
                if kind not in _KNOWN_KINDS:
                    continue
                if document is None:
                    database = self.scope.splitlines()[0]
                    gone[Identity(database, FindingKind(kind), name)] = _known(gone_at)
                else:
                    alert = _alert(json.loads(document))
                    alerts[alert.identity] = alert
            return SpoolChanges(alerts, gone, tuple(self._new_events(db)))

        return self._run(read)

    def mirror(self, alerts: Mapping[Identity, Alert], pending: Sequence[PendingEvent]) -> None:
        """Replace all by what the store has; nothing is written if that is known already."""
        digest = _digest(alerts, pending)

        def write(db: sqlite3.Connection) -> None:
            delivered = self._delivered(db)
            db.execute("DELETE FROM alert WHERE scope = ?", (self.scope,))
            db.execute("DELETE FROM event WHERE scope = ?", (self.scope,))
            db.executemany(
                "INSERT INTO alert VALUES (?, ?, ?, ?, NULL, 0)",
                [(self.scope, i.kind.value, i.object, _document(a)) for i, a in alerts.items()],
            )
            for each in pending:
                self._mirror_event(db, each)
            # Another process may have delivered since the store was read.
            db.executemany(_NOTE_ENDED, delivered)
            self._note_scope(db, is_away=False, digest=digest)

        if self._run(self._read_digest) != digest:
            self._run(write)
        self._return_to_file(write)

    def _delivered(self, db: sqlite3.Connection) -> list[tuple[Any, ...]]:
        """Return what was delivered and is not noted in the store, as far as is known here."""
        return db.execute(
            "SELECT d.attempts, d.tried_at, d.ended_at, d.error, d.sink, e.scope, e.key"
            " FROM delivery AS d JOIN event AS e ON e.id = d.event_id"
            " WHERE e.scope = ? AND d.is_new AND d.ended_at IS NOT NULL",
            (self.scope,),
        ).fetchall()

    def _read_digest(self, db: sqlite3.Connection) -> str:
        row = db.execute(
            "SELECT s.digest FROM scope AS s WHERE s.name = ? AND NOT s.is_away AND NOT EXISTS ("
            "SELECT 1 FROM delivery AS d JOIN event AS e ON e.id = d.event_id"
            " WHERE e.scope = s.name AND d.is_new)",
            (self.scope,),
        ).fetchone()
        return row[0] if row else ""

    def _note_scope(self, db: sqlite3.Connection, *, is_away: bool, digest: str = "") -> None:
        reached_at = 0.0 if is_away else time.time()
        db.execute(
            "INSERT INTO scope VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
            " is_away = excluded.is_away, digest = excluded.digest,"
            " reached_at = max(reached_at, excluded.reached_at)",
            (self.scope, is_away, reached_at, digest),
        )

    def _put(
        self, db: sqlite3.Connection, identity: Identity, alert: Alert | None, now: datetime | None
    ) -> None:
        db.execute(
            "INSERT INTO alert VALUES (?, ?, ?, ?, ?, 1) ON CONFLICT (scope, kind, object)"
            " DO UPDATE SET document = excluded.document, gone_at = excluded.gone_at, is_new = 1",
            (
                self.scope,
                identity.kind.value,
                identity.object,
                None if alert is None else _document(alert),
                now.isoformat() if alert is None and now else None,
            ),
        )

    def _queue(self, db: sqlite3.Connection, event: Event, routes: Sequence[Route]) -> None:
        row = self._add_event(db, event, is_new=True)
        db.executemany(
            "INSERT INTO delivery VALUES (?, ?, 0, NULL, NULL, NULL, ?, ?, ?, 1)"
            " ON CONFLICT DO NOTHING",
            [(row, each.sink, each.turn, each.severity, each.can_wait) for each in routes],
        )

    def _mirror_event(self, db: sqlite3.Connection, pending: PendingEvent) -> None:
        waiting = pending.waiting
        row = self._add_event(db, waiting.event, is_new=False)
        tried_at = waiting.tried_at.isoformat() if waiting.tried_at else None
        db.execute(
            "INSERT INTO delivery VALUES (?, ?, ?, ?, NULL, NULL, ?, ?, ?, 0)"
            " ON CONFLICT DO NOTHING",
            (
                *(row, pending.sink, waiting.attempts, tried_at),
                *(waiting.turn, waiting.severity, waiting.can_wait),
            ),
        )

    def _add_event(self, db: sqlite3.Connection, event: Event, *, is_new: bool) -> int:
        key = event_key(event)
        facts = (self.scope, key, event.turn.value, event.at.isoformat(), _document(event.alert))
        db.execute(
            "INSERT INTO event (scope, key, turn, happened_at, document, is_new)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (*facts, is_new),
        )
        found = "SELECT id FROM event WHERE scope = ? AND key = ?"
        return int(db.execute(found, (self.scope, key)).fetchone()[0])

    def _new_events(self, db: sqlite3.Connection) -> Iterable[SpooledEvent]:
        rows = db.execute(
            "SELECT e.id, e.turn, e.happened_at, e.document FROM event AS e WHERE e.scope = ? AND"
            " (e.is_new OR EXISTS (SELECT 1 FROM delivery AS d WHERE d.event_id = e.id"
            " AND d.is_new)) ORDER BY e.id",
            (self.scope,),
        ).fetchall()
        rows = [row for row in rows if json.loads(row[3])["kind"] in _KNOWN_KINDS]
        for row, *facts in rows:
            deliveries = db.execute(
                "SELECT sink, attempts, tried_at, ended_at, error, turn, severity, can_wait"
                " FROM delivery"
                " WHERE event_id = ? ORDER BY sink",
                (row,),
            )
            yield SpooledEvent(
                _event(facts),
                tuple(
                    SpooledDelivery(d[0], d[1], _moment(d[2]), _moment(d[3]), d[4], *_view(d[5:8]))
                    for d in deliveries
                ),
            )

    # The file

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run work in one transaction on the file; in memory where that can't be written."""
        memory = _memories.get(self.path)
        if memory is None:
            try:
                return self._run_on_file(work)
            except (sqlite3.OperationalError, OSError) as exc:
                memory = self._go_to_memory(exc)
            except (sqlite3.DatabaseError, ValueError, KeyError, TypeError) as exc:
                return self._without_damage(work, exc)
        with memory.lock:
            return _in_transaction(memory.connection, work)

    def _run_on_file(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self._make_folder()
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        with closing(sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)) as db:
            db.execute("PRAGMA foreign_keys = ON")
            return _in_transaction(db, lambda db: work(_prepared(db)))

    def _without_damage(self, work: Callable[[sqlite3.Connection], T], damage: Exception) -> T:
        """Set a damaged file aside, and work on a new one."""
        try:
            with self._held("\naside", LOCK_LIMIT_S):
                with suppress(sqlite3.DatabaseError, ValueError, KeyError, TypeError):
                    return self._run_on_file(work)  # another process may have done so meanwhile
                self._set_aside(damage)
                return self._run_on_file(work)
        except (sqlite3.Error, OSError) as exc:
            memory = self._go_to_memory(exc)
        with memory.lock:
            return _in_transaction(memory.connection, work)

    def _set_aside(self, damage: Exception) -> None:
        moment = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
        aside = self.path.with_name(f"{self.path.name}.damaged-{moment}")
        journal = self.path.with_name(f"{self.path.name}-journal")
        self.path.replace(aside)
        with suppress(FileNotFoundError):
            journal.replace(aside.with_name(f"{aside.name}-journal"))
        self._say(
            f"the spool {self.path} was damaged ({type(damage).__name__}) and was set aside as"
            f" {aside.name}; what it held and the store does not is lost"
        )

    def _go_to_memory(self, exc: Exception) -> _Memory:
        self._say(
            f"the spool {self.path} can't be written ({_named(exc)}): until it can, alerts are kept"
            " in memory while the store can't be used, and lost with this process"
        )
        with _memories_lock:
            if self.path not in _memories:
                _memories[self.path] = _Memory(_copied(self.path))
            return _memories[self.path]

    def _return_to_file(self, write: Callable[[sqlite3.Connection], None]) -> None:
        """Leave memory once the file can be written again; the store has all that was in it."""
        memory = _memories.get(self.path)
        if memory is None:
            return
        with memory.lock:
            others = "SELECT 1 FROM scope WHERE name <> ? AND is_away"
            if memory.connection.execute(others, (self.scope,)).fetchone():
                return
            with suppress(sqlite3.Error, OSError):
                self._run_on_file(write)
                with _memories_lock:
                    _memories.pop(self.path, None)
                _said.pop(self.path, None)

    def _make_folder(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _say(self, text: str) -> None:
        said = _said.setdefault(self.path, set())
        if text not in said:
            said.add(text)
            self.notices.append(text)
            _LOG.warning("%s", text)  # on standard error, whoever runs the round


def _in_transaction(db: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    db.execute("BEGIN IMMEDIATE")
    try:
        done = work(db)
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise
    return done


def _prepared(db: sqlite3.Connection) -> sqlite3.Connection:
    """Create the tables where they are missing; refuse a file of another version."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == 0:
        for statement in _TABLES.split(";"):
            db.execute(statement)
    elif version != _VERSION:
        raise sqlite3.DatabaseError(f"version {version}")
    return db


def _copied(path: Path) -> sqlite3.Connection:
    """Return a spool in memory with what can be read of a file."""
    memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    with suppress(sqlite3.Error, OSError):
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_S)) as file:
            file.backup(memory)
    try:
        _prepared(memory)
    except sqlite3.Error:
        memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        _prepared(memory)
    memory.execute("PRAGMA foreign_keys = ON")
    return memory


def _flock(descriptor: int, limit_s: float) -> bool:
    until = time.monotonic() + limit_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(_POLL_S)
        else:
            return True


_thread_locks: dict[str, threading.Lock] = {}


@contextmanager
def _thread_lock(name: str, limit_s: float) -> Generator[bool]:
    """Where no lock file can be made: the threads of this process only."""
    lock = _thread_locks.setdefault(name, threading.Lock())
    is_held = lock.acquire(timeout=limit_s)
    try:
        yield is_held
    finally:
        if is_held:
            lock.release()


def _named(exc: Exception) -> str:
    return os.strerror(exc.errno) if isinstance(exc, OSError) and exc.errno else str(exc)


def _digest(alerts: Mapping[Identity, Alert], pending: Sequence[PendingEvent]) -> str:
    """Return what tells two contents apart; a new sighting alone makes no difference."""
    known = [_document(replace(alert, seen_at=None)) for alert in alerts.values()]
    waiting = [(each.sink, event_key(each.waiting.event)) for each in pending]
    return hashlib.sha256(json.dumps([known, waiting]).encode()).hexdigest()


def _document(alert: Alert) -> str:
    plain = {name: getattr(alert, name) for name in _PLAIN}
    moments = {name: _text(getattr(alert, name)) for name in _MOMENTS}
    return json.dumps({**alert.identity._asdict(), **plain, **moments})


def _alert(document: Mapping[str, Any]) -> Alert:
    identity = Identity(document["database"], FindingKind(document["kind"]), document["object"])
    values: dict[str, Any] = {name: document[name] for name in _PLAIN}
    values |= {name: _moment(document[name]) for name in _MOMENTS}
    values["severity"] = Severity(values["severity"])
    notified = values["notified_severity"]
    values["notified_severity"] = Severity(notified) if notified else None
    sinks = values["notified_sinks"]
    values["notified_sinks"] = None if sinks is None else tuple(sinks)
    return Alert(identity, **values)


def _view(facts: Sequence[Any]) -> tuple[Transition | None, Severity | None, bool]:
    """Return the transition and severity as a sink sees them, and whether they may wait."""
    turn, severity, can_wait = facts
    return (
        Transition(turn) if turn else None,
        Severity(severity) if severity else None,
        bool(can_wait),
    )


def _event(facts: Sequence[Any]) -> Event:
    turn, happened_at, document = facts
    return Event(Transition(turn), _alert(json.loads(document)), _known(happened_at))


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _known(text: str) -> datetime:
    return datetime.fromisoformat(text)
