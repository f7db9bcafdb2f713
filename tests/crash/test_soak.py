"""Days come and go beside an application at work, and runs are killed again and again.

Every acknowledged row must be there in the end exactly once, in the table or in an archive; no
row may be missing for a reader before its retention ends; no writer may wait or be refused.
"""

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from maintenance.archives import ArchivePlace, Manifest, list_archives
from maintenance.archives.formats import texts
from maintenance.archives.objects import Folder
from maintenance.names import QualifiedName
from maintenance.pipeline import run as pipeline
from maintenance.policy import load_policy
from tests.builders import ROOT, Database
from tests.policies import write_policy
from tests.soak import CREATE_EVENTS, DAY, KEEP, LAG, PREMAKE, Clock, Row, at_work, first

SEED = 20261120
TABLE = QualifiedName("public", "events")
MAX_DONE = 7
"""So many actions are done before a process is killed, at most."""
MAX_DELAY_S = 0.05
"""About what the next action takes."""
DAYS = 6 * DAY
"""So many days pass at least: the first ones expire, whatever the machine does meanwhile."""
KILLED = "killed"
OK = "ok"
FAILED = "failed"

BEGIN = "begin"

KEEPER = """
import sys
import time
from datetime import datetime
from pathlib import Path
from maintenance.pipeline import run as pipeline
from maintenance.policy import load_policy

def say(line):
    print(line, flush=True)

policy = load_policy(Path(sys.argv[1]))
say("begin")
for line in sys.stdin:
    report = pipeline.apply(policy, now=datetime.fromisoformat(line.strip()), progress=say)
    say("ok" if report.ok else f"failed: {[finding.message for finding in report.findings]}")
    time.sleep(0.1)
    say("begin")
"""


def policy_file(folder: Path, database: Database, clock: Clock) -> Path:
    """Three days are kept, five made ahead, and the first day is under legal hold."""
    retention = {
        "keep": f"{KEEP.days} days",
        "action": "archive_then_drop",
        "archive": {"url": str(folder / "archive")},
        "max_per_run": 100,
        "hold": [clock.held_day.date()],
    }
    start = (clock.origin - KEEP).date()
    events = {"table": str(TABLE), "column": "at", "interval": "1 day", "premake": PREMAKE}
    events |= {"start": start, "retention": retention}
    locks = {"give_up_after": "20 seconds"}
    return write_policy(folder, database.url, events, locks=locks)


def keep_and_kill(policy: Path, clock: Clock, rng: random.Random, until: float) -> Iterator[str]:
    """Run maintenance again and again in a process that is killed now and then.

    It goes on for the days that the rows need to expire, and until a run was left to its end.

    Yields:
        What it said, line by line, `OK` for each run that did all it had to.
    """
    has_ended = False

    def is_over() -> bool:
        return time.monotonic() >= until and clock.now() >= clock.origin + DAYS

    while not (is_over() and has_ended):
        with a_keeper(policy) as process:
            assert process.stdout
            n_left = rng.randint(1, MAX_DONE)
            began = clock.now()
            while not has_ended if is_over() else n_left:
                line = process.stdout.readline().rstrip()
                assert line, f"ended by itself: {process.wait()}"
                n_left -= line.startswith("[")
                if line == BEGIN:
                    began = clock.now()
                    tell(process, began)
                elif line == OK:
                    clock.limit("the newest complete run", began + LAG)
                has_ended = has_ended or line.startswith((OK, FAILED))
                yield line
            time.sleep(rng.uniform(0, MAX_DELAY_S))
            process.kill()
            yield KILLED


def tell(process: "subprocess.Popen[str]", now: datetime) -> None:
    assert process.stdin
    process.stdin.write(f"{now.isoformat()}\n")
    process.stdin.flush()


@contextmanager
def a_keeper(policy: Path) -> "Generator[subprocess.Popen[str]]":
    """A process that runs maintenance at each moment that it is told."""
    program = [sys.executable, "-c", KEEPER, str(policy)]
    pipe = subprocess.PIPE
    with subprocess.Popen(program, stdin=pipe, stdout=pipe, text=True, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def archived(folder: Path) -> Iterator[tuple[int, Row]]:
    """The rows of all archives, from the COPY text that they hold."""
    url = str(folder / "archive")
    for period, manifest in list_archives(url, "app", TABLE):
        assert isinstance(manifest, Manifest), f"archive of {period}: {manifest}"
        place = ArchivePlace(url, "app", TABLE, period)
        text = b"".join(texts(Folder(place), manifest.data, manifest.columns)).decode()
        for line in text.splitlines():
            number, at, kind, value = line.split("\t")
            yield int(number), Row(datetime.fromisoformat(at), kind, int(value))


def standing(database: Database) -> Iterator[tuple[int, Row]]:
    for number, *row in database.execute("SELECT id, at, kind, value FROM public.events"):
        yield number, Row(*row)


def account(
    rows: dict[int, Row], gone: set[int], there: list[tuple[int, Row]], kept: list[tuple[int, Row]]
) -> dict[str, Any]:
    """The faults in the rows of the table and of the archives; empty if there are none."""
    found = dict([*there, *kept])
    numbers = Counter(number for number, _ in (*there, *kept))
    wrong = {
        "lost": first({n: row for n, row in rows.items() if n not in found}),
        "doubled": [n for n, times in numbers.items() if times > 1],
        "back again": sorted(gone & found.keys()),
        "unknown": first({n: row for n, row in found.items() if n not in rows and n not in gone}),
        "changed": first({n: (r, found[n]) for n, r in rows.items() if found.get(n, r) != r}),
    }
    return {what: which for what, which in wrong.items() if which}


def soak(
    database: Database, folder: Path, *, seconds: float, day_s: float, longest_s: list[float]
) -> None:
    """Let an application work for so long while days of `day_s` seconds come and go.

    `longest_s` has a reader each: how long its snapshots stay open at most, 0 for no time.
    """
    clock = Clock(day_s)
    rng = random.Random(SEED)
    database.execute(CREATE_EVENTS)
    path = policy_file(folder, database, clock)
    policy = load_policy(path)
    assert pipeline.apply(policy, now=clock.origin).ok
    clock.limit("the newest complete run", clock.origin + LAG)
    with at_work(database, clock, SEED, n_writers=2, longest_s=longest_s) as application:
        said = list(keep_and_kill(path, clock, rng, time.monotonic() + seconds))
    assert not application.errors, application.told(said)
    assert [line for line in said if FAILED in line] == []
    assert application.n_looks > 0
    assert {KILLED, OK} <= set(said)
    end = clock.now()
    last = pipeline.apply(policy, now=end)
    assert last.ok, [result.error for result in last.results]
    assert pipeline.plan(policy, now=end).plan.actions == ()
    there, kept = list(standing(database)), list(archived(folder))
    assert account(application.rows, application.gone, there, kept) == {}
    early = {number: row for number, row in kept if not clock.may_be_gone(row.at, end)}
    assert not early, f"{len(early)} rows went before their retention ended: {first(early)}"
    assert min(map(len, (there, kept, application.gone))) > 0


@pytest.mark.pg("== 18")
def test_no_row_is_lost_or_hidden_while_days_come_and_go(
    database: Database, tmp_path: Path
) -> None:
    soak(database, tmp_path, seconds=15, day_s=2, longest_s=[0, 1])


@pytest.mark.slow
def test_no_row_is_lost_or_hidden_while_many_days_come_and_go(
    database: Database, tmp_path: Path
) -> None:
    soak(database, tmp_path, seconds=120, day_s=5, longest_s=[0, 0, 3, 3])
