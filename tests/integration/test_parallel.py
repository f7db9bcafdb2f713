"""Actions side by side: on real sessions, in their order, and none left behind."""

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
import pytest

from maintenance.engine.actions import Action, ActionKind, Lock, LockMode, Step
from maintenance.engine.parallel import run_parallel
from tests.builders import Database

pytestmark = pytest.mark.pg("== 18")


Done = TypeVar("Done")


class Sessions:
    """Opens sessions on a database, and remembers them; the first is there before."""

    def __init__(self, database: Database, first: psycopg.Connection[Any]) -> None:
        self.database = database
        self.first = first
        self.opened: list[psycopg.Connection[Any]] = []

    @contextmanager
    def open(self) -> Generator[psycopg.Connection[Any]]:
        with psycopg.connect(self.database.url, autocommit=True) as connection:
            self.opened.append(connection)
            yield connection

    def run(
        self, actions: Sequence[Action], width: int, perform: Callable[[Any, Action], Done]
    ) -> Iterator[tuple[Action, Done]]:
        return run_parallel(actions, width, self.first, self.open, perform)


def an_action(name: str, *after: Action) -> Action:
    step = Step((f"SELECT '{name}'",))
    ids = tuple(action.id for action in after)
    return Action(ActionKind.CREATE_PARTITION, name, (step,), "a test", after=ids)


def run(connection: psycopg.Connection[Any], action: Action) -> str:
    row = connection.execute(action.sql[0].encode()).fetchone()
    assert row
    return str(row[0])


@pytest.fixture
def sessions(database: Database) -> Generator[Sessions]:
    with psycopg.connect(database.url, autocommit=True) as first:
        yield Sessions(database, first)


def test_as_many_as_the_width_go_at_the_same_time(sessions: Sessions) -> None:
    together = threading.Barrier(3, timeout=60)

    def meet(connection: psycopg.Connection[Any], action: Action) -> str:
        together.wait()
        return run(connection, action)

    actions = [an_action(name) for name in "abcdef"]
    done = {result for _, result in sessions.run(actions, 3, meet)}
    assert done == set("abcdef")
    assert [session.closed for session in sessions.opened] == [True] * 2
    assert not sessions.first.closed


def test_one_action_needs_no_further_session(sessions: Sessions) -> None:
    list(sessions.run([an_action("a")], 3, run))
    assert sessions.opened == []


def test_a_session_does_not_wait_until_a_result_is_recorded(sessions: Sessions) -> None:
    begun = {name: threading.Event() for name in "abcd"}

    def note(connection: psycopg.Connection[Any], action: Action) -> str:
        begun[action.object].set()
        return run(connection, action)

    actions = [an_action(name) for name in begun]
    results = sessions.run(actions, 2, note)
    _, first = next(results)
    assert all(event.wait(60) for event in begun.values())
    assert {first, *(done for _, done in results)} == set("abcd")


def test_an_action_waits_for_those_it_comes_after(sessions: Sessions) -> None:
    first = an_action("first")
    second = an_action("second", first)
    third = an_action("third", second, first)
    actions = [third, second, first]
    ended = [action.object for action, _ in sessions.run(actions, 3, run)]
    assert ended == ["first", "second", "third"]


def test_an_id_that_is_not_among_them_is_not_waited_for(sessions: Sessions) -> None:
    action = an_action("b", an_action("done long ago"))
    assert [done for _, done in sessions.run([action], 2, run)] == ["b"]


def test_nothing_to_do_opens_no_session(sessions: Sessions) -> None:
    assert list(sessions.run([], 2, run)) == []
    assert sessions.opened == []


def test_one_that_breaks_cancels_those_beside_it(sessions: Sessions) -> None:
    asleep = threading.Event()

    def sleep_or_break(connection: psycopg.Connection[Any], action: Action) -> str:
        if action.object == "broken":
            asleep.wait(60)
            raise ZeroDivisionError
        asleep.set()
        connection.execute("SELECT pg_catalog.pg_sleep(600)")
        return "slept"

    actions = [an_action("long"), an_action("broken"), an_action("never begun")]
    with pytest.raises(ZeroDivisionError):
        list(sessions.run(actions, 2, sleep_or_break))
    assert [session.closed for session in sessions.opened] == [True]
    sessions.first.execute("SELECT 'it can be used'")


def test_what_would_wait_for_each_other_never_goes_side_by_side(sessions: Sessions) -> None:
    def locking(name: str, relation: str, statement: str = "SELECT 'done'") -> Action:
        lock = Lock(relation, LockMode.SHARE_UPDATE_EXCLUSIVE)
        step = Step((statement,), locks=(lock,), concurrent=True)
        return Action(ActionKind.ANALYZE_TABLE, name, (step,), "a test")

    build = "CREATE INDEX CONCURRENTLY i ON public.t (id)"
    actions = [
        *(locking(f"same {n}", "public.same") for n in range(3)),
        locking("build", "public.t", build),
        *(locking(f"own {n}", f"public.own_{n}") for n in range(6)),
    ]
    running: list[Action] = []
    beside: list[tuple[str, str]] = []

    def note(connection: psycopg.Connection[Any], action: Action) -> None:
        beside.extend((action.object, other.object) for other in running)
        running.append(action)
        connection.execute("SELECT pg_catalog.pg_sleep(0.05)")
        running.remove(action)

    ended = [action.object for action, _ in sessions.run(actions, 4, note)]
    assert sorted(ended) == sorted(action.object for action in actions)
    assert beside, "others do go side by side"
    assert not [pair for pair in beside if all(name.startswith("same") for name in pair)]
    assert not [pair for pair in beside if "build" in pair]
