"""Print outcomes as tables, and write them to a file for later comparison."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks.outcomes import Outcome, Target, ratio

RESULTS = Path(__file__).parent / "results"


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


def write(outcomes: Mapping[str, Outcome], server_version: str, folder: Path = RESULTS) -> Path:
    """Write a run's outcomes as JSON, and return the file."""
    now = datetime.now(UTC)
    content = {
        "date": now.isoformat(timespec="seconds"),
        "server_version": server_version,
        "n_cpus": os.cpu_count(),
        "load_average": os.getloadavg(),
        "benchmarks": {name: outcome.as_json() for name, outcome in outcomes.items()},
    }
    folder.mkdir(exist_ok=True)
    path = folder / f"{now:%Y-%m-%dT%H%M%SZ}.json"
    path.write_text(json.dumps(content, indent=2) + "\n")
    return path


def _cells(samples: Mapping[str, Sequence[float]], name: str, first: str) -> Iterator[str]:
    values = samples[name]
    if not values:
        yield "not installed"
        return
    for value in (median(values), min(values), max(values)):
        yield f"{value:.3f}" if value < 10 else f"{value:,.1f}"
    yield f"{_times(samples, name, first):.2f}"


def _times(samples: Mapping[str, Sequence[float]], name: str, first: str) -> float:
    """Return the ratio that targets use; of medians if there are no pairs of rounds."""
    if name == first:
        return 1.0
    if len(samples[name]) == len(samples[first]):
        return ratio(samples, name, first)
    return median(samples[name]) / median(samples[first])


def _line(target: Target) -> str:
    verdict = "[green]pass[/]" if target.met else "[red]miss[/]"
    return f"{verdict} {target.text}: {target.value:.3g}, wanted at most {target.limit:.3g}"
