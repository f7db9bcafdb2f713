"""Actions side by side: each in a session of its own, none before those it waits for.

None runs beside one that would wait for it, see `engine.schedule`.
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

Opener = Callable[[], AbstractContextManager[Connection]]
"""Opens a session on the maintained database, and closes it at the end of the block."""


def run_parallel(
    actions: Sequence[Action],
    width: int,
    opened: Opener,
    perform: Callable[[Connection, Action], Done],
) -> Iterator[tuple[Action, Done]]:
    """Carry out actions in up to `width` sessions, and yield what came of them as it comes.

    An action begins once those of its `after` that are among the actions have been yielded, and
    none that it collides with is running; in the given order where several could. Who stops
    taking results cancels what still runs.

    Raises:
        Exception: whatever `perform` raises, after the others have been cancelled.
    """
    known = {action.id: action for action in actions}
    waiting = TopologicalSorter({id_: known.keys() & set(a.after) for id_, a in known.items()})
    waiting.prepare()
    with ExitStack() as stack:
        sessions = [stack.enter_context(opened()) for _ in range(min(width, len(known)))]
        free: SimpleQueue[Connection] = SimpleQueue()
        for session in sessions:
            free.put(session)

        def work(action: Action) -> tuple[Action, Done]:
            session = free.get()
            try:
                return action, perform(session, action)
            finally:
                free.put(session)

        pool = stack.enter_context(ThreadPoolExecutor(len(sessions) or 1))
        ready: list[Action] = []
        running: dict[Future[tuple[Action, Done]], Action] = {}
        try:
            while waiting.is_active():
                ready += [known[id_] for id_ in waiting.get_ready()]
                for action in _startable(ready, running.values(), len(sessions)):
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


def _startable(ready: list[Action], running: Iterable[Action], width: int) -> list[Action]:
    """Take from the front of `ready` what may begin now beside what is running."""
    beside = list(running)
    started: list[Action] = []
    place = 0
    while len(beside) < width and place < len(ready):
        if any(collide(ready[place], other) for other in beside):
            place += 1
            continue
        action = ready.pop(place)
        started.append(action)
        beside.append(action)
    return started


def _stop(sessions: Sequence[Connection], running: Collection[Future[Any]]) -> None:
    """Cancel until all have ended: a cancel that comes between two statements is lost."""
    while running := [future for future in running if not future.done()]:
        for session in sessions:
            session.cancel_safe()
        wait(running, timeout=BETWEEN_CANCELS_S)
