"""Sessions of Dagster's storage that are kept between its operations, as dagster.yaml asks for."""

from typing import Any

from sqlalchemy import URL
from sqlalchemy.engine import CreateEnginePlugin
from sqlalchemy.pool import NullPool, QueuePool

N_KEPT = 2
"""For each of the three storages of a process; what works at once beyond them is closed again."""
REPLACED_AFTER_S = 300


class KeptSessions(CreateEnginePlugin):
    """Replaces the pool of `dagster-postgres`, which opens a session for each operation.

    Each session is asked for a sign of life before it is used, and replaced if it has none: the
    storage may be started again between two events. SQLAlchemy finds this class by the entry point
    `maintenance`, for URLs with `plugin=maintenance`.
    """

    def __init__(self, url: URL, kwargs: dict[str, Any]) -> None:
        super().__init__(url, kwargs)
        if kwargs.get("poolclass") is NullPool:
            kwargs |= {
                "poolclass": QueuePool,
                "pool_size": N_KEPT,
                "max_overflow": -1,
                "pool_pre_ping": True,
                "pool_recycle": REPLACED_AFTER_S,
            }

    def update_url(self, url: URL) -> URL:
        """Return the URL as it is: SQLAlchemy has taken `plugin` out of it."""
        return url
