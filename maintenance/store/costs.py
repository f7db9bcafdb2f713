"""Record the cost of runs, in a table partitioned by month."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from psycopg.types.json import Jsonb

from maintenance.server.cost_meter import Cost
from maintenance.server.session import Connection, run_statement


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
    parameters = {"taken_at": now, "database": database, "run_id": run_id, "costs": Jsonb(rows)}
    run_statement(connection, "store", "add_costs", parameters)
