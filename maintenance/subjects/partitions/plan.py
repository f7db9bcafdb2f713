"""Planning partitions: premake by the clock, gaps filled, nothing below what retention keeps."""

from collections.abc import Container, Iterable, Iterator, Sequence

from maintenance.catalog.history import History
from maintenance.catalog.models import Snapshot
from maintenance.engine.actions import Action, ActionKind
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.plan import Plan, join
from maintenance.engine.scope import Request
from maintenance.names import QualifiedName, quote
from maintenance.partition_set.expected import Slot, refusal
from maintenance.subjects.partitions.assess import (
    PartitionsObservation,
    interim_names,
    lacks_default,
)
from maintenance.subjects.partitions.create_actions import fill
from maintenance.subjects.partitions.default_findings import (
    TOLD_ALONG,
    default_finding,
    unseen_finding,
)
from maintenance.subjects.partitions.default_names import create_default, default_name
from maintenance.subjects.partitions.default_remedy import Drain, Remedy, Stuck, Swap, remedy_of
from maintenance.subjects.partitions.drift import additions, drift_finding, drifts, repairs
from maintenance.subjects.partitions.findings import TakenName, findings_of
from maintenance.subjects.partitions.leftovers import leftovers, stranded
from maintenance.subjects.partitions.state import Outlook


def plan(seen: PartitionsObservation, request: Request) -> Plan:
    """Plan the partitions of every table that was assessed.

    A table that can't be served is a finding of its own and never holds up the others.
    """
    return join(
        Plan(findings=(state,))
        if isinstance(state, Finding)
        else _plan_table(state, seen.snapshot, request)
        for state in seen.states.values()
    )


def _plan_table(outlook: Outlook, snapshot: Snapshot, request: Request) -> Plan:
    role, taken = snapshot.server.role, snapshot.taken
    named = [slot for slot in outlook.missing if any(n in taken for n in outlook.names(slot))]
    free = [slot for slot in outlook.missing if slot not in named]
    if (
        outlook.siblings.unbuildable is not None
        or outlook.is_shut_out
        or outlook.default_may_hide_rows
    ):
        free = []
    remedy = _remedy(outlook, taken, request)
    drifted = drifts(outlook.table, outlook.sharing)
    return Plan(
        actions=(
            *_refused(outlook, request.periods),
            *leftovers(outlook, snapshot),
            *(() if request.periods else repairs(outlook.table, drifted)),
            *(() if request.periods else additions(outlook.table, outlook.sharing)),
            *fill(outlook, free, remedy, role),
            *(() if request.periods else _default(outlook, taken, role)),
        ),
        findings=(
            *_shut_out(outlook, role),
            *_standing(outlook, _names_taken(outlook, named, taken), snapshot.history),
            *default_finding(outlook, remedy, snapshot.history),
            *unseen_finding(outlook, role),
            *drift_finding(outlook.table, drifted, outlook.siblings, outlook.sharing),
            *stranded(outlook, snapshot),
        ),
    )


def _standing(
    outlook: Outlook, names_taken: Iterable[TakenName], history: History
) -> Iterator[Finding]:
    """Yield what stands; what follows from a default that can't be read is told along with it."""
    for finding in findings_of(outlook, names_taken, history):
        if not (outlook.default_may_hide_rows and finding.kind in TOLD_ALONG):
            yield finding


def _shut_out(outlook: Outlook, role: str) -> Iterator[Finding]:
    """Yield why no partition can be made in the schema of partitions, if so."""
    if not outlook.is_shut_out:
        return
    assert outlook.rights is not None, "they were asked for"
    name, schema = outlook.name, quote(outlook.schema)
    owner = quote(outlook.table.properties.owner)
    fix = f"GRANT USAGE, CREATE ON SCHEMA {schema} TO {quote(role)}, {owner}"
    statement = fix
    if not outlook.rights.exists:
        statement = f"CREATE SCHEMA {schema} AUTHORIZATION {owner}"
        fix = f"it does not exist: {statement}, or correct schema"
    yield Finding(
        FindingKind.PRIVILEGE_MISSING,
        Severity.ERROR,
        name,
        f"{name}: no partition can be created in schema {schema}, where its partitions live: {fix}",
        data={"schema": outlook.schema, "statements": [statement]},
    )


def _remedy(outlook: Outlook, taken: Container[QualifiedName], request: Request) -> Remedy:
    """Choose what is done about a filled default partition, if anybody asked for its periods."""
    default = outlook.table.default
    if default is None or outlook.holding is None or outlook.is_shut_out:
        return None
    named = [s for s in outlook.uncovered if any(n in taken for n in outlook.names(s))]
    remedy = remedy_of(outlook, named)
    if not isinstance(remedy, Swap | Drain):
        return remedy
    for name in interim_names(default):
        if name in taken:
            return Stuck("name_taken", f"the name {name} is taken", (name,))
    asked = not request.periods or set(outlook.missing).intersection(remedy.slots)
    return remedy if asked else None


def _default(outlook: Outlook, taken: Container[QualifiedName], role: str) -> Iterator[Action]:
    """Yield the default partition last: until then no creation has to lock one."""
    if lacks_default(outlook) and default_name(outlook.table.relation) not in taken:
        yield create_default(outlook.table, role)


def _names_taken(
    outlook: Outlook, slots: Iterable[Slot], taken: Container[QualifiedName]
) -> Iterator[TakenName]:
    for slot in slots:
        for name in outlook.names(slot):
            if name in taken:
                yield TakenName(name, slot.period.key)
    default = default_name(outlook.table.relation)
    if lacks_default(outlook) and default in taken:
        yield TakenName(default, "default")


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
