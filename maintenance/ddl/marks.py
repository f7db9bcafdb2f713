"""Marks: one line of a table's comment that records its origin.

A mark is kept by dumps and restores, is visible in psql, and does not depend on the store. Other
lines of the comment are kept.
"""

import json
from collections.abc import Mapping
from typing import Any, cast

from maintenance.names import QualifiedName, literal

PREFIX = "maintenance: "

DETACHED_FROM = "detached_from"
"""Mark of a table that was a partition: the parent, with its `bound` and the moment `at`."""

RELEASED = "released"
"""Mark of a partition whose tables are renamed for a moment: their names by the present ones."""

HOLD_UNTIL = "hold_until"
"""Mark of a partition that retention keeps until that day (ISO 8601)."""

RESTORED = "restored"
"""Mark of a restored table: the moment of the restore."""

RESTORING = "restoring"
"""Mark of a table that a restore is filling, or was when it was interrupted."""


def marked(comment: str | None, facts: Mapping[str, Any]) -> str:
    """Return a comment with a mark of these facts; its other lines are kept."""
    mark = PREFIX + json.dumps(facts, sort_keys=True, ensure_ascii=False)
    return "\n".join(filter(None, (unmarked(comment), mark)))


def unmarked(comment: str | None) -> str:
    """Return a comment without its mark; PostgreSQL removes an empty comment."""
    lines = (comment or "").splitlines()
    return "\n".join(line for line in lines if not line.startswith(PREFIX))


def read_mark(comment: str | None) -> dict[str, Any]:
    """Return the facts of a comment's mark; empty without a readable mark."""
    for line in (comment or "").splitlines():
        if line.startswith(PREFIX):
            try:
                facts = json.loads(line.removeprefix(PREFIX))
            except (ValueError, RecursionError):
                return {}
            return cast("dict[str, Any]", facts) if isinstance(facts, dict) else {}
    return {}


def set_comment(table: QualifiedName, comment: str) -> str:
    """Return the statement that sets a table's comment; it takes SHARE UPDATE EXCLUSIVE on it."""
    return f"COMMENT ON TABLE {table} IS {literal(comment)}"


def add_mark(table: QualifiedName, facts: Mapping[str, Any]) -> str:
    """Return the statement that adds a mark to a table's comment, before all that is in it."""
    return _rewrite(table, f"pg_catalog.concat_ws(E'\\n', {literal(marked(None, facts))}, comment)")


def remove_mark(table: QualifiedName, fact: str) -> str:
    """Return the statement that removes the mark of one fact, if it is there."""
    begin = literal(marked(None, {fact: None}).removesuffix("null}"))
    rest = (
        "(SELECT pg_catalog.string_agg(line, E'\\n' ORDER BY place)"
        " FROM pg_catalog.string_to_table(comment, E'\\n') WITH ORDINALITY AS l (line, place)"
        f" WHERE NOT pg_catalog.starts_with(line, {begin}))"
    )
    return _rewrite(table, rest)


def _rewrite(table: QualifiedName, expression: str) -> str:
    relation = f"{literal(str(table))}::pg_catalog.regclass"
    found = f"comment text := pg_catalog.obj_description({relation}, 'pg_class')"
    command = literal(f"COMMENT ON TABLE {table} IS ")
    body = f"EXECUTE {command} || pg_catalog.quote_nullable({expression})"
    return f"DO {literal(f'DECLARE {found}; BEGIN {body}; END')}"


NOW = "{now}"
"""Placeholder in a mark for the moment at which `stamp` is run."""


def stamp(table: QualifiedName, comment: str) -> str:
    """Return the statement that sets a comment and replaces `NOW` by the server's clock.

    So the text of a plan, and its id, do not change from one plan to the next.
    """
    moment = "pg_catalog.to_char(pg_catalog.clock_timestamp(), 'YYYY-MM-DD\"T\"HH24:MI:SSOF:00')"
    filled = f"pg_catalog.replace({literal(comment)}, '{NOW}', {moment})"
    command = literal(f"COMMENT ON TABLE {table} IS ")
    body = f"BEGIN EXECUTE {command} || pg_catalog.quote_literal({filled}); END"
    return f"DO {literal(body)}"
