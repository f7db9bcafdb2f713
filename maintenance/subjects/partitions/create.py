"""Plans the creation of the partition of one period, also with rows in a default partition."""

from collections.abc import Iterator
from dataclasses import replace

from maintenance.catalog.models import OwnObject, Partition
from maintenance.ddl.children import create_and_attach
from maintenance.ddl.lock_statements import take
from maintenance.ddl.objects import Additions, attempt, statements
from maintenance.ddl.trees import Blueprint, create_tree_and_attach
from maintenance.engine.actions import Action, ActionKind, Lock, LockMode, Step
from maintenance.partition_set.expected import PeriodRange
from maintenance.server.statements import Ours
from maintenance.subjects.partitions.helper_checks import drop, excluding
from maintenance.subjects.partitions.state import PartitionState


def create(
    state: PartitionState, slot: PeriodRange, role: str, *, after: tuple[str, ...] = ()
) -> Action:
    """Plan the partition of a period without rows in the default partition."""
    return _action(state, slot, (_attach(state, slot, role),), after)


def create_beside(
    state: PartitionState, slot: PeriodRange, role: str, *, after: tuple[str, ...] = ()
) -> Action:
    """Plan the same if ATTACH would scan the rows of a large default partition.

    A helper CHECK avoids the scan. It refuses rows of the period until the partition exists, so
    this is for future or past periods without rows in the default partition.
    """
    default = state.table.default
    assert default is not None, "it has rows"
    check = excluding(state.table, state.policy.column, state.codec, slot, slot)
    last = _attach(state, slot, role)
    statements = (*last.statements, drop(default.relation, check.name))
    last = replace(last, statements=statements)
    return _action(state, slot, (check.add, check.validate, last), after)


def _attach(state: PartitionState, slot: PeriodRange, role: str) -> Step:
    lower, upper = slot.literals(state.codec)
    blueprint, default = state.blueprint(slot), state.table.default
    parent, added = state.parent, _additions(state, blueprint)
    if not blueprint.is_single:
        step = create_tree_and_attach(parent, blueprint, lower, upper, role=role, additions=added)
    else:
        child = state.child(slot)
        step = create_and_attach(parent, child, lower, upper, role=role, additions=added)
    first, *others = step.locks
    if not others:
        return step
    statements = (take(others), *step.statements) if blueprint.is_single else step.statements
    return replace(step, statements=statements, locks=(first, *_patient(default), *others))


def _additions(state: PartitionState, blueprint: Blueprint) -> Additions:
    """Return the objects that siblings share and the parent does not give them."""
    paths, owner = blueprint.model.paths(), state.table.properties.owner
    shared = [
        (each.object, _given(each.object, statements(each.object, each.source, table, owner)))
        for each in state.sharing.for_new
        if each.path in paths and each.object.kind != "schema"
        for table in (blueprint.names[paths[each.path].oid],)
    ]
    keys = [(own, statement) for own, statement in shared if own.referenced is not None]
    return Additions(
        prepare=tuple(statement for own, statement in shared if own.referenced is None),
        locked=tuple(statement for _, statement in keys),
        referenced=tuple(own.referenced for own, _ in keys if own.referenced is not None),
    )


def _given(own: OwnObject, wanted: tuple[str, ...]) -> str:
    """Return the statement that adds one object to a new partition, if possible."""
    statement = attempt(wanted)
    # a publication has an owner of its own, and its filter calls the server's functions alone
    return Ours(statement) if own.kind == "publication" else statement


def _patient(default: Partition | None) -> Iterator[Lock]:
    """Yield a weak lock: autovacuum gives way only to a request that outlasts a lock timeout."""
    if default is not None:
        yield Lock(str(default.relation), LockMode.SHARE_UPDATE_EXCLUSIVE)


def _action(
    state: PartitionState, slot: PeriodRange, steps: tuple[Step, ...], after: tuple[str, ...]
) -> Action:
    default = state.table.default
    return Action(
        kind=ActionKind.CREATE_PARTITION,
        object=str(state.child(slot)),
        table=state.name,
        period=slot.period.key,
        reason=_reason(state, slot),
        steps=steps,
        after=after,
        preconditions={"default_oid": default.oid} if default and len(steps) > 1 else {},
    )


def _reason(state: PartitionState, slot: PeriodRange) -> str:
    if slot.is_bridge:
        lower, upper = slot.literals(state.codec)
        return f"bridge: no partition holds {lower} to {upper}, a part of {slot.period}"
    if slot.period > state.current:
        premake = state.policy.premake
        return f"premake: {state.ahead} of {premake} exist ahead; required up to {state.horizon}"
    if slot.period == state.current:
        return f"current period: {slot.period} has no partition"
    return f"gap: no partition holds {slot.period}"
