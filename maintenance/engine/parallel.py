"""Parallel execution of actions: each in its own session, after the actions it depends on.

Actions that would wait for each other never run at the same time; see `engine.action_order`. One
more for each session is handed over ahead, so that no session waits until a result is recorded.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack
from graphlib import TopologicalSorter
from queue import SimpleQueue
from typing import Any, TypeVar

from maintenance.engine.action_order import collide
from maintenance.engine.actions import Action
from maintenance.server.session import Connection, report_counters

Done = TypeVar("Done")

BETWEEN_CANCELS_S = 0.5

AHEAD = 2
"""Actions for each session: the one that runs, and the one that it begins next."""

Opener = Callable[[], AbstractContextManager[Connection]]
"""Opens a session on the maintained database, and closes it at the end of the block."""


def run_parallel(
    actions: Sequence[Action],
    width: int,
    connection: Connection,
    opened: Opener,
    perform: Callable[[Connection, Action], Done],
) -> Iterator[tuple[Action, Done]]:
    """Execute actions in up to `width` sessions, and yield each result when it is ready.

    The first session is the given one; the others are opened while it is at work.

    An action starts once the results of its `after` among the actions have been yielded and no
    conflicting action is running; in the given order if several can start. Closing the generator
    cancels the running actions.

    Raises:
        Exception: from `perform`, after the others have been canceled.
    """
    known = {action.id: action for action in actions}
    waiting = TopologicalSorter({id_: known.keys() & set(a.after) for id_, a in known.items()})
    waiting.prepare()
    with ExitStack() as stack:
        sessions = [connection]
        free: SimpleQueue[Connection] = SimpleQueue()
        free.put(connection)

        def work(action: Action) -> tuple[Action, Done]:
            session = free.get()
            try:
                return action, perform(session, action)
            finally:
                free.put(session)

        pool = stack.enter_context(ThreadPoolExecutor(width))
        ready: list[Action] = []
        running: dict[Future[tuple[Action, Done]], Action] = {}
        try:
            while waiting.is_active():
                ready += [known[id_] for id_ in waiting.get_ready()]
                for action in _startable(ready, running.values(), AHEAD * width):
                    if len(sessions) <= len(running) and len(sessions) < width:
                        sessions.append(stack.enter_context(opened()))
                        free.put(sessions[-1])
                    running[pool.submit(work, action)] = action
                ended, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in ended:
                    del running[future]
                    action, done = future.result()
                    yield action, done
                    waiting.done(action.id)
            for session in sessions:
                report_counters(session)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            _stop(sessions, running)
            raise


def _startable(ready: list[Action], running: Iterable[Action], most: int) -> list[Action]:
    """Remove from `ready` the actions that can start beside those running, and return them."""
    current = list(running)
    started: list[Action] = []
    place = 0
    while len(current) < most and place < len(ready):
        if any(collide(ready[place], other) for other in current):
            place += 1
            continue
        action = ready.pop(place)
        started.append(action)
        current.append(action)
    return started


def _stop(sessions: Sequence[Connection], running: Collection[Future[Any]]) -> None:
    """Cancel until all have ended: a cancel between two statements has no effect."""
    while running := [future for future in running if not future.done()]:
        for session in sessions:
            session.cancel_safe()
        wait(running, timeout=BETWEEN_CANCELS_S)
