"""Alerts in the store: open alerts, their events, and the pending deliveries."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from datetime import date, datetime
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from maintenance.alerts.merge import SpoolChanges, SpooledEvent, merge
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
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.server.session import Connection, fetch, fetch_together, run_sql, run_statement

_LOCK = 0x616C6572
"""Class of the advisory lock under which the alerts of one database are updated."""

_TENDING = {"acknowledged_until": "acknowledge_alert", "muted_until": "mute_alert"}
"""The statement that sets each column."""

_OWN = tuple(field.name for field in fields(Alert) if field.name != "identity")
_COLUMNS = {"notified_severity": "told"}
"""Columns with other names than their attributes."""

_KNOWN_KINDS = frozenset(kind.value for kind in FindingKind)
"""The store may contain kinds of another version of this software."""


def lock_alerts(store: Connection, database: str) -> None:
    """Lock the alerts of one database until the transaction ends."""
    fetch(store, "alerts", "lock_alerts", {"class": _LOCK, "database": database})


def standing_alerts(store: Connection, database: str) -> dict[Identity, Alert]:
    """Return the open and pending alerts of a database."""
    rows = fetch(store, "alerts", "list_alerts", {"database": database})
    return {alert.identity: alert for alert in map(_standing, rows)}


def glance(
    store: Connection, database: str, sinks: Sequence[str]
) -> tuple[dict[Identity, Alert], bool]:
    """Return the open and pending alerts of a database, in one round trip, and what waits.

    The second value says whether a finished run has not been processed, an event has yet to reach
    one of the sinks, or the server is a standby, so that nothing can be noted.
    """
    rows, ((waits,),) = fetch_together(
        store,
        [
            ("alerts", "list_alerts", {"database": database}),
            ("alerts", "check_waiting", {"database": database, "sinks": list(sinks)}),
        ],
    )
    return {alert.identity: alert for alert in map(_standing, rows)}, waits


def keep(store: Connection, database: str, changes: AlertUpdate) -> None:
    """Replace the alerts of a database, and queue its routed events for the sinks."""
    alerts = Jsonb([_row(alert) for alert in changes.alerts.values()])
    fetch(store, "alerts", "replace_alerts", {"database": database, "alerts": alerts})
    if changes.events:
        events = Jsonb([_event_row(*each) for each in changes.routed])
        fetch(store, "alerts", "add_events", {"events": events})


def pending_deliveries(store: Connection, database: str, sink: str) -> list[PendingDelivery]:
    """Return the events that a sink has not received yet, in order."""
    rows = fetch(store, "alerts", "list_pending_deliveries", {"database": database, "sink": sink})
    return [_waiting(row) for row in rows]


def pending_events(store: Connection, database: str) -> list[tuple[str, PendingDelivery]]:
    """Return the events that some sink has not received yet, in order, each with its sink."""
    rows = fetch(store, "alerts", "list_pending_events", {"database": database})
    return [(row.sink, _waiting(row)) for row in rows]


def merge_spool(store: Connection, database: str, changes: SpoolChanges) -> None:
    """Add to the store what happened while it could not be used; twice adds nothing.

    Call it in a transaction that holds the lock of the alerts.
    """
    resolved = {
        Identity(database, FindingKind(row.kind), row.object): row.resolved_at
        for row in fetch(store, "alerts", "list_resolutions", {"database": database})
        if row.kind in _KNOWN_KINDS
    }
    _add_events(store, database, changes.events)
    standing = standing_alerts(store, database)
    merged = merge(standing, changes, resolved)
    keep(store, database, AlertUpdate(merged))
    for identity, alert in merged.items():
        known = standing.get(identity)
        for column in _TENDING if known is not None else ():
            if getattr(known, column) != getattr(alert, column):
                tend(store, identity, column, getattr(alert, column))


def _add_events(store: Connection, database: str, events: Sequence[SpooledEvent]) -> None:
    if not events:
        return
    given = [{**_event_row(each.event), "place": place} for place, each in enumerate(events)]
    parameters = {"database": database, "events": Jsonb(given)}
    rows = fetch(store, "alerts", "add_missing_events", parameters)
    ids = {row.place: row.id for row in rows}
    deliveries = [
        {"event_id": ids[place], **{name: _json(v) for name, v in asdict(delivery).items()}}
        for place, each in enumerate(events)
        for delivery in each.deliveries
    ]
    fetch(store, "alerts", "merge_deliveries", {"deliveries": Jsonb(deliveries)})


def note_delivered(
    store: Connection, sink: str, ids: Sequence[int], error: str | None = None
) -> None:
    """Note that a sink has taken events; with an error, that it will never receive them."""
    delivered = {"sink": sink, "ids": list(ids), "error": error}
    run_statement(store, "alerts", "note_notified", delivered)


def note_failed(store: Connection, sink: str, ids: Sequence[int], error: str) -> None:
    """Record a failed delivery; the events stay pending."""
    failed = {"sink": sink, "ids": list(ids), "error": error}
    run_statement(store, "alerts", "note_delivery_failure", failed)


def newest_findings(
    store: Connection, database: str, kind: FindingKind
) -> list[tuple[Finding, datetime]]:
    """Return the newest stored finding of a kind on each object, with the end of its run."""
    about = {"database": database, "kind": kind.value}
    return [
        (
            Finding(
                kind,
                Severity(row.severity),
                row.object,
                row.message,
                row.value,
                row.threshold,
                row.data,
                row.subject,
            ),
            row.found_at,
        )
        for row in fetch(store, "alerts", "list_newest_findings", about)
    ]


class UnprocessedRun(NamedTuple):
    """A finished run whose findings have not been processed yet."""

    id: uuid.UUID
    ended_at: datetime
    finding_set: FindingSet


def unprocessed_runs(store: Connection, database: str) -> list[UnprocessedRun]:
    """Return the unprocessed finished runs on a database, the oldest first."""
    rows = fetch(store, "alerts", "list_unprocessed_runs", {"database": database})
    return [UnprocessedRun(row.id, row.ended_at, _finding_set(database, row)) for row in rows]


def note_processed(store: Connection, runs: Sequence[uuid.UUID]) -> None:
    """Note that the findings of runs have been made alerts."""
    run_statement(store, "alerts", "note_processed_runs", {"runs": list(runs)})


def _finding_set(database: str, row: Any) -> FindingSet:
    subjects = None if row.subjects is None else frozenset[str](row.subjects)
    return FindingSet(
        database,
        _findings(row.findings),
        _kinds(row.kinds),
        subjects=subjects,
        began_at=row.started_at,
        done=frozenset[str](row.done),
    )


def _findings(documents: Sequence[Mapping[str, Any]]) -> list[Finding]:
    return [
        Finding(
            FindingKind(each["kind"]),
            Severity(each["severity"]),
            each["object"],
            each["message"],
            each["value"],
            each["threshold"],
            each["data"],
            each["subject"],
        )
        for each in documents
        if each["kind"] in _KNOWN_KINDS
    ]


def _kinds(names: Sequence[str]) -> frozenset[FindingKind]:
    return frozenset(FindingKind(name) for name in names if name in _KNOWN_KINDS)


def tend(store: Connection, identity: Identity, column: str, until: datetime | None) -> bool:
    """Acknowledge or mute an open alert; return whether it exists.

    Args:
        store: the store.
        identity: the alert.
        column: `acknowledged_until` or `muted_until`.
        until: the end of it, aware; None cancels it.
    """
    about = {**identity._asdict(), "until": until}
    return run_statement(store, "alerts", _TENDING[column], about) == 1


def prove_writable(store: Connection, database: str) -> None:
    """Write so much that a full disk is noticed, and roll back.

    Raises:
        psycopg.Error: the store can't be written.
    """
    with store.transaction(force_rollback=True):
        fetch(store, "alerts", "probe_writing", {"database": database})


def prove_room(store: Connection) -> None:
    """Write a small temporary file, which a full disk refuses; cheap enough for every minute.

    Rows go into free space of pages as long as there is some, so that a full disk may stay
    unnoticed for hours, and then stop everything at once.

    Raises:
        psycopg.Error: there is no room.
    """
    with store.transaction():
        run_sql(store, "SET LOCAL work_mem = '64kB'; SET LOCAL temp_tablespaces = ''")
        fetch(store, "alerts", "probe_disk")


def forget_old(store: Connection, database: str, before: date) -> None:
    """Delete the events before a date that are pending for no sink."""
    fetch(store, "alerts", "forget_events", {"database": database, "before": before})


def _row(alert: Alert) -> dict[str, Any]:
    own = {_COLUMNS.get(name, name): _json(getattr(alert, name)) for name in _OWN}
    return {**alert.identity._asdict(), **own}


def _event_row(event: Event, routes: Sequence[Route] = ()) -> Mapping[str, Any]:
    about = {"turn": event.turn.value, "happened_at": _json(event.at)}
    return {**_row(event.alert), **about, "routes": [route._asdict() for route in routes]}


def _json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _waiting(row: Any) -> PendingDelivery:
    event = Event(Transition(row.turn), _alert(row), row.happened_at)
    severity = Severity(row.told_severity) if row.told_severity else None
    turn = Transition(row.told_turn) if row.told_turn else None
    return PendingDelivery(row.id, event, row.attempts, row.tried_at, turn, severity, row.can_wait)


def _standing(row: Any) -> Alert:
    return replace(
        _alert(row),
        notified_at=row.notified_at,
        notified_severity=Severity(row.told) if row.told else None,
        acknowledged_until=row.acknowledged_until,
        muted_until=row.muted_until,
        severity_since=row.severity_since,
        escalated_at=row.escalated_at,
        notified_sinks=None if row.notified_sinks is None else tuple(row.notified_sinks),
        seen_at=row.seen_at,
    )


def _alert(row: Any) -> Alert:
    identity = Identity(row.database, FindingKind(row.kind), row.object)
    severity = Severity(row.severity)
    return Alert(identity, severity, row.message, row.since, row.value, row.threshold, row.subject)
