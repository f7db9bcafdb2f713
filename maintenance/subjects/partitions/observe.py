"""Observing partitioned tables: their states, and details of those that lack something."""

from maintenance.catalog.observe import fetch_details
from maintenance.engine.observe_context import Look
from maintenance.subjects.partitions.assess import (
    PartitionsObservation,
    assess,
    detailed,
    details_of,
)


def observe(look: Look) -> PartitionsObservation:
    """Assess the tables of the common snapshot, and read further details where needed.

    Raises:
        UnreachableError: the session is gone.
    """
    policy, now, request = look.policy, look.now, look.request
    observation = assess(policy, look.snapshot, now, request)
    details = details_of(observation.states.values())
    if not details:
        return observation
    snapshot = fetch_details(look.connection, look.snapshot, details)
    return detailed(observation, snapshot, policy, now, request)
