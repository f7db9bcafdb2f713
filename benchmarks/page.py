"""Write RESULTS.md and its chart from the results of all benchmarks."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median

from matplotlib.figure import Figure

from benchmarks.outcomes import Outcome, times
from benchmarks.results import FOLDER, Result
from maintenance.formatting import readable_number

PAGE = "RESULTS.md"
CHART = "results.png"
MET, MISSED = "#2e7d32", "#c62828"

HEAD = """# Results of the benchmarks

Written by `make bench`. Every row is measured in one run beside its peers and its physical limit,
and keeps its newest result. *Times* is the median ratio to the first contender over rounds; samples
of one round are taken one after the other and share the load of the machine.
*Least* is what the parts take that are not ours, such as a library, Dagster or the bare statements:
a target below it is out of reach. For waits of writers it is their wait without other work.
*Before* is what the two runs before measured.

"""


def write_page(results: Mapping[str, Result], folder: Path = FOLDER) -> Path:
    """Write the page and the chart; return the page."""
    _draw(results, folder / CHART)
    path = folder / PAGE
    path.write_text("\n".join(_lines(results)) + "\n")
    return path


def _lines(results: Mapping[str, Result]) -> Iterator[str]:
    targets = [target for result in results.values() for target in result.targets]
    failed = [name for name, result in results.items() if result.error]
    n_met = sum(target.met for target in targets)
    n_row = sum(r.met_in_a_row(target) for r in results.values() for target in r.targets)
    yield HEAD + f"**{n_met} of {len(targets)} targets are met, {n_row} in three runs in a row.**"
    if failed:
        yield f"\n**Failed: {', '.join(failed)}.**"
    yield f"\n![Each target: what was measured, as a share of its limit]({CHART})\n"
    yield "| benchmark | target | measured | before | at most | least | |"
    yield "| --------- | ------ | -------: | -----: | ------: | ----: | - |"
    for name, result in results.items():
        for target in result.targets:
            verdict = "met" if target.met else f"**{target.verdict}**"
            least = readable_number(target.least) if target.least is not None else ""
            before = "; ".join(map(readable_number, result.values_before(target)))
            yield (
                f"| [{name}](#{name}) | {target.text}"
                f" | {readable_number(target.value)} | {before}"
                f" | {readable_number(target.limit)} | {least} | {verdict} |"
            )
    for name, result in results.items():
        yield from _section(name, result)


def _section(name: str, result: Result) -> Iterator[str]:
    seen = result.circumstances
    yield f"\n## {name}\n"
    if result.outcome:
        yield f"{result.outcome.what} ({result.outcome.unit})\n"
        yield from _contenders(result.outcome)
        yield from (
            f"\n{each.text} is {each.verdict}: {each.reason}"
            for each in result.targets
            if each.reason and not each.met
        )
    else:
        yield f"Failed: {result.error}"
    yield (
        f"\nPostgreSQL {seen.server_version}, {seen.date}; {seen.machine}; load {seen.load:g}"
        " before it began."
    )


def _contenders(outcome: Outcome) -> Iterator[str]:
    yield "| contender | median | least | most | times |"
    yield "| --------- | -----: | ----: | ---: | ----: |"
    first = next(iter(outcome.samples))
    for name, values in outcome.samples.items():
        if values:
            cells = [*map(readable_number, (median(values), min(values), max(values)))]
            cells.append(f"{times(outcome.samples, name, first):.2f}")
        else:
            cells = ["not installed", "", "", ""]
        yield f"| {name} | {' | '.join(cells)} |"


def _draw(results: Mapping[str, Result], path: Path) -> None:
    """Draw every target's value as a share of its limit, on a logarithmic scale."""
    bars = [
        (f"{name}: {target.text}", target.value / target.limit, target.met)
        for name, result in results.items()
        for target in result.targets
    ]
    figure = Figure(figsize=(11, 1 + 0.28 * len(bars)), layout="constrained")
    axes = figure.subplots()
    axes.set_xscale("log")
    names = [name for name, *_ in bars]
    colors = [MET if met else MISSED for *_, met in bars]
    axes.barh(names, [share for _, share, _ in bars], color=colors)
    axes.invert_yaxis()
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlabel("measured, as a share of the limit (1: just met; left is better)")
    axes.margins(y=0.01)
    figure.savefig(path, dpi=100, metadata={"Software": None})  # the same numbers, the same file
