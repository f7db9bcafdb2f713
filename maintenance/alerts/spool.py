"""The spool: alerts and pending deliveries of a policy in a file outside the store.

While the store can be used, the file mirrors it. While it can't, rounds work on the file, and what
they change is marked until it is merged into the store. One file serves all policies of a host.
"""

import hashlib
import json
import sqlite3
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from maintenance.alerts.merge import SpoolChanges, SpooledDelivery, SpooledEvent
from maintenance.alerts.messages import event_key
from maintenance.alerts.models import (
    Alert,
    Event,
    Identity,
    PendingDelivery,
    Route,
    RoutedEvent,
)
from maintenance.alerts.spool_file import LOCK_LIMIT_S, SpoolFile
from maintenance.alerts.spool_rows import (
    KNOWN_KINDS,
    alert_of,
    document_of,
    event_of,
    moment,
    moment_of,
    view_of,
)
from maintenance.engine.findings import FindingKind
from maintenance.errors import MaintenanceError

_NOTE_ENDED = """
UPDATE delivery SET attempts = ?, tried_at = ?, ended_at = ?, error = ?, is_new = 1
WHERE sink = ? AND event_id = (SELECT id FROM event WHERE scope = ? AND key = ?)
"""


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


class Spool:
    """The alerts of one policy in the spool.

    Attributes:
        file: the file.
        scope: what the alerts belong to: a policy's database.
    """

    def __init__(self, path: Path, scope: str) -> None:
        self.file = SpoolFile(path)
        self.scope = scope

    @property
    def path(self) -> Path:
        """The file."""
        return self.file.path

    @property
    def notices(self) -> list[str]:
        """What the operator should know of the file, each said once by this process."""
        return self.file.notices

    @property
    def is_in_memory(self) -> bool:
        """Whether nothing of it will survive this process."""
        return self.file.is_in_memory

    # Locks

    @contextmanager
    def locked(self) -> Generator[None]:
        """Keep other processes of this host from working on the alerts of this policy.

        Raises:
            MaintenanceError: another one does so for too long.
        """
        with self.file.held(self.scope, LOCK_LIMIT_S) as is_held:
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
        with self.file.held(f"{self.scope}\n{sink}", 0.0) as is_held:
            yield is_held

    # State

    def state(self) -> SpoolState:
        """Return whether the spool has taken over."""

        def read(db: sqlite3.Connection) -> SpoolState:
            row = db.execute(
                "SELECT is_away, reached_at FROM scope WHERE name = ?", (self.scope,)
            ).fetchone()
            return SpoolState(bool(row[0]), float(row[1])) if row else SpoolState()

        return self.file.run(read)

    def standing(self) -> dict[Identity, Alert]:
        """Return the open and pending alerts."""

        def read(db: sqlite3.Connection) -> dict[Identity, Alert]:
            rows = db.execute(
                "SELECT document, kind FROM alert WHERE scope = ? AND document IS NOT NULL"
                " ORDER BY kind, object",
                (self.scope,),
            )
            alerts = (alert_of(json.loads(r[0])) for r in rows if r[1] in KNOWN_KINDS)
            return {alert.identity: alert for alert in alerts}

        return self.file.run(read)

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

        self.file.run(write)

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

        self.file.run(write)
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
                PendingDelivery(r[0], event_of(r[1:4]), r[4], moment_of(r[5]), *view_of(r[6:9]))
                for r in rows
                if json.loads(r[3])["kind"] in KNOWN_KINDS
            ]

        return self.file.run(read)

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

        self.file.run(write)

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
                if kind not in KNOWN_KINDS:
                    continue
                if document is None:
                    database = self.scope.splitlines()[0]
                    gone[Identity(database, FindingKind(kind), name)] = moment(gone_at)
                else:
                    alert = alert_of(json.loads(document))
                    alerts[alert.identity] = alert
            return SpoolChanges(alerts, gone, tuple(self._new_events(db)))

        return self.file.run(read)

    def mirrors(self, alerts: Mapping[Identity, Alert], pending: Sequence[PendingEvent]) -> bool:
        """Whether it has what the store has, and nothing that the store does not know."""
        return not self.is_in_memory and self.file.run(self._read_digest) == _digest(
            alerts, pending
        )

    def mirror(self, alerts: Mapping[Identity, Alert], pending: Sequence[PendingEvent]) -> None:
        """Replace all by what the store has; nothing is written if that is known already."""
        digest = _digest(alerts, pending)

        def write(db: sqlite3.Connection) -> None:
            delivered = self._delivered(db)
            db.execute("DELETE FROM alert WHERE scope = ?", (self.scope,))
            db.execute("DELETE FROM event WHERE scope = ?", (self.scope,))
            db.executemany(
                "INSERT INTO alert VALUES (?, ?, ?, ?, NULL, 0)",
                [(self.scope, i.kind.value, i.object, document_of(a)) for i, a in alerts.items()],
            )
            for each in pending:
                self._mirror_event(db, each)
            # Another process may have delivered since the store was read.
            db.executemany(_NOTE_ENDED, delivered)
            self._note_scope(db, is_away=False, digest=digest)

        if self.file.run(self._read_digest) != digest:
            self.file.run(write)
        self.file.return_to_file(self.scope, write)

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
                None if alert is None else document_of(alert),
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
        facts = (self.scope, key, event.turn.value, event.at.isoformat(), document_of(event.alert))
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
        rows = [row for row in rows if json.loads(row[3])["kind"] in KNOWN_KINDS]
        for row, *facts in rows:
            deliveries = db.execute(
                "SELECT sink, attempts, tried_at, ended_at, error, turn, severity, can_wait"
                " FROM delivery"
                " WHERE event_id = ? ORDER BY sink",
                (row,),
            )
            yield SpooledEvent(
                event_of(facts),
                tuple(
                    SpooledDelivery(
                        d[0], d[1], moment_of(d[2]), moment_of(d[3]), d[4], *view_of(d[5:8])
                    )
                    for d in deliveries
                ),
            )


def _digest(alerts: Mapping[Identity, Alert], pending: Sequence[PendingEvent]) -> str:
    """Return what tells two contents apart; a new sighting alone makes no difference."""
    known = [document_of(replace(alert, seen_at=None)) for alert in alerts.values()]
    waiting = [(each.sink, event_key(each.waiting.event)) for each in pending]
    return hashlib.sha256(json.dumps([known, waiting]).encode()).hexdigest()
