"""Client of Dagster's webserver, over the GraphQL API of its UI."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from maintenance.errors import MaintenanceError

Answer = dict[str, Any]

_TIMEOUT_S = 30
# Loopback is never reached through a proxy, whatever the environment says.
_open = build_opener(ProxyHandler({})).open

_LOCATIONS = """
{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError {
    __typename ... on PythonError { message } } } } } }
"""
_HEARTBEATS = """
{ instance { daemonHealth { allDaemonStatuses { required lastHeartbeatTime } } } }
"""
_JOBS = """
query ($in: RepositorySelector!) { repositoryOrError(repositorySelector: $in) {
    ... on Repository { jobs { name } } } }
"""
_KEYS = """
query ($of: PipelineSelector!) { pipelineOrError(params: $of) {
    ... on Pipeline { partitionKeysOrError { partitionKeys } } ... on Error { message } } }
"""
_LAUNCH = """
mutation ($run: ExecutionParams!) { launchRun(executionParams: $run) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on Error { message }
    ... on RunConfigValidationInvalid { errors { message } } } }
"""
_STATUSES = """
query ($of: RunsFilter!) { runsOrError(filter: $of) {
    ... on Runs { results { runId jobName status } } } }
"""
_EVENTS = """
query ($run: ID!, $after: String) { logsForRun(runId: $run, afterCursor: $after) {
    ... on EventConnection { cursor hasMore events {
        __typename
        ... on MaterializationEvent { partition assetKey { path } metadataEntries { label
            ... on TextMetadataEntry { text } ... on IntMetadataEntry { intRepr } } }
        ... on AssetCheckEvaluationEvent { evaluation {
            success severity checkName description assetKey { path } } }
        ... on ExecutionStepFailureEvent { stepKey error { message } }
        ... on RunFailureEvent { message error { message } } } } } }
"""
_CANCEL = """
mutation ($runs: [String!]!) {
    terminateRuns(runIds: $runs, terminatePolicy: MARK_AS_CANCELED_IMMEDIATELY) { __typename } }
"""
_TERMINATE = """
mutation ($run: String!) { terminateRun(runId: $run) {
    __typename ... on TerminateRunFailure { message } ... on PythonError { message } } }
"""
_FREE = "mutation ($run: String!) { freeConcurrencySlots(runId: $run) }"


@dataclass(frozen=True, slots=True)
class Webserver:
    """A webserver, and the code location of the launched jobs.

    Uses the standard library's client: dagster-graphql would load all of Dagster into this
    process.
    """

    url: str
    location: str

    def is_ready(self) -> bool:
        """Return whether it responds, with the code location loaded.

        Raises:
            MaintenanceError: the location can't be loaded.
        """
        try:
            entries = self._ask(_LOCATIONS)["workspaceOrError"]["locationEntries"]
        except (URLError, ConnectionError):
            return False
        errors = [entry["locationOrLoadError"] for entry in entries]
        for error in errors:
            if "message" in error:
                raise MaintenanceError(f"code location {self.location}: {error['message']}")
        return True

    def daemons_beat_since(self, moment: float) -> bool:
        """Return whether every daemon has sent a heartbeat since then (seconds of the epoch)."""
        statuses = self._ask(_HEARTBEATS)["instance"]["daemonHealth"]["allDaemonStatuses"]
        beats = [status["lastHeartbeatTime"] for status in statuses if status["required"]]
        return all(beat is not None and beat >= moment for beat in beats)

    def jobs(self) -> list[str]:
        """Return the names of the jobs."""
        found = self._ask(_JOBS, **{"in": self._repository})["repositoryOrError"]["jobs"]
        return [job["name"] for job in found]

    def partition_keys(self, job: str) -> list[str]:
        """Return the keys of a job's partition set; none if it has none."""
        of = {**self._repository, "pipelineName": job}
        found = self._ask(_KEYS, of=of)["pipelineOrError"]
        return list(found["partitionKeysOrError"]["partitionKeys"])

    def launch(
        self, job: str, tags: Mapping[str, str], config: Mapping[str, Any] | None = None
    ) -> str:
        """Queue a run of a job.

        Args:
            job: its name.
            tags: of the run.
            config: of its ops, as in the launchpad; None for the job's own.

        Returns:
            The run's id.

        Raises:
            MaintenanceError: it was rejected.
        """
        run: Answer = {
            "selector": {**self._repository, "jobName": job},
            "executionMetadata": {"tags": [{"key": k, "value": v} for k, v in tags.items()]},
            **({"runConfigData": config} if config is not None else {}),
        }
        answer = self._ask(_LAUNCH, run=run)["launchRun"]
        if "run" not in answer:
            raise MaintenanceError(f"job {job}: {answer.get('message') or answer}")
        return str(answer["run"]["runId"])

    def statuses(self, runs: Collection[str]) -> dict[str, str]:
        """Return the statuses of runs by id, such as `QUEUED`, `STARTED` and `SUCCESS`."""
        found = self._ask(_STATUSES, of={"runIds": list(runs)})["runsOrError"]["results"]
        return {run["runId"]: run["status"] for run in found}

    def events(self, run: str) -> Iterator[Answer]:
        """Yield the events of a run: materializations, checks, failures."""
        after, more = None, True
        while more:
            page = self._ask(_EVENTS, run=run, after=after)["logsForRun"]
            yield from page["events"]
            after, more = page["cursor"], page["hasMore"]

    def terminate(self, run: str) -> None:
        """Ask the process of a run to end it, as the button of the UI does.

        Raises:
            MaintenanceError: it can't be ended.
        """
        answer = self._ask(_TERMINATE, run=run)["terminateRun"]
        if answer["__typename"] != "TerminateRunSuccess":
            raise MaintenanceError(f"run {run}: {answer.get('message') or answer['__typename']}")

    def cancel_all(self) -> None:
        """Mark every unfinished run as canceled, and free its pool slots."""
        unfinished = ["QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING"]
        found = self._ask(_STATUSES, of={"statuses": unfinished})["runsOrError"]["results"]
        runs = [run["runId"] for run in found]
        if runs:
            self._ask(_CANCEL, runs=runs)
        for run in runs:
            self._ask(_FREE, run=run)

    @property
    def _repository(self) -> Answer:
        return {"repositoryName": "__repository__", "repositoryLocationName": self.location}

    def _ask(self, query: str, **variables: object) -> Answer:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})  # noqa: S310 - the url is ours
        try:
            with _open(request, timeout=_TIMEOUT_S) as answer:
                found: Answer = json.load(answer)
        except HTTPError as exc:
            raise MaintenanceError(f"webserver: {exc.read().decode(errors='replace')}") from exc
        if found.get("errors"):
            raise MaintenanceError(f"webserver: {found['errors'][0]['message']}")
        return dict(found["data"])
