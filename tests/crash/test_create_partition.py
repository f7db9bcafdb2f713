"""Kill the client, its backends or the server while partitions are made, and run again.

Interruptions come at random moments, in the same order each time. What is there in the end must
be what an undisturbed run makes, and no acknowledged row may be missing.
"""

import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from maintenance.pipeline import run as pipeline
from tests.builders import Database, drop_database, make_database
from tests.policies import CREATE_EVENTS, EVENTS, make_policy, write_policy
from tests.sessions import until

SEED = 20261120
MAX_MADE = 15
"""So many partitions a disturbed run may make before it is interrupted."""
MAX_DELAY_S = 0.02
"""About what two partitions take."""
UNREACHABLE = 3
N_SESSIONS = 2
"""One works, one keeps the journal."""

SCHEMA = f"""
CREATE TABLE public.users (id bigint PRIMARY KEY);
INSERT INTO public.users SELECT generate_series(0, 9);
{CREATE_EVENTS};
ALTER TABLE public.events ADD author bigint REFERENCES public.users;
CREATE UNIQUE INDEX events_identity ON public.events (at, id);
ALTER TABLE public.events REPLICA IDENTITY USING INDEX events_identity;
"""

SHAPE = """
SELECT c.relname, c.relkind::text, c.relreplident::text, pg_get_expr(c.relpartbound, c.oid),
       i.indisvalid, i.indisreplident,
       (SELECT array_agg(pg_get_constraintdef(k.oid) ORDER BY k.conname)
          FROM pg_constraint k WHERE k.conrelid = c.oid),
       (SELECT array_agg(h.inhparent::regclass::text) FROM pg_inherits h WHERE h.inhrelid = c.oid)
FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace ORDER BY c.relname
"""

HALF_MADE = """
SELECT relname FROM pg_class
WHERE relname ~ '^events_\\d+_\\d+$' AND relkind = 'r' AND NOT relispartition
"""

OURS = "SELECT pid FROM pg_stat_activity WHERE starts_with(application_name, 'maintenance ')"

RUNS = """
SELECT r.outcome, count(j.run_id) - count(j.outcome)
FROM maintenance.run r LEFT JOIN maintenance.journal j ON j.run_id = r.id
GROUP BY r.id ORDER BY r.started_at
"""


@dataclass
class Writer:
    """A session that inserts steadily, comes back after every fall, and keeps count."""

    database: Database
    acknowledged: set[int] = field(default_factory=set[int])
    _number: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self._stop.wait(0.02):
            with suppress(psycopg.OperationalError):
                self._insert_until_it_falls()

    def _insert_until_it_falls(self) -> None:
        with psycopg.connect(self.database.url, autocommit=True) as connection:
            while not self._stop.wait(0.002):
                self._number += 1
                with suppress(psycopg.errors.CheckViolation):  # its month does not exist yet
                    connection.execute(
                        "INSERT INTO public.events (id, at, author)"
                        " VALUES (%(n)s, now() + %(n)s %% 60 * interval '31 days', %(n)s %% 10)",
                        {"n": self._number},
                    )
                    self.acknowledged.add(self._number)


@contextmanager
def writing(database: Database) -> Generator[Writer]:
    writer = Writer(database)
    thread = threading.Thread(target=writer.run)
    thread.start()
    try:
        yield writer
    finally:
        writer._stop.set()
        thread.join()


Process = subprocess.Popen[str]
Interruption = Callable[[Database, Process], object]


def kill_client(_database: Database, process: Process) -> None:
    process.kill()


def end_backends(database: Database, _process: Process, application: str = "%") -> None:
    database.execute(
        f"SELECT pg_terminate_backend(pid) FROM ({OURS} AND application_name LIKE %s) AS ours",
        [f"maintenance {application}"],
    )


def end_working_backend(database: Database, process: Process) -> None:
    end_backends(database, process, "apply %")


def end_storing_backend(database: Database, process: Process) -> None:
    end_backends(database, process, "store %")


def crash_server(database: Database, process: Process) -> None:
    database.server.stop(immediate=True)
    process.wait()
    database.server.start()


ALL_DONE = re.compile(r"\[(\d+)/\1\]")
PROGRESS = re.compile(r"\[\d+/\d+\]")


def start(database: Database, folder: Path, premake: int) -> Process:
    """The command line, at work on all partitions that are still missing."""
    policy = write_policy(folder, database.url, {**EVENTS, "premake": premake})
    program = [sys.executable, "-c", "from maintenance.cli import main; main()"]
    return subprocess.Popen(
        [*program, "apply", "--policy", str(policy)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def disturb(
    database: Database, process: Process, interrupt: Interruption, rng: random.Random
) -> None:
    """Interrupt a run when it has connected, or when it has made some partitions."""
    assert process.stderr
    while len(database.execute(OURS)) < N_SESSIONS:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    said = [process.stderr.readline() for _ in range(rng.randint(0, MAX_MADE))]
    time.sleep(rng.uniform(0, MAX_DELAY_S))
    interrupt(database, process)
    said.append(process.stderr.read())
    process.wait()
    text = "".join(said)
    assert "Traceback" not in text
    # It had just ended, or the runs before had left it nothing to do.
    came_too_late = process.returncode == 0 and (ALL_DONE.search(text) or not PROGRESS.search(text))
    assert came_too_late or interrupt is kill_client or process.returncode == UNREACHABLE, text


def undisturbed(database: Database, folder: Path, premake: int) -> list[tuple[Any, ...]]:
    """The partitions that an undisturbed run creates in an equal database."""
    other = make_database(database.server)
    other.execute(SCHEMA)
    folder.mkdir()
    assert pipeline.apply(make_policy(folder, other.url, {**EVENTS, "premake": premake})).ok
    shape = other.execute(SHAPE)
    drop_database(other)
    return shape


def prove(
    database: Database, folder: Path, interrupt: Interruption, *, n_times: int, premake: int
) -> None:
    """Interrupt runs repeatedly, let one finish, and compare the result with an undisturbed run."""
    rng = random.Random(f"{SEED} {interrupt.__name__} {n_times}")
    database.execute(SCHEMA)
    with writing(database) as writer:
        for _ in range(n_times):
            with start(database, folder, premake) as process:
                disturb(database, process, interrupt, rng)
            until(lambda: not database.execute(OURS))
            assert database.execute(HALF_MADE) == []
        with start(database, folder, premake) as last:
            _, said = last.communicate()
        assert last.returncode == 0, said
    ids = [row[0] for row in database.execute("SELECT id FROM public.events")]
    assert writer.acknowledged <= set(ids)
    assert len(writer.acknowledged) > n_times
    assert len(ids) == len(set(ids))
    *interrupted, complete = database.execute(RUNS)
    assert complete == ("done", 0)
    assert {outcome for outcome, _ in interrupted} <= {None, "failed"}
    assert sum(n_open for _, n_open in interrupted) > 0
    assert database.execute(SHAPE) == undisturbed(database, folder / "undisturbed", premake)


@pytest.mark.pg("== 18")
@pytest.mark.parametrize("interrupt", [kill_client, end_backends, crash_server])
def test_interrupted_runs_end_where_an_undisturbed_one_does(
    database: Database, tmp_path: Path, interrupt: Interruption
) -> None:
    prove(database, tmp_path, interrupt, n_times=3, premake=66)


# A run that only lost its store goes on for the half second between two writes to it, so many
# partitions must be wanted for the last run to find something left.
@pytest.mark.slow
@pytest.mark.parametrize(
    "interrupt",
    [kill_client, end_backends, end_working_backend, end_storing_backend, crash_server],
)
def test_many_interrupted_runs_end_where_an_undisturbed_one_does(
    database: Database, tmp_path: Path, interrupt: Interruption
) -> None:
    prove(database, tmp_path, interrupt, n_times=6, premake=900)
