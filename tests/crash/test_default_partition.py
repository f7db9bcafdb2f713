"""Kill the client, its backends or the server while a default partition is put right.

A crowd works on the table all the time. In the end every acknowledged row is there once, nothing
of ours is left, and nobody has seen a row missing or doubled, or waited too long.
"""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.builders import Database, Role
from tests.interruptions import OURS, Interruption, Process, crash_server, end_backends, kill_client
from tests.load_generator import FAR, NEIGHBOURS, SPREAD, build, crowd, moments, month, rows_there
from tests.policies import EVENTS, write_policy
from tests.sessions import until

SEED = 20261120
MAX_DELAY_S = 1.5
"""About what a drain takes."""

LEFT = """
SELECT relname::text FROM pg_class WHERE relname LIKE 'maintenance%'
UNION ALL SELECT proname FROM pg_proc WHERE proname LIKE 'maintenance%'
UNION ALL SELECT tgname FROM pg_trigger WHERE tgname LIKE 'maintenance%'
UNION ALL SELECT conname FROM pg_constraint WHERE conname LIKE 'maintenance%'
UNION ALL SELECT relname FROM pg_class WHERE reloptions::text LIKE '%autovacuum%'
"""

RELEASED = "SELECT relname FROM pg_class WHERE relname = 'events_default_released'"

MANY_TIMES = 20

LIMIT_S = 3600
"""Of a proof with dozens of runs, on a machine that has much other work."""

pytestmark = pytest.mark.timeout(LIMIT_S)


def start(database: Database, folder: Path, role: Role | None) -> Process:
    """The command line, at work on the default partition, by default as the superuser."""
    section = {**EVENTS, "premake": 2, "start": month(-3)[:7]}
    url = database.url_of(role) if role is not None else database.url
    policy = write_policy(folder, url, section, locks={"give_up_after": "10 minutes"})
    program = [sys.executable, "-c", "from maintenance.cli import main; main()"]
    return subprocess.Popen(
        [*program, "apply", "--only", "partitions", "--policy", str(policy)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def interrupted(
    database: Database,
    folder: Path,
    interrupt: Interruption,
    rng: random.Random,
    role: Role | None = None,
) -> None:
    with start(database, folder, role) as process:
        sign = rng.choice([OURS, LEFT, LEFT])
        until(lambda: bool(database.execute(sign)) or process.poll() is not None)
        if sign == OURS:  # what is there may be gone soon
            time.sleep(rng.uniform(0, MAX_DELAY_S))
        interrupt(database, process)
        _, said = process.communicate()
    assert "Traceback" not in said
    until(lambda: not database.execute(OURS))


def run_to_its_end(database: Database, folder: Path, role: Role | None) -> None:
    with start(database, folder, role) as process:
        out, said = process.communicate()
    assert process.returncode == 0, out + said


def completed(database: Database, folder: Path, role: Role | None = None) -> None:
    """Run to the end: at once, or after a run that gives back a name that was released."""
    if database.execute(RELEASED):
        run_to_its_end(database, folder, role)
        assert database.execute(RELEASED) == []
    run_to_its_end(database, folder, role)
    assert database.execute(LEFT) == []
    within = f"at >= '{month(-3)} 00:00+00' AND at < '{month(3)} 00:00+00'"
    assert database.execute(f"SELECT FROM public.events_default WHERE {within}") == []


def prove(
    database: Database,
    folder: Path,
    interrupt: Interruption,
    n_times: int,
    busy: list[str],
    role: Role | None = None,
) -> None:
    """Interrupt runs again and again, let one end, and settle the account."""
    rng = random.Random(f"{SEED} {interrupt.__name__} {n_times}")
    with crowd(database, busy, rng.randrange(1 << 30)) as people:
        for _ in range(n_times):
            interrupted(database, folder, interrupt, rng, role)
        completed(database, folder, role)
    assert people.errors == []
    assert people.n_written > 50
    assert people.n_read > 5
    assert rows_there(database) == people.rows


def prove_drain(
    database: Database,
    folder: Path,
    interrupt: Interruption,
    n_times: int,
    trees: tuple[str, ...] = (),
) -> None:
    build(database, [-1], [*moments(*SPREAD), *FAR], 15_000, trees)
    prove(database, folder, interrupt, n_times, [*moments(*SPREAD, -1), *FAR])


def prove_swap(database: Database, folder: Path, interrupt: Interruption, n_times: int) -> None:
    build(database, [-3, -2, 1, 2], moments(*NEIGHBOURS), 15_000)
    prove(database, folder, interrupt, n_times, moments(*NEIGHBOURS, -2, 1))


ENDS = [kill_client, end_backends]


@pytest.mark.pg("== 18")
def test_drain_that_was_interrupted_is_done_by_a_later_run(
    database: Database, tmp_path: Path
) -> None:
    prove_drain(database, tmp_path, kill_client, n_times=2)


@pytest.mark.pg("== 18")
def test_swap_that_was_interrupted_is_done_by_a_later_run(
    database: Database, tmp_path: Path
) -> None:
    prove_swap(database, tmp_path, kill_client, n_times=2)


@pytest.mark.pg("== 15")
@pytest.mark.parametrize(
    "interrupt", [kill_client, pytest.param(end_backends, marks=pytest.mark.slow)]
)
def test_drain_with_the_rights_of_an_owner_is_done_by_a_later_run(
    database: Database,
    tmp_path: Path,
    owner_role: Role,
    limited_role: Role,
    interrupt: Interruption,
) -> None:
    build(database, [-1], [*moments(*SPREAD), *FAR], 15_000)
    database.give_to(owner_role)
    database.execute(
        f"GRANT CREATE ON SCHEMA public TO {owner_role.name};"
        f" GRANT {owner_role.name}, pg_read_all_data, pg_monitor TO {limited_role.name}"
    )
    prove(database, tmp_path, interrupt, 2, [*moments(*SPREAD, -1), *FAR], limited_role)


@pytest.mark.slow
def test_drain_goes_on_after_a_crash_of_the_server(database: Database, tmp_path: Path) -> None:
    build(database, [-1], moments(*SPREAD, 40), 15_000)
    before = database.execute("SELECT count(*), sum(hashtext(e::text)) FROM public.events e")
    rng = random.Random(SEED)
    for _ in range(6):
        interrupted(database, tmp_path, crash_server, rng)
    completed(database, tmp_path)
    assert before == database.execute(
        "SELECT count(*), sum(hashtext(e::text)) FROM public.events e"
    )


@pytest.mark.slow
@pytest.mark.parametrize("interrupt", ENDS)
@pytest.mark.parametrize("trees", [(), ("months", "default")], ids=["plain", "trees"])
def test_drain_interrupted_many_times_loses_nothing(
    database: Database, tmp_path: Path, interrupt: Interruption, trees: tuple[str, ...]
) -> None:
    prove_drain(database, tmp_path, interrupt, MANY_TIMES, trees)


@pytest.mark.slow
@pytest.mark.parametrize("interrupt", ENDS)
def test_swap_interrupted_many_times_loses_nothing(
    database: Database, tmp_path: Path, interrupt: Interruption
) -> None:
    prove_swap(database, tmp_path, interrupt, MANY_TIMES)
