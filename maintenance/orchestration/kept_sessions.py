"""Sessions of Dagster's storage that are kept between its operations, as dagster.yaml asks for."""

import select
import time
from collections.abc import Callable, Mapping
from functools import partial
from threading import RLock
from typing import Any

import psycopg2
from psycopg2 import extensions
from sqlalchemy import URL
from sqlalchemy.engine import CreateEnginePlugin
from sqlalchemy.pool import NullPool

N_KEPT = 4
"""For each storage of a process; what works at once beyond them opens its own and closes it."""
REPLACED_AFTER_S = 300

_kept: dict[str, "list[KeptSession]"] = {}
_lock = RLock()
"""One thread may take it twice: garbage that is collected under it may close a session too."""


class KeptSession(extensions.connection):
    """A session that waits for its next use once it is closed, if it is in order.

    Dagster makes its storages anew for each tick of a sensor, so sessions belong to the process.
    """

    opened_at: float = 0.0
    place: str = ""

    def close(self) -> None:
        """Keep the session; end it if it is broken, old, or one too many."""
        if self._is_fit():
            self.autocommit = False
            with _lock:
                others = _kept.setdefault(self.place, [])
                if len(others) < N_KEPT:
                    others.append(self)
                    return
        self.end()

    def end(self) -> None:
        """End the session."""
        super().close()

    def is_alive(self) -> bool:
        """Whether the server has said nothing meanwhile: it only speaks first to end a session."""
        return self._is_fit() and not select.select([self], [], [], 0)[0]

    def _is_fit(self) -> bool:
        return (
            not self.closed
            and self.info.transaction_status == extensions.TRANSACTION_STATUS_IDLE
            and time.monotonic() - self.opened_at < REPLACED_AFTER_S
        )


def _take(place: str, parameters: Mapping[str, Any]) -> KeptSession:
    """Return a session that waits, else a new one."""
    while True:
        with _lock:
            known = _kept.get(place)
            session = known.pop() if known else None
        if session is None:
            break
        if session.is_alive():
            return session
        session.end()
    session = psycopg2.connect(**parameters, connection_factory=KeptSession)
    session.place, session.opened_at = place, time.monotonic()
    return session


class KeptSessions(CreateEnginePlugin):
    """Lets `dagster-postgres`, which opens a session for each operation, keep them.

    SQLAlchemy finds this class by the entry point `maintenance`, for URLs with
    `plugin=maintenance`.
    """

    def __init__(self, url: URL, kwargs: dict[str, Any]) -> None:
        super().__init__(url, kwargs)
        self._kwargs = kwargs

    def update_url(self, url: URL) -> URL:
        """Return the URL, which `plugin` has been taken out of, as it is."""
        if self._kwargs.get("poolclass") is NullPool and url.get_driver_name() == "psycopg2":
            # SQLAlchemy asks for the types of hstore with each use; Dagster has none.
            self._kwargs |= {"creator": _creator(url), "use_native_hstore": False}
        return url


def _creator(url: URL) -> Callable[[], KeptSession]:
    _, parameters = url.get_dialect()().create_connect_args(url)
    return partial(_take, url.render_as_string(hide_password=False), parameters)
