"""Statements that carry out declared indexes."""

from maintenance.ddl.guards import require
from maintenance.engine.actions import Lock, LockMode, Step
from maintenance.names import QualifiedName, literal, quote
from maintenance.subjects.indexes.declared.models import DeclaredIndex


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
    return Step(statements=(statement,), locks=locks, concurrent=True)


def drop_steps(
    index: QualifiedName, oid: int, table: QualifiedName, *, valid: bool
) -> tuple[Step, Step]:
    """Return the steps that drop an index without blocking readers and writers.

    Args:
        index: the index.
        oid: its OID, which is checked first.
        table: its table.
        valid: whether it was usable when it was observed, which is checked too.
    """
    state = "" if valid else "NOT "
    guard = require(
        f"EXISTS (SELECT FROM pg_catalog.pg_index i WHERE {state}i.indisvalid"
        f" AND i.indexrelid = {oid}"
        f" AND i.indexrelid = pg_catalog.to_regclass({literal(str(index))}))",
        f"{index} is not the index that was observed",
    )
    drop = Step(
        statements=(f"DROP INDEX CONCURRENTLY {index}",),
        locks=(Lock(str(table), LockMode.SHARE_UPDATE_EXCLUSIVE),),
        concurrent=True,
    )
    return Step(statements=(guard,)), drop


def _with_tablespace(found: DeclaredIndex) -> str | None:
    """Return the definition behind USING with the declared tablespace; None if it is unknown."""
    space = found.declaration.tablespace
    if found.definition is None or space is None:
        return found.definition
    where = f" WHERE {found.predicate}" if found.predicate is not None else ""
    return f"{found.definition.removesuffix(where)} TABLESPACE {quote(space)}{where}"
