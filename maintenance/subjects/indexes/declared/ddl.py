"""Steps that carry out declarations. Pure."""

from collections.abc import Iterable, Iterator

from maintenance.ddl.guards import require
from maintenance.engine.actions import Lock, LockMode, Step
from maintenance.names import QualifiedName, literal, quote
from maintenance.subjects.indexes.ddl import drop, locks_all
from maintenance.subjects.indexes.declared.models import (
    DeclaredCheck,
    DeclaredColumn,
    DeclaredIndex,
    OldIndex,
    Part,
)
from maintenance.subjects.indexes.models import Table


def create(
    found: DeclaredIndex,
    *,
    name: str | None = None,
    table: QualifiedName | None = None,
    only: bool = False,
    concurrently: bool = True,
) -> str:
    """Return the statement that creates a declared index, as the server writes its definition.

    Args:
        found: the declared index.
        name: another name.
        table: another table, such as a partition of its table.
        only: without the partitions of the table.
        concurrently: without blocking writers.
    """
    return found.declaration.create(
        name=name,
        table=table,
        only=only,
        concurrently=concurrently,
        definition=_with_tablespace(found),
    )


def build(found: DeclaredIndex, name: str, table: QualifiedName) -> Step:
    """Return the step that builds a declared index on a table without partitions."""
    statement = create(found, name=name, table=table)
    locks = (Lock(str(table), LockMode.SHARE_UPDATE_EXCLUSIVE),)
    makes = str(QualifiedName(table.schema, name))
    return Step(statements=(statement,), locks=locks, concurrent=True, makes=makes)


def build_parts(found: DeclaredIndex, table: QualifiedName) -> Iterator[Step]:
    """Yield the steps that build a declared index on a partitioned table without blocking writers.

    The partitions get their indexes first, concurrently. Those of partitioned tables are created
    without their partitions, and become valid when the last part is attached.
    """
    for part in found.parts:
        if part.is_leaf and not part.is_there:
            yield build(found, part.index.name, part.table.relation)
    if found.existing is None:
        yield _create_only(found, found.declaration.name, table)
    for part in reversed(found.parts):
        if not part.is_leaf and not part.is_there:
            yield _create_only(found, part.index.name, part.table.relation)
    yield from (_attach(part) for part in found.parts if not part.is_attached)


def _create_only(found: DeclaredIndex, name: str, table: QualifiedName) -> Step:
    statement = create(found, name=name, table=table, only=True, concurrently=False)
    locks = (Lock(str(table), LockMode.SHARE),)
    makes = str(QualifiedName(table.schema, name))
    return Step(statements=(statement,), locks=locks, makes=makes)


def _attach(part: Part) -> Step:
    """Return the step that attaches an index; planning of queries waits for it meanwhile."""
    statement = f"ALTER INDEX {part.parent_index} ATTACH PARTITION {part.index}"
    return Step(statements=(statement,), locks=(Lock(str(part.index), LockMode.ACCESS_EXCLUSIVE),))


def drop_unusable(index: QualifiedName, oid: int, table: QualifiedName) -> tuple[Step, ...]:
    """Return the steps that drop an unusable index without blocking readers and writers."""
    return _guard(index, oid, "NOT i.indisvalid"), _drop_concurrently(index, table)


def drop_old(old: OldIndex, partitions: Iterable[Table]) -> tuple[Step, ...]:
    """Return the steps that drop an index which a declaration drops or replaces.

    Args:
        old: the index.
        partitions: of its table, whose parts are dropped too, under the same locks.
    """
    index, table = old.index, old.table
    guard = _guard(index.relation, index.oid)
    if not locks_all(index):
        return guard, _drop_concurrently(index.relation, table.relation)
    tables = (table, *partitions)
    locks = tuple(Lock(str(each.relation), LockMode.ACCESS_EXCLUSIVE) for each in tables)
    return (Step(statements=(*guard.statements, drop(index, table)), locks=locks),)


def rename(index: QualifiedName, table: QualifiedName, name: str) -> Step:
    """Return the step that gives an index a name; it blocks no reader or writer."""
    statement = f"ALTER INDEX {index} RENAME TO {quote(name)}"
    locks = (Lock(str(table), LockMode.SHARE_UPDATE_EXCLUSIVE),)
    return Step(statements=(statement,), locks=locks)


def add_check(found: DeclaredCheck) -> Step:
    """Return the step that adds a constraint for new rows; the table is locked for a moment."""
    declared, facts = found.declaration, found.facts
    assert facts is not None, "its table exists"
    clause = declared.add
    if found.definition is not None:
        clause = f"ADD CONSTRAINT {quote(declared.name)} {found.definition}"
    statement = f"ALTER TABLE {declared.table} {clause} NOT VALID"
    locks = (Lock(str(declared.table), LockMode.ACCESS_EXCLUSIVE),)
    return Step(statements=(statement,), locks=locks, owner=facts.owner)


def validate_check(found: DeclaredCheck) -> Step:
    """Return the step that checks all rows; it blocks no reader or writer."""
    declared, facts = found.declaration, found.facts
    assert facts is not None, "its table exists"
    statement = f"ALTER TABLE {declared.table} VALIDATE CONSTRAINT {quote(declared.name)}"
    locks = (Lock(str(declared.table), LockMode.SHARE_UPDATE_EXCLUSIVE),)
    return Step(statements=(statement,), locks=locks, owner=facts.owner, is_long=True)


def add_column(found: DeclaredColumn) -> Step:
    """Return the step that adds a generated column; a stored one rewrites the table."""
    declared, facts = found.declaration, found.facts
    assert facts is not None, "its table exists"
    clause = declared.add
    if found.expression is not None and not declared.has_collation:
        kind = "VIRTUAL" if declared.is_virtual else "STORED"
        definition = f"{found.type} GENERATED ALWAYS AS ({found.expression}) {kind}"
        clause = f"ADD COLUMN {quote(declared.name)} {definition}"
    statement = f"ALTER TABLE {declared.table} {clause}"
    locks = (Lock(str(declared.table), LockMode.ACCESS_EXCLUSIVE),)
    is_long = not declared.is_virtual
    return Step(statements=(statement,), locks=locks, owner=facts.owner, is_long=is_long)


def _guard(index: QualifiedName, oid: int, state: str = "true") -> Step:
    guard = require(
        f"EXISTS (SELECT FROM pg_catalog.pg_index i WHERE {state} AND i.indexrelid = {oid}"
        f" AND i.indexrelid = pg_catalog.to_regclass({literal(str(index))}))",
        f"{index} is not the index that was observed",
    )
    return Step(statements=(guard,))


def _drop_concurrently(index: QualifiedName, table: QualifiedName) -> Step:
    statement = f"DROP INDEX CONCURRENTLY {index}"
    locks = (Lock(str(table), LockMode.SHARE_UPDATE_EXCLUSIVE),)
    return Step(statements=(statement,), locks=locks, concurrent=True)


def _with_tablespace(found: DeclaredIndex) -> str | None:
    """Return the definition behind USING with the declared tablespace; None if it is unknown."""
    space = found.declaration.tablespace
    if found.definition is None or space is None:
        return found.definition
    where = f" WHERE {found.predicate}" if found.predicate is not None else ""
    return f"{found.definition.removesuffix(where)} TABLESPACE {quote(space)}{where}"
