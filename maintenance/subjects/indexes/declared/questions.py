"""The trials of declarations on empty copies of their tables, and what the answers mean. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from maintenance.names import QualifiedName, literal, quote
from maintenance.policy.declarations import (
    CheckDeclaration,
    ColumnDeclaration,
    IndexDeclaration,
)
from maintenance.subjects.indexes.declared.comparison import tail_of
from maintenance.subjects.indexes.declared.models import (
    NOT_TRIED,
    Refusal,
    TableFacts,
    TrialIndex,
)
from maintenance.subjects.indexes.models import Definition, Index, Key, Table

Tried = IndexDeclaration | CheckDeclaration | ColumnDeclaration
"""Declarations of which the server says whether it accepts them."""

Answer = Mapping[str, Any] | Refusal
"""What the server says: the row of the question's query, or a refusal."""

_INDEX = """
SELECT
  pg_catalog.pg_get_indexdef(i.indexrelid) AS definition,
  i.indnkeyatts::pg_catalog.int4 AS n_keys,
  ARRAY(SELECT a.attname::pg_catalog.text
          FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k (attnum, place)
          LEFT JOIN pg_catalog.pg_attribute a
            ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND k.attnum <> 0
         ORDER BY k.place) AS columns,
  i.indclass::pg_catalog.oid[] AS opclasses,
  i.indcollation::pg_catalog.oid[] AS collations,
  i.indoption::pg_catalog.int2[] AS directions,
  ARRAY(SELECT pg_catalog.pg_get_indexdef(i.indexrelid, k.place::pg_catalog.int4, false)
          FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS k (attnum, place)
         WHERE k.attnum = 0 ORDER BY k.place) AS expressions,
  pg_catalog.pg_get_expr(i.indpred, i.indrelid) AS predicate,
  CASE WHEN m.amname NOT IN ('btree', 'hash')
       THEN pg_catalog.concat_ws('; ', c.reloptions::pg_catalog.text,
              (SELECT pg_catalog.string_agg(
                        pg_catalog.concat(a.attnum, a.attoptions::pg_catalog.text), ', '
                        ORDER BY a.attnum)
                 FROM pg_catalog.pg_attribute a
                WHERE a.attrelid = i.indexrelid AND a.attoptions IS NOT NULL)) END AS parameters
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_am m ON m.oid = c.relam
WHERE i.indexrelid = {index}::pg_catalog.regclass"""

_CHECK = """
SELECT pg_catalog.pg_get_constraintdef(k.oid) AS definition
FROM pg_catalog.pg_constraint k
WHERE k.conrelid = {table}::pg_catalog.regclass AND k.conname = {name}"""

_COLUMN = """
SELECT pg_catalog.format_type(a.atttypid, a.atttypmod) AS type, a.attgenerated AS generated,
       pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS expression
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = {table}::pg_catalog.regclass AND a.attname = {name}"""


class Question(NamedTuple):
    """A declaration to try on a copy of its table.

    Attributes:
        statement: carries it out on the copy.
        query: describes the effect in one row.
    """

    declared: Tried
    table: Table
    facts: TableFacts
    statement: str
    query: str


def question(declared: Tried, table: Table, facts: TableFacts) -> Question:
    """Return the trial of a declaration on a copy of its table."""
    copy = copy_of(table)
    if isinstance(declared, IndexDeclaration):
        name = QualifiedName("pg_temp", table.relation.name)
        statement = declared.create(table=name, concurrently=False, tablespace=False)
        index = f"pg_temp.{quote(declared.name)}"
        return Question(declared, table, facts, statement, _INDEX.format(index=literal(index)))
    if isinstance(declared, CheckDeclaration):
        query = _CHECK.format(table=literal(copy), name=literal(declared.name))
        return Question(declared, table, facts, f"ALTER TABLE {copy} {declared.add}", query)
    drop = f"DROP COLUMN {quote(declared.name)}, " if declared.name in facts.columns else ""
    query = _COLUMN.format(table=literal(copy), name=literal(declared.name))
    return Question(declared, table, facts, f"ALTER TABLE {copy} {drop}{declared.add}", query)


def copy_of(table: Table) -> str:
    """Return the name of the copy of a table: its own, so that names of columns may have it."""
    return f"pg_temp.{quote(table.relation.name)}"


def create_copy(asked: Question) -> str:
    """Return the statement that makes an empty copy, partitioned by the same key."""
    key = asked.facts.partition_key
    parts = f" PARTITION BY {key}" if key is not None else ""
    table = asked.table
    return (
        f"CREATE TEMPORARY TABLE {copy_of(table)}"
        f" (LIKE {table.relation} INCLUDING GENERATED){parts}"
    )


def is_stable(answer: Mapping[str, Any]) -> bool:
    """Whether the server writes a definition the same again: one without a cast or an array."""
    text = answer.get("definition") or answer["expression"]
    return "::" not in text and "ARRAY" not in text


def question_again(asked: Question, answer: Mapping[str, Any]) -> Question:
    """Return the trial of a declaration as the server wrote it.

    What the server writes is not always written the same once it is carried out again, such as
    `IN` on a varchar.
    """
    declared, copy = asked.declared, copy_of(asked.table)
    if isinstance(declared, IndexDeclaration):
        tail = _tail(declared, asked.table, answer)
        name = QualifiedName("pg_temp", asked.table.relation.name)
        statement = declared.create(table=name, concurrently=False, definition=tail)
    elif isinstance(declared, CheckDeclaration):
        statement = (
            f"ALTER TABLE {copy} ADD CONSTRAINT {quote(declared.name)} {answer['definition']}"
        )
    elif declared.has_collation:
        statement = asked.statement
    else:
        kind = "VIRTUAL" if declared.is_virtual else "STORED"
        drop = (
            f"DROP COLUMN {quote(declared.name)}, " if declared.name in asked.facts.columns else ""
        )
        column = f"{answer['type']} GENERATED ALWAYS AS ({answer['expression']}) {kind}"
        statement = f"ALTER TABLE {copy} {drop}ADD COLUMN {quote(declared.name)} {column}"
    return asked._replace(statement=statement)


def _tail(declared: IndexDeclaration, table: Table, answer: Mapping[str, Any]) -> str | None:
    return tail_of(
        answer["definition"], declared.relation, copy_of(table), is_unique=declared.is_unique
    )


def index_of(
    declared: IndexDeclaration, table: Table, facts: TableFacts, answers: Sequence[Answer]
) -> TrialIndex:
    """Return what the trials of an index say, with the columns of the real table.

    Args:
        declared: the declaration.
        table: its table.
        facts: of the table.
        answers: to the question, and to the one asked again if it was accepted.
    """
    if isinstance(answers[0], Refusal):
        return TrialIndex(refusal=answers[0])
    rows = [each for each in answers if not isinstance(each, Refusal)]
    tails = tuple(dict.fromkeys(tail for row in rows if (tail := _tail(declared, table, row))))
    if not tails:
        return TrialIndex(refusal=Refusal(NOT_TRIED, "the copy has another definition"))
    return TrialIndex(tails, tuple(_index(declared, table, facts, row) for row in rows))


def _index(
    declared: IndexDeclaration, table: Table, facts: TableFacts, row: Mapping[str, Any]
) -> Index:
    expressions = iter(row["expressions"])
    # a column that is declared too has no number yet
    numbers = {name: -place for place, name in enumerate(row["columns"], 1)}
    numbers.update({name: column.number for name, column in facts.columns.items()})
    held: list[Definition] = [
        numbers[name] if name is not None else next(expressions) for name in row["columns"]
    ]
    n = row["n_keys"]
    keys = zip(held[:n], row["opclasses"], row["collations"], row["directions"], strict=True)
    return Index(
        oid=0,
        relation=declared.relation,
        table_oid=table.oid,
        method=declared.method,
        keys=tuple(Key(of, int(a), int(b), int(c)) for of, a, b, c in keys),
        included=frozenset(held[n:]),
        predicate=row["predicate"],
        is_partitioned=facts.partition_key is not None,
        is_unique=declared.is_unique,
        nulls_not_distinct=declared.nulls_not_distinct,
        parameters=row["parameters"],
        tablespace=declared.tablespace,
    )
