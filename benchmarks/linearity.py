"""A hundred thousand partitions: growth of the time with their number, and peak memory."""

import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from math import log, nan
from pathlib import Path

from benchmarks.command import run_plan
from benchmarks.nothing_to_do import PREMAKE
from benchmarks.outcomes import Outcome, Target
from benchmarks.servers import fresh_database, session
from benchmarks.tables import Shape, build, settle, write_policy
from benchmarks.timing import Contender, interleave
from maintenance.demo.postgres import PostgresServer
from maintenance.policy import Policy

MAX_EXPONENT = 1.05
MAX_PEAK_MB = 400.0


@dataclass(frozen=True, slots=True)
class Linearity:
    """`maintenance plan` for one, for half and for all of 910 tables of 110 months."""

    n_tables: int = 910
    n_months: int = 110
    rounds: int = 3

    def run(self, server: PostgresServer) -> Outcome:
        shape = Shape(self.n_tables, behind=self.n_months - PREMAKE - 2, ahead=PREMAKE + 1)
        sizes = (1, self.n_tables // 2, self.n_tables)
        peaks_mb: list[float] = []
        with tempfile.TemporaryDirectory() as folder, fresh_database(server) as database:
            with session(database.url) as connection:
                build(connection, shape)
                settle(connection)
            contenders = {
                f"maintenance plan for {n:,} tables": _planning(
                    write_policy(Path(folder) / f"{n}.yaml", shape.tables[:n], PREMAKE),
                    peaks_mb,
                )
                for n in sizes
            }
            samples = interleave(contenders, self.rounds, lambda: nullcontext(database))
        # The minimum of each: medians vary mostly with other load on the machine.
        exponent = _exponent(sizes, [min(values) for values in samples.values()])
        return Outcome(
            f"nothing to do, in a database of {shape.n_partitions:,} partitions",
            "s",
            samples,
            (
                Target("exponent of the time by the number of tables", exponent, MAX_EXPONENT),
                Target("peak memory, MB", max(peaks_mb), MAX_PEAK_MB),
            ),
        )


def _planning(policy: Policy, peaks_mb: list[float]) -> Contender:
    def plan(url: str) -> float:
        cost = run_plan(policy, url)
        peaks_mb.append(cost.peak_mb)
        return cost.seconds

    return plan


def _exponent(sizes: Sequence[int], times: Sequence[float]) -> float:
    """Return the power of the number of tables by which the time grows, without that of the first.

    Not a number, which meets no target, if noise hides the growth.
    """
    (one, half, whole), (at_one, at_half, at_whole) = sizes, times
    if min(at_half, at_whole) <= at_one:
        return nan
    return log((at_whole - at_one) / (at_half - at_one)) / log((whole - one) / (half - one))
