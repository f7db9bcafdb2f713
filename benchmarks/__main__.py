"""Run the named benchmarks, or all of a size."""

import signal
import sys
from collections.abc import Iterator, Mapping
from types import FrameType

import click
from rich.console import Console

from benchmarks.outcomes import Benchmark
from benchmarks.page import write_page
from benchmarks.profiles import LONG, QUICK, STATED
from benchmarks.report import show
from benchmarks.results import Result, circumstances, keep
from benchmarks.servers import fresh_server, version_of
from maintenance.demo.postgres import PostgresServer


@click.command()
@click.argument("names", nargs=-1, type=click.Choice([*STATED, *LONG]))
@click.option("--long", is_flag=True, help="Include benchmarks that take many minutes.")
@click.option("--quick", is_flag=True, help="At small sizes; nothing is written.")
def main(names: tuple[str, ...], long: bool, quick: bool) -> None:
    """Measure our work and its peers, and compare the results with the targets.

    Each result takes the place of the older one in benchmarks/RESULTS.md.
    """
    # As on Ctrl-C: removes the server's folder, which may have gigabytes.
    signal.signal(signal.SIGTERM, _leave)
    console = Console()
    known = QUICK if quick else {**STATED, **LONG} if long or names else STATED
    if unknown := set(names) - set(known):
        raise click.UsageError(f"no small size of {', '.join(sorted(unknown))}")
    chosen = {name: known[name] for name in names or known}
    failed: list[str] = []
    for name, result in _run_each(chosen, console):
        failed += [name] if result.error else []
        if not quick:  # each at once: whoever ends the others loses nothing
            console.print(f"written to {write_page(keep({name: result}))}")
    if failed:
        console.print(f"\n[red]failed:[/] {', '.join(failed)}")
        sys.exit(1)


def _run_each(chosen: Mapping[str, Benchmark], console: Console) -> Iterator[tuple[str, Result]]:
    with fresh_server() as server:
        version = version_of(server)
        for name, benchmark in chosen.items():
            console.print(f"\n[bold]{name}[/] on PostgreSQL {version} …")
            result = run(benchmark, server, version)
            if result.outcome:
                show(result.outcome, console)
            else:
                console.print(f"[red]failed:[/] {result.error}")
            yield name, result


def run(benchmark: Benchmark, server: PostgresServer, version: str) -> Result:
    """Run one benchmark; an error ends it alone."""
    seen = circumstances(version)
    try:
        return Result(seen, benchmark.run(server))
    except Exception as exc:  # noqa: BLE001 - whatever it is, the others are measured
        return Result(seen, error=f"{type(exc).__name__}: {exc}".splitlines()[0])


def _leave(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
