"""Every benchmark runs, at a tiny size: what it measures must be there, however long it takes."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import partman
from benchmarks.__main__ import run
from benchmarks.analyze import AnalyzeChanged
from benchmarks.archive import ArchiveMonth
from benchmarks.archive_memory import ArchiveMemory
from benchmarks.create_partitions import CreatePartitions
from benchmarks.declared_indexes import DeclaredIndexes
from benchmarks.default_swap import DefaultSwap, DefaultSwapTime
from benchmarks.drop_expired import DropExpired
from benchmarks.index_advice import IndexAdvice
from benchmarks.index_rollout import IndexRollout, IndexRolloutStall
from benchmarks.linearity import Linearity
from benchmarks.matviews import MatviewDecision, Matviews
from benchmarks.nothing_to_do import NothingToDo
from benchmarks.outcomes import OURS, PEER, Benchmark, Outcome, Target, stall
from benchmarks.page import write_page
from benchmarks.profiles import LONG, QUICK, STATED
from benchmarks.report import show
from benchmarks.restore import RestoreMonth
from benchmarks.results import Result, circumstances, keep, read_results
from benchmarks.retention_stall import RetentionStall
from benchmarks.tick_to_finish import TickToFinish
from benchmarks.view_speedup import ViewSpeedup
from benchmarks.watch import Watch
from benchmarks.writer_stall import WriterStall
from benchmarks.writers import Insert, read_inserts
from maintenance.demo.postgres import PostgresServer

TINY: dict[str, Benchmark] = {
    "matviews": Matviews(n_rows=1000, rounds=1),
    "matview_decision": MatviewDecision(n_leaves=5, rounds=1),
    "nothing_to_do": NothingToDo(n_tables=2, n_months=8, rounds=1),
    "analyze": AnalyzeChanged(n_tables=40, n_rows=300, rounds=1),
    "create_partitions": CreatePartitions(n_tables=2, premake=2, rounds=1),
    "writer_stall": WriterStall(n_writers=1, read_s=0, premake=2, rounds=1),
    "archive": ArchiveMonth(n_rows=1_000, rounds=1),
    "archive_memory": ArchiveMemory(n_rows=10_000),
    "restore": RestoreMonth(n_rows=1_000, rounds=1),
    "drop_expired": DropExpired(n_tables=2, n_expired=3, rounds=1),
    "retention_stall": RetentionStall(
        n_writers=1, read_s=0, n_made=2, n_gone=2, n_default_rows=100, rounds=1
    ),
    "tree_stall": RetentionStall(
        n_writers=1, read_s=0, n_kept=1, n_made=1, n_gone=1, n_leaves=2, rounds=1
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
@pytest.mark.in_turn
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
@pytest.mark.timeout(480)
def test_tick_to_finish_waits_for_a_scheduled_run(server18: PostgresServer) -> None:
    outcome = TickToFinish(rounds=1).run(server18)
    assert outcome.samples
    assert all(outcome.samples.values())


def an_outcome() -> Outcome:
    targets = (
        Target("enough, s", 1.0, 2.0),
        Target("too much, MB", 1600.0, 1500.0, 1400.0, "Dagster takes the rest"),
        Target("not ours, s", 3.0, 1.0, 2.0),
    )
    return Outcome("nothing", "s", {OURS: [1.0, 3.0, 2.0], PEER: []}, targets)


def test_table_shows_medians_and_whether_targets_are_met() -> None:
    page = io.StringIO()
    show(an_outcome(), Console(file=page, width=120))
    shown = page.getvalue()
    assert "2.000" in shown
    assert "pass enough, s: 1, wanted at most 2" in shown
    assert "miss too much, MB: 1,600, wanted at most 1,500, least 1,400" in shown


def test_peer_that_is_missing_is_said_to_be() -> None:
    page = io.StringIO()
    show(an_outcome(), Console(file=page, width=120))
    assert "not installed" in page.getvalue()


class Broken:
    """A benchmark that fails."""

    def run(self, server: PostgresServer) -> Outcome:  # noqa: ARG002 - as every benchmark
        raise ZeroDivisionError("by zero")


def test_benchmark_that_fails_is_a_result_and_the_page_tells_of_it(
    server18: PostgresServer, tmp_path: Path
) -> None:
    result = run(Broken(), server18, "18.4")
    assert result.error == "ZeroDivisionError: by zero"
    page = write_page(keep({"broken": result}, tmp_path), tmp_path).read_text()
    assert "**Failed: broken.**" in page
    assert "ZeroDivisionError: by zero" in page


def test_newest_result_of_each_benchmark_is_kept(tmp_path: Path) -> None:
    seen = circumstances("15.20")
    older = Result(seen, error="Error: lost")
    keep({"one": older, "other": older}, tmp_path)
    kept = keep({"one": Result(seen, an_outcome())}, tmp_path)
    assert kept == read_results(tmp_path) == {"one": Result(seen, an_outcome()), "other": older}


def test_page_and_chart_show_each_target_and_where_it_was_measured(tmp_path: Path) -> None:
    page = write_page({"nothing": Result(circumstances("15.20"), an_outcome())}, tmp_path)
    text = page.read_text()
    assert "**1 of 3 targets are met, 0 in three runs in a row.**" in text
    assert "| [nothing](#nothing) | enough, s | 1 |  | 2 |  | met |" in text
    assert "| [nothing](#nothing) | too much, MB | 1,600 |  | 1,500 | 1,400 | **missed** |" in text
    assert "| [nothing](#nothing) | not ours, s | 3 |  | 1 | 2 | **out of reach** |" in text
    assert "too much, MB is missed: Dagster takes the rest" in text
    assert f"| {OURS} | 2 | 1 | 3 | 1.00 |" in text
    assert f"| {PEER} | not installed |" in text
    assert "PostgreSQL 15.20, 20" in text
    chart = (tmp_path / "results.png").read_bytes()
    assert chart.startswith(b"\x89PNG")
    write_page({"nothing": Result(circumstances("15.20"), an_outcome())}, tmp_path)
    assert (tmp_path / "results.png").read_bytes() == chart


def test_target_is_met_in_a_row_if_the_runs_before_met_it_too(tmp_path: Path) -> None:
    for times in (0.9, 0.8, 0.7, 0.6):
        target = Target("enough, s", times, 0.85)
        outcome = Outcome("nothing", "s", {OURS: [times]}, (target,))
        kept = keep({"nothing": Result(circumstances("15.20"), outcome)}, tmp_path)
        assert kept == read_results(tmp_path)
        assert kept["nothing"].met_in_a_row(target) is (times == 0.6)
    keep({"nothing": Result(circumstances("15.20"), error="Error: lost")}, tmp_path)
    assert read_results(tmp_path)["nothing"].before == ({"enough, s": 0.6}, {"enough, s": 0.7})
    text = write_page(kept, tmp_path).read_text()
    assert "**1 of 1 targets are met, 1 in three runs in a row.**" in text
    assert "| [nothing](#nothing) | enough, s | 0.6 | 0.7; 0.8 | 0.85 |  | met |" in text


def test_each_quick_benchmark_is_one_that_is_stated() -> None:
    without_quick_size = {"conversion_documents", "conversion_stall_documents"}
    assert set(QUICK) == set(STATED) - without_quick_size
    assert not set(LONG) & set(STATED)


def test_a_stall_tells_of_the_write_elsewhere_at_its_moment_and_is_not_excused_by_it() -> None:
    beside, idle = [12.0, 33.0], [8.0, 9.0]
    target = stall("worst, ms", beside, idle, [50.0, 41.0], 20.0, "the exchange takes as long")
    assert (target.value, target.least, target.verdict) == (33.0, 9.0, "missed")
    assert "41 ms" in target.reason
    assert "the exchange takes as long" in target.reason
    slow = stall("worst, ms", beside, [8.0, 25.0], [50.0, 41.0], 20.0)
    assert (slow.least, slow.verdict) == (25.0, "out of reach")


def test_inserts_are_read_with_the_time_that_they_took_and_not_that_they_were_late(
    tmp_path: Path,
) -> None:
    (tmp_path / "log.1").write_text("0 1 12000 0 100 500000\n")
    assert list(read_inserts(tmp_path)) == [Insert(100.5, 12.0)]
    (tmp_path / "log.1").write_text("0 1 12000 0 100 500000 9000\n")
    assert list(read_inserts(tmp_path)) == [Insert(100.5, 3.0)]


def test_writes_overlap_if_both_were_under_way_at_a_moment() -> None:
    slow = Insert(ended_at=10.0, took_ms=500)
    assert slow.overlaps(Insert(ended_at=9.6, took_ms=200))
    assert Insert(ended_at=12.0, took_ms=2100).overlaps(slow)
    assert not slow.overlaps(Insert(ended_at=9.4, took_ms=200))
    assert not slow.overlaps(Insert(ended_at=10.5, took_ms=200))
