"""Delivery of alert events to every sink, in order and at least once, with retries."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from maintenance.alerts.error_names import cause
from maintenance.alerts.messages import Links, Message, messages
from maintenance.alerts.models import PendingDelivery
from maintenance.alerts.outbox import OpenOutbox, Outbox
from maintenance.alerts.quiet import NOT_SENT, release
from maintenance.alerts.sinks import Send, SinkError
from maintenance.engine.side_by_side import result_of, within
from maintenance.errors import MaintenanceError

SEND_LIMIT_S = 5.0
"""Maximum duration of one message."""
FIRST_PAUSE = timedelta(seconds=15)
LONGEST_PAUSE = timedelta(minutes=10)
"""Maximum pause after failed attempts; the pause doubles after each attempt."""


@dataclass(frozen=True, slots=True)
class OpenSink:
    """A sink with its name and its send function."""

    name: str
    send: Send


@dataclass(frozen=True, slots=True)
class Delivered:
    """The result of one sink in one round.

    Attributes:
        n_delivered: events delivered.
        n_pending: events still pending, at least; without those that wait for the end of quiet
            hours.
        error: the reason; None if everything was delivered.
        n_held: events that wait for the end of quiet hours.
    """

    sink: str
    n_delivered: int = 0
    n_pending: int = 0
    error: str | None = None
    n_held: int = 0


@dataclass(frozen=True, slots=True)
class Round:
    """One round of delivery.

    Attributes:
        opened: opens the outbox of a sink, in the store or in the spool.
        links: finds the links of a message.
        budget_s: time limit. A message still being sent then is abandoned; the next round sends it
            again under the same id, even if it was delivered.
        patient: skip a sink that is backing off after failed attempts.
        quiet: crons of the minutes in which warnings wait.
        waiting: the sinks for which something is pending; None if that is not known. Nothing is
            opened for the others.
    """

    opened: OpenOutbox
    links: Links
    budget_s: float
    patient: bool = False
    quiet: tuple[str, ...] = ()
    waiting: Collection[str] | None = None


def deliver(round_: Round, targets: Sequence[OpenSink]) -> list[Delivered]:
    """Deliver pending events to every sink, in parallel, within the time budget."""
    until = time.monotonic() + round_.budget_s
    served = [each for each in targets if round_.waiting is None or each.name in round_.waiting]
    tasks = (partial(_deliver_to, round_, target, until) for target in served)
    ended = within(timedelta(seconds=round_.budget_s), len(served), tasks)
    late = (Delivered(each.name, n_pending=1, error="not finished in time") for each in served)
    outcomes = {each.sink: each for each in map(result_of, ended, late)}
    return [outcomes.get(target.name, Delivered(target.name)) for target in targets]


def _deliver_to(round_: Round, target: OpenSink, until: float) -> Delivered:
    try:
        with round_.opened(target.name) as outbox:
            if outbox is None:
                return Delivered(target.name, error="another process is delivering to this sink")
            waiting, held, dropped = release(outbox.waiting(), round_.quiet, datetime.now(UTC))
            if dropped:
                outbox.note_delivered(dropped, NOT_SENT)
            if round_.patient and _is_backing_off(waiting, datetime.now(UTC)):
                error = "backing off after failed attempts"
                return Delivered(target.name, 0, len(waiting), error, len(held))
            sent = _send_all(outbox, target, waiting, round_.links, until)
            return replace(sent, n_held=len(held))
    except MaintenanceError as exc:
        return Delivered(target.name, n_pending=1, error=str(exc))
    except Exception as exc:  # noqa: BLE001 - a bug in one message must not stop the others
        return Delivered(target.name, n_pending=1, error=f"failed: {cause(exc)}")


def _is_backing_off(waiting: Sequence[PendingDelivery], now: datetime) -> bool:
    # A try in the future was noted before a clock was set back.
    latest = now + LONGEST_PAUSE
    tried = {
        row.tried_at: row.attempts for row in waiting if row.tried_at and row.tried_at <= latest
    }
    if not tried:
        return False
    n_tries = max(tried.values())
    pause = min(FIRST_PAUSE * 2 ** min(max(n_tries - 1, 0), 10), LONGEST_PAUSE)
    return max(tried) + pause > now


def _send_all(
    outbox: Outbox, target: OpenSink, waiting: Sequence[PendingDelivery], links: Links, until: float
) -> Delivered:
    """Deliver message by message; stop at the first failure to keep the order."""
    n_delivered, error = 0, None
    rows = {row.id: row for row in waiting}
    for message in messages(waiting, links):
        sent = [rows[each] for each in message.event_ids]
        try:
            _send(target, message, until)
            outbox.note_delivered(sent)
        except SinkError as exc:
            error = f"{target.name}: {exc}"
            if not exc.is_final:
                outbox.note_failed(sent, str(exc))
                break
            outbox.note_delivered(sent, str(exc))
        n_delivered += len(sent)
    return Delivered(target.name, n_delivered, len(waiting) - n_delivered, error)


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
