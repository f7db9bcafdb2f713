"""No writer and no reader waits for a rollout of indexes, nor for its undo, longer than a moment.

Every session has a lock timeout, so that the server itself turns a wait into an error, and some
keep transactions open for seconds, behind which a statement without a lock timeout would queue, and
all others behind it.
"""

import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from maintenance.engine.actions import ActionKind
from maintenance.engine.executor import Outcome
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.undo import undo
from maintenance.policy import Policy
from tests.builders import Database
from tests.load_generator import PATIENCE, build, crowd, moments, rows_there
from tests.policies import make_policy

ORDERS = """
CREATE TABLE public.orders (id bigint PRIMARY KEY, number bigint NOT NULL, note text);
INSERT INTO public.orders SELECT n, n, 'note ' || n FROM generate_series(1, 20000) n;
CREATE INDEX orders_old ON public.orders (note);
CREATE INDEX orders_older ON public.orders (note, number);
"""
DECLARED = """
CREATE INDEX orders_number ON public.orders (number);
-- replaces: orders_old
CREATE INDEX orders_words ON public.orders (lower(note));
DROP INDEX public.orders_older;
ALTER TABLE public.orders ADD CONSTRAINT orders_positive CHECK (number > 0);
"""
DECLARED_TREE = """
CREATE INDEX events_value ON public.events (value, at);
-- replaces: events_kind_at_idx
CREATE INDEX events_note ON public.events (kind, at, note);
"""
HELD_S = 3.0
FREE_S = 1.0


@dataclass
class Application:
    """Sessions that run statements in a loop, and what became of it."""

    database: Database
    errors: list[str] = field(default_factory=list[str])
    counts: list[int] = field(default_factory=list[int])
    stop: threading.Event = field(default_factory=threading.Event)

    def repeat(self, statements: Sequence[str], held_s: float, free_s: float) -> None:
        """Run a transaction again and again, keep it open, and pause."""
        n_done = 0
        with psycopg.connect(self.database.url, autocommit=True) as connection:
            connection.execute(f"SET lock_timeout = '{PATIENCE}'")
            while not self.stop.is_set():
                try:
                    with connection.transaction():
                        for statement in statements:
                            connection.execute(statement.encode())
                        self.stop.wait(held_s)
                    n_done += 1
                except psycopg.Error as exc:
                    self.errors.append(f"{type(exc).__name__}: {exc}")
                self.stop.wait(free_s)
        self.counts.append(n_done)


WRITE = ["INSERT INTO public.orders SELECT max(id) + 1, 1, 'new' FROM public.orders"]
CHANGE = ["UPDATE public.orders SET note = 'changed' WHERE id = 7"]
READ = ["SELECT count(*) FROM public.orders WHERE number > 0", "SELECT FROM public.orders"]


@contextmanager
def busy(database: Database, *held: str) -> Generator[Application]:
    """Write and read all the time; a session more keeps its transactions open for seconds."""
    application = Application(database)
    loops: list[tuple[Sequence[str], float, float]] = [(held, HELD_S, FREE_S)]
    if any("orders" in statement for statement in held):
        loops += [(WRITE, 0, 0.002), (CHANGE, 0, 0.005), (READ, 0, 0.002)]
    threads = [threading.Thread(target=application.repeat, args=loop) for loop in loops]
    for thread in threads:
        thread.start()
    try:
        yield application
    finally:
        application.stop.set()
        for thread in threads:
            thread.join()


def policy_for(database: Database, folder: Path, declared: str) -> Policy:
    (folder / "indexes.sql").write_text(declared)
    return make_policy(
        folder,
        database.url,
        indexes={
            "declared": "indexes.sql",
            "allow_drop": True,
            "preflight": {"free_disk": "1 MB"},
        },
        locks={"give_up_after": "10 minutes"},
    )


def rolled_out_and_undone(policy: Policy) -> set[ActionKind]:
    """Roll out, undo, and return the kinds of actions."""
    report = pipeline.apply(policy, only=("indexes",))
    assert [result.error for result in report.results if result.error] == []
    assert {result.outcome for result in report.results} == {Outcome.DONE}
    undone = undo(policy)
    assert [result.error for result in undone.results if result.error] == []
    assert undone.is_complete
    return {result.action.kind for result in report.results}


def test_nobody_waits_for_the_rollout_and_undo_of_a_plain_table(
    database: Database, tmp_path: Path
) -> None:
    database.execute(ORDERS)
    policy = policy_for(database, tmp_path, DECLARED)
    held = "UPDATE public.orders SET note = 'held' WHERE id = 9"
    with busy(database, held, "SELECT count(*) FROM public.orders") as application:
        kinds = rolled_out_and_undone(policy)
    assert application.errors == []
    assert min(application.counts) > 0
    assert kinds == {
        ActionKind.CREATE_INDEX,
        ActionKind.REPLACE_INDEX,
        ActionKind.DROP_INDEX,
        ActionKind.ADD_CONSTRAINT,
        ActionKind.VALIDATE_CONSTRAINT,
    }


@pytest.mark.pg("== 18")
def test_nobody_waits_for_the_rollout_and_undo_of_a_partitioned_table(
    database: Database, tmp_path: Path
) -> None:
    check_that_nobody_waits(database, tmp_path)


@pytest.mark.slow
@pytest.mark.pg("< 18")
def test_nobody_waits_for_a_partitioned_table_on_older_servers(
    database: Database, tmp_path: Path
) -> None:
    check_that_nobody_waits(database, tmp_path)


def check_that_nobody_waits(database: Database, tmp_path: Path) -> None:
    build(database, [-1, 0], moments(-1, 0), 3000, ("months",))
    policy = policy_for(database, tmp_path, DECLARED_TREE)
    before = indexes(database)
    # No build waits for it, since it has no snapshot; all that locks the whole table does.
    held = "LOCK TABLE ONLY public.events IN ROW EXCLUSIVE MODE"
    with crowd(database, moments(-1, 0), seed=14) as people, busy(database, held) as holder:
        kinds = rolled_out_and_undone(policy)
    assert people.errors == []
    assert holder.errors == []
    assert min(people.n_written, people.n_read) > 20
    assert rows_there(database) == people.rows
    assert kinds == {ActionKind.CREATE_INDEX, ActionKind.REPLACE_INDEX}
    assert indexes(database) == before


def indexes(database: Database) -> list[tuple[Any, ...]]:
    return database.execute(
        "SELECT indexname, indexdef, indexname::regclass::oid IN (SELECT indexrelid FROM pg_index"
        " WHERE indisvalid) FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
    )
