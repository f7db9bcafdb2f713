"""Plan the removal of what runs have left: only what is provably ours and holds no rows of others.

Unknown means keep: what has a name or a mark of ours without the other facts is told, not touched.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

from maintenance.ddl.guards import empty, still_detached
from maintenance.ddl.lock_statements import take
from maintenance.ddl.marks import (
    DETACHED_FROM,
    HOLD_UNTIL,
    RELEASED,
    RESTORED,
    RESTORING,
    read_mark,
    set_comment,
    unmarked,
)
from maintenance.engine.actions import Action, ActionKind, Lock, LockMode, Step
from maintenance.names import QualifiedName, parse_name, quote
from maintenance.partition_set.bounds import bound_literals
from maintenance.subjects.bloat.models import Leftover
from maintenance.subjects.bloat.plan import drop_leftover
from maintenance.subjects.conversion.matviews import MARK as TWIN_OF
from maintenance.subjects.conversion.models import twin_name
from maintenance.subjects.conversion.references import MARK as CONVERSION
from maintenance.subjects.matviews.ddl import REBUILD_OF, replacement_name
from maintenance.subjects.partitions.drain.job import DRAINED, Objects
from maintenance.subjects.partitions.drain.registry import read_registry
from maintenance.subjects.partitions.helper_checks import alone, removal
from maintenance.subjects.partitions.released_names import give_back, read_release
from maintenance.uninstall.models import (
    Helper,
    Kept,
    Marked,
    PendingDetach,
    Remains,
    Removal,
    UnfinishedIndex,
)
from maintenance.uninstall.store_plan import plan_store

_NOTES = frozenset({DETACHED_FROM, HOLD_UNTIL, RESTORED})
"""Marks that only say where a table comes from or until when it is kept."""


_FINISH = (
    "Finish it with maintenance apply --only conversion, or take it back with maintenance undo;"
    " then run uninstall again"
)


def plan(remains: Remains) -> Removal:
    """Return what is removed, in order, and what is kept.

    The store goes last, and only if nothing stays that its history would be needed for.
    """
    found = [*_of_marks(remains), *_of_helpers(remains), *map(_of_build, remains.builds)]
    kept = [each for each in found if isinstance(each, Kept)]
    kept += (*map(_pending, remains.pending), *map(_unfinished_index, remains.indexes))
    actions = [each for each in found if isinstance(each, Action)]
    refused = any(each.is_refused for each in kept)
    store, more = plan_store(remains, is_needed=refused)
    # First what slows or refuses writes, then what only takes room, last what is only written.
    order = sorted(actions, key=lambda action: action.preconditions["place"])
    return Removal(tuple(order), store, (*kept, *more))


def _of_marks(remains: Remains) -> Iterator[Action | Kept]:
    for found in remains.marked:
        for each in _of_mark(found):
            yield _if_ours(found.is_ours, found.owner, remains, each)


def _of_mark(found: Marked) -> Iterator[Action | Kept]:
    mark = read_mark(found.comment)
    is_table = found.kind in ("r", "p")
    if found.kind == "foreign key" and CONVERSION in mark and found.is_valid is False:
        yield _reference(found)
    elif found.kind == "m" and TWIN_OF in mark:
        yield _twin(found, str(mark[TWIN_OF]))
    elif found.kind == "m" and REBUILD_OF in mark:
        yield _rebuild(found, str(mark[REBUILD_OF]))
    elif is_table and DRAINED in mark:
        yield _drain(found)
    elif is_table and mark.keys() == {RELEASED}:
        yield _release(found)
    elif is_table and RESTORING in mark and not found.attached:
        yield _restoring(found)
    elif is_table and _NOTES.intersection(mark):
        if DETACHED_FROM in mark and not found.attached:
            yield _detached(found)
        elif RESTORED in mark and not found.attached:
            yield _rows_of(found, "restored from an archive")
        yield _note(found)
    else:
        yield _unproven(str(found.relation), "its comment has a mark that no run writes there")


def _reference(found: Marked) -> Kept:
    name = quote(found.part or "")
    return Kept(
        f"{found.relation}",
        "unfinished",
        f"foreign key {name} was created again by a conversion and is not validated yet. {_FINISH}",
        statements=(f"ALTER TABLE {found.relation} VALIDATE CONSTRAINT {name}",),
        is_refused=True,
    )


def _twin(found: Marked, view: str) -> Kept:
    if not any(_is_named(found.relation, view, partial(twin_name, purpose=p)) for p in "mu"):
        return _unproven(str(found.relation), f"marked as a twin of {view}, which it is not")
    reason = f"is to replace {view} after a conversion or its undo. {_FINISH}"
    return Kept(str(found.relation), "unfinished", reason, is_refused=True)


def _drain(found: Marked) -> Action | Kept:
    """Return the removal of a drain; its log lists what it made, by OID."""
    oid = read_mark(found.comment).get("oid")
    objects = Objects(found.relation.schema, oid) if isinstance(oid, int) else None
    if (
        objects is None
        or found.relation != objects.log
        or read_registry(found.comment, found.owner, objects.oid) is None
    ):
        return _unproven(str(found.relation), "marked as the log of a drain, which it is not")
    if found.owner != found.drained_owner:
        drained = read_mark(found.comment)[DRAINED]
        reason = f"marked as the log of a drain of {drained}, which has another owner or is gone"
        return _unproven(str(found.relation), reason)
    statements = (
        f"DROP FUNCTION {objects.function}() CASCADE",
        f"DROP TABLE {objects.root}, {objects.old}, {objects.log}",
    )
    return _action(
        str(found.relation),
        (Step(statements),),
        "the triggers, function and copies of a drain, with its log",
        f"left by an interrupted drain of {read_mark(found.comment)[DRAINED]}: its triggers slow"
        " writers, its tables hold copies of rows",
        place=0,
        drained_oid=objects.oid,
        schema=objects.schema,
    )


def _release(found: Marked) -> Action | Kept:
    """Return what gives the tables of a partition the names back that an exchange had released."""
    names = read_release(read_mark(found.comment)[RELEASED], found.owner)
    if not names.names or names.names[0][0] != found.relation:
        return _unproven(str(found.relation), "marked as renamed by a run, which it is not")
    reason = f"its name is {names.names[0][1]}; it was renamed by an interrupted run"
    what = "the temporary name of"
    return _action(str(found.relation), (give_back(names),), what, reason, place=1)


def _rebuild(found: Marked, view: str) -> Action | Kept:
    if not _is_named(found.relation, view, replacement_name):
        return _unproven(str(found.relation), f"marked as a rebuild of {view}, which it is not")
    lock = Lock(str(found.relation), LockMode.ACCESS_EXCLUSIVE)
    step = Step((f"DROP MATERIALIZED VIEW {found.relation}",), locks=(lock,))
    reason = f"left by an interrupted rebuild of {view}"
    return _action(str(found.relation), (step,), "the materialized view", reason, place=2)


def _is_named(
    name: QualifiedName, view: str, computed: Callable[[QualifiedName], QualifiedName]
) -> bool:
    """Whether something has the name that is computed from that of a view."""
    try:
        return name == computed(parse_name(view))
    except ValueError:
        return False


def _restoring(found: Marked) -> Action | Kept:
    if found.has_rows:
        return _rows_of(found, "left by an interrupted restore")
    name = found.relation
    lock = Lock(str(name), LockMode.ACCESS_EXCLUSIVE)
    guards = (still_detached(name, found.oid), empty(name))
    step = Step((*guards, f"DROP TABLE {name}"), locks=(lock,))
    reason = "left by an interrupted restore"
    return _action(str(name), (step,), "the empty table", reason, place=2)


def _rows_of(found: Marked, origin: str) -> Kept:
    drop = (f"DROP TABLE {found.relation}",)
    return Kept(str(found.relation), "rows", f"{origin}: holds rows", found.size_bytes, drop)


def _detached(found: Marked) -> Kept:
    mark = read_mark(found.comment)
    attach = tuple(_attach(found.relation, mark))
    again = "attach it again, or drop it" if attach else "look at it, then drop it"
    return Kept(
        str(found.relation),
        "rows",
        f"detached from {mark[DETACHED_FROM]} and never dropped: {again}",
        found.size_bytes,
        (*attach, f"DROP TABLE {found.relation}"),
    )


def _attach(table: QualifiedName, mark: Mapping[str, object]) -> Iterator[str]:
    """Yield the statement that attaches a table again, as its mark says.

    Its owner can write any mark, and the statement is run by somebody with more rights: nothing
    but a name and a range gets into it.
    """
    try:
        parent = parse_name(str(mark[DETACHED_FROM]))
        lower, upper = bound_literals(str(mark.get("bound", "")))
    except ValueError:
        return
    yield f"ALTER TABLE {parent} ATTACH PARTITION {table} FOR VALUES FROM ({lower}) TO ({upper})"


def _note(found: Marked) -> Action:
    name = found.relation
    step = Step(
        (set_comment(name, unmarked(found.comment)),),
        locks=(Lock(str(name), LockMode.SHARE_UPDATE_EXCLUSIVE),),
    )
    what = "a mark in the comment of"
    return _action(str(name), (step,), what, "the rest of the comment and the table stay", place=3)


def _of_helpers(remains: Remains) -> Iterator[Action | Kept]:
    """Yield what becomes of objects with reserved names that are not marked themselves."""
    known = _known_names(remains)
    for found in remains.helpers:
        if found.kind in ("relation", "function"):
            if not _is_told(found, known):
                yield _unproven(
                    found.object, "has a reserved name, and no mark or registry of ours"
                )
            continue
        yield _if_ours(found.is_ours, found.owner, remains, _of_helper(found))


def _known_names(remains: Remains) -> frozenset[str]:
    """Return the names of marked relations, and the prefixes of the names of drains."""
    names = {str(each.relation) for each in remains.marked}
    logs = (each for each in remains.marked if DRAINED in read_mark(each.comment))
    prefixes = {str(each.relation).removesuffix("log") for each in logs}
    return frozenset(names | prefixes)


def _is_told(found: Helper, known: frozenset[str]) -> bool:
    """Whether a relation or function is marked itself, or has the name of a drain with a log."""
    return any(str(found.relation).startswith(each) for each in known)


def _of_helper(found: Helper) -> Action | Kept:
    table, name = found.relation, found.part or ""
    if not found.is_proven:
        what = "index" if found.kind == "index" else f"CHECK {quote(name)}"
        drop = (
            f"DROP INDEX CONCURRENTLY {found.object}"
            if found.kind == "index"
            else f"ALTER TABLE {table} DROP CONSTRAINT {quote(name)}"
        )
        reason = f"{what} has a reserved name, and is not as a run makes it"
        return _unproven(found.object, reason, drop)
    if found.kind == "check":
        return _action(
            f"{table}",
            (removal(found.partitions or (table,), [name]),),
            f"CHECK {quote(name)} of",
            "left by an interrupted run; refuses rows",
            place=0,
        )
    if found.kind == "index":
        lock = Lock(str(table), LockMode.SHARE_UPDATE_EXCLUSIVE)
        statement = f"DROP INDEX CONCURRENTLY IF EXISTS {found.object}"
        step = Step((statement,), locks=(lock,), concurrent=True)
        reason = f"left by a begun conversion of {table}"
        return _action(found.object, (step,), "the index", reason, place=1)
    return _action(
        str(table),
        (_without_check(found),),
        f"CHECK {quote(name)} of",
        "left by a begun conversion; will refuse rows",
        place=0,
    )


def _without_check(found: Helper) -> Step:
    locks = alone(found.relation)
    drop = f"ALTER TABLE {found.relation} DROP CONSTRAINT IF EXISTS {quote(found.part or '')}"
    return Step((take(locks), drop), locks=locks, owner=found.owner)


def _pending(found: PendingDetach) -> Kept:
    finish = (
        "; maintenance apply --only retention finishes it; then run uninstall again"
        if found.is_of_run
        else ""
    )
    return Kept(
        str(found.relation),
        "unfinished",
        f"its detach from {found.parent} was interrupted, and its rows are not read there any"
        f" more{finish}",
        statements=(f"ALTER TABLE {found.parent} DETACH PARTITION {found.relation} FINALIZE",),
        is_refused=found.is_of_run,
    )


def _unfinished_index(found: UnfinishedIndex) -> Kept:
    return Kept(
        str(found.relation),
        "unfinished_index",
        f"declared index of {found.table} that lacks partitions and is not used yet: finish it"
        " before with maintenance apply --only indexes, or drop it",
        statements=(f"DROP INDEX {found.relation}",),
    )


def _of_build(found: Leftover) -> Action:
    return _action(
        str(found.relation),
        drop_leftover(found),
        "the invalid index",
        f"left by an interrupted build on {found.table}: maintained on writes but not usable",
        place=1,
    )


def _unproven(name: str, reason: str, *statements: str) -> Kept:
    return Kept(name, "unproven", reason, statements=statements)


def _if_ours(is_ours: bool, owner: str, remains: Remains, each: Action | Kept) -> Action | Kept:
    """Return an action if our role may do it; else who must."""
    if is_ours or isinstance(each, Kept):
        return each
    return Kept(
        each.object,
        "privilege",
        f"{each.reason}. It belongs to role {quote(owner)}, whose rights {quote(remains.role)} does"
        f" not have: run uninstall as that role or a superuser, or grant it first",
        statements=(f"GRANT {quote(owner)} TO {quote(remains.role)}",),
        is_refused=True,
    )


def _action(
    name: str, steps: Iterable[Step], what: str, reason: str, *, place: int, **facts: object
) -> Action:
    """Return an action; `what` says in words what is removed of the object."""
    return Action(
        ActionKind.UNINSTALL,
        name,
        tuple(steps),
        reason,
        destructive=True,
        preconditions={"place": place, **facts},
        detail={"what": what},
    )
