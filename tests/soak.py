"""The clock and the books of the soak: months that pass in seconds, and every acknowledged row.

Rows are booked only after the server has acknowledged them, so all of them must be found again.
"""

import threading
import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

DAY = timedelta(days=1)
UNTOUCHED = 15 * DAY
"""Rows are added so long before they expire, at least: a writer may be slow to send them."""
KEEP = 3
"""How many months are kept."""
PREMAKE = 5
"""How many months are made ahead."""
AHEAD = 1
"""How many months ahead of now rows are written, but for strays."""
LAG = PREMAKE - AHEAD
"""How many months after the beginning of a complete run those that it made are enough."""

BATCH = 256
"""Rows of a bulk load; the id of its first row is a multiple."""
FIRST_BULK_ID = 1 << 40


def month_of(at: datetime, shift: int = 0) -> datetime:
    """The beginning of the month of a moment, some months on."""
    years, month = divmod(at.month - 1 + shift, 12)
    return datetime(at.year + years, month + 1, 1, tzinfo=UTC)


def months_after(at: datetime, n: int) -> datetime:
    """The same moment of another month, at most its 28th."""
    begin = month_of(at)
    return month_of(at, n) + min(at - begin, 28 * DAY)


class Row(NamedTuple):
    """What a row says; `held` rows are of the month under legal hold, `log` rows never change."""

    at: datetime
    kind: str
    value: int


@dataclass
class Clock:
    """A month every `month_s` seconds, from tomorrow's noon on; slower where a busy machine is.

    It stands still at the earliest of its limits: maintenance gets the time that starting it takes,
    and a session the time between choosing a row and sending it.
    """

    month_s: float
    origin: datetime = field(
        default_factory=lambda: datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + DAY
    )
    _now: datetime = field(init=False)
    _looked_s: float = field(default_factory=time.monotonic)
    _limits: dict[object, datetime] = field(default_factory=dict[object, datetime])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._now = self.origin

    def now(self) -> datetime:
        with self._lock:
            looked_s, self._looked_s = self._looked_s, time.monotonic()
            moved = self._now + (self._looked_s - looked_s) / self.month_s * 30 * DAY
            self._now = max(self._now, min([moved, *self._limits.values()]))
            return self._now

    def limit(self, who: object, latest: datetime) -> None:
        """Let it go no further than this, as far as it concerns somebody, until told otherwise."""
        with self._lock:
            self._limits[who] = latest

    @contextmanager
    def slowly(self) -> Generator[None]:
        """Let it go on by less than `UNTOUCHED` during the block."""
        who = object()
        self.limit(who, self.now() + UNTOUCHED * 0.9)
        try:
            yield
        finally:
            with self._lock:
                del self._limits[who]

    @property
    def held_month(self) -> datetime:
        return month_of(self.origin)

    @property
    def n_months(self) -> int:
        """How many months have ended."""
        now = self.now()
        return (now.year - self.origin.year) * 12 + now.month - self.origin.month

    def may_be_gone(self, at: datetime, now: datetime | None = None) -> bool:
        """Whether the month of a moment has expired, and is not the one under legal hold."""
        expires = month_of(at, 1 + KEEP)
        return expires <= (now or self.now()) and month_of(at) != self.held_month


@dataclass
class Ledger:
    """The acknowledged rows of a table.

    Attributes:
        expires: whether months of it are retired.
        rows: those written one by one, by id.
        batches: when the first row of each bulk load was, by its id: see `bulk_row`.
        gone: ids of those that were removed.
    """

    table: str
    expires: bool = False
    rows: dict[int, Row] = field(default_factory=dict[int, Row])
    batches: dict[int, datetime] = field(default_factory=dict[int, datetime])
    gone: set[int] = field(default_factory=set[int])

    @property
    def n_rows(self) -> int:
        """How many rows were acknowledged, those removed later included."""
        return len(self.rows) + len(self.gone) + len(self.batches) * BATCH

    def expected(self, number: int) -> Row | None:
        """What a row must say; None if there must be none."""
        if number < FIRST_BULK_ID:
            return self.rows.get(number)
        first = number - number % BATCH
        at = self.batches.get(first)
        return bulk_row(at, number - first) if at else None

    def may_lack(self, at: datetime, clock: Clock, now: datetime | None = None) -> bool:
        """Whether a row of a moment may have been retired."""
        return self.expires and clock.may_be_gone(at, now)

    def lasting(self) -> "Wanted":
        """What every later snapshot must show until it expires: changing rows are left out."""
        singles = {n: row.at for n, row in self.rows.copy().items() if row.kind != "account"}
        return Wanted(singles, self.batches.copy())

    def faults(self, found: Iterable[tuple[int, Row]]) -> dict[str, Any]:
        """Hold rows against the books, one by one: what differs, with examples; empty if none."""
        wrong: dict[str, list[Any]] = {
            kind: [] for kind in ("lost", "doubled", "changed", "back again", "unknown")
        }
        singles = Counter[int]()
        bulks = {first: bytearray(BATCH) for first in self.batches}
        for number, row in found:
            expected = self.expected(number)
            if expected is None:
                wrong["back again" if number in self.gone else "unknown"].append((number, row))
                continue
            if row != expected:
                wrong["changed"].append((number, row, expected))
            if number < FIRST_BULK_ID:
                singles[number] += 1
            else:
                bulks[number - number % BATCH][number % BATCH] += 1
        wrong["doubled"] += [number for number, times in singles.items() if times > 1]
        wrong["lost"] += [(n, row) for n, row in self.rows.items() if n not in singles]
        for first, met in bulks.items():
            wrong["doubled"] += [first + n for n, times in enumerate(met) if times > 1]
            wrong["lost"] += [(first + n, self.batches[first]) for n, t in enumerate(met) if not t]
        return {kind: (len(which), which[:3]) for kind, which in wrong.items() if which}


class Wanted(NamedTuple):
    """When rows were that must be there: single ones, and the first of each bulk load."""

    singles: Mapping[int, datetime]
    batches: Mapping[int, datetime]

    def missing(self, singles: set[int], batches: Mapping[int, int]) -> dict[int, datetime]:
        """Those that a snapshot does not show, or not with all rows of their load."""
        return {
            **{n: at for n, at in self.singles.items() if n not in singles},
            **{n: at for n, at in self.batches.items() if batches.get(n) != BATCH},
        }


def bulk_row(at: datetime, n: int) -> Row:
    """The n-th row of a bulk load."""
    return Row(at + timedelta(milliseconds=n), "bulk", n)


def read_rows(text: Iterable[bytes]) -> Iterator[tuple[int, Row]]:
    """Rows in the text of a COPY, line by line."""
    for line in text:
        number, at, kind, value = line.decode().rstrip("\n").split("\t")
        yield int(number), Row(datetime.fromisoformat(at), kind, int(value))
