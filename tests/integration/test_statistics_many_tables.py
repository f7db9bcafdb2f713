"""Statistics where much is going on: thousands of tables, tables that come and go, autovacuum."""

import re
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from maintenance.demo.postgres import PostgresServer, embedded_binaries
from maintenance.engine.executor import Outcome
from maintenance.pipeline import run as pipeline
from tests.builders import Database, server_folder
from tests.policies import make_policy
from tests.sessions import until

pytestmark = pytest.mark.pg("== 18")


@contextmanager
def coming_and_going(database: Database, kind: str) -> Generator[None]:
    """Create, fill and drop tables as fast as possible."""
    stop = threading.Event()

    def churn() -> None:
        with psycopg.connect(database.url, autocommit=True) as connection:
            while not stop.is_set():
                connection.execute(
                    f"CREATE {kind} fleeting AS SELECT generate_series(1, 9) n".encode()
                )
                connection.execute("DROP TABLE fleeting")

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("kind", ["TEMP TABLE", "TABLE", "UNLOGGED TABLE"])
def test_tables_that_come_and_go_meanwhile_disturb_nothing(
    database: Database, tmp_path: Path, kind: str
) -> None:
    # Autovacuum would leave nothing to do, if it came by just then.
    database.execute(
        "CREATE TABLE public.stays WITH (autovacuum_enabled = false)"
        " AS SELECT generate_series(1, 1000) n"
    )
    policy = make_policy(tmp_path, database.url, statistics={})
    with coming_and_going(database, kind):
        reports = [pipeline.apply(policy, only=["statistics"]) for _ in range(4)]
    assert [report.ok for report in reports] == [True] * 4
    first = {result.action.object: result.outcome for result in reports[0].results}
    assert first.pop("public.stays") is Outcome.DONE
    assert set(first) <= {"public.fleeting"}
    assert not {f.kind.value for r in reports for f in r.findings} - {"statistics_missing"}


@pytest.mark.slow
def test_among_ten_thousand_tables_only_the_changed_ones_are_analyzed(
    database: Database, tmp_path: Path
) -> None:
    for first in range(0, 10_000, 1000):  # a transaction's locks are limited
        database.execute(
            f"""
            DO $$ BEGIN FOR n IN {first}..{first + 999} LOOP
              EXECUTE format('CREATE TABLE public.t%s (id int)', n);
            END LOOP; END $$
            """
        )
    busy = ["t17", "t4711", "t9999"]
    for name in busy:
        database.execute(f"INSERT INTO public.{name} SELECT generate_series(1, 100)")
    policy = make_policy(tmp_path, database.url, statistics={})
    report = pipeline.apply(policy, only=["statistics"])
    assert report.ok
    assert {result.action.object for result in report.results} == {f"public.{n}" for n in busy}
    assert report.findings == ()


# Autovacuum


@pytest.fixture
def eager() -> Iterator[PostgresServer]:
    """A server whose autovacuum looks each second."""
    settings = {"autovacuum_naptime": "1s"}
    with server_folder() as folder:
        server = PostgresServer(
            embedded_binaries(18), folder / "eager", fsync=False, settings=settings
        )
        server.start()
        yield server
        server.remove()


SLOW = """
CREATE TABLE public.{name} (n int) WITH (autovacuum_analyze_threshold = 1,
  autovacuum_analyze_scale_factor = 0, autovacuum_vacuum_cost_delay = 100,
  autovacuum_vacuum_cost_limit = 1)
"""
AT_WORK = """
SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.relation = 'theirs'::regclass AND l.mode = 'ShareUpdateExclusiveLock'
  AND a.backend_type = 'autovacuum worker'
"""


def test_table_that_autovacuum_is_at_work_on_is_left_to_it_and_told(
    eager: PostgresServer, tmp_path: Path
) -> None:
    with psycopg.connect(eager.url(), autocommit=True) as connection:
        connection.execute(SLOW.format(name="theirs").encode())
        connection.execute("INSERT INTO theirs SELECT generate_series(1, 300000)")
        connection.execute("CREATE TABLE ours (n int) WITH (autovacuum_enabled = false)")
        connection.execute("INSERT INTO ours SELECT generate_series(1, 1000)")

        def is_at_work() -> bool:
            return connection.execute(AT_WORK).fetchone() == (1,)

        policy = make_policy(tmp_path, eager.url(), statistics={})
        until(is_at_work)
        report = pipeline.apply(policy, only=["statistics"])
        assert is_at_work(), "it was not disturbed"
    assert {result.action.object for result in report.results} == {"public.ours"}
    assert report.ok
    (skip,) = report.plan.skipped
    assert skip.object == "public.theirs"
    assert re.search(r"autovacuum \(pid \d+\)", skip.reason)
    assert report.findings == ()
