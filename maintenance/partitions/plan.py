"""Planning partitions: premake by the clock, gaps filled, nothing below what retention keeps."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from maintenance.catalog.models import Snapshot
from maintenance.ddl.children import create_and_attach
from maintenance.engine.actions import Action, ActionKind
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.plans import Plan, join
from maintenance.engine.requests import Request
from maintenance.names import QualifiedName
from maintenance.partitioning.fitness import unfit
from maintenance.partitioning.window import Slot, refusal
from maintenance.partitions.audit import drift_finding, drifts, repairs
from maintenance.partitions.findings import findings_of
from maintenance.partitions.outlook import Outlook, look
from maintenance.policy import PartitionPolicy, Policy


def plan(policy: Policy, snapshot: Snapshot, now: datetime, request: Request) -> Plan:
    """Plan the partitions of every table of the policy.

    A table that can't be served is a finding of its own and never holds up the others.
    """
    return join(
        Plan(findings=(outlook,))
        if isinstance(outlook, Finding)
        else _plan_table(outlook, snapshot, request)
        for outlook in _outlooks(policy, snapshot, now, request)
    )


def names_wanted(
    policy: Policy, snapshot: Snapshot, now: datetime, request: Request
) -> frozenset[QualifiedName]:
    """Return the names of the partitions that are about to be created."""
    return frozenset(
        outlook.child(slot)
        for outlook in _outlooks(policy, snapshot, now, request)
        if isinstance(outlook, Outlook)
        for slot in outlook.missing
    )


def _outlooks(
    policy: Policy, snapshot: Snapshot, now: datetime, request: Request
) -> Iterator[Outlook | Finding]:
    for section in policy.partitions:
        if request.concerns(section.table):
            yield unfit(section, snapshot) or _look(section, snapshot, now, request.periods)


def _look(
    section: PartitionPolicy, snapshot: Snapshot, now: datetime, asked: Sequence[str]
) -> Outlook | Finding:
    table = snapshot.tables[section.table]
    try:
        return look(section, table, now, asked)
    except ValueError as exc:
        name = str(table.relation)
        kind = FindingKind.PARTITION_KEY_MISMATCH
        return Finding(kind, Severity.ERROR, name, f"{name}: {exc}")


def _plan_table(outlook: Outlook, snapshot: Snapshot, request: Request) -> Plan:
    taken = [slot for slot in outlook.missing if outlook.child(slot) in snapshot.taken]
    free = [slot for slot in outlook.missing if slot not in taken]
    drifted = drifts(outlook.table)
    return Plan(
        actions=(
            *_refused(outlook, request.periods),
            *(_create(outlook, slot, snapshot.server.role) for slot in free),
            *(() if request.periods else repairs(outlook.table, drifted)),
        ),
        findings=(*findings_of(outlook, taken), *drift_finding(outlook.table, drifted)),
    )


def _create(outlook: Outlook, slot: Slot, role: str) -> Action:
    child = outlook.child(slot)
    lower, upper = (outlook.codec.literal(bound) for bound in (slot.lower, slot.upper))
    return Action(
        kind=ActionKind.CREATE_PARTITION,
        object=str(child),
        table=outlook.name,
        period=slot.period.key,
        reason=_reason(outlook, slot),
        steps=(create_and_attach(outlook.table, child, lower, upper, role=role),),
    )


def _refused(outlook: Outlook, keys: Sequence[str]) -> Iterator[Action]:
    for key in keys:
        reason = refusal(outlook.policy, key, outlook.now)
        if reason is not None:
            yield Action(
                kind=ActionKind.CREATE_PARTITION,
                object=outlook.name,
                table=outlook.name,
                period=key,
                reason="asked for by hand",
                steps=(),
                refused=reason,
            )


def _reason(outlook: Outlook, slot: Slot) -> str:
    if slot.period > outlook.current:
        premake = outlook.policy.premake
        return f"horizon: {outlook.ahead} of {premake} ahead exist, wanted {outlook.horizon}"
    if slot.period == outlook.current:
        return f"now: the current period {slot.period} has no partition"
    return f"gap: no partition holds {slot.period}"
