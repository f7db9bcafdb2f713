"""All databases of a folder of policies: a row for each, the worst first."""

from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from textwrap import shorten
from typing import Any

from maintenance.engine.findings import Severity
from maintenance.engine.side_by_side import within
from maintenance.errors import MaintenanceError
from maintenance.formatting import readable_size, readable_span
from maintenance.monitoring.health import Level, assess_health
from maintenance.monitoring.models import Overview
from maintenance.monitoring.overview import observe_overview
from maintenance.policy import Policies, Policy

SIDE_BY_SIDE = 16
"""Databases read at once, so that those out of reach delay few others."""
LIMIT = timedelta(seconds=60)
"""A database that is not read by then has a row that says so."""

HEAD = ("database", "state", "errors", "warnings", "last success", "size", "partitions last", "why")

_RANKS = tuple(Level)
_LONGEST = 160
"""Characters of reasons shown in a row; all of them are in the digest of the database."""


@dataclass(frozen=True, slots=True)
class FleetRow:
    """The health of one database in a line.

    Attributes:
        database: its name; the file of an invalid policy.
        level: how urgent it is.
        reasons: why, the most urgent first; what was not looked at, too.
        n_errors: open alerts that nobody muted; None if unknown.
        n_warnings: as `n_errors`.
        last_success: the end of the newest run that did all it had to do.
        size_bytes: at the newest observation.
        covered_until: from when on rows of some table have no partition.
        unobserved: subjects of the policy that no run has observed yet.
        is_read: whether the database could be read.
    """

    database: str
    level: Level
    reasons: tuple[str, ...]
    n_errors: int | None = None
    n_warnings: int | None = None
    last_success: datetime | None = None
    size_bytes: int | None = None
    covered_until: datetime | None = None
    unobserved: tuple[str, ...] = ()
    is_read: bool = True

    def as_json(self) -> dict[str, Any]:
        """Return the row in `status --brief --json`."""
        return {
            "database": self.database,
            "level": self.level.name.lower(),
            "reasons": list(self.reasons),
            "errors": self.n_errors,
            "warnings": self.n_warnings,
            "last_success": _iso(self.last_success),
            "size_bytes": self.size_bytes,
            "covered_until": _iso(self.covered_until),
            "unobserved": list(self.unobserved),
            "is_read": self.is_read,
        }


@dataclass(frozen=True, slots=True)
class Fleet:
    """All databases, the worst first."""

    now: datetime
    rows: tuple[FleetRow, ...]

    @property
    def ok(self) -> bool:
        """Whether no database needs somebody now."""
        return not self.count(Level.NOW)

    def count(self, level: Level) -> int:
        """Return the number of databases of a level."""
        return sum(row.level is level for row in self.rows)

    def as_json(self) -> dict[str, Any]:
        """Return the document of `status --brief --json`."""
        return {"now": self.now.isoformat(), "databases": [row.as_json() for row in self.rows]}


def observe_fleet(
    policies: Policies, *, now: datetime | None = None, limit: timedelta = LIMIT
) -> Fleet:
    """Read all databases side by side; each has a row, whatever can't be read.

    Args:
        policies: of the databases; an invalid one is a row too.
        now: the current time, aware; the clock's if None.
        limit: how long to wait for all of them.
    """
    moment = now or datetime.now(UTC)
    tasks = (partial(observe_overview, each, now=moment) for each in policies.loaded)
    looks = within(limit, SIDE_BY_SIDE, tasks)
    rows = [
        *(
            _unread(each.path.name, f"invalid policy {each.path}: run maintenance check")
            for each in policies.broken
        ),
        *map(partial(_row_of, limit=limit), policies.loaded, looks),
    ]
    return Fleet(moment, tuple(sorted(rows, key=_rank)))


def row_of(overview: Overview) -> FleetRow:
    """Return the row of an overview."""
    verdict, history = assess_health(overview), overview.history
    sizes = [each.size_bytes for each in history.moments[-1:]] if history else []
    return FleetRow(
        overview.database,
        verdict.level,
        tuple(reason.text for reason in verdict.reasons),
        len(overview.alerts(Severity.ERROR)) if history else None,
        len(overview.alerts(Severity.WARN)) if history else None,
        history.activity.last_done_at if history else None,
        sizes[0] if sizes else None,
        min((table.covered_until for table in overview.tables), default=None),
        history.unobserved if history else (),
        is_read=overview.blind is None,
    )


def cells(row: FleetRow, now: datetime) -> Iterator[str]:
    """Yield the texts of a row, in the order of `HEAD`."""
    yield row.database
    yield str(row.level)
    yield "?" if row.n_errors is None else str(row.n_errors)
    yield "?" if row.n_warnings is None else str(row.n_warnings)
    yield "?" if row.last_success is None else f"{readable_span(now - row.last_success)} ago"
    yield "?" if row.size_bytes is None else readable_size(row.size_bytes)
    yield "" if row.covered_until is None else _days(row.covered_until - now)
    yield shorten("; ".join(row.reasons), _LONGEST, placeholder=" …")


def _row_of(policy: Policy, look: "Future[Overview]", limit: timedelta) -> FleetRow:
    name = policy.database.name
    if look.cancelled() or not look.done():
        return _unread(name, f"not read within {readable_span(limit)}")
    try:
        return row_of(look.result())
    except MaintenanceError as exc:
        return _unread(name, exc.with_hint)


def _unread(name: str, reason: str) -> FleetRow:
    return FleetRow(name, Level.NOW, (reason,), is_read=False)


def _rank(row: FleetRow) -> tuple[Any, ...]:
    """Order by urgency, then what can't be read, then the number of findings."""
    return (
        -_RANKS.index(row.level),
        row.is_read,
        -(row.n_errors or 0),
        -(row.n_warnings or 0),
        row.covered_until or datetime.max.replace(tzinfo=UTC),
        row.database,
    )


def _days(span: timedelta) -> str:
    return f"{span.days:,} {'day' if span.days == 1 else 'days'}"


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
