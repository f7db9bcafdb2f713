"""An application at work on the tables of the soak: its sessions, and what goes on beside them.

Every session has a lock timeout, so the server itself turns a wait that is too long into an error.
How long anybody waits on a quiet machine is a matter of the lock probes: here it is measured.
"""

import itertools
import random
import re
import subprocess
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from tests.builders import Database
from tests.sessions import until
from tests.soak import (
    AHEAD,
    BATCH,
    DAY,
    FIRST_BULK_ID,
    KEEP,
    PREMAKE,
    UNTOUCHED,
    Clock,
    Ledger,
    Row,
    bulk_row,
    month_of,
    months_after,
)

PATIENCE = "2s"
SHOWN = 20
N_ACCOUNTS = 20_000
TRICKLE = 50
"""Rows in a second of each bulk load after the last wanted one."""
STRAYS = 0.05
"""The share of bulk loads that are so far ahead that only the default partition takes them."""

TABLES = f"""
CREATE TABLE public.events (id bigint NOT NULL, at timestamptz NOT NULL, kind text NOT NULL,
  value int NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE public.visits (id bigint PRIMARY KEY, at timestamptz NOT NULL, kind text NOT NULL,
  value int NOT NULL);
CREATE INDEX ON public.visits (at);
CREATE TABLE public.accounts (id int PRIMARY KEY, balance int NOT NULL, note text NOT NULL);
INSERT INTO public.accounts
  SELECT n, 100, 'note ' || n FROM generate_series(1, {N_ACCOUNTS * 4}) n;
CREATE INDEX accounts_note ON public.accounts (note);
DELETE FROM public.accounts WHERE id % 4 > 0;
CREATE TABLE public.counters (id int PRIMARY KEY, n int NOT NULL) WITH (autovacuum_enabled = false);
CREATE PUBLICATION app FOR TABLE public.events, public.visits
  WITH (publish_via_partition_root = true);
"""
INSERT = "INSERT INTO public.{} (id, at, kind, value) VALUES (%s, %s, %s, %s)"
CHANGE = "UPDATE public.{} SET value = %s WHERE id = %s AND at = %s"
REMOVE = "DELETE FROM public.{} WHERE id = %s AND at = %s"
MOVE = "UPDATE public.{} SET at = %s WHERE id = %s AND at = %s"
LOAD = "COPY public.events (id, at, kind, value) FROM STDIN"
PAY = """
UPDATE public.accounts SET balance = balance + CASE id WHEN %s THEN 1 ELSE -1 END,
  note = 'note ' || %s WHERE id IN (%s, %s)
"""
COUNT_UP = "INSERT INTO public.counters SELECT %s + n, n FROM generate_series(1, 50) n"
SINGLES = "SELECT id FROM public.{} WHERE kind NOT IN ('account', 'bulk')"
BATCHES = f"SELECT id - id % {BATCH}, count(*) FROM public.{{}} WHERE kind = 'bulk' GROUP BY 1"
TOTALS = "SELECT count(*), sum(balance) FROM public.accounts"
SUMMED = (N_ACCOUNTS, N_ACCOUNTS * 100)


class Metered(psycopg.Connection[Any]):
    """Counts its statements, and remembers the slowest of those that write."""

    n: Counter[str]
    slowest_s: defaultdict[str, float]

    def execute(self, query: Any, *args: Any, **kwargs: Any) -> Any:
        verb = query.split(None, 1)[0] if isinstance(query, str) else "OTHER"
        with self.metered(verb):
            text = query.encode() if isinstance(query, str) else query
            return super().execute(text, *args, **kwargs)

    @contextmanager
    def metered(self, verb: str) -> Generator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.n[verb] += 1
            self.slowest_s[verb] = max(self.slowest_s[verb], time.monotonic() - began)


@dataclass
class Application:
    """The books of the sessions: their rows and their errors.

    Attributes:
        errors: whatever must not happen.
        n: how many statements there were, by their first word.
        slowest_s: how long the slowest took, by first word.
        n_checks: how often readers held what they saw against the books.
        n_dumps: copies of the database by pg_dump.
        n_dumps_in_vain: those that ended since a table or an index was dropped after they had
            listed it.
    """

    database: Database
    clock: Clock
    events: Ledger = field(default_factory=lambda: Ledger("events", expires=True))
    visits: Ledger = field(default_factory=lambda: Ledger("visits"))
    errors: list[str] = field(default_factory=list[str])
    n: Counter[str] = field(default_factory=Counter[str])
    slowest_s: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    n_checks: Counter[str] = field(default_factory=Counter[str])
    n_dumps: int = 0
    n_dumps_in_vain: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    @property
    def n_rows(self) -> int:
        return self.events.n_rows + self.visits.n_rows

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    def fail(self, who: str, what: object) -> None:
        now = self.clock.now()
        self.errors.append(f"{now:%Y-%m-%d %H:%M} {who}: {type(what).__name__} {what}")

    @contextmanager
    def session(self, who: str, url: str = "") -> Generator[Metered]:
        """A session that waits for no lock longer than `PATIENCE`."""
        with Metered.connect(url or self.database.url, autocommit=True) as connection:
            connection.n, connection.slowest_s = Counter(), defaultdict(float)
            connection.execute(f"SET application_name = '{who}'")
            connection.execute(f"SET lock_timeout = '{PATIENCE}'")
            connection.execute("SET TimeZone = 'UTC'")
            try:
                yield connection
            finally:
                self.n += connection.n
                for verb, slowest_s in connection.slowest_s.items():
                    if who.startswith("writer"):
                        self.slowest_s[verb] = max(self.slowest_s[verb], slowest_s)

    def steadily(self, who: str, turn: Callable[[Metered], object], url: str = "") -> None:
        """Let one session take turns until the end; what it stumbles over is an error."""
        with self.session(who, url) as connection:
            while not self._stop.wait(0.003):
                try:
                    turn(connection)
                except Exception as exc:  # noqa: BLE001 - whatever it is, it is told
                    self.fail(who, exc)
                    if connection.closed:
                        return
                    connection.rollback()

    def pause(self, seconds: float) -> None:
        self._stop.wait(seconds)


@dataclass
class Writer:
    """One session that adds rows, and changes, moves and removes those that it added itself.

    Attributes:
        held: whether some of them are of the month under legal hold.
    """

    application: Application
    ledger: Ledger
    rng: random.Random
    number: int
    held: bool = True
    own: dict[int, Row] = field(default_factory=dict[int, Row])

    def turn(self, connection: Metered) -> None:
        (work,) = self.rng.choices(
            (self.add, self.change, self.move, self.remove), weights=(6, 3, 1, 1)
        )
        with self.application.clock.slowly():
            work(connection)

    def add(self, connection: Metered) -> None:
        self.number += 1
        kind = self.rng.choice(("log", "account", *(["held"] * self.held)))
        at = moment(self.application.clock, self.rng)
        if kind == "held":
            at = self.application.clock.held_month + self.rng.random() * 28 * DAY
        row = Row(at.replace(microsecond=0), kind, self.number % 1000)
        connection.execute(INSERT.format(self.ledger.table), (self.number, *row))
        self.ledger.rows[self.number] = row
        if kind == "account":
            self.own[self.number] = row

    def change(self, connection: Metered) -> None:
        self._touch(connection, lambda row: row._replace(value=row.value + 1), CHANGE, "value")

    def move(self, connection: Metered) -> None:
        at = moment(self.application.clock, self.rng)
        self._touch(connection, lambda row: row._replace(at=at), MOVE, "at")

    def remove(self, connection: Metered) -> None:
        self._touch(connection, lambda _: None, REMOVE, None)

    def _touch(
        self,
        connection: Metered,
        alter: Callable[[Row], Row | None],
        sql: str,
        field_: str | None,
    ) -> None:
        """Do one thing to a row; nothing may happen to it only if it has expired by then."""
        if not self.own:
            return
        number = self.rng.choice(tuple(self.own))
        row = self.own[number]
        altered = alter(row)
        new = () if altered is None or field_ is None else (getattr(altered, field_),)
        statement = sql.format(self.ledger.table)
        n_met = connection.execute(statement, (*new, number, row.at)).rowcount
        if n_met == 0:
            del self.own[number]
            if not self.ledger.may_lack(row.at, self.application.clock):
                self.application.fail("writer", f"{statement} met no row: {number} {row}")
        elif altered is None:
            del self.own[number], self.ledger.rows[number]
            self.ledger.gone.add(number)
        else:
            self.own[number] = self.ledger.rows[number] = altered


def written(number: int, row: Row) -> str:
    """A line of the text of a COPY."""
    return f"{number}\t{row.at.isoformat()}\t{row.kind}\t{row.value}\n"


def moment(clock: Clock, rng: random.Random) -> datetime:
    """A moment of which rows may still be added: now, ahead, or almost expired."""
    now = clock.now()
    earliest, latest = months_after(now, -KEEP) + UNTOUCHED, months_after(now, AHEAD)
    return (earliest + rng.random() * (latest - earliest)).replace(microsecond=0)


@dataclass
class Loader:
    """One session that loads rows in bulk, so many in a second; some far ahead of their month.

    Attributes:
        n_rows: once the application has so many, a trickle is left.
    """

    application: Application
    rng: random.Random
    numbers: Iterator[int]
    rows_per_s: float
    n_rows: int
    _next_s: float = field(default_factory=time.monotonic)

    def turn(self, connection: Metered) -> None:
        clock = self.application.clock
        self.application.pause(self._next_s - time.monotonic())
        rate = self.rows_per_s if self.application.n_rows < self.n_rows else TRICKLE
        self._next_s = max(self._next_s + BATCH / rate, time.monotonic() - 1)
        first = next(self.numbers)
        with clock.slowly():
            at = moment(clock, self.rng)
            if self.rng.random() < STRAYS:
                at = month_of(clock.now(), PREMAKE + self.rng.randint(1, 2)) + DAY
            text = "".join(written(first + n, bulk_row(at, n)) for n in range(BATCH))
            with connection.metered("COPY"), connection.cursor().copy(LOAD) as copy:
                copy.write(text)
        self.application.events.batches[first] = at


@dataclass
class Reader:
    """One session that looks for every row that was acknowledged before and never changes.

    Attributes:
        longest_s: it keeps a snapshot for so long before it looks; 0 for READ COMMITTED.
        replica: a standby where it looks, once that has replayed what was acknowledged.
    """

    application: Application
    rng: random.Random
    longest_s: float
    replica: Database | None = None

    @property
    def who(self) -> str:
        return f"reader {'on the replica' if self.replica else f'of {self.longest_s} s'}"

    def turn(self, connection: Metered) -> None:
        ledger = self.rng.choice((self.application.events, self.application.visits))
        wanted = ledger.lasting()
        if self.replica:
            self._await_replay(connection)
        if not self.longest_s:
            self.check(connection, ledger, wanted)
            self.application.pause(0.1)
            return
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            known = self.rng.choice(("pg_catalog.pg_class", f"public.{ledger.table}"))
            connection.execute(f"SELECT count(*) FROM {known}")
            self.application.pause(self.rng.uniform(0.2, self.longest_s))
            self.check(connection, ledger, wanted)
            self.check(connection, ledger, wanted)

    def _await_replay(self, connection: Metered) -> None:
        ((written,),) = self.application.database.execute("SELECT pg_current_wal_lsn()::text")
        replayed = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
        until(lambda: connection.execute(replayed, [written]).fetchone() == (True,), 120)

    def check(self, connection: Metered, ledger: Ledger, wanted: Any) -> None:
        found = [number for (number,) in connection.execute(SINGLES.format(ledger.table))]
        batches = dict(connection.execute(BATCHES.format(ledger.table)).fetchall())
        judge(self.application, self.who, ledger, wanted.missing(set(found), batches))
        doubled = len(found) - len(set(found)) + sum(n > BATCH for n in batches.values())
        if doubled:
            self.application.fail(self.who, f"{doubled} rows were there twice")
        totals = connection.execute(TOTALS).fetchone()
        if totals != SUMMED:
            self.application.fail(self.who, f"accounts add up to {totals}, not {SUMMED}")


def judge(application: Application, who: str, ledger: Ledger, missing: dict[int, datetime]) -> None:
    """Rows that a snapshot does not show must have expired by now."""
    application.n_checks[who] += 1
    clock = application.clock
    now = clock.now()
    lost = {n: at for n, at in missing.items() if not ledger.may_lack(at, clock, now)}
    if lost:
        examples = sorted(lost.items())[:3]
        application.fail(who, f"{len(lost)} rows of {ledger.table} invisible, such as {examples}")


@dataclass
class Accountant:
    """One session that moves money between accounts, whose sum stays, and wears their index out."""

    rng: random.Random
    number: int = 0

    def turn(self, connection: Metered) -> None:
        ids = range(4, 4 * N_ACCOUNTS + 1, 4)
        one, other = self.rng.sample(ids, 2)
        connection.execute(PAY, (one, self.rng.randint(1, 10**9), one, other))
        self.number += 50
        if self.number % 500 == 0:
            connection.execute(COUNT_UP, [self.number])


@dataclass
class Idler:
    """One session that leaves transactions open in which it has read and written."""

    application: Application
    writer: Writer

    def turn(self, connection: Metered) -> None:
        ledger, rng = self.writer.ledger, self.writer.rng
        self.writer.number += 1
        with self.application.clock.slowly():
            row = Row(moment(self.application.clock, rng), "log", 0)
            with connection.transaction():
                connection.execute(INSERT.format(ledger.table), (self.writer.number, *row))
                connection.execute(f"SELECT count(*) FROM public.{ledger.table}")
                self.application.pause(rng.uniform(0.1, 1.5))
            ledger.rows[self.writer.number] = row
        self.application.pause(rng.uniform(0.5, 2))


_COPIED = re.compile(rb"COPY public\.(\w+) \(id, at, kind, value\) FROM stdin;")
_DROPPED = re.compile(
    r"relation .* does not exist|could not open relation with OID|cache lookup failed for \w+ \d+"
)
"""What pg_dump ends with if an object is dropped after its snapshot and before its locks."""


@dataclass
class Dumps:
    """Copies of the whole database by pg_dump, again and again; each must have all rows.

    Between them there is a pause as long: no partition can be taken off while one reads them.
    """

    application: Application

    def run(self) -> None:
        while not self.application.stopped:
            began = time.monotonic()
            try:
                self.dump()
            except Exception as exc:  # noqa: BLE001 - whatever it is, it is told
                self.application.fail("pg_dump", exc)
            self.application.pause(time.monotonic() - began)

    def dump(self) -> None:
        application = self.application
        wanted = application.events.lasting()
        server = application.database.server
        program = [str(Path(server.binaries) / "pg_dump"), f"--dbname={application.database.url}"]
        pipe = subprocess.PIPE
        with subprocess.Popen(program, stdout=pipe, stderr=pipe) as process:
            assert process.stdout
            assert process.stderr
            singles, batches = self._read(process.stdout)
            complaint = process.stderr.read().decode()
        if process.returncode == 0:
            application.n_dumps += 1
            missing = wanted.missing(singles, batches)
            judge(application, "pg_dump", application.events, missing)
        elif _DROPPED.search(complaint):
            application.n_dumps_in_vain += 1
        else:
            application.fail("pg_dump", complaint)

    @staticmethod
    def _read(lines: Iterable[bytes]) -> tuple[set[int], Counter[int]]:
        singles, batches = set[int](), Counter[int]()
        is_row = False
        for line in lines:
            if is_row and line != b"\\.\n":
                number = int(line.split(b"\t", 1)[0])
                if number < FIRST_BULK_ID:
                    singles.add(number)
                else:
                    batches[number - number % BATCH] += 1
                continue
            table = _COPIED.match(line)
            is_row = table is not None and table[1].startswith(b"events")
        return singles, batches


@contextmanager
def at_work(
    application: Application,
    replica: Database,
    seed: int,
    *,
    rows_per_s: float,
    n_rows: int,
    longest_s: float,
) -> Generator[None]:
    """Let the application work beside the block, with snapshots of at most `longest_s` seconds."""
    rng = random.Random(seed)
    events, visits = application.events, application.visits

    def own() -> random.Random:
        return random.Random(rng.random())

    ids = itertools.count(FIRST_BULK_ID, BATCH)
    writers = [
        Writer(application, events, own(), 10_000_000),
        Writer(application, events, own(), 20_000_000),
        Writer(application, visits, own(), 30_000_000, held=False),
    ]
    idlers = [
        Idler(application, Writer(application, events, own(), 40_000_000)),
        Idler(application, Writer(application, visits, own(), 50_000_000)),
    ]
    loaders = [Loader(application, own(), ids, rows_per_s / 2, n_rows) for _ in range(2)]
    readers = [Reader(application, own(), each) for each in (0, longest_s)]
    watcher = Reader(application, own(), 0.5, replica)
    turns: list[tuple[Any, ...]] = [(f"writer {n}", w.turn) for n, w in enumerate(writers)]
    turns += [("writer in bulk", loader.turn) for loader in loaders]
    turns += [("writer of accounts", Accountant(own()).turn)]
    turns += [("idle in transaction", idler.turn) for idler in idlers]
    turns += [(reader.who, reader.turn) for reader in readers]
    turns += [(watcher.who, watcher.turn, replica.url)]
    threads = [threading.Thread(target=application.steadily, args=turn) for turn in turns]
    threads.append(threading.Thread(target=Dumps(application).run))
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        application._stop.set()
        for thread in threads:
            thread.join()
