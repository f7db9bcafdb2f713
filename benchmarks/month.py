"""A month of the learning platform's events, which is archived and restored."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta

import psycopg
from psycopg.conninfo import conninfo_to_dict

from benchmarks.servers import session
from benchmarks.timing import seconds
from maintenance.archives import ArchivePlace, Facts, TableId
from maintenance.demo.postgres import PostgresServer
from maintenance.names import QualifiedName
from maintenance.server.session import Timeouts, connect

MONTH = QualifiedName("public", "events_2026_01")
PERIOD = "2026-01"
READ = "its rows written by COPY alone, to nowhere"
FACTS = Facts("timestamp", "", None, None, "", "")

_FILL = f"""
CREATE TABLE {MONTH} (
  id text NOT NULL, user_id text, event_type text NOT NULL, data jsonb NOT NULL,
  "timestamp" timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (id, "timestamp")
);
SELECT setseed(0.5);
INSERT INTO {MONTH}
SELECT 'evt_' || lpad(g::text, 10, '0'), 'usr_' || lpad((random() * 1e5)::int::text, 6, '0'),
       (ARRAY['lesson_viewed', 'quiz_submitted', 'page_viewed', 'search'])[1 + (random() * 3)::int],
       jsonb_build_object(
         'entityType', 'lesson', 'entityId', 'les_' || lpad((random() * 9e4)::int::text, 6, '0'),
         'courseId', 'crs_' || lpad((random() * 1e3)::int::text, 4, '0'),
         'device', (ARRAY['desktop', 'mobile', 'tablet'])[1 + (random() * 2)::int],
         'seconds', (random() * 900)::int),
       '2026-01-01'::timestamptz + g * interval '0.5 s'
FROM generate_series(1, %s) g;
"""


def fill(url: str, n_rows: int) -> float:
    """Create the month, and return its size in GB."""
    with session(url) as connection:
        connection.execute(_FILL.replace("%s", str(n_rows)).encode())
        connection.execute(f"VACUUM ANALYZE {MONTH}".encode())
        size = connection.execute(f"SELECT pg_table_size('{MONTH}')".encode()).fetchone()
    assert size is not None, "it was just made"
    return size[0] / 2**30


def read_alone(url: str) -> float:
    """Time what the server takes to write all rows as text: no archive is made in less."""
    with session(url) as connection:
        return seconds(lambda: connection.execute(f"COPY {MONTH} TO '/dev/null'".encode()))


def place_in(folder: str) -> ArchivePlace:
    """Return the place of its archive in a folder."""
    return ArchivePlace(folder, "benchmark", MONTH, PERIOD)


@contextmanager
def connected(url: str) -> Generator[tuple[psycopg.Connection[tuple[object, ...]], TableId]]:
    """Open a session as a run does, and find the month in it."""
    timeouts = Timeouts(timedelta(seconds=1), timedelta(minutes=1))
    connection = connect(url, application="benchmark", timeouts=timeouts)
    try:
        row = connection.execute(f"SELECT '{MONTH}'::regclass::oid".encode()).fetchone()
        assert row is not None, "SELECT without FROM returns a row"
        yield connection, TableId(row[0], MONTH)
    finally:
        connection.close()


def dump_command(server: PostgresServer, url: str) -> list[str]:
    """Return the command that dumps the month, without options for its output."""
    return [
        str(server.binaries / "pg_dump"),
        "--format=custom",
        f"--table={MONTH}",
        "--dbname",
        str(conninfo_to_dict(url)["dbname"]),
    ]


def environment_of(url: str) -> dict[str, str]:
    """Return the environment in which pg_dump finds the server."""
    parameters = conninfo_to_dict(url)
    names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password"}
    return os.environ | {name: str(parameters[key]) for name, key in names.items()}
