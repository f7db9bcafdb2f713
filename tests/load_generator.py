"""Concurrent load on `public.events`: writers that record their rows, readers that check them.

Every session has a lock timeout: the server itself turns a wait that is too long into an error.
It is long enough for a machine that has other work: how long anybody waits on a quiet one is a
matter of benchmarks.
"""

import random
import threading
import time
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper

from maintenance.periods import Interval, period_of
from tests.builders import Database

PATIENCE = "2s"
N_ACCOUNTS = 40
"""Rows of each writer that are changed, moved, removed and written again, but never get fewer."""

CREATE_EVENTS = """
CREATE TABLE public.guests (id bigint PRIMARY KEY);
CREATE TABLE public.events (id bigint NOT NULL, at timestamptz NOT NULL, kind text NOT NULL,
  value int NOT NULL, note text DEFAULT 'n', twice int GENERATED ALWAYS AS (value * 2) STORED,
  guest bigint REFERENCES public.guests, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE INDEX ON public.events (kind, at);
CREATE INDEX ON public.events (guest);
"""

TOTALS = """
SELECT count(*) FILTER (WHERE kind = 'base'),
       sum(hashtextextended(e::text, 0)) FILTER (WHERE kind = 'base'),
       count(*) FILTER (WHERE kind = 'account'), sum(value) FILTER (WHERE kind = 'account'),
       count(*) FILTER (WHERE kind = 'account' AND twice <> value * 2),
       count(*) FILTER (WHERE kind = 'log'), sum(hashtextextended(e::text, 0))
FROM public.events AS e
"""

SPREAD = (-3, -2, 0, 1)
"""Months without a partition on both sides of one that has its partition, counted from now."""

NEIGHBOURS = (-1, 0)
"""Months without a partition, one after the other."""

FAR = ["2097-01-01 00:00:00+00", "2001-01-01 00:00:00+00"]
"""Moments that get no partition."""

_ids = iter(range(1_000_000, 1 << 60))
_lock = threading.Lock()


def new_id() -> int:
    with _lock:
        return next(_ids)


def month(offset: int) -> str:
    """The first day of a month, counted from now."""
    return period_of(datetime.now(UTC).date(), Interval.MONTH).shift(offset).start.isoformat()


def moments(*offsets: int) -> list[str]:
    return [f"{month(offset)[:8]}05 00:00:00+00" for offset in offsets]


BUSY_MONTHS = moments(-5, -3, -2, -1, 0)
"""Moments of writers on the table of `build_wide`."""


def build(
    database: Database,
    present: list[int],
    filled: list[str],
    n_rows: int,
    trees: Collection[str] = (),
) -> None:
    """Make the table with some months, and a default partition with rows of some moments.

    Which of them are partitioned themselves, by a hash, `trees` says: "months", "default".
    """
    database.execute(CREATE_EVENTS)
    for offset in present:
        name = f"events_{month(offset)[:7].replace('-', '_')}"
        bound = f"FOR VALUES FROM ('{month(offset)} 00:00+00') TO ('{month(offset + 1)} 00:00+00')"
        _partition(database, name, bound, hashed="months" in trees)
    _partition(database, "events_default", "DEFAULT", hashed="default" in trees)
    fill(database, filled, n_rows)


def fill(database: Database, filled: list[str], n_rows: int) -> None:
    """Insert rows that no writer changes, at some moments in turn."""
    database.execute(
        "INSERT INTO public.events (id, at, kind, value)"
        " SELECT i, (%s::timestamptz[])[i %% %s + 1] + i * interval '1 us', 'base', i"
        " FROM generate_series(1, %s::int) AS i",
        [filled, len(filled), n_rows],
    )


def build_wide(database: Database, n_rows: int = 15_000, trees: Collection[str] = ()) -> None:
    """Make the table with one partition of all months before this one, which has its own."""
    database.execute(CREATE_EVENTS)
    ends = f"'{month(0)} 00:00+00'"
    hashed = "months" in trees
    _partition(database, "events_past", f"FOR VALUES FROM (MINVALUE) TO ({ends})", hashed=hashed)
    bound = f"FOR VALUES FROM ({ends}) TO ('{month(1)} 00:00+00')"
    name = f"events_{month(0)[:7].replace('-', '_')}"
    _partition(database, name, bound, hashed=hashed)
    fill(database, moments(-6, -5, -3, -2, -1), n_rows)


def _partition(database: Database, name: str, bound: str, *, hashed: bool) -> None:
    create = f"CREATE TABLE public.{name} PARTITION OF public.events {bound}"
    database.execute(f"{create} PARTITION BY HASH (id)" if hashed else create)
    for remainder in range(3 if hashed else 0):
        database.execute(
            f"CREATE TABLE public.{name}_h{remainder} PARTITION OF public.{name}"
            f" FOR VALUES WITH (modulus 3, remainder {remainder})"
        )


class UntypedNumber(Dumper):
    """Sends a number without its type: an id may be text."""

    def dump(self, obj: Any) -> Buffer:
        return str(obj).encode()


@dataclass
class Crowd:
    """What the sessions saw and did.

    Attributes:
        moments: when rows may happen, as timestamps.
        errors: whatever must not happen.
    """

    database: Database
    moments: list[str]
    seed: int
    errors: list[str] = field(default_factory=list[str])
    n_written: int = 0
    n_read: int = 0
    rows: dict[int, tuple[str, int]] = field(default_factory=dict[int, tuple[str, int]])
    expected: tuple[Any, ...] = ()
    began: float = field(default_factory=time.monotonic)
    _stop: threading.Event = field(default_factory=threading.Event)

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    def connect(self) -> psycopg.Connection[Any]:
        connection = psycopg.connect(self.database.url, autocommit=True)
        connection.adapters.register_dumper(int, UntypedNumber)
        connection.execute(f"SET lock_timeout = '{PATIENCE}'")
        connection.execute("SET TimeZone = 'UTC'")
        return connection

    def fail(self, what: str) -> None:
        self.errors.append(f"{time.monotonic() - self.began:.2f} s: {what}")


@dataclass
class Writer:
    """One session that writes without a pause, and records every acknowledged row."""

    crowd: Crowd
    rng: random.Random
    rows: dict[int, tuple[str, int]] = field(default_factory=dict[int, tuple[str, int]])
    accounts: dict[int, tuple[str, int]] = field(default_factory=dict[int, tuple[str, int]])
    guest: tuple[int, str | None] | None = None

    def open_accounts(self, connection: psycopg.Connection[Any]) -> None:
        for _ in range(N_ACCOUNTS):
            id_, at = new_id(), self.moment()
            insert(connection, id_, at, "account", 100)
            self.accounts[id_] = (at, 100)

    def moment(self) -> str:
        return self.rng.choice(self.crowd.moments)

    def run(self) -> None:
        with self.crowd.connect() as connection:
            connection.execute("SET application_name = 'writer'")
            while not self.crowd.stopped:
                self.step(connection)

    def step(self, connection: psycopg.Connection[Any]) -> None:
        work = self.rng.choice([self.log, self.log, self.log, self.transfer, self.move, self.renew])
        level = self.rng.choice(["READ COMMITTED"] * 5 + ["REPEATABLE READ"])
        undo = self.rng.random() < 0.1
        try:
            connection.execute(f"BEGIN ISOLATION LEVEL {level}".encode())
            remember = work(connection)
            connection.execute("ROLLBACK" if undo else "COMMIT")
        except psycopg.errors.SerializationFailure:
            connection.execute("ROLLBACK")
        except psycopg.Error as exc:
            self.crowd.fail(f"writer: {type(exc).__name__} {exc}")
            if connection.broken:
                return
            connection.execute("ROLLBACK")
        else:
            self.crowd.n_written += 1
            if not undo:
                remember()

    def log(self, connection: psycopg.Connection[Any]) -> Callable[[], object]:
        """Add a row that stays."""
        id_, at = new_id(), self.moment()
        insert(connection, id_, at, "log", 7)
        return lambda: self.rows.update({id_: (at, 7)})

    def transfer(self, connection: psycopg.Connection[Any]) -> Callable[[], object]:
        """Move value from one account to another: the sum stays."""
        (a, (a_at, a_value)), (b, (b_at, b_value)) = self.rng.sample(
            sorted(self.accounts.items()), 2
        )
        for id_, at, change in ((a, a_at, -3), (b, b_at, 3)):
            cursor = connection.execute(
                "UPDATE public.events SET value = value + %s WHERE id = %s AND at = %s",
                [change, id_, at],
            )
            self.expect_one(cursor.rowcount, "update")
        return lambda: self.accounts.update({a: (a_at, a_value - 3), b: (b_at, b_value + 3)})

    def move(self, connection: psycopg.Connection[Any]) -> Callable[[], object]:
        """Give an account another time: it moves to another partition."""
        id_, (at, value) = self.rng.choice(sorted(self.accounts.items()))
        to = self.moment()
        cursor = connection.execute(
            "UPDATE public.events SET at = %s WHERE id = %s AND at = %s", [to, id_, at]
        )
        self.expect_one(cursor.rowcount, "move")
        return lambda: self.accounts.update({id_: (to, value)})

    def renew(self, connection: psycopg.Connection[Any]) -> Callable[[], object]:
        """Remove an account and write another one, or the same again, with its value."""
        id_, (at, value) = self.rng.choice(sorted(self.accounts.items()))
        cursor = connection.execute(
            "DELETE FROM public.events WHERE id = %s AND at = %s", [id_, at]
        )
        self.expect_one(cursor.rowcount, "delete")
        new, to = (id_, at) if self.rng.random() < 0.5 else (new_id(), self.moment())
        insert(connection, new, to, "account", value)

        def remember() -> None:
            del self.accounts[id_]
            self.accounts[new] = (to, value)

        return remember

    def host(self, connection: psycopg.Connection[Any]) -> Callable[[], object]:
        """Let a guest come with a row, or the last one's row go, or the guest whose row went."""
        if self.guest is None:
            id_, at = new_id(), self.moment()
            connection.execute("INSERT INTO public.guests VALUES (%s)", [id_])
            insert(connection, id_, at, "visit", 0, guest=id_)
            return lambda: self.remember_guest(id_, at)
        id_, at = self.guest
        if at is not None:
            cursor = connection.execute(
                "DELETE FROM public.events WHERE guest = %s AND at = %s", [id_, at]
            )
            self.expect_one(cursor.rowcount, "delete of a visit")
            return lambda: self.remember_guest(id_, None)
        connection.execute("DELETE FROM public.guests WHERE id = %s", [id_])
        return lambda: self.remember_guest(None, None)

    def remember_guest(self, id_: int | None, at: str | None) -> None:
        self.guest = (id_, at) if id_ is not None else None

    def expect_one(self, n_rows: int, what: str) -> None:
        if n_rows != 1:
            self.crowd.fail(f"{what} met {n_rows} rows")


def insert(
    connection: psycopg.Connection[Any],
    id_: int,
    at: str,
    kind: str,
    value: int,
    guest: int | None = None,
) -> None:
    connection.execute(
        "INSERT INTO public.events (id, at, kind, value, guest) VALUES (%s, %s, %s, %s, %s)",
        [id_, at, kind, value, guest],
    )


@dataclass
class Reader:
    """One session that looks at everything again and again."""

    crowd: Crowd
    rng: random.Random
    n_logged: int = 0

    def run(self) -> None:
        with self.crowd.connect() as connection:
            connection.execute("SET application_name = 'reader'")
            while not self.crowd.stopped:
                began = time.monotonic()
                try:
                    self.rng.choice([self.look, self.look_twice])(connection)
                    self.crowd.n_read += 1
                except psycopg.Error as exc:
                    self.crowd.fail(f"reader: {type(exc).__name__} {exc}")
                    if connection.broken:
                        return
                    connection.execute("ROLLBACK")
                # On a slow machine too, there are moments when nobody reads.
                took_s = time.monotonic() - began
                self.crowd._stop.wait(max(took_s, self.rng.uniform(0, 0.05)))

    def look(self, connection: psycopg.Connection[Any]) -> None:
        self.check(totals(connection))

    def look_twice(self, connection: psycopg.Connection[Any]) -> None:
        """Take a snapshot, wait, then look: what was there must be there all the time."""
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT count(*) FROM pg_catalog.pg_class")
        self.crowd._stop.wait(self.rng.uniform(0, 0.25))
        first = totals(connection)
        self.crowd._stop.wait(self.rng.uniform(0, 0.01))
        second = totals(connection)
        connection.execute("COMMIT")
        self.check(first)
        if first != second:
            self.crowd.fail(f"one snapshot showed {first}, then {second}")

    def check(self, seen: tuple[Any, ...]) -> None:
        if seen[:5] != self.crowd.expected:
            self.crowd.fail(f"saw {seen[:5]}, expected {self.crowd.expected}")
        if seen[5] < self.n_logged:
            self.crowd.fail(f"saw {seen[5]} log rows after {self.n_logged}")
        self.n_logged = seen[5]


def totals(connection: psycopg.Connection[Any]) -> tuple[Any, ...]:
    row = connection.execute(TOTALS.encode()).fetchone()
    assert row is not None
    return row


@contextmanager
def crowd(
    database: Database, moments: list[str], seed: int, n_writers: int = 2, n_readers: int = 2
) -> Generator[Crowd]:
    """Run the load during the block, and check the rows at its end."""
    people = Crowd(database, moments, seed)
    rng = random.Random(seed)
    writers = [Writer(people, random.Random(rng.random())) for _ in range(n_writers)]
    with people.connect() as connection:
        for writer in writers:
            writer.open_accounts(connection)
        people.expected = totals(connection)[:5]
    readers = [Reader(people, random.Random(rng.random())) for _ in range(n_readers)]
    threads = [threading.Thread(target=person.run) for person in (*writers, *readers)]
    for thread in threads:
        thread.start()
    try:
        yield people
    finally:
        people._stop.set()
        for thread in threads:
            thread.join()
    for writer in writers:
        people.rows |= writer.rows | writer.accounts
        if writer.guest is not None and writer.guest[1] is not None:
            people.rows[writer.guest[0]] = (writer.guest[1], 0)


def rows_there(database: Database) -> dict[int, tuple[str, int]]:
    """What stands in the table beside the base rows; a doubled row is an error."""
    rows = database.execute(
        "SELECT id::bigint, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')||'+00', value"
        " FROM public.events WHERE kind <> 'base'"
    )
    found = {id_: (at, value) for id_, at, value in rows}
    assert len(found) == len(rows), "a row is there twice"
    return found


@contextmanager
def always_read(database: Database, table: str) -> Generator[None]:
    """Queries of one second, of which the next one begins before the last one ends."""
    stopped = threading.Event()

    def run() -> None:
        while not stopped.is_set():
            database.execute(f"SELECT pg_sleep(1) FROM (SELECT FROM {table} LIMIT 1) AS one")

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
        time.sleep(0.5)
    try:
        yield
    finally:
        stopped.set()
        for thread in threads:
            thread.join()
