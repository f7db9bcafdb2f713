"""Deletes old runs of a database, with all that Dagster recorded of them, from Dagster's storage.

Dagster keeps runs and their events for ever. What it shows of the present stays: unfinished runs,
the newest runs of each job, and runs that hold the newest materialization of an asset or of one of
its partitions.
"""

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import dagster as dg

from maintenance.orchestration.dagster_internals import (
    IMPLICIT_ASSET_JOB_NAME,
    delete_check_results,
    event_texts,
)
from maintenance.orchestration.naming import OWNER_TAG

NEWEST = 5
"""Finished runs of each job that stay, whatever their age: alerts on failed and overdue jobs, and
people, look at them."""
PAGE = 100
"""Runs that are read at once."""
DEADLINE = timedelta(minutes=5)
"""What is not deleted by then is left to the next night."""

_FINISHED = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]
_Place = tuple[dg.AssetKey, str | None]
"""An asset, or one of its partitions."""


@dataclass(frozen=True, slots=True)
class Owned:
    """What belongs to one database in a Dagster instance that others may use too.

    Attributes:
        tag: the value of `OWNER_TAG` of its runs.
        assets: its assets; a run that a person started at them alone has no tag.
        checks: their checks.
        instigators: names of its schedules and sensors.
    """

    tag: str
    assets: frozenset[dg.AssetKey]
    checks: tuple[dg.AssetCheckKey, ...] = ()
    instigators: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Freed:
    """What was deleted.

    Attributes:
        runs, events, check_results: how many.
        text_bytes: the text of events and check results, uncompressed and without indexes.
        n_kept: old runs that stay, because they hold what Dagster shows of the present.
        is_complete: whether all old runs were looked at before the deadline.
    """

    runs: int = 0
    events: int = 0
    check_results: int = 0
    text_bytes: int = 0
    n_kept: int = 0
    is_complete: bool = True

    def plus(self, **more: int) -> "Freed":
        """Return the sum."""
        return replace(self, **{name: getattr(self, name) + n for name, n in more.items()})


def delete_old_runs(
    instance: dg.DagsterInstance,
    owned: Owned,
    before: datetime,
    deadline: timedelta = DEADLINE,
) -> Freed:
    """Delete the runs of a database that ended before a moment, the oldest first.

    May be interrupted anywhere: a run's own row goes last, so that the next call finds it again.
    """
    ends_at = time.monotonic() + deadline.total_seconds()
    shown, freed = _Shown(instance, owned), Freed()
    for run in _old_runs(instance, owned, before):
        if time.monotonic() >= ends_at:
            return replace(freed, is_complete=False)
        if shown.has(run):
            freed = freed.plus(n_kept=1)
        else:
            gone = _delete(instance, run.run_id, owned.checks, shown.check_results)
            freed = freed.plus(runs=1, **gone)
    return freed


def purge_ticks(
    instance: dg.DagsterInstance, owned: Owned, repository: str, before: datetime
) -> None:
    """Delete ticks of the database's schedules and sensors that are older than a moment.

    Args:
        instance: of Dagster.
        owned: what belongs to the database.
        repository: id of the selector of the project's repository: names are unique in it only.
        before: the moment, aware.
    """
    for state in instance.all_instigator_state(repository_selector_id=repository):
        if state.instigator_name in owned.instigators:
            instance.purge_ticks(state.instigator_origin_id, state.selector_id, before.timestamp())


def _old_runs(
    instance: dg.DagsterInstance, owned: Owned, before: datetime
) -> Iterator[dg.DagsterRun]:
    by_tag = dg.RunsFilter(statuses=_FINISHED, updated_before=before, tags={OWNER_TAG: owned.tag})
    yield from _paged(instance, by_tag)
    by_hand = dg.RunsFilter(
        statuses=_FINISHED, updated_before=before, job_name=IMPLICIT_ASSET_JOB_NAME
    )
    for run in _paged(instance, by_hand):
        if run.asset_selection and run.asset_selection <= owned.assets:
            yield run


def _paged(instance: dg.DagsterInstance, runs: dg.RunsFilter) -> Iterator[dg.DagsterRun]:
    """Yield the oldest first; the next page is read before the last run of this one may go.

    Dagster finds the next page by that run.
    """
    page = instance.get_runs(runs, limit=PAGE, ascending=True)
    while page:
        cursor = page[-1].run_id
        following = instance.get_runs(runs, limit=PAGE, ascending=True, cursor=cursor)
        yield from page
        page = following


@dataclass(slots=True)
class _Shown:
    """What Dagster shows of the present, each looked up once."""

    instance: dg.DagsterInstance
    owned: Owned
    check_results: Collection[int] = field(init=False)
    _of_job: dict[str, frozenset[str]] = field(
        init=False, default_factory=dict[str, frozenset[str]]
    )
    _newest: dict[_Place, int | None] = field(init=False, default_factory=dict[_Place, int | None])

    def __post_init__(self) -> None:
        """Look up the newest result of each check."""
        storage = self.instance.event_log_storage
        latest = storage.get_latest_asset_check_execution_by_key(self.owned.checks)
        self.check_results = [each.id for each in latest.values()]

    def has(self, run: dg.DagsterRun) -> bool:
        """Whether something of the present would go with the run."""
        return run.run_id in self._newest_runs(run.job_name) or self._holds_newest(run.run_id)

    def _newest_runs(self, job: str) -> frozenset[str]:
        if job == IMPLICIT_ASSET_JOB_NAME:  # of other projects too; its assets count
            return frozenset()
        if job not in self._of_job:
            newest = dg.RunsFilter(
                job_name=job, statuses=_FINISHED, tags={OWNER_TAG: self.owned.tag}
            )
            found = self.instance.get_runs(newest, limit=NEWEST)
            self._of_job[job] = frozenset(each.run_id for each in found)
        return self._of_job[job]

    def _holds_newest(self, run_id: str) -> bool:
        made = self.instance.get_records_for_run(
            run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
        )
        for record in made.records:
            event = record.event_log_entry.dagster_event
            if event is not None and event.asset_key is not None:
                place = (event.asset_key, event.partition)
                if record.storage_id == self._newest_materialization(place):
                    return True
        return False

    def _newest_materialization(self, place: _Place) -> int | None:
        if place not in self._newest:
            key, partition = place
            wanted = dg.AssetRecordsFilter(
                key, asset_partitions=[partition] if partition is not None else None
            )
            found = self.instance.fetch_materializations(wanted, limit=1).records
            self._newest[place] = found[0].storage_id if found else None
        return self._newest[place]


def _delete(
    instance: dg.DagsterInstance,
    run_id: str,
    checks: Collection[dg.AssetCheckKey],
    newest_results: Collection[int],
) -> dict[str, int]:
    """Delete one run, and return what went with it.

    `delete_run` begins with the run's own row: interrupted there, its events would stay for ever.
    So they go before, and with them what it leaves behind: check results and captured output.
    """
    results = delete_check_results(instance, run_id, checks, newest_results)
    events = event_texts(instance, run_id)
    instance.event_log_storage.delete_events(run_id)
    instance.compute_log_manager.delete_logs(prefix=[run_id, "compute_logs"])
    instance.delete_run(run_id)
    n_bytes = sum(len(text) for text in (*events, *results))
    return {"events": len(events), "check_results": len(results), "text_bytes": n_bytes}
