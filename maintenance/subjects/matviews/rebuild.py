"""Replace a view by its current definition; at no time is it missing or empty.

The new view is built under another name, without a time limit, with all indexes and privileges of
the old one. Then one short transaction swaps the names, points plain views to the new one, and
drops the old one. The lock timeout is the same as for other statements.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from maintenance.ddl.marks import marked, read_mark, unmarked
from maintenance.engine.action_context import ActionContext
from maintenance.engine.actions import Action, Lock, LockMode, Step
from maintenance.errors import MaintenanceError
from maintenance.names import QualifiedName, literal, parse_name, quote
from maintenance.policy import MatviewPolicy
from maintenance.policy.view_sql import read_view_query
from maintenance.server.session import (
    Connection,
    fetch,
    owner_path,
    rollback_quietly,
    run_sql,
    to_error,
)
from maintenance.subjects.matviews.apply import section_of, with_invalidation
from maintenance.subjects.matviews.ddl import (
    REBUILD_OF,
    create_empty,
    give_to,
    grant_statements,
    index_statement,
    refresh_statement,
    replacement_name,
)
from maintenance.subjects.matviews.observe import fingerprint_of_query
from maintenance.subjects.matviews.populate import Entry, Written, counting, run_counted


@dataclass(frozen=True, slots=True)
class _Replacement:
    """A new view built to replace another.

    Attributes:
        indexes: pairs of the current and the final name of an index.
        dependents: plain views that read the old one, with the statements that recreate them.
    """

    old: QualifiedName
    name: QualifiedName
    comment: str | None
    indexes: Sequence[tuple[str, str]]
    dependents: Sequence[tuple[str, str]]


def rebuild(context: ActionContext, action: Action) -> Mapping[str, Any]:
    """Replace a view by the definition in its SQL file.

    Raises:
        MaintenanceError: it can't be replaced, or not now; the old view is unchanged.
    """
    section = section_of(context.policy, parse_name(action.object))
    assert section.definition is not None, "only views with a file are rebuilt"
    oid = int(action.preconditions["oid"])
    dependents = _dependents(context.connection, section.name, oid)
    query = read_view_query(section.definition, section.name)
    view = fingerprint_of_query(context.connection, context.store, context.policy, section, query)
    entry = Entry(context, action, view, "rebuild")

    def work() -> Written:
        _remove_leftover(context, section.name)
        replacement, written = _build(context, section, query, action, dependents)
        context.run(_swap(replacement))
        return written

    return with_invalidation(context, section, lambda: entry.about(work))


def _dependents(connection: Connection, view: QualifiedName, oid: int) -> list[tuple[str, str]]:
    rows = fetch(connection, "matviews", "list_dependents", {"view": oid})
    stuck = [row.description for row in rows if row.statement is None]
    if stuck:
        raise MaintenanceError(
            f"{view}: not rebuilt, because these dependent objects can't be recreated:"
            f" {', '.join(stuck)}",
            hint="drop them first and recreate them afterwards (only plain views are recreated)",
            reason="dependents",
        )
    return [(row.relation, row.statement) for row in rows]


def _remove_leftover(context: ActionContext, view: QualifiedName) -> None:
    """Drop the leftover of a killed rebuild, recognized by its name and its mark."""
    replacement = replacement_name(view)
    row = context.connection.execute(
        "SELECT pg_catalog.obj_description(pg_catalog.to_regclass(%s), 'pg_class'),"
        " pg_catalog.to_regclass(%s) IS NOT NULL",
        [str(replacement), str(replacement)],
    ).fetchone()
    assert row is not None, "SELECT without FROM returns one row"
    comment, exists = row
    if not exists:
        return
    if read_mark(comment).get(REBUILD_OF) != str(view):
        raise MaintenanceError(
            f"{replacement}: name conflict: not created by a rebuild",
            hint="rename it",
        )
    context.run(
        Step(
            (f"DROP MATERIALIZED VIEW {replacement}",),
            locks=(Lock(str(replacement), LockMode.ACCESS_EXCLUSIVE),),
        )
    )


def _build(
    context: ActionContext,
    section: MatviewPolicy,
    query: str,
    action: Action,
    dependents: Sequence[tuple[str, str]],
) -> tuple[_Replacement, Written]:
    """Build the new view in one transaction, with indexes and privileges of the old one.

    The owner is set before the view is populated, so that its query runs with the owner's rights.
    """
    connection, replacement = context.connection, replacement_name(section.name)
    oid, owner = int(action.preconditions["oid"]), action.preconditions["owner"]
    create = (
        "BEGIN",
        "SET LOCAL statement_timeout = 0",
        "SET LOCAL lock_timeout = 0",
        f"SET LOCAL search_path = {owner_path(context.policy.database.search_path)}",
        "SET LOCAL row_security = on",  # as in a refresh by the owner
        "SELECT pg_catalog.statement_timestamp()",
        create_empty(replacement, query),
        *give_to(replacement, owner),
        *grant_statements(
            replacement, [(to, right) for to, right in action.preconditions["grants"]]
        ),
        refresh_statement(replacement, "plain"),
        "SET LOCAL search_path = ''",
        counting(str(replacement)),
    )
    try:
        written = run_counted(connection, ";\n".join(create))
        comment, indexes = _carry(connection, section, oid, replacement)
        run_sql(connection, "COMMIT")
    except psycopg.Error as exc:
        rollback_quietly(connection)
        raise to_error(exc, f"{section.name}: building the new view") from exc
    return _Replacement(section.name, replacement, comment, indexes, dependents), written


def _carry(
    connection: Connection, section: MatviewPolicy, oid: int, replacement: QualifiedName
) -> tuple[str | None, list[tuple[str, str]]]:
    """Copy properties of the old view to the new one; return its comment and its index names."""
    row = connection.execute(
        "SELECT pg_catalog.obj_description(%s::pg_catalog.oid, 'pg_class'),"
        " ARRAY(SELECT a.attname::pg_catalog.text FROM pg_catalog.pg_attribute AS a"
        "  WHERE a.attrelid = pg_catalog.to_regclass(%s) AND a.attnum > 0)",
        [oid, str(replacement)],
    ).fetchone()
    assert row is not None, "SELECT without FROM returns one row"
    comment, columns = row
    parameters = {
        "view": oid,
        "beside": str(replacement),
        "columns": columns,
        "prefix": f"{replacement.name}_",
    }
    rows = fetch(connection, "matviews", "list_carried", parameters)
    for carried in rows:
        run_sql(connection, carried.statement)
    if section.unique_index and not _has_unique_key(connection, replacement, section.unique_index):
        run_sql(connection, index_statement(section, concurrently=False, view=replacement))
    mark = marked(comment, {REBUILD_OF: str(section.name)})
    run_sql(connection, f"COMMENT ON MATERIALIZED VIEW {replacement} IS {literal(mark)}")
    return comment, [(r.made_name, r.index_name) for r in rows if r.index_name is not None]


def _has_unique_key(connection: Connection, view: QualifiedName, columns: Sequence[str]) -> bool:
    parameters = {"schemas": [view.schema], "names": [view.name]}
    (row,) = fetch(connection, "matviews", "list_matviews", parameters)
    return set(columns) in [set(key) for key in row.unique_keys or ()]


def _swap(replacement: _Replacement) -> Step:
    old, new = replacement.old, replacement.name
    aside = QualifiedName(old.schema, f"{new.name}_old")
    comment = literal(unmarked(replacement.comment)) if replacement.comment else "NULL"
    schema = quote(old.schema)
    return Step(
        (
            f"ALTER MATERIALIZED VIEW {old} RENAME TO {quote(aside.name)}",
            f"ALTER MATERIALIZED VIEW {new} RENAME TO {quote(old.name)}",
            *(statement for _, statement in replacement.dependents),
            f"DROP MATERIALIZED VIEW {aside}",
            *(
                f"ALTER INDEX {schema}.{quote(made)} RENAME TO {quote(wanted)}"
                for made, wanted in replacement.indexes
            ),
            f"COMMENT ON MATERIALIZED VIEW {old} IS {comment}",
        ),
        locks=(
            Lock(str(old), LockMode.ACCESS_EXCLUSIVE),
            Lock(str(new), LockMode.ACCESS_EXCLUSIVE),
            *(Lock(name, LockMode.ACCESS_EXCLUSIVE) for name, _ in replacement.dependents),
        ),
    )
