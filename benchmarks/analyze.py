"""ANALYZE of changed tables only, against ANALYZE of all tables."""

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median

from benchmarks.command import LIBRARIES, load_libraries, run
from benchmarks.outcomes import OURS, Outcome, Target, ratio
from benchmarks.servers import fresh_database, session
from benchmarks.tables import AROUND, URL_VARIABLE, time_run
from benchmarks.timing import Contender, interleave, seconds
from maintenance.demo.postgres import PostgresServer
from maintenance.policy import Policy, load_policy

PEER = "vacuumdb --analyze-only -j 2"
COMMAND = "maintenance apply, its whole process"
BY_HAND = "ANALYZE of the changed ones by hand, in two sessions"
NOTHING = "a run that finds nothing to do"
N_SESSIONS = 2
"""As many as the policy allows: in one, a run would be compared with half of its processors."""
WANTED = 1 / 8
MAX_OVER_BY_HAND = 1.15
COMMAND_LIMIT_S = 0.4

Work = Callable[[str, Sequence[int]], object]
"""Takes a database's URL, and the numbers of the tables that have changed."""

POLICY = f"""
database: {{name: benchmark, url: {{env: {URL_VARIABLE}}}}}
statistics: {{}}
parallel: {{statistics: {N_SESSIONS}}}
indexes: off
bloat: off
workload: off
capacity: off
"""
"""The peers do not look at the database's health, which is a benchmark of its own."""

STALE = """
SELECT count(*) FROM pg_catalog.pg_stat_user_tables
WHERE schemaname = 'public' AND n_mod_since_analyze >= 50
"""


@dataclass(frozen=True, slots=True)
class AnalyzeChanged:
    """A thousand analyzed tables, one in twenty of which has grown by a quarter since.

    All rounds share the database, since a clone does not copy the counters.
    """

    n_tables: int = 1_000
    n_rows: int = 3_000
    every: int = 20
    rounds: int = 5

    def run(self, server: PostgresServer) -> Outcome:
        program = server.binaries / "vacuumdb"
        with (
            tempfile.TemporaryDirectory() as folder,
            fresh_database(server) as database,
        ):
            path = Path(folder) / "policy.yaml"
            path.write_text(POLICY)
            policy, around_s = load_policy(path), list[float]()
            self._build(database.url)
            time_run(policy, [], database.url)
            turns = count()
            contenders: dict[str, Contender | None] = {
                OURS: partial(self._time, turns, partial(_maintain, policy, around_s)),
                NOTHING: partial(time_run, policy, []),
                BY_HAND: partial(self._time, turns, _analyze),
                PEER: partial(self._time, turns, partial(_vacuumdb, program)),
                COMMAND: partial(self._time, turns, partial(_command, policy)),
                LIBRARIES: lambda _url: load_libraries(),
            }
            samples = interleave(contenders, self.rounds, lambda: nullcontext(database))
            samples[AROUND] = tuple(around_s)
        share, by_hand = ratio(samples, OURS, PEER), ratio(samples, BY_HAND, PEER)
        over_by_hand, around = ratio(samples, OURS, BY_HAND), ratio(samples, AROUND, BY_HAND)
        least = by_hand * (1 + around)
        reason = (
            f"the server answers for {median(samples[AROUND]):.3f} s of it before and after the"
            f" work: two looks at {self.n_tables:,} tables and the journal"
        )
        parts = (LIBRARIES, AROUND, BY_HAND)
        process_least = sum(median(samples[part]) for part in parts)
        process = f"{median(samples[COMMAND]) - median(samples[OURS]):.2f} s load it (plan_process)"
        return Outcome(
            f"ANALYZE of {self.n_tables:,} tables, {self.n_tables // self.every} of them changed",
            "s",
            samples,
            (
                Target("maintenance apply, as a share of vacuumdb", share, WANTED, least, reason),
                Target(
                    "maintenance apply over ANALYZE by hand",
                    over_by_hand,
                    MAX_OVER_BY_HAND,
                    1 + around,
                    reason,
                ),
                Target(
                    "the whole process, s",
                    median(samples[COMMAND]),
                    COMMAND_LIMIT_S,
                    process_least,
                    process,
                ),
            ),
        )

    def _time(self, turns: Iterator[int], work: Work, url: str) -> float:
        # Other tables in each round: a table that grows repeatedly changes by a smaller share.
        changed = range(next(turns) % self.every, self.n_tables, self.every)
        _change(url, changed, self.n_rows // 4)
        while _n_stale(url) < len(changed):
            time.sleep(0.05)  # a session counts after it has ended
        took_s = seconds(lambda: work(url, changed))
        assert not _n_stale(url), "a stale table is left"
        return took_s

    def _build(self, url: str) -> None:
        with session(url) as connection:
            for number in range(self.n_tables):
                connection.execute(
                    f"CREATE TABLE t{number} (id int, at timestamptz, kind text, note text,"
                    " amount numeric) WITH (autovacuum_enabled = false);"
                    f"INSERT INTO t{number} SELECT i, now(), i % 7, repeat('n', i % 90), i * 1.5"
                    f" FROM generate_series(1, {self.n_rows}) i".encode()
                )
            connection.execute("ANALYZE")


def _n_stale(url: str) -> int:
    with session(url) as connection:
        row = connection.execute(STALE).fetchone()
    assert row is not None, "count(*) returns a row"
    return int(row[0])


def _change(url: str, numbers: Sequence[int], n_rows: int) -> None:
    with session(url) as connection:
        for number in numbers:
            connection.execute(
                f"INSERT INTO t{number} SELECT * FROM t{number} LIMIT {n_rows}".encode()
            )


def _analyze(url: str, changed: Sequence[int]) -> None:
    def analyze(numbers: Sequence[int]) -> None:
        with session(url) as connection:
            for number in numbers:
                connection.execute(f"ANALYZE t{number}".encode())

    with ThreadPoolExecutor(N_SESSIONS) as sessions:
        list(sessions.map(analyze, [changed[start::N_SESSIONS] for start in range(N_SESSIONS)]))


def _maintain(policy: Policy, around_s: list[float], url: str, _changed: Sequence[int]) -> None:
    time_run(policy, around_s, url)


def _command(policy: Policy, url: str, _changed: Sequence[int]) -> None:
    run(policy, url, "apply")


def _vacuumdb(program: Path, url: str, _changed: Sequence[int]) -> None:
    command = [str(program), "--analyze-only", "--jobs=2", "--quiet", f"--dbname={url}"]
    subprocess.run(command, check=True)
