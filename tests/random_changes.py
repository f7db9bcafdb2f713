"""Random changes to what views read, and what the views would have to show at every moment."""

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg

from tests.builders import Database

SCHEMA = """
CREATE TYPE public.mood AS ENUM ('sad', 'glad');
CREATE TABLE public.people (id serial PRIMARY KEY, mood public.mood DEFAULT 'sad', n int);
CREATE TABLE public.sales (person int, part int, amount int) PARTITION BY LIST (part);
CREATE TABLE public.sales_1 PARTITION OF public.sales FOR VALUES IN (1);
CREATE TABLE public.sales_2 PARTITION OF public.sales FOR VALUES IN (2);
CREATE TABLE public.sales_3 PARTITION OF public.sales FOR VALUES IN (3);
CREATE VIEW public.sums AS SELECT person, sum(amount) AS amount FROM public.sales GROUP BY person;
INSERT INTO public.people (n) SELECT generate_series(1, 20);
INSERT INTO public.sales SELECT i % 20 + 1, i % 3 + 1, i FROM generate_series(1, 90) AS i;
"""
PEOPLE = (
    "SELECT p.id, p.mood::text AS mood, pg_catalog.to_jsonb(p) AS whole, s.amount"
    " FROM public.people p LEFT JOIN public.sums s ON s.person = p.id"
)
MOODS = (
    "SELECT mood, pg_catalog.count(*) AS n, pg_catalog.sum(amount) AS amount"
    " FROM public.by_person GROUP BY mood"
)
VIEWS = {"by_person": (PEOPLE, ["id"]), "by_mood": (MOODS, ["mood"])}


@dataclass(frozen=True)
class State:
    """What the views must show between the end of one change and the beginning of the next."""

    since: datetime
    until: datetime
    contents: dict[str, str]


@dataclass
class World:
    """A database that changes at random, sessions that stay open, and its history."""

    database: Database
    chance: random.Random
    n_idle: int
    states: list[State] = field(default_factory=list[State])
    sessions: list[psycopg.Connection[Any]] = field(default_factory=list[Any])
    detached: list[int] = field(default_factory=list[int])
    prepared: list[str] = field(default_factory=list[str])
    done: list[str] = field(default_factory=list[str])
    n_steps: int = 0
    label: str = "sad"

    def begin(self) -> None:
        self.database.execute(SCHEMA)
        self._open()
        self._note(self.now())

    def now(self) -> datetime:
        ((moment,),) = self.database.execute("SELECT pg_catalog.clock_timestamp()")
        return moment

    def change(self) -> None:
        """Change something at random, in a session that stays open or in one of its own."""
        self.n_steps += 1
        (work,) = self.chance.choices(list(CHANGES), weights=list(CHANGES.values()))
        self.done.append(work.__name__)
        began = self.now()
        with suppress(psycopg.errors.LockNotAvailable, psycopg.errors.ObjectInUse):
            work(self)
        self._note(began)

    def session(self) -> psycopg.Connection[Any]:
        if self.sessions and self.chance.random() < 0.8:
            return self.chance.choice(self.sessions)
        return self.database.connect(options="-c lock_timeout=2s")

    def run(self, *statements: str) -> None:
        connection = self.session()
        try:
            for statement in statements:
                connection.execute(statement.encode())
        except psycopg.Error:
            connection.rollback()
            raise
        finally:
            if connection not in self.sessions:
                connection.close()

    def crash(self) -> None:
        self.database.close()
        self.database.server.stop(immediate=True)
        self.database.server.start()
        self._open()

    def end(self) -> None:
        """Leave nothing behind that keeps the database from being dropped."""
        for name in self.prepared:
            self.database.execute(f"ROLLBACK PREPARED '{name}'")

    def allowed(self, view: str, moment: datetime) -> set[str]:
        """What the view may show if it is right as of a moment.

        Two contents while the change is made that leads from one to the other.
        """
        ends = [*(state.until for state in self.states[1:]), None]
        return {
            state.contents[view]
            for state, end in zip(self.states, ends, strict=True)
            if state.since <= moment and (end is None or moment <= end)
        }

    def shown(self, view: str) -> str:
        return self._content(f"SELECT * FROM public.{view}")

    def _open(self) -> None:
        self.sessions = [
            self.database.connect(options="-c lock_timeout=2s") for _ in range(self.n_idle)
        ]

    def _note(self, began: datetime) -> None:
        people = self._content(PEOPLE)
        moods = self._content(
            f"WITH by_person AS ({PEOPLE}) {MOODS}".replace("public.by_person", "by_person")
        )
        self.states.append(State(began, self.now(), {"by_person": people, "by_mood": moods}))

    def _content(self, query: str) -> str:
        ((content,),) = self.database.execute(
            "SELECT pg_catalog.md5(pg_catalog.string_agg(q::text, '|' ORDER BY q::text))"
            f" FROM ({query}) AS q"
        )
        return str(content)


def insert(world: World) -> None:
    world.run(f"INSERT INTO public.people (n) VALUES ({world.chance.randrange(9)})")


def insert_sale(world: World) -> None:
    parts = [part for part in (1, 2, 3) if part not in world.detached]
    if parts:
        part = world.chance.choice(parts)
        world.run(f"INSERT INTO public.sales SELECT 1, {part}, {world.chance.randrange(99)}")


def update(world: World) -> None:
    world.run(f"UPDATE public.sales SET amount = amount + {world.chance.randrange(3)}")


def delete(world: World) -> None:
    world.run("DELETE FROM public.people WHERE id = (SELECT min(id) FROM public.people)")


def truncate(world: World) -> None:
    """Empty a partition that holds rows, or fill those that are empty: no counter tells of one."""
    held = "SELECT part FROM public.sales WHERE part = ANY (%s) GROUP BY part ORDER BY part"
    attached = [part for part in (1, 2, 3) if part not in world.detached]
    filled = [part for (part,) in world.database.execute(held, [attached])]
    if filled:
        world.run(f"TRUNCATE public.sales_{world.chance.choice(filled)}")
    elif attached:
        world.run(
            f"INSERT INTO public.sales SELECT i, {attached[0]}, i FROM generate_series(1, 9) i"
        )


def detach(world: World) -> None:
    part = world.chance.choice((1, 2, 3))
    child = f"public.sales_{part}"
    if part in world.detached:
        world.run(f"ALTER TABLE public.sales ATTACH PARTITION {child} FOR VALUES IN ({part})")
        world.detached.remove(part)
    else:
        world.run(f"ALTER TABLE public.sales DETACH PARTITION {child}")
        world.detached.append(part)


def alter_type(world: World) -> None:
    new = f"sad{world.n_steps}"
    world.run(f"ALTER TYPE public.mood RENAME VALUE '{world.label}' TO '{new}'")
    world.label = new


def add_column(world: World) -> None:
    world.run(f"ALTER TABLE public.people ADD c{world.n_steps} int DEFAULT {world.n_steps}")


def roll_back(world: World) -> None:
    world.run(
        "BEGIN", "INSERT INTO public.people (n) VALUES (77)", "DELETE FROM public.sales", "ROLLBACK"
    )


def roll_back_in_part(world: World) -> None:
    world.run(
        "BEGIN",
        "INSERT INTO public.people (n) VALUES (5)",
        "SAVEPOINT s",
        "DELETE FROM public.people",
        "ROLLBACK TO s",
        "SAVEPOINT s2",
        "TRUNCATE public.sales",
        "ROLLBACK TO s2",
        "COMMIT",
    )


def prepare(world: World) -> None:
    if world.prepared:
        world.run(f"COMMIT PREPARED '{world.prepared[0]}'")
        world.prepared.clear()
        return
    name = f"{world.database.name}_{world.n_steps}"
    world.run("BEGIN", "INSERT INTO public.people (n) VALUES (44)", f"PREPARE TRANSACTION '{name}'")
    world.prepared.append(name)


def reset_statistics(world: World) -> None:
    world.run("SELECT pg_catalog.pg_stat_reset()")


def refresh_by_hand(world: World) -> None:
    world.run("REFRESH MATERIALIZED VIEW public.by_person")


def crash(world: World) -> None:
    world.crash()


def look_only(world: World) -> None:
    world.run("SELECT pg_catalog.count(*) FROM public.people, public.sales")


CHANGES: dict[Callable[[World], None], int] = {
    insert: 6,
    insert_sale: 6,
    update: 3,
    delete: 3,
    truncate: 8,
    detach: 4,
    alter_type: 2,
    add_column: 2,
    roll_back: 3,
    roll_back_in_part: 3,
    prepare: 4,
    reset_statistics: 2,
    refresh_by_hand: 2,
    crash: 1,
    look_only: 6,
}
