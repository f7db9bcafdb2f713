"""Read the actions of past runs from the journal, for a span of time."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from maintenance.server.session import Connection, fetch


class Span(NamedTuple):
    """The actions asked for.

    Attributes:
        since: the first moment, inclusive.
        until: the last moment, exclusive.
        object: only actions on this object, or on partitions of this table; None means all.
        kinds: only these kinds of action; empty means all.
    """

    since: datetime
    until: datetime
    object: str | None = None
    kinds: Collection[str] = ()


class PastAction(NamedTuple):
    """One action of a past run.

    Attributes:
        at: when it ended; when it was planned, if its end is not recorded.
        outcome: None if its end is not recorded: it is at work, or the run was killed.
        detail: rows, bytes, urls, as its executor returned them.
    """

    at: datetime
    kind: str
    outcome: str | None
    object: str
    table: str | None
    period: str | None
    run_id: str
    command: str
    duration_ms: float | None
    error: str | None
    detail: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The action as the command line prints it."""
        return {**self._asdict(), "at": self.at.isoformat(), "detail": dict(self.detail)}


class ActionCount(NamedTuple):
    """The number of actions of one kind with the same outcome."""

    kind: str
    outcome: str | None
    n: int


def past_actions(store: Connection, database: str, span: Span, most: int) -> list[PastAction]:
    """Return the actions of runs on a database, newest first, at most `most`."""
    rows = fetch(store, "store", "list_past_actions", {**_asked(database, span), "most": most})
    return [PastAction(*row[:-1], detail=row.detail or {}) for row in rows]


def count_past_actions(store: Connection, database: str, span: Span) -> list[ActionCount]:
    """Return the number of actions of runs on a database, by kind and outcome."""
    rows = fetch(store, "store", "count_past_actions", _asked(database, span))
    return [ActionCount(*row) for row in rows]


def _asked(database: str, span: Span) -> dict[str, Any]:
    kinds = sorted(span.kinds) or None
    return {"database": database, **span._asdict(), "kinds": kinds}
