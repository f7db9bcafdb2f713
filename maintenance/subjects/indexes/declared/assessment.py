"""Decide what each declared index is, compared with the database. Pure."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from maintenance.names import QualifiedName, cut, near
from maintenance.policy.declarations import IndexDeclaration
from maintenance.subjects.indexes.declared.comparison import (
    certain_tail,
    definition_of,
    is_alike,
)
from maintenance.subjects.indexes.declared.models import (
    NOT_TRIED,
    DeclaredIndex,
    Refusal,
    State,
    TableFacts,
    TrialIndex,
)
from maintenance.subjects.indexes.declared.seen import SYSTEM_COLUMNS, Seen
from maintenance.subjects.indexes.models import Index, Table
from maintenance.subjects.indexes.redundancy import could_replace, is_same

NEW = "_new"
"""Ends the name of an index that is built to take the name of another one."""

_UNDEFINED_OBJECT = "42704"

_NEW_BYTES = 63 - len(NEW)


def successor_name(declaration: IndexDeclaration) -> QualifiedName:
    """Return the name under which an index is built that will get the name of an existing one."""
    return QualifiedName(declaration.table.schema, f"{cut(declaration.name, _NEW_BYTES)}{NEW}")


def assess_before(declaration: IndexDeclaration, seen: Seen, new: Collection[str]) -> DeclaredIndex:
    """Return what is known of a declared index without asking the server.

    Its state is unknown, without a refusal, where the server must be asked.

    Args:
        declaration: the declaration.
        seen: what was read.
        new: columns of its table that are declared too and do not exist yet.
    """
    table = seen.tables.get(declaration.table)
    if table is None:
        found = DeclaredIndex(declaration, State.NO_TABLE)
        if declaration.table in seen.taken:
            return replace(found, state=State.REFUSED, refusal=seen.no_table(declaration.table))
        return replace(found, near={str(declaration.table): seen.near_tables(declaration.table)})
    facts = seen.facts.get(table.oid)
    found = DeclaredIndex(declaration, State.UNKNOWN, table, facts)
    if facts is None or seen.is_locked(table):
        text = f"{table.relation} is locked, or was just dropped"
        return replace(found, facts=None, refusal=Refusal(NOT_TRIED, text))
    if missing := missing_columns(declaration.columns, facts, new):
        return replace(
            found, state=State.NO_COLUMN, missing=missing, near=near_columns(missing, facts)
        )
    waits_for = tuple(name for name in declaration.columns if name not in facts.columns)
    found = replace(found, waits_for=tuple(name for name in waits_for if name in new))
    return _with_obstacle(_with_namesake(found, table, seen), facts)


def _with_obstacle(found: DeclaredIndex, facts: TableFacts) -> DeclaredIndex:
    """Return a declared index that was not compared yet, with why the server can't be asked."""
    if found.state is not State.UNKNOWN:
        return found
    if facts.n_foreign:
        return replace(found, state=State.NOT_SUPPORTED)
    if not facts.is_ours or not facts.may_create:
        return replace(found, state=State.NOT_OURS)
    space = found.declaration.tablespace
    if space is not None and space not in facts.tablespaces:
        text = f'tablespace "{space}" does not exist'
        return replace(found, state=State.REFUSED, refusal=Refusal(_UNDEFINED_OBJECT, text))
    if found.declaration.has_whole_row:
        text = "its expression names the whole row, which no copy of the table can have"
        return replace(found, refusal=Refusal(NOT_TRIED, text))
    return found


def missing_columns(
    names: Iterable[str], facts: TableFacts, new: Collection[str] = ()
) -> tuple[str, ...]:
    """Return the named columns that a table lacks."""
    return tuple(
        name
        for name in names
        if name not in facts.columns and name not in SYSTEM_COLUMNS and name not in new
    )


def near_columns(missing: Iterable[str], facts: TableFacts) -> Mapping[str, Sequence[str]]:
    """Return names of columns that are much like missing ones."""
    return {name: tuple(near(name, facts.columns)) for name in missing}


def assess(
    before: Sequence[DeclaredIndex],
    trials: Mapping[QualifiedName, TrialIndex],
    seen: Seen,
    gone: Collection[QualifiedName],
) -> list[DeclaredIndex]:
    """Return each declared index with its state, except what concerns partitions.

    Args:
        before: as of `assess_before`, in the order of the files.
        trials: by the name of the index.
        seen: what was read.
        gone: indexes that are to be dropped, which make no other superfluous.
    """
    found = [_assess(each, trials.get(each.declaration.relation), seen) for each in before]
    return list(_with_cover(found, seen, gone))


def _assess(found: DeclaredIndex, trial: TrialIndex | None, seen: Seen) -> DeclaredIndex:
    if trial is None or found.state is not State.UNKNOWN or found.refusal is not None:
        return found
    if trial.refusal is not None:
        is_verdict = trial.refusal.sqlstate != NOT_TRIED
        state = State.REFUSED if is_verdict else State.UNKNOWN
        return replace(found, state=state, refusal=trial.refusal)
    found = replace(
        found,
        definition=trial.tails[-1],
        alike=trial.tails,
        predicate=trial.indexes[-1].predicate,
        built=trial.indexes,
    )
    is_replaced = found.declaration.relation in found.declaration.annotations.replaces
    if found.existing is None:
        found = replace(found, state=State.MISSING)
        return _with_successor(found, seen) if is_replaced else found
    found = _compared(found)
    return _with_successor(found, seen) if found.state is State.DIFFERENT and is_replaced else found


def _with_successor(found: DeclaredIndex, seen: Seen) -> DeclaredIndex:
    """Return a declared index, that is to replace its namesake, with what was built of it."""
    name = successor_name(found.declaration)
    successor = seen.indexes.get(name)
    if successor is None:
        return replace(found, taken_by=f"another {name}") if name in seen.taken else found
    assert found.table is not None, "it was tried on a copy of its table"
    text = definition_of(successor, seen.texts, str(found.table.relation))
    same = is_alike(text, found.alike)
    if successor.table_oid != found.table.oid or (successor.is_valid and not same):
        return replace(found, taken_by=f"another {name}")
    return replace(found, successor=successor, is_succeeded=successor.is_valid)


def _compared(found: DeclaredIndex) -> DeclaredIndex:
    """Return a declared index whose name exists on its table, with its state."""
    existing, declaration, facts = found.existing, found.declaration, found.facts
    assert existing is not None, "its name exists"
    assert facts is not None, "its table exists"
    same = (
        is_alike(found.found, found.alike)
        and declaration.is_unique == existing.is_unique
        and declaration.tablespace in (None, existing.tablespace or facts.default_tablespace)
    )
    state = State.SAME if same else State.DIFFERENT
    if not existing.is_valid:
        state = _state_of_invalid(existing, same=same)
    return replace(found, state=state)


def _state_of_invalid(existing: Index, *, same: bool) -> State:
    if existing.is_partitioned:
        return State.INCOMPLETE if same else State.DIFFERENT
    return State.BUILDING if existing.is_building else State.INVALID


def _with_namesake(found: DeclaredIndex, table: Table, seen: Seen) -> DeclaredIndex:
    """Return a declared index with what has its name now, and its state if that is certain."""
    name = found.declaration.relation
    existing = seen.indexes.get(name)
    if existing is None and name in seen.taken:
        return replace(found, state=State.NAME_TAKEN, taken_by="another relation")
    if existing is None:
        return found
    if existing.table_oid != table.oid:
        other = seen.catalog.tables[existing.table_oid].relation
        return replace(found, state=State.NAME_TAKEN, taken_by=f"an index of {other}")
    text = definition_of(existing, seen.texts, str(table.relation))
    found = replace(found, existing=existing, found=text)
    tail = certain_tail(found.declaration)
    if tail is None or text != tail or not existing.is_valid:
        return found
    return _compared(replace(found, definition=tail, alike=(tail,)))


def _with_cover(
    found: Sequence[DeclaredIndex], seen: Seen, gone: Collection[QualifiedName]
) -> Iterator[DeclaredIndex]:
    """Yield the declared indexes; those that would be superfluous say by which one."""
    planned = [each for each in found if each.state is State.MISSING and each.built]
    for each in found:
        if not each.built or each.state not in (State.MISSING, State.DIFFERENT):
            yield each
            continue
        present = (
            other
            for other in seen.indexes_of.get(each.built[0].table_oid, ())
            if other.relation not in gone and other not in (each.existing, each.successor)
        )
        others = (other.built[-1] for other in planned if _precedes(other, each, planned))
        cover = _cover(each, (*present, *others))
        if cover is None:
            yield each
            continue
        state = State.COVERED if each.state is State.MISSING else each.state
        equal = any(is_same(cover, built) for built in each.built)
        yield replace(each, state=state, covered_by=cover.relation, is_equal=equal)


def _precedes(other: DeclaredIndex, index: DeclaredIndex, planned: Sequence[DeclaredIndex]) -> bool:
    """Whether another declared index may make this one superfluous: of two equal ones the first."""
    if other is index or other.declaration.table != index.declaration.table:
        return False
    if _covers(index.built[-1], other):
        return planned.index(other) < planned.index(index)
    return True


def _cover(index: DeclaredIndex, others: Iterable[Index]) -> Index | None:
    return next((other for other in others if _covers(other, index)), None)


def _covers(other: Index, index: DeclaredIndex) -> bool:
    return any(could_replace(other, built._replace(oid=-1)) for built in index.built)
