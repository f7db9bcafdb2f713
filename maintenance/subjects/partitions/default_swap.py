"""Plans the swap: the default partition becomes the partition of its rows; no row is moved."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from maintenance.catalog.models import Table
from maintenance.ddl.children import attach, force_row_security
from maintenance.ddl.guards import same_tree, still_attached
from maintenance.ddl.lock_statements import allowed_time, take
from maintenance.ddl.marks import RELEASED, remove_mark
from maintenance.ddl.trees import (
    Blueprint,
    attach_branches,
    build_tree,
    index_identities,
    rename_tree,
)
from maintenance.engine.actions import Action, ActionKind, Step
from maintenance.names import QualifiedName
from maintenance.partition_set.expected import PeriodRange
from maintenance.subjects.partitions.default_names import (
    exchange_locks,
    interim_name,
    parent_of_default,
    wide_name,
)
from maintenance.subjects.partitions.helper_checks import HelperCheck, drop, within
from maintenance.subjects.partitions.released_names import as_released, release, release_of
from maintenance.subjects.partitions.state import PartitionState
from maintenance.subjects.partitions.template import in_place, like_default, of_slot


def swap(
    state: PartitionState, slots: Sequence[PeriodRange], role: str, after: tuple[str, ...]
) -> Action:
    """Plan the swap of a default partition whose rows all lie within some periods.

    Args:
        state: the table compared with its policy.
        slots: adjacent periods without a partition; the current one is among them or has one.
        role: our role, to know whether the owner must be set.
        after: ids of actions before it: they create the future partitions, so that the CHECK on
            the default partition refuses none of their rows.
    """
    first, last = slots[0], slots[-1]
    default, table = state.table.default, state.table
    assert default is not None, "it has rows"
    child = state.child(first)
    if first != last:
        wide = wide_name(state.table.relation, first, last)
        child = QualifiedName(state.schema, wide.name)
    check = within(_standing(table), state.policy.column, state.codec, first, last)
    checked = () if state.default_is_small else (check.add, check.validate)
    return Action(
        kind=ActionKind.SWAP_DEFAULT,
        object=str(child),
        table=state.name,
        period=first.period.key if first == last else None,
        reason=_reason(state, slots),
        steps=(
            # Released before the CHECK is there, which may refuse a row: it exists more briefly.
            release(table, default),
            *checked,
            _exchange(state, slots, _named(state, first, child), check, role),
        ),
        after=after,
        preconditions={
            "default_oid": default.oid,
            "released": release_of(table, default).as_json,
        },
    )


def _standing(table: Table) -> Table:
    """Return a table with the names that its default partition has once they are released."""
    partitions = (as_released(p) if p.is_default else p for p in table.partitions)
    return replace(table, partitions=tuple(partitions))


def _named(state: PartitionState, slot: PeriodRange, child: QualifiedName) -> Blueprint:
    """Return the tables of the default partition under the names that a sibling would have."""
    default = state.table.default
    assert default is not None, "it has rows"
    calendar = state.codec.calendar
    like = of_slot(state.policy, state.siblings, calendar, child, slot)
    model = like.model.paths()
    names = {b.oid: like.names[model[path].oid] for path, b in default.whole.paths().items()}
    return Blueprint(default.whole, names)


def _exchange(
    state: PartitionState,
    slots: Sequence[PeriodRange],
    child: Blueprint,
    check: HelperCheck,
    role: str,
) -> Step:
    table, codec, default = state.table, state.codec, state.table.default
    assert default is not None, "it has rows"
    interim = like_default(default, interim_name(default.relation))
    lower, upper = slots[0].literals(codec)[0], slots[-1].literals(codec)[1]
    settled, standing = in_place(default), as_released(default)
    locks = exchange_locks(table, standing)
    return Step(
        prepare=(*build_tree(parent_of_default(table), interim, role), *attach_branches(interim)),
        statements=(
            take(locks),
            allowed_time(2 * len(default.names)),
            still_attached(standing.relation, default.oid, table.relation, "DEFAULT"),
            same_tree(standing.relation, default.whole.oids),
            f"ALTER TABLE {table.relation} DETACH PARTITION {standing.relation}",
            remove_mark(standing.relation, RELEASED),
            *rename_tree(in_place(standing), child),
            *rename_tree(interim, settled),
            *_forced(table, child),
            *attach(table, child.root, f"FOR VALUES FROM ({lower}) TO ({upper})"),
            *attach(table, default.relation, "DEFAULT"),
            *index_identities(table, settled),
            *force_row_security(parent_of_default(table), settled.names.values()),
            *(() if state.default_is_small else (drop(child.root, check.name),)),
        ),
        locks=locks,
        owner=table.maker,
    )


def _forced(table: Table, child: Blueprint) -> Iterator[str]:
    """Yield the statements that force row security, which a default partition lacks.

    Also where it has none yet: an action of the same run may enable it before.
    """
    if table.secured and table.properties.force_row_security:
        for branch in child.model.branches:
            yield f"ALTER TABLE {child.names[branch.oid]} FORCE ROW LEVEL SECURITY"


def _reason(state: PartitionState, slots: Sequence[PeriodRange]) -> str:
    holding = state.holding
    assert holding is not None, "it has rows"
    return f"all {holding.n_rows:,} rows of the default partition are {' '.join(_where(slots))}"


def _where(slots: Sequence[PeriodRange]) -> Iterator[str]:
    first, last = slots[0].period, slots[-1].period
    if first == last:
        yield f"in {first}: it becomes that partition"
    else:
        yield f"from {first} to {last}, which have no partition:"
        yield f"it becomes one partition of all {len(slots)} periods"
