"""Kill the client, its backends or the server while a partition is split, and run again.

Each run is killed before its n-th statement, and n grows until a run comes through. Rows change
between the runs. In the end every row is there once, and nothing of ours is left.
"""

from collections.abc import Iterable
from pathlib import Path

import pytest

from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from maintenance.subjects.partitions.drain import backfill
from tests.builders import Database
from tests.crash.test_default_partition import LIMIT_S
from tests.integration.test_split import (
    CONTENT,
    LEFT,
    MONTHS,
    NOW,
    PATIENT,
    SCHEMA,
    SPLIT,
    the_months,
)
from tests.kills import Kill, crash_server, end_backends, kill_client, runs_through
from tests.load_generator import BUSY_MONTHS, build_wide, crowd, rows_there
from tests.policies import EVENTS, make_policy

MOST = 300


def split_under_kills(database: Database, folder: Path, kill: Kill, numbers: Iterable[int]) -> int:
    """Kill runs, let one end, and return how many were killed."""
    database.execute(SCHEMA)
    policy = make_policy(folder, database.url, SPLIT, locks=PATIENT)

    def work() -> None:
        pipeline.apply(policy, now=NOW, only=["partitions"])

    n_killed = 0
    for number in numbers:
        before = database.execute(CONTENT)
        came_through = runs_through(database, work, number, kill)
        assert database.execute(CONTENT) == before, number
        if came_through:
            break
        n_killed += 1
        database.execute(
            "UPDATE public.events SET note = note || '.' WHERE id %% 50 = %s",
            [number % 50],
        )
        database.execute("DELETE FROM public.events WHERE id = %s", [number])
        database.execute("INSERT INTO public.events (at) VALUES ('2026-05-05')")
    before = database.execute(CONTENT)
    assert_split(database, policy)
    assert database.execute(CONTENT) == before
    return n_killed


def assert_split(database: Database, policy: Policy) -> None:
    report = pipeline.apply(policy, now=NOW, only=["partitions"])
    assert report.ok, [result.error for result in report.results]
    assert database.execute(LEFT) == []
    assert the_months(database) == MONTHS
    assert pipeline.plan(policy, now=NOW).plan.actions == ()


@pytest.mark.pg("== 18")
def test_split_killed_at_some_statements_is_done_by_a_later_run(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "BATCH_PAGES", 40)
    assert split_under_kills(database, tmp_path, kill_client, (4, 8, 11, 15, 21, 26)) > 3


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("kill", [kill_client, end_backends, crash_server])
def test_split_killed_at_every_statement_is_done_by_a_later_run(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill: Kill
) -> None:
    monkeypatch.setattr(backfill, "BATCH_PAGES", 40)
    assert split_under_kills(database, tmp_path, kill, range(1, MOST)) > 20


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("trees", [(), ("months",)], ids=["plain", "trees"])
def test_crowd_sees_each_row_once_while_split_runs_are_killed(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trees: tuple[str, ...]
) -> None:
    monkeypatch.setattr(backfill, "BATCH_PAGES", 40)
    build_wide(database, trees=trees)
    section = {**EVENTS, "premake": 1, "split": "online"}
    policy = make_policy(tmp_path, database.url, section, locks={"give_up_after": "2 minutes"})

    def work() -> None:
        pipeline.apply(policy, only=["partitions"])

    with crowd(database, BUSY_MONTHS, 20261129) as people:
        for number in range(5, MOST, 5):
            if runs_through(database, work, number, end_backends):
                break
        for _ in range(2):
            report = pipeline.apply(policy, only=["partitions"])
            assert report.ok, [result.error for result in report.results]
    assert people.errors == []
    assert rows_there(database) == people.rows
    assert database.execute(LEFT) == []
