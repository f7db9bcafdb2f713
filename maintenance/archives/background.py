"""Runs work of a stream in a thread: hashing and compressing release Python's GIL."""

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from queue import Queue
from threading import Thread

AHEAD = 8
"""How many pieces wait at most, so that memory use is constant."""

Take = Callable[[bytes], None]


@contextmanager
def aside(take: Take) -> Generator[Take]:
    """Run a function on pieces in a separate thread, in order.

    Yields:
        A function that passes on a piece. It, or the end of the block, raises what `take` has
        raised; after the block all pieces are processed.
    """
    pieces: Queue[bytes | None] = Queue(AHEAD)
    failures: list[BaseException] = []

    def work() -> None:
        while (piece := pieces.get()) is not None:
            if not failures:  # otherwise pieces are only discarded, so that no sender waits
                _try(take, piece, failures)

    def give(piece: bytes) -> None:
        if failures:
            raise failures[0]
        pieces.put(piece)

    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        yield give
    finally:
        pieces.put(None)
        thread.join()
    if failures:
        raise failures[0]


def ahead(pieces: Iterable[bytes]) -> Generator[bytes]:
    """Yield pieces that a separate thread reads a few ahead.

    Raises:
        BaseException: raised by `pieces`, at the same position.
    """
    found: Queue[bytes | BaseException | None] = Queue(AHEAD)
    left = False

    def work() -> None:
        try:
            for piece in pieces:
                found.put(piece)
                if left:
                    break
            found.put(None)
        except BaseException as exc:  # noqa: BLE001 - raised where the pieces are taken
            found.put(exc)

    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        while (piece := found.get()) is not None:
            if isinstance(piece, BaseException):
                raise piece
            yield piece
    finally:
        left = True
        while thread.is_alive():
            _make_room(found)
            thread.join(timeout=0.01)


def _try(take: Take, piece: bytes, failures: list[BaseException]) -> None:
    try:
        take(piece)
    except BaseException as exc:  # noqa: BLE001 - raised in the thread that gave the piece
        failures.append(exc)


def _make_room(queue: Queue[bytes | BaseException | None]) -> None:
    while not queue.empty():
        queue.get_nowait()
