"""A month archived and verified by reading it back, against pg_dump, which does not verify."""

import os
import subprocess
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import zstandard

from benchmarks.month import (
    FACTS,
    READ,
    connected,
    dump_command,
    environment_of,
    fill,
    place_in,
    read_alone,
)
from benchmarks.outcomes import OURS, Outcome, Target, ratio
from benchmarks.servers import fresh_database
from benchmarks.timing import Contender, interleave, seconds
from maintenance.archives import verify_archive, write_archive
from maintenance.archives.formats import ZSTD_LEVEL
from maintenance.demo.postgres import PostgresServer

DUMP_ZSTD = "pg_dump -Fc, zstd"
DUMP_GZIP = "pg_dump -Fc, gzip as by default"
VERIFY = "of it: reading back alone"
PIPE_BYTES = 2**18
MAX_OVER_ZSTD = 0.8


@dataclass(frozen=True, slots=True)
class ArchiveMonth:
    """One month of 1 GB to a local folder, with the same compressor and level."""

    n_rows: int = 5_500_000
    rounds: int = 3

    def run(self, server: PostgresServer) -> Outcome:
        with tempfile.TemporaryDirectory() as folder, fresh_database(server) as database:
            size_gb = fill(database.url, self.n_rows)
            reading: list[float] = []
            contenders: dict[str, Contender | None] = {
                OURS: lambda url: _ours(url, Path(folder), self.n_rows, reading),
                DUMP_ZSTD: _dump_zstd(server, Path(folder)),
                DUMP_GZIP: lambda url: _dump(server, url, Path(folder), ()),
                READ: read_alone,
            }
            samples = interleave(contenders, self.rounds, lambda: nullcontext(database))
            samples[VERIFY] = tuple(reading)
        return Outcome(
            f"a month of {size_gb:.2f} GB archived",
            "s",
            samples,
            (
                Target(
                    "maintenance, verified, over pg_dump with zstd",
                    ratio(samples, OURS, DUMP_ZSTD),
                    MAX_OVER_ZSTD,
                    ratio(samples, READ, DUMP_ZSTD) + ratio(samples, VERIFY, DUMP_ZSTD),
                    "the server's COPY uses one processor, and the archive can be read back"
                    " only when it is complete; pg_dump reads nothing back",
                ),
                Target(
                    "maintenance, verified, over pg_dump with gzip",
                    ratio(samples, OURS, DUMP_GZIP),
                    1.0,
                ),
            ),
        )


def _ours(url: str, folder: Path, n_rows: int, reading: list[float]) -> float:
    with tempfile.TemporaryDirectory(dir=folder) as target:
        place = place_in(target)
        with connected(url) as (connection, table):
            took = seconds(lambda: write_archive(connection, table, place, FACTS))
            archived = write_archive(connection, table, place, FACTS)
        assert archived.reused
        assert archived.manifest.n_rows == n_rows
        reading.append(seconds(lambda: verify_archive(place, archived.manifest)))
    return took


def _dump_zstd(server: PostgresServer, folder: Path) -> Contender:
    """Run pg_dump with its own Zstandard if built with it, else compress its plain output."""

    def dump(url: str) -> float:
        if _knows_zstd(server, url):
            return _dump(server, url, folder, (f"--compress=zstd:{ZSTD_LEVEL}",))
        return seconds(lambda: _dump_through(server, url, folder))

    return dump


def _dump(server: PostgresServer, url: str, folder: Path, options: tuple[str, ...]) -> float:
    command = [*dump_command(server, url), *options, "--file", str(folder / "month.dump")]
    return seconds(lambda: subprocess.run(command, check=True, env=environment_of(url)))


def _dump_through(server: PostgresServer, url: str, folder: Path) -> None:
    command = [*dump_command(server, url), "--compress=0"]
    with (
        (folder / "month.dump.zst").open("wb") as file,
        subprocess.Popen(command, stdout=subprocess.PIPE, env=environment_of(url)) as process,
    ):
        assert process.stdout is not None, "a pipe was asked for"
        zstandard.ZstdCompressor(level=ZSTD_LEVEL).copy_stream(
            process.stdout, file, read_size=PIPE_BYTES
        )
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, "pg_dump")


def _knows_zstd(server: PostgresServer, url: str) -> bool:
    command = [*dump_command(server, url), "--compress=zstd", "--schema-only", "--file", os.devnull]
    tried = subprocess.run(command, check=False, capture_output=True, env=environment_of(url))
    return tried.returncode == 0
