"""A nightly refresh of twelve views, three of them changed, and the decision alone."""

import tempfile
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
import yaml

from benchmarks.outcomes import OURS, Outcome, Target, ratio
from benchmarks.servers import Database, fresh_database, session
from benchmarks.timing import Contender, interleave, seconds
from maintenance.demo.postgres import PostgresServer
from maintenance.engine import target as engine_target
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy, load_policy
from maintenance.server.cost_meter import metered
from maintenance.server.session import Timeouts, connect
from maintenance.subjects.matviews.freshness import assess_all
from maintenance.subjects.matviews.models import MatviewsObservation
from maintenance.subjects.matviews.observe import see

N_VIEWS = 12
N_CHANGED = 3
ALL = "REFRESH CONCURRENTLY, one after the other"
BARE = "the same of the changed ones, in two sessions"
N_SESSIONS = 2
"""As many as the policy allows."""
DECISION = "observing and judging"
STATEMENTS = "of that, its statements alone"
TIMES = 5.0
MAX_OVER_BARE = 1.1
LIMIT_S = 0.05


@dataclass(frozen=True, slots=True)
class Matviews:
    """Twelve views, each of its own table; three tables change."""

    n_rows: int = 400_000
    rounds: int = 3

    def run(self, server: PostgresServer) -> Outcome:
        with tempfile.TemporaryDirectory() as folder, fresh_database(server) as database:
            tables = [f"source_{n}" for n in range(N_VIEWS)]
            with session(database.url) as connection:
                for table in tables:
                    _fill(connection, table, self.n_rows)
            policy = _policy(Path(folder), tables, "SELECT g, count(*) AS n, sum(v) AS v FROM {}")
            assert _apply(policy, database.url) > 0
            views = [str(view.name) for view in policy.matviews]
            contenders: dict[str, Contender | None] = {
                ALL: partial(_refresh, views, n_sessions=1),
                OURS: partial(_apply, policy),
                BARE: partial(_refresh, views[:N_CHANGED], n_sessions=N_SESSIONS),
            }
            place = partial(_changed, database, tables[:N_CHANGED])
            samples = interleave(contenders, self.rounds, place)
            _check_content(policy, database.url)
        return Outcome(
            f"{N_VIEWS} views of {self.n_rows:,} rows each, {N_CHANGED} changed",
            "s",
            samples,
            (
                Target("of the time of refreshing all", ratio(samples, OURS, ALL), 1 / TIMES),
                Target("over refreshing the changed", ratio(samples, OURS, BARE), MAX_OVER_BARE),
            ),
        )


@dataclass(frozen=True, slots=True)
class MatviewDecision:
    """Twelve views over one table of two hundred partitions; nothing has changed."""

    n_leaves: int = 200
    rounds: int = 9

    def run(self, server: PostgresServer) -> Outcome:
        with tempfile.TemporaryDirectory() as folder, fresh_database(server) as database:
            with session(database.url) as connection:
                _partition(connection, self.n_leaves)
            views = [f"view_{n}" for n in range(N_VIEWS)]
            query = "SELECT g, count(*) AS n, sum(v) AS v FROM sliced"
            policy = _policy(Path(folder), views, query)
            assert _apply(policy, database.url) > 0
            statements_s: list[float] = []
            decided = [_decide(policy, database.url, statements_s) for _ in range(self.rounds)]
            samples = {DECISION: tuple(decided), STATEMENTS: tuple(statements_s)}
        least = median(statements_s)
        reason = f"the server answers for {least:.3f} s of it"
        return Outcome(
            f"skip decision for {N_VIEWS} views over {self.n_leaves} leaf partitions",
            "s",
            samples,
            (Target("the decision, s", median(samples[DECISION]), LIMIT_S, least, reason),),
        )


def _fill(connection: psycopg.Connection[Any], table: str, n_rows: int) -> None:
    connection.execute(
        f"CREATE TABLE {table} AS SELECT n AS id, n % 100000 AS g, n AS v"
        f" FROM generate_series(1, {n_rows}) n".encode()
    )
    connection.execute(f"ANALYZE {table}".encode())


def _partition(connection: psycopg.Connection[Any], n_leaves: int) -> None:
    connection.execute("CREATE TABLE sliced (g int, part int, v int) PARTITION BY LIST (part)")
    for part in range(n_leaves):
        connection.execute(
            f"CREATE TABLE sliced_{part} PARTITION OF sliced FOR VALUES IN ({part})".encode()
        )
    connection.execute(
        b"INSERT INTO sliced SELECT n %% 50, n %% %d, n FROM generate_series(1, 20000) n" % n_leaves
    )


def _policy(folder: Path, names: list[str], query: str) -> Policy:
    views: list[dict[str, Any]] = []
    for name in names:
        (folder / f"{name}.sql").write_text(f"{query.format(name)} GROUP BY g")
        view = {"name": f"mv_{name}", "definition": f"{name}.sql", "unique_index": ["g"]}
        views.append({**view, "mode": "concurrently"})
    document = {
        "database": {"name": "bench", "url": {"env": "BENCH"}},
        "matviews": views,
        "parallel": {"matviews": N_SESSIONS},
    }
    path = folder / "policy.yaml"
    path.write_text(yaml.safe_dump(document))
    return load_policy(path)


@contextmanager
def _changed(database: Database, tables: Sequence[str]) -> Generator[Database]:
    """Change one row in a hundred of some tables; the database and its counters are kept."""
    with session(database.url) as connection:
        for table in tables:
            connection.execute(f"UPDATE {table} SET v = v + 1 WHERE g % 100 = 7".encode())
    yield database


def _refresh(views: Sequence[str], url: str, *, n_sessions: int) -> float:
    def refresh(names: Sequence[str]) -> None:
        with session(url) as connection:
            for name in names:
                connection.execute(f"REFRESH MATERIALIZED VIEW CONCURRENTLY {name}".encode())

    with ThreadPoolExecutor(n_sessions) as sessions:
        shares = [views[start::n_sessions] for start in range(n_sessions)]
        return seconds(lambda: list(sessions.map(refresh, shares)))


def _apply(policy: Policy, url: str) -> float:
    """Time a whole run, from connecting to the last line of its journal."""

    def work() -> None:
        report = pipeline.apply(engine_target.Target(policy, {"BENCH": url}), only=("matviews",))
        assert report.ok, report.findings

    return seconds(work)


def _check_content(policy: Policy, url: str) -> None:
    with session(url) as connection:
        for view in policy.matviews:
            assert view.definition is not None
            query = view.definition.read_text()
            differing = connection.execute(
                f"(TABLE {view.name} EXCEPT {query}) UNION ALL ({query} EXCEPT TABLE {view.name})"
                " LIMIT 1".encode()
            ).fetchall()
            assert differing == [], view.name


def _decide(policy: Policy, url: str, statements_s: list[float]) -> float:
    """Time the decision that nothing is to be done, on open sessions; and its statements."""
    timeouts = Timeouts(policy.locks.lock_timeout, policy.observe.time_cap)
    with metered() as meter:
        connection = connect(url, application="benchmark", timeouts=timeouts)
        store = connect(url, application="benchmark store", timeouts=timeouts)
    before_s = meter.total.seconds

    def decide() -> None:
        views, moment, _ = see(connection, store, policy)
        verdicts = assess_all(policy, MatviewsObservation(views, moment))
        assert all(verdict.as_of is not None for verdict in verdicts.values()), verdicts

    try:
        took_s = seconds(decide)
        statements_s.append(meter.total.seconds - before_s)
        return took_s
    finally:
        connection.close()
        store.close()
