"""What Dagster's storage says about the runs of jobs, read again only where a run has changed.

A hundred databases have hundreds of jobs. One query asks which of them had a run that changed.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, TypeVar

import dagster as dg

SETTLES = timedelta(minutes=2)
"""Dagster tags a run for some time after its end; clocks of hosts differ."""
WHOLE = timedelta(minutes=10)
"""After so long everything is read again: runs can be deleted, and tags be late."""

_ANY = list(dg.DagsterRunStatus)

T = TypeVar("T")


class RunHistory:
    """Facts about jobs, each kept until a run of its job changes. One for each process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._facts: dict[tuple[str, Any], tuple[datetime, Any]] = {}
        self._as_of: datetime | None = None

    def refresh(self, instance: dg.DagsterInstance, now: datetime) -> None:
        """Forget what is known of jobs with a run that has changed, and what is old.

        Args:
            instance: of Dagster.
            now: the current time, aware.
        """
        with self._lock:
            since, self._as_of = self._as_of, now
            if since is None or not timedelta() <= now - since < WHOLE:
                self._facts.clear()
                return
            changed = _changed_since(instance, since - SETTLES)
            self._facts = {
                key: (read_at, fact)
                for key, (read_at, fact) in self._facts.items()
                if key[0] not in changed and now - read_at < WHOLE
            }

    def of(
        self, instance: dg.DagsterInstance, job: str, read: Callable[[dg.DagsterInstance, str], T]
    ) -> T:
        """Return a fact about a job, as of the last refresh or later."""
        key = (job, read)
        known = self._facts.get(key)
        if known is None:
            assert self._as_of is not None, "refreshed before"
            known = self._facts[key] = (self._as_of, read(instance, job))
        return known[1]


def _changed_since(instance: dg.DagsterInstance, moment: datetime) -> set[str]:
    # With statuses, Dagster's index on them and the time of the change is used.
    changed = instance.get_run_records(dg.RunsFilter(statuses=_ANY, updated_after=moment))
    return {record.dagster_run.job_name for record in changed}
