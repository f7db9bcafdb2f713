"""Work beside a stream: hashing and compressing hold no lock of Python's while they last."""

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from queue import Queue
from threading import Thread

AHEAD = 8
"""So many pieces wait at most, so memory stays flat."""

Take = Callable[[bytes], None]


@contextmanager
def aside(take: Take) -> Generator[Take]:
    """Let a function take pieces in a thread of its own, in order.

    Yields:
        A function that hands over a piece. It, or the end of the block, raises what `take` has
        raised; after the block all pieces are taken.
    """
    pieces: Queue[bytes | None] = Queue(AHEAD)
    failures: list[BaseException] = []

    def work() -> None:
        while (piece := pieces.get()) is not None:
            if not failures:  # else only room is made, so that nobody waits for it
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
    """Yield pieces that a thread of its own takes from where they come, a few ahead.

    Raises:
        BaseException: what `pieces` raises, in its place.
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
