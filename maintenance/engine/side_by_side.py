"""Work in threads that nobody waits for longer than a limit."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, wait
from datetime import timedelta
from typing import TypeVar

T = TypeVar("T")


def within(
    limit: timedelta, n_at_once: int, tasks: Iterable[Callable[[], T]]
) -> "Sequence[Future[T]]":
    """Start tasks in threads, and return at the latest after the limit.

    A task that has not begun by then is cancelled. One that has not ended goes on, but does not
    keep the process from ending, as a thread of `ThreadPoolExecutor` does.

    Args:
        limit: for all tasks together.
        n_at_once: how many run at a time.
        tasks: what to do.

    Returns:
        For each task, in their order, a future that is done, cancelled or still running.
    """
    pairs = [(Future[T](), task) for task in tasks]
    waiting = deque(pairs)
    for _ in range(min(n_at_once, len(pairs))):
        threading.Thread(target=_work, args=(waiting,), daemon=True).start()
    futures = [future for future, _ in pairs]
    wait(futures, timeout=limit.total_seconds())
    for future in futures:
        future.cancel()
    return futures


def result_of(future: "Future[T]", late: T) -> T:
    """Return what a task has returned; `late` if it had not ended.

    Raises:
        BaseException: what it failed with.
    """
    return future.result() if future.done() and not future.cancelled() else late


def ends_within(limit_s: float, task: Callable[[], object]) -> bool:
    """Run one task; return whether it ended within so many seconds. Late, it goes on.

    Raises:
        BaseException: what it failed with.
    """
    (future,) = within(timedelta(seconds=limit_s), 1, [task])
    if not future.done():
        return False
    try:
        future.result()
    finally:
        del future  # the error knows this frame, and so would keep what it holds, such as a socket
    return True


def _work(waiting: "deque[tuple[Future[T], Callable[[], T]]]") -> None:
    while True:
        try:
            future, task = waiting.popleft()
        except IndexError:
            return
        if not future.set_running_or_notify_cancel():
            continue
        try:
            future.set_result(task())
        except BaseException as exc:  # noqa: BLE001 - it is the future's
            future.set_exception(exc)
