"""Pools: how many steps at once work on one database."""

from collections.abc import Iterable, Sequence
from typing import Literal, get_args

import dagster as dg

from maintenance.orchestration.dagster_internals import assign_free_slots
from maintenance.policy import Policy

Pool = Literal["ddl", "work"]
"""Steps in `ddl` run alone on their database; `work` is for the others."""
LIMIT = 1


def pool_of(policy: Policy, pool: Pool) -> str:
    """Return the name `<db>_<pool>`: the same in every project that works on the database."""
    return f"{policy.database.name}_{pool}"


class Pools:
    """The pools of databases: limited on every instance, and never stuck.

    Dagster counts the free slots of a pool and then notes the step that waits. If the last slot was
    given back in between, nobody gives it to that step: it waits, and behind it every run of the
    database, until the limit of a run's time ends it.
    """

    def __init__(self, policies: Iterable[Policy]) -> None:
        self._names = [pool_of(policy, pool) for policy in policies for pool in get_args(Pool)]
        self._is_limited = False

    def tend(self, instance: dg.DagsterInstance) -> Sequence[str]:
        """Limit pools that have no limit, once in this process; give free slots to waiting steps.

        Returns:
            A line on each pool that had a free slot and a waiting step.
        """
        if not self._names or not instance.event_log_storage.supports_global_concurrency_limits:
            return []
        if not self._is_limited:
            self._limit(instance)
        given = assign_free_slots(instance, self._names)
        return [f"pool {pool}: its free slot was given to the step that waited" for pool in given]

    def _limit(self, instance: dg.DagsterInstance) -> None:
        """Limit our pools where the instance limits none by default, as ours would.

        A limit that somebody has set stays. Without any, steps would only wait for the run lock.
        """
        storage = instance.event_log_storage
        if instance.global_op_concurrency_default_limit is None:
            limited = {each.name for each in storage.get_pool_limits()}
            for pool in sorted({*self._names} - limited):
                storage.set_concurrency_slots(pool, LIMIT)
        self._is_limited = True
