"""Names of assets, jobs, schedules, sensors and ops of a policy: unique in the whole project."""

import dagster as dg

from maintenance.policy import Policy

OWNER_TAG = "maintenance/database"
"""Tag of our jobs and their runs: by it we know them among those of other projects."""


def asset_key(policy: Policy, *parts: str) -> dg.AssetKey:
    """Return the asset key `<db>/<parts>`, below the project's prefix."""
    return dg.AssetKey(policy.placement.key(policy.database.name, *parts))


def name_of(policy: Policy, what: str) -> str:
    """Return the name `<db>_<what>`, behind the project's prefix."""
    return policy.placement.name(f"{policy.database.name}_{what}")


def owner_of(policy: Policy) -> str:
    """Return the value of the tag: the database, behind the project's prefix."""
    return policy.placement.name(policy.database.name)
