"""Observations made one by one: one that fails is reported, and the others still run."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

import psycopg

from maintenance.engine.findings import Reading
from maintenance.errors import MaintenanceError, UnreachableError
from maintenance.server.session import Connection, read_transaction, to_error

Observation = TypeVar("Observation")


@dataclass(slots=True)
class Observations:
    """Runs observations one by one, and records those that failed."""

    connection: Connection
    time_cap: timedelta
    blind: dict[Reading, str] = field(default_factory=dict[Reading, str])

    def see(
        self, what: Reading, read: Callable[[Connection], Observation], otherwise: Observation
    ) -> Observation:
        """Return what was read, or the other value if the server refused it or took too long.

        Raises:
            UnreachableError: the connection was lost.
        """
        try:
            with read_transaction(self.connection, self.time_cap, f"observing {what}"):
                return read(self.connection)
        except UnreachableError:
            raise
        except MaintenanceError as exc:
            self.blind[what] = str(exc)
        except psycopg.errors.LockNotAvailable as exc:
            self.blind[what] = str(to_error(exc, f"observing {what}"))
        return otherwise
