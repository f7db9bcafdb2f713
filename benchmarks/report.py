"""Print outcomes as tables."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks.outcomes import Outcome, Target, times
from maintenance.formatting import readable_number


def show(outcome: Outcome, console: Console) -> None:
    """Print one benchmark: contenders, each also as a multiple of the first, and targets."""
    table = Table(title=f"{outcome.what} ({outcome.unit})", title_justify="left")
    table.add_column("contender")
    for heading in ("median", "least", "most", "times"):
        table.add_column(heading, justify="right")
    first = next(iter(outcome.samples))
    for name in outcome.samples:
        table.add_row(name, *(_cells(outcome.samples, name, first)))
    console.print(table)
    for target in outcome.targets:
        console.print(_line(target))


def _cells(samples: Mapping[str, Sequence[float]], name: str, first: str) -> Iterator[str]:
    values = samples[name]
    if not values:
        yield "not installed"
        return
    for value in (median(values), min(values), max(values)):
        yield f"{value:.3f}" if value < 10 else f"{value:,.1f}"
    yield f"{times(samples, name, first):.2f}"


def _line(target: Target) -> str:
    verdict = "[green]pass[/]" if target.met else "[red]miss[/]"
    value, limit = readable_number(target.value), readable_number(target.limit)
    line = f"{verdict} {target.text}: {value}, wanted at most {limit}"
    return line if target.least is None else f"{line}, least {readable_number(target.least)}"
