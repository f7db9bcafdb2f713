"""Decide what each declared index is, compared with the database. Pure."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from maintenance.names import QualifiedName, near
from maintenance.policy.declarations import IndexDeclaration
from maintenance.subjects.indexes.ddl import Definition
from maintenance.subjects.indexes.declared.comparison import (
    certain_tail,
    definition_of,
    is_same_tail,
)
from maintenance.subjects.indexes.declared.models import (
    DeclaredIndex,
    Refusal,
    State,
    TableFacts,
    TrialIndex,
)
from maintenance.subjects.indexes.models import Catalog, Index, Table
from maintenance.subjects.indexes.redundancy import could_replace, is_same

_SYSTEM_COLUMNS = frozenset({"tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"})


@dataclass(frozen=True)
class Seen:
    """What was read of the database for the declarations.

    Attributes:
        tables: by name.
        facts: of the tables with declarations, by OID.
        existing: the indexes with the name of a declared one, in any schema, by name.
        texts: definitions of existing indexes, by OID.
        taken: names of relations among those of the declared indexes.
    """

    catalog: Catalog
    tables: Mapping[QualifiedName, Table]
    facts: Mapping[int, TableFacts]
    existing: Mapping[QualifiedName, Index]
    texts: Mapping[int, Definition]
    taken: frozenset[QualifiedName]

    @cached_property
    def indexes_of(self) -> Mapping[int, Sequence[Index]]:
        """The indexes of each table, by its OID."""
        found: dict[int, list[Index]] = defaultdict(list)
        for index in self.catalog.indexes:
            found[index.table_oid].append(index)
        return found


def to_try(declaration: IndexDeclaration, seen: Seen) -> bool:
    """Whether the server must be asked for the definition of a declared index."""
    first = _without_trial(declaration, seen)
    return first.state is State.UNKNOWN and not first.refusal and not declaration.has_whole_row


def assess(
    declared: Sequence[IndexDeclaration],
    seen: Seen,
    trials: Mapping[int, TrialIndex],
    gone: Collection[QualifiedName],
) -> tuple[DeclaredIndex, ...]:
    """Return each declared index with its state.

    Args:
        declared: in the order of the files.
        seen: what was read.
        trials: by place in `declared`.
        gone: indexes that are to be dropped, which make no other superfluous.
    """
    found = [_assess(each, seen, trials.get(place)) for place, each in enumerate(declared)]
    return tuple(_with_cover(found, seen, trials, gone))


def _assess(declaration: IndexDeclaration, seen: Seen, trial: TrialIndex | None) -> DeclaredIndex:
    first = _without_trial(declaration, seen)
    if first.state is not State.UNKNOWN or trial is None:
        return first
    if trial.refusal is not None:
        state = State.REFUSED if trial.refusal.sqlstate else first.state
        return replace(first, state=state, refusal=trial.refusal)
    predicate = trial.index.predicate if trial.index is not None else None
    found = replace(first, definition=trial.tail, predicate=predicate)
    if first.existing is None:
        return replace(found, state=State.MISSING)
    return _compared(found, trial.tail)


def _compared(found: DeclaredIndex, tail: str | None) -> DeclaredIndex:
    """Return a declared index whose name exists on its table, with its state."""
    existing = found.existing
    assert existing is not None, "its name exists"
    assert tail is not None, "the server told its definition"
    declaration = found.declaration
    same = (
        found.found is not None
        and is_same_tail(found.found, tail)
        and declaration.is_unique == existing.is_unique
        and declaration.tablespace in (None, existing.tablespace)
    )
    if not existing.is_valid:
        state = State.BUILDING if existing.is_building else State.INVALID
    else:
        state = State.SAME if same else State.DIFFERENT
    return replace(found, state=state, definition=tail)


def _without_trial(declaration: IndexDeclaration, seen: Seen) -> DeclaredIndex:
    """Return what is known without asking the server; the state is unknown where it must be."""
    table = seen.tables.get(declaration.table)
    if table is None:
        wanted = str(declaration.table)
        guesses = tuple(near(wanted, map(str, seen.tables)))
        return DeclaredIndex(declaration, State.NO_TABLE, near={wanted: guesses})
    facts = seen.facts.get(table.oid)
    found = DeclaredIndex(declaration, State.UNKNOWN, table, facts)
    if facts is None or table.relation in seen.catalog.blind:
        return replace(
            found, refusal=Refusal("", f"{table.relation} is locked or was just dropped")
        )
    if missing := [name for name in declaration.columns if not _has(facts, name)]:
        guesses_by_name = {name: tuple(near(name, facts.columns)) for name in missing}
        return replace(found, state=State.NO_COLUMN, missing=tuple(missing), near=guesses_by_name)
    found = _with_namesake(found, table, seen)
    if found.state is State.UNKNOWN and not facts.is_ours:
        return replace(found, state=State.NOT_OURS)
    return found


def _with_namesake(found: DeclaredIndex, table: Table, seen: Seen) -> DeclaredIndex:
    """Return a declared index with what has its name now, and with its state if that is certain."""
    declaration = found.declaration
    existing = seen.existing.get(declaration.relation)
    if existing is None:
        is_taken = declaration.relation in seen.taken
        return (
            replace(found, state=State.NAME_TAKEN, taken_by="another relation")
            if is_taken
            else found
        )
    if existing.table_oid != table.oid:
        other = seen.catalog.tables[existing.table_oid].relation
        return replace(found, state=State.NAME_TAKEN, taken_by=f"an index of {other}")
    texts = {oid: each.text for oid, each in seen.texts.items()}
    text = definition_of(existing, texts, str(table.relation))
    found = replace(found, existing=existing, found=text)
    tail = certain_tail(declaration)
    return _compared(found, tail) if tail is not None and text == tail else found


def _has(facts: TableFacts, column: str) -> bool:
    return column in facts.columns or column in _SYSTEM_COLUMNS


def _with_cover(
    found: Sequence[DeclaredIndex],
    seen: Seen,
    trials: Mapping[int, TrialIndex],
    gone: Collection[QualifiedName],
) -> Iterator[DeclaredIndex]:
    """Yield the declared indexes; those that are missing and superfluous say by which one."""
    built = [
        trial.index
        for place, each in enumerate(found)
        if each.state is State.MISSING
        and (trial := trials.get(place)) is not None
        and trial.index is not None
    ]
    for place, each in enumerate(found):
        trial = trials.get(place)
        if each.state is not State.MISSING or trial is None or trial.index is None:
            yield each
            continue
        present = (
            other
            for other in seen.indexes_of.get(trial.index.table_oid, ())
            if other.relation not in gone
        )
        planned = (other for other in built if _precedes(other, trial.index, built))
        cover = _cover(trial.index, (*present, *planned))
        if cover is None:
            yield each
        else:
            equal = is_same(cover, trial.index)
            yield replace(each, state=State.COVERED, covered_by=cover.relation, is_equal=equal)


def _precedes(other: Index, index: Index, built: Sequence[Index]) -> bool:
    """Whether another declared index may make this one superfluous: of two equal ones the first."""
    if other is index or other.table_oid != index.table_oid:
        return False
    if is_same(other, index):
        return built.index(other) < built.index(index)
    return True


def _cover(index: Index, others: Iterable[Index]) -> Index | None:
    tried = replace(index, oid=-1)
    return next((other for other in others if could_replace(other, tried)), None)
