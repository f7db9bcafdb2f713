"""Folding the actions of past runs into lines for people."""

from datetime import UTC, datetime, timedelta
from typing import Any

from maintenance.engine.actions import ActionKind
from maintenance.monitoring.work_done import UNFINISHED, WorkLine, fold
from maintenance.store.past_actions import PastAction

NOW = datetime(2026, 11, 20, 6, tzinfo=UTC)


def done(kind: ActionKind | str, object_: str, **others: Any) -> PastAction:
    action = PastAction(NOW, kind, "done", object_, None, None, "run", "apply", 1.0, None, {})
    return action._replace(**others)


def month(n: int, kind: ActionKind, **detail: Any) -> PastAction:
    name = f"public.events_2026_{n:02}"
    return done(kind, name, table="public.events", period=f"2026-{n:02}", detail=detail)


def test_partitions_of_a_table_are_one_line_with_their_first_and_last_period() -> None:
    (line,) = fold([month(n, ActionKind.CREATE_PARTITION) for n in range(12, 0, -1)])
    assert (line.verb, line.what, line.objects) == (
        "created", "12 partitions of", ("public.events",),
    )  # fmt: skip
    assert line.facts[0] == "2026-01 … 2026-12"
    assert line.period is None


def test_each_table_and_each_kind_has_a_line_of_its_own() -> None:
    other = month(3, ActionKind.CREATE_PARTITION)._replace(table="public.logs")
    lines = fold(
        [month(1, ActionKind.CREATE_PARTITION), other, month(1, ActionKind.DROP_PARTITION)]
    )
    assert {(line.kind, line.objects, line.what) for line in lines} == {
        ("create_partition", ("public.events",), "1 partition of"),
        ("create_partition", ("public.logs",), "1 partition of"),
        ("drop_partition", ("public.events",), "1 partition of"),
    }


def test_archives_are_summed_and_their_common_folder_is_named() -> None:
    months = [
        month(n, ActionKind.ARCHIVE_PARTITION, rows=1000, bytes=2048, url=f"/a/app/e/2026-0{n}")
        for n in (2, 1)
    ]
    (line,) = fold(months)
    assert line.facts[:4] == ("2026-01, 2026-02", "2,000 rows", "4.0 kB", "to /a/app/e/")
    (alone,) = fold(months[:1])
    assert "to /a/app/e/2026-02" in alone.facts
    assert alone.period == "2026-02"


def test_refreshes_of_a_view_are_counted_and_their_changed_rows_summed() -> None:
    detail = {"mode": "concurrently", "rows": 500, "rows_inserted": 2, "rows_deleted": 1}
    refreshes = [
        done("refresh_matview", "public.totals", at=NOW - timedelta(hours=n), detail=detail)
        for n in range(3)
    ]
    (line,) = fold(refreshes)
    assert (line.what, line.objects, line.at) == ("view", ("public.totals",), NOW)
    assert line.facts[:2] == ("3 times", "9 rows changed")


def test_size_of_a_view_is_not_taken_for_changed_rows() -> None:
    (line,) = fold([done("refresh_matview", "public.t", detail={"mode": "plain", "rows": 500})])
    assert not any("rows" in fact for fact in line.facts)


def test_analyzed_tables_are_one_line() -> None:
    (line,) = fold([done(ActionKind.ANALYZE_TABLE, f"public.t{n}") for n in range(30)])
    assert (line.what, len(line.objects)) == ("30 tables", 30)


def test_rebuilt_indexes_say_what_they_freed() -> None:
    (line,) = fold(
        [done(ActionKind.REINDEX, f"public.i{n}", detail={"won_bytes": 2**20}) for n in range(2)]
    )
    assert (line.verb, line.what) == ("rebuilt", "2 indexes")
    assert "2.0 MB freed" in line.facts


def test_what_failed_comes_first_and_equal_failures_are_one_line() -> None:
    failed = [
        done("reindex", "public.i", outcome="failed", error="disk full", at=NOW - timedelta(days=n))
        for n in (1, 2)
    ]
    other = failed[0]._replace(error="canceled")
    first, second, third = fold([done("reindex", "public.j"), *failed, other])
    assert (first.outcome, first.objects, first.facts) == (
        "failed", ("public.i",), ("disk full", "2 times"),
    )  # fmt: skip
    assert (second.facts, third.outcome) == (("canceled",), "done")


def test_action_without_an_end_is_not_called_done() -> None:
    (line,) = fold([done("drop_partition", "public.e", outcome=None)])
    assert (line.outcome, line.is_done) == (UNFINISHED, False)


def test_skipped_actions_have_no_line() -> None:
    assert fold([done("refresh_matview", "public.v", outcome="skipped")]) == []


def test_kind_of_another_version_is_told_by_its_name() -> None:
    (line,) = fold([done("polish_table", "public.t")])
    assert isinstance(line, WorkLine)
    assert (line.verb, line.objects) == ("polish table", ("public.t",))
