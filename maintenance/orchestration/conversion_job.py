"""Conversions in Dagster: a job that plans and applies them, and what the tables' assets show."""

from maintenance.policy import Policy


def converts(policy: Policy) -> bool:
    """Whether the policy converts tables."""
    return any(section.convert != "never" for section in policy.partitions)
