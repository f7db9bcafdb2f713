"""Sensors that make alerts of what runs have found, and deliver them."""

from collections.abc import Sequence

import dagster as dg

from maintenance.errors import MaintenanceError
from maintenance.notify import tell
from maintenance.policy import Policy

ROUND_S = 30
"""Seconds between two rounds."""


def alert_on_findings(policies: Sequence[Policy]) -> dg.SensorDefinition:
    """Make the sensor that judges the findings of all ended runs, and delivers what waits.

    What was judged and what was told is in the store, so nothing is lost with a cursor, and two
    daemons tell nothing twice.
    """

    @dg.sensor(
        name="alert_on_findings",
        minimum_interval_seconds=ROUND_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            "Each round: findings of ended runs become alerts, which are raised, repeated and"
            " resolved at the sinks of their policy. A sink that is down delays, and never loses."
        ),
    )
    def alert_on_findings(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        told = [_round(context, policy) for policy in policies]
        return dg.SkipReason("; ".join(told))

    return alert_on_findings


def _round(context: dg.SensorEvaluationContext, policy: Policy) -> str:
    """One round of one database; what breaks it leaves the others alone."""
    try:
        report = tell(policy, [], patient=True)
    except MaintenanceError as exc:
        context.log.warning("alerts of %s: %s", policy.database.name, exc)
        return f"{policy.database.name}: {exc}"
    for each in report.delivered:
        if each.error is not None:
            context.log.warning("%s: %s", each.sink, each.error)
    n_told = sum(each.n_told for each in report.delivered)
    return f"{policy.database.name}: {len(report.alerts)} alerts stand, {n_told} told"
