"""The benchmarks with their sizes."""

from collections.abc import Mapping

from benchmarks.analyze import AnalyzeChanged
from benchmarks.archive import ArchiveMonth
from benchmarks.archive_memory import ArchiveMemory
from benchmarks.bloat_estimates import BloatEstimates
from benchmarks.conversion import DOCUMENTS, Conversion, ConversionStall
from benchmarks.create_partitions import CreatePartitions
from benchmarks.dagster_storage import DagsterStorage
from benchmarks.declared_indexes import DeclaredIndexes
from benchmarks.default_swap import DefaultSwap, DefaultSwapTime
from benchmarks.drop_expired import DropExpired
from benchmarks.fleet import Fleet
from benchmarks.health import Health
from benchmarks.index_advice import IndexAdvice
from benchmarks.index_rollout import IndexRollout, IndexRolloutStall
from benchmarks.linearity import Linearity
from benchmarks.matviews import MatviewDecision, Matviews
from benchmarks.nothing_to_do import NothingToDo
from benchmarks.outcomes import Benchmark
from benchmarks.plan_process import PlanProcess
from benchmarks.pool_alert import PoolAlert
from benchmarks.restore import RestoreMonth
from benchmarks.retention_stall import RetentionStall
from benchmarks.tick_to_finish import TickToFinish
from benchmarks.unnamed_tables import UnnamedTables
from benchmarks.view_speedup import ViewSpeedup
from benchmarks.watch import Watch, WatchDaemon
from benchmarks.writer_stall import WriterStall

STATED: Mapping[str, Benchmark] = {
    "nothing_to_do": NothingToDo(),
    "plan_process": PlanProcess(),
    "create_partitions": CreatePartitions(),
    "drop_expired": DropExpired(),
    "writer_stall": WriterStall(),
    "retention_stall": RetentionStall(),
    "tree_stall": RetentionStall(n_kept=2, n_made=2, n_gone=2, n_leaves=64),
    "tick_to_finish": TickToFinish(),
    "archive": ArchiveMonth(),
    "restore": RestoreMonth(),
    "analyze": AnalyzeChanged(),
    "default_swap": DefaultSwap(),
    "default_swap_time": DefaultSwapTime(),
    "matviews": Matviews(),
    "matview_decision": MatviewDecision(),
    "view_speedup": ViewSpeedup(),
    "bloat_estimates": BloatEstimates(),
    "health": Health(),
    "unnamed_tables": UnnamedTables(),
    "index_advice": IndexAdvice(),
    "declared_indexes": DeclaredIndexes(),
    "index_rollout": IndexRollout(),
    "index_rollout_stall": IndexRolloutStall(),
    "conversion": Conversion(),
    "conversion_stall": ConversionStall(),
    "conversion_documents": Conversion(rounds=1, shape=DOCUMENTS),
    "conversion_stall_documents": ConversionStall(rounds=1, shape=DOCUMENTS),
    "watch": Watch(),
    "dagster_storage": DagsterStorage(),
}
"""The sizes that the targets are stated for."""

LONG: Mapping[str, Benchmark] = {
    "linearity": Linearity(),
    "archive_memory": ArchiveMemory(),
    "watch_daemon": WatchDaemon(),
    "pool_alert": PoolAlert(),
    "fleet": Fleet(),
    "fleet_hanging": Fleet(n_hanging=1),
    "conversion_20m": Conversion(n_rows=20_000_000, rounds=1),
    "conversion_stall_20m": ConversionStall(n_rows=20_000_000, rounds=1),
    "view_speedup_5m": ViewSpeedup(n_rows=5_000_000),
}
"""Those that take many minutes."""

QUICK: Mapping[str, Benchmark] = {
    "nothing_to_do": NothingToDo(n_tables=10, n_months=30, rounds=1),
    "plan_process": PlanProcess(rounds=1),
    "create_partitions": CreatePartitions(n_tables=5, rounds=1),
    "drop_expired": DropExpired(n_tables=4, n_expired=20, rounds=1),
    "writer_stall": WriterStall(read_s=0, premake=6, rounds=1),
    "retention_stall": RetentionStall(
        read_s=0, n_made=3, n_gone=3, n_default_rows=20_000, rounds=1
    ),
    "tree_stall": RetentionStall(read_s=0, n_kept=1, n_made=1, n_gone=1, n_leaves=8, rounds=1),
    "tick_to_finish": TickToFinish(rounds=1),
    "archive": ArchiveMonth(n_rows=50_000, rounds=1),
    "restore": RestoreMonth(n_rows=50_000, rounds=1),
    "analyze": AnalyzeChanged(n_tables=100, n_rows=300, rounds=1),
    "default_swap": DefaultSwap(n_rows=20_000, rounds=1),
    "default_swap_time": DefaultSwapTime(n_rows=20_000, rounds=1),
    "matviews": Matviews(n_rows=5_000, rounds=1),
    "matview_decision": MatviewDecision(n_leaves=50, rounds=1),
    "view_speedup": ViewSpeedup(n_rows=20_000, rounds=1),
    "bloat_estimates": BloatEstimates(n_rows=3_000, page=None),
    "health": Health(n_tables=500, n_filled=1, rounds=1),
    "unnamed_tables": UnnamedTables(n_tables=5, rounds=1),
    "index_advice": IndexAdvice(n_tables=250, rounds=1),
    "declared_indexes": DeclaredIndexes(n_tables=100, rounds=1),
    "index_rollout": IndexRollout(n_rows=20_000, n_indexes=5, rounds=1),
    "index_rollout_stall": IndexRolloutStall(n_rows=20_000, n_indexes=5, rounds=1),
    "conversion": Conversion(n_rows=20_000, rounds=1),
    "conversion_stall": ConversionStall(n_rows=20_000, read_s=0, rounds=1),
    "watch": Watch(rounds=5, n_databases=10, n_sessions=10),
    "dagster_storage": DagsterStorage(rounds=1),
}
"""So small that all of them take about three minutes: they show that each row runs."""
