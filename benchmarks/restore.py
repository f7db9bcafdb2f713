"""A month restored from its archive and verified, against pg_restore, which does not verify."""

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from benchmarks.month import (
    FACTS,
    MONTH,
    PERIOD,
    READ,
    connected,
    dump_command,
    environment_of,
    fill,
    place_in,
    read_alone,
)
from benchmarks.outcomes import OURS, Outcome, Target, ratio
from benchmarks.servers import fresh_database, session
from benchmarks.tables import URL_VARIABLE
from benchmarks.timing import Contender, interleave, seconds
from maintenance.archives import write_archive
from maintenance.demo.postgres import PostgresServer
from maintenance.engine.target import Target as Reached
from maintenance.pipeline.restore import restore_period
from maintenance.policy import Policy, load_policy

PEER = "pg_restore, custom format"
BARE = "pg_restore, custom format without compression: COPY and the key alone"
OPTIONS: Mapping[str, Sequence[str]] = {PEER: (), BARE: ("--compress=0",)}
"""The options of pg_dump for each contender."""
MAX_OVER_PEER = 1.0


@dataclass(frozen=True, slots=True)
class RestoreMonth:
    """One month of 1 GB from a local folder into an empty database, each in one session."""

    n_rows: int = 5_500_000
    rounds: int = 3

    def run(self, server: PostgresServer) -> Outcome:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            with fresh_database(server) as database:
                size_gb = fill(database.url, self.n_rows)
                reading = [read_alone(database.url) for _ in range(self.rounds)]
                with connected(database.url) as (connection, table):
                    write_archive(connection, table, place_in(name), FACTS)
                dumps = {
                    peer: _dump(server, database.url, folder / f"{number}.dump", options)
                    for number, (peer, options) in enumerate(OPTIONS.items())
                }
            contenders: dict[str, Contender | None] = {
                OURS: self._checked(partial(_ours, _policy(folder), name)),
                **{peer: self._checked(partial(_peer, server, dumps[peer])) for peer in dumps},
            }
            samples = interleave(contenders, self.rounds, lambda: fresh_database(server))
            samples[READ] = tuple(reading)
        over_peer = ratio(samples, OURS, PEER)
        return Outcome(
            f"a month of {size_gb:.2f} GB restored",
            "s",
            samples,
            (
                Target(
                    "maintenance, verified, over pg_restore",
                    over_peer,
                    MAX_OVER_PEER,
                    ratio(samples, BARE, PEER) + ratio(samples, READ, PEER),
                    "what was restored is read again and compared with the archive before it is"
                    " attached, by one COPY more",
                ),
            ),
        )

    def _checked(self, contender: Contender) -> Contender:
        def run(url: str) -> float:
            took = contender(url)
            with session(url) as connection:
                found = connection.execute(f"SELECT count(*) FROM {MONTH}".encode()).fetchone()
            assert found == (self.n_rows,), found
            return took

        return run


def _policy(folder: Path) -> Policy:
    path = folder / "policy.yaml"
    database = {"name": "benchmark", "url": {"env": URL_VARIABLE}}
    path.write_text(yaml.safe_dump({"database": database}))
    return load_policy(path)


def _dump(server: PostgresServer, url: str, file: Path, options: Sequence[str]) -> Path:
    command = [*dump_command(server, url), *options, "--file", str(file)]
    subprocess.run(command, check=True, env=environment_of(url))
    return file


def _ours(policy: Policy, archives: str, url: str) -> float:
    target = Reached(policy, {URL_VARIABLE: url})
    return seconds(lambda: restore_period(target, MONTH, PERIOD, url=archives))


def _peer(server: PostgresServer, dump: Path, url: str) -> float:
    command = [str(server.binaries / "pg_restore"), "--exit-on-error", "--dbname", url, str(dump)]
    return seconds(lambda: subprocess.run(command, check=True))
