"""A table that others change, empty, drop or replace while it is converted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maintenance.engine.executor import Outcome
from maintenance.engine.findings import FindingKind
from maintenance.engine.scope import Request
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.undo import undo
from maintenance.policy import Policy
from tests.builders import Database
from tests.conversions import EVENTS, N_ROWS, PLAIN, shape
from tests.policies import make_policy

pytestmark = pytest.mark.pg("== 18")

KIND = "SELECT relkind::text FROM pg_class WHERE oid = to_regclass('public.events')"
LEFT = """
SELECT relname::text FROM pg_class WHERE relname ~ '^maintenance_convert'
UNION ALL SELECT conname FROM pg_constraint WHERE conname ~ '^maintenance_convert'
"""
CHANGES = {
    "column": "ALTER TABLE public.events ADD extra int DEFAULT 7",
    "dropped column": "ALTER TABLE public.events DROP note",
    "index": "CREATE INDEX later_index ON public.events (note)",
    "trigger": "CREATE TRIGGER later BEFORE UPDATE ON public.events FOR EACH ROW"
    " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "grant": "GRANT SELECT ON public.events TO PUBLIC",
    "view": "CREATE VIEW public.later AS SELECT id, at FROM public.events",
    "check": "ALTER TABLE public.events ADD CONSTRAINT positive CHECK (id > 0)",
    "comment": "COMMENT ON COLUMN public.events.note IS 'later'",
}
LAST_BEFORE_SWAP = 4


def apply(policy: Policy, disturb: Callable[[str], None] | None = None) -> pipeline.Report:
    request = Request(again=True)
    further: dict[str, Any] = {"progress": disturb} if disturb is not None else {}
    return pipeline.apply(policy, only=["conversion"], request=request, **further)


def once(database: Database, step: int, statements: str) -> Callable[[str], None]:
    """Execute statements when a step begins."""
    done: list[str] = []

    def disturb(line: str) -> None:
        if f"step {step} of" in line and not done:
            done.append(line)
            database.execute(statements)

    return disturb


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("step", [1, LAST_BEFORE_SWAP])
def test_change_half_way_is_carried_over_by_the_next_run_and_kept_by_an_undo(
    database: Database, tmp_path: Path, change: str, step: int
) -> None:
    database.execute(PLAIN)
    policy = make_policy(tmp_path, database.url, EVENTS)
    first = apply(policy, once(database, step, CHANGES[change]))
    (result,) = first.results
    assert result.outcome is Outcome.FAILED
    assert database.execute(KIND) == [("r",)]
    assert apply(policy).ok
    assert database.execute(KIND) == [("p",)]
    assert database.execute("SELECT count(*) FROM public.events") == [(N_ROWS,)]
    assert undo(policy).ok
    converted = shape(database)
    database.execute("DROP VIEW IF EXISTS public.later; DROP TABLE public.events")
    database.execute(f"{PLAIN}; {CHANGES[change]}")
    assert shape(database) == converted


@pytest.mark.parametrize("step", range(1, 8))
def test_truncated_table_is_converted_all_the_same(
    database: Database, tmp_path: Path, step: int
) -> None:
    database.execute(PLAIN)
    policy = make_policy(tmp_path, database.url, EVENTS)
    assert apply(policy, once(database, step, "TRUNCATE public.events")).ok
    assert database.execute(KIND) == [("p",)]
    assert database.execute("SELECT count(*) FROM public.events") == [(0,)]
    database.execute("INSERT INTO public.events (id, at) VALUES (1, now())")
    assert apply(policy).results == ()


@pytest.mark.parametrize("step", range(1, 8))
def test_table_dropped_half_way_leaves_nothing_and_is_named(
    database: Database, tmp_path: Path, step: int
) -> None:
    database.execute(PLAIN)
    policy = make_policy(tmp_path, database.url, EVENTS)
    (result,) = apply(policy, once(database, step, "DROP TABLE public.events")).results
    assert result.outcome in (Outcome.FAILED, Outcome.SKIPPED)
    assert database.execute(LEFT) == []
    report = pipeline.apply(policy)
    assert FindingKind.NO_SUCH_TABLE in {each.kind for each in report.findings}
    if result.outcome is Outcome.FAILED:
        (kept,) = undo(policy).kept
        assert kept.is_refused


@pytest.mark.parametrize("step", [1, 4, 7])
def test_table_renamed_half_way_is_converted_once_it_has_its_name_again(
    database: Database, tmp_path: Path, step: int
) -> None:
    database.execute(PLAIN)
    policy = make_policy(tmp_path, database.url, EVENTS)
    away = "ALTER TABLE public.events RENAME TO elsewhere"
    (result,) = apply(policy, once(database, step, away)).results
    assert result.outcome in (Outcome.FAILED, Outcome.SKIPPED)
    assert database.execute("SELECT count(*) FROM public.elsewhere") == [(N_ROWS,)]
    report = pipeline.apply(policy)
    assert FindingKind.NO_SUCH_TABLE in {each.kind for each in report.findings}
    database.execute("ALTER TABLE public.elsewhere RENAME TO events")
    assert apply(policy).ok
    assert database.execute(KIND) == [("p",)]
    assert database.execute("SELECT count(*) FROM public.events") == [(N_ROWS,)]
    assert undo(policy).ok
    assert database.execute(KIND) == [("r",)]
    assert database.execute(LEFT) == []


@pytest.mark.parametrize("step", range(1, 8))
def test_table_replaced_half_way_is_converted_by_the_next_run(
    database: Database, tmp_path: Path, step: int
) -> None:
    database.execute(PLAIN)
    policy = make_policy(tmp_path, database.url, EVENTS)
    anew = f"DROP TABLE public.events; {PLAIN}"
    (result,) = apply(policy, once(database, step, anew)).results
    assert result.outcome in (Outcome.FAILED, Outcome.SKIPPED)
    assert apply(policy).ok
    assert database.execute(KIND) == [("p",)]
    assert database.execute(LEFT) == []
    assert database.execute("SELECT count(*) FROM public.events") == [(N_ROWS,)]
    before = shape(database)
    assert undo(policy).ok
    assert shape(database) != before
    assert database.execute(KIND) == [("r",)]
