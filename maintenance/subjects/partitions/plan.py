"""Plans partitions: premake ahead of now and fill gaps, but not below the retention limit."""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import replace

from maintenance.catalog.history import History
from maintenance.catalog.models import Snapshot
from maintenance.engine.actions import Action, ActionKind
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.plan import Plan, join
from maintenance.engine.scope import Request
from maintenance.names import QualifiedName, quote
from maintenance.partition_set.expected import PeriodRange, refusal
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
from maintenance.subjects.partitions.default_remedy import Blocked, Drain, Remedy, Swap, remedy_of
from maintenance.subjects.partitions.drift import additions, drift_finding, drifts, repairs
from maintenance.subjects.partitions.findings import TakenName, findings_of
from maintenance.subjects.partitions.leftovers import (
    kept_splits,
    left_checks,
    left_drains,
    left_names,
    stranded,
)
from maintenance.subjects.partitions.split import spans_finding, split_of
from maintenance.subjects.partitions.state import PartitionState


def plan(seen: PartitionsObservation, request: Request) -> Plan:
    """Plan the partitions of every assessed table.

    A table that fails validation is reported and never blocks the others.
    """
    return join(
        Plan(findings=(state,))
        if isinstance(state, Finding)
        else _plan_table(state, seen.snapshot, request)
        for state in seen.states.values()
    )


def _plan_table(state: PartitionState, snapshot: Snapshot, request: Request) -> Plan:
    role, taken = snapshot.server.role, snapshot.taken
    named = [slot for slot in state.missing if any(n in taken for n in state.names(slot))]
    free = [slot for slot in state.missing if slot not in named]
    if state.siblings.unbuildable is not None or state.is_shut_out or state.default_may_hide_rows:
        free = []
    renamed = tuple(left_names(state, snapshot))
    remedy = _renamed(renamed) if renamed else _remedy(state, taken, request)
    drifted = drifts(state.table, state.sharing)
    idle = not (request.periods or renamed or isinstance(remedy, Swap | Drain))
    split = split_of(state, snapshot) if idle else None
    begun = kept_splits(state, snapshot)
    continued = split.preconditions["oid"] if split is not None else None
    checks = tuple(left_checks(state, snapshot))
    return Plan(
        actions=(
            *_refused(state, request.periods),
            *checks,
            *left_drains(state, snapshot, continued if continued in begun else None),
            *(() if request.periods else repairs(state.table, drifted)),
            *(() if request.periods else additions(state.table, state.sharing)),
            *_behind(checks, fill(state, free, remedy, role)),
            *(() if request.periods else _default(state, taken, role)),
            *(() if split is None else (split,)),
            *renamed,
        ),
        findings=(
            *_shut_out(state, role),
            *_standing(state, _names_taken(state, named, taken), snapshot.history),
            *default_finding(state, remedy, snapshot.history),
            *unseen_finding(state, role),
            *spans_finding(state, snapshot),
            *drift_finding(state.table, drifted, state.siblings, state.sharing),
            *stranded(state, snapshot),
        ),
    )


def _standing(
    state: PartitionState, names_taken: Iterable[TakenName], history: History
) -> Iterator[Finding]:
    """Yield the findings, without those that the finding about an unreadable default covers."""
    for finding in findings_of(state, names_taken, history):
        if not (state.default_may_hide_rows and finding.kind in TOLD_ALONG):
            yield finding


def _shut_out(state: PartitionState, role: str) -> Iterator[Finding]:
    """Yield a finding if partitions can't be created in their schema."""
    if not state.is_shut_out:
        return
    assert state.rights is not None, "they were asked for"
    name, schema = state.name, quote(state.schema)
    owner = quote(state.table.properties.owner)
    statement = f"GRANT USAGE, CREATE ON SCHEMA {schema} TO {quote(role)}, {owner}"
    fix = f"privileges are missing. Run {statement}"
    if not state.rights.exists:
        statement = f"CREATE SCHEMA {schema} AUTHORIZATION {owner}"
        fix = f"it does not exist. Run {statement}, or correct schema in the policy"
    yield Finding(
        FindingKind.PRIVILEGE_MISSING,
        Severity.ERROR,
        name,
        f"{name}: no partition can be created in schema {schema} of its partitions: {fix}",
        data={"schema": state.schema, "statements": [statement]},
    )


def _remedy(state: PartitionState, taken: Container[QualifiedName], request: Request) -> Remedy:
    """Choose the remedy for rows in the default partition, if their periods are requested."""
    default = state.table.default
    if default is None or state.holding is None or state.is_shut_out:
        return None
    named = [s for s in state.uncovered if any(n in taken for n in state.names(s))]
    remedy = remedy_of(state, named)
    if not isinstance(remedy, Swap | Drain):
        return remedy
    for name in interim_names(default):
        if name in taken:
            return Blocked("name_taken", f"the name {name} is taken", (name,))
    asked = not request.periods or set(state.missing).intersection(remedy.slots)
    return remedy if asked else None


def _renamed(actions: Sequence[Action]) -> Blocked:
    """Return why no rows are moved while partitions do not have their names."""
    names = ", ".join(action.object for action in actions)
    why = f"an interrupted run has renamed {names}. The next run gives the name back, if no other"
    return Blocked("renamed", f"{why} table has it by now; the run after it moves the rows")


def _behind(removals: Sequence[Action], made: Iterable[Action]) -> Iterator[Action]:
    """Order what adds a CHECK to the default partition after the removal of one that was left."""
    before = tuple(action.id for action in removals)
    for action in made:
        adds = "default_oid" in action.preconditions
        yield replace(action, after=(*before, *action.after)) if adds else action


def _default(state: PartitionState, taken: Container[QualifiedName], role: str) -> Iterator[Action]:
    """Yield the creation of the default partition, last, so that no other has to lock it."""
    if lacks_default(state) and default_name(state.table.relation) not in taken:
        yield create_default(state.table, role)


def _names_taken(
    state: PartitionState, slots: Iterable[PeriodRange], taken: Container[QualifiedName]
) -> Iterator[TakenName]:
    for slot in slots:
        for name in state.names(slot):
            if name in taken:
                yield TakenName(name, slot.period.key)
    default = default_name(state.table.relation)
    if lacks_default(state) and default in taken:
        yield TakenName(default, "default")


def _refused(state: PartitionState, keys: Sequence[str]) -> Iterator[Action]:
    for key in dict.fromkeys(keys):
        reason = refusal(state.policy, key, state.now)
        if reason is not None:
            yield Action(
                kind=ActionKind.CREATE_PARTITION,
                object=state.name,
                table=state.name,
                period=key,
                reason="requested by hand",
                steps=(),
                refused=reason,
            )
