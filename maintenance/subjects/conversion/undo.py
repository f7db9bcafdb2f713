"""The way back: steps that undo a conversion, before and after its swap.

Before the swap, the helpers are removed. After it, the first partition becomes the table again, as
long as all other partitions are empty. The steps are computed before the swap, when all that the
table has is known.
"""

from collections.abc import Iterator
from dataclasses import replace

from maintenance.ddl.guards import require
from maintenance.ddl.lock_statements import allowed_time, take
from maintenance.engine.actions import Lock, LockMode, Step
from maintenance.names import QualifiedName, literal, quote
from maintenance.server.statements import Ours
from maintenance.subjects.conversion.helpers import drop_check, drop_index
from maintenance.subjects.conversion.matviews import WORTH_TABLES, Twin
from maintenance.subjects.conversion.models import PREFIX, ConvertibleTable
from maintenance.subjects.conversion.references import (
    locks_of,
    references_of,
    validate_helper,
    validations,
)
from maintenance.subjects.conversion.swap import (
    commented,
    create_triggers,
    move_identities,
    publish,
)
from maintenance.subjects.conversion.target import Target, other_name
from maintenance.subjects.conversion.view_statements import lock_view, replace_view


def undo_steps(seen: ConvertibleTable, swapped: Target | None = None) -> tuple[Step, ...]:
    """Return the steps that undo a conversion.

    The key stays NOT NULL if the conversion has made it so.

    Args:
        seen: the table as it was observed before the swap.
        swapped: its partitions, if it has been swapped; None if it is unfinished.
    """
    if swapped is not None:
        validated = (step for _, step in validations(seen.definition))
        return (
            *old_key(seen, swapped),
            *twins_of_former(seen, swapped),
            swap_back(seen, swapped),
            *validated,
        )
    checks = [each.name for each in seen.helpers if each.kind == "check"]
    indexes = [each for each in seen.helpers if each.kind == "index"]
    return (
        *(drop_check(seen, name) for name in checks),
        *(drop_index(seen, i) for i in indexes),
        *(validate_helper(each) for each in seen.helpers if each.kind == "reference"),
    )


def old_key(seen: ConvertibleTable, target: Target) -> Iterator[Step]:
    """Yield the build of the former primary key's index; it fails if keys are no longer unique."""
    key = seen.primary_key
    if key is None or not seen.extends_key:
        return
    columns = ", ".join(map(quote, key.definition["columns"]))
    name = quote(seen.key_index.name)
    statement = f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON {target.first} ({columns})"
    lock = Lock(str(target.first), LockMode.SHARE_UPDATE_EXCLUSIVE)
    yield Step((statement,), locks=(lock,), concurrent=True)


def _undoing(seen: ConvertibleTable) -> tuple[Twin, ...]:
    """Return the twins that read the former table."""
    return tuple(Twin(view, "u") for view in seen.matviews)


def twins_of_former(seen: ConvertibleTable, target: Target) -> Iterator[Step]:
    """Yield the build of materialized views that read the first partition, while all are in use.

    The partition has the table's name for a moment, so that their text leads to it.
    """
    twins = _undoing(seen)
    if not twins:
        return
    name, first = seen.name, target.first
    aside = QualifiedName(name.schema, f"{PREFIX}{seen.table.oid}_parent")
    locks = tuple(Lock(str(table), LockMode.ACCESS_EXCLUSIVE) for table in (name, first))
    owner, when = seen.table.properties.owner, _is_partitioned(name)
    yield Step(
        statements=(
            allowed_time(WORTH_TABLES),
            take(locks),
            _others_are_empty(name, first),
            f"ALTER TABLE {name} RENAME TO {quote(aside.name)}",
            f"ALTER TABLE {first} RENAME TO {quote(name.name)}",
            *(text for twin in twins for text in (twin.drop(), *twin.create())),
            f"ALTER TABLE {name} RENAME TO {quote(first.name)}",
            f"ALTER TABLE {aside} RENAME TO {quote(name.name)}",
        ),
        locks=locks,
        owner=owner,
        when=when,
    )
    for twin in twins:
        yield replace(twin.fill(anew=False), when=when)


def _is_partitioned(name: QualifiedName) -> str:
    return (
        "EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relkind = 'p'"
        f" AND c.oid = pg_catalog.to_regclass({literal(str(name))}))"
    )


def swap_back(seen: ConvertibleTable, target: Target) -> Step:
    """Return the transaction in which the first partition becomes the table again."""
    first, name = target.first, seen.name
    parent = QualifiedName(name.schema, f"{PREFIX}{seen.table.oid}_parent")
    locks = _locks(seen, target)
    owner, references = seen.table.properties.owner, references_of(seen.definition)
    return Step(
        statements=(
            allowed_time(WORTH_TABLES),
            take(locks, [*map(lock_view, seen.of("view")), *_locks_of_matviews(seen)]),
            _others_are_empty(name, first),
            *(each.drop(owner) for each in references),
            f"ALTER TABLE {name} DETACH PARTITION {first}",
            *publish(seen, dropped=name),
            *(
                f"ALTER SEQUENCE {s.name} OWNED BY {first}.{quote(s.definition['column'])}"
                for s in seen.of("sequence")
                if s.definition["dependency"] == "a"
            ),
            *move_identities(seen, source=name, to=first),
            f"ALTER TABLE {name} RENAME TO {quote(parent.name)}",
            f"ALTER TABLE {first} RENAME TO {quote(name.name)}",
            *(replace_view(view) for view in seen.of("view")),
            *(Twin(view).drop() for view in seen.matviews),
            *(text for twin in _undoing(seen) for text in twin.take_place()),
            f"DROP TABLE {parent}",
            *_own_names(seen, first),
            *(text for each in references for text in each.create(owner, swapped=False)),
            *create_triggers(seen),
            *_comments(seen),
            *publish(seen, added=name),
        ),
        locks=locks,
        owner=owner,
    )


def _locks(seen: ConvertibleTable, target: Target) -> tuple[Lock, ...]:
    """Return the locks; dropping the parent's foreign keys takes the strongest one."""
    keys = (k for k in seen.of("constraint") if k.definition["type"] == "f")
    referenced = sorted({QualifiedName(*key.definition["references"]) for key in keys})
    tables = [str(table) for table in (seen.name, target.first, *referenced)]
    referencing = locks_of(seen.definition)
    locked = {lock.object for lock in referencing}
    others = (table for table in tables if table not in locked)
    return (*referencing, *(Lock(table, LockMode.ACCESS_EXCLUSIVE) for table in others))


def _locks_of_matviews(seen: ConvertibleTable) -> Iterator[str]:
    for twin in _undoing(seen):
        yield from twin.lock()


def _others_are_empty(name: QualifiedName, first: QualifiedName) -> Ours:
    return Ours(
        require(
            f"""NOT EXISTS (
    SELECT FROM pg_catalog.pg_inherits h
     WHERE h.inhparent = pg_catalog.to_regclass({literal(str(name))})
       AND h.inhrelid <> pg_catalog.to_regclass({literal(str(first))})
       AND pg_catalog.pg_relation_size(h.inhrelid) > 0)""",
            f"{name} has rows in other partitions than {first}",
        )
    )


def _own_names(seen: ConvertibleTable, first: QualifiedName) -> Iterator[str]:
    """Yield the statements that give keys, indexes and statistics their former names."""
    table, schema, key = seen.name, seen.name.schema, seen.primary_key
    for index in seen.of("index"):
        if key is None or not seen.extends_key or index.name != key.name:
            now = QualifiedName(schema, other_name(index.name, table.name, first.name))
            yield f"ALTER INDEX {now} RENAME TO {quote(index.name)}"
    if key is not None and seen.extends_key:
        now = other_name(key.name, table.name, first.name)
        yield f"ALTER TABLE {table} DROP CONSTRAINT {quote(now)}"
        yield (
            f"ALTER TABLE {table} ADD CONSTRAINT {quote(key.name)} PRIMARY KEY USING INDEX"
            f" {quote(seen.key_index.name)}"
        )
    for each in seen.of("statistics"):
        schema, own = each.definition["schema"], each.definition["name"]
        now = QualifiedName(schema, other_name(own, table.name, first.name))
        yield f"ALTER STATISTICS {now} RENAME TO {quote(own)}"


def _comments(seen: ConvertibleTable) -> Iterator[str]:
    key = seen.primary_key
    if key is not None and seen.extends_key:
        yield from commented(seen, [key], "constraint")
        yield from commented(seen, [i for i in seen.of("index") if i.name == key.name], "index")
    yield from commented(seen, seen.of("trigger"), "trigger")
    comment = seen.of("table")[0].definition["comment"]
    if comment is not None:
        yield f"COMMENT ON TABLE {seen.name} IS {literal(comment)}"
