"""Sensor that evaluates the newest bloat observation from the store, without a database query.

A changed threshold takes effect at once, and a missing observation fails the check.
"""

import json
from datetime import UTC, datetime
from functools import partial

import dagster as dg

from maintenance.alerts.models import FindingSet
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.target import Target
from maintenance.errors import MaintenanceError
from maintenance.monitoring.outdated import BLOAT_AGE, overlooked_bloat
from maintenance.orchestration.health_assets import health_key
from maintenance.orchestration.naming import name_of
from maintenance.pipeline.notify import run_round
from maintenance.policy import Policy
from maintenance.policy.thresholds import BloatPolicy
from maintenance.server.session import Connection
from maintenance.subjects.bloat import BLOAT
from maintenance.subjects.bloat.history import newest_look
from maintenance.subjects.bloat.recheck import too_empty

EVERY_S = 600
SHOWN = 20


def bloat_sensor(policy: Policy, section: BloatPolicy) -> dg.SensorDefinition:
    """Build the sensor `<db>_bloat`, which evaluates checks when the observation or policy changed.

    Every open finding is evaluated each time; the alert state decides which of them are new.
    """

    @dg.sensor(
        name=name_of(policy, "bloat"),
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        asset_selection=dg.AssetSelection.assets(health_key(policy, BLOAT)),
        description="Evaluates the newest bloat observation against the policy and alerts on it.",
    )
    def evaluate(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        now = datetime.now(UTC)
        verdicts = {kind.value: text for kind, text in assess_bloat(policy, section, now).items()}
        _alert(context, policy, section, now)
        cursor = json.dumps(verdicts, sort_keys=True)
        if not verdicts:
            return dg.SkipReason("not observed yet; the nightly run does it first")
        if cursor == context.cursor:
            return dg.SkipReason("no new observation and no policy change")
        events = [_evaluation(policy, kind, text) for kind, text in verdicts.items()]
        return dg.SensorResult(asset_events=events, cursor=cursor)

    return evaluate


def assess_bloat(policy: Policy, section: BloatPolicy, now: datetime) -> dict[FindingKind, str]:
    """Return the open findings of each kind as text, empty if there are none.

    Before the first observation nothing is known, and nothing is returned. That it is missing
    although it was due is told of the nightly job.
    """
    try:
        with Target(policy).optional_store() as store:
            if store is None:
                return {}
            taken_at, kept = newest_look(store, policy.database.name)
    except MaintenanceError as exc:
        return {FindingKind.MONITOR_BLIND: str(exc)}
    if taken_at is None:
        return {}
    if now - taken_at > BLOAT_AGE:
        last = f"{taken_at:%Y-%m-%d %H:%M} UTC"
        return {FindingKind.MONITOR_BLIND: f"last bloat observation: {last}; run the asset bloat"}
    # Findings of severity info do not fail a check of a run, so they do not here.
    red = [each for each in too_empty(kept, section) if each.severity is not Severity.INFO]
    return {
        FindingKind.MONITOR_BLIND: "",
        FindingKind.INDEX_BLOAT: _listed(red, FindingKind.INDEX_BLOAT),
        FindingKind.TABLE_BLOAT: _listed(red, FindingKind.TABLE_BLOAT),
    }


def _listed(findings: list[Finding], kind: FindingKind) -> str:
    return "\n".join([each.message for each in findings if each.kind is kind][:SHOWN])


def _alert(
    context: dg.SensorEvaluationContext, policy: Policy, section: BloatPolicy, now: datetime
) -> None:
    looks = (partial(overlooked_bloat, policy, now), partial(_finding_set, policy, section, now))
    try:
        given = [(now, look) for look in looks]
        report = run_round(policy, [], from_store=given, patient=True, ping=False)
        for notice in report.notices:
            context.log.warning(notice)
    except MaintenanceError as exc:
        context.log.warning("alerts of %s not processed: %s", policy.database.name, exc)


def _finding_set(
    policy: Policy, section: BloatPolicy, now: datetime, store: Connection
) -> FindingSet:
    """Evaluate the newest observation as a run does; without effect if it is too old."""
    name = policy.database.name
    taken_at, kept = newest_look(store, name)
    if taken_at is None or now - taken_at > BLOAT_AGE:
        return FindingSet(name, [], frozenset())
    kinds = frozenset({FindingKind.INDEX_BLOAT, FindingKind.TABLE_BLOAT})
    return FindingSet(name, list(too_empty(kept, section)), kinds)


def _evaluation(policy: Policy, kind: str, text: str) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=health_key(policy, BLOAT),
        check_name=kind,
        passed=not text,
        severity=dg.AssetCheckSeverity.WARN,
        description=text or "no findings",
    )
