"""Indexes: which are missing, superfluous, unused or unfit, by evidence from every server."""

from datetime import datetime

from maintenance.engine.findings import FindingKind
from maintenance.engine.observe_context import Look
from maintenance.engine.plan import Plan
from maintenance.engine.scope import Request
from maintenance.engine.subject import Subject
from maintenance.policy import Policy
from maintenance.policy.thresholds import IndexesPolicy
from maintenance.subjects.indexes.advice import judge
from maintenance.subjects.indexes.findings import findings
from maintenance.subjects.indexes.history import recall, remember
from maintenance.subjects.indexes.observation import Seen
from maintenance.subjects.indexes.observe import read_catalog, read_definitions
from maintenance.subjects.indexes.servers import witnesses


class Indexes(Subject[Seen]):
    """The subject `indexes`."""

    name = "indexes"
    finding_kinds = frozenset(
        {
            FindingKind.INDEX_INVALID,
            FindingKind.INDEX_DUPLICATE,
            FindingKind.INDEX_REDUNDANT,
            FindingKind.INDEX_UNUSED,
            FindingKind.INDEX_EVIDENCE_INSUFFICIENT,
            FindingKind.INDEX_LOW_CARDINALITY,
            FindingKind.INDEX_PREDICATE_IN_KEY,
            FindingKind.INDEX_WIDE_KEY,
            FindingKind.FK_UNINDEXED,
            FindingKind.REPLICA_UNREACHABLE,
            FindingKind.PRIVILEGE_MISSING,
            FindingKind.MONITOR_BLIND,
            FindingKind.LOCK_NOT_ACQUIRED,
            FindingKind.CLOCK_SKEW,
        }
    )

    def concerns(self, policy: Policy) -> bool:
        """Whether the policy has a section `indexes`."""
        return policy.indexes is not None

    def observe(self, look: Look) -> Seen:
        """Read all indexes, and what every server tells of their use."""
        limits = _limits(look.policy)
        time_cap = look.policy.observe.time_cap
        catalog = read_catalog(
            look.connection, time_cap=time_cap, min_rows=limits.low_cardinality.min_rows
        )
        heard = witnesses(look.connection, look.policy, look.environ)
        if look.store is not None:
            since = look.now - limits.unused.window
            heard = recall(look.store, look.policy.database.name, heard, since)
        judgement = judge(catalog, heard, limits, look.now)
        oids = [verdict.tree.root.oid for verdict in judgement.verdicts]
        definitions = read_definitions(look.connection, oids, time_cap)
        return Seen(catalog, heard, judgement, look.snapshot.server.role, definitions)

    def record(self, look: Look, seen: Seen) -> None:
        """Remember how often each index has been used so far."""
        assert look.store is not None, "only runs with a store record"
        remember(look.store, look.policy.database.name, seen.witnesses, look.now)

    def plan(self, policy: Policy, seen: Seen, now: datetime, request: Request) -> Plan:
        """Give advice, on one table if only that is asked for; nothing is changed."""
        advice = findings(policy, _limits(policy), seen, now)
        table = str(request.table) if request.table is not None else None
        return Plan(findings=tuple(f for f in advice if table in {None, f.data.get("table")}))


def _limits(policy: Policy) -> IndexesPolicy:
    assert policy.indexes is not None, "a subject is asked only about what concerns it"
    return policy.indexes


INDEXES = Indexes()
