"""An application at work on `public.events` while its days come and go: it keeps account.

Time runs fast: `Clock` gives a moment that moves on by a day every few seconds. Every session has
a lock timeout, so the server itself turns a wait that is too long into an error.
"""

import random
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import psycopg

from tests.builders import Database

PATIENCE = "60ms"
SHOWN = 20
DAY = timedelta(days=1)
KEEP = 3 * DAY
AHEAD = 2 * DAY
"""How far ahead of now rows are written."""
PREMAKE = 5
"""How many days are made ahead."""
LAG = PREMAKE * DAY - AHEAD
"""How long after the beginning of a complete run the days that it made are enough."""
UNTOUCHED = DAY / 2
"""Rows are added so long before they expire, at least: a writer may be slow to send them."""

CREATE_EVENTS = """
CREATE TABLE public.events (id bigint NOT NULL, at timestamptz NOT NULL, kind text NOT NULL,
  value int NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)
"""
INSERT = "INSERT INTO public.events (id, at, kind, value) VALUES (%s, %s, %s, %s)"
CHANGE = "UPDATE public.events SET value = %s WHERE id = %s AND at = %s"
REMOVE = "DELETE FROM public.events WHERE id = %s AND at = %s"
MOVE = "UPDATE public.events SET at = %s WHERE id = %s AND at = %s"


class Row(NamedTuple):
    """What a row says; `held` rows are of the day under legal hold, `log` rows never change."""

    at: datetime
    kind: str
    value: int


@dataclass
class Clock:
    """A day every `day_s` seconds, from tomorrow's noon on; slower where a busy machine is.

    It stands still at the earliest of its limits: maintenance gets the time that starting it takes,
    and a session the time between choosing a row and sending it.
    """

    day_s: float
    origin: datetime = field(default_factory=lambda: midnight(datetime.now(UTC)) + 3 * DAY / 2)
    _now: datetime = field(init=False)
    _looked_s: float = field(default_factory=time.monotonic)
    _limits: dict[object, datetime] = field(default_factory=dict[object, datetime])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._now = self.origin

    def now(self) -> datetime:
        with self._lock:
            looked_s, self._looked_s = self._looked_s, time.monotonic()
            moved = self._now + (self._looked_s - looked_s) / self.day_s * DAY
            self._now = max(self._now, min([moved, *self._limits.values()]))
            return self._now

    def limit(self, who: object, latest: datetime) -> None:
        """Let it go no further than this, as far as it concerns somebody, until told otherwise."""
        with self._lock:
            self._limits[who] = latest

    @contextmanager
    def slowly(self) -> Generator[None]:
        """Let it go on by less than `UNTOUCHED` during the block."""
        who = object()
        self.limit(who, self.now() + UNTOUCHED * 0.9)
        try:
            yield
        finally:
            with self._lock:
                del self._limits[who]

    @property
    def held_day(self) -> datetime:
        return midnight(self.origin)

    def may_be_gone(self, at: datetime, now: datetime) -> bool:
        """Whether the day of a moment has expired, and is not the one under legal hold."""
        return midnight(at) + DAY + KEEP <= now and midnight(at) != self.held_day


def midnight(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


@dataclass
class Application:
    """The record of the sessions: their rows and their errors.

    Attributes:
        rows: those that must exist, by id: changed only after the server has acknowledged.
        gone: those that must exist no more.
        errors: whatever must not happen.
    """

    database: Database
    clock: Clock
    rows: dict[int, Row] = field(default_factory=dict[int, Row])
    gone: set[int] = field(default_factory=set[int])
    errors: list[str] = field(default_factory=list[str])
    n_looks: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def fail(self, who: str, what: object) -> None:
        now = self.clock.now()
        self.errors.append(f"{now:%m-%d %H:%M} {who}: {type(what).__name__} {what}")

    def may_be_gone(self, at: datetime) -> bool:
        return self.clock.may_be_gone(at, self.clock.now())

    def told(self, said: Sequence[str]) -> str:
        """The first errors, and what maintenance was doing, for a message."""
        shown = self.errors[:SHOWN]
        return "\n".join((f"{len(self.errors)} errors", *shown, "maintenance said", *said[-SHOWN:]))

    def steadily(self, who: str, turn: Callable[[psycopg.Connection[Any]], object]) -> None:
        """Let one session take turns until the end; what it stumbles over is an error."""
        with psycopg.connect(self.database.url, autocommit=True) as connection:
            connection.execute(f"SET application_name = '{who}'".encode())
            connection.execute(f"SET lock_timeout = '{PATIENCE}'".encode())
            connection.execute("SET TimeZone = 'UTC'")
            while not self._stop.wait(0.003):
                try:
                    turn(connection)
                except psycopg.Error as exc:
                    self.fail(who, exc)
                    connection.rollback()

    def pause(self, seconds: float) -> None:
        self._stop.wait(seconds)


@dataclass
class Writer:
    """One session that adds rows, and changes, moves and removes those that it added itself."""

    application: Application
    rng: random.Random
    number: int
    own: dict[int, Row] = field(default_factory=dict[int, Row])

    def turn(self, connection: psycopg.Connection[Any]) -> None:
        (work,) = self.rng.choices(
            (self.add, self.change, self.move, self.remove), weights=(6, 3, 1, 1)
        )
        with self.application.clock.slowly():
            work(connection)

    def moment(self) -> datetime:
        """A moment of which rows may still be added: now, ahead, or almost expired."""
        clock = self.application.clock
        earliest = clock.now() - KEEP + UNTOUCHED
        at = earliest + self.rng.random() * (KEEP - UNTOUCHED + AHEAD)
        return at.replace(microsecond=0)

    def add(self, connection: psycopg.Connection[Any]) -> None:
        self.number += 1
        kind = self.rng.choice(("log", "account", "held"))
        at = self.moment()
        if kind == "held":
            at = self.application.clock.held_day + self.rng.random() * DAY
        row = Row(at.replace(microsecond=0), kind, self.number % 1000)
        connection.execute(INSERT, (self.number, *row))
        self.application.rows[self.number] = row
        if kind == "account":
            self.own[self.number] = row

    def change(self, connection: psycopg.Connection[Any]) -> None:
        self._touch(connection, lambda row: row._replace(value=row.value + 1), CHANGE, "value")

    def move(self, connection: psycopg.Connection[Any]) -> None:
        at = self.moment()
        self._touch(connection, lambda row: row._replace(at=at), MOVE, "at")

    def remove(self, connection: psycopg.Connection[Any]) -> None:
        self._touch(connection, lambda _: None, REMOVE, None)

    def _touch(
        self,
        connection: psycopg.Connection[Any],
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
        n_met = connection.execute(sql.encode(), (*new, number, row.at)).rowcount
        if n_met == 0:
            del self.own[number]
            if not self.application.may_be_gone(row.at):
                self.application.fail("writer", f"{sql} met no row: {number} {row}")
        elif altered is None:
            del self.own[number], self.application.rows[number]
            self.application.gone.add(number)
        else:
            self.own[number] = self.application.rows[number] = altered


@dataclass
class Reader:
    """One session that looks for every row that was acknowledged before and never changes.

    Attributes:
        longest_s: it keeps a snapshot for so long before it looks; 0 for READ COMMITTED.
    """

    application: Application
    rng: random.Random
    longest_s: float

    def turn(self, connection: psycopg.Connection[Any]) -> None:
        wanted = {
            number: row.at
            for number, row in self.application.rows.copy().items()
            if row.kind != "account"
        }
        if not self.longest_s:
            self.check(connection, wanted)
            self.application.pause(0.02)
            return
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            known = self.rng.choice(("pg_catalog.pg_class", "public.events"))
            connection.execute(f"SELECT count(*) FROM {known}".encode())
            self.application.pause(self.rng.uniform(0.2, self.longest_s))
            self.check(connection, wanted)
            self.check(connection, wanted)

    def check(self, connection: psycopg.Connection[Any], wanted: dict[int, datetime]) -> None:
        found = connection.execute("SELECT id FROM public.events WHERE kind <> 'account'")
        numbers = [number for (number,) in found]
        seen = set(numbers)
        missing = {
            number: at
            for number, at in wanted.items()
            if number not in seen and not self.application.may_be_gone(at)
        }
        self.application.n_looks += 1
        if missing:
            who = f"reader of {self.longest_s} s"
            self.application.fail(who, f"{len(missing)} rows invisible, such as {first(missing)}")
        if len(numbers) != len(seen):
            self.application.fail("reader", f"{len(numbers) - len(seen)} rows were there twice")


def first(rows: dict[int, Any], n: int = 3) -> list[tuple[int, Any]]:
    """A few rows for a message."""
    return sorted(rows.items())[:n]


@contextmanager
def at_work(
    database: Database, clock: Clock, seed: int, *, n_writers: int, longest_s: Iterable[float]
) -> Generator[Application]:
    """Let the application work beside the block, with a reader for each length of snapshot."""
    application = Application(database, clock)
    rng = random.Random(seed)
    people = [
        Writer(application, random.Random(rng.random()), number=place * 10_000_000)
        for place in range(1, n_writers + 1)
    ]
    readers = [Reader(application, random.Random(rng.random()), each) for each in longest_s]
    turns = [("writer", writer.turn) for writer in people]
    turns += [("reader", reader.turn) for reader in readers]
    threads = [threading.Thread(target=application.steadily, args=turn) for turn in turns]
    for thread in threads:
        thread.start()
    try:
        yield application
    finally:
        application._stop.set()
        for thread in threads:
            thread.join()
