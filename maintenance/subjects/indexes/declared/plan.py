"""Plan for declared indexes: what is built, dropped and validated, in waves. Pure."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from maintenance.engine.actions import Action, ActionKind
from maintenance.engine.plan import Plan
from maintenance.engine.scope import Request
from maintenance.formatting import PAGE_BYTES
from maintenance.subjects.indexes.declared.ddl import build, drop_steps
from maintenance.subjects.indexes.declared.findings import declared_findings
from maintenance.subjects.indexes.declared.models import (
    DeclaredIndex,
    DeclaredObservation,
    State,
)
from maintenance.subjects.indexes.models import Catalog


def plan_declared(seen: DeclaredObservation, catalog: Catalog, request: Request) -> Plan:
    """Return the rollout of the declarations and what is wrong with them.

    Args:
        seen: the declarations, compared with the database.
        catalog: all indexes and tables.
        request: limits it to tables.
    """
    wanted = [each for each in seen.indexes if request.includes(each.declaration.table)]
    waves: dict[int, list[Action]] = {}
    for each in wanted:
        actions = list(_actions(each, catalog))
        if actions:
            waves.setdefault(each.declaration.wave, []).extend(actions)
    ordered: list[Action] = []
    before: tuple[str, ...] = ()
    for wave in sorted(waves):
        actions = [replace(each, after=(*before, *each.after)) for each in waves[wave]]
        ordered += actions
        before = tuple(each.id for each in actions)
    return Plan(tuple(ordered), tuple(declared_findings(wanted)))


def _actions(found: DeclaredIndex, catalog: Catalog) -> Iterator[Action]:
    """Yield the actions that make one declared index what is declared."""
    if found.state is State.INVALID:
        cleaning = _drop_invalid(found)
        yield cleaning
        yield replace(_create(found, catalog), after=(cleaning.id,))
    elif found.state is State.MISSING or _may_be_built(found):
        yield _create(found, catalog)


def _may_be_built(found: DeclaredIndex) -> bool:
    """Whether it is missing and could only not be tried before: the server refuses it if wrong."""
    return (
        found.state is State.UNKNOWN
        and found.table is not None
        and found.facts is not None
        and found.existing is None
    )


def _create(found: DeclaredIndex, catalog: Catalog) -> Action:
    declaration, table = found.declaration, found.table
    assert table is not None, "an index is built on a table"
    return Action(
        ActionKind.CREATE_INDEX,
        str(declaration.relation),
        (build(found, declaration.name, table.relation),),
        f"declared in {declaration.place} and missing",
        table=str(table.relation),
        preconditions={"oid": table.oid, "definition": found.definition, "leaves": {}},
        detail=_detail(found, catalog),
    )


def _detail(found: DeclaredIndex, _catalog: Catalog) -> dict[str, Any]:
    notes = found.declaration.annotations
    assert found.table is not None, "an index is built on a table"
    return {
        "wave": found.declaration.wave,
        "serves": list(notes.serves),
        "expect": notes.expect,
        "replaces": [str(name) for name in notes.replaces],
        "relation_bytes": found.table.pages * PAGE_BYTES,
    }


def _drop_invalid(found: DeclaredIndex) -> Action:
    existing, table = found.existing, found.table
    assert existing is not None, "it is invalid"
    assert table is not None, "it is on a table"
    return Action(
        ActionKind.DROP_INVALID_INDEX,
        str(existing.relation),
        drop_steps(existing.relation, existing.oid, table.relation, valid=False),
        "build incomplete: maintained on writes but not usable; it is built again",
        table=str(table.relation),
        preconditions={"oid": existing.oid},
    )
