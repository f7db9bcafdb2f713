"""A month archived and verified by reading it back, against pg_dump, which does not verify."""

import os
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg
import zstandard
from psycopg.conninfo import conninfo_to_dict

from benchmarks.outcomes import OURS, Outcome, Target, ratio
from benchmarks.servers import fresh_database, session
from benchmarks.timing import Contender, interleave, seconds
from maintenance.archives import ArchivePlace, Facts, TableId, verify_archive, write_archive
from maintenance.archives.formats import ZSTD_LEVEL
from maintenance.demo.postgres import PostgresServer
from maintenance.names import QualifiedName
from maintenance.server.session import Timeouts, connect

DUMP_ZSTD = "pg_dump -Fc, zstd"
DUMP_GZIP = "pg_dump -Fc, gzip as by default"
VERIFY = "of it: reading back alone"
MONTH = QualifiedName("public", "events_2026_01")
PIPE_BYTES = 2**18

FILL = f"""
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
"""A month of analytics_events of the learning platform."""


@dataclass(frozen=True, slots=True)
class ArchiveMonth:
    """One month of 1 GB to a local folder, with the same compressor and level."""

    n_rows: int = 5_500_000
    rounds: int = 3

    def run(self, server: PostgresServer) -> Outcome:
        with tempfile.TemporaryDirectory() as folder, fresh_database(server) as database:
            with session(database.url) as connection:
                connection.execute(FILL.replace("%s", str(self.n_rows)).encode())
                connection.execute(f"VACUUM ANALYZE {MONTH}".encode())
                size = connection.execute(f"SELECT pg_table_size('{MONTH}')".encode()).fetchone()
            assert size is not None, "it was just made"
            reading: list[float] = []
            contenders: dict[str, Contender | None] = {
                OURS: lambda url: _ours(url, Path(folder), self.n_rows, reading),
                DUMP_ZSTD: _dump_zstd(server, Path(folder)),
                DUMP_GZIP: lambda url: _dump(server, url, Path(folder), ()),
            }
            samples = interleave(contenders, self.rounds, lambda: nullcontext(database))
        return Outcome(
            f"a month of {size[0] / 2**30:.2f} GB archived",
            "s",
            samples | {VERIFY: tuple(reading)},
            (
                Target(
                    "maintenance, verified, over pg_dump with zstd",
                    ratio(samples, OURS, DUMP_ZSTD),
                    1.0,
                ),
                Target(
                    "maintenance, verified, over pg_dump with gzip",
                    ratio(samples, OURS, DUMP_GZIP),
                    1.0,
                ),
            ),
        )


def _ours(url: str, folder: Path, n_rows: int, reading: list[float]) -> float:
    facts = Facts("timestamp", "", None, None, "", "")
    with tempfile.TemporaryDirectory(dir=folder) as target:
        place = ArchivePlace(target, "benchmark", MONTH, "2026-01")
        with _connected(url) as (connection, table):
            took = seconds(lambda: write_archive(connection, table, place, facts))
            archived = write_archive(connection, table, place, facts)
        assert archived.reused
        assert archived.manifest.n_rows == n_rows
        reading.append(seconds(lambda: verify_archive(place, archived.manifest)))
    return took


@contextmanager
def _connected(url: str) -> Generator[tuple[psycopg.Connection[tuple[object, ...]], TableId]]:
    timeouts = Timeouts(timedelta(seconds=1), timedelta(minutes=1))
    connection = connect(url, application="benchmark", timeouts=timeouts)
    try:
        row = connection.execute(f"SELECT '{MONTH}'::regclass::oid".encode()).fetchone()
        assert row is not None, "SELECT without FROM returns a row"
        yield connection, TableId(row[0], MONTH)
    finally:
        connection.close()


def _dump_zstd(server: PostgresServer, folder: Path) -> Contender:
    """Run pg_dump with its own Zstandard if built with it, else compress its plain output."""

    def dump(url: str) -> float:
        if _knows_zstd(server, url):
            return _dump(server, url, folder, (f"--compress=zstd:{ZSTD_LEVEL}",))
        return seconds(lambda: _dump_through(server, url, folder))

    return dump


def _dump(server: PostgresServer, url: str, folder: Path, options: tuple[str, ...]) -> float:
    command = [*_command(server, url), *options, "--file", str(folder / "month.dump")]
    return seconds(lambda: subprocess.run(command, check=True, env=_environment(url)))


def _dump_through(server: PostgresServer, url: str, folder: Path) -> None:
    command = [*_command(server, url), "--compress=0"]
    with (
        (folder / "month.dump.zst").open("wb") as file,
        subprocess.Popen(command, stdout=subprocess.PIPE, env=_environment(url)) as process,
    ):
        assert process.stdout is not None, "a pipe was asked for"
        zstandard.ZstdCompressor(level=ZSTD_LEVEL).copy_stream(
            process.stdout, file, read_size=PIPE_BYTES
        )
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, "pg_dump")


def _knows_zstd(server: PostgresServer, url: str) -> bool:
    command = [*_command(server, url), "--compress=zstd", "--schema-only", "--file", os.devnull]
    tried = subprocess.run(command, check=False, capture_output=True, env=_environment(url))
    return tried.returncode == 0


def _command(server: PostgresServer, url: str) -> list[str]:
    return [
        str(server.binaries / "pg_dump"),
        "--format=custom",
        f"--table={MONTH}",
        "--dbname",
        str(conninfo_to_dict(url)["dbname"]),
    ]


def _environment(url: str) -> dict[str, str]:
    parameters = conninfo_to_dict(url)
    names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password"}
    return os.environ | {name: str(parameters[key]) for name, key in names.items()}
