"""Every benchmark runs, at a tiny size: what it measures must be there, however long it takes."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import partman
from benchmarks.archive import ArchiveMonth
from benchmarks.create_partitions import CreatePartitions
from benchmarks.declared_indexes import DeclaredIndexes
from benchmarks.default_swap import DefaultSwap, DefaultSwapTime
from benchmarks.drop_expired import DropExpired
from benchmarks.index_advice import IndexAdvice
from benchmarks.index_rollout import IndexRollout, IndexRolloutStall
from benchmarks.linearity import Linearity
from benchmarks.matviews import MatviewDecision, Matviews
from benchmarks.nothing_to_do import NothingToDo
from benchmarks.outcomes import OURS, PEER, Benchmark, Outcome, Target
from benchmarks.report import show, write
from benchmarks.retention_stall import RetentionStall
from benchmarks.tick_to_finish import TickToFinish
from benchmarks.view_speedup import ViewSpeedup
from benchmarks.watch import Watch
from benchmarks.writer_stall import WriterStall
from maintenance.demo.postgres import PostgresServer

TINY: dict[str, Benchmark] = {
    "matviews": Matviews(n_rows=1000, rounds=1),
    "matview_decision": MatviewDecision(n_leaves=5, rounds=1),
    "nothing_to_do": NothingToDo(n_tables=2, n_months=8, rounds=1),
    "create_partitions": CreatePartitions(n_tables=2, premake=2, rounds=1),
    "writer_stall": WriterStall(n_writers=1, read_s=0, premake=2, rounds=1),
    "archive": ArchiveMonth(n_rows=1_000, rounds=1),
    "drop_expired": DropExpired(n_tables=2, n_expired=3, rounds=1),
    "retention_stall": RetentionStall(
        n_writers=1, read_s=0, n_made=2, n_gone=2, n_default_rows=100, rounds=1
    ),
    "default_swap": DefaultSwap(n_rows=1_000, n_writers=1, rounds=1),
    "default_swap_time": DefaultSwapTime(n_rows=1_000, rounds=1),
    "view_speedup": ViewSpeedup(n_rows=1_000, rounds=1),
    "index_advice": IndexAdvice(n_tables=26, rounds=1),
    "declared_indexes": DeclaredIndexes(n_tables=6, n_declared=4, rounds=1),
    "index_rollout": IndexRollout(n_rows=1_000, n_indexes=2, rounds=1),
    "index_rollout_stall": IndexRolloutStall(n_rows=1_000, n_indexes=2, n_writers=1, rounds=1),
    "watch": Watch(rounds=2, n_databases=2, n_sessions=2),
    "linearity": Linearity(n_tables=20, n_months=6, rounds=1),
}


@pytest.mark.pg("<= 16")
@pytest.mark.parametrize("name", TINY)
def test_benchmark_measures_every_contender_that_is_installed(
    server: PostgresServer, name: str
) -> None:
    outcome = TINY[name].run(server)
    measured = {name for name, values in outcome.samples.items() if values}
    has_peer = partman.is_available(server)
    assert measured == {name for name in outcome.samples if has_peer or PEER not in name}
    assert outcome.targets


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_tick_to_finish_waits_for_a_scheduled_run(server18: PostgresServer) -> None:
    outcome = TickToFinish(rounds=1).run(server18)
    assert outcome.samples
    assert all(outcome.samples.values())


def an_outcome() -> Outcome:
    targets = (Target("enough, s", 1.0, 2.0), Target("too much, s", 3.0, 2.0))
    return Outcome("nothing", "s", {OURS: (1.0, 3.0, 2.0), PEER: ()}, targets)


def test_table_shows_medians_and_whether_targets_are_met() -> None:
    page = io.StringIO()
    show(an_outcome(), Console(file=page, width=120))
    shown = page.getvalue()
    assert "2.000" in shown
    assert "pass enough, s: 1, wanted at most 2" in shown
    assert "miss too much, s: 3, wanted at most 2" in shown


def test_peer_that_is_missing_is_said_to_be() -> None:
    page = io.StringIO()
    show(an_outcome(), Console(file=page, width=120))
    assert "not installed" in page.getvalue()


def test_file_holds_server_version_date_and_every_sample(tmp_path: Path) -> None:
    content = json.loads(write({"nothing": an_outcome()}, "15.20", tmp_path).read_text())
    assert content["server_version"] == "15.20"
    assert content["date"].endswith("+00:00")
    assert content["benchmarks"]["nothing"]["samples"] == {OURS: [1.0, 3.0, 2.0], PEER: []}
    assert content["benchmarks"]["nothing"]["medians"] == {OURS: 2.0}
