"""Kill the client, its backend or the server in the middle of ANALYZE, VACUUM and REINDEX.

Each is caught at a known moment: slowed down, or waiting for a session of ours. The next run has to
remove what the killed one left, end its work, and lose no row.
"""

import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from maintenance.engine.executor import Outcome
from maintenance.pipeline import run as pipeline
from maintenance.policy import load_policy
from tests.builders import Database
from tests.interruptions import OURS, Interruption, crash_server, end_backends, kill_client
from tests.policies import write_policy
from tests.sessions import until

pytestmark = [pytest.mark.slow, pytest.mark.pg("== 18")]

N_ROWS = 20_000
FILLED = f"""
CREATE TABLE public.filled (id bigint PRIMARY KEY, note text) WITH (autovacuum_enabled = false);
INSERT INTO public.filled SELECT n, 'note ' || n FROM generate_series(1, {N_ROWS}) n;
"""
SLOWLY = {"vacuum_cost_delay": "100", "vacuum_cost_limit": "1", "vacuum_cost_page_hit": "1"}

INTERRUPTIONS = [kill_client, end_backends, crash_server]


def interrupted(
    database: Database, policy: Path, interrupt: Interruption, moment: Callable[[], bool]
) -> None:
    """Start the command line, wait for a moment, interrupt, and wait until all of it is over."""
    program = [sys.executable, "-c", "from maintenance.cli import main; main()"]
    with subprocess.Popen(
        [*program, "apply", "--policy", str(policy)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr

        def has_come() -> bool:
            assert process.poll() is None, process.stderr and process.stderr.read()
            return moment()

        until(has_come)
        interrupt(database, process)
        assert "Traceback" not in process.stderr.read()
    until(lambda: not database.execute(OURS))


def outcomes(policy: Path) -> dict[str, Outcome]:
    report = pipeline.apply(load_policy(policy))
    assert report.ok, [result.error for result in report.results]
    return {f"{r.action.kind} {r.action.object}": r.outcome for r in report.results}


# ANALYZE and VACUUM


def slowly(database: Database) -> None:
    for name, value in SLOWLY.items():
        database.execute(f"ALTER DATABASE {database.name} SET {name} = {value}")


def at_full_speed(database: Database) -> None:
    for name in SLOWLY:
        database.execute(f"ALTER DATABASE {database.name} RESET {name}")


@pytest.mark.parametrize("interrupt", INTERRUPTIONS)
@pytest.mark.parametrize("kind", ["analyze", "vacuum"])
def test_interrupted_analyze_and_vacuum_are_done_by_the_next_run(
    database: Database, tmp_path: Path, kind: str, interrupt: Interruption
) -> None:
    policy = write_policy(tmp_path, database.url, statistics={})
    database.execute(FILLED)
    if kind == "vacuum":
        database.execute("ANALYZE public.filled")
        database.execute("DELETE FROM public.filled WHERE id % 2 = 0")
    kept = database.execute("SELECT count(*), sum(id) FROM public.filled")
    slowly(database)
    progress = f"SELECT 1 FROM pg_stat_progress_{kind} WHERE relid = 'public.filled'::regclass"
    interrupted(database, policy, interrupt, lambda: bool(database.execute(progress)))
    at_full_speed(database)
    if interrupt is crash_server and kind == "vacuum":
        # the server has forgotten which rows died; whoever deletes more tells it
        database.execute("DELETE FROM public.filled WHERE id % 4 = 1")
        kept = database.execute("SELECT count(*), sum(id) FROM public.filled")
    assert outcomes(policy) == {f"{kind}_table public.filled": Outcome.DONE}
    assert outcomes(policy) == {}
    assert database.execute("SELECT count(*), sum(id) FROM public.filled") == kept


# REINDEX

BUILDS = "SELECT phase FROM pg_stat_progress_create_index"
INDEXES = """
SELECT c.relname, i.indisvalid AND i.indisready AND i.indislive
FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid WHERE i.indrelid = 'public.filled'::regclass
"""
BY_INDEX = "SELECT count(*), sum(id) FROM public.filled WHERE id > 0"
BLOCKERS = {
    "waiting for writers before build": "UPDATE public.filled SET note = note WHERE id = 4",
    "waiting for old snapshots": "SELECT 1 FROM pg_class",
    "waiting for readers before marking dead": "SELECT 1 FROM public.filled",
}
"""What a session has done that the build waits for in a phase."""


@contextmanager
def blocking(database: Database, phase: str) -> Generator[psycopg.Connection[Any]]:
    with database.connect(autocommit=False) as holder:
        if "snapshots" in phase:
            holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        holder.execute(BLOCKERS[phase].encode())
        try:
            yield holder
        finally:
            with suppress(psycopg.OperationalError):  # the server may have gone
                holder.rollback()


@pytest.mark.parametrize("interrupt", INTERRUPTIONS)
@pytest.mark.parametrize("phase", BLOCKERS)
def test_interrupted_rebuild_is_cleaned_up_by_oid_and_done_by_the_next_run(
    database: Database, tmp_path: Path, phase: str, interrupt: Interruption
) -> None:
    section = {
        "min_size": "100 kB",
        "index_fraction": 0.3,
        "reindex": "concurrently",
        "reindex_unique": ["public.filled_pkey"],
    }
    policy = write_policy(
        tmp_path, database.url, bloat=section, indexes={"preflight": {"free_disk": "1 MB"}}
    )
    database.execute(FILLED)
    database.execute("DELETE FROM public.filled WHERE id % 4 > 0")
    database.vacuum("public.filled")
    with blocking(database, phase):
        interrupted(database, policy, interrupt, lambda: (phase,) in database.execute(BUILDS))
        left = database.execute(INDEXES)
        database.execute("INSERT INTO public.filled SELECT n, '' FROM generate_series(-9, -1) n")
    assert ("filled_pkey", True) in left
    assert [is_valid for name, is_valid in left if name != "filled_pkey"] == [False]
    outcomes(policy)
    assert database.execute(INDEXES) == [("filled_pkey", True)]
    assert outcomes(policy) == {}
    with database.connect() as connection:
        connection.execute("SET enable_seqscan = off")
        assert connection.execute(BY_INDEX).fetchone() == (
            N_ROWS // 4,
            N_ROWS // 4 * (N_ROWS + 4) // 2,
        )
        assert connection.execute("SELECT count(*) FROM filled WHERE id < 0").fetchone() == (9,)
    assert database.execute("SELECT 1 FROM maintenance.rebuild WHERE ended_at IS NULL") == []
