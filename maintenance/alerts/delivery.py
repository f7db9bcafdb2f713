"""Delivery of alert events to every sink, in order and at least once, with retries."""

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from maintenance.alerts.error_names import cause
from maintenance.alerts.messages import Links, Message, messages
from maintenance.alerts.models import Waiting
from maintenance.alerts.quiet import NOT_SENT, release
from maintenance.alerts.sinks import Send, SinkError
from maintenance.alerts.store import note_delivered, note_failed, waiting_for
from maintenance.errors import MaintenanceError
from maintenance.server.session import Connection

SEND_LIMIT_S = 5.0
"""Maximum duration of one message."""
FIRST_PAUSE = timedelta(seconds=15)
LONGEST_PAUSE = timedelta(minutes=10)
"""Maximum pause after failed attempts; the pause doubles after each attempt."""
_LOCK = 0x736E6B73
"""Class of the advisory lock that allows one deliverer per sink."""

OpenStore = Callable[[], AbstractContextManager[Connection]]


@dataclass(frozen=True, slots=True)
class OpenSink:
    """A sink with its name and its send function."""

    name: str
    send: Send


@dataclass(frozen=True, slots=True)
class Delivered:
    """The result of one sink in one round.

    Attributes:
        n_told: events delivered.
        n_waiting: events still pending, at least; without those that wait for the end of quiet
            hours.
        error: the reason; None if everything was delivered.
        n_held: events that wait for the end of quiet hours.
    """

    sink: str
    n_told: int = 0
    n_waiting: int = 0
    error: str | None = None
    n_held: int = 0


@dataclass(frozen=True, slots=True)
class Round:
    """One round of delivery.

    Attributes:
        opened: opens a session on the store, one for each sink.
        database: the database whose events are delivered.
        links: finds the links of a message.
        budget_s: time limit. A message still being sent then is abandoned; the next round sends it
            again under the same id, even if it was delivered.
        patient: skip a sink that is backing off after failed attempts.
        quiet: crons of the minutes in which warnings wait.
    """

    opened: OpenStore
    database: str
    links: Links
    budget_s: float
    patient: bool = False
    quiet: tuple[str, ...] = ()


def deliver(round_: Round, targets: Sequence[OpenSink]) -> list[Delivered]:
    """Deliver pending events to every sink, in parallel, within the time budget."""
    until = time.monotonic() + round_.budget_s
    outcomes = {
        target.name: Delivered(target.name, n_waiting=1, error="not finished in time")
        for target in targets
    }

    def serve(target: OpenSink) -> None:
        outcomes[target.name] = _deliver_to(round_, target, until)

    threads = [threading.Thread(target=serve, args=(each,), daemon=True) for each in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return [outcomes[target.name] for target in targets]


def _deliver_to(round_: Round, target: OpenSink, until: float) -> Delivered:
    try:
        with round_.opened() as store, _locked(store, round_.database, target) as is_locked:
            if not is_locked:
                return Delivered(target.name, error="another process is delivering to this sink")
            pending = waiting_for(store, round_.database, target.name)
            waiting, held, dropped = release(pending, round_.quiet, datetime.now(UTC))
            note_delivered(store, target.name, dropped, NOT_SENT)
            if round_.patient and _is_backing_off(waiting, datetime.now(UTC)):
                error = "backing off after failed attempts"
                return Delivered(target.name, 0, len(waiting), error, len(held))
            sent = _send_all(store, target, waiting, round_.links, until)
            return replace(sent, n_held=len(held))
    except MaintenanceError as exc:
        return Delivered(target.name, n_waiting=1, error=str(exc))
    except Exception as exc:  # noqa: BLE001 - a bug in one message must not stop the others
        return Delivered(target.name, n_waiting=1, error=f"failed: {cause(exc)}")


@contextmanager
def _locked(store: Connection, database: str, target: OpenSink) -> Generator[bool]:
    """Allow one deliverer per sink; the lock of a killed process is released by itself."""
    row = store.execute(
        "SELECT pg_catalog.pg_try_advisory_lock(%s, pg_catalog.hashtext(%s))",
        (_LOCK, f"{database} {target.name}"),
    ).fetchone()
    yield row is not None and bool(row[0])  # closing the session releases the lock


def _is_backing_off(waiting: Sequence[Waiting], now: datetime) -> bool:
    tried = [row for row in waiting if row.tried_at is not None]
    if not tried:
        return False
    n_tries = max(row.attempts for row in tried)
    pause = min(FIRST_PAUSE * 2 ** min(n_tries - 1, 10), LONGEST_PAUSE)
    return max(row.tried_at for row in tried if row.tried_at is not None) + pause > now


def _send_all(
    store: Connection, target: OpenSink, waiting: Sequence[Waiting], links: Links, until: float
) -> Delivered:
    """Deliver message by message; stop at the first failure to keep the order."""
    n_told, error = 0, None
    for message in messages(waiting, links):
        try:
            _send(target, message, until)
            note_delivered(store, target.name, message.event_ids)
        except SinkError as exc:
            error = f"{target.name}: {exc}"
            if not exc.is_final:
                note_failed(store, target.name, message.event_ids, str(exc))
                break
            note_delivered(store, target.name, message.event_ids, str(exc))
        n_told += len(message.event_ids)
    return Delivered(target.name, n_told, len(waiting) - n_told, error)


def _send(target: OpenSink, message: Message, until: float) -> None:
    left_s = until - time.monotonic()
    if left_s <= 0:
        raise SinkError("not sent: time budget used up")
    try:
        target.send(message, min(left_s, SEND_LIMIT_S))
    except SinkError:
        raise
    except Exception as exc:  # noqa: BLE001 - a bug in a library must not stop the sink
        raise SinkError(f"failed: {cause(exc)}") from None
