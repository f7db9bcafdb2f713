"""Months come and go beside an application at work, and runs are killed again and again.

Beside writers and readers there are bulk loads, snapshots of seconds, transactions left open,
autovacuum, pg_dump, a subscriber and a replica with queries. Every acknowledged row must be there
in the end exactly once, in the table or in an archive, on the subscriber and on the replica; no row
may be missing for a reader before its retention ends; no statement of the application may fail.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from maintenance.archives import ArchivePlace, Manifest, list_archives
from maintenance.archives.formats import texts
from maintenance.archives.objects import Folder
from maintenance.demo.postgres import PostgresServer
from maintenance.engine.actions import ActionKind
from maintenance.names import QualifiedName
from maintenance.pipeline import run as pipeline
from maintenance.policy import load_policy
from tests.builders import ROOT, Database, make_database, server_folder
from tests.crash.reliability_page import PAGE_WANTED, write_soak
from tests.policies import write_policy
from tests.replicas import caught_up, make_replica
from tests.sessions import until
from tests.soak import KEEP, LAG, PREMAKE, Clock, Row, month_of, months_after, read_rows
from tests.soak_keeper import BEGIN, CONVERTED, FAILED, OK, REFUSED, UNDONE
from tests.soak_sessions import TABLES, Application, at_work

SEED = 20261120
EVENTS = QualifiedName("public", "events")
MAX_DONE = 25
"""So many actions are done before a process is killed, at most."""
MAX_DELAY_S = 0.05
"""About what the next action takes."""
KILLED = "killed"
SHOWN = 30
SETTINGS = {
    "max_connections": "60",
    "wal_level": "logical",
    "max_wal_size": "1GB",
    "autovacuum_naptime": "1s",
    "hot_standby_feedback": "on",
}
RECEIVER = """
CREATE TABLE public.events (id bigint, at timestamptz, kind text, value int, PRIMARY KEY (id, at));
CREATE TABLE public.visits (id bigint PRIMARY KEY, at timestamptz, kind text, value int);
"""
DONE = "SELECT kind, count(*) FROM maintenance.journal WHERE outcome = 'done' GROUP BY 1"
READ = "COPY (SELECT id, at, kind, value FROM public.{}) TO STDOUT"

K = ActionKind
MONTHLY = frozenset(
    {
        K.CREATE_PARTITION,
        K.ARCHIVE_PARTITION,
        K.DETACH_PARTITION,
        K.DROP_PARTITION,
        K.REFRESH_MATVIEW,
        K.ANALYZE_TABLE,
        K.CREATE_INDEX,
    }
)
EVERYTHING = MONTHLY | {
    K.DRAIN_DEFAULT,
    K.CONVERT_TABLE,
    K.UNDO,
    K.REINDEX,
    K.REPLACE_INDEX,
    K.DROP_INDEX,
}

BY_KIND = "SELECT kind, count(*) AS n, sum(value) AS total FROM public.events GROUP BY kind"
DECLARED = (
    "-- replaces: events_kind_at_value\n"
    "CREATE INDEX events_kind_at ON public.events (kind, at);\n"
    "CREATE INDEX visits_kind ON public.visits (kind);",
    "-- replaces: events_kind_at\n"
    "CREATE INDEX events_kind_at_value ON public.events (kind, at, value);\n"
    "DROP INDEX public.visits_kind;",
)
"""Declarations of indexes that take turns; on a partitioned table a name can't be taken over."""
NEVER_JUDGED = ["20000 days", "20001 days", "20002 days"]


@dataclass(frozen=True)
class Profile:
    """How long, and how much at least.

    Attributes:
        rows_per_s: that are loaded in bulk.
        longest_s: of the snapshots of readers.
        work: what maintenance has to have done at least once.
    """

    seconds: float
    month_s: float
    n_months: int
    n_rows: int
    rows_per_s: float
    longest_s: float
    work: frozenset[ActionKind]


QUICK = Profile(
    seconds=5, month_s=3, n_months=1, n_rows=10_000, rows_per_s=1000, longest_s=1, work=MONTHLY
)  # fmt: skip
FULL_S = 420.0
FULL_ROWS = 1_000_000


def full() -> Profile:
    """A million rows, in minutes; or for as many hours as are asked for."""
    hours = float(os.environ.get("HOURS") or 0)
    seconds = hours * 3600 or FULL_S
    rate = max(1.2 * FULL_ROWS / seconds, 300)
    return Profile(seconds, 15, 12, FULL_ROWS, rate, longest_s=3, work=EVERYTHING)


def policy_file(folder: Path, database: Database, clock: Clock) -> Path:
    """Three months are kept, five made ahead, and the first is under legal hold."""
    retention = {
        "keep": f"{KEEP} months",
        "action": "archive_then_drop",
        "archive": {"url": str(folder / "archive")},
        "max_per_run": 100,
        "hold": [f"{clock.held_month:%Y-%m}"],
    }
    events = {"table": str(EVENTS), "column": "at", "premake": PREMAKE, "default": "ensure"}
    events |= {"start": f"{month_of(clock.origin, -KEEP):%Y-%m}", "retention": retention}
    visits = {"table": "public.visits", "column": "at", "premake": PREMAKE, "default": "ensure"}
    visits |= {"convert": "online", "convert_when": {"larger_than": "1 kB"}}
    (folder / "by_kind.sql").write_text(BY_KIND)
    (folder / "declared.sql").write_text(DECLARED[0])
    view = {
        "name": "public.by_kind",
        "definition": "by_kind.sql",
        "unique_index": ["kind"],
        "max_age": "20000 days",
    }
    return write_policy(
        folder,
        database.url,
        events,
        visits,
        store={"keep": "50 years"},
        matviews=[view],
        statistics={},
        indexes={
            "declared": "declared.sql",
            "allow_drop": True,
            "watch": NEVER_JUDGED,  # months pass in seconds, and the application needs none of them
            "preflight": {"free_disk": "1 MB", "max_slot_wal": "never"},
        },
        bloat={"min_size": "100 kB", "index_fraction": 0.3, "reindex": "concurrently"},
        locks={"give_up_after": "10 minutes"},
    )


@dataclass
class Keeper:
    """Orders runs from processes that are killed now and then, and notes what they say.

    Attributes:
        said: line by line, with `KILLED` where one was killed.
        conversion: the run that converted the table that is to be undone; None if there is none.
    """

    path: Path
    clock: Clock
    rng: random.Random
    said: list[str] = field(default_factory=list[str])
    conversion: str | None = None
    n_orders: int = 0
    _is_undone: bool = False
    _was_undone: bool = False
    _order: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def failures(self) -> list[str]:
        return [line for line in self.said if line.startswith(FAILED)]

    def run(self, is_over: Any) -> None:
        """Run maintenance until that is over; the last run is left to its end."""
        with ExitStack() as processes:
            spare = processes.enter_context(a_keeper(self.path))
            while not is_over():
                # starting one takes seconds
                process, spare = spare, processes.enter_context(a_keeper(self.path))
                self._drive(process, is_over)
                if is_over():
                    return
                time.sleep(self.rng.uniform(0, MAX_DELAY_S))
                process.kill()
                self.said.append(KILLED)

    def _drive(self, process: "subprocess.Popen[str]", is_over: Any) -> None:
        """Give orders until so many actions are done, or a run has ended when it is over."""
        assert process.stdout
        n_left = self.rng.randint(1, MAX_DONE)
        while n_left:
            line = process.stdout.readline().rstrip()
            assert line, f"ended by itself: {process.wait()}: {self.said[-SHOWN:]}"
            self.said.append(line)
            n_left -= line.startswith("[")
            if line == BEGIN:
                if is_over():
                    return
                self._give_order(process)
            else:
                self._note(line)

    def _give_order(self, process: "subprocess.Popen[str]") -> None:
        now = self.clock.now()
        do = "apply"
        if self.conversion and not self._is_undone and self.rng.random() < 0.4:
            do = "undo"
        elif self._was_undone and self.rng.random() < 0.5:
            do = "again"  # a killed run may have done only a part of what an undo keeps from others
        if self.n_orders % 3 == 2:
            declared = DECLARED[self.n_orders // 3 % len(DECLARED)]
            (self.path.parent / "declared.sql").write_text(declared)
        self.n_orders += 1
        self._order = {"now": now.isoformat(), "do": do, "run": self.conversion or ""}
        assert process.stdin
        process.stdin.write(json.dumps(self._order) + "\n")
        process.stdin.flush()

    def _note(self, line: str) -> None:
        if line.startswith(f"{OK} "):
            began = datetime.fromisoformat(self._order["now"])
            self.clock.limit("the newest complete run", months_after(began, LAG))
        elif line.startswith(CONVERTED):
            self.conversion, self._is_undone = line.split()[1], False
        elif line.startswith((UNDONE, REFUSED)):  # what is refused once stays so
            self._is_undone = self._was_undone = True


@contextmanager
def a_keeper(policy: Path) -> "Generator[subprocess.Popen[str]]":
    """A process that runs maintenance at each moment that it is told."""
    program = [sys.executable, "-m", "tests.soak_keeper", str(policy)]
    pipe = subprocess.PIPE
    with subprocess.Popen(program, stdin=pipe, stdout=pipe, text=True, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


# The rows, in every place


def archived(folder: Path) -> Iterator[tuple[int, Row]]:
    """The rows of all archives, from the COPY text that they hold."""
    url = str(folder / "archive")
    for period, manifest in list_archives(url, "app", EVENTS):
        assert isinstance(manifest, Manifest), f"archive of {period}: {manifest}"
        place = ArchivePlace(url, "app", EVENTS, period)
        text = b"".join(texts(Folder(place), manifest.data, manifest.columns))
        yield from read_rows(text.splitlines())


def standing(database: Database, table: str) -> Iterator[tuple[int, Row]]:
    """The rows of a table."""
    with database.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        with connection.cursor().copy(READ.format(table).encode()) as copy:
            for block in copy:
                yield from read_rows(bytes(block).splitlines())


@contextmanager
def cluster(server: PostgresServer) -> Generator[tuple[Database, Database, Database]]:
    """A server of its own with the tables: its database, a subscriber, and a replica."""
    with server_folder() as folder:
        primary = PostgresServer(server.binaries, folder / "one", fsync=False, settings=SETTINGS)
        primary.start()
        replica: PostgresServer | None = None
        try:
            database, subscriber = make_database(primary), make_database(primary)
            database.execute(TABLES)
            database.vacuum("public.accounts")
            subscriber.execute(RECEIVER)
            database.execute("SELECT pg_create_logical_replication_slot('app', 'pgoutput')")
            subscriber.execute(
                f"CREATE SUBSCRIPTION app CONNECTION '{database.url}' PUBLICATION app"
                " WITH (create_slot = false)"
            )
            replica = make_replica(primary, folder / "two", server.binaries)
            yield database, subscriber, Database(database.name, replica)
        finally:
            if replica:
                replica.remove()
            primary.remove()


def done(database: Database) -> dict[str, int]:
    """How many actions of each kind the journal knows, also of runs that were killed later."""
    return dict(database.execute(DONE))


def soak(server: PostgresServer, folder: Path, profile: Profile) -> Mapping[str, Any]:
    """Let an application work while months come and go; what was counted."""
    clock = Clock(profile.month_s)
    with cluster(server) as (database, subscriber, replica):
        path = policy_file(folder, database, clock)
        policy = load_policy(path)
        first = pipeline.apply(policy, now=clock.origin, only=["partitions"])
        assert first.ok, [finding.message for finding in first.findings]
        clock.limit("the newest complete run", months_after(clock.origin, LAG))
        application = Application(database, clock)
        keeper = Keeper(path, clock, random.Random(SEED))
        began = time.monotonic()

        def is_over() -> bool:
            return bool(application.errors) or (
                time.monotonic() >= began + profile.seconds
                and clock.n_months >= profile.n_months
                and application.n_rows >= profile.n_rows
                and done(database).keys() >= profile.work
                and KILLED in keeper.said
            )

        with at_work(
            application,
            replica,
            SEED,
            rows_per_s=profile.rows_per_s,
            n_rows=profile.n_rows,
            longest_s=profile.longest_s,
        ):
            keeper.run(is_over)
        told = "\n".join((*application.errors[:SHOWN], *keeper.said[-SHOWN:]))
        assert application.errors == [], told
        assert keeper.failures == []
        assert min(application.n_checks.values()) > 0
        assert application.n_dumps > 0
        end = clock.now()
        last = pipeline.apply(policy, now=end)
        assert last.ok, [result.error for result in last.results]
        assert_kept(application, database, folder, end)
        assert_received(application, database, subscriber, replica)
        done_there = done(database)
    return {
        "seconds": round(time.monotonic() - began),
        "months": clock.n_months,
        "rows": application.n_rows,
        "statements": application.n.total(),
        "failures": len(application.errors),
        "checks": application.n_checks.total(),
        "dumps": application.n_dumps,
        "dumps_in_vain": application.n_dumps_in_vain,
        "runs": sum(line.startswith((f"{OK} ", UNDONE, REFUSED)) for line in keeper.said),
        "killed": keeper.said.count(KILLED),
        "done": dict(done_there),
        "slowest_ms": {verb: round(s * 1000) for verb, s in application.slowest_s.items()},
    }


def assert_kept(application: Application, database: Database, folder: Path, end: datetime) -> None:
    """Every row is in its table or in an archive, once; those archived had expired."""
    early: list[tuple[int, Row]] = []

    def of_events() -> Iterator[tuple[int, Row]]:
        yield from standing(database, "events")
        for number, row in archived(folder):
            if not application.clock.may_be_gone(row.at, end):
                early.append((number, row))
            yield number, row

    assert application.events.faults(of_events()) == {}
    assert application.visits.faults(standing(database, "visits")) == {}
    assert not early, f"{len(early)} rows went before their retention ended: {early[:3]}"


def assert_received(
    application: Application, database: Database, subscriber: Database, replica: Database
) -> None:
    """The subscriber has all rows, as they were last, and the replica what the primary has."""
    last = (1, Row(application.clock.now().replace(microsecond=0), "log", 0))
    database.execute("INSERT INTO public.visits VALUES (%s, %s, %s, %s)", (last[0], *last[1]))
    application.visits.rows[last[0]] = last[1]
    until(lambda: subscriber.execute("SELECT FROM public.visits WHERE id = 1") != [], 600)
    until(lambda: caught_up(database.server, replica.server), 600)
    for ledger in (application.events, application.visits):
        assert ledger.faults(standing(subscriber, ledger.table)) == {}
        assert sorted(standing(replica, ledger.table)) == sorted(standing(database, ledger.table))


@pytest.mark.pg("== 18")
def test_no_row_is_lost_or_hidden_while_months_come_and_go(
    server: PostgresServer, tmp_path: Path
) -> None:
    soak(server, tmp_path, QUICK)


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_no_row_is_lost_or_hidden_while_a_million_are_written(
    server: PostgresServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = soak(server, tmp_path, full())
    with capsys.disabled():
        print(f"\nsoak on {server.major}: {json.dumps(counts, indent=2)}")  # noqa: T201
    assert counts["rows"] >= FULL_ROWS
    if os.environ.get(PAGE_WANTED):
        write_soak(server.major, counts)
