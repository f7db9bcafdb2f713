"""The journal of one run: actions are recorded before they start, and with their outcome."""

import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from maintenance.redaction import redact_error, redact_values
from maintenance.server.session import Connection, fetch, run_statement

FLUSH_EVERY_S = 0.5
"""Seconds that an outcome may wait to be written together with others.

The intents are durable before the first action. If a crash loses an outcome, the next run
observes the effect in the catalog.
"""


class RecentRun(NamedTuple):
    """One run, as shown by `status`, with the time and rows of its own statements.

    Attributes:
        outcome: `failed` if an action failed or there was a finding of severity error, else
            `done`; None before its end.
        error: what ended it early.
        n_actions: without those of the store's own upkeep.
        n_errors: findings of severity error.
    """

    id: uuid.UUID
    command: str
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None
    error: str | None
    n_actions: int
    n_failed: int
    n_errors: int
    own_seconds: float | None
    own_rows: int | None

    @property
    def result(self) -> str:
        """The result in words: a run that did all it meant to but found errors is not failed."""
        if self.outcome is None:
            return "not finished"
        if self.outcome == "failed" and not self.n_failed and self.error is None:
            return "errors found"
        return self.outcome


class Journal:
    """Records one run in the store while it runs."""

    def __init__(self, connection: Connection, database: str) -> None:
        self.run_id = uuid.uuid4()
        self._connection = connection
        self._database = database
        self._pending: list[dict[str, Any]] = []
        self._flushed_at = time.monotonic()

    def begin(self, command: str, policy_hash: str) -> None:
        """Record the start of the run."""
        parameters = {
            "run_id": self.run_id,
            "database": self._database,
            "command": command,
            "version": version("maintenance"),
            "policy_hash": policy_hash,
        }
        run_statement(self._connection, "store", "begin_run", parameters)

    def intend(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Record the planned actions before they start; durable when this returns.

        The steps that undo them are kept as they are: an undo restores the very same comments.
        """
        if not records:
            return
        rows = [
            {**redact_values(record), "undo": record.get("undo"), "run_id": str(self.run_id)}
            for record in records
        ]
        run_statement(self._connection, "store", "add_intents", {"actions": Jsonb(rows)})

    def conclude(self, record: Mapping[str, Any]) -> None:
        """Note the outcome of one action; it is written within `FLUSH_EVERY_S`."""
        self._pending.append({**record, "ended_at": time.time()})
        if time.monotonic() - self._flushed_at >= FLUSH_EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Write all noted outcomes."""
        self._flushed_at = time.monotonic()
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        outcomes = {"run_id": self.run_id, "outcomes": Jsonb(redact_values(pending))}
        run_statement(self._connection, "store", "note_outcomes", outcomes)

    def end(
        self,
        outcome: str,
        findings: Sequence[Mapping[str, Any]],
        error: str | None = None,
        kinds: Collection[str] = (),
        subjects: Collection[str] = (),
    ) -> None:
        """Record the end of the run, its findings, and the kinds and subjects it checked."""
        run_statement(
            self._connection,
            "store",
            "end_run",
            {
                "run_id": self.run_id,
                "findings": Jsonb(redact_values(list(findings))),
                "outcome": outcome,
                "error": redact_error(error) if error is not None else None,
                "kinds": sorted(kinds),
                "subjects": sorted(subjects),
            },
        )


class UnrecordedJournal(Journal):
    """The journal of a run where there is no store, and none is to be made for it."""

    def begin(self, command: str, policy_hash: str) -> None:
        """Record nothing."""

    def intend(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Record nothing."""

    def flush(self) -> None:
        """Record nothing."""

    def end(
        self,
        outcome: str,
        findings: Sequence[Mapping[str, Any]],
        error: str | None = None,
        kinds: Collection[str] = (),
        subjects: Collection[str] = (),
    ) -> None:
        """Record nothing."""


def recent_runs(connection: Connection, database: str, limit: int = 10) -> list[RecentRun]:
    """Return the newest runs on a database, newest first."""
    about = {"database": database, "most": limit}
    return [RecentRun(*row) for row in fetch(connection, "store", "list_recent_runs", about)]


def first_run(connection: Connection, database: str, policy_hash: str) -> datetime | None:
    """Return when the first run with a policy began; None before it."""
    about = {"database": database, "policy_hash": policy_hash}
    (row,) = fetch(connection, "store", "find_first_run", about)
    return row.began_at
