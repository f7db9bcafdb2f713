"""The journal of one run: actions are recorded before they start, and with their outcome."""

import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Any, NamedTuple

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from maintenance.redaction import redact_error, redact_values
from maintenance.server.session import Connection

FLUSH_EVERY_S = 0.5
"""Seconds that an outcome may wait to be written together with others.

The intents are durable before the first action. If a crash loses an outcome, the next run
observes the effect in the catalog.
"""


class RecentRun(NamedTuple):
    """One run, as shown by `status`, with the time and rows of its own statements."""

    id: uuid.UUID
    command: str
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None
    error: str | None
    n_actions: int
    n_failed: int
    own_seconds: float | None
    own_rows: int | None


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
        self._connection.execute(
            "INSERT INTO maintenance.run (id, database, command, version, policy_hash)"
            " VALUES (%s, %s, %s, %s, %s)",
            (self.run_id, self._database, command, version("maintenance"), policy_hash),
        )

    def intend(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Record the planned actions before they start; durable when this returns."""
        if not records:
            return
        columns = list(records[0])
        rows = Jsonb(redact_values([{**record, "run_id": str(self.run_id)} for record in records]))
        listed = ", ".join(["run_id", *columns])
        self._connection.execute(
            f"INSERT INTO maintenance.journal ({listed}) SELECT {listed}"
            " FROM pg_catalog.jsonb_populate_recordset(NULL::maintenance.journal, %s)".encode(),
            (rows,),
        )

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
        self._connection.execute(
            "UPDATE maintenance.journal AS j SET outcome = r.outcome, attempts = r.attempts,"
            " duration_ms = r.duration_ms, error = r.error, detail = r.detail,"
            " ended_at = pg_catalog.to_timestamp(r.ended_at)"
            " FROM pg_catalog.jsonb_to_recordset(%s) AS r (action_id text, outcome text,"
            " attempts int, duration_ms float8, error text, detail jsonb, ended_at float8)"
            " WHERE j.run_id = %s AND j.action_id = r.action_id",
            (Jsonb(redact_values(pending)), self.run_id),
        )

    def end(
        self,
        outcome: str,
        findings: Sequence[Mapping[str, Any]],
        error: str | None = None,
        kinds: Collection[str] = (),
        subjects: Collection[str] = (),
    ) -> None:
        """Record the end of the run, its findings, and the kinds and subjects it checked."""
        self._connection.execute(
            "WITH stored AS (INSERT INTO maintenance.finding"
            " (run_id, kind, object, severity, message, value, threshold, data, subject)"
            " SELECT %(run)s, f.kind, f.object, f.severity, f.message, f.value, f.threshold,"
            " f.data, f.subject"
            " FROM pg_catalog.jsonb_to_recordset(%(findings)s) AS f (kind text, object text,"
            " severity text, message text, value jsonb, threshold jsonb, data jsonb,"
            " subject text))"
            " UPDATE maintenance.run SET ended_at = pg_catalog.clock_timestamp(),"
            " outcome = %(outcome)s, error = %(error)s, kinds = %(kinds)s,"
            " subjects = %(subjects)s WHERE id = %(run)s",
            {
                "run": self.run_id,
                "findings": Jsonb(redact_values(list(findings))),
                "outcome": outcome,
                "error": redact_error(error) if error is not None else None,
                "kinds": sorted(kinds),
                "subjects": sorted(subjects),
            },
        )


def recent_runs(connection: Connection, database: str, limit: int = 10) -> list[RecentRun]:
    """Return the newest runs on a database, newest first."""
    with connection.cursor(row_factory=class_row(RecentRun)) as cursor:
        return cursor.execute(
            "SELECT r.id, r.command, r.started_at, r.ended_at, r.outcome, r.error,"
            " count(j.action_id) AS n_actions,"
            " count(*) FILTER (WHERE j.outcome = 'failed') AS n_failed,"
            " (SELECT sum(c.seconds) FROM maintenance.cost c WHERE c.run_id = r.id)"
            " AS own_seconds,"
            " (SELECT sum(c.n_rows)::int8 FROM maintenance.cost c WHERE c.run_id = r.id)"
            " AS own_rows"
            " FROM maintenance.run r LEFT JOIN maintenance.journal j ON j.run_id = r.id"
            " WHERE r.database = %s GROUP BY r.id ORDER BY r.started_at DESC LIMIT %s",
            (database, limit),
        ).fetchall()
