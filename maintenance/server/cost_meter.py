"""Measure the cost of our own statements on the client side: number, time, rows."""

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import reduce
from typing import Any, NamedTuple, Self

import psycopg

REST = "rest"
"""The purpose of statements without another one: journal, run lock, server identity."""


class Cost(NamedTuple):
    """The cost of a number of statements.

    Attributes:
        seconds: from sending them to receiving their results.
        n_rows: rows that they returned or changed.
    """

    n_statements: int = 0
    seconds: float = 0.0
    n_rows: int = 0

    def plus(self, other: "Cost") -> "Cost":
        """Return the sum of both costs."""
        return Cost(
            self.n_statements + other.n_statements,
            self.seconds + other.seconds,
            self.n_rows + other.n_rows,
        )

    def as_json(self) -> dict[str, float]:
        """Return the cost as in JSON output."""
        seconds = round(self.seconds, 4)
        return {"statements": self.n_statements, "seconds": seconds, "rows": self.n_rows}


class Meter:
    """Sums the statements of all sessions opened while it is active.

    Attributes:
        costs: by purpose.
    """

    def __init__(self) -> None:
        self.costs: dict[str, Cost] = {}
        self._purpose = REST
        self._lock = threading.Lock()

    @contextmanager
    def spent_on(self, purpose: str) -> Generator[None]:
        """Set the purpose of the statements of a block, including its threads."""
        before, self._purpose = self._purpose, purpose
        try:
            yield
        finally:
            self._purpose = before

    @property
    def total(self) -> Cost:
        """The cost of all statements."""
        return reduce(Cost.plus, self.costs.values(), Cost())

    def add(self, seconds: float, n_rows: int) -> None:
        """Count one statement."""
        with self._lock:
            spent = self.costs.get(self._purpose, Cost())
            self.costs[self._purpose] = spent.plus(Cost(1, seconds, max(n_rows, 0)))


_in_use: ContextVar[Meter | None] = ContextVar("meter", default=None)


@contextmanager
def metered() -> Generator[Meter]:
    """Count the statements of every session that is opened in a block."""
    meter = Meter()
    token = _in_use.set(meter)
    try:
        yield meter
    finally:
        _in_use.reset(token)


def cursor_class() -> type[psycopg.Cursor[Any]]:
    """Return a cursor class that reports its cost to the active meter."""
    meter = _in_use.get()
    if meter is None:
        return psycopg.Cursor

    class Metered(psycopg.Cursor[Any]):
        def execute(self, *args: Any, **kwargs: Any) -> Self:
            began = time.perf_counter()
            try:
                return super().execute(*args, **kwargs)
            finally:
                meter.add(time.perf_counter() - began, self.rowcount)

    return Metered
