"""The main job of the demo: launched in Dagster, awaited, and read back from its event log."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from maintenance.demo.webserver import Answer, Webserver
from maintenance.errors import MaintenanceError

PASSES = (("monthly_partitions", "refresh", "index_rollout", "retention"), ("nightly",))
"""Name parts of jobs, by pass: those that create partitions, refresh views, build declared indexes
and find out what has expired; then those that check the result."""

ROLLED_OUT = {"unpuzzle": [1]}
"""The waves of declared indexes that the main job builds; all others are left to be built."""

_DEADLINE_S = 600.0
_POLL_S = 0.25
_ENDED = {"SUCCESS", "FAILURE", "CANCELED"}


@dataclass(frozen=True, slots=True)
class Partition:
    """One period of a table, from Dagster's event log; None if the log does not say."""

    database: str
    table: str
    period: str
    state: str
    n_rows: int | None
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one asset check, with its message."""

    asset: str
    name: str
    passed: bool
    is_error: bool
    message: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """The results of the main job's runs, by table and period."""

    partitions: tuple[Partition, ...]
    checks: tuple[Check, ...]

    @property
    def n_errors(self) -> int:
        """The number of checks that failed with severity error."""
        return sum(check.is_error and not check.passed for check in self.checks)

    @property
    def n_warnings(self) -> int:
        """The number of checks that failed with severity warn."""
        return sum(not check.is_error and not check.passed for check in self.checks)


def run_main_job(
    webserver: Webserver,
    databases: Sequence[str],
    *,
    check_alive: Callable[[], None],
    progress: Callable[[str], None],
) -> Outcome:
    """Run the jobs of the monthly and nightly schedules, over all periods to the horizon.

    Args:
        webserver: of the Dagster instance.
        databases: the databases whose jobs are run, in parallel.
        check_alive: raises once a required process has ended.
        progress: called with the running jobs.

    Raises:
        MaintenanceError: a run failed, with the errors of its log; or it timed out.
    """
    jobs = webserver.jobs()
    events: list[Answer] = []
    for names in PASSES:
        chosen = [job for job in jobs if job.startswith(tuple(_prefixes(names, databases)))]
        runs = {
            webserver.launch(
                job,
                _whole_range(webserver.partition_keys(job)) | _origin(job),
                _config(job, databases),
            ): job
            for job in chosen
        }
        _await(webserver, runs, check_alive, progress)
        for run in runs:
            events += webserver.events(run)
    found = {(row.database, row.table, row.period): row for row in _partitions(events)}
    return Outcome(tuple(found[key] for key in sorted(found)), tuple(_checks(events)))


def _prefixes(names: Sequence[str], databases: Sequence[str]) -> Iterator[str]:
    for database, name in product(databases, names):
        if name != "index_rollout" or database in ROLLED_OUT:
            yield f"{database}_{name}"


def launch_digests(webserver: Webserver, databases: Sequence[str]) -> None:
    """Launch the digest jobs, without waiting for them."""
    for name in databases:
        webserver.launch(f"{name}_digest", {})


def _config(job: str, databases: Sequence[str]) -> dict[str, Any] | None:
    """Return the filled form of the jobs that change nothing without it."""
    for name in databases:
        if job == f"{name}_index_rollout":
            return _form(f"{name}__indexes", mode="APPLY", waves=ROLLED_OUT[name])
        if job == f"{name}_retention":
            return _form(f"{name}__retention", mode="APPLY")
    return None


def _form(op: str, **fields: Any) -> dict[str, Any]:
    return {"ops": {op: {"config": fields}}}


def _origin(job: str) -> dict[str, str]:
    """Return the tags of a run that does what its schedule would do, no more and no less.

    It retires only what is approved, and records what it compares.
    """
    scheduled = job.endswith(("_nightly", "_retention"))
    return {"dagster/schedule_name": job} if scheduled else {}


def _whole_range(keys: list[str]) -> dict[str, str]:
    if not keys:
        return {}
    return {
        "dagster/asset_partition_range_start": keys[0],
        "dagster/asset_partition_range_end": keys[-1],
    }


def _await(
    webserver: Webserver,
    runs: Mapping[str, str],
    check_alive: Callable[[], None],
    progress: Callable[[str], None],
) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while open_runs := _open(webserver, runs):
        progress(", ".join(f"{runs[run]} {status.lower()}" for run, status in open_runs.items()))
        check_alive()
        if time.monotonic() > deadline:
            left = (f"{webserver.url}/runs/{run} is {state}" for run, state in open_runs.items())
            raise MaintenanceError(f"not finished in {_DEADLINE_S:.0f} s: {', '.join(left)}")
        time.sleep(_POLL_S)


def _open(webserver: Webserver, runs: Mapping[str, str]) -> dict[str, str]:
    """Return the statuses of unfinished runs; raise for the first failed one."""
    statuses = webserver.statuses(runs)
    for run, status in statuses.items():
        if status in _ENDED - {"SUCCESS"}:
            said = "\n".join(_errors(webserver.events(run)))
            raise MaintenanceError(
                f"job {runs[run]}: {status.lower()}\n{said}",
                hint=f"log: {webserver.url}/runs/{run}",
            )
    return {run: status for run, status in statuses.items() if status not in _ENDED}


def _errors(events: Iterator[Answer]) -> Iterator[str]:
    for event in events:
        if event["__typename"] == "ExecutionStepFailureEvent":
            yield f"{event['stepKey']}: {event['error']['message'].strip()}"
        if event["__typename"] == "RunFailureEvent":
            yield (event["error"] or event)["message"].strip()


def _partitions(events: list[Answer]) -> Iterator[Partition]:
    for event in events:
        if event["__typename"] != "MaterializationEvent" or event["partition"] is None:
            continue
        path = event["assetKey"]["path"]
        facts = {
            entry["label"]: entry.get("text") or entry.get("intRepr")
            for entry in event["metadataEntries"]
        }
        yield Partition(
            database=path[0],
            table=path[-1],
            period=event["partition"],
            state=facts.get("state") or "",
            n_rows=_number(facts.get("dagster/partition_row_count")),
            size_bytes=_number(facts.get("size_bytes")),
        )


def _number(text: str | None) -> int | None:
    return int(text) if text is not None else None


def _checks(events: list[Answer]) -> Iterator[Check]:
    for event in events:
        if event["__typename"] == "AssetCheckEvaluationEvent":
            evaluation = event["evaluation"]
            yield Check(
                asset="/".join(evaluation["assetKey"]["path"]),
                name=evaluation["checkName"],
                passed=evaluation["success"],
                is_error=evaluation["severity"] == "ERROR",
                message=evaluation["description"] or "",
            )
