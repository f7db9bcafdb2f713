"""A sensor that holds the last look at bloat against the policy: from the store, never the server.

A threshold that was lowered shows at once, and a look that did not happen is red too.
"""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

from maintenance.bloat import BLOAT
from maintenance.bloat.findings import SETTLED
from maintenance.bloat.looking_back import Kept, newest_look
from maintenance.engine.findings import FindingKind
from maintenance.errors import MaintenanceError
from maintenance.orchestration.health_assets import health_key
from maintenance.policy import Policy
from maintenance.policy.health import BloatPolicy
from maintenance.sessions import on_history

EVERY_S = 600
TOO_OLD = timedelta(hours=50)
"""Two nightly runs and some."""
SHOWN = 20


def bloat_sensor(policy: Policy, section: BloatPolicy) -> dg.SensorDefinition:
    """Make the sensor `<db>_bloat`; it evaluates checks, and only where something has changed."""

    @dg.sensor(
        name=f"{policy.database.name}_bloat",
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        asset_selection=dg.AssetSelection.assets(health_key(policy, BLOAT)),
        description="Holds the last look at bloat against the policy, and tells if it is too old.",
    )
    def judge(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        verdicts = {
            kind.value: text for kind, text in judged(policy, section, datetime.now(UTC)).items()
        }
        cursor = json.dumps(verdicts, sort_keys=True)
        if cursor == context.cursor:
            return dg.SkipReason("nothing has changed")
        events = [_evaluation(policy, kind, text) for kind, text in verdicts.items()]
        return dg.SensorResult(asset_events=events, cursor=cursor)

    return judge


def judged(policy: Policy, section: BloatPolicy, now: datetime) -> dict[FindingKind, str]:
    """Return what stands against each kind; an empty text where nothing does."""
    try:
        with on_history(policy, os.environ) as store:
            if store is None:
                return {FindingKind.MONITOR_BLIND: "there is no store to look into yet"}
            taken_at, kept = newest_look(store, policy.database.name)
    except MaintenanceError as exc:
        return {FindingKind.MONITOR_BLIND: str(exc)}
    if taken_at is None or now - taken_at > TOO_OLD:
        last = f"{taken_at:%Y-%m-%d %H:%M} UTC" if taken_at else "never"
        return {FindingKind.MONITOR_BLIND: f"bloat was last looked at: {last}; run the asset"}
    # What is mere information in a run is no reason to be red here.
    least = max(section.index_fraction, SETTLED)
    indexes = "\n".join(_above(kept, least, is_index=True))
    tables = "\n".join(_above(kept, section.table_fraction, is_index=False))
    return {
        FindingKind.MONITOR_BLIND: "",
        FindingKind.INDEX_BLOAT: indexes,
        FindingKind.TABLE_BLOAT: tables,
    }


def _above(kept: list[Kept], threshold: float, *, is_index: bool) -> Iterator[str]:
    worse = [
        each
        for each in kept
        if (each.kind == "index") is is_index and (each.fraction or 0.0) > threshold
    ]
    for each in worse[:SHOWN]:
        yield f"{each.object}: {each.fraction:.0%} is empty, wanted at most {threshold:.0%}"


def _evaluation(policy: Policy, kind: str, text: str) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=health_key(policy, BLOAT),
        check_name=kind,
        passed=not text,
        severity=dg.AssetCheckSeverity.WARN,
        description=text or "nothing of this kind",
    )
