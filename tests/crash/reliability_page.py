"""Writes the counts of the long proofs into the page on reliability."""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from tests.builders import ROOT
from tests.crash.sweep import Tally

PAGE = ROOT / "docs" / "reliability.md"
PAGE_WANTED = "MAINTENANCE_WRITE_RELIABILITY"
"""The environment variable with which a complete proof writes its counts into the page."""

SWEEP = (
    "| PostgreSQL | kind of action | points | tried | converged |",
    "| ---------- | -------------- | -----: | ----: | --------: |",
)
SOAK = (
    "| PostgreSQL | minutes | months | rows | statements | failed | slowest write | runs | killed"
    " | actions | dumps |",
    "| ---------- | ------: | -----: | ---: | ---------: | -----: | ------------: | ---: | -----:"
    " | ------: | ----: |",
)
FUZZ = (
    "| input | examples | accepted | refused | as of |",
    "| ----- | -------: | -------: | ------: | ----- |",
)


def write_counts(by_version: Mapping[int, Tally]) -> None:
    """Replace the counts of the sweeps of these versions; those of others stay as they are."""
    rows = [row for major, tally in by_version.items() for row in _rows(major, tally)]
    _replace("sweep", (_as_of(), "", *SWEEP), {str(major) for major in by_version}, rows)


def write_soak(major: int, counts: Mapping[str, Any]) -> None:
    """Replace the counts of the soak of this version."""
    cells = (
        major,
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
    _replace("soak", (_as_of(), "", *SOAK), {str(major)}, [_row(cells)])


def write_fuzz(kind: str, n: int, n_accepted: int) -> None:
    """Replace the counts of this kind of input."""
    counts = (f"{number:,}" for number in (n, n_accepted, n - n_accepted))
    _replace("fuzz", FUZZ, {kind}, [_row((kind, *counts, _today()))])


def _replace(name: str, head: Iterable[str], keys: Collection[str], rows: Iterable[str]) -> None:
    """Replace the rows of a table that begin with one of these keys; newest versions come first."""
    begin, end = (f"<!-- counts of the {name}: {which} -->" for which in ("begin", "end"))
    before, _, rest = PAGE.read_text().partition(begin)
    block, _, after = rest.partition(end)
    head = tuple(head)
    lines = [line for line in block.splitlines() if line.startswith("| ") and line not in head]
    kept = [line for line in lines if _key(line) not in keys]
    ordered = sorted([*kept, *rows], key=lambda row: (-int("0" + _version(row)), row))
    PAGE.write_text(f"{before}{begin}\n\n" + "\n".join([*head, *ordered]) + f"\n\n{end}{after}")


def _key(row: str) -> str:
    return row.split("|")[1].strip()


def _version(row: str) -> str:
    return _key(row) if _key(row).isdecimal() else ""


def _row(cells: Iterable[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"


def _as_of() -> str:
    return f"As of {_today()}."


def _rows(major: int, tally: Tally) -> list[str]:
    return [
        _row((major, kind, n, tally.tried[kind], tally.converged[kind]))
        for kind, n in tally.points.items()
    ]
