"""The default partition itself becomes the partition that its rows belong to; no row moves."""

from collections.abc import Iterator, Sequence

from maintenance.ddl.children import attach, build_like
from maintenance.ddl.guards import still_attached
from maintenance.ddl.locking import take
from maintenance.engine.actions import Action, ActionKind, Lock, LockMode, Step
from maintenance.names import QualifiedName, quote
from maintenance.partitioning.window import Slot
from maintenance.partitions.checks import HelperCheck, drop, within
from maintenance.partitions.default import interim_name, wide_name
from maintenance.partitions.outlook import Outlook


def swap(outlook: Outlook, slots: Sequence[Slot], role: str, after: tuple[str, ...]) -> Action:
    """Plan the swap of a default partition, all of whose rows lie within some periods.

    Args:
        outlook: the table held against its policy.
        slots: the periods, neighbours without a partition; now is among them or has one.
        role: who we are, to know whether the owner must be set.
        after: ids of actions before it: with them what lies ahead has a partition, so that the
            CHECK on the default partition refuses no row of it.
    """
    first, last = slots[0], slots[-1]
    default = outlook.table.default
    assert default is not None, "it has rows"
    child = outlook.child(first)
    if first != last:
        child = wide_name(outlook.table.relation, first, last)
    check = within(default.relation, outlook.policy.column, outlook.codec, first, last)
    checked = () if outlook.default_is_small else (check.add, check.validate)
    return Action(
        kind=ActionKind.SWAP_DEFAULT,
        object=str(child),
        table=outlook.name,
        period=first.period.key if first == last else None,
        reason=_reason(outlook, slots),
        steps=(*checked, _exchange(outlook, slots, child, check, role)),
        after=after,
        preconditions={"default_oid": default.oid},
    )


def default_locks(outlook: Outlook) -> tuple[Lock, ...]:
    """Return the locks of detaching a default partition and attaching it, or copies, again."""
    table = outlook.table
    assert table.default is not None, "it has rows"
    # Autovacuum gives way to a request that may wait, and never within a lock timeout.
    patient = Lock(str(table.default.relation), LockMode.SHARE_UPDATE_EXCLUSIVE)
    names = (table.relation, table.default.relation, *sorted(table.foreign_keys))
    return (patient, *(Lock(str(name), LockMode.ACCESS_EXCLUSIVE) for name in names))


def _exchange(
    outlook: Outlook, slots: Sequence[Slot], child: QualifiedName, check: HelperCheck, role: str
) -> Step:
    table, codec = outlook.table, outlook.codec
    assert table.default is not None, "it has rows"
    default = table.default.relation
    interim = interim_name(default)
    lower, upper = codec.literal(slots[0].lower), codec.literal(slots[-1].upper)
    locks = default_locks(outlook)
    return Step(
        prepare=build_like(table, interim, role=role),
        statements=(
            take(locks),
            still_attached(default, table.default.oid, table.relation, "DEFAULT"),
            f"ALTER TABLE {table.relation} DETACH PARTITION {default}",
            f"ALTER TABLE {default} RENAME TO {quote(child.name)}",
            f"ALTER TABLE {interim} RENAME TO {quote(default.name)}",
            *attach(table, child, f"FOR VALUES FROM ({lower}) TO ({upper})"),
            *attach(table, default, "DEFAULT"),
            *(() if outlook.default_is_small else (drop(child, check.name),)),
        ),
        locks=locks,
    )


def _reason(outlook: Outlook, slots: Sequence[Slot]) -> str:
    holding = outlook.holding
    assert holding is not None, "it has rows"
    return f"the default partition's {holding.n_rows:,} rows all lie {' '.join(_where(slots))}"


def _where(slots: Sequence[Slot]) -> Iterator[str]:
    first, last = slots[0].period, slots[-1].period
    if first == last:
        yield f"in {first}: it becomes that partition"
    else:
        yield f"from {first} to {last}, which have no partition:"
        yield f"it becomes one partition of all {len(slots)}"
