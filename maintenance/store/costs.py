"""Record the cost of runs, in a table partitioned by month."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from psycopg.types.json import Jsonb

from maintenance.server.cost_meter import Cost
from maintenance.server.session import Connection


def record_costs(
    connection: Connection, database: str, run_id: UUID, now: datetime, costs: Mapping[str, Cost]
) -> None:
    """Record the cost of a run's own statements, by purpose.

    Raises:
        psycopg.errors.CheckViolation: the store has no partition for the month.
    """
    rows = [
        {
            "purpose": purpose,
            "n_statements": c.n_statements,
            "seconds": c.seconds,
            "n_rows": c.n_rows,
        }
        for purpose, c in costs.items()
    ]
    connection.execute(
        "INSERT INTO maintenance.cost"
        " (taken_at, database, run_id, purpose, n_statements, seconds, n_rows)"
        " SELECT %s, %s, %s, c.purpose, c.n_statements, c.seconds, c.n_rows"
        " FROM pg_catalog.jsonb_to_recordset(%s)"
        " AS c (purpose text, n_statements int, seconds float8, n_rows int8)",
        (now, database, run_id, Jsonb(rows)),
    )
