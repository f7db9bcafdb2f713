"""The command `history`: what past runs did, by name, from the journal of a real store."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from maintenance.cli.commands import cli
from maintenance.engine.scope import Request
from maintenance.monitoring import observe_overview
from maintenance.names import QualifiedName
from maintenance.periods import Interval, period_of
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.restore import restore_period
from maintenance.policy import Policy
from tests.builders import Database
from tests.policies import CREATE_EVENTS, EVENTS, make_policy

pytestmark = pytest.mark.pg("== 18")

TABLE = QualifiedName("public", "events")
VIEW = "CREATE MATERIALIZED VIEW public.totals AS SELECT count(*) AS n FROM public.events"
STEPS = ["create_partition", "archive_partition", "detach_partition", "drop_partition"]


def month(offset: int) -> str:
    return period_of(datetime.now(UTC).date(), Interval.MONTH).shift(offset).key


@pytest.fixture
def policy(database: Database, tmp_path: Path) -> Policy:
    """A database whose runs have created, archived, dropped, refreshed and restored."""
    database.execute(CREATE_EVENTS)
    retention = {
        "keep": "2 months",
        "action": "archive_then_drop",
        "archive": {"url": str(tmp_path / "archive")},
    }
    filling = make_policy(tmp_path, database.url, EVENTS, name="app")
    pipeline.apply(filling, request=Request(TABLE, (month(-4), month(-3))))
    pipeline.apply(filling)
    for n in (4, 3, 0):
        database.execute(f"INSERT INTO public.events VALUES ({n}, '{month(-n)}-02')")
    database.execute(VIEW)
    policy = make_policy(
        tmp_path,
        database.url,
        {**EVENTS, "retention": retention},
        matviews=[{"name": "public.totals"}],
    )
    pipeline.apply(policy)
    restore_period(policy, TABLE, month(-4), into=QualifiedName("public", "old_events"))
    return policy


def call(policy: Policy, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["history", "--policy", str(policy.path), *arguments])


def answer(policy: Policy, *arguments: str) -> Any:
    result = call(policy, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def kinds(document: Any) -> set[str]:
    return {action["kind"] for action in document["actions"]}


def test_all_that_runs_did_is_listed_by_name_newest_first(policy: Policy) -> None:
    document = answer(policy)
    assert document["is_complete"]
    assert {*STEPS, "refresh_matview", "restore_partition"} <= kinds(document)
    moments = [action["at"] for action in document["actions"]]
    assert moments == sorted(moments, reverse=True)
    (archived,) = [
        action
        for action in document["actions"]
        if action["kind"] == "archive_partition" and action["period"] == month(-4)
    ]
    assert archived["table"] == "public.events"
    assert archived["detail"]["rows"] == 1
    assert archived["detail"]["url"].endswith(month(-4))
    (restored,) = [a for a in document["actions"] if a["kind"] == "restore_partition"]
    assert (restored["object"], restored["outcome"], restored["command"]) == (
        "public.old_events", "done", "restore",
    )  # fmt: skip
    assert restored["detail"]["rows"] == 1


def test_people_read_one_line_for_many_partitions(policy: Policy) -> None:
    lines = call(policy).stdout.splitlines()
    (archived,) = [line for line in lines if " archived " in line]
    assert f"2 partitions of public.events: {month(-4)}, {month(-3)}, 2 rows" in archived
    assert any("restored 1 partition of public.events" in line for line in lines)
    assert any("refreshed view public.totals" in line for line in lines)


def test_span_table_and_kind_choose(policy: Policy) -> None:
    assert kinds(answer(policy, "--table", "totals")) == {"refresh_matview"}
    assert kinds(answer(policy, "--kind", "drop_partition")) == {"drop_partition"}
    start = (datetime.now(UTC) - timedelta(days=3)).isoformat()
    end = (datetime.now(UTC) - timedelta(days=2)).isoformat()
    empty = answer(policy, "--since", start, "--until", end)
    assert (empty["actions"], empty["counts"]) == ([], [])
    assert "nothing was done" in call(policy, "--since", start, "--until", end).stdout


def test_limit_keeps_the_newest_and_says_that_there_are_more(policy: Policy) -> None:
    whole = answer(policy)
    cut = answer(policy, "--limit", "2")
    assert cut["actions"] == whole["actions"][:2]
    assert not cut["is_complete"]
    assert cut["counts"] == whole["counts"]
    assert f"2 of {len(whole['actions'])} actions" in call(policy, "--limit", "2").stdout


def test_failed_action_is_listed_with_its_reason(policy: Policy, database: Database) -> None:
    database.execute("TRUNCATE public.events; DROP MATERIALIZED VIEW public.totals")
    database.execute(
        "CREATE MATERIALIZED VIEW public.totals AS SELECT 1 / count(*) AS n FROM public.events"
        " WITH NO DATA"
    )
    pipeline.apply(policy, only=["matviews"])
    (failed,) = [a for a in answer(policy)["actions"] if a["outcome"] == "failed"]
    assert (failed["kind"], failed["object"]) == ("refresh_matview", "public.totals")
    assert "division by zero" in failed["error"]
    assert "division by zero" in call(policy).stdout


def test_database_before_its_first_run_has_no_history(database: Database, tmp_path: Path) -> None:
    assert answer(make_policy(tmp_path, database.url))["actions"] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("--since", "soon"),
        ("--since", "9999999 days"),
        ("--since", "2026-01-02", "--until", "2026-01-01"),
        ("--kind", "drop_partitions"),
        ("--limit", "0"),
    ],
)
def test_wrong_call_is_refused(database: Database, tmp_path: Path, arguments: list[str]) -> None:
    result = call(make_policy(tmp_path, database.url), *arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def n_failed(policy: Policy) -> int:
    overview = observe_overview(policy)
    assert overview.history is not None
    assert overview.history.activity.failures == ()
    return overview.history.activity.n_failed


def test_refused_call_is_no_failed_run(policy: Policy) -> None:
    known, failed = pipeline.status(policy).runs, n_failed(policy)
    apply = ["apply", "--policy", str(policy.path)]
    typo = CliRunner().invoke(cli, [*apply, "--table", "evnets"])
    assert typo.exit_code == 2
    assert pipeline.status(policy).runs == known
    far = CliRunner().invoke(cli, [*apply, "--table", "events", "--period", "2099-01"])
    assert far.exit_code == 1
    assert n_failed(policy) == failed
    (refused,) = [a for a in answer(policy)["actions"] if a["outcome"] == "refused"]
    assert refused["period"] == "2099-01"


def test_failed_run_is_counted(policy: Policy, database: Database) -> None:
    failed = n_failed(policy)
    database.execute("ALTER TABLE public.events RENAME TO renamed")
    assert not pipeline.apply(policy).ok
    assert n_failed(policy) == failed + 1
