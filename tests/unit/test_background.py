"""Work beside a stream: nothing is lost, out of order, or left running."""

import threading
from collections.abc import Iterable, Iterator

import pytest

from maintenance.archives.background import AHEAD, Take, ahead, aside

PIECES = [bytes([number % 256]) for number in range(20 * AHEAD)]


def n_threads() -> int:
    return threading.active_count()


def test_pieces_are_taken_in_order_before_the_block_is_left() -> None:
    taken: list[bytes] = []
    with aside(taken.append) as give:
        for piece in PIECES:
            give(piece)
    assert taken == PIECES


@pytest.mark.parametrize("bad", [PIECES[0], PIECES[3], PIECES[-1]])
def test_what_fails_beside_fails_here(bad: bytes) -> None:
    before = n_threads()

    def take(piece: bytes) -> None:
        if piece == bad:
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        hand_over(take, [*PIECES, bad])
    assert n_threads() == before


def hand_over(take: Take, pieces: Iterable[bytes]) -> None:
    with aside(take) as give:
        for piece in pieces:
            give(piece)


def test_interrupted_block_leaves_no_thread() -> None:
    before = n_threads()

    def pieces() -> Iterator[bytes]:
        yield b"x"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hand_over(lambda _piece: None, pieces())
    assert n_threads() == before


def test_pieces_read_ahead_come_in_order() -> None:
    assert list(ahead(PIECES)) == PIECES


def test_failure_of_the_source_comes_in_its_place() -> None:
    def source() -> Iterator[bytes]:
        yield from PIECES
        raise OSError("gone")

    seen: list[bytes] = []
    with pytest.raises(OSError, match="gone"):
        seen.extend(ahead(source()))
    before = n_threads()
    found = ahead(source())
    assert [next(found) for _ in PIECES] == PIECES
    with pytest.raises(OSError, match="gone"):
        next(found)
    assert n_threads() == before


def test_reader_who_leaves_early_ends_the_source() -> None:
    before = n_threads()
    found = ahead(PIECES * 100)
    assert next(found) == PIECES[0]
    found.close()
    assert n_threads() == before
