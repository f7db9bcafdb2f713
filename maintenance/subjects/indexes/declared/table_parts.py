"""Decide what each declared constraint and column is, compared with the database. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from maintenance.names import QualifiedName
from maintenance.policy.declarations import CheckDeclaration, ColumnDeclaration
from maintenance.subjects.indexes.declared.assessment import missing_columns, near_columns
from maintenance.subjects.indexes.declared.models import (
    NOT_TRIED,
    DeclaredCheck,
    DeclaredColumn,
    Refusal,
    State,
    TableColumn,
)
from maintenance.subjects.indexes.declared.questions import Answer
from maintenance.subjects.indexes.declared.seen import Seen

Part = TypeVar("Part", DeclaredCheck, DeclaredColumn)

_NOT_VALID = " NOT VALID"
_LOCKED = "its table is locked, or was just dropped"


def check_before(
    declaration: CheckDeclaration, seen: Seen, new: Mapping[QualifiedName, Collection[str]]
) -> DeclaredCheck:
    """Return what is known of a declared constraint without asking the server.

    Its state is unknown, without a refusal, where the server must be asked.

    Args:
        declaration: the declaration.
        seen: what was read.
        new: declared columns that do not exist yet, by table.
    """
    added = new.get(declaration.table, ())
    found = _before(DeclaredCheck(declaration, State.UNKNOWN), seen, added)
    waits_for = tuple(name for name in declaration.columns if name in added)
    return replace(found, waits_for=waits_for)


def check_after(found: DeclaredCheck, answers: Sequence[Answer], seen: Seen) -> DeclaredCheck:
    """Return a declared constraint with its state, once the server was asked."""
    if not answers:
        return found
    if isinstance(answer := answers[0], Refusal):
        state = State.REFUSED if answer.sqlstate != NOT_TRIED else State.UNKNOWN
        return replace(found, state=state, refusal=answer)
    table = found.table
    assert table is not None, "it was tried on a copy of its table"
    alike = _told(answers, "definition")
    found = replace(found, definition=alike[-1])
    existing = seen.constraints.get((table.oid, found.declaration.name))
    if existing is None:
        return replace(found, state=State.MISSING)
    found = replace(found, found=existing.definition.removesuffix(_NOT_VALID))
    if found.found not in alike:
        return replace(found, state=State.DIFFERENT)
    return replace(found, state=State.SAME if existing.is_validated else State.INCOMPLETE)


def column_before(declaration: ColumnDeclaration, seen: Seen) -> DeclaredColumn:
    """Return what is known of a declared column without asking the server.

    Its state is unknown, without a refusal, where the server must be asked.
    """
    return _before(DeclaredColumn(declaration, State.UNKNOWN), seen)


def _before(found: Part, seen: Seen, added: Collection[str] = ()) -> Part:
    """Return what is known of a part of a table; `added` are columns that it will have."""
    name, columns = found.declaration.table, found.declaration.columns
    table = seen.tables.get(name)
    if table is None:
        if name in seen.taken:
            return replace(found, state=State.REFUSED, refusal=seen.no_table(name))
        return replace(found, state=State.NO_TABLE, near={str(name): seen.near_tables(name)})
    facts = seen.facts.get(table.oid)
    found = replace(found, table=table, facts=facts)
    if facts is None:
        return replace(found, refusal=Refusal(NOT_TRIED, _LOCKED))
    if missing := missing_columns(columns, facts, added):
        near = near_columns(missing, facts)
        return replace(found, state=State.NO_COLUMN, missing=missing, near=near)
    return found if facts.is_ours else replace(found, state=State.NOT_OURS)


def column_after(found: DeclaredColumn, answers: Sequence[Answer]) -> DeclaredColumn:
    """Return a declared column with its state, once the server was asked."""
    if not answers:
        return found
    if isinstance(answer := answers[0], Refusal):
        state = State.REFUSED if answer.sqlstate != NOT_TRIED else State.UNKNOWN
        return replace(found, state=state, refusal=answer)
    facts = found.facts
    assert facts is not None, "it was tried on a copy of its table"
    alike = _told(answers, "expression")
    found = replace(found, expression=alike[-1], type=answer["type"])
    existing = facts.columns.get(found.declaration.name)
    if existing is None:
        return replace(found, state=State.MISSING)
    wanted = (answer["type"], answer["generated"])
    same = (existing.type, existing.generated) == wanted and existing.expression in alike
    return replace(found, state=State.SAME if same else State.DIFFERENT, found=_described(existing))


def _told(answers: Sequence[Answer], key: str) -> list[str]:
    return [answer[key] for answer in answers if not isinstance(answer, Refusal)]


def _described(column: TableColumn) -> str:
    if not column.generated:
        return f"{column.type}, not generated"
    kind = "STORED" if column.generated == "s" else "VIRTUAL"
    return f"{column.type} GENERATED ALWAYS AS ({column.expression}) {kind}"
