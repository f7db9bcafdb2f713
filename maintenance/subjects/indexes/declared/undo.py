"""Steps that undo what was carried out for declarations. Pure.

Each has a condition on the catalog, so that an interrupted undo can be repeated.
"""

from collections.abc import Iterator, Sequence

from maintenance.ddl.guards import require
from maintenance.engine.actions import Lock, LockMode, Step
from maintenance.names import QualifiedName, literal, quote
from maintenance.server.statements import Ours
from maintenance.subjects.indexes.declared import ddl
from maintenance.subjects.indexes.declared.models import (
    DeclaredCheck,
    DeclaredColumn,
    DeclaredIndex,
    OldIndex,
    OldPart,
    State,
)
from maintenance.subjects.indexes.models import Table


def undo_build(
    found: DeclaredIndex, name: QualifiedName, partitions: Sequence[Table]
) -> Iterator[Step]:
    """Yield the steps that drop a declared index, with its parts.

    A part that existed before is attached for good: it goes with the index, and is built again.

    Args:
        found: the declared index.
        name: that it is built under.
        partitions: of its table, at all levels.
    """
    table = found.table
    assert table is not None, "an index is built on a table"
    if table.kind != "p":
        yield _remove(name, table, found.definition)
        return
    yield _remove_all(name, table, partitions, found.definition)
    for part in reversed(found.parts):
        if not part.is_leaf and not part.is_there:
            yield _remove_all(part.index, part.table, partitions, found.definition)
    for part in found.parts:
        if part.is_leaf and not part.is_there:
            yield _remove(part.index, part.table, found.definition)
    for part in found.parts:
        if part.is_leaf and part.is_there and not part.is_attached:
            yield from _restore(part.index, part.table, part.restore)


def undo_drop(old: OldIndex, renamed: tuple[QualifiedName, str | None] | None) -> Iterator[Step]:
    """Yield the steps that restore an index that was dropped.

    Args:
        old: the index.
        renamed: the earlier name, and the definition, of the index that took its name.
    """
    index, table = old.index, old.table
    if renamed is not None:
        yield _rename_back(index.relation, table, *renamed)
    if index.is_partitioned:
        yield from _restore_parts(old)
        yield from _details(index.relation, table, old.restore)
    else:
        yield from _restore(index.relation, table, old.restore)


def undo_rename(found: DeclaredIndex, successor: QualifiedName) -> Iterator[Step]:
    """Yield the step that gives an index the name back under which it was built."""
    assert found.table is not None, "an index is built on a table"
    yield _rename_back(found.declaration.relation, found.table, successor, found.definition)


def undo_check(found: DeclaredCheck) -> Step:
    """Return the step that drops a constraint that was added."""
    declared, facts, table = found.declaration, found.facts, found.table
    assert facts is not None, "its table exists"
    assert table is not None, "its table exists"
    statement = f"ALTER TABLE {declared.table} DROP CONSTRAINT {quote(declared.name)}"
    return _alter(table, statement, facts.owner, _has_check(table, declared.name, "true"))


def undo_validation(found: DeclaredCheck) -> Iterator[Step]:
    """Yield the step that makes a constraint unvalidated again, if it was there before."""
    declared, facts, table = found.declaration, found.facts, found.table
    if found.state is not State.INCOMPLETE or found.definition is None:
        return
    assert facts is not None, "its table exists"
    assert table is not None, "its table exists"
    name = quote(declared.name)
    statement = (
        f"ALTER TABLE {declared.table} DROP CONSTRAINT {name},"
        f" ADD CONSTRAINT {name} {found.definition} NOT VALID"
    )
    yield _alter(table, statement, facts.owner, _has_check(table, declared.name, "k.convalidated"))


def undo_column(found: DeclaredColumn) -> Step:
    """Return the step that drops a generated column that was added, unless an index needs it."""
    declared, facts, table = found.declaration, found.facts, found.table
    assert facts is not None, "its table exists"
    assert table is not None, "its table exists"
    column = (
        f"EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = {table.oid}"
        f" AND a.attname = {literal(declared.name)} AND a.attgenerated <> '')"
    )
    unused = require(
        "NOT EXISTS (SELECT FROM pg_catalog.pg_depend d"
        " JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid"
        " WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass"
        " AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass"
        f" AND d.refobjid = {table.oid} AND a.attname = {literal(declared.name)})",
        f"an index or another relation uses the column {declared.name} of {declared.table}",
    )
    statement = f"ALTER TABLE {declared.table} DROP COLUMN {quote(declared.name)}"
    return _alter(table, statement, facts.owner, column, unused)


def _rename_back(
    name: QualifiedName, table: Table, earlier: QualifiedName, definition: str | None
) -> Step:
    is_free = f"pg_catalog.to_regclass({literal(str(earlier))}) IS NULL"
    step = ddl.rename(name, table.relation, earlier.name)
    when = f"{_is_index(name, table, definition)} AND {is_free}"
    return Step(step.statements, locks=step.locks, when=when)


def _alter(table: Table, statement: str, owner: str, when: str, *guards: str) -> Step:
    guard = require(
        f"pg_catalog.to_regclass({literal(str(table.relation))}) = {table.oid}",
        f"{table.relation} is not the table that was changed",
    )
    return Step(
        (*map(Ours, (guard, *guards)), statement),
        locks=(Lock(str(table.relation), LockMode.ACCESS_EXCLUSIVE),),
        owner=owner,
        when=when,
    )


def _has_check(table: Table, name: str, condition: str) -> str:
    return (
        f"EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = {table.oid}"
        f" AND k.contype = 'c' AND k.conname = {literal(name)} AND {condition})"
    )


def _remove(name: QualifiedName, table: Table, definition: str | None) -> Step:
    return Step(
        (f"DROP INDEX CONCURRENTLY {name}",),
        locks=(Lock(str(table.relation), LockMode.SHARE_UPDATE_EXCLUSIVE),),
        concurrent=True,
        removes=str(name),
        when=_is_index(name, table, definition, "NOT c.relispartition"),
    )


def _remove_all(
    name: QualifiedName, table: Table, partitions: Sequence[Table], definition: str | None
) -> Step:
    """Return the step that drops a partitioned index, whose parts go with it."""
    when = _is_index(name, table, definition, "NOT c.relispartition")
    tables = (table, *(each for each in partitions if each.oid != table.oid))
    locks = tuple(Lock(str(each.relation), LockMode.ACCESS_EXCLUSIVE) for each in tables)
    guard = require(when, f"{name} is not the index that was made")
    return Step((Ours(guard), f"DROP INDEX {name}"), locks=locks, removes=str(name), when=when)


def _restore(name: QualifiedName, table: Table, statements: Sequence[str]) -> Iterator[Step]:
    """Yield the steps that restore an index of a table without partitions."""
    place, create, _ = _sorted_out(statements)
    yield _create(name, table, create, place)
    yield from _details(name, table, statements)


def _sorted_out(statements: Sequence[str]) -> tuple[Sequence[str], str, Sequence[str]]:
    """Return the statement that sets the tablespace, if any, the one that creates, and the rest."""
    n_before = int(statements[0].startswith("SET "))
    return statements[:n_before], statements[n_before], statements[n_before + 1 :]


def _create(name: QualifiedName, table: Table, statement: str, prepare: Sequence[str] = ()) -> Step:
    """Return the step that builds an index again, unless there is a valid one of that name."""
    return Step(
        (statement,),
        prepare=tuple(prepare),
        locks=(Lock(str(table.relation), LockMode.SHARE_UPDATE_EXCLUSIVE),),
        concurrent=True,
        makes=str(name),
        when=f"NOT ({_is_index(name, table, None, 'i.indisvalid')})",
    )


def _restore_parts(old: OldIndex) -> Iterator[Step]:
    """Yield the steps that restore a partitioned index without blocking writers."""
    parts = old.parts
    names = {old.index.oid: old.index.relation, **{p.index.oid: p.index.relation for p in parts}}
    for part in parts:
        if not part.index.is_partitioned:
            place, create, _ = _sorted_out(part.restore)
            yield _create(part.index.relation, part.table, create, place)
    whole = OldPart(old.index, old.table, old.definition, old.restore)
    for part in (whole, *reversed(parts)):
        if part.index.is_partitioned:
            yield _create_only(part)
    for part in parts:
        assert part.index.parent is not None, "it is a part"
        name = part.index.relation
        yield Step(
            (f"ALTER INDEX {names[part.index.parent]} ATTACH PARTITION {name}",),
            locks=(Lock(str(name), LockMode.ACCESS_EXCLUSIVE),),
            when=_is_index(name, part.table, None, "NOT c.relispartition"),
        )
    for part in parts:
        yield from _details(part.index.relation, part.table, _without_analyze(part.restore))


def _create_only(part: OldPart) -> Step:
    """Return the step that creates a partitioned index without those of the partitions."""
    place, _, _ = _sorted_out(part.restore)
    return Step(
        (part.definition,),
        prepare=tuple(each.replace("SET ", "SET LOCAL ", 1) for each in place),
        locks=(Lock(str(part.table.relation), LockMode.SHARE),),
        when=f"NOT ({_is_index(part.index.relation, part.table, None)})",
    )


def _without_analyze(statements: Sequence[str]) -> Sequence[str]:
    """Return statements without ANALYZE, which that of the partitioned table includes."""
    return [each for each in statements if not each.startswith("ANALYZE ")]


def _details(name: QualifiedName, table: Table, statements: Sequence[str]) -> Iterator[Step]:
    """Yield the steps of what is no part of a definition: targets, comments, statistics."""
    _, _, details = _sorted_out(statements)
    for statement in details:
        yield Step(
            (statement,),
            locks=(Lock(str(table.relation), LockMode.SHARE_UPDATE_EXCLUSIVE),),
            concurrent=statement.startswith("ANALYZE "),
            when=_is_index(name, table, None),
        )


def _is_index(
    name: QualifiedName, table: Table, definition: str | None, condition: str = "true"
) -> str:
    """Return the condition that a name is that of an index of a table with a definition.

    A definition with storage parameters is not compared: the server keeps them as they are given.
    """
    is_same = "true"
    if definition is not None and " WITH (" not in definition:
        tail = f" USING {definition}"
        is_same = (
            f"pg_catalog.right(pg_catalog.pg_get_indexdef(i.indexrelid), {len(tail)})"
            f" = {literal(tail)}"
        )
    return (
        "EXISTS (SELECT FROM pg_catalog.pg_index i"
        " JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid"
        f" WHERE i.indexrelid = pg_catalog.to_regclass({literal(str(name))})"
        f" AND i.indrelid = {table.oid} AND {condition} AND {is_same})"
    )
