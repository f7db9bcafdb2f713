"""Writes the counts of a whole sweep into the page on reliability."""

from collections.abc import Mapping
from datetime import UTC, datetime

from tests.builders import ROOT
from tests.crash.sweep import Tally

PAGE = ROOT / "docs" / "reliability.md"
BEGIN = "<!-- counts of the sweep: begin -->"
END = "<!-- counts of the sweep: end -->"


def write_counts(by_version: Mapping[int, Tally]) -> None:
    """Replace the counts of these versions; those of others stay as they are."""
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    block, _, after = rest.partition(END)
    kept = [
        line
        for line in block.splitlines()
        if line.startswith("| 1") and int(line.split("|")[1]) not in by_version
    ]
    rows = kept + [row for major, tally in by_version.items() for row in _rows(major, tally)]
    table = [
        f"As of {datetime.now(UTC):%Y-%m-%d}.",
        "",
        "| PostgreSQL | kind of action | points | tried | converged |",
        "| ---------- | -------------- | -----: | ----: | --------: |",
        *sorted(rows, key=lambda row: (-int(row.split("|")[1]), row)),
    ]
    PAGE.write_text(f"{before}{BEGIN}\n\n" + "\n".join(table) + f"\n\n{END}{after}")


def _rows(major: int, tally: Tally) -> list[str]:
    return [
        f"| {major} | {kind} | {n} | {tally.tried[kind]} | {tally.converged[kind]} |"
        for kind, n in tally.points.items()
    ]
