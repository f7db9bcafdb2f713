"""Observes partitioned tables: their states, and details of those that lack something."""

from collections.abc import Mapping

from maintenance.catalog.observe import fetch_details
from maintenance.engine.findings import Finding, FindingKind
from maintenance.engine.observe_context import ObserveContext
from maintenance.subjects.partitions.assess import (
    PartitionsObservation,
    assess,
    detailed,
    details_of,
)


def observe(context: ObserveContext) -> PartitionsObservation:
    """Assess the tables of the common snapshot, and read further details where needed.

    Raises:
        UnreachableError: the connection is lost.
    """
    policy, now, request = context.policy, context.now, context.request
    observation = assess(policy, context.snapshot, now, request, _of_conversion(context))
    details = details_of(observation.states.values())
    if not details:
        return observation
    snapshot = fetch_details(context.connection, context.snapshot, details)
    return detailed(observation, snapshot, policy, now, request)


def _of_conversion(context: ObserveContext) -> Mapping[str, Finding]:
    """Return by table what its conversion says, which is the only finding on it then."""
    kind = FindingKind.NOT_PARTITIONED
    return {each.object: each for each in context.findings if each.kind is kind}
