"""Proves inside a transaction that a table has exactly the expected properties.

A plan holds only a digest of the properties. Before the swap they are read again and compared with
it, and the statements that compare them under the lock are put in its place; they read the
properties by the same query. A difference ends the transaction, and its message names what differs.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from maintenance.ddl.guards import CHANGED
from maintenance.engine.actions import Step
from maintenance.names import QualifiedName, literal, parse_name, quote
from maintenance.server.statements import Ours
from maintenance.subjects.conversion.models import Definition, Fact, twin_name
from maintenance.subjects.conversion.references import references_of, settled
from maintenance.subjects.conversion.target import other_name

NOT_OF_PARENTS = frozenset({"storage"})
"""Kinds of properties that partitions have and their parent has not."""

NOT_OF_VIEWS = frozenset({"rule"})
"""Kinds of properties that differ between a materialized view and its twin: its query."""

_PASSING = NOT_OF_PARENTS | {"referencing"}
"""Kinds of properties that need not be the same when a conversion is undone."""

_UNCHANGED = "properties unchanged since the plan: "
_CARRIED = "properties carried over: "
_KEPT = "properties of the view kept: "


def unchanged(table: Definition) -> Ours:
    """Return the place of the proof that the table still has the observed properties."""
    return _place(_UNCHANGED, digest(table))


def carried(table: Definition) -> Ours:
    """Return the place of the proof that the new parent has all properties of the table."""
    return _place(_CARRIED, digest(table))


def kept(facts: Iterable[Fact]) -> Ours:
    """Return the place of the proof that a materialized view has the observed properties."""
    return _place(_KEPT, _digest(_of_view(facts)))


def is_exchange(step: Step) -> bool:
    """Whether a step replaces a materialized view by its twin."""
    return any(statement.startswith(f"SELECT '{_KEPT}") for statement in step.statements)


def with_kept(
    step: Step, view: QualifiedName, facts: Iterable[Fact], facts_sql: str
) -> Step | None:
    """Return an exchange with its proofs; None if the view has changed since the plan.

    Args:
        step: the exchange as planned.
        view: the materialized view.
        facts: its properties now.
        facts_sql: the query that reads them, with `%(relation)s`.
    """
    now = tuple(facts)
    place = kept(now)
    if place not in step.statements:
        return None
    proof = _same(view, _of_view(now), "is not what it was", facts_sql, NOT_OF_VIEWS)
    statements = (proof if each == place else each for each in step.statements)
    return replace(step, statements=tuple(statements))


def _of_view(facts: Iterable[Fact]) -> tuple[Fact, ...]:
    return tuple(fact for fact in facts if fact.kind not in NOT_OF_VIEWS)


def digest(table: Definition) -> str:
    """Return a digest of the properties that earlier steps of the conversion do not change."""
    return _digest(before_swap(table))


def _digest(facts: Iterable[Fact]) -> str:
    content = json.dumps(list(_rows(facts)), sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


_TAKE_BACK = "take back what was changed since, then undo again; or keep the table partitioned"


def is_swap(step: Step) -> bool:
    """Whether a step has places for proofs."""
    return any(statement.startswith(f"SELECT '{_UNCHANGED}") for statement in step.prepare)


def with_proofs(step: Step, table: Definition, facts_sql: str) -> Step | None:
    """Return a swap with its proofs; None if the table has changed since the plan.

    Args:
        step: the swap as planned.
        table: its properties now.
        facts_sql: the query that reads them, with `%(relation)s`.
    """
    before, after = unchanged(table), carried(table)
    if before not in step.prepare or after not in step.statements:
        return None
    proofs: dict[str, str] = {
        before: _same(table.name, before_swap(table), "has changed since the plan", facts_sql),
        after: _same(table.name, expected(table), "would not have what it had before", facts_sql),
    }
    return replace(
        step,
        prepare=tuple(proofs.get(each, each) for each in step.prepare),
        statements=tuple(proofs.get(each, each) for each in step.statements),
    )


def as_swapped(table: Definition, facts_sql: str) -> Ours:
    """Return the proof that the partitioned table is as the swap has made it.

    Whether foreign keys to it are validated, and materialized views exchanged, makes no difference.

    Args:
        table: as it was before the swap.
        facts_sql: the query that reads its properties, with `%(relation)s`.
    """
    otherwise = "has changed since its conversion"
    return _same(
        *(table.name, expected(table), otherwise, facts_sql, _PASSING),
        settled_names=_twins(table),
        advice=_TAKE_BACK,
    )


def changed_since(table: Definition, first: QualifiedName, facts_sql: str) -> str:
    """Return the expression for the names of what was changed since the swap; null for nothing.

    It looks at the partitioned table and at its first partition, which becomes the table again.
    Storage options of the partition may have been changed, and its indexes and statistics objects
    are known by their names.

    Args:
        table: as it was before the swap.
        first: the first partition.
        facts_sql: the query that reads the properties of a table, with `%(relation)s`.
    """
    columns = _as_settled(_twins(table))
    parent = _difference(table.name, expected(table), facts_sql, _PASSING, columns=columns)
    views = (parse_name(fact.name) for fact in table.of("matview"))
    names = [literal(str(name)) for view in views for name in (view, twin_name(view, "u"))]
    own = _difference(
        first,
        _of_first(table, first),
        facts_sql,
        _PASSING | {"inheritance"},
        columns=_AS_PARTITION,
        but=f"f.kind = 'matview' AND f.name IN ({', '.join(names)})" if names else "false",
    )
    of_first = literal(f" of {first}")
    return f"nullif(pg_catalog.concat_ws(', ', {parent}, {own} || {of_first}), '')"


_KEPT_BY_PARTITION = frozenset(
    {"table", "column", "rule", "policy", "not null", "extension", "security label"}
)
"""Kinds of properties that the table keeps as a partition; others move to its parent."""

_AS_PARTITION = (
    "kind, name, CASE WHEN kind IN ('index', 'statistics') THEN NULL"
    " WHEN kind = 'table' THEN definition - 'comment'"
    # before 17 a partition has no identity of its own
    " WHEN kind = 'column' THEN definition - 'identity' ELSE definition END AS definition"
)


def _of_first(table: Definition, first: QualifiedName) -> Iterator[Fact]:
    """Yield what the first partition has by itself."""
    for fact in before_swap(table):
        if _is_kept_by_partition(fact):
            yield fact
        elif fact.kind == "index":
            yield fact._replace(name=other_name(fact.name, table.name.name, first.name))
        elif fact.kind == "statistics":
            schema, name = fact.definition["schema"], fact.definition["name"]
            now = QualifiedName(schema, other_name(name, table.name.name, first.name))
            yield fact._replace(name=str(now))


def _is_kept_by_partition(fact: Fact) -> bool:
    if fact.kind == "constraint":
        return fact.definition["type"] == "c"
    if fact.kind == "publication":
        return fact.definition["scope"] != "table"
    return fact.kind in _KEPT_BY_PARTITION


def _twins(table: Definition) -> dict[str, str]:
    """Return the names of materialized views by those of their twins."""
    return {str(twin_name(parse_name(f.name), "m")): f.name for f in table.of("matview")}


def as_before(table: Definition, facts_sql: str) -> Ours:
    """Return the proof that the table is as it was before the swap; arguments as `as_swapped`.

    Foreign keys to it are not validated yet.
    """
    facts, otherwise = before_swap(table), "would not be as it was before its conversion"
    return _same(
        *(table.name, facts, otherwise, facts_sql, _PASSING), settled_names={}, advice=_TAKE_BACK
    )


def before_swap(table: Definition) -> tuple[Fact, ...]:
    """Return the facts as they are right before the swap: the key is not null."""
    return tuple(_before_swap(each, table) for each in table.facts)


def _before_swap(fact: Fact, table: Definition) -> Fact:
    if fact.kind == "reference":
        return settled(fact)
    if fact.kind == "column" and fact.name == table.column:
        return fact._replace(definition={**fact.definition, "not_null": True})
    return fact


def expected(table: Definition) -> tuple[Fact, ...]:
    """Return the facts of the partitioned table.

    They are the same, but for the extended primary key, the foreign keys to the table, and the
    materialized views that read it.
    """
    left_out = {*NOT_OF_PARENTS, "reference"}
    facts = (_with_twin(fact) for fact in before_swap(table) if fact.kind not in left_out)
    references = tuple(each.swapped() for each in references_of(table))
    key = table.primary_key
    if key is None or not table.extends_key:
        return (*facts, *references)
    return (*(_extended(fact, key.name, table) for fact in facts), *references)


def _with_twin(fact: Fact) -> Fact:
    """Return the property that the twin of a materialized view reads the table, instead of it."""
    if fact.kind != "matview":
        return fact
    return fact._replace(name=str(twin_name(parse_name(fact.name), "m")))


def key_text(table: Definition) -> str:
    """Return the definition of the future primary key."""
    return f"PRIMARY KEY ({_listed(table)})"


def _place(what: str, value: str) -> Ours:
    return Ours(f"SELECT {literal(what + value)}")


def _listed(table: Definition) -> str:
    return ", ".join(quote(column) for column in table.extended_key)


def _extended(fact: Fact, name: str, table: Definition) -> Fact:
    columns = list(table.extended_key)
    if fact.kind == "constraint" and fact.name == name:
        change = {"text": key_text(table), "columns": columns}
    elif fact.kind == "index" and fact.name == name:
        head = f"CREATE UNIQUE INDEX {quote(name)} ON {table.name}"
        change = {"text": f"{head} USING btree ({_listed(table)})", "columns": columns}
    else:
        return fact
    return fact._replace(definition={**fact.definition, **change})


def _same(
    table: QualifiedName,
    facts: Iterable[Fact],
    otherwise: str,
    facts_sql: str,
    left_out: frozenset[str] = NOT_OF_PARENTS,
    *,
    settled_names: Mapping[str, str] | None = None,
    advice: str = "plan again",
) -> Ours:
    """Return the statement that fails if a table has other properties.

    Args:
        table: by the name that it has then.
        facts: the wanted properties.
        otherwise: the message.
        facts_sql: the query that reads them.
        left_out: kinds that are not compared.
        settled_names: if given, foreign keys are compared as if they were valid, and twins by the
            names of these views.
        advice: what to do, as the hint.
    """
    difference = _difference(table, facts, facts_sql, left_out, columns=_columns(settled_names))
    body = f"""DECLARE difference text := {difference};
BEGIN
  IF difference IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = '{CHANGED}',
      MESSAGE = {literal(f"{table} {otherwise}: ")} || difference,
      HINT = {literal(f"nothing was changed; {advice}")};
  END IF;
END"""
    return Ours(f"DO {literal(body)}")


def _difference(
    table: QualifiedName,
    facts: Iterable[Fact],
    facts_sql: str,
    left_out: frozenset[str],
    *,
    columns: str = "*",
    but: str = "false",
) -> str:
    """Return the expression for the names of what differs; null if nothing does.

    Args:
        table: by the name that it has then.
        facts: the wanted properties.
        facts_sql: the query that reads them.
        left_out: kinds that are not compared.
        columns: what is compared of each.
        but: the condition on properties of the table that are not compared.
    """
    wanted = json.dumps(list(_rows(facts)), ensure_ascii=False)
    relation = f"pg_catalog.to_regclass({literal(str(table))})::pg_catalog.oid"
    lines = (line for line in facts_sql.splitlines() if not line.lstrip().startswith("--"))
    actual = "\n".join(lines).replace("%(relation)s", relation).replace("%%", "%")
    kinds = ", ".join(literal(kind) for kind in sorted(left_out))
    of_actual, of_wanted = (f"SELECT {columns} FROM {each}" for each in ("actual", "wanted"))
    return f"""(
  WITH actual AS (
    SELECT f.kind, f.name::text AS name, f.definition FROM (
{actual}
    ) AS f WHERE f.kind NOT IN ({kinds}) AND NOT ({but})
  ), wanted AS (
    SELECT w.e ->> 0 AS kind, w.e ->> 1 AS name, w.e -> 2 AS definition
      FROM pg_catalog.jsonb_array_elements({literal(wanted)}::jsonb) AS w (e)
     WHERE w.e ->> 0 NOT IN ({kinds})
  )
  SELECT pg_catalog.string_agg(DISTINCT d.kind || ' ' || d.name, ', ') FROM (
    ({of_actual} EXCEPT ALL {of_wanted})
    UNION ALL ({of_wanted} EXCEPT ALL {of_actual})) AS d)"""


def _columns(settled_names: Mapping[str, str] | None) -> str:
    return "*" if settled_names is None else _as_settled(settled_names)


def _as_settled(names: Mapping[str, str]) -> str:
    """Return the columns of properties that steps behind the swap do not change."""
    twins = literal(json.dumps(names, ensure_ascii=False))
    return (
        "kind,"
        f" CASE kind WHEN 'matview' THEN coalesce({twins}::jsonb ->> name, name) ELSE name END"
        " AS name, CASE kind WHEN 'reference' THEN definition - 'valid' - 'comment'"
        " || pg_catalog.jsonb_build_object('text',"
        " pg_catalog.regexp_replace(definition ->> 'text', ' NOT VALID$', ''))"
        " ELSE definition END AS definition"
    )


def _rows(facts: Iterable[Fact]) -> Iterator[list[object]]:
    for fact in sorted(facts, key=lambda each: each[:2]):
        yield [fact.kind, fact.name, dict(fact.definition)]
