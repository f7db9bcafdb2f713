"""Plans the drain of a default partition that a swap can't empty: rows of separate periods.

The plan shows the locks and the exchange of tables. The number of copying statements depends on
the number of rows; `drain/` executes it.
"""

from collections.abc import Iterator, Sequence

from maintenance.catalog.models import Partition
from maintenance.engine.actions import Action, ActionKind, Lock, LockMode, Step
from maintenance.partition_set.expected import PeriodRange
from maintenance.subjects.partitions.default_names import exchange_locks
from maintenance.subjects.partitions.released_names import as_released, release
from maintenance.subjects.partitions.state import PartitionState


def drain(state: PartitionState, slots: Sequence[PeriodRange], after: tuple[str, ...]) -> Action:
    """Plan the move of rows of some periods from the default partition to new partitions.

    Args:
        state: the table compared with its policy.
        slots: the periods, none of which has a partition.
        after: ids of actions before it.
    """
    default = state.table.default
    assert default is not None, "it has rows"
    return Action(
        kind=ActionKind.DRAIN_DEFAULT,
        object=str(default.relation),
        table=state.name,
        reason=_reason(state, slots),
        steps=(
            capture(default, state.table.properties.owner),
            release(state.table, default),
            _exchange(state, slots),
        ),
        after=after,
        preconditions={
            "default_oid": default.oid,
            "schema": state.schema,
            "periods": {slot.key: state.child(slot).name for slot in slots},
            "ranges": {slot.key: list(slot.literals(state.codec)) for slot in slots},
        },
    )


def capture(partition: Partition, owner: str) -> Step:
    """Return the step that begins to capture the changes of a partition's rows."""
    names = [str(leaf.relation) for leaf in partition.whole.leaves]
    return Step(
        statements=tuple(
            f"CREATE TRIGGER maintenance_capture AFTER INSERT OR UPDATE OR DELETE ON {name}"
            for name in names
        ),
        locks=tuple(Lock(name, LockMode.SHARE_ROW_EXCLUSIVE) for name in names),
        owner=owner,
    )


def _exchange(state: PartitionState, slots: Sequence[PeriodRange]) -> Step:
    table = state.table
    default = table.default
    assert default is not None, "it has rows"
    standing = as_released(default)
    return Step(
        statements=(
            f"ALTER TABLE {table.relation} DETACH PARTITION {standing.relation}",
            *_attach(state, slots),
            f"ALTER TABLE {table.relation} ATTACH PARTITION {default.relation} DEFAULT",
        ),
        locks=exchange_locks(table, standing),
        owner=table.properties.owner,
    )


def _attach(state: PartitionState, slots: Sequence[PeriodRange]) -> Iterator[str]:
    for slot in slots:
        lower, upper = slot.literals(state.codec)
        yield (
            f"ALTER TABLE {state.name} ATTACH PARTITION {state.child(slot)}"
            f" FOR VALUES FROM ({lower}) TO ({upper})"
        )


def _reason(state: PartitionState, slots: Sequence[PeriodRange]) -> str:
    holding = state.holding
    assert holding is not None, "it has rows"
    n_rows = sum(held.n_rows for held in holding.held if held.slot in slots)
    return (
        f"the default partition holds {n_rows:,} rows of {len(slots)} periods without a partition"
        f" and {holding.n_rows - n_rows:,} other rows: all are copied, together with concurrent"
        " changes, and the copies replace it"
    )
