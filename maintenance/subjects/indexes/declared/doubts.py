"""What is doubtful about declarations that the server accepts. Pure."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.names import quote
from maintenance.subjects.indexes.declared.common_findings import finding, guess
from maintenance.subjects.indexes.declared.models import (
    DeclaredColumn,
    DeclaredDrop,
    DeclaredIndex,
    State,
    TableFacts,
)
from maintenance.subjects.indexes.definition_checks import MAX_ENTRY_BYTES, constant_keys
from maintenance.subjects.indexes.models import Column

_WANTED = frozenset({State.MISSING, State.DIFFERENT, State.INVALID})


def index_doubts(found: DeclaredIndex) -> Iterator[Finding]:
    """Yield what is doubtful about a declared index.

    Of one that is not to be built now it is only what it replaces; built ones get other advice.
    """
    if found.state in _WANTED and found.facts is not None:
        yield from _wide(found)
        yield from _constant(found)
    yield from _doubtful(found)


def column_doubts(found: DeclaredColumn) -> Iterator[Finding]:
    """Yield what is doubtful about a generated column that is to be added."""
    if found.state is not State.MISSING or found.facts is None:
        return
    declared = found.declaration
    nullable = _nullable(declared.joined, found.facts)
    if nullable:
        text = _null_text(nullable)
        reasons = {"null_in_expression": list(nullable)}
        kind = FindingKind.INDEX_DECLARATION_DOUBTFUL
        yield finding(kind, Severity.WARN, declared.object, declared, text, reasons=reasons)


def _wide(found: DeclaredIndex) -> Iterator[Finding]:
    declared, widest = found.declaration, found.rows.widest
    if widest is None or widest <= MAX_ENTRY_BYTES // 2:
        return
    is_over = widest > MAX_ENTRY_BYTES
    ends = "the build fails unless they compress to less" if is_over else "longer ones are refused"
    text = (
        f"its columns without a limit have values of {widest:,} bytes in one row, and an entry"
        f" takes at most {MAX_ENTRY_BYTES:,}: {ends}; index a hash or a part of the value, or take"
        " the column out of INCLUDE"
    )
    severity = Severity.WARN if is_over else Severity.INFO
    told = finding(
        FindingKind.INDEX_WIDE_KEY,
        severity,
        str(declared.relation),
        declared,
        text,
        reason="values",
    )
    yield replace(told, value=widest, threshold=MAX_ENTRY_BYTES)


def _constant(found: DeclaredIndex) -> Iterator[Finding]:
    declared, built, table, facts = found.declaration, found.built, found.table, found.facts
    if not built or table is None or facts is None:
        return
    columns = {each.number: Column(each.name) for each in facts.columns.values()}
    constant = constant_keys(built[-1], table._replace(columns=columns))
    if constant:
        text = f"its predicate makes {', '.join(constant)} constant; remove it from the keys"
        kind, name = FindingKind.INDEX_PREDICATE_IN_KEY, str(declared.relation)
        yield finding(kind, Severity.INFO, name, declared, text, keys=constant)


class _Doubt(NamedTuple):
    """One reason why a declaration may not do what is meant."""

    reason: str
    about: list[str]
    text: str
    is_warning: bool = True


def _doubtful(found: DeclaredIndex) -> Iterator[Finding]:
    doubts = list(_unknown(found))
    if found.state in _WANTED and found.facts is not None:
        doubts = [*_doubts(found, found.facts), *doubts]
    if not doubts:
        return
    severity = Severity.WARN if any(doubt.is_warning for doubt in doubts) else Severity.INFO
    yield finding(
        FindingKind.INDEX_DECLARATION_DOUBTFUL,
        severity,
        str(found.declaration.relation),
        found.declaration,
        "; ".join(doubt.text for doubt in doubts),
        reasons={doubt.reason: doubt.about for doubt in doubts},
        near={name: list(likely) for name, likely in found.unknown.items()},
    )


def _doubts(found: DeclaredIndex, facts: TableFacts) -> Iterator[_Doubt]:
    declared = found.declaration
    if always := _always_true(found, facts):
        text = f"its predicate is always true, because {always} is NOT NULL: leave it out"
        yield _Doubt("predicate_always_true", [always], text)
    if nullable := _nullable(declared.joined, facts):
        yield _Doubt("null_in_expression", list(nullable), _null_text(nullable))
    if whole := _compared_whole(found, facts):
        text = (
            f"a {declared.method} index compares {', '.join(whole)} as a whole, and does not find"
            " what it contains (@>, &&, = ANY of the column): use GIN for that"
        )
        yield _Doubt("contained_not_found", whole, text, is_warning=False)
    if unread := found.rows.unread:
        text = f"whether the rows fit is unknown ({unread}); the build fails if they do not"
        yield _Doubt("rows_unread", [unread], text)
    if found.upserts:
        text = (
            f"INSERT ... ON CONFLICT was called {found.upserts:,} times on {declared.table}: up to"
            " PostgreSQL 18 it can fail with a false unique violation during the build; build it"
            " while such statements pause, or let the application retry them"
        )
        yield _Doubt("upserts", [str(declared.table)], text)


def _unknown(found: DeclaredIndex) -> Iterator[_Doubt]:
    """Yield that an index to replace does not exist: mistyped, or gone already."""
    if not found.unknown:
        return
    named = ", ".join(f"{name}{guess(likely)}" for name, likely in found.unknown.items())
    text = (
        f"it replaces {named}, which does not exist, so nothing is dropped: correct the name, or"
        " remove the line -- replaces:"
    )
    is_likely = found.state is not State.SAME and any(found.unknown.values())
    yield _Doubt("replaces_unknown", list(found.unknown), text, is_likely)


def drop_doubt(found: DeclaredDrop) -> Iterator[Finding]:
    """Yield that an index to drop does not exist, while there is one of almost the same name."""
    if not found.near:
        return
    declared = found.declaration
    name, near = str(declared.relation), list(found.near)
    text = (
        f"{name}: dropped in {declared.place}, and does not exist{guess(near)}; correct the name,"
        " or remove the statement"
    )
    kind = FindingKind.INDEX_DECLARATION_DOUBTFUL
    data = {
        "declared": str(declared.place),
        "reasons": {"drop_unknown": [name]},
        "near": {name: near},
    }
    yield Finding(kind, Severity.INFO, name, text, data=data)


def _null_text(nullable: tuple[str, ...]) -> str:
    named = ", ".join(nullable)
    return (
        f"its expression is null where {named} is null, so that such rows are not found: write"
        f" coalesce({nullable[0]}, '')"
    )


def _nullable(names: tuple[str, ...], facts: TableFacts) -> tuple[str, ...]:
    return tuple(
        name for name in names if name in facts.columns and not facts.columns[name].is_not_null
    )


def _compared_whole(found: DeclaredIndex, facts: TableFacts) -> list[str]:
    """Return the keys of a B-tree or hash index that are arrays or jsonb."""
    declared = found.declaration
    if declared.method not in ("btree", "hash"):
        return []
    names = [each.column for each in declared.keys if each.column is not None]
    types = {name: facts.columns[name].type for name in names if name in facts.columns}
    return [name for name, type_ in types.items() if type_.endswith(("[]", "jsonb"))]


def _always_true(found: DeclaredIndex, facts: TableFacts) -> str:
    """Return the column of a predicate `column IS NOT NULL` that is declared NOT NULL; else ''."""
    for name, column in facts.columns.items():
        if column.is_not_null and found.predicate == f"({quote(name)} IS NOT NULL)":
            return name
    return ""
