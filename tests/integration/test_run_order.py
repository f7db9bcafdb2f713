"""Actions of one run don't undo each other, and none waits for another of the same run."""

import json
from pathlib import Path
from typing import Any

import pytest

from maintenance.engine import executor
from maintenance.engine.executor import Outcome
from maintenance.engine.findings import FindingKind
from maintenance.engine.saved_plan import ReviewedPlan, read_reviewed
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.run import Report
from tests.builders import Database
from tests.policies import make_policy
from tests.snapshots import NOW

FEW = {"changed_rows": 10}


def outcomes(report: Report) -> dict[tuple[str, str], str]:
    return {(r.action.kind.value, r.action.object): r.outcome.value for r in report.results}


def stale(report: Report) -> list[str]:
    kinds = (FindingKind.STATISTICS_STALE, FindingKind.STATISTICS_MISSING)
    return [finding.object for finding in report.findings if finding.kind in kinds]


def quiet(database: Database, *tables: str) -> None:
    """Keep autovacuum from doing the work before us."""
    for name in tables:
        database.execute(f"ALTER TABLE {name} SET (autovacuum_enabled = false)")


VIEWS = """
CREATE TABLE public.work (id bigint PRIMARY KEY, v text);
INSERT INTO public.work SELECT g, md5(g::text) FROM generate_series(1, 5000) g;
CREATE MATERIALIZED VIEW public.work_mv AS SELECT id, md5(v) AS m FROM public.work;
CREATE UNIQUE INDEX ON public.work_mv (id);
CREATE MATERIALIZED VIEW public."On ""it"" %" AS SELECT id, md5(m) AS m FROM public.work_mv;
CREATE UNIQUE INDEX ON public."On ""it"" %" (id);
CREATE MATERIALIZED VIEW public.plain_mv AS SELECT id, v FROM public.work;
"""


@pytest.mark.pg("== 15")
@pytest.mark.parametrize("width", [1, 3])
def test_views_are_analyzed_after_their_refresh(
    database: Database, tmp_path: Path, width: int
) -> None:
    database.execute(VIEWS)
    names = ["public.work_mv", 'public."On ""it"" %"', "public.plain_mv"]
    quiet(database, "public.work", *names)
    policy = make_policy(
        tmp_path,
        database.url,
        matviews=[{"name": name, "max_age": "1 hour"} for name in names],
        statistics=FEW,
        parallel={"matviews": width, "statistics": width},
        locks={"give_up_after": "1 seconds"},
    )
    pipeline.apply(policy)
    for _ in range(2):
        database.execute("UPDATE public.work SET v = md5(v)")
        report = pipeline.apply(policy)
        assert report.ok, report.results
        kinds = [result.action.kind.value for result in report.results]
        last = len(kinds) - 1 - kinds[::-1].index("refresh_matview")
        assert not {"analyze_table", "vacuum_table"}.intersection(kinds[:last])
        done = {r.action.object for r in report.results[last + 1 :] if r.outcome is Outcome.DONE}
        assert done == {"public.work", *names}
        assert stale(report) == []
        assert stale(pipeline.status(policy)) == []


MONTHS = """
CREATE TABLE public.usage (id bigint, at timestamptz NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE public.usage_2026_05 PARTITION OF public.usage
  FOR VALUES FROM ('2026-05-01+00') TO ('2026-06-01+00');
CREATE TABLE public.usage_2026_10 PARTITION OF public.usage
  FOR VALUES FROM ('2026-10-01+00') TO ('2026-11-01+00');
CREATE TABLE public.usage_default PARTITION OF public.usage DEFAULT;
INSERT INTO public.usage SELECT g, timestamptz '2026-05-01+00' + g * interval '1 minute'
  FROM generate_series(1, 5000) g;
INSERT INTO public.usage SELECT g, timestamptz '2026-11-01+00' + g * interval '1 minute'
  FROM generate_series(1, 9000) g;
"""
USAGE: dict[str, Any] = {
    "table": "public.usage",
    "column": "at",
    "premake": 1,
    "retention": {"keep": "3 months", "action": "drop"},
}


@pytest.mark.pg("== 18")
def test_what_the_run_swapped_or_dropped_is_analyzed_by_its_new_name_or_skipped(
    database: Database, tmp_path: Path
) -> None:
    database.execute(MONTHS)
    quiet(database, "public.usage_2026_05", "public.usage_default")
    policy = make_policy(tmp_path, database.url, USAGE, statistics=FEW)
    report = pipeline.apply(policy, now=NOW)
    assert report.ok, report.results
    found = outcomes(report)
    assert found["analyze_table", "public.usage_default"] == "skipped"
    assert found["analyze_table", "public.usage_2026_05"] == "skipped"
    assert found["analyze_table", "public.usage_2026_11"] == "done"
    assert found["analyze_table", "public.usage"] == "done"
    assert found["drop_partition", "public.usage_2026_05"] == "done"
    assert stale(report) == []
    assert pipeline.apply(policy, now=NOW).results == ()


@pytest.mark.pg("== 18")
def test_reviewed_plan_is_carried_out_by_oid(database: Database, tmp_path: Path) -> None:
    database.execute(MONTHS)
    quiet(database, "public.usage_2026_05", "public.usage_default")
    policy = make_policy(tmp_path, database.url, USAGE, statistics=FEW)
    planned = pipeline.plan(policy, now=NOW)
    actions = tuple(action.as_json() for action in planned.plan.actions)
    saved = ReviewedPlan("app", policy.hash, (), actions).as_json()
    reviewed = read_reviewed(json.dumps(saved), "plan.json")
    report = pipeline.apply(policy, now=NOW, reviewed=reviewed)
    assert report.ok, report.results
    found = outcomes(report)
    assert found["analyze_table", "public.usage_default"] == "done"
    assert found["analyze_table", "public.usage_2026_05"] == "skipped"
    assert database.execute(
        "SELECT reltuples FROM pg_class WHERE oid = 'public.usage_2026_11'::regclass"
    ) == [(9000.0,)]


@pytest.mark.pg("== 18")
def test_table_that_another_session_renamed_or_replaced_is_known_by_its_oid(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("renamed", "replaced"):
        database.execute(f"CREATE TABLE public.{name} (id int) WITH (autovacuum_enabled = false)")
        database.execute(f"INSERT INTO public.{name} SELECT generate_series(1, 1000)")
    policy = make_policy(tmp_path, database.url, statistics=FEW)
    whole = executor.run

    def raced(actions: Any, *args: Any, **kwargs: Any) -> Any:
        if not any(action.object == "public.renamed" for action in actions):
            return whole(actions, *args, **kwargs)  # the store's own upkeep
        database.execute('ALTER TABLE public.renamed RENAME TO "New ""name"""')
        database.execute("DROP TABLE public.replaced")
        database.execute("CREATE TABLE public.replaced (id int)")
        return whole(actions, *args, **kwargs)

    monkeypatch.setattr(executor, "run", raced)
    report = pipeline.apply(policy, only=["statistics"])
    assert report.ok, report.results
    assert outcomes(report) == {
        ("analyze_table", "public.renamed"): "done",
        ("analyze_table", "public.replaced"): "skipped",
    }
    assert database.execute("""SELECT relname, reltuples FROM pg_class
        WHERE relname IN ('New "name"', 'replaced') ORDER BY 1""") == [
        ('New "name"', 1000.0),
        ("replaced", -1.0),
    ]
