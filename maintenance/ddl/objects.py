"""Copies objects from one table to another: indexes, constraints, triggers, and so on.

Pure: from the parts of a definition in the catalog, without its name and table.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from maintenance.catalog.models import OwnObject
from maintenance.names import MAX_NAME_BYTES, QualifiedName, cut, literal, quote

_STATES = {"D": "DISABLE", "A": "ENABLE ALWAYS", "R": "ENABLE REPLICA"}
_IN_A_SCHEMA = frozenset({"constraint", "statistics"})
"""Kinds whose names are unique within a schema, not within a table."""


class Additions(NamedTuple):
    """Objects that a new partition gets in addition to its parent's.

    Attributes:
        prepare: statements that block no other session, run while it is not attached.
        locked: statements that lock the tables in `referenced` against writers.
        referenced: tables referenced by its own foreign keys.
    """

    prepare: tuple[str, ...] = ()
    locked: tuple[str, ...] = ()
    referenced: tuple[QualifiedName, ...] = ()


NOTHING_ADDED = Additions()


def statements(
    each: OwnObject, source: QualifiedName, table: QualifiedName, owner: str
) -> tuple[str, ...]:
    """Return the statements that create an object of another table on a table.

    Args:
        each: the object.
        source: the table that has it.
        table: the table that gets it.
        owner: the owner of both.
    """
    name = _name(each, source, table)
    parts = each.parts
    match each.kind:
        case "index":
            made = _in_tablespace(each.state, f"{parts[0]} ON {table} {parts[1]}")
        case "constraint":
            made = _in_tablespace(each.state, _add(table, name, parts[0]))
        case "check" | "foreign key":
            made = (_add(table, name, parts[0]),)
        case "trigger":
            create = f"{parts[0]} {quote(name)} {parts[1]} ON {table} {parts[2]}"
            made = (create, *_enabled(each, table, "TRIGGER", name))
        case "rule":
            create = f"CREATE RULE {quote(name)} AS{parts[0]} TO {table}{parts[1]}"
            made = (create, *_enabled(each, table, "RULE", name))
        case "policy":
            made = (f"CREATE POLICY {quote(name)} ON {table} {parts[0]}",)
        case "publication":
            made = (f"ALTER PUBLICATION {quote(parts[0])} ADD TABLE ONLY {table}{parts[1]}",)
        case "statistics":
            made = tuple(_statistics(each, QualifiedName(table.schema, name), table, owner))
        case "replica identity" if parts[0] == "INDEX":
            made = (_identity_by_index(table, parts[1]),)
        case _:
            made = (f"ALTER TABLE ONLY {table} {_change(each)}",)
    return made


def by_hand(
    each: OwnObject, source: QualifiedName, table: QualifiedName, owner: str
) -> tuple[str, ...]:
    """Return the statements to run by hand on a table in use, without blocking writers."""
    made = statements(each, source, table, owner)
    if each.kind == "index":
        head, _, tail = made[-2 if each.state else 0].partition(" ON ")
        return (f"{head} CONCURRENTLY ON {tail}",)
    if each.kind in ("check", "foreign key"):
        return (f"{made[0]} NOT VALID",)
    return made


def attempt(wanted: Iterable[str]) -> str:
    """Return one statement that runs others, and undoes them with a warning if one fails.

    A missing index is reported later; without the partition its rows would be refused. An error
    that a retry can solve, such as a lock timeout, is still raised.
    """
    body = " ".join(f"EXECUTE {literal(statement)};" for statement in wanted)
    return "DO " + literal(
        f"BEGIN {body} EXCEPTION"
        " WHEN lock_not_available OR deadlock_detected OR serialization_failure THEN RAISE;"
        " WHEN OTHERS THEN RAISE WARNING '%', SQLERRM; END"
    )


def _change(each: OwnObject) -> str:
    first, *rest = (*each.parts, None)
    match each.kind:
        case "default":
            how = "DROP DEFAULT" if rest[0] is None else f"SET DEFAULT {rest[0]}"
            change = f"ALTER COLUMN {quote(each.name)} {how}"
        case "not null":
            change = f"ALTER COLUMN {quote(each.name)} SET NOT NULL"
        case "storage" | "compression":
            change = f"ALTER COLUMN {quote(each.name)} SET {each.kind.upper()} {rest[0]}"
        case "row security":
            force = "FORCE" if rest[0] else "NO FORCE"
            enable = "ENABLE" if first else "DISABLE"
            change = f"{enable} ROW LEVEL SECURITY, {force} ROW LEVEL SECURITY"
        case "replica identity":
            change = f"REPLICA IDENTITY {first}"
        case "tablespace" | "schema":
            change = f"SET {each.kind.upper()} {quote(each.parts[0])}"
        case _:
            change = "SET UNLOGGED"
    return change


def _add(table: QualifiedName, name: str, definition: str) -> str:
    named = f" CONSTRAINT {quote(name)}" if name else ""
    return f"ALTER TABLE {table} ADD{named} {definition}"


def _enabled(each: OwnObject, table: QualifiedName, noun: str, name: str) -> Iterator[str]:
    state = _STATES.get(each.state or "")
    if state is not None:
        yield f"ALTER TABLE {table} {state} {noun} {quote(name)}"


def _in_tablespace(tablespace: str | None, statement: str) -> tuple[str, ...]:
    if tablespace is None:
        return (statement,)
    there = f"SET LOCAL default_tablespace = {quote(tablespace)}"
    return (there, statement, "SET LOCAL default_tablespace = ''")


def _statistics(
    each: OwnObject, name: QualifiedName, table: QualifiedName, owner: str
) -> Iterator[str]:
    yield f"CREATE STATISTICS {name}{each.parts[0]} FROM {table}"
    if each.state is not None:
        yield f"ALTER STATISTICS {name} SET STATISTICS {int(each.state)}"
    yield f"ALTER STATISTICS {name} OWNER TO {quote(owner)}"


def _identity_by_index(table: QualifiedName, definition: str) -> str:
    """Return the statement for a replica identity by an index, whose name the server looks up."""
    own, tail = literal(str(table)), literal(f" {definition}")
    return f"""DO {
        literal(f'''DECLARE name text; BEGIN
  SELECT pg_catalog.quote_ident(c.relname) INTO STRICT name
    FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
   WHERE i.indrelid = {own}::pg_catalog.regclass AND i.indisunique
     AND pg_catalog.right(pg_catalog.pg_get_indexdef(c.oid), pg_catalog.length({tail})) = {tail}
   LIMIT 1;
  EXECUTE 'ALTER TABLE ' || {own} || ' REPLICA IDENTITY USING INDEX ' || name; END''')
    }"""


def _name(each: OwnObject, source: QualifiedName, table: QualifiedName) -> str:
    """Return the name of the new object; empty if the server should choose one.

    In a name that contains the table's name, it is replaced; another name is kept if it only has
    to be unique within the table.
    """
    name = each.name.replace(source.name, table.name)
    fits = len(name.encode()) <= MAX_NAME_BYTES
    if fits and (name != each.name or each.kind not in _IN_A_SCHEMA):
        return name
    if each.kind in ("constraint", "check", "foreign key", "index"):
        return ""
    digest = hashlib.sha256(f"{each.kind}\0{each.name}\0{each.parts}".encode()).hexdigest()[:8]
    return f"{cut(table.name, MAX_NAME_BYTES - 9)}_{digest}"
