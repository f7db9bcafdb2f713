"""Writes the counts of the long proofs into the page on reliability."""

from collections.abc import Iterable, Mapping
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


def write_counts(by_version: Mapping[int, Tally]) -> None:
    """Replace the counts of the sweeps of these versions; those of others stay as they are."""
    rows = [row for major, tally in by_version.items() for row in _rows(major, tally)]
    _replace("sweep", SWEEP, by_version, rows)


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
    _replace("soak", SOAK, [major], [f"| {' | '.join(map(str, cells))} |"])


def _replace(name: str, head: Iterable[str], majors: Iterable[int], rows: list[str]) -> None:
    begin, end = (f"<!-- counts of the {name}: {which} -->" for which in ("begin", "end"))
    before, _, rest = PAGE.read_text().partition(begin)
    block, _, after = rest.partition(end)
    kept = [
        line
        for line in block.splitlines()
        if line.startswith("| 1") and int(line.split("|")[1]) not in set(majors)
    ]
    table = [
        f"As of {datetime.now(UTC):%Y-%m-%d}.",
        "",
        *head,
        *sorted([*kept, *rows], key=lambda row: (-int(row.split("|")[1]), row)),
    ]
    PAGE.write_text(f"{before}{begin}\n\n" + "\n".join(table) + f"\n\n{end}{after}")


def _rows(major: int, tally: Tally) -> list[str]:
    return [
        f"| {major} | {kind} | {n} | {tally.tried[kind]} | {tally.converged[kind]} |"
        for kind, n in tally.points.items()
    ]
