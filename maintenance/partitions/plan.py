"""Planning partitions: premake by the clock, gaps filled, nothing below what retention keeps."""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from maintenance.catalog.history import History
from maintenance.catalog.models import Common, Partition, Question, Snapshot
from maintenance.engine.actions import Action, ActionKind
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.plans import Plan, join
from maintenance.engine.requests import Request
from maintenance.names import QualifiedName, quote
from maintenance.partitioning.fitness import unfit
from maintenance.partitioning.window import Slot, refusal
from maintenance.partitions.audit import additions, drift_finding, drifts, repairs
from maintenance.partitions.blueprints import like_default
from maintenance.partitions.default import create_default, default_name, interim_name
from maintenance.partitions.default_findings import default_finding
from maintenance.partitions.filling import fill
from maintenance.partitions.findings import TakenName, findings_of
from maintenance.partitions.holding import buckets_of
from maintenance.partitions.leftovers import leftovers
from maintenance.partitions.outlook import Outlook, look
from maintenance.partitions.remedy import Drain, Remedy, Stuck, Swap, remedy_of
from maintenance.partitions.sharing import asked_about
from maintenance.partitions.stranded import stranded
from maintenance.partitions.unseen import TOLD_ALONG, unseen_finding
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


def questions(
    policy: Policy, snapshot: Snapshot, now: datetime, request: Request
) -> frozenset[Question]:
    """Return what is to be looked up: names, rows of defaults, what siblings have in common."""
    return frozenset(
        question
        for outlook in _outlooks(policy, snapshot, now, request)
        if isinstance(outlook, Outlook)
        for question in _questions(outlook)
    )


def _questions(outlook: Outlook) -> Iterator[Question]:
    table = outlook.table
    yield from (name for slot in outlook.missing for name in outlook.names(slot))
    if _lacks_default(outlook):
        yield default_name(table.relation)
    is_filled = table.default is not None and table.default_has_rows
    if table.default is not None and is_filled:
        yield from (name for slot in outlook.uncovered for name in outlook.names(slot))
        yield from _interim_names(table.default)
        yield buckets_of(table, outlook.codec, outlook.window)
    if outlook.missing or is_filled or _lacks_default(outlook):
        yield Common(table.relation)
    if outlook.missing and outlook.place is not None:
        yield outlook.place
    own = asked_about(table, outlook.coverage.spans, outlook.now)
    if own is not None:
        yield own


def _outlooks(
    policy: Policy, snapshot: Snapshot, now: datetime, request: Request
) -> Iterator[Outlook | Finding]:
    for section in policy.partitions:
        if request.concerns(section.table):
            yield unfit(section, snapshot, now) or _look(section, snapshot, now, request.periods)


def _look(
    section: PartitionPolicy, snapshot: Snapshot, now: datetime, asked: Sequence[str]
) -> Outlook | Finding:
    table = snapshot.tables[section.table]
    try:
        outlook = look(section, table, now, asked)
    except ValueError as exc:
        name = str(table.relation)
        kind = FindingKind.PARTITION_KEY_MISMATCH
        return Finding(kind, Severity.ERROR, name, f"{name}: {exc}")
    place = outlook.place
    return replace(outlook, rights=snapshot.places.get(place)) if place is not None else outlook


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
    for name in _interim_names(default):
        if name in taken:
            return Stuck("name_taken", f"the name {name} is taken", (name,))
    asked = not request.periods or set(outlook.missing).intersection(remedy.slots)
    return remedy if asked else None


def _interim_names(default: Partition) -> Iterable[QualifiedName]:
    return like_default(default, interim_name(default.relation)).names.values()


def _default(outlook: Outlook, taken: Container[QualifiedName], role: str) -> Iterator[Action]:
    """Yield the default partition last: until then no creation has to lock one."""
    if _lacks_default(outlook) and default_name(outlook.table.relation) not in taken:
        yield create_default(outlook.table, role)


def _lacks_default(outlook: Outlook) -> bool:
    return outlook.policy.default == "ensure" and outlook.table.default is None


def _names_taken(
    outlook: Outlook, slots: Iterable[Slot], taken: Container[QualifiedName]
) -> Iterator[TakenName]:
    for slot in slots:
        for name in outlook.names(slot):
            if name in taken:
                yield TakenName(name, slot.period.key)
    default = default_name(outlook.table.relation)
    if _lacks_default(outlook) and default in taken:
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
