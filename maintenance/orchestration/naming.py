"""Names of assets, jobs, schedules, sensors and ops of a policy: unique in the whole project."""

import dagster as dg

from maintenance.policy import Policy


def asset_key(policy: Policy, *parts: str) -> dg.AssetKey:
    """Return the asset key `<db>/<parts>`, below the project's prefix."""
    return dg.AssetKey(policy.placement.key(policy.database.name, *parts))


def name_of(policy: Policy, what: str) -> str:
    """Return the name `<db>_<what>`, behind the project's prefix."""
    return policy.placement.name(f"{policy.database.name}_{what}")
