"""Foreign keys of other tables that reference a converted table.

The swap drops them and creates them again, NOT VALID, which scans nothing. They are validated
afterwards, which blocks no writer. Until then a mark in their comment says that they were valid:
one that was NOT VALID before has none, and stays so.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from maintenance.ddl.marks import marked, read_mark, unmarked
from maintenance.engine.actions import Lock, LockMode, Step
from maintenance.names import QualifiedName, literal, quote
from maintenance.server.statements import Ours
from maintenance.subjects.conversion.models import Definition, Fact, Helper

MARK = "conversion"
"""The key of the mark: the table for which the foreign key was created again."""

NO_LIMIT = Ours("SET LOCAL statement_timeout = 0")
"""For a scan that blocks no reader or writer, however long it takes."""

_NOT_VALID = " NOT VALID"
_SET_NULL = " ON DELETE SET NULL"


class Reference(NamedTuple):
    """A foreign key to the table.

    Attributes:
        fact: its properties before the swap.
        target: the table.
        key: the future partition key.
        column: of the referencing table, with the value of the partition key; None if the foreign
            key has it already, or can't be carried over.
        around: facts of the referencing table and of rights, which may change.
    """

    fact: Fact
    target: QualifiedName
    key: str
    column: str | None = None
    around: Mapping[str, Any] = MappingProxyType({})

    @property
    def facts(self) -> Mapping[str, Any]:
        """Its properties."""
        return self.fact.definition

    @property
    def table(self) -> QualifiedName:
        """The referencing table."""
        return QualifiedName(self.facts["schema"], self.facts["table"])

    @property
    def name(self) -> str:
        """Its own name, unique in its table."""
        return self.facts["constraint"]

    @property
    def owner(self) -> str:
        """The owner of the referencing table."""
        return self.facts["owner"]

    @property
    def is_valid(self) -> bool:
        """Whether it holds for all rows."""
        return bool(self.facts["valid"] and self.facts["enforced"])

    @property
    def has_key(self) -> bool:
        """Whether it references the future partition key too."""
        return self.key in self.facts["referenced"]

    @property
    def head(self) -> str:
        """The beginning of its definition as the server shows it, up to its actions."""
        columns, referenced = (
            ", ".join(map(quote, self.facts[each])) for each in ("columns", "referenced")
        )
        return f"FOREIGN KEY ({columns}) REFERENCES {self.target}({referenced})"

    @property
    def text(self) -> str:
        """Its definition, without NOT VALID."""
        return self.facts["text"].removesuffix(_NOT_VALID)

    @property
    def new_text(self) -> str:
        """Its definition after the swap, without NOT VALID."""
        if self.has_key or self.column is None:
            return self.text
        columns = [*self.facts["columns"], self.column]
        referenced = [*self.facts["referenced"], self.key]
        head = self._replace(
            fact=self.fact._replace(
                definition={**self.facts, "columns": columns, "referenced": referenced}
            )
        ).head
        return head + self._actions()

    def _actions(self) -> str:
        actions = self.text.removeprefix(self.head)
        if self.facts["on_delete"] != "n" or self.facts["deletes_some"]:
            return actions
        # without a list the added column would be set null too
        columns = ", ".join(map(quote, self.facts["columns"]))
        return actions.replace(_SET_NULL, f"{_SET_NULL} ({columns})", 1)

    def swapped(self) -> Fact:
        """Return its properties right after the swap."""
        facts = dict(self.facts)
        if not self.has_key and self.column is not None:
            facts["columns"] = [*facts["columns"], self.column]
            facts["referenced"] = [*facts["referenced"], self.key]
            facts["deletes_some"] = facts["deletes_some"] or facts["on_delete"] == "n"
        facts["text"] = self.new_text
        if self.is_valid:
            facts["comment"] = self._marked()
        if facts["enforced"]:
            facts["text"] += _NOT_VALID
            facts["valid"] = False
        return self.fact._replace(definition=facts)

    def drop(self, role: str) -> str:
        """Return the statement that drops it, to be run with the rights of a role."""
        return self._by(role, f"ALTER TABLE {self.table} DROP CONSTRAINT {quote(self.name)}")

    def create(self, role: str, *, swapped: bool) -> Iterator[str]:
        """Yield the statements that create it NOT VALID, to be run with the rights of a role.

        Args:
            role: the owner of the table that it references.
            swapped: whether as after the swap, or as before it.
        """
        text = self.new_text if swapped else self.text
        suffix = _NOT_VALID if self.facts["enforced"] else ""
        added = f"ALTER TABLE {self.table} ADD CONSTRAINT {quote(self.name)} {text}{suffix}"
        yield self._by(role, added)
        comment = self._marked() if self.is_valid else self.facts["comment"]
        if comment is not None:
            yield self._by(role, comment_on(self.table, self.name, comment))

    def _by(self, role: str, statement: str) -> str:
        """Return a statement that runs none of an owner's code; we are a member of both owners."""
        return statement if self.owner == role else Ours(statement)

    def _marked(self) -> str:
        return marked(self.facts["comment"], {MARK: str(self.target)})


def references_of(table: Definition) -> tuple[Reference, ...]:
    """Return the foreign keys of other tables, as they are when all of ours are valid."""
    around = {fact.name: fact.definition for fact in table.of("referencing")}
    return tuple(
        Reference(
            settled(fact),
            table.name,
            table.column,
            table.referenced_by.get(fact.name),
            around[fact.name],
        )
        for fact in table.of("reference")
    )


def settled(fact: Fact) -> Fact:
    """Return the properties of a foreign key as they are once it is valid, if it is ours."""
    facts = fact.definition
    if MARK not in read_mark(facts["comment"]):
        return fact
    text, comment = facts["text"].removesuffix(_NOT_VALID), unmarked(facts["comment"]) or None
    return fact._replace(definition={**facts, "valid": True, "text": text, "comment": comment})


def comment_on(table: QualifiedName, name: str, comment: str | None) -> str:
    """Return the statement that sets the comment of a constraint."""
    text = literal(comment) if comment else "NULL"
    return f"COMMENT ON CONSTRAINT {quote(name)} ON {table} IS {text}"


def validate(table: QualifiedName, name: str, owner: str, comment: str | None) -> Step:
    """Return the step that validates a foreign key and removes our mark from its comment."""
    statements = (
        NO_LIMIT,
        f"ALTER TABLE {table} VALIDATE CONSTRAINT {quote(name)}",
        comment_on(table, name, unmarked(comment)),
    )
    lock = Lock(str(table), LockMode.SHARE_UPDATE_EXCLUSIVE)
    return Step(statements, locks=(lock,), owner=owner)


def validate_helper(helper: Helper) -> Step:
    """Return the step that validates a foreign key that an earlier run has created again."""
    assert helper.table is not None, "a foreign key has a table"
    return validate(helper.table, helper.name, helper.owner, helper.comment)


def validations(table: Definition) -> Iterator[tuple[Reference, Step]]:
    """Yield the validation of each foreign key that the swap creates again."""
    for each in references_of(table):
        if each.is_valid:
            comment = each.facts["comment"]
            yield each, validate(each.table, each.name, each.owner, comment)


def locks_of(table: Definition) -> tuple[Lock, ...]:
    """Return the locks on the referencing tables, which the server takes for the swap.

    The first one of each makes autovacuum give way and keeps other DDL away.
    """
    tables = sorted({str(each.table) for each in references_of(table)})
    modes = LockMode.SHARE_UPDATE_EXCLUSIVE, LockMode.ACCESS_EXCLUSIVE
    return tuple(Lock(name, mode) for mode in modes for name in tables)


def prove_partners(reference: Reference) -> Step | None:
    """Return the step that fails if a row has no partner in the longer key; None if none can.

    A row without a value in the added column would not be checked any more, so it counts too.
    """
    if reference.has_key or reference.column is None or not reference.is_valid:
        return None
    columns, key = reference.facts["columns"], quote(reference.key)
    pairs = zip(reference.facts["referenced"], columns, strict=True)
    same = " AND ".join(f"t.{quote(theirs)} = r.{quote(own)}" for theirs, own in pairs)
    given = " AND ".join(f"r.{quote(column)} IS NOT NULL" for column in columns)
    added = quote(reference.column)
    message = (
        f" rows of {reference.table} (counted up to {_MOST}) have no {added} that is the {key} of"
        f" the row which foreign key {quote(reference.name)} references"
    )
    body = f"""DECLARE n pg_catalog.int8; BEGIN
  SELECT pg_catalog.count(*) INTO n FROM (SELECT FROM ONLY {reference.table} AS r
   WHERE {given} AND NOT EXISTS (SELECT FROM ONLY {reference.target} AS t
          WHERE {same} AND t.{key} = r.{added}) LIMIT {_MOST}) AS lacking;
  IF n > 0 THEN RAISE EXCEPTION USING ERRCODE = '23503',
    MESSAGE = n OPERATOR(pg_catalog.||) {literal(message)}::pg_catalog.text,
    HINT = {literal(f"nothing was changed; {fill_hint(reference)}")}; END IF; END"""
    return Step((NO_LIMIT, f"DO {literal(body)}"), owner=reference.around["reader"])


_MOST = 1000


def column_for(reference: Reference) -> str:
    """Return the added column, or a name for it, such as `event_at` beside `event_id`."""
    first = reference.facts["columns"][0]
    return reference.column or f"{first.removesuffix('_id')}_{reference.key}"


def fill_hint(reference: Reference) -> str:
    """Return the statement that gives the added column its values."""
    added, key = quote(column_for(reference)), quote(reference.key)
    pairs = zip(reference.facts["referenced"], reference.facts["columns"], strict=True)
    same = " AND ".join(f"t.{quote(theirs)} = r.{quote(own)}" for theirs, own in pairs)
    return (
        f"UPDATE {reference.table} AS r SET {added} = t.{key} FROM {reference.target} AS t WHERE"
        f" {same} AND r.{added} IS DISTINCT FROM t.{key}"
    )
