"""Dagster's storage in PostgreSQL: which runs the nightly run deletes from it, which stay."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    SensorInstigatorData,
    TickData,
    TickStatus,
)

from maintenance.engine.findings import FindingKind
from maintenance.orchestration.build import build
from maintenance.orchestration.dagster_retention import (
    NEWEST,
    Freed,
    Owned,
    delete_old_runs,
    purge_ticks,
)
from maintenance.orchestration.dagster_storage_asset import storage_check, storage_object
from maintenance.orchestration.naming import OWNER_TAG
from maintenance.orchestration.run_monitor import unkept_storage
from maintenance.policy import load_policy
from tests.builders import Database
from tests.policies import CREATE_EVENTS, EVENTS, write_policy

pytestmark = pytest.mark.pg("== 18")

OURS, THEIRS = dg.AssetKey(["app", "view"]), dg.AssetKey(["orders"])
MONTHS = dg.AssetKey(["app", "partitions", "events"])
OWNED = Owned("app", frozenset({OURS, MONTHS}), (dg.AssetCheckKey(OURS, "stale"),))
NOW = datetime.now(UTC)
BEFORE = NOW - timedelta(days=90)
COPIED = {
    "runs": ("run_id", "snapshot_id", "pipeline_name", "status", "run_body"),
    "run_tags": ("run_id", "key", "value"),
    "event_logs": (
        *("run_id", "event", "dagster_event_type", "timestamp", "step_key", "asset_key"),
        "partition",
    ),
    "asset_check_executions": (
        *("run_id", "asset_key", "check_name", "execution_status", "evaluation_event"),
    ),
}
NOT_TEXT = ("timestamp", "snapshot_id")


@dg.asset(key=OURS, check_specs=[dg.AssetCheckSpec("stale", asset=OURS)])
def view() -> Iterator[Any]:
    yield dg.AssetCheckResult(passed=True)
    yield dg.MaterializeResult()


@dg.asset(key=THEIRS)
def orders() -> None:
    """Of another project in the same instance."""


@dg.op
def make_month(context: dg.OpExecutionContext) -> None:
    context.log_event(dg.AssetMaterialization(MONTHS, partition=context.run.tags["month"]))


class History:
    """Runs of the past in an instance: each a real run, or the copy of one."""

    def __init__(self, instance: dg.DagsterInstance, database: Database) -> None:
        self.instance = instance
        self._database = database

    def add(
        self, job: dg.JobDefinition, assets: Sequence[dg.AssetKey] | None = None, **tags: str
    ) -> str:
        """Run a job, and let the run be old."""
        result = job.execute_in_process(instance=self.instance, tags=tags, asset_selection=assets)
        self._age(result.run_id, 100)
        return result.run_id

    def again(
        self, run_id: str, replaced: Mapping[str, str] | None = None, *, days_ago: float = 100
    ) -> str:
        """Copy all that is recorded of a run, with words replaced, as a later run."""
        copy = str(uuid.uuid4())
        words = {run_id: copy, **(replaced or {})}
        for table, columns in COPIED.items():
            values = ", ".join(_replacing(column, len(words)) for column in columns)
            self._database.execute(
                f"INSERT INTO {table} ({', '.join(columns)})"
                f" SELECT {values} FROM {table} WHERE run_id = %s ORDER BY id",
                [
                    *[word for _ in _texts(columns) for pair in words.items() for word in pair],
                    run_id,
                ],
            )
        self._age(copy, days_ago)
        return copy

    def _age(self, run_id: str, days_ago: float) -> None:
        ended = (NOW - timedelta(days=days_ago)).replace(tzinfo=None)
        self._database.execute(
            "UPDATE runs SET create_timestamp = %s, update_timestamp = %s WHERE run_id = %s",
            [ended, ended, run_id],
        )

    def delete(self, **limits: timedelta) -> Freed:
        return delete_old_runs(self.instance, OWNED, BEFORE, **limits)

    def left(self) -> set[str]:
        return {run.run_id for run in self.instance.get_runs()}

    def rows(self, run_id: str) -> list[int]:
        """The number of rows that each table has of a run."""
        of_run = "SELECT count(*) FROM {} WHERE run_id = %s"
        tables = ("event_logs", "asset_check_executions", "run_tags")
        return [
            int(self._database.execute(of_run.format(table), [run_id])[0][0]) for table in tables
        ]


def _texts(columns: Sequence[str]) -> list[str]:
    return [column for column in columns if column not in NOT_TEXT]


def _replacing(column: str, n_words: int) -> str:
    if column in NOT_TEXT:
        return column
    return "replace(" * n_words + column + ", %s, %s)" * n_words


@pytest.fixture
def history(shipped: dg.DagsterInstance, database: Database) -> History:
    return History(shipped, database)


def asset_job(name: str, key: dg.AssetKey, owner: str | None = "app") -> dg.JobDefinition:
    tags = {OWNER_TAG: owner} if owner else {}
    job = dg.define_asset_job(name, dg.AssetSelection.assets(key), tags=tags)
    return dg.Definitions(assets=[view, orders], jobs=[job]).resolve_job_def(name)


def month_job() -> dg.JobDefinition:
    @dg.job(name="app_monthly_partitions", tags={OWNER_TAG: "app"})
    def job() -> None:
        make_month()

    return job


def by_hand() -> dg.JobDefinition:
    """The job of runs that a person starts at assets."""
    definitions = dg.Definitions(assets=[view, orders])
    return definitions.resolve_implicit_global_asset_job_def()


def test_old_runs_go_and_what_dagster_shows_of_the_present_stays(history: History) -> None:
    first = history.add(asset_job("app_refresh", OURS))
    month = history.add(month_job(), month="2026-01")
    hand = history.add(by_hand(), assets=[OURS])
    both = history.add(by_hand(), assets=[OURS, THEIRS])
    gone = [first, history.again(first), hand, month, history.again(month, {"2026-01": "2026-03"})]
    stay = [both, history.again(first, {"SUCCESS": "STARTED"})]
    stay += [
        history.again(both, {"app": "erp"}),
        history.again(first, {"app": "erp"}),
        history.again(first, {OWNER_TAG: "team"}),
    ]
    stay += [history.again(month), history.again(month, {"2026-01": "2026-02"})]
    stay += [history.again(month, {"2026-01": "2026-03"}) for _ in range(NEWEST)]
    stay += [history.again(first) for _ in range(NEWEST - 1)]
    stay += [history.again(first, days_ago=89)]
    newest = newest_of(history.instance)
    freed = history.delete()
    assert history.left() == set(stay)
    assert (freed.runs, freed.is_complete) == (len(gone), True)
    assert freed.check_results == 3
    assert freed.events > 10 * freed.runs
    assert freed.text_bytes > 500 * freed.events
    assert [history.rows(run) for run in gone] == [[0, 0, 0]] * len(gone)
    assert all(history.rows(run)[0] for run in stay)
    assert newest_of(history.instance) == newest
    assert history.delete() == Freed(n_kept=freed.n_kept)


def newest_of(instance: dg.DagsterInstance) -> tuple[Any, ...]:
    """What the pages of our assets show."""
    found = instance.fetch_materializations(OURS, limit=1).records
    check = OWNED.checks[0]
    results = instance.event_log_storage.get_latest_asset_check_execution_by_key([check])
    months = instance.get_materialized_partitions(MONTHS)
    return found[0].storage_id, results[check].id, months


def test_interrupted_deletion_is_continued(history: History) -> None:
    first = history.add(asset_job("app_refresh", OURS))
    second, *_ = [history.again(first) for _ in range(NEWEST + 1)]
    assert not history.delete(deadline=timedelta(0)).is_complete
    assert history.rows(first)[0]
    history.instance.event_log_storage.delete_events(first)  # the run ended here
    freed = history.delete()
    assert (freed.runs, freed.is_complete) == (2, True)
    assert {first, second}.isdisjoint(history.left())


NO_DELETE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$no$$; END';
CREATE TRIGGER refuse BEFORE DELETE ON public.runs FOR EACH ROW EXECUTE FUNCTION refuse();
"""


def test_storage_that_refuses_is_a_finding_and_the_nightly_job_goes_on(
    history: History, database: Database, tmp_path: Path
) -> None:
    database.execute(CREATE_EVENTS)
    policy = load_policy(write_policy(tmp_path, database.url, EVENTS, dagster={"keep": "30 days"}))
    nightly = build([tmp_path]).resolve_job_def("app_nightly")
    old = history.add(asset_job("app_refresh", OURS))
    for _ in range(NEWEST):
        history.again(old)
    database.execute(NO_DELETE)
    result = nightly.execute_in_process(instance=history.instance)
    assert red(result) == {"dagster_unkept": dg.AssetCheckSeverity.WARN}
    check, name = storage_check(policy), storage_object(policy)
    found = unkept_storage(check, history.instance, name)
    assert found is not None
    assert (found.kind, found.object) == (FindingKind.DAGSTER_UNKEPT, "app_nightly")
    database.execute("DROP TRIGGER refuse ON public.runs")
    result = nightly.execute_in_process(
        instance=history.instance, asset_selection=[check.asset_key]
    )
    assert unkept_storage(check, history.instance, name) is None
    (shown,) = result.asset_materializations_for_node("app__dagster_storage")
    assert shown.metadata["deleted_runs"].value == 1
    assert shown.metadata["deleted_bytes"].value == 0  # its events went in the first try
    assert old not in history.left()


def test_old_ticks_go_of_our_schedules_and_sensors_alone(shipped: dg.DagsterInstance) -> None:
    ours, theirs = instigator("app_watch"), instigator("their_sensor")
    for state in (ours, theirs):
        shipped.add_instigator_state(state)
        for days_ago in (100, 89):
            shipped.create_tick(tick(state, NOW - timedelta(days=days_ago)))
    owned = Owned("app", frozenset(), instigators=frozenset({"app_watch"}))
    purge_ticks(shipped, owned, REPOSITORY.get_selector_id(), BEFORE)
    left = [
        len(shipped.get_ticks(each.instigator_origin_id, each.selector_id))
        for each in (ours, theirs)
    ]
    assert left == [1, 2]


REPOSITORY = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("maintenance"), "__repository__")


def instigator(name: str) -> InstigatorState:
    return InstigatorState(
        RemoteInstigatorOrigin(REPOSITORY, name),
        InstigatorType.SENSOR,
        InstigatorStatus.RUNNING,
        SensorInstigatorData(),
    )


def tick(state: InstigatorState, at: datetime) -> TickData:
    return TickData(
        instigator_origin_id=state.instigator_origin_id,
        instigator_name=state.instigator_name,
        instigator_type=InstigatorType.SENSOR,
        status=TickStatus.SKIPPED,
        timestamp=at.timestamp(),
        selector_id=state.selector_id,
    )


def red(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckSeverity]:
    checks = result.get_asset_check_evaluations()
    return {each.check_name: each.severity for each in checks if not each.passed}
