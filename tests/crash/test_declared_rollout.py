"""A rollout and its undo are killed before each of their statements, and run again.

In the end there is what an undisturbed rollout makes, and after the undo what was there before.
"""

from pathlib import Path
from typing import Any

import pytest

from maintenance.pipeline import run as pipeline
from maintenance.pipeline.undo import UndoReport, undo
from maintenance.policy import Policy
from tests.builders import Database
from tests.catalogs import catalog_of
from tests.kills import Kill, crash_server, end_backends, kill_client, runs_through
from tests.policies import make_policy

SCHEMA = [
    "CREATE TABLE public.orders (id bigint PRIMARY KEY, state text NOT NULL, amount int NOT NULL)",
    "INSERT INTO public.orders SELECT n, 'open', n FROM generate_series(1, 2000) n",
    "CREATE INDEX orders_old ON public.orders (state)",
    "COMMENT ON INDEX public.orders_old IS 'old'",
    "CREATE TABLE public.events (id bigint NOT NULL, at date NOT NULL) PARTITION BY RANGE (at)",
    "CREATE TABLE public.events_1 PARTITION OF public.events"
    " FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
    "CREATE TABLE public.events_2 PARTITION OF public.events DEFAULT",
    "INSERT INTO public.events SELECT n, date '2026-01-01' + n % 59 FROM generate_series(1, 900) n",
    "CREATE INDEX events_2_own ON public.events_2 (id)",
]
PLAIN = (
    "-- replaces: orders_old\nCREATE INDEX orders_old ON public.orders (state, id);\n"
    "ALTER TABLE public.orders ADD CONSTRAINT positive CHECK (amount > 0);\n"
)
PARTITIONED = "CREATE INDEX events_by_id ON public.events (id);\n"
MOST = 80
MOST_RUNS = 4
"""Runs to undo: the one that was killed, the one that completed it, and what began before."""


class Rollout:
    """A database with a policy, before and after its rollout."""

    def __init__(self, database: Database, folder: Path, declared: str) -> None:
        for statement in SCHEMA:
            database.execute(statement)
        self.database = database
        self.declared = folder / "declared.sql"
        self.declared.write_text("")
        section = {"declared": "declared.sql", "allow_drop": True}
        self.policy: Policy = make_policy(folder, database.url, indexes=section)
        self.apply()  # the store exists from here on
        self.before = catalog_of(database)
        self.declared.write_text(declared)
        self.apply()
        self.after = catalog_of(database)
        assert self.after != self.before
        self.undo()
        assert catalog_of(database) == self.before

    def apply(self, *, again: bool = True) -> pipeline.Report:
        request = pipeline.Request(again=again)
        return pipeline.apply(self.policy, only=("indexes",), request=request)

    def undo(self) -> UndoReport:
        return undo(self.policy)

    def disturb(self, number: int, kill: Kill) -> bool:
        """Whether both came through without being killed at all."""
        applied = runs_through(self.database, self.apply, number, kill)
        report = self.apply()
        assert [r.error for r in report.results if r.error] == [], number
        assert catalog_of(self.database) == self.after, number
        assert pipeline.plan(self.policy, only=("indexes",)).plan.actions == (), number
        undone = runs_through(self.database, self.undo, number, kill)
        for _ in range(MOST_RUNS):
            if catalog_of(self.database) == self.before:
                break
            again = self.undo()
            assert [r.error for r in again.results if r.error] == [], number
        assert catalog_of(self.database) == self.before, number
        return applied and undone


def sweep(rollout: Rollout, kill: Kill, numbers: Any) -> bool:
    return any(rollout.disturb(number, kill) for number in numbers)


@pytest.mark.pg("== 18")
@pytest.mark.parametrize("declared", [PLAIN, PARTITIONED])
def test_rollout_and_undo_converge_after_their_sessions_end(
    database: Database, tmp_path: Path, declared: str
) -> None:
    sweep(Rollout(database, tmp_path, declared), end_backends, (4, 7, 10))


@pytest.mark.slow
@pytest.mark.parametrize("kill", [kill_client, end_backends])
@pytest.mark.parametrize("declared", [PLAIN, PARTITIONED])
def test_rollout_and_undo_converge_whatever_statement_is_the_last(
    database: Database, tmp_path: Path, declared: str, kill: Kill
) -> None:
    assert sweep(Rollout(database, tmp_path, declared), kill, range(1, MOST))


@pytest.mark.slow
@pytest.mark.parametrize("declared", [PLAIN, PARTITIONED])
def test_rollout_and_undo_converge_after_the_server_crashed(
    database: Database, tmp_path: Path, declared: str
) -> None:
    assert sweep(Rollout(database, tmp_path, declared), crash_server, range(1, MOST, 2))
