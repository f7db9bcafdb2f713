"""The reasons why a table can't be converted: all of them, with what to change.

A property that the conversion does not carry over is a reason, never left out.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from maintenance.catalog.models import Server
from maintenance.names import quote
from maintenance.partition_key import FUTURE, types_of
from maintenance.subjects.conversion.models import ConvertibleTable, Obstacle
from maintenance.subjects.conversion.obstacles_of_objects import obstacles_of_objects
from maintenance.subjects.conversion.target import Target, end_of_horizon, last_position

INFINITE = frozenset({"infinity", "-infinity"})

_SHOWN = 60


def obstacles_of_definition(seen: ConvertibleTable, server: Server) -> Iterator[Obstacle]:
    """Yield the reasons that the table's definition gives, without a look at its rows."""
    if seen.table.kind != "r":
        yield Obstacle("not_a_table", "only an ordinary table can be converted")
        return
    yield from _of_table(seen)
    yield from _of_rights(seen, server)
    yield from _of_key(seen)
    yield from obstacles_of_objects(seen, server.grants)


def obstacles_of_rows(seen: ConvertibleTable, now: datetime) -> Iterator[Obstacle]:
    """Yield the reasons that the values of its key give."""
    keys, column = seen.key_range, quote(seen.section.column)
    if keys.error is not None:
        yield Obstacle(
            "key_range_unknown",
            f"the range of {column} could not be read: {keys.error}",
        )
        return
    if keys.has_nulls:
        yield Obstacle(
            "null_keys",
            f"{column} is null in some rows, and no partition of a range takes nulls. Set it there,"
            f" then ALTER COLUMN {column} SET NOT NULL",
        )
    if INFINITE.intersection((keys.first, keys.last)):
        yield Obstacle("infinite_keys", f"{column} is infinite in some rows. Change or move them")
        return
    yield from _of_future(seen, now)


def obstacles_of_target(seen: ConvertibleTable, target: Target) -> Iterator[Obstacle]:
    """Yield the reasons that the names of the future partitions give."""
    taken = sorted(str(name) for name in seen.taken)
    if taken:
        yield Obstacle(
            "name_taken",
            f"names of its future partitions or of their indexes are taken: {', '.join(taken)}."
            " Rename or drop these",
            tuple(taken),
        )
    names = [name for name, _ in target.following]
    if target.first in names or len(set(names)) < len(names):
        yield Obstacle("names_not_unique", "two partitions would have one name. Change `name`")


def _of_future(seen: ConvertibleTable, now: datetime) -> Iterator[Obstacle]:
    column, last = quote(seen.section.column), seen.key_range.last
    try:
        position = last_position(seen)
    except ValueError as exc:
        yield Obstacle("key_unreadable", f"the greatest {column} can't be read: {exc}")
        return
    if position >= end_of_horizon(seen, now):
        shown = "a time beyond the year 9999" if position == FUTURE else f"{position:%Y-%m-%d}"
        yield Obstacle(
            "future_rows",
            f"{column} reaches {shown}, beyond the last period that premake"
            f" {seen.section.premake} creates. Move or delete these rows, or raise premake",
            (str(last),),
        )


def _of_table(seen: ConvertibleTable) -> Iterator[Obstacle]:
    (table,) = seen.of("table")
    facts = table.definition
    if facts["persistence"] != "p":
        yield Obstacle(
            "unlogged",
            "it is unlogged or temporary. Run ALTER TABLE … SET LOGGED, which rewrites it",
        )
    if facts["of_type"]:
        yield Obstacle("typed_table", "it is a typed table. Run ALTER TABLE … NOT OF")
    schema = seen.section.schema_name
    if schema is not None and schema != seen.name.schema:
        yield Obstacle(
            "other_schema",
            f"the policy wants partitions in schema {quote(schema)}, and a conversion does not move"
            " the table. Remove `schema` from the policy until it is converted",
        )
    for storage in seen.of("storage"):
        if storage.definition["access_method"] != "heap":
            method = storage.definition["access_method"]
            yield Obstacle("access_method", f"its access method is {method}, not heap")


def _of_rights(seen: ConvertibleTable, server: Server) -> Iterator[Obstacle]:
    table, role = seen.table, quote(server.role)
    owner, schema = quote(table.properties.owner), quote(seen.name.schema)
    if not table.manageable:
        right = server.grants.right_to_act(table.properties.owner, seen.name)
        yield Obstacle("not_owner", f"{role} is not a member of its owner. Run {right}")
    if not table.lends:
        database = quote(server.database)
        yield Obstacle(
            "owner_lacks_temporary",
            f"its owner can't lend its rights. Run GRANT TEMPORARY ON DATABASE {database} TO"
            f" {owner}",
        )
    if not table.owner_creates or not table.creatable:
        yield Obstacle(
            "owner_lacks_create",
            "its owner can't create tables in its schema. Run GRANT USAGE, CREATE ON SCHEMA"
            f" {schema} TO {owner}, {role}",
        )


def _of_key(seen: ConvertibleTable) -> Iterator[Obstacle]:
    section, key = seen.section, seen.key
    if key is None:
        yield Obstacle("no_such_column", f"it has no column {quote(section.column)}")
        return
    column = seen.table.column(section.column)
    if column is not None and column.type not in types_of(section.encoding):
        wanted = ", ".join(sorted(types_of(section.encoding)))
        yield Obstacle(
            "other_type",
            f"{quote(key.name)} has type {column.type}, but encoding {section.encoding.value}"
            f" requires {wanted}",
        )
    if key.definition["generated"]:
        yield Obstacle(
            "generated_key", f"{quote(key.name)} is generated, which no partition key is"
        )


def shown(found: Iterable[Obstacle]) -> str:
    """Return the reasons as one text."""
    texts = [each.text for each in found]
    more = f"; and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return "; ".join(texts[:_SHOWN]) + more
