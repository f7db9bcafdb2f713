"""The reasons against a conversion that foreign keys of other tables give."""

from collections.abc import Iterator

from maintenance.names import quote
from maintenance.server.grants import Grants
from maintenance.subjects.conversion.models import ConvertibleTable, Obstacle
from maintenance.subjects.conversion.references import (
    Reference,
    column_for,
    fill_hint,
    references_of,
)

_ACTIONS = {"n": "SET NULL", "d": "SET DEFAULT"}


def obstacles_of_references(seen: ConvertibleTable, grants: Grants) -> Iterator[Obstacle]:
    """Yield the reasons: foreign keys that can't be created again, or need a further column."""
    for each in references_of(seen.definition):
        yield from _of_rights(seen, each, grants)
        yield from _of_definition(each)
        if each.has_key:
            continue
        if each.column is None:
            yield _lacking(seen, each)
        else:
            yield from _of_longer_key(seen, each)
            yield from _of_column(seen, each, each.column)


def _of_rights(seen: ConvertibleTable, each: Reference, grants: Grants) -> Iterator[Obstacle]:
    owner, named = quote(each.owner), _named(each)
    if not each.around["usable"]:
        yield _about(
            each,
            "reference_owner",
            f"{named} can't be created again: this role is not a member of its owner. Run"
            f" {grants.right_to_act(each.owner, each.table)}; GRANT USAGE ON SCHEMA"
            f" {quote(each.table.schema)} TO {quote(grants.role)}",
        )
    if not each.around["lends"]:
        yield _about(
            each,
            "reference_owner",
            f"{named} can't be validated: its owner can't lend its rights. Run GRANT TEMPORARY on"
            f" this database to {owner}",
        )
    if not each.around["may_reference"]:
        yield _about(
            each,
            "owner_lacks_references",
            f"{named} can't be created again. Run GRANT REFERENCES ON {seen.name} TO"
            f" {quote(seen.table.properties.owner)}",
        )


def _of_definition(each: Reference) -> Iterator[Obstacle]:
    facts, named = each.facts, _named(each)
    if facts["relkind"] != "r":
        yield _about(
            each,
            "reference_definition",
            f"{named} belongs to a table that is partitioned itself, and could only be created"
            " again by a scan that blocks writers. Drop it until the table is converted",
        )
    if each.around["disabled"]:
        yield _about(
            each,
            "reference_definition",
            f"triggers of {named} are disabled. Run ALTER TABLE {each.table} ENABLE TRIGGER ALL",
        )
    if facts["period"]:
        yield _about(each, "period", f"{named} is temporal")
    elif not each.text.startswith(each.head):
        yield _about(
            each, "reference_definition", f"the definition of {named} is not read: {each.text}"
        )


def _lacking(seen: ConvertibleTable, each: Reference) -> Obstacle:
    """Return that a column is needed, how to fill it, and what the policy has to say."""
    column, table = quote(column_for(each)), each.table
    return _about(
        each,
        "referenced",
        f"{_named(each)} references ({', '.join(map(quote, each.facts['referenced']))}), and the"
        f" key gets {quote(each.key)} too. Run ALTER TABLE {table} ADD COLUMN {column}"
        f" {_key_type(seen)}, let the application write it, then, in batches, {fill_hint(each)},"
        f" then {_never_null(each, column)}, and add to this table in the policy: referenced_by:"
        f" [{{table: {table}, constraint: {each.name}, column: {column_for(each)}}}]. Or drop the"
        " foreign key",
    )


def _of_longer_key(seen: ConvertibleTable, each: Reference) -> Iterator[Obstacle]:
    facts, named = each.facts, _named(each)
    key = seen.primary_key
    if key is None or set(facts["referenced"]) != set(key.definition["columns"]):
        yield _about(
            each,
            "reference_definition",
            f"{named} does not reference the primary key, and no other key gets"
            f" {quote(each.key)}. Let it reference the primary key, or drop it",
        )
    for place in ("on_update", "on_delete"):
        action = _ACTIONS.get(facts[place])
        if action is None or (place, action) == ("on_delete", "SET NULL"):
            continue
        yield _about(
            each,
            "reference_definition",
            f"{named} has {place.replace('_', ' ').upper()} {action}, which would set"
            " the added column too. Change the action",
        )
    columns = (*facts["columns"], each.column)
    if facts["match"] == "f" and any(
        each.around["others"].get(c, ["", True])[1] is False for c in columns
    ):
        yield _about(
            each,
            "reference_definition",
            f"{named} has MATCH FULL, which would refuse rows where only some of its columns are"
            " null. Set all of them NOT NULL, or create it without MATCH FULL",
        )
    if each.around["reader"] is None and each.is_valid:
        yield _about(
            each,
            "reference_owner",
            f"no role may read both {each.table} and {seen.name}, so it can't be checked that the"
            f" rows of {named} have partners. Run GRANT SELECT ON {seen.name} TO"
            f" {quote(each.owner)}",
        )


def _of_column(seen: ConvertibleTable, each: Reference, column: str) -> Iterator[Obstacle]:
    found, name = each.around["others"].get(column), quote(column)
    if found is None or column in each.facts["columns"]:
        yield _about(
            each,
            "reference_column",
            f"the policy wants {name} as a further column of {_named(each)}, and"
            f" {'it is one of its columns' if found else f'{each.table} has no such column'}."
            " Correct referenced_by",
        )
        return
    type_, not_null = found
    if type_ != _key_type(seen):
        yield _about(
            each,
            "reference_column",
            f"{name} of {each.table} has type {type_}, but {quote(each.key)} has type"
            f" {_key_type(seen)}. Change it",
        )
    if not not_null and not _is_checked(each, column):
        yield _about(
            each,
            "reference_column",
            f"{name} of {each.table} may be null where {_named(each)} is not, and that row would"
            f" not be checked any more. Run {_never_null(each, name)}",
        )


def _is_checked(each: Reference, column: str) -> bool:
    """Whether a CHECK makes sure that the column is not null where the foreign key is not."""
    added = quote(column)
    wanted = {f"CHECK {added} IS NOT NULL"} | {
        text
        for own in map(quote, each.facts["columns"])
        for text in (
            f"CHECK {own} IS NULL OR {added} IS NOT NULL",
            f"CHECK {added} IS NOT NULL OR {own} IS NULL",
            f"CHECK {own} IS NULL = {added} IS NULL",
            f"CHECK {added} IS NULL = {own} IS NULL",
        )
    }
    plain = (text.replace("(", "").replace(")", "") for text in each.around["checks"] or ())
    return not wanted.isdisjoint(plain)


def _never_null(each: Reference, column: str) -> str:
    """Return the statements that keep null out of the added column; they block no writer."""
    columns, others = each.facts["columns"], each.around["others"]
    nullable = next((c for c in columns if not others.get(c, ["", True])[1]), None)
    condition = f"{column} IS NOT NULL"
    if nullable is not None:
        condition = f"{quote(nullable)} IS NULL OR {condition}"
    name, alter = quote(f"{column_for(each)}_given"), f"ALTER TABLE {each.table}"
    return (
        f"{alter} ADD CONSTRAINT {name} CHECK ({condition}) NOT VALID, and then {alter} VALIDATE"
        f" CONSTRAINT {name}"
    )


def _key_type(seen: ConvertibleTable) -> str:
    column = seen.table.column(seen.section.column)
    return column.type if column is not None else "of the partition key"


def _named(each: Reference) -> str:
    return f"foreign key {quote(each.name)} of {each.table}"


def _about(each: Reference, code: str, text: str) -> Obstacle:
    return Obstacle(code, text, (each.fact.name,))
