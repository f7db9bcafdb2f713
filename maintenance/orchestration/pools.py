"""Pools: how many steps at once work on one database."""

from typing import Literal, get_args

import dagster as dg

from maintenance.policy import Policy

Pool = Literal["ddl", "work"]
"""Steps in `ddl` run alone on their database; `work` is for the others."""
LIMIT = 1


def pool_of(policy: Policy, pool: Pool) -> str:
    """Return the name `<db>_<pool>`: the same in every project that works on the database."""
    return f"{policy.database.name}_{pool}"


class PoolLimits:
    """Limits our pools on instances that limit no pool by default, as ours would.

    A limit that somebody has set stays. Without any, steps would only wait for the run lock.
    """

    def __init__(self) -> None:
        self._ensured: set[str] = set()

    def ensure(self, instance: dg.DagsterInstance, policy: Policy) -> None:
        """Set the limits of a database's pools, once in this process, where there are none."""
        pools = {pool_of(policy, pool) for pool in get_args(Pool)} - self._ensured
        storage = instance.event_log_storage
        if not pools or not storage.supports_global_concurrency_limits:
            return
        if instance.global_op_concurrency_default_limit is None:
            limited = {each.name for each in storage.get_pool_limits()}
            for pool in sorted(pools - limited):
                storage.set_concurrency_slots(pool, LIMIT)
        self._ensured |= pools
