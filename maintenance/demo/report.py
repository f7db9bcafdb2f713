"""Output of the demo: steps on standard error, results of the main job on standard output."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from maintenance.demo.jobs import Check, Outcome, Partition
from maintenance.formatting import readable_size

NEWEST = 5
"""Number of periods of a table with a line of their own; the older ones share one."""

_STATES = {"created": "green", "existed": "dim"}

_out = Console(highlight=False)
_err = Console(stderr=True, highlight=False)


@contextmanager
def step(what: str) -> Generator[Callable[[str], None]]:
    """Show a step, and its duration at the end.

    Yields:
        A function for details: shown at a terminal during the step.
    """
    began_at = time.monotonic()
    if not _err.is_terminal:  # a status line would be shown nowhere
        print_line(f"{what} …")
    with _err.status(what) as status:
        yield lambda detail: status.update(f"{what}  [dim]{escape(detail)}[/]")
    _err.print(f"{what:<60} [dim]{time.monotonic() - began_at:5.1f} s[/]")


def print_line(line: str) -> None:
    """Print one line, in rich's markup, on standard error."""
    _err.print(line, soft_wrap=True)


def show(outcome: Outcome) -> None:
    """Print the table of partitions, the failed checks, and the number of those that passed."""
    _out.print()
    _out.print(_table(outcome.partitions))
    failed = [check for check in outcome.checks if not check.passed]
    for check in failed:
        _out.print(_verdict(check), soft_wrap=True)
    _out.print(f"[green]{len(outcome.checks) - len(failed)} checks passed[/]")


def _table(partitions: Sequence[Partition]) -> Table:
    shown = Table(box=None, header_style="bold", padding=(0, 1, 0, 0))  # fits in 80 columns
    for name in ("database", "table", "period", "state"):
        shown.add_column(name, overflow="fold", no_wrap=name in ("database", "table"))
    for name in ("rows", "size"):
        shown.add_column(name, overflow="fold", justify="right")
    for _, rows in groupby(partitions, lambda row: (row.database, row.table)):
        for line in _lines(list(rows)):
            shown.add_row(*line)
    return shown


def _lines(rows: list[Partition]) -> Iterator[tuple[str | Text, ...]]:
    """Yield the lines of one table: older periods in one line, the newest one by one."""
    groups = [rows[:-NEWEST], *([row] for row in rows[-NEWEST:])]
    for group in groups:
        if group:
            first, last = group[0], group[-1]
            period = first.period if first is last else f"{first.period}..{last.period}"
            counts = [row.n_rows for row in group if row.n_rows is not None]
            sizes = [row.size_bytes for row in group if row.size_bytes is not None]
            yield (
                escape(first.database),
                escape(first.table),
                period,
                _state(group),
                f"{sum(counts):,}" if counts else "-",
                readable_size(sum(sizes)) if sizes else "-",
            )


def _state(group: list[Partition]) -> Text:
    states = sorted({row.state for row in group})
    counted = [
        f"{n} {state}" if len(group) > 1 else state
        for state in states
        if (n := sum(row.state == state for row in group))
    ]
    return Text(", ".join(counted), style=_STATES.get(states[0], "") if len(states) == 1 else "")


def _verdict(check: Check) -> str:
    style, word = ("bold red", "error") if check.is_error else ("yellow", "warn")
    first, *others = check.message.splitlines() or [""]
    more = f" [dim](and {len(others)} more)[/]" if others else ""
    return f"[{style}]{word}[/] {check.name} on {check.asset}: {escape(first)}{more}"
