"""Runs on a real server: materializations, failed checks, and messages of failures."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from maintenance.engine.actions import Action, ActionKind
from maintenance.engine.executor import Outcome, Result
from maintenance.engine.plan import Plan
from maintenance.engine.run_lock import RUN_LOCK
from maintenance.orchestration.build import build
from maintenance.orchestration.maintainer import fail_if_undone
from maintenance.periods import Interval, period_of
from maintenance.pipeline.run import Report
from tests.builders import Database
from tests.policies import CREATE_EVENTS, EVENTS, write_policy

pytestmark = pytest.mark.pg("== 18")

MONTHLY, NIGHTLY = "app_monthly_partitions", "app_nightly"
INVENTORY_KEY = dg.AssetKey(["app", "partition_inventory"])
EVENTS_KEY = dg.AssetKey(["app", "partitions", "events"])
CHILDREN = """
SELECT relname FROM pg_class
WHERE relispartition AND relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1
"""


def month(offset: int = 0) -> str:
    return period_of(datetime.now(UTC).date(), Interval.MONTH).shift(offset).key


def child(offset: int = 0) -> str:
    return f"events_{month(offset).replace('-', '_')}"


@pytest.fixture
def events(database: Database) -> Database:
    database.execute(CREATE_EVENTS)
    return database


class Dagster:
    """Definitions of one policy, and an instance to run them on."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.folder = folder
        self.instance = instance

    def policy(self, url: str, *tables: dict[str, Any], **sections: Any) -> None:
        write_policy(self.folder, url, *(tables or (EVENTS,)), **sections)

    def run(
        self, job: str, first: str | None = None, last: str | None = None
    ) -> dg.ExecuteInProcessResult:
        """Run a job; of a partitioned one, the periods from first to last in one run."""
        tags = {
            "dagster/asset_partition_range_start": first,
            "dagster/asset_partition_range_end": last or first,
        }
        return (
            build([self.folder])
            .resolve_job_def(job)
            .execute_in_process(
                instance=self.instance,
                raise_on_error=False,
                tags={name: value for name, value in tags.items() if value},
            )
        )

    def marked(self) -> set[str]:
        """The keys of the events table that Dagster shows as materialized."""
        return set(self.instance.get_materialized_partitions(EVENTS_KEY))

    def newest(self, key: str) -> dict[str, Any]:
        """Metadata of a key's newest materialization."""
        wanted = dg.AssetRecordsFilter(EVENTS_KEY, asset_partitions=[key])
        (record,) = self.instance.fetch_materializations(wanted, limit=1).records
        assert record.asset_materialization
        return {n: v.value for n, v in record.asset_materialization.metadata.items()}


@pytest.fixture
def dagster(tmp_path: Path, instance: dg.DagsterInstance) -> Dagster:
    folder = tmp_path / "policies"
    folder.mkdir()
    return Dagster(folder, instance)


def said(result: dg.ExecuteInProcessResult) -> str:
    """The headline of the only failed step."""
    assert not result.success
    (failure,) = result.get_step_failure_events()
    assert failure.step_failure_data.user_failure_data
    return failure.step_failure_data.user_failure_data.description or ""


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {each.check_name: each for each in result.get_asset_check_evaluations()}


def red(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckSeverity]:
    return {name: check.severity for name, check in checks(result).items() if not check.passed}


# Partitions


def test_backfill_of_two_years_is_one_run(events: Database, dagster: Dagster) -> None:
    dagster.policy(events.url, {**EVENTS, "start": month(-23)})
    assert dagster.run(MONTHLY, month(-23), month(0)).success
    assert [row[0] for row in events.execute(CHILDREN)] == [child(n) for n in range(-23, 1)]
    assert dagster.marked() == {month(n) for n in range(-23, 1)}
    assert dagster.instance.get_runs_count() == 1


def test_period_shows_bounds_and_whether_it_was_made_now(
    events: Database, dagster: Dagster
) -> None:
    dagster.policy(events.url)
    assert dagster.run(MONTHLY, month()).success
    made = dagster.newest(month())
    assert (made["state"], made["partition"]) == ("created", f"public.{child()}")
    assert datetime.fromtimestamp(made["lower"], UTC).strftime("%Y-%m-%d") == f"{month()}-01"
    assert datetime.fromtimestamp(made["upper"], UTC).strftime("%Y-%m-%d") == f"{month(1)}-01"
    assert dagster.run(MONTHLY, month()).success
    assert dagster.newest(month())["state"] == "existed"


def test_period_that_odd_bounds_share_is_completed_and_shows_its_partitions(
    events: Database, dagster: Dagster
) -> None:
    events.execute(
        f"CREATE TABLE public.odd PARTITION OF public.events"
        f" FOR VALUES FROM ('{month(-1)}-01+00') TO ('{month(1)}-10 05:00+00')"
    )
    dagster.policy(events.url)
    assert dagster.run(MONTHLY, month(1)).success
    names = dagster.newest(month(1))["partitions"]
    assert names == f"public.odd, public.{child(1)}_from_{month(1).replace('-', '_')}_10_050000"


def test_expired_key_fails_with_the_reason_and_marks_nothing(
    events: Database, dagster: Dagster
) -> None:
    retention = {"keep": "2 months", "action": "detach"}
    dagster.policy(events.url, {**EVENTS, "start": "2020-01", "retention": retention})
    headline = said(dagster.run(MONTHLY, "2020-01"))
    assert f"2020-01 has expired: retention keeps {month(-2)} and later" in headline
    assert dagster.marked() == set()
    assert events.execute(CHILDREN) == []


def test_range_that_begins_with_an_expired_key_makes_the_others_and_fails(
    events: Database, dagster: Dagster
) -> None:
    retention = {"keep": "2 months", "action": "detach"}
    dagster.policy(events.url, {**EVENTS, "start": "2020-01", "retention": retention})
    headline = said(dagster.run(MONTHLY, month(-3), month(0)))
    assert f"{month(-3)} has expired" in headline
    assert [row[0] for row in events.execute(CHILDREN)] == [child(n) for n in range(-2, 1)]
    assert dagster.run(MONTHLY, month(-2), month(0)).success


def test_table_that_is_missing_fails_its_job_with_the_near_name(
    events: Database, dagster: Dagster
) -> None:
    dagster.policy(events.url, {"table": "public.evnets", "column": "at"})
    headline = said(dagster.run(MONTHLY, month()))
    assert "did you mean public.events?" in headline


@pytest.mark.parametrize("convert_when", ["10 GB", "0 B"])
def test_table_that_awaits_its_conversion_marks_nothing_and_fails_nothing(
    database: Database, dagster: Dagster, convert_when: str
) -> None:
    database.execute("CREATE TABLE public.events (at timestamptz NOT NULL, id int)")
    conversion = {"convert": "online", "convert_when": {"larger_than": convert_when}}
    dagster.policy(database.url, {**EVENTS, **conversion})
    assert dagster.run(MONTHLY, month()).success
    assert dagster.marked() == set()


# Inventory and checks


def test_inventory_repairs_a_dropped_month_and_marks_its_key(
    events: Database, dagster: Dagster
) -> None:
    dagster.policy(events.url)
    assert dagster.run(NIGHTLY).success
    assert dagster.marked() == {month(n) for n in range(4)}
    events.execute(f"DROP TABLE public.{child(2)}")
    result = dagster.run(NIGHTLY)
    assert result.success
    assert events.execute(f"SELECT to_regclass('public.{child(2)}')") != [(None,)]
    repaired = [e for e in result.all_events if e.is_step_materialization and e.partition]
    assert [event.partition for event in repaired] == [month(2)]
    assert dagster.newest(month(2))["state"] == "created"


def test_nothing_wrong_is_all_green(events: Database, dagster: Dagster) -> None:
    dagster.policy(events.url)
    result = dagster.run(NIGHTLY)
    assert red(result) == {}
    assert {check.description for check in checks(result).values()} == {"no findings"}


def test_check_alone_changes_nothing(events: Database, dagster: Dagster) -> None:
    dagster.policy(events.url)
    job = build([dagster.folder]).resolve_implicit_global_asset_job_def()
    check = dg.AssetCheckKey(INVENTORY_KEY, "partition_gap")
    alone = job.get_subset(asset_selection=set(), asset_check_selection={check})
    result = alone.execute_in_process(instance=dagster.instance, raise_on_error=False)
    assert "materialize the asset" in said(result)
    assert events.execute(CHILDREN) == []


def test_findings_are_red_where_they_stand_with_value_and_threshold(
    events: Database, dagster: Dagster
) -> None:
    events.execute("CREATE TABLE public.plain (at timestamptz)")
    events.execute("CREATE TABLE public.keyed (at timestamptz) PARTITION BY LIST (at)")
    events.execute("CREATE TABLE public.wide (at timestamptz) PARTITION BY RANGE (at)")
    events.execute(
        f"CREATE TABLE public.half PARTITION OF public.wide"
        f" FOR VALUES FROM ('{month(1)}-10') TO ('{month(2)}-01')"
    )
    events.execute(f"CREATE VIEW public.{child(1)} AS SELECT 1 AS x")
    named: list[dict[str, Any]] = [{"table": t, "column": "at"} for t in ("gone", "plain", "keyed")]
    named.append({"table": "wide", "column": "at", "bridge": False})
    dagster.policy(events.url, EVENTS, *named)
    result = dagster.run(NIGHTLY)
    error, warn = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
    assert red(result) == {
        "no_such_table": error,
        "not_partitioned": error,
        "partition_key_mismatch": error,
        "partition_name_taken": error,
        "partition_overlap": error,
        "partition_horizon_short": warn,
    }
    found = checks(result)
    assert (found["no_such_table"].description or "").startswith("public.gone: ")
    assert (found["not_partitioned"].description or "").startswith("public.plain: ")
    short = found["partition_horizon_short"]
    assert "| warn | ` public.wide ` | 0 | 3 |" in str(short.metadata["found"].value)
    assert {key: short.metadata[key].value for key in ("objects", "value", "threshold")} == {
        "objects": 2,
        "value": 0,
        "threshold": 3,
    }
    assert (short.description or "").count("0 of 3 partitions ahead exist") == 2


def test_action_that_fails_fails_the_run_and_still_shows_the_checks(
    events: Database, dagster: Dagster
) -> None:
    holder = events.connect(autocommit=False, application_name="a slow migration")
    holder.execute("LOCK TABLE public.events IN SHARE ROW EXCLUSIVE MODE")
    locks = {"patient_lock_timeout": "50 ms", "give_up_after": "200 ms"}
    dagster.policy(events.url, {**EVENTS, "premake": 1}, locks=locks)
    result = dagster.run(NIGHTLY)
    headline = said(result)
    assert f"create_partition public.events {month()} failed" in headline
    assert "a slow migration" in headline
    assert red(result) == {
        "lock_not_acquired": dg.AssetCheckSeverity.ERROR,
        "partition_horizon_short": dg.AssetCheckSeverity.ERROR,
    }
    assert dagster.marked() == set()


def test_inventory_shows_numbers_to_plot_and_the_sql_it_ran(
    events: Database, dagster: Dagster
) -> None:
    dagster.policy(events.url)
    result = dagster.run(NIGHTLY)
    marked = result.asset_materializations_for_node("app__partition_inventory")
    (shown,) = [event for event in marked if event.asset_key == INVENTORY_KEY]
    assert shown.metadata["periods_ahead"].value == 3
    assert shown.metadata["created"].value == 4
    assert "ATTACH PARTITION" in str(shown.metadata["executed_sql"].value)


# What goes wrong


def test_database_that_is_down_fails_with_one_clear_line(dagster: Dagster) -> None:
    dagster.policy("postgresql://app:geheim@127.0.0.1:9/shop")
    for result in (dagster.run(NIGHTLY), dagster.run(MONTHLY, month())):
        headline = said(result)
        assert headline.startswith("127.0.0.1:9/shop as app: ")
        assert "port 9 failed" in headline
        assert "Traceback" not in headline
        assert "geheim" not in "".join(str(event) for event in result.all_events)


def test_missing_variable_is_named(dagster: Dagster) -> None:
    write_policy(
        dagster.folder, "unused", EVENTS, database={"name": "app", "url": {"env": "NO_URL"}}
    )
    assert "NO_URL" in said(dagster.run(NIGHTLY))


def test_another_run_at_work_fails_the_run_and_is_named(events: Database, dagster: Dagster) -> None:
    holder = events.connect(application_name="somebody at work")
    holder.execute("SELECT pg_advisory_lock(%s)", [RUN_LOCK])
    dagster.policy(events.url, locks={"give_up_after": "300 ms"})
    result = dagster.run(NIGHTLY)
    assert "somebody at work" in said(result)
    assert red(result) == {"lock_not_acquired": dg.AssetCheckSeverity.ERROR}
    assert "somebody at work" in said(dagster.run(MONTHLY, month()))


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.REFUSED])
def test_action_that_was_not_done_is_named_by_its_object(outcome: Outcome) -> None:
    action = Action(ActionKind.CREATE_INDEX, "public.by_note", (), "missing", table="public.events")
    result = Result(action, outcome, error="in use")
    report = Report("app", datetime.now(UTC), Plan(), (), None, results=(result,))
    with pytest.raises(dg.Failure) as failure:
        fail_if_undone(report)
    assert "public.by_note" in str(failure.value.description)
    assert "public.events" not in str(failure.value.description)
