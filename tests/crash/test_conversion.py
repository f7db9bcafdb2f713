"""Kill the client, its backends or the server while a table is converted, and run again.

Each step is one transaction, so the interruptions come between every two steps, and at random
moments within them. In the end every acknowledged row is there once, and nothing of ours is left.
"""

import itertools
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from maintenance.engine.findings import FindingKind
from maintenance.errors import MaintenanceError
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from tests.builders import Database, Role
from tests.conversions import EVENTS, PLAIN, fill, shape
from tests.crash.test_default_partition import LIMIT_S
from tests.interruptions import OURS, Interruption, Process, end_backends, kill_client
from tests.load_generator import always_read, crowd, moments, rows_there
from tests.policies import make_policy, write_policy
from tests.sessions import until

pytestmark = [pytest.mark.in_turn, pytest.mark.timeout(LIMIT_S)]

BUSY = moments(-2, -1, 0)
LEFT = """
SELECT relname::text FROM pg_class
 WHERE relname LIKE 'maintenance%' AND relnamespace = 'public'::regnamespace
UNION ALL SELECT conname FROM pg_constraint WHERE conname LIKE 'maintenance_convert%'
"""
KIND = "SELECT relkind::text FROM pg_class WHERE oid = 'public.events'::regclass"
UNFINISHED = """
SELECT FROM pg_index WHERE NOT indisvalid AND indrelid = 'public.events'::regclass
"""
READ = "SELECT pg_sleep(%s) FROM (SELECT FROM public.events LIMIT 1) AS one"
MOST_RUNS = 20
PATIENT = {"give_up_after": "10 minutes"}
"""Nothing waits so long but on a machine with much other work."""


class ClientDiedError(BaseException):
    """Ends a run between two steps, without any of its clean-up."""


def die(_database: Database) -> None:
    raise ClientDiedError


def end_sessions(database: Database) -> None:
    database.execute(f"SELECT pg_terminate_backend(pid) FROM ({OURS}) AS ours")


def crash(database: Database) -> None:
    database.server.stop(immediate=True)
    database.server.start()


def one_step(
    policy: Policy,
    database: Database,
    interrupt: Callable[[Database], None],
    before: str = "step 2 of",
) -> bool:
    """Run until a step is about to begin, then interrupt; whether it was."""
    interrupted: list[str] = []

    def disturb(line: str) -> None:
        if before in line and not interrupted:
            interrupted.append(line)
            interrupt(database)

    try:
        pipeline.apply(policy, progress=disturb)
    except (ClientDiedError, MaintenanceError):
        assert interrupted
    return bool(interrupted)


def converge(policy: Policy, database: Database, interrupt: Callable[[Database], None]) -> int:
    """Interrupt each run after one step, until there is nothing left to do; how many there were."""
    for n_runs in range(MOST_RUNS):
        if not one_step(policy, database, interrupt):
            return n_runs
    raise AssertionError("it never ended")


def assert_settled(policy: Policy, database: Database) -> None:
    assert database.execute(KIND) == [("p",)]
    assert database.execute(LEFT) == []
    report = pipeline.apply(policy)
    assert report.results == ()
    assert FindingKind.NOT_PARTITIONED not in {f.kind for f in report.findings}


@pytest.mark.parametrize("interrupt", [die, end_sessions])
def test_run_that_ends_between_any_two_steps_is_continued_under_load(
    database: Database, tmp_path: Path, interrupt: Callable[[Database], None]
) -> None:
    fill(database, BUSY)
    policy = make_policy(tmp_path, database.url, {**EVENTS, "premake": 2}, locks=PATIENT)
    with crowd(database, BUSY, 7) as people:
        n_runs = converge(policy, database, interrupt)
    # the index, the CHECK, its validation, the swap
    assert n_runs == 4
    assert people.errors == []
    assert rows_there(database) == people.rows
    assert_settled(policy, database)


@pytest.mark.pg("== 18")
def test_crash_of_the_server_between_any_two_steps_loses_nothing(
    database: Database, tmp_path: Path
) -> None:
    database.execute(PLAIN)
    database.execute("ALTER TABLE public.events ALTER at DROP NOT NULL")
    before = database.execute("SELECT id, at, note FROM public.events ORDER BY id")
    policy = make_policy(tmp_path, database.url, {**EVENTS, "premake": 2}, locks=PATIENT)
    assert converge(policy, database, crash) == 5
    assert database.execute("SELECT id, at, note FROM public.events ORDER BY id") == before
    assert_settled(policy, database)


@pytest.mark.parametrize("n_steps", range(1, 5))
def test_interrupted_conversion_is_undone_without_a_trace(
    database: Database, tmp_path: Path, n_steps: int
) -> None:
    database.execute(PLAIN)
    database.execute("ALTER TABLE public.events ALTER at DROP NOT NULL")
    before = shape(database)
    policy = make_policy(tmp_path, database.url, EVENTS)
    for _ in range(n_steps):
        assert one_step(policy, database, die)
    assert database.execute(KIND) == [("r",)]
    never = make_policy(tmp_path, database.url, {**EVENTS, "convert": "never"})
    pipeline.apply(never, only=["conversion"])
    after = shape(database)
    if n_steps >= 4:  # the key has been set NOT NULL, which is kept
        database.execute("ALTER TABLE public.events ALTER at DROP NOT NULL")
        after = shape(database)
    assert after == before


SURROUNDED = """
CREATE TABLE public.notes (id bigserial PRIMARY KEY, event_at timestamptz NOT NULL, event bigint
  NOT NULL CONSTRAINT notes_event REFERENCES public.events ON DELETE CASCADE);
CREATE INDEX ON public.notes (event, event_at);
INSERT INTO public.notes (event, event_at) SELECT id, at FROM public.events WHERE id <= 1000;
CREATE MATERIALIZED VIEW public.totals AS
  SELECT kind, count(*) AS n FROM public.events WHERE kind = 'base' GROUP BY kind;
CREATE UNIQUE INDEX ON public.totals (kind);
CREATE VIEW public.shown AS SELECT n FROM public.totals;
"""
"""A table that references the load generator's, and a materialized view that reads it."""

LONGER = {
    **EVENTS,
    "premake": 2,
    "referenced_by": [{"table": "public.notes", "constraint": "notes_event", "column": "event_at"}],
}
LAST_STEPS = (
    "is right",
    "put the partitioned table",
    "build materialized view",
    "replace materialized view",
    "validate foreign key",
)
"""What is done before each of them is found again; the first one proves and leaves nothing."""


@contextmanager
def noting(database: Database) -> Generator[list[str]]:
    """Write rows that reference the table, and read the view, without a pause; what went wrong."""
    errors: list[str] = []
    stopped = threading.Event()

    def run() -> None:
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute("SET lock_timeout = '2s'")
            for id_ in itertools.cycle(range(1001, 15_000)):
                if stopped.is_set():
                    return
                try:
                    written = connection.execute(
                        "INSERT INTO public.notes (event, event_at)"
                        " SELECT id, at FROM public.events WHERE id = %s",
                        [id_],
                    ).rowcount
                    connection.execute(
                        "DELETE FROM public.notes WHERE event = %s AND event > 1000", [id_ - 5]
                    )
                    read = connection.execute("SELECT n FROM public.shown").fetchone()
                    if (written, read) != (1, (15_000,)):
                        errors.append(f"wrote {written}, read {read}")
                except psycopg.Error as exc:
                    errors.append(f"{type(exc).__name__} {exc}")

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield errors
    finally:
        stopped.set()
        thread.join()


@pytest.mark.parametrize("interrupt", [die, end_sessions])
def test_surrounded_table_is_converted_under_load_whatever_step_a_run_ends_at(
    database: Database, tmp_path: Path, interrupt: Callable[[Database], None]
) -> None:
    fill(database, BUSY)
    database.execute(SURROUNDED)
    policy = make_policy(tmp_path, database.url, LONGER, locks=PATIENT)
    with crowd(database, BUSY, 7) as people, noting(database) as errors:
        for _ in range(3):  # the index, the CHECK, its validation
            assert one_step(policy, database, interrupt)
        for what in LAST_STEPS:
            assert one_step(policy, database, interrupt, what), what
        assert pipeline.apply(policy).ok
    assert [*people.errors, *errors] == []
    assert rows_there(database) == people.rows
    assert_settled(policy, database)
    keys = database.execute(
        "SELECT convalidated, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conname = 'notes_event' AND conparentid = 0"
    )
    assert keys == [
        (
            True,
            "FOREIGN KEY (event, event_at) REFERENCES events(id, at) ON DELETE CASCADE",
        )
    ]
    ((text,),) = database.execute("SELECT pg_get_viewdef('public.totals'::regclass)")
    assert "FROM events\n" in text


def on_top(reader: Role) -> str:
    """What an application's table has: text ids, grants, row security, a publication."""
    return f"""
DROP VIEW public.looked;
ALTER TABLE public.events ALTER id TYPE text;
CREATE VIEW public.looked AS SELECT id, at, value FROM public.events;
GRANT SELECT, UPDATE (value) ON public.events TO {reader.name};
GRANT SELECT ON public.looked TO {reader.name};
CREATE POLICY own ON public.events FOR SELECT TO {reader.name} USING (value > 0);
ALTER TABLE public.events ENABLE ROW LEVEL SECURITY;
CREATE PUBLICATION told FOR TABLE public.events WITH (publish_via_partition_root = true);
"""


@contextmanager
def long_reader(database: Database, seconds: float) -> Generator[list[str]]:
    """A query that reads the table for a while; its errors."""
    errors: list[str] = []

    def run() -> None:
        try:
            database.execute(READ, [seconds])
        except psycopg.Error as exc:
            errors.append(str(exc))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield errors
    finally:
        thread.join()


@pytest.mark.pg("== 18")
def test_killed_conversion_beside_a_long_reader_loses_no_row_and_fails_no_statement(
    database: Database, tmp_path: Path, limited_role: Role
) -> None:
    fill(database, BUSY)
    database.execute(on_top(limited_role))
    policy = make_policy(tmp_path, database.url, {**EVENTS, "premake": 2}, locks=PATIENT)
    with (
        crowd(database, BUSY, 9, n_writers=4, n_readers=1) as people,
        long_reader(database, 2) as failed_reads,
    ):
        with database.connect(autocommit=False) as older, start(database, tmp_path) as killed:
            # the build waits for its end, as it does for the long reader
            older.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            older.execute("SELECT FROM public.events LIMIT 1")
            until(lambda: bool(database.execute(UNFINISHED)))
            kill_client(database, killed)
            killed.communicate()
        with start(database, tmp_path) as last:
            out, said = last.communicate()
        assert last.returncode == 0, out + said
    assert [*people.errors, *failed_reads] == []
    assert rows_there(database) == people.rows
    assert_settled(policy, database)


@pytest.mark.pg("== 18")
def test_unfinished_index_is_removed_where_every_query_outlasts_the_lock_timeout(
    database: Database, tmp_path: Path
) -> None:
    fill(database, BUSY)
    (oid,) = database.execute("SELECT 'public.events'::regclass::oid::bigint")[0]
    name = f"maintenance_convert_{oid}_key"
    database.execute(f"CREATE INDEX CONCURRENTLY {name} ON public.events (id)")
    database.execute(
        f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{name}'::regclass"
    )
    limits = {"give_up_after": "3 s", "patient_lock_timeout": "100 ms"}
    policy = make_policy(tmp_path, database.url, {**EVENTS, "premake": 2}, locks=limits)
    left: list[tuple[str]] = []

    def stop_at_build(line: str) -> None:
        if "step 2 of" in line:
            left.extend(database.execute(LEFT))
            raise ClientDiedError

    with always_read(database, "public.events"), pytest.raises(ClientDiedError):
        pipeline.apply(policy, only=["conversion"], progress=stop_at_build)
    assert left == []


def start(database: Database, folder: Path) -> Process:
    policy = write_policy(folder, database.url, {**EVENTS, "premake": 2}, locks=PATIENT)
    program = [sys.executable, "-c", "from maintenance.cli import main; main()"]
    return subprocess.Popen(
        [
            *program,
            "apply",
            "--only",
            "conversion,partitions",
            "--policy",
            str(policy),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("interrupt", [kill_client, end_backends])
def test_run_that_ends_at_any_moment_is_continued_under_load(
    database: Database, tmp_path: Path, interrupt: Interruption
) -> None:
    fill(database, BUSY)
    rng = random.Random(f"{interrupt.__name__}")
    with crowd(database, BUSY, 8) as people:
        for _ in range(8):
            with start(database, tmp_path) as process:
                until(lambda: bool(database.execute(OURS)) or process.poll() is not None)
                time.sleep(rng.uniform(0, 0.6))
                interrupt(database, process)
                _, said = process.communicate()
            assert "Traceback" not in said
            until(lambda: not database.execute(OURS))
        with start(database, tmp_path) as last:
            out, said = last.communicate()
    assert last.returncode == 0, out + said
    assert people.errors == []
    assert rows_there(database) == people.rows
    policy = make_policy(tmp_path, database.url, {**EVENTS, "premake": 2})
    assert_settled(policy, database)
