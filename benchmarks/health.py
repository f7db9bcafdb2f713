"""All health observations of a database with a hundred thousand relations."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple

import yaml

from benchmarks.outcomes import OURS, Outcome, Target
from benchmarks.servers import Database, fresh_database, session
from benchmarks.timing import seconds
from maintenance.demo.postgres import PostgresServer
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.registry import SUBJECTS
from maintenance.pipeline.run import Report
from maintenance.policy import Policy, load_policy

STATEMENTS = "its statements alone"
LIMIT_S = 1.5
HEALTH = ("statistics", "indexes", "bloat", "workload", "capacity")
BATCH = 500


@dataclass(frozen=True, slots=True)
class Health:
    """Tables with a primary key and a TOAST table: four relations each, with its index."""

    n_tables: int = 25_000
    n_filled: int = 50
    rounds: int = 3

    def run(self, server: PostgresServer) -> Outcome:
        names = [subject.name for subject in SUBJECTS if subject.name in HEALTH]
        with fresh_database(server) as database, tempfile.TemporaryDirectory() as folder:
            _build(database, self.n_tables, self.n_filled)
            policy = _policy(Path(folder), database, names)
            pipeline.apply(policy, only=names)
            looks = [_look(policy, names) for _ in range(self.rounds)]
            samples = {
                OURS: tuple(look.seconds for look in looks),
                STATEMENTS: tuple(look.statements_s for look in looks),
                **{name: (_look(policy, [name]).seconds,) for name in names},
            }
        return Outcome(
            f"looking at the health of {4 * self.n_tables:,} relations ({', '.join(names)})",
            "s",
            samples,
            (
                Target(
                    "all of it after connect, s",
                    median(samples[OURS]),
                    LIMIT_S,
                    median(samples[STATEMENTS]),
                    f"the server answers for {median(samples[STATEMENTS]):.2f} s of it",
                ),
            ),
        )


def _policy(folder: Path, database: Database, names: list[str]) -> Policy:
    sections: dict[str, dict[str, str]] = {name: {} for name in names}
    document = {"database": {"name": "app", "url": database.url}, **sections}
    path = folder / "app.yaml"
    path.write_text(yaml.safe_dump(document))
    return load_policy(path)


class _Look(NamedTuple):
    seconds: float
    statements_s: float


def _look(policy: Policy, names: list[str]) -> _Look:
    reports: list[Report] = []
    took = seconds(lambda: reports.append(pipeline.plan(policy, only=names)))
    (report,) = reports
    blind = [each for each in report.findings if each.kind == "monitor_blind"]
    assert not blind, blind
    return _Look(took, sum(cost.seconds for cost in report.costs.values()))


def _build(database: Database, n_tables: int, n_filled: int) -> None:
    with session(database.url) as connection:
        for statement in _statements(n_tables, n_filled):
            connection.execute(statement.encode())
    with session(database.url) as connection:
        connection.execute("VACUUM (ANALYZE)")


def _statements(n_tables: int, n_filled: int) -> Iterator[str]:
    for start in range(0, n_tables, BATCH):
        yield (
            f"DO $$ BEGIN FOR n IN {start}..{min(start + BATCH, n_tables) - 1} LOOP"
            " EXECUTE format('CREATE TABLE public.t%s (id bigint PRIMARY KEY, note text)', n);"
            " END LOOP; END $$"
        )
    for n in range(n_filled):
        yield f"INSERT INTO t{n} SELECT i, repeat('x', 100) FROM generate_series(1, 100000) i"
        yield f"DELETE FROM t{n} WHERE id % 2 = 0"
