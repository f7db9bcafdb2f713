"""What is wrong with the declarations of a policy, as findings. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.formatting import readable_size, readable_span
from maintenance.names import quote
from maintenance.subjects.indexes.declared.common_findings import common, finding
from maintenance.subjects.indexes.declared.doubts import column_doubts, drop_doubt, index_doubts
from maintenance.subjects.indexes.declared.models import (
    MAX_COUNTED,
    DeclaredCheck,
    DeclaredColumn,
    DeclaredDrop,
    DeclaredIndex,
    DeclaredObservation,
    OldIndex,
    State,
)

_LOST = "its column %s can't be added, see the finding of the column"


def declared_findings(seen: DeclaredObservation) -> Iterator[Finding]:
    """Yield the findings of all declarations; an object has one of each kind."""
    added = {
        (each.declaration.table, each.declaration.name)
        for each in seen.columns
        if each.state is State.MISSING
    }
    for index in seen.indexes:
        table = index.declaration.table
        lost = [name for name in index.waits_for if (table, name) not in added]
        yield from _of_index(index, lost)
    yield from chain.from_iterable(map(_of_drop, seen.drops))
    for check in seen.checks:
        table = check.declaration.table
        yield from _of_check(check, [n for n in check.waits_for if (table, n) not in added])
    yield from chain.from_iterable(map(_of_column, seen.columns))


def _of_index(found: DeclaredIndex, lost: Sequence[str]) -> Iterator[Finding]:
    """Yield the findings of a declared index.

    Args:
        found: the index.
        lost: declared columns that it needs and that can't be added.
    """
    declared = found.declaration
    general = common(str(declared.relation), declared, found)
    if general is not None:
        yield general
    elif lost and found.state in (State.MISSING, State.INCOMPLETE):
        yield _waiting(found, lost)
    elif (tell := _INDEX.get(found.state)) is not None:
        yield tell(found)
    yield from index_doubts(found)
    for old in found.replaced:
        if old.obstacle:
            yield _not_droppable(old, f"replaced by {declared.relation} in {declared.place}")


def _missing(found: DeclaredIndex) -> Finding:
    if found.rows.n_duplicates:
        return _duplicates(found, found.rows.n_duplicates)
    declared = found.declaration
    kind, severity = FindingKind.INDEX_MISSING, Severity.WARN
    if found.is_succeeded and found.successor is not None:
        text = f"declared in {declared.place}, and built as {found.successor.relation}"
        promise = "the next apply gives it its name"
        return _index_finding(kind, severity, found, text, promise=promise)
    text = f"declared in {declared.place} and missing"
    promise = "the next apply builds it concurrently"
    if found.waits_for:
        text += f", and so is its column {', '.join(found.waits_for)}"
        promise = "the next apply adds the column and then builds it concurrently"
    if found.state is State.INVALID:
        text = f"declared in {declared.place} and not usable: its build did not end"
        promise = "the next apply drops it and builds it again, concurrently"
    return _index_finding(kind, severity, found, text, promise=promise)


def _waiting(found: DeclaredIndex, lost: Sequence[str]) -> Finding:
    place = found.declaration.place
    text = f"declared in {place} and missing; not built: {_LOST % ', '.join(lost)}"
    kind = FindingKind.INDEX_MISSING
    return _index_finding(kind, Severity.WARN, found, text, waits_for=list(lost))


def _duplicates(found: DeclaredIndex, n: int) -> Finding:
    declared = found.declaration
    many = f"at least {n:,}" if n >= MAX_COUNTED else f"{n:,}"
    text = (
        f"{many} keys are there more than once in {declared.table}, such as"
        f" {'; '.join(found.rows.duplicates)}; not built until they are corrected"
    )
    kind = FindingKind.INDEX_NOT_BUILDABLE
    keys = list(found.rows.duplicates)
    told = _index_finding(kind, Severity.ERROR, found, text, reason="duplicates", keys=keys)
    return replace(told, value=n, threshold=0)


def _incomplete(found: DeclaredIndex) -> Finding:
    lacking = [str(each.table.relation) for each in found.parts if not each.is_attached]
    text = (
        f"declared in {found.declaration.place}, and {len(lacking)} of {len(found.parts)}"
        " partitions lack it"
    )
    kind, promise = FindingKind.INDEX_MISSING, "the next apply builds and attaches them"
    return _index_finding(kind, Severity.WARN, found, text, promise=promise, partitions=lacking)


def _building(found: DeclaredIndex) -> Finding:
    text = "another session builds it now; the next run compares it again"
    return _index_finding(FindingKind.INDEX_MISSING, Severity.INFO, found, text, building=True)


def _different(found: DeclaredIndex) -> Finding:
    declared = found.declaration
    kind, severity = FindingKind.INDEX_DEFINITION_DRIFT, Severity.WARN
    text = (
        f"exists with another definition than in {declared.place}: found {_found(found)}, wanted"
        f" {_wanted(found)}"
    )
    if found.table is not None and found.table.kind == "p":
        text += (
            "; correct the file, or give the new index another name and write"
            f" -- replaces: {declared.name} above the statement: on a partitioned table the name"
            " can't be taken over"
        )
    elif declared.relation not in declared.annotations.replaces:
        text += (
            f"; correct the file, or write -- replaces: {declared.name} above the statement to have"
            " it replaced"
        )
    elif found.taken_by:
        text += f"; it can't be replaced, because there is {found.taken_by}: drop that first"
    if found.covered_by is not None:
        text += f"; {found.covered_by} does already all that the declared index would"
    return _index_finding(
        kind,
        severity,
        found,
        text,
        reason="definition",
        found=_found(found),
        wanted=_wanted(found),
        covered_by=str(found.covered_by) if found.covered_by is not None else None,
    )


def _found(found: DeclaredIndex) -> str:
    existing = found.existing
    assert existing is not None, "it has the name"
    assert found.facts is not None, "its table exists"
    space = existing.tablespace or found.facts.default_tablespace
    return _shown(found.found, space if found.declaration.tablespace else None, existing.is_unique)


def _wanted(found: DeclaredIndex) -> str:
    declared = found.declaration
    return _shown(found.definition, declared.tablespace, declared.is_unique)


def _shown(definition: str | None, tablespace: str | None, is_unique: bool) -> str:
    unique = "UNIQUE " if is_unique else ""
    return f"{unique}{definition}" + (f" TABLESPACE {quote(tablespace)}" if tablespace else "")


def _taken(found: DeclaredIndex) -> Finding:
    kind, severity = FindingKind.INDEX_DEFINITION_DRIFT, Severity.ERROR
    text = f"the name is taken by {found.taken_by}; rename that, or give the declared index another"
    return _index_finding(kind, severity, found, text, reason="name_taken")


def _covered(found: DeclaredIndex) -> Finding:
    kind = FindingKind.INDEX_DUPLICATE if found.is_equal else FindingKind.INDEX_REDUNDANT
    text = (
        f"declared in {found.declaration.place} and not built: {found.covered_by} does all that it"
        f" would; remove the declaration, or write -- replaces: {found.covered_by} above it"
    )
    return _index_finding(kind, Severity.INFO, found, text, covered_by=str(found.covered_by))


def _not_supported(found: DeclaredIndex) -> Finding:
    n_foreign = found.facts.n_foreign if found.facts is not None else 0
    text = (
        f"{n_foreign} partitions of {found.declaration.table} are foreign tables, which have no"
        " indexes, so that it can't be built without blocking writers; not built: create it by"
        " hand, in a quiet hour"
    )
    kind = FindingKind.INDEX_NOT_BUILDABLE
    return _index_finding(kind, Severity.ERROR, found, text, reason="foreign_partitions")


def _index_finding(
    kind: FindingKind,
    severity: Severity,
    about: DeclaredIndex,
    text: str,
    *,
    promise: str = "",
    **data: Any,
) -> Finding:
    declared = about.declaration
    name, wave = str(declared.relation), declared.wave
    return finding(kind, severity, name, declared, text, promise=promise, wave=wave, **data)


_INDEX: Mapping[State, Callable[[DeclaredIndex], Finding]] = {
    State.MISSING: _missing,
    State.INVALID: _missing,
    State.INCOMPLETE: _incomplete,
    State.BUILDING: _building,
    State.DIFFERENT: _different,
    State.NAME_TAKEN: _taken,
    State.COVERED: _covered,
    State.NOT_SUPPORTED: _not_supported,
}


# Drops


def _of_drop(found: DeclaredDrop) -> Iterator[Finding]:
    declared = found.declaration
    yield from drop_doubt(found)
    if found.old is not None and found.old.obstacle:
        yield _not_droppable(found.old, f"dropped in {declared.place}")
    if found.taken_by:
        name = str(declared.relation)
        text = f"{name}: dropped in {declared.place}, and is {found.taken_by}; nothing is dropped"
        data = {"declared": str(declared.place), "reason": "name_taken"}
        kind = FindingKind.INDEX_DEFINITION_DRIFT
        yield Finding(kind, Severity.ERROR, name, text, data=data)


def _not_droppable(old: OldIndex, why: str) -> Finding:
    name = str(old.index.relation)
    data = {"table": str(old.table.relation), "reason": old.obstacle}
    text = f"{name}: {why}, and kept: {old.message}"
    return Finding(FindingKind.INDEX_NOT_DROPPABLE, Severity.WARN, name, text, data=data)


# Constraints


def _of_check(found: DeclaredCheck, lost: Sequence[str]) -> Iterator[Finding]:
    """Yield the finding of a declared constraint; `lost` as of an index."""
    declared = found.declaration
    name = declared.object
    if (general := common(name, declared, found)) is not None:
        yield general
    elif found.state is State.DIFFERENT:
        kind = FindingKind.INDEX_DEFINITION_DRIFT
        text = (
            f"exists with another definition than in {declared.place}: found {found.found}, wanted"
            f" {found.definition}; correct the file, or drop the constraint by hand"
        )
        data = {"reason": "definition", "found": found.found, "wanted": found.definition}
        yield finding(kind, Severity.WARN, name, declared, text, **data)
    elif lost and found.state is State.MISSING:
        text = f"declared in {declared.place} and missing; not added: {_LOST % ', '.join(lost)}"
        kind = FindingKind.CONSTRAINT_MISSING
        data: dict[str, Any] = {"is_there": False, "waits_for": list(lost)}
        yield finding(kind, Severity.WARN, name, declared, text, **data)
    elif found.state in (State.MISSING, State.INCOMPLETE):
        yield _violated(found) if found.n_violators else _no_constraint(found)


def _no_constraint(found: DeclaredCheck) -> Finding:
    declared = found.declaration
    is_there = found.state is State.INCOMPLETE
    what = "not validated: older rows may violate it" if is_there else "missing"
    does = "validates it" if is_there else "adds and validates it"
    text, promise = f"declared in {declared.place} and {what}", f"the next apply {does}"
    kind, name = FindingKind.CONSTRAINT_MISSING, declared.object
    return finding(kind, Severity.WARN, name, declared, text, promise=promise, is_there=is_there)


def _violated(found: DeclaredCheck) -> Finding:
    declared, n = found.declaration, found.n_violators
    keys = f", such as {', '.join(found.violators)}" if found.violators else ""
    text = (
        f"{n:,} rows of {declared.table} violate it{keys}; it is not added until they are"
        " corrected: every later update of them would be refused"
    )
    kind, keys = FindingKind.CONSTRAINT_VIOLATED, list(found.violators)
    told = finding(kind, Severity.ERROR, declared.object, declared, text, keys=keys)
    return replace(told, value=n, threshold=0)


# Columns


def _of_column(found: DeclaredColumn) -> Iterator[Finding]:
    declared = found.declaration
    name = declared.object
    if (general := common(name, declared, found)) is not None:
        yield general
    elif found.state is State.DIFFERENT:
        kind = FindingKind.INDEX_DEFINITION_DRIFT
        wanted = f"{found.type} GENERATED ALWAYS AS ({found.expression})"
        text = (
            f"exists with another definition than in {declared.place}: found {found.found}, wanted"
            f" {wanted}; correct the file, or change the column by hand"
        )
        data: dict[str, Any] = {"reason": "definition", "found": found.found, "wanted": wanted}
        yield finding(kind, Severity.WARN, name, declared, text, **data)
    elif found.state is State.MISSING:
        yield _no_column(found)
        yield from column_doubts(found)


def _no_column(found: DeclaredColumn) -> Finding:
    declared, size, span = found.declaration, found.bytes, found.locked
    text = f"declared in {declared.place} and missing"
    if not declared.is_virtual:
        text += (
            f"; adding it rewrites {declared.table} ({readable_size(size)}), and blocks readers and"
            f" writers for about {readable_span(span)}, so that it needs indexes.allow_rewrite"
        )
    if found.type == "tsvector":
        text += "; a GIN index on the expression itself finds the same and rewrites nothing"
    kind = FindingKind.COLUMN_MISSING
    return finding(
        kind,
        Severity.WARN,
        declared.object,
        declared,
        text,
        promise="the next apply adds it",
        rewrites=not declared.is_virtual,
        relation_bytes=size,
        locked_s=span.total_seconds(),
    )
