"""Plan for the limits: findings only, no actions."""

from collections.abc import Iterator
from datetime import datetime

from maintenance.engine.findings import Finding
from maintenance.engine.plan import Plan
from maintenance.policy import Policy
from maintenance.policy.thresholds import WorkloadPolicy
from maintenance.subjects.capacity.age_findings import age_findings
from maintenance.subjects.capacity.blind_spots import blind_spot_findings
from maintenance.subjects.capacity.findings import cliff_findings
from maintenance.subjects.capacity.models import CapacityObservation
from maintenance.subjects.capacity.pool_findings import pool_findings
from maintenance.subjects.capacity.setting_findings import setting_findings
from maintenance.subjects.capacity.upkeep_findings import upkeep_findings


def plan(policy: Policy, seen: CapacityObservation, now: datetime) -> Plan:
    """Report the limits that are near, and what was left behind."""
    section = policy.capacity
    if section is None:
        return Plan()
    name = policy.database.name
    workload = policy.workload or WorkloadPolicy()
    return Plan(
        findings=(
            *cliff_findings(name, section, workload, seen, now),
            *age_findings(name, section, workload, seen, now),
            *upkeep_findings(name, seen, now),
            *(pool_findings(name, section, seen.limits) if seen.limits is not None else ()),
            *_settings(policy, seen),
            *blind_spot_findings(name, seen),
        )
    )


def _settings(policy: Policy, seen: CapacityObservation) -> Iterator[Finding]:
    if seen.settings is not None:
        yield from setting_findings(policy.database.name, policy.settings, seen.settings, seen.role)
