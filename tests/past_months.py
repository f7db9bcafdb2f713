"""A database with a table of events whose months of the past are there, made by our own runs."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from maintenance.demo.postgres import PostgresServer
from maintenance.engine.scope import Request
from maintenance.names import QualifiedName
from maintenance.periods import Interval, period_of
from maintenance.pipeline.run import apply
from tests.builders import make_filled_template
from tests.policies import CREATE_EVENTS, EVENTS, make_policy

TABLE = QualifiedName("public", "events")


def month(offset: int = 0) -> str:
    """The key of the month so many months from now."""
    return period_of(datetime.now(UTC).date(), Interval.MONTH).shift(offset).key


def make_template_of_months(
    server: PostgresServer, *offsets: int, with_horizon: bool = True
) -> str:
    """Make a template with empty partitions of these months from now, and up to the horizon."""

    def fill(url: str) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(CREATE_EVENTS)
        with tempfile.TemporaryDirectory() as folder:
            keeping = make_policy(Path(folder), url, EVENTS, name="filling")
            apply(keeping, request=Request(TABLE, tuple(map(month, offsets))))
            if with_horizon:
                apply(keeping)

    return make_filled_template(server, f"months_{'_'.join(map(str, offsets))}", fill)
