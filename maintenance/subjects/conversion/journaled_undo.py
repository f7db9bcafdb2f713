"""The steps that undo a conversion, as the journal keeps them before it begins.

A killed run leaves the table in any state between two steps. So each step has a condition on the
catalog, and together they lead back from every state: after the swap, the first partition becomes
the table again; before it, the helpers are removed. Two proofs keep the swap back from losing
anything: the partitioned table is as the swap has made it, and the table is as it was before.
"""

from collections.abc import Iterator
from dataclasses import replace

from maintenance.ddl.lock_statements import take
from maintenance.engine.actions import Lock, LockMode, Step
from maintenance.names import literal, quote
from maintenance.server.statements import Ours
from maintenance.subjects.conversion.helpers import alone, drop_check
from maintenance.subjects.conversion.models import ConvertibleTable
from maintenance.subjects.conversion.proof import as_before, as_swapped, changed_since
from maintenance.subjects.conversion.references import MARK, Reference, validations
from maintenance.subjects.conversion.target import Target
from maintenance.subjects.conversion.undo import old_key, swap_back, twins_of_former

_LISTED = 5
"""How many partitions a message names before it counts the others."""


def journaled_undo(seen: ConvertibleTable, target: Target, facts_sql: str) -> tuple[Step, ...]:
    """Return the steps that undo a conversion, whatever a run has done of it.

    Args:
        seen: the table as it is before the run.
        target: its partitions after the swap.
        facts_sql: the query that reads the properties of a table.
    """
    swapped = _is_swapped(seen, target)
    without_key = f"{swapped} AND NOT {_has_index(seen, 'x.indisvalid')}"
    name = str(seen.key_index)
    return (
        _unchanged(seen, target, facts_sql),
        *(replace(step, makes=name, when=without_key) for step in old_key(seen, target)),
        *(replace(step, when=swapped) for step in twins_of_former(seen, target)),
        _proven(seen, target, facts_sql),
        *(
            replace(step, when=_is_marked(seen, each))
            for each, step in validations(seen.definition)
        ),
        *_before_swap(seen, target),
    )


def _unchanged(seen: ConvertibleTable, target: Target, facts_sql: str) -> Step:
    """Return the proof alone, so that nothing is built for a swap back that can't be."""
    return Step(
        (as_swapped(seen.definition, facts_sql), _named(seen)),
        when=_is_swapped(seen, target),
        kept_if=_kept(seen, target, facts_sql),
        copies=tuple(str(view.name) for view in seen.matviews),
    )


def _named(seen: ConvertibleTable) -> Ours:
    """Return the statement whose text stands for its transaction in errors."""
    return Ours(f"SELECT {literal(f'swap back of {seen.name}')}")


def _proven(seen: ConvertibleTable, target: Target, facts_sql: str) -> Step:
    """Return the swap back with its proofs; other DDL is kept away before the first one."""
    step, definition = swap_back(seen, target), seen.definition
    return replace(
        step,
        prepare=(*step.prepare, as_swapped(definition, facts_sql)),
        statements=(*step.statements, as_before(definition, facts_sql), _named(seen)),
        locks=(Lock(str(seen.name), LockMode.SHARE_UPDATE_EXCLUSIVE), *step.locks),
        when=_is_swapped(seen, target),
    )


def _before_swap(seen: ConvertibleTable, target: Target) -> Iterator[Step]:
    """Yield the steps that remove what is made before the swap."""
    checks = [each.name for each in seen.helpers if each.kind == "check"]
    for name in dict.fromkeys((*checks, target.check)):
        yield replace(drop_check(seen, name), when=_has_check(seen, name))
    yield Step(
        (f"DROP INDEX CONCURRENTLY IF EXISTS {seen.key_index}",),
        locks=(Lock(str(seen.name), LockMode.SHARE_UPDATE_EXCLUSIVE),),
        concurrent=True,
        removes=str(seen.key_index),
        when=f"{_is_there(seen)} AND {_has_index(seen, 'true')}",
    )
    if seen.key is not None and not seen.key.definition["not_null"]:
        yield _nullable(seen)


def _nullable(seen: ConvertibleTable) -> Step:
    """Return the step that lets the key be null again."""
    column = seen.section.column
    refuses = (
        f"EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = {seen.table.oid}"
        f" AND a.attname = {literal(column)} AND a.attnotnull)"
    )
    statement = f"ALTER TABLE {seen.name} ALTER COLUMN {quote(column)} DROP NOT NULL"
    return Step(
        (take(alone(seen)), statement),
        locks=alone(seen),
        owner=seen.table.properties.owner,
        when=f"{_is_there(seen)} AND {refuses}",
    )


def _is_there(seen: ConvertibleTable) -> str:
    """Return the condition that the table has its own name: it is not swapped."""
    return f"pg_catalog.to_regclass({literal(str(seen.name))})::pg_catalog.oid = {seen.table.oid}"


def _is_swapped(seen: ConvertibleTable, target: Target) -> str:
    """Return the condition that the table is the first partition of its parent."""
    oid = seen.table.oid
    named = f"pg_catalog.to_regclass({literal(str(target.first))})::pg_catalog.oid = {oid}"
    return (
        f"({named} AND EXISTS (SELECT FROM pg_catalog.pg_inherits h WHERE h.inhrelid = {oid}"
        f" AND h.inhparent = pg_catalog.to_regclass({literal(str(seen.name))})))"
    )


def _is_marked(seen: ConvertibleTable, each: Reference) -> str:
    """Return the condition that a foreign key to the table was created again, NOT VALID."""
    mark = f'maintenance: .*"{MARK}"'
    return (
        "EXISTS (SELECT FROM pg_catalog.pg_constraint k"
        f" WHERE k.conrelid = pg_catalog.to_regclass({literal(str(each.table))})"
        f" AND k.confrelid = {seen.table.oid} AND k.contype = 'f' AND k.conname ="
        f" {literal(each.name)} AND pg_catalog.obj_description(k.oid, 'pg_constraint')"
        f" ~ {literal(mark)})"
    )


def _has_check(seen: ConvertibleTable, name: str) -> str:
    return (
        f"{_is_there(seen)} AND EXISTS (SELECT FROM pg_catalog.pg_constraint k"
        f" WHERE k.conrelid = {seen.table.oid} AND k.contype = 'c' AND k.conname = {literal(name)})"
    )


def _has_index(seen: ConvertibleTable, condition: str) -> str:
    return (
        "EXISTS (SELECT FROM pg_catalog.pg_index x"
        " JOIN pg_catalog.pg_class c ON c.oid = x.indexrelid"
        f" WHERE x.indrelid = {seen.table.oid} AND c.relname = {literal(seen.key_index.name)}"
        f" AND {condition})"
    )


def _kept(seen: ConvertibleTable, target: Target, facts_sql: str) -> str:
    """Return the expression for all reasons why the conversion can't be undone; null if it can."""
    name, first, oid = str(seen.name), str(target.first), seen.table.oid
    replaced = literal(f"{name} was dropped or replaced since")
    gone = literal(
        f"its first partition {first} was renamed, split, detached or dropped since; the table"
        " stays partitioned"
    )
    changed = changed_since(seen.definition, target.first, facts_sql)
    was_changed = literal(f"{name} was changed since its conversion: ")
    take_back = literal(
        "; take this back, then undo again, and add it to the table afterwards, or keep the table"
        " partitioned"
    )
    with_rows = literal(
        " has rows, or had some until its last VACUUM; the table stays partitioned. To go back all"
        " the same, copy these rows to another table, TRUNCATE these partitions, undo again, and"
        " insert the rows"
    )
    return f"""(SELECT CASE
  WHEN n.oid = {oid} THEN NULL
  WHEN n.relkind IS DISTINCT FROM 'p' THEN {replaced}
  WHEN NOT {_is_swapped(seen, target)} THEN {gone}
  ELSE nullif(pg_catalog.concat_ws('; and ',
    (SELECT pg_catalog.array_to_string(
              (pg_catalog.array_agg(t.relid::text ORDER BY t.relid::text))[:{_LISTED}], ', ')
            || CASE WHEN pg_catalog.count(*) > {_LISTED}
                    THEN ' and ' || pg_catalog.count(*) - {_LISTED} || ' more' ELSE '' END
            || {with_rows}
       FROM pg_catalog.pg_partition_tree(n.oid) t
      WHERE t.isleaf AND t.relid <> {oid} AND pg_catalog.pg_relation_size(t.relid) > 0),
    {was_changed} || {changed} || {take_back}), '')
  END
  FROM (SELECT pg_catalog.to_regclass({literal(name)})::pg_catalog.oid AS oid) o
  LEFT JOIN pg_catalog.pg_class n ON n.oid = o.oid)"""
