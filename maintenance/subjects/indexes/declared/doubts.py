"""What is doubtful about declarations that the server accepts. Pure."""

from collections.abc import Iterator
from dataclasses import replace

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.names import quote
from maintenance.subjects.indexes.declared.common_findings import finding
from maintenance.subjects.indexes.declared.models import (
    DeclaredColumn,
    DeclaredIndex,
    State,
    TableFacts,
)
from maintenance.subjects.indexes.definition_checks import MAX_ENTRY_BYTES, constant_keys
from maintenance.subjects.indexes.models import Column

_WANTED = frozenset({State.MISSING, State.DIFFERENT, State.INVALID})


def index_doubts(found: DeclaredIndex) -> Iterator[Finding]:
    """Yield what is doubtful about an index that is to be built; built ones get other advice."""
    if found.state not in _WANTED or found.facts is None:
        return
    yield from _wide(found)
    yield from _constant(found)
    yield from _doubtful(found, found.facts)


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


def _doubtful(found: DeclaredIndex, facts: TableFacts) -> Iterator[Finding]:
    declared = found.declaration
    reasons: dict[str, list[str]] = {}
    texts: list[str] = []
    if always := _always_true(found, facts):
        reasons["predicate_always_true"] = [always]
        texts.append(f"its predicate is always true, because {always} is NOT NULL: leave it out")
    if nullable := _nullable(declared.joined, facts):
        reasons["null_in_expression"] = list(nullable)
        texts.append(_null_text(nullable))
    if found.rows.unread:
        reasons["rows_unread"] = [found.rows.unread]
        texts.append(
            f"whether the rows fit is unknown ({found.rows.unread}); the build fails if they do not"
        )
    if found.upserts:
        reasons["upserts"] = [str(declared.table)]
        texts.append(
            f"INSERT ... ON CONFLICT was called {found.upserts:,} times on {declared.table}: up to"
            " PostgreSQL 18 it can fail with a false unique violation during the build; build it"
            " while such statements pause, or let the application retry them"
        )
    if texts:
        kind, name = FindingKind.INDEX_DECLARATION_DOUBTFUL, str(declared.relation)
        text = "; ".join(texts)
        yield finding(kind, Severity.WARN, name, declared, text, reasons=reasons)


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


def _always_true(found: DeclaredIndex, facts: TableFacts) -> str:
    """Return the column of a predicate `column IS NOT NULL` that is declared NOT NULL; else ''."""
    for name, column in facts.columns.items():
        if column.is_not_null and found.predicate == f"({quote(name)} IS NOT NULL)":
            return name
    return ""
