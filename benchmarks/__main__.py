"""Run the named benchmarks, or all quick ones."""

import signal
import sys
from types import FrameType

import click
from rich.console import Console

from benchmarks.analyze import AnalyzeChanged
from benchmarks.archive import ArchiveMonth
from benchmarks.bloat_estimates import BloatEstimates
from benchmarks.conversion import DOCUMENTS, Conversion, ConversionStall
from benchmarks.create_partitions import CreatePartitions
from benchmarks.declared_indexes import DeclaredIndexes
from benchmarks.default_swap import DefaultSwap, DefaultSwapTime
from benchmarks.drop_expired import DropExpired
from benchmarks.health import Health
from benchmarks.index_advice import IndexAdvice
from benchmarks.index_rollout import IndexRollout, IndexRolloutStall
from benchmarks.linearity import Linearity
from benchmarks.matviews import MatviewDecision, Matviews
from benchmarks.nothing_to_do import NothingToDo
from benchmarks.outcomes import Benchmark, Outcome
from benchmarks.pool_alert import PoolAlert
from benchmarks.report import show, write
from benchmarks.retention_stall import RetentionStall
from benchmarks.servers import fresh_server, version_of
from benchmarks.tick_to_finish import TickToFinish
from benchmarks.view_speedup import ViewSpeedup
from benchmarks.watch import Watch, WatchDaemon
from benchmarks.writer_stall import WriterStall

BENCHMARKS: dict[str, Benchmark] = {
    "nothing_to_do": NothingToDo(),
    "create_partitions": CreatePartitions(),
    "drop_expired": DropExpired(),
    "writer_stall": WriterStall(),
    "retention_stall": RetentionStall(),
    "tick_to_finish": TickToFinish(),
    "archive": ArchiveMonth(),
    "analyze": AnalyzeChanged(),
    "default_swap": DefaultSwap(),
    "default_swap_time": DefaultSwapTime(),
    "matviews": Matviews(),
    "matview_decision": MatviewDecision(),
    "view_speedup": ViewSpeedup(),
    "bloat_estimates": BloatEstimates(),
    "health": Health(),
    "index_advice": IndexAdvice(),
    "declared_indexes": DeclaredIndexes(),
    "index_rollout": IndexRollout(),
    "index_rollout_stall": IndexRolloutStall(),
    "conversion": Conversion(),
    "conversion_stall": ConversionStall(),
    "conversion_documents": Conversion(rounds=1, shape=DOCUMENTS),
    "conversion_stall_documents": ConversionStall(rounds=1, shape=DOCUMENTS),
    "watch": Watch(),
}
LONG: dict[str, Benchmark] = {
    "linearity": Linearity(),
    "watch_daemon": WatchDaemon(),
    "pool_alert": PoolAlert(),
    "conversion_20m": Conversion(n_rows=20_000_000, rounds=1),
    "conversion_stall_20m": ConversionStall(n_rows=20_000_000, rounds=1),
    "view_speedup_5m": ViewSpeedup(n_rows=5_000_000),
}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice([*BENCHMARKS, *LONG]))
@click.option("--long", is_flag=True, help="Include benchmarks that take many minutes.")
def main(names: tuple[str, ...], long: bool) -> None:
    """Measure our work and its peers, and compare the results with the targets."""
    # As on Ctrl-C: removes the server's folder, which may have gigabytes.
    signal.signal(signal.SIGTERM, _leave)
    console = Console()
    known = BENCHMARKS | LONG
    chosen = names or (known if long else BENCHMARKS)
    outcomes: dict[str, Outcome] = {}
    with fresh_server() as server:
        version = version_of(server)
        for name in chosen:
            console.print(f"\n[bold]{name}[/] on PostgreSQL {version} …")
            outcomes[name] = known[name].run(server)
            show(outcomes[name], console)
    console.print(f"\nwritten to {write(outcomes, version)}")


def _leave(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
