"""Try declared indexes on empty copies of their tables, with the rights of the tables' owners.

The server itself then says whether it accepts a definition, and how it writes it. All is rolled
back. Nothing is tried where an event trigger would run another role's code.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg

from maintenance.errors import MaintenanceError, UnreachableError
from maintenance.names import QualifiedName, literal, quote
from maintenance.policy.declarations import IndexDeclaration
from maintenance.server.owner_rights import OwnerRights, Trial
from maintenance.server.owner_sessions import OwnerSessions
from maintenance.server.session import (
    READ_LOCK_TIMEOUT,
    Connection,
    milliseconds,
    rollback_quietly,
    to_error,
)
from maintenance.subjects.indexes.declared.comparison import tail_of
from maintenance.subjects.indexes.declared.models import Refusal, TableFacts, TrialIndex
from maintenance.subjects.indexes.models import Definition, Index, Key, Table

NOT_TRIED = ""
"""The SQLSTATE of a refusal that is not the server's verdict on the definition."""

_DESCRIPTION = """
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


@dataclass(frozen=True, slots=True)
class Candidate:
    """A declared index that is to be tried.

    Attributes:
        place: its place among the declarations.
    """

    place: int
    declaration: IndexDeclaration
    table: Table
    facts: TableFacts


def try_indexes(
    connection: Connection,
    candidates: Sequence[Candidate],
    search_path: str,
    time_cap: timedelta,
) -> dict[int, TrialIndex]:
    """Try indexes; return the results by the place of their declarations.

    Args:
        connection: our session on the primary, outside a transaction.
        candidates: on tables that exist, with columns that exist.
        search_path: the policy's, for names in the declarations.
        time_cap: for the trials of one owner.

    Raises:
        UnreachableError: the connection was lost.
    """
    by_owner: dict[str, list[Candidate]] = {}
    for each in sorted(candidates, key=lambda each: each.table.relation):
        by_owner.setdefault(each.facts.owner, []).append(each)
    found: dict[int, TrialIndex] = {}
    with OwnerSessions() as sessions:
        for owner, tried in by_owner.items():
            rights = OwnerRights(owner, search_path)
            found.update(_try_as(connection, rights, tried, time_cap, sessions))
    return found


def _try_as(
    connection: Connection,
    rights: OwnerRights,
    candidates: Sequence[Candidate],
    time_cap: timedelta,
    sessions: OwnerSessions,
) -> Iterator[tuple[int, TrialIndex]]:
    steps = list(_steps(candidates))
    settings = (
        f"SET LOCAL lock_timeout = {READ_LOCK_TIMEOUT}",
        f"SET LOCAL statement_timeout = {milliseconds(time_cap)}",
    )
    try:
        session = sessions.session(connection, rights)
        try:
            answers = session.attempt([trial for _, trial in steps], settings)
        except psycopg.Error as exc:
            rollback_quietly(session.connection)
            raise to_error(exc, "trying the declared indexes") from exc
    except UnreachableError:
        raise
    except MaintenanceError as exc:
        refusal = Refusal(NOT_TRIED, str(exc), exc.hint)
        yield from ((each.place, TrialIndex(refusal=refusal)) for each in candidates)
        return
    no_copy: Refusal | None = None
    for (candidate, _), answer in zip(steps, answers, strict=True):
        refusal = _refusal(answer)
        if candidate is None:
            no_copy = refusal._replace(sqlstate=NOT_TRIED) if refusal is not None else None
        elif no_copy is not None or refusal is not None:
            yield candidate.place, TrialIndex(refusal=no_copy or refusal)
        else:
            yield candidate.place, _described(candidate, answer["row"])


def _steps(candidates: Sequence[Candidate]) -> Iterator[tuple[Candidate | None, Trial]]:
    """Yield the statements, each with its candidate: a copy of a table, its indexes, its drop."""
    before: Candidate | None = None
    for each in candidates:
        if before is None or each.table.oid != before.table.oid:
            if before is not None:
                yield None, Trial(f"DROP TABLE {_copy_of(before.table)}")
            yield None, Trial(_create_copy(each))
        yield each, _build(each)
        before = each
    if before is not None:
        yield None, Trial(f"DROP TABLE {_copy_of(before.table)}")


def _copy_of(table: Table) -> str:
    return f"pg_temp.{quote(table.relation.name)}"


def _create_copy(candidate: Candidate) -> str:
    key = candidate.facts.partition_key
    parts = f" PARTITION BY {key}" if key is not None else ""
    table = candidate.table
    return (
        f"CREATE TEMPORARY TABLE {_copy_of(table)}"
        f" (LIKE {table.relation} INCLUDING GENERATED){parts}"
    )


def _build(candidate: Candidate) -> Trial:
    declaration = candidate.declaration
    copy = QualifiedName("pg_temp", candidate.table.relation.name)
    statement = declaration.create(table=copy, concurrently=False)
    name = f"pg_temp.{quote(declaration.name)}"
    return Trial(statement, _DESCRIPTION.format(index=literal(name)))


def _refusal(answer: Mapping[str, Any]) -> Refusal | None:
    if "sqlstate" not in answer:
        return None
    state = answer["sqlstate"]
    is_ours = state in ("55P03", "57014", "42501", "25006")
    return Refusal(NOT_TRIED if is_ours else state, answer["message"], answer["hint"] or "")


def _described(candidate: Candidate, row: Mapping[str, Any]) -> TrialIndex:
    """Return the index on the real table, by the names of its columns."""
    declaration, columns = candidate.declaration, candidate.facts.columns
    tail = tail_of(
        row["definition"],
        declaration.relation,
        _copy_of(candidate.table),
        is_unique=declaration.is_unique,
    )
    if tail is None:
        return TrialIndex(refusal=Refusal(NOT_TRIED, "the copy has another definition"))
    expressions = iter(row["expressions"])
    held: list[Definition] = [
        columns[name].number if name is not None else next(expressions) for name in row["columns"]
    ]
    n = row["n_keys"]
    index = Index(
        oid=0,
        relation=declaration.relation,
        table_oid=candidate.table.oid,
        method=declaration.method,
        keys=tuple(
            map(
                Key,
                held[:n],
                map(int, row["opclasses"]),
                map(int, row["collations"]),
                map(int, row["directions"]),
            )
        ),
        included=frozenset(held[n:]),
        predicate=row["predicate"],
        is_partitioned=candidate.facts.partition_key is not None,
        is_unique=declaration.is_unique,
        nulls_not_distinct=declaration.nulls_not_distinct,
        parameters=row["parameters"],
        tablespace=declaration.tablespace,
    )
    return TrialIndex(tail, index)
