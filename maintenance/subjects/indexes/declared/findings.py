"""What is wrong with the declarations of a policy, as findings. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.subjects.indexes.declared.models import DeclaredIndex, State


def declared_findings(declared: Iterable[DeclaredIndex]) -> Iterator[Finding]:
    """Yield one finding for each declared index that is not as declared."""
    for each in declared:
        tell = _TELLERS.get(each.state)
        if tell is not None:
            yield tell(each)


def _finding(
    kind: FindingKind, severity: Severity, about: DeclaredIndex, text: str, **data: Any
) -> Finding:
    declaration = about.declaration
    name = str(declaration.relation)
    facts = {
        "table": str(declaration.table),
        "declared": str(declaration.place),
        "wave": declaration.wave,
        **data,
    }
    return Finding(kind, severity, name, f"{name}: {text}", data=facts)


def _missing(found: DeclaredIndex) -> Finding:
    text = f"declared in {found.declaration.place} and missing; apply builds it concurrently"
    return _finding(FindingKind.INDEX_MISSING, Severity.WARN, found, text)


def _different(found: DeclaredIndex) -> Finding:
    text = (
        f"exists with another definition than declared in {found.declaration.place}: found"
        f" {found.found}, wanted {found.definition}; correct the file, or give the declared index"
        " another name and let it replace this one with a line -- replaces: above it"
    )
    return _finding(
        FindingKind.INDEX_DEFINITION_DRIFT,
        Severity.WARN,
        found,
        text,
        reason="definition",
        found=found.found,
        wanted=found.definition,
    )


def _taken(found: DeclaredIndex) -> Finding:
    text = f"the name is taken by {found.taken_by}; rename that, or give the declared index another"
    return _finding(
        FindingKind.INDEX_DEFINITION_DRIFT, Severity.ERROR, found, text, reason="name_taken"
    )


def _no_table(found: DeclaredIndex) -> Finding:
    wanted = str(found.declaration.table)
    near = list(found.near.get(wanted, ()))
    text = f"declared on table {wanted}, which does not exist{_guess(near)}; not built"
    return _finding(
        FindingKind.SCHEMA_DRIFT, Severity.ERROR, found, text, missing=[wanted], near={wanted: near}
    )


def _no_column(found: DeclaredIndex) -> Finding:
    near = {name: list(found.near.get(name, ())) for name in found.missing}
    named = ", ".join(f"{name}{_guess(near[name])}" for name in found.missing)
    text = f"{found.declaration.table} has no column {named}; not built"
    return _finding(
        FindingKind.SCHEMA_DRIFT,
        Severity.ERROR,
        found,
        text,
        missing=list(found.missing),
        near=near,
    )


def _guess(near: Iterable[str]) -> str:
    guess = next(iter(near), None)
    return f" (did you mean {guess}?)" if guess is not None else ""


def _refused(found: DeclaredIndex) -> Finding:
    refusal = found.refusal
    assert refusal is not None, "the server refused it"
    hint = f" ({refusal.hint})" if refusal.hint else ""
    text = f"the server refuses the definition: {refusal.message}{hint}; not built"
    return _finding(
        FindingKind.INDEX_NOT_BUILDABLE,
        Severity.ERROR,
        found,
        text,
        reason="refused",
        sqlstate=refusal.sqlstate,
    )


def _covered(found: DeclaredIndex) -> Finding:
    kind = FindingKind.INDEX_DUPLICATE if found.is_equal else FindingKind.INDEX_REDUNDANT
    text = (
        f"declared in {found.declaration.place} and not built: {found.covered_by} does all that it"
        " would; remove the declaration, or replace that index with a line -- replaces: above it"
    )
    return _finding(kind, Severity.INFO, found, text, covered_by=str(found.covered_by))


def _not_ours(found: DeclaredIndex) -> Finding:
    assert found.facts is not None, "its table exists"
    owner = found.facts.owner
    text = (
        f"declared on {found.declaration.table} of role {owner}, whose rights our role does not"
        " have; not built"
    )
    return _finding(FindingKind.PRIVILEGE_MISSING, Severity.ERROR, found, text, owner=owner)


_TELLERS: Mapping[State, Callable[[DeclaredIndex], Finding]] = {
    State.MISSING: _missing,
    State.DIFFERENT: _different,
    State.NAME_TAKEN: _taken,
    State.NO_TABLE: _no_table,
    State.NO_COLUMN: _no_column,
    State.REFUSED: _refused,
    State.COVERED: _covered,
    State.NOT_OURS: _not_ours,
}
