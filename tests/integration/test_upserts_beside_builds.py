"""Up to PostgreSQL 18 upserts fail with false unique violations beside the build of a unique index.

It is the server's fault: no statement of the application violates a constraint. It is shown here
because the warnings, and the rule to rebuild no unique index unasked, rest on it.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from maintenance.engine.executor import Outcome
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.run import Report
from tests.builders import Database
from tests.policies import make_policy
from tests.sessions import until

pytestmark = [pytest.mark.slow, pytest.mark.pg("<= 18")]

HOT = """
CREATE TABLE public.hot (k int NOT NULL, v int NOT NULL, CONSTRAINT hot_k UNIQUE (k));
INSERT INTO public.hot SELECT n, 0 FROM generate_series(0, 999) n;
"""
UPSERT = "INSERT INTO public.hot VALUES (%s, 1) ON CONFLICT (k) DO UPDATE SET v = hot.v + 1"
DELETE = "DELETE FROM public.hot WHERE k = %s"
N_SESSIONS = 8
N_KEYS = 4
N_ATTEMPTS = 5
LONGEST_S = 20.0
"""How long the build is held open in one attempt, at most."""


class Application:
    """Sessions that delete and upsert a few hot keys, and the unique violations that they get."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.violations: Counter[str] = Counter()
        self.stop = threading.Event()

    def repeat(self, seed: int) -> None:
        dice = random.Random(seed)
        with psycopg.connect(self.database.url, autocommit=True) as connection:
            while not self.stop.is_set():
                key = [dice.randrange(N_KEYS)]
                try:
                    if dice.random() < 0.5:
                        connection.execute(DELETE, key)
                    connection.execute(UPSERT, key)
                except psycopg.errors.UniqueViolation as exc:
                    self.violations[exc.diag.constraint_name or ""] += 1
                except psycopg.errors.DeadlockDetected:
                    continue  # seen beside builds too


@contextmanager
def at_work(database: Database) -> Generator[Application]:
    application = Application(database)
    threads = [threading.Thread(target=application.repeat, args=(n,)) for n in range(N_SESSIONS)]
    for thread in threads:
        thread.start()
    try:
        yield application
    finally:
        application.stop.set()
        for thread in threads:
            thread.join()


def violations_beside(database: Database, build: Callable[[], None]) -> Counter[str]:
    """The false unique violations beside a build, which an older snapshot holds open."""
    with at_work(database) as application, database.connect(autocommit=False) as holder:
        holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        holder.execute("SELECT 1 FROM pg_class")
        assert not application.violations
        building = threading.Thread(target=build)
        building.start()
        until(lambda: bool(database.execute("SELECT 1 FROM pg_stat_progress_create_index")))
        deadline = time.monotonic() + LONGEST_S
        while not application.violations and time.monotonic() < deadline:
            time.sleep(0.05)
        holder.rollback()
        building.join()
        return application.violations


def first_violations(database: Database, build: Callable[[], None]) -> Counter[str]:
    """The violations of the first attempt that has some."""
    for _ in range(N_ATTEMPTS):
        found = violations_beside(database, build)
        if found:
            return found
    return Counter()


def test_upserts_fail_beside_a_rebuild_of_their_unique_index(database: Database) -> None:
    database.execute(HOT)

    def rebuild() -> None:
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute("REINDEX INDEX CONCURRENTLY public.hot_k")

    found = first_violations(database, rebuild)
    assert found
    assert {name.removesuffix("1") for name in found} <= {"hot_k", "hot_k_ccnew", "hot_k_ccold"}


def test_upserts_fail_beside_the_rollout_of_a_unique_index(
    database: Database, tmp_path: Path
) -> None:
    database.execute(HOT)
    (tmp_path / "declared.sql").write_text(
        "CREATE UNIQUE INDEX hot_k_v ON public.hot (k) INCLUDE (v);"
    )
    section: dict[str, Any] = {"declared": "declared.sql", "preflight": {"free_disk": "1 MB"}}
    policy = make_policy(tmp_path, database.url, indexes=section)
    reports: list[Report] = []

    def roll_out() -> None:
        database.execute("DROP INDEX IF EXISTS public.hot_k_v")
        reports.append(pipeline.apply(policy, only=["indexes"]))

    found = first_violations(database, roll_out)
    assert set(found) == {"hot_k_v"}
    (result,) = reports[-1].results
    assert result.outcome in (Outcome.DONE, Outcome.FAILED), "a deadlock may end the build too"
    assert "upserts" in result.action.detail
