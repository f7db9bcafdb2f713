"""Plan for the workload: findings only, no actions."""

from datetime import datetime

from maintenance.engine.plan import Plan
from maintenance.policy import Policy
from maintenance.subjects.workload.blind_spots import blind_spot_findings
from maintenance.subjects.workload.models import WorkloadSnapshot
from maintenance.subjects.workload.replica_findings import standby_findings
from maintenance.subjects.workload.server_findings import server_findings
from maintenance.subjects.workload.statement_findings import query_findings
from maintenance.subjects.workload.vacuum_holders import holder_findings


def plan(policy: Policy, load: WorkloadSnapshot, now: datetime) -> Plan:
    """Report values beyond the policy's limits."""
    section = policy.workload
    if section is None:
        return Plan()
    name = policy.database.name
    return Plan(
        findings=(
            *server_findings(name, section, load, now),
            *holder_findings(name, load),
            *query_findings(name, section, load),
            *blind_spot_findings(name, load),
            *standby_findings(policy, section, load, now),
        )
    )
