"""Workload: statements, connections, transactions, replication and disk growth."""

from dataclasses import replace
from datetime import datetime

from maintenance.engine.observe_context import ObserveContext
from maintenance.engine.plan import Plan
from maintenance.engine.scope import Request
from maintenance.engine.subject import Subject
from maintenance.policy import Policy
from maintenance.subjects.workload.blind_spots import blind_spot_findings
from maintenance.subjects.workload.facts import workload_facts
from maintenance.subjects.workload.history import record, with_history
from maintenance.subjects.workload.models import WorkloadSnapshot
from maintenance.subjects.workload.observe import observe, observe_standbys
from maintenance.subjects.workload.replica_findings import standby_findings
from maintenance.subjects.workload.server_findings import server_findings
from maintenance.subjects.workload.statement_findings import query_findings
from maintenance.subjects.workload.targets import targets_of
from maintenance.subjects.workload.vacuum_holders import holder_findings


class Workload(Subject[WorkloadSnapshot]):
    """The subject `workload`."""

    name = "workload"

    def is_enabled(self, policy: Policy) -> bool:
        """Whether the policy does not switch it off."""
        return policy.workload is not None

    def observe(self, context: ObserveContext) -> WorkloadSnapshot:
        """Observe the servers, and read their history from the store."""
        section = context.policy.workload
        assert section is not None, "only called if it is on"
        policy, primary = context.policy, context.connection
        load = replace(
            observe(primary, section, context.now, policy.observe.time_cap),
            standbys=observe_standbys(primary, context.target, section, context.now),
        )
        if context.store is None:
            return load
        return with_history(context.store, policy.database.name, context.now, load)

    def record(self, context: ObserveContext, seen: WorkloadSnapshot) -> None:
        """Record counters, statements and sizes for later differences."""
        assert context.store is not None, "only runs with a store record"
        record(context.store, context.policy.database.name, context.now, seen)

    def plan(self, policy: Policy, seen: WorkloadSnapshot, now: datetime, request: Request) -> Plan:
        """Report values beyond the policy's limits; nothing if one table was requested."""
        section = policy.workload
        if section is None or request.table is not None:
            return Plan()
        name = policy.database.name
        return Plan(
            facts=workload_facts(seen),
            findings=(
                *server_findings(name, section, seen, now),
                *holder_findings(name, seen),
                *query_findings(name, section, seen, targets_of(policy)),
                *blind_spot_findings(name, seen),
                *standby_findings(policy, section, seen, now),
            ),
        )


WORKLOAD = Workload()
