"""A rollout and its undo are killed before each of their statements, and run again.

In the end there is what an undisturbed rollout makes, and after the undo what was there before.
"""

from pathlib import Path
from typing import Any

import pytest

from maintenance.pipeline import run as pipeline
from maintenance.pipeline.undo import UndoReport, undo
from maintenance.policy import Policy, load_policy
from tests import interruptions
from tests.builders import Database
from tests.catalogs import catalog_of
from tests.crash.test_default_partition import LIMIT_S
from tests.crash.test_upkeep_of_tables import BUILDS, FILLED, blocking, interrupted
from tests.kills import Kill, crash_server, end_backends, kill_client, runs_through
from tests.policies import make_policy, write_policy

SCHEMA = """
CREATE TABLE public.orders (id bigint PRIMARY KEY, number bigint NOT NULL, customer int NOT NULL,
  amount numeric NOT NULL, note text, at timestamptz NOT NULL);
INSERT INTO public.orders
  SELECT n, n, n % 50, n, 'Note ' || n, '2026-01-01'::timestamptz + n * interval '1 min'
  FROM generate_series(1, 2000) n;
CREATE INDEX orders_customer ON public.orders (customer, lower(note)) WITH (fillfactor = 80);
COMMENT ON INDEX public.orders_customer IS 'the customer''s list';
ALTER INDEX public.orders_customer ALTER COLUMN 2 SET STATISTICS 300;
CREATE INDEX orders_note ON public.orders (note);
ALTER TABLE public.orders CLUSTER ON orders_note;
CREATE TABLE public.events (id bigint NOT NULL, at date NOT NULL, kind text NOT NULL,
  PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE public.events_1 PARTITION OF public.events
  FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE public.events_2 PARTITION OF public.events DEFAULT PARTITION BY HASH (id);
CREATE TABLE public.events_2a PARTITION OF public.events_2
  FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE public.events_2b PARTITION OF public.events_2
  FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO public.events
  SELECT n, date '2026-01-01' + n % 59, 'k' || n % 7 FROM generate_series(1, 900) n;
CREATE INDEX events_old ON public.events (kind);
COMMENT ON INDEX public.events_old IS 'of the first year';
COMMENT ON INDEX public.events_2a_kind_idx IS 'a leaf';
ALTER INDEX public.events_2b_kind_idx SET (fillfactor = 70);
ALTER TABLE public.events_1 CLUSTER ON events_1_kind_idx;
CREATE INDEX events_2b_own ON public.events_2b (kind DESC, at);
COMMENT ON INDEX public.events_2b_own IS 'there before';
"""
PLAIN = """
CREATE UNIQUE INDEX orders_number ON public.orders (number) INCLUDE (amount);
-- replaces: orders_note
CREATE INDEX orders_words ON public.orders (lower(note) text_pattern_ops);
-- wave: 2
-- replaces: orders_customer
CREATE INDEX orders_customer ON public.orders (customer, at) WHERE amount > 10;
ALTER TABLE public.orders ADD CONSTRAINT orders_amount CHECK (amount > 0);
"""
PARTITIONED = """
CREATE INDEX events_kind_at ON public.events (kind DESC, at);
DROP INDEX public.events_old;
"""
MOST = 200
MOST_RUNS = 4
"""Runs to undo: the one that was killed, the one that completed it, and what began before."""
ROWS = """
SELECT count(*), sum(hashtextextended(t::text, 0))
FROM (SELECT o::text AS t FROM public.orders o UNION ALL SELECT e::text FROM public.events e) AS r
"""


class Rollout:
    """A database with a policy, before and after its rollout."""

    def __init__(self, database: Database, folder: Path, declared: str) -> None:
        database.execute(SCHEMA)
        self.database = database
        self.declared = folder / "declared.sql"
        self.declared.write_text("")
        section = {"declared": "declared.sql", "allow_drop": True}
        self.policy: Policy = make_policy(folder, database.url, indexes=section)
        self.apply()  # the store exists from here on
        self.before = catalog_of(database)
        self.declared.write_text(declared)
        self.policy = load_policy(self.policy.path)
        self.apply()
        self.after = catalog_of(database)
        assert self.after != self.before
        self.rows = database.execute(ROWS)
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


INTERRUPTIONS = [
    interruptions.kill_client,
    interruptions.end_backends,
    interruptions.crash_server,
]


def sweep(rollout: Rollout, kill: Kill, numbers: Any) -> bool:
    return any(rollout.disturb(number, kill) for number in numbers)


@pytest.mark.pg("== 18")
@pytest.mark.parametrize("declared", [PLAIN, PARTITIONED], ids=["plain", "partitioned"])
def test_rollout_and_undo_converge_after_their_sessions_end(
    database: Database, tmp_path: Path, declared: str
) -> None:
    sweep(Rollout(database, tmp_path, declared), end_backends, (4, 7, 10))


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("kill", [kill_client, end_backends])
@pytest.mark.parametrize("declared", [PLAIN, PARTITIONED], ids=["plain", "partitioned"])
def test_rollout_and_undo_converge_whatever_statement_is_the_last(
    database: Database, tmp_path: Path, declared: str, kill: Kill
) -> None:
    assert sweep(Rollout(database, tmp_path, declared), kill, range(1, MOST))


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("declared", [PLAIN, PARTITIONED], ids=["plain", "partitioned"])
def test_rollout_and_undo_converge_after_the_server_crashed(
    database: Database, tmp_path: Path, declared: str
) -> None:
    assert sweep(Rollout(database, tmp_path, declared), crash_server, range(1, MOST))


@pytest.mark.slow
@pytest.mark.parametrize("interrupt", INTERRUPTIONS)
@pytest.mark.parametrize("phase", ["waiting for writers before build", "waiting for old snapshots"])
@pytest.mark.parametrize("unique", ["", "UNIQUE "])
def test_build_interrupted_in_its_middle_is_cleaned_up_by_the_next_run(
    database: Database,
    tmp_path: Path,
    unique: str,
    phase: str,
    interrupt: interruptions.Interruption,
) -> None:
    database.execute(FILLED)
    before = catalog_of(database)
    declared = f"CREATE {unique}INDEX filled_note ON public.filled (note, id);"
    (tmp_path / "declared.sql").write_text(declared)
    section = {"declared": "declared.sql", "preflight": {"free_disk": "1 MB"}}
    path = write_policy(tmp_path, database.url, indexes=section)
    with blocking(database, phase):
        interrupted(database, path, interrupt, lambda: (phase,) in database.execute(BUILDS))
        assert (False,) in database.execute("SELECT indisvalid FROM pg_index")
    policy = load_policy(path)
    report = pipeline.apply(policy, only=("indexes",))
    assert [r.error for r in report.results if r.error] == []
    assert report.ok
    assert (False,) not in database.execute("SELECT indisvalid FROM pg_index")
    assert len(catalog_of(database)) == len(before) + 1
    assert pipeline.plan(policy, only=("indexes",)).plan.actions == ()
    while catalog_of(database) != before:
        undo(policy)
