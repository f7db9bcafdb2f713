"""Writes the counts of the long proofs into the page on reliability.

Several processes may do so at a time.
"""

import fcntl
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from tests.builders import ROOT
from tests.crash.sweep import BETWEEN, Tally

PAGE = ROOT / "docs" / "reliability.md"
PAGE_WANTED = "MAINTENANCE_WRITE_RELIABILITY"
"""The environment variable with which a complete proof writes its counts into the page."""

SWEEP = (
    "| PostgreSQL | scenario | kinds of actions | points | tried | converged | as of |",
    "| ---------- | -------- | ---------------- | -----: | ----: | --------: | ----- |",
)
SOAK = (
    "| PostgreSQL | minutes | months | rows | statements | failed | slowest write | runs | killed"
    " | actions | dumps | as of |",
    "| ---------- | ------: | -----: | ---: | ---------: | -----: | ------------: | ---: | -----:"
    " | ------: | ----: | ----- |",
)
FUZZ = (
    "| input | examples | accepted | refused | as of |",
    "| ----- | -------: | -------: | ------: | ----- |",
)


def write_sweep(major: int, scenario: str, tally: Tally) -> None:
    """Replace the counts of a scenario on this version."""
    kinds = ", ".join(sorted(tally.points.keys() - {BETWEEN}))
    n_points, n_tried, n_converged = (
        f"{each.total():,}" for each in (tally.points, tally.tried, tally.converged)
    )
    _replace("sweep", SWEEP, (major, scenario), (kinds, n_points, n_tried, n_converged))


def write_soak(major: int, counts: Mapping[str, Any]) -> None:
    """Replace the counts of the soak of this version."""
    cells = (
        f"{counts['seconds'] / 60:.0f}",
        counts["months"],
        f"{counts['rows']:,}",
        f"{counts['statements']:,}",
        counts["failures"],
        f"{max(counts['slowest_ms'].values())} ms",
        counts["runs"],
        counts["killed"],
        sum(counts["done"].values()),
        counts["dumps"],
    )
    _replace("soak", SOAK, (major,), cells)


def write_fuzz(kind: str, n: int, n_accepted: int) -> None:
    """Replace the counts of this kind of input."""
    _replace("fuzz", FUZZ, (kind,), [f"{number:,}" for number in (n, n_accepted, n - n_accepted)])


def _replace(
    name: str, head: Iterable[str], key: Sequence[object], counts: Iterable[object]
) -> None:
    """Replace the row of a table that begins with a key; newest versions come first."""
    begin, end = (f"<!-- counts of the {name}: {which} -->" for which in ("begin", "end"))
    head, key = tuple(head), tuple(map(str, key))
    row = _row((*key, *counts, f"{datetime.now(UTC):%Y-%m-%d}"))
    with _page_alone():
        before, _, rest = PAGE.read_text().partition(begin)
        block, _, after = rest.partition(end)
        rows = [line for line in block.splitlines() if line.startswith("| ") and line not in head]
        kept = [line for line in rows if _cells(line)[: len(key)] != key]
        ordered = sorted([*kept, row], key=_in_order)
        PAGE.write_text(f"{before}{begin}\n\n" + "\n".join([*head, *ordered]) + f"\n\n{end}{after}")


@contextmanager
def _page_alone() -> Generator[None]:
    with PAGE.open() as page:
        fcntl.flock(page, fcntl.LOCK_EX)
        yield


def _cells(row: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in row.strip("|").split("|"))


def _in_order(row: str) -> tuple[int, tuple[str, ...]]:
    cells = _cells(row)
    return -int(cells[0]) if cells[0].isdecimal() else 0, cells


def _row(cells: Iterable[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"
