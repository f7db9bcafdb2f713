"""Retention actions: archive, detach, drop, and finalize an interrupted detach."""

from collections.abc import Container, Iterator, Mapping

from maintenance.catalog.models import Partition, Table
from maintenance.ddl.detach import detach, finalize
from maintenance.ddl.guards import same_tree, still_attached, still_detached, without_foreign_keys
from maintenance.ddl.lock_statements import allowed_time, take
from maintenance.ddl.marks import (
    DETACHED_FROM,
    NOW,
    marked,
    read_mark,
    set_comment,
    stamp,
    unmarked,
)
from maintenance.engine.actions import Action, ActionKind, Lock, LockMode, Step
from maintenance.names import quote
from maintenance.partition_key import FUTURE, PAST
from maintenance.partition_set.bounds import codec_of, read_bound
from maintenance.partition_set.expiry import Detached, Expired
from maintenance.subjects.retention.models import (
    Case,
    OutboundKey,
    RetentionTarget,
    detached_target,
)


def retire(case: Case, item: Expired, after: tuple[str, ...] = ()) -> Iterator[Action]:
    """Yield the actions of this run that archive, detach and drop one partition.

    Args:
        case: the table.
        item: the partition.
        after: ids of actions that must be done before it is detached.
    """
    target = case.attached(item)
    if case.archives:
        archived = archive(case, target)
        yield archived
        after = (archived.id, *after)
    mark = {DETACHED_FROM: case.name, "bound": item.bound, "period": target.period, "at": NOW}
    comment = marked(case.comments.get(target.oid), mark)
    steps = detach(case.table, item.span.partition, stamp(target.relation, comment))
    detachment = _action(case, ActionKind.DETACH_PARTITION, target, steps, after=after)
    yield detachment
    if case.drops_at_once:
        yield _drop(case, target, after=(detachment.id,))


def finish(case: Case, item: Detached, ended: Mapping[int, str]) -> Action:
    """Return the drop of a table that is detached, or whose detach this run finalizes.

    Args:
        case: the table it was a partition of.
        item: the detached table.
        ended: the ids of this run's actions that finalize a detach, by OID.
    """
    after = (ended[item.table.oid],) if item.table.oid in ended else ()
    return _drop(case, detached_target(item), after=after)


def archive(case: Case, target: RetentionTarget) -> Action:
    """Return the action that archives a table; its executor writes and verifies the archive."""
    step = Step(statements=(f"COPY {target.relation} TO STDOUT",))
    return _action(case, ActionKind.ARCHIVE_PARTITION, target, (step,))


def end_pending(table: Table) -> Iterator[Action]:
    """Yield the actions that finalize interrupted detaches: at most one is pending per parent."""
    for child in table.partitions:
        if child.detach_pending:
            yield Action(
                kind=ActionKind.FINALIZE_DETACH,
                object=str(child.relation),
                table=str(table.relation),
                steps=(finalize(table.relation, child.relation, _n_tables(child)),),
                reason="detach was interrupted: rows are invisible, inserts into its range fail",
                preconditions={"oid": child.oid},
            )


def _n_tables(partition: Partition) -> int:
    return 1 if partition.tree is None else len(partition.tree.branches)


def unmark(case: Case, going: Container[int]) -> Iterator[Action]:
    """Yield the removals of detach marks from partitions that are still attached.

    A killed run leaves such a mark, and so does attaching a detached table again. With the mark, a
    partition detached by hand, in order to keep it, would count as detached by this software.

    Args:
        case: the table.
        going: OIDs of partitions that this run detaches, or whose detach is pending.
    """
    for child in case.table.partitions:
        comment = case.comments.get(child.oid)
        if child.oid in going or child.bound is None or DETACHED_FROM not in read_mark(comment):
            continue
        guard = still_attached(child.relation, child.oid, case.table.relation, child.bound)
        own = Lock(str(child.relation), LockMode.SHARE_UPDATE_EXCLUSIVE)
        statements = (guard, set_comment(child.relation, unmarked(comment)))
        yield Action(
            kind=ActionKind.REPAIR_PARTITION,
            object=str(child.relation),
            table=case.name,
            steps=(Step(statements=statements, locks=(own,)),),
            reason="attached, but its comment marks it as detached",
            preconditions={"oid": child.oid},
        )


def _drop(case: Case, target: RetentionTarget, *, after: tuple[str, ...]) -> Action:
    """Return the drop of a table, after its foreign keys, each in a transaction of its own.

    DROP TABLE locks every table that its keys point to, all at once and in ACCESS EXCLUSIVE mode,
    so its transaction fails if there are any.
    """
    name = str(target.relation)
    last = Step(
        statements=(*_lock_and_check(target), f"DROP TABLE {name}"),
        locks=(Lock(name, LockMode.ACCESS_EXCLUSIVE),),
    )
    keys = (_drop_key(key, target) for key in case.outbound_keys_of(target))
    return _action(case, ActionKind.DROP_PARTITION, target, (*keys, last), after=after)


def _drop_key(key: OutboundKey, target: RetentionTarget) -> Step:
    locks = tuple(Lock(name, LockMode.ACCESS_EXCLUSIVE) for name in (key.own, key.referenced))
    time = (allowed_time(len(target.tree.branches)),) if target.tree is not None else ()
    guard = still_detached(target.relation, target.oid)
    statement = f"ALTER TABLE {key.own} DROP CONSTRAINT {quote(key.name)}"
    return Step(statements=(take(locks), guard, *time, statement), locks=locks)


def _lock_and_check(target: RetentionTarget) -> Iterator[str]:
    """Yield the statements that lock a table's tree and check that it is the observed one."""
    yield f"LOCK TABLE {target.relation} IN ACCESS EXCLUSIVE MODE"
    yield still_detached(target.relation, target.oid)
    yield without_foreign_keys(target.relation, target.oids)
    if target.tree is not None:
        yield same_tree(target.relation, target.tree.oids)
        yield allowed_time(len(target.tree.branches))


def _action(
    case: Case,
    kind: ActionKind,
    target: RetentionTarget,
    steps: tuple[Step, ...],
    *,
    after: tuple[str, ...] = (),
) -> Action:
    asked = kind is ActionKind.ARCHIVE_PARTITION and not case.archives
    return Action(
        kind=kind,
        object=str(target.relation),
        table=case.name,
        period=target.period,
        steps=steps,
        reason=_reason(case, target, asked=asked),
        destructive=kind is not ActionKind.ARCHIVE_PARTITION,
        after=after,
        preconditions=_facts(case, target),
        detail=_detail(case, target),
    )


def _reason(case: Case, target: RetentionTarget, *, asked: bool) -> str:
    place = case.archive_of(target) if asked or case.archives else None
    archive = f"; archive {place}" if place is not None else ""
    if asked:
        return f"requested by hand{archive}"
    return f"expired: retention is {case.retention.kept_for}; {case.held_by(target)}{archive}"


def _detail(case: Case, target: RetentionTarget) -> dict[str, object]:
    place = case.archive_of(target)
    return {**case.held_by(target).as_json(), "archive": str(place) if place else None}


def _facts(case: Case, target: RetentionTarget) -> dict[str, object]:
    """Return the preconditions of an action, and the facts for the manifest of the archive."""
    try:
        codec = codec_of(case.policy, case.table)
        lower, upper = map(codec.first_moment, read_bound(target.bound, codec))
    except ValueError:
        # A mark may have been edited; the rows are archived all the same.
        lower, upper = PAST, FUTURE
    return {
        "oid": target.oid,
        "bound": target.bound,
        "key": case.policy.column,
        "lower": lower.isoformat() if lower > PAST else None,
        "upper": upper.isoformat() if upper < FUTURE else None,
        "archived": case.archives,
        **({"tree": list(target.tree.oids)} if target.tree is not None else {}),
    }
