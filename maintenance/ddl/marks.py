"""Marks: one line of a table's comment that tells where it comes from.

A mark travels with the table through dumps and restores, is seen by everybody who looks at it
in psql, and outlives the store. A comment of the owner's own keeps its other lines.
"""

import json
from collections.abc import Mapping
from typing import Any, cast

from maintenance.names import QualifiedName, literal

PREFIX = "maintenance: "

DETACHED_FROM = "detached_from"
"""Mark of a table that was a partition: the parent, beside its `bound` and the moment `at`."""

HOLD_UNTIL = "hold_until"
"""Mark of a partition that retention leaves alone until that day (ISO 8601)."""

RESTORING = "restoring"
"""Mark of a table that a restore is filling, or was when it was interrupted."""


def marked(comment: str | None, facts: Mapping[str, Any]) -> str:
    """Return a comment whose mark says these facts, and whose other lines are kept."""
    mark = PREFIX + json.dumps(facts, sort_keys=True, ensure_ascii=False)
    return "\n".join(filter(None, (unmarked(comment), mark)))


def unmarked(comment: str | None) -> str:
    """Return a comment without its mark; an empty one is none to PostgreSQL."""
    lines = (comment or "").splitlines()
    return "\n".join(line for line in lines if not line.startswith(PREFIX))


def read_mark(comment: str | None) -> dict[str, Any]:
    """Return the facts of a comment's mark; nothing where it has none that can be read."""
    for line in (comment or "").splitlines():
        if line.startswith(PREFIX):
            try:
                facts = json.loads(line.removeprefix(PREFIX))
            except ValueError:
                return {}
            return cast("dict[str, Any]", facts) if isinstance(facts, dict) else {}
    return {}


def set_comment(table: QualifiedName, comment: str) -> str:
    """Return the statement that sets a table's comment; it takes SHARE UPDATE EXCLUSIVE on it."""
    return f"COMMENT ON TABLE {table} IS {literal(comment)}"


NOW = "{now}"
"""Stands in a mark for the moment at which `stamp` is run."""


def stamp(table: QualifiedName, comment: str) -> str:
    """Return the statement that sets a comment and fills in `NOW` by the server's clock.

    The text of a plan stays the same from one planning to the next, and so does its id.
    """
    moment = "pg_catalog.to_char(pg_catalog.clock_timestamp(), 'YYYY-MM-DD\"T\"HH24:MI:SSOF:00')"
    filled = f"pg_catalog.replace({literal(comment)}, '{NOW}', {moment})"
    command = literal(f"COMMENT ON TABLE {table} IS ")
    body = f"BEGIN EXECUTE {command} || pg_catalog.quote_literal({filled}); END"
    return f"DO {literal(body)}"
