"""Findings on pools of the application that may open more connections than there are. Pure."""

from collections.abc import Iterator

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.policy.thresholds import CapacityPolicy
from maintenance.subjects.capacity.models import Limits

POOLS = "pools"
"""The `cliff` of the finding's data."""


def pool_findings(database: str, section: CapacityPolicy, limits: Limits) -> Iterator[Finding]:
    """Yield a finding if all pools of the policy together are larger than what they can have.

    The size advised for each instance is the usable connections divided by all instances.
    """
    promised = sum(pool.instances * pool.size for pool in section.pools)
    if promised <= limits.n_usable:
        return
    instances = sum(pool.instances for pool in section.pools)
    each = limits.n_usable // instances
    yield Finding(
        FindingKind.CAPACITY_CLIFF,
        Severity.WARN,
        f"{database}/{POOLS}",
        f"{database}: {instances} pools may open {promised:,} connections, and applications can use"
        f" {limits.n_usable:,} (max_connections {limits.max_connections:,},"
        f" {limits.n_connections:,} in use now); from then on they are refused. Give each at most"
        f" {each:,}, raise max_connections, or use a pooler",
        value=round(promised / limits.n_usable, 3),
        threshold=1.0,
        data={
            "cliff": POOLS,
            "promised": promised,
            "usable": limits.n_usable,
            "in_use": limits.n_connections,
            "instances": instances,
            "size_each": each,
        },
    )
