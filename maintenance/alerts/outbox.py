"""Where deliveries wait: in the store, or in the spool while the store can't be used."""

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

import psycopg

from maintenance.alerts.models import Event, PendingDelivery
from maintenance.alerts.spool import Spool
from maintenance.alerts.store import note_delivered, note_failed, pending_deliveries
from maintenance.errors import MaintenanceError
from maintenance.server.session import Connection, to_error

_LOCK = 0x736E6B73
"""Class of the advisory lock that allows one deliverer per sink."""

OpenStore = Callable[[], AbstractContextManager[Connection]]


class Outbox(Protocol):
    """The pending events of one sink."""

    def waiting(self) -> list[PendingDelivery]:
        """Return the events that the sink has not received yet, in order."""
        ...

    def note_delivered(self, rows: Sequence[PendingDelivery], error: str | None = None) -> None:
        """Note that the sink has taken events, or refused them for good with an error."""
        ...

    def note_failed(self, rows: Sequence[PendingDelivery], error: str) -> None:
        """Note a failed try; the events stay pending."""
        ...


OpenOutbox = Callable[[str], AbstractContextManager[Outbox | None]]
"""Opens the outbox of a sink; None while another process delivers to it."""


@dataclass(frozen=True, slots=True)
class SpoolOutbox:
    """The pending events in the spool."""

    spool: Spool
    sink: str

    def waiting(self) -> list[PendingDelivery]:
        """Return the events that the sink has not received yet, in order."""
        return self.spool.pending_deliveries(self.sink)

    def note_delivered(self, rows: Sequence[PendingDelivery], error: str | None = None) -> None:
        """Note that the sink has taken events, or refused them for good with an error."""
        self.spool.note_tried(self.sink, _events(rows), error, ended=True)

    def note_failed(self, rows: Sequence[PendingDelivery], error: str) -> None:
        """Note a failed try; the events stay pending."""
        self.spool.note_tried(self.sink, _events(rows), error, ended=False)


@dataclass(frozen=True, slots=True)
class StoreOutbox:
    """The pending events in the store.

    What was delivered is noted in the spool first: if the store is lost right then, the spool does
    not deliver it again.
    """

    store: Connection
    database: str
    spool: Spool
    sink: str

    def waiting(self) -> list[PendingDelivery]:
        """Return the events that the sink has not received yet, in order."""
        return pending_deliveries(self.store, self.database, self.sink)

    def note_delivered(self, rows: Sequence[PendingDelivery], error: str | None = None) -> None:
        """Note that the sink has taken events, or refused them for good with an error."""
        self.spool.note_tried(self.sink, _events(rows), error, ended=True)
        with _as_our_error():
            note_delivered(self.store, self.sink, [row.id for row in rows], error)

    def note_failed(self, rows: Sequence[PendingDelivery], error: str) -> None:
        """Note a failed try; the events stay pending."""
        with _as_our_error():
            note_failed(self.store, self.sink, [row.id for row in rows], error)


def spool_outbox(spool: Spool) -> OpenOutbox:
    """Return what opens the outboxes of the spool."""

    @contextmanager
    def opened(sink: str) -> Generator[Outbox | None]:
        with spool.delivering(sink) as is_ours:
            yield SpoolOutbox(spool, sink) if is_ours else None

    return opened


def store_outbox(open_store: OpenStore, database: str, spool: Spool) -> OpenOutbox:
    """Return what opens the outboxes of the store, each in a session of its own."""

    @contextmanager
    def opened(sink: str) -> Generator[Outbox | None]:
        with spool.delivering(sink) as is_ours:
            if not is_ours:
                yield None
                return
            with open_store() as store:
                # Hosts that share a store have spools of their own.
                is_locked = _try_lock(store, f"{database} {sink}")
                yield StoreOutbox(store, database, spool, sink) if is_locked else None

    return opened


def _try_lock(store: Connection, name: str) -> bool:
    """Lock until the session ends; the lock of a killed process is released by itself."""
    row = store.execute(
        "SELECT pg_catalog.pg_try_advisory_lock(%s, pg_catalog.hashtext(%s))", (_LOCK, name)
    ).fetchone()
    return row is not None and bool(row[0])


def _events(rows: Iterable[PendingDelivery]) -> list[Event]:
    return [row.event for row in rows]


@contextmanager
def _as_our_error() -> Generator[None]:
    try:
        yield
    except psycopg.Error as exc:
        raise _lost(exc) from exc


def _lost(exc: psycopg.Error) -> MaintenanceError:
    return to_error(exc, "noting a delivery")
