"""Findings that all kinds of declarations can have. Pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from maintenance.engine.findings import UNKNOWN, Finding, FindingKind, Severity
from maintenance.names import QualifiedName, quote
from maintenance.policy.declarations import Place
from maintenance.subjects.indexes.declared.models import Refusal, State, TableFacts


class Declared(Protocol):
    """A declared index, constraint or column."""

    @property
    def table(self) -> QualifiedName:
        """Its table."""
        ...

    @property
    def place(self) -> Place:
        """Where it is declared."""
        ...


class Compared(Protocol):
    """A declaration that was compared with the database."""

    @property
    def state(self) -> State:
        """What it is."""
        ...

    @property
    def facts(self) -> TableFacts | None:
        """Of its table; None if there is none."""
        ...

    @property
    def missing(self) -> tuple[str, ...]:
        """Columns that the table lacks."""
        ...

    @property
    def near(self) -> Mapping[str, Sequence[str]]:
        """Names that are much like missing ones."""
        ...

    @property
    def refusal(self) -> Refusal | None:
        """Why the server refuses it, or why it could not be tried."""
        ...


KINDS = (
    FindingKind.INDEX_MISSING,
    FindingKind.INDEX_DEFINITION_DRIFT,
    FindingKind.INDEX_NOT_BUILDABLE,
    FindingKind.CONSTRAINT_MISSING,
    FindingKind.CONSTRAINT_VIOLATED,
    FindingKind.COLUMN_MISSING,
)
"""Kinds whose state is unknown of a declaration that could not be compared."""


def finding(
    kind: FindingKind,
    severity: Severity,
    name: str,
    declared: Declared,
    text: str,
    *,
    promise: str = "",
    **data: Any,
) -> Finding:
    """Return a finding of a declaration.

    Args:
        kind: the kind.
        severity: the severity.
        name: its object.
        declared: the declaration.
        text: the message behind the name.
        promise: what the next run does about it, at the end of the message.
        data: further facts.
    """
    facts = {"table": str(declared.table), "declared": str(declared.place), **data}
    end = f"; {promise}" if promise else ""
    return Finding(kind, severity, name, f"{name}: {text}{end}", data=facts, promise=promise)


def common(name: str, declared: Declared, found: Compared) -> Finding | None:
    """Return the finding of a state that every kind of declaration can have; None of others.

    Args:
        name: its object.
        declared: the declaration.
        found: what it is in the database.
    """
    tell = _TELLERS.get(found.state)
    return tell(name, declared, found) if tell is not None else None


def guess(near: Sequence[str]) -> str:
    """Return the nearest name as a question in parentheses; empty if none is near."""
    return f" (did you mean {near[0]}?)" if near else ""


def _no_table(name: str, declared: Declared, found: Compared) -> Finding:
    wanted = str(declared.table)
    near = list(found.near.get(wanted, ()))
    text = f"declared on table {wanted}, which does not exist{guess(near)}; not carried out"
    return _drift(name, declared, text, [wanted], {wanted: near})


def _no_column(name: str, declared: Declared, found: Compared) -> Finding:
    near = {each: list(found.near.get(each, ())) for each in found.missing}
    named = ", ".join(f"{each}{guess(near[each])}" for each in found.missing)
    text = f"{declared.table} has no column {named}; not carried out"
    return _drift(name, declared, text, list(found.missing), near)


def _drift(
    name: str,
    declared: Declared,
    text: str,
    missing: Sequence[str],
    near: Mapping[str, Sequence[str]],
) -> Finding:
    kind, severity = FindingKind.SCHEMA_DRIFT, Severity.ERROR
    return finding(kind, severity, name, declared, text, missing=missing, near=near)


def _refused(name: str, declared: Declared, found: Compared) -> Finding:
    refusal = found.refusal
    assert refusal is not None, "the server refused it"
    hint = f" ({refusal.hint})" if refusal.hint else ""
    text = f"the server refuses the definition: {refusal.message}{hint}; not carried out"
    data: dict[str, Any] = {"reason": "refused", "sqlstate": refusal.sqlstate, **refusal.facts}
    kind = FindingKind.INDEX_NOT_BUILDABLE
    return finding(kind, Severity.ERROR, name, declared, text, **data)


def _not_ours(name: str, declared: Declared, found: Compared) -> Finding:
    assert found.facts is not None, "its table exists"
    owner, schema = found.facts.owner, quote(declared.table.schema)
    kind = FindingKind.PRIVILEGE_MISSING
    if found.facts.is_ours:
        text = (
            f"our role may not create an index in schema {schema}; not carried out: GRANT CREATE ON"
            f" SCHEMA {schema} to it"
        )
        return finding(kind, Severity.ERROR, name, declared, text, schema=schema)
    text = (
        f"declared on {declared.table} of role {owner}, whose rights our role does not have; not"
        f" carried out: run {found.facts.right}"
    )
    data: dict[str, Any] = {"owner": owner, "is_superuser": found.facts.is_superusers}
    data["grants"] = [found.facts.right]
    return finding(kind, Severity.ERROR, name, declared, text, **data)


def _unknown(name: str, declared: Declared, found: Compared) -> Finding:
    refusal = found.refusal
    why = refusal.message if refusal is not None else "the reason is unknown"
    hint = f" ({refusal.hint})" if refusal is not None and refusal.hint else ""
    text = f"not compared with its declaration: {why}{hint}"
    data: dict[str, Any] = {UNKNOWN: {kind.value: [name] for kind in KINDS}}
    kind = FindingKind.MONITOR_BLIND
    return finding(kind, Severity.WARN, name, declared, text, **data)


_TELLERS: Mapping[State, Callable[[str, Declared, Compared], Finding]] = {
    State.NO_TABLE: _no_table,
    State.NO_COLUMN: _no_column,
    State.REFUSED: _refused,
    State.NOT_OURS: _not_ours,
    State.UNKNOWN: _unknown,
}
