"""The SQL of views: creating, indexing, refreshing."""

import hashlib

from maintenance.names import MAX_NAME_BYTES, QualifiedName, cut, quote
from maintenance.policy import MatviewPolicy

CONCURRENTLY = "concurrently"
"""The mode in which readers see the old content until the new is there."""


def refresh_statement(view: QualifiedName, mode: str) -> str:
    """Return the statement that refreshes a view in a mode."""
    how = "CONCURRENTLY " if mode == CONCURRENTLY else ""
    return f"REFRESH MATERIALIZED VIEW {how}{view}"


def create_statements(section: MatviewPolicy, query: str) -> tuple[str, ...]:
    """Return the statements that make a view from its query, with its unique index."""
    create = f"CREATE MATERIALIZED VIEW {section.name} AS {query}\n"
    index = [index_statement(section, concurrently=False)] if section.unique_index else []
    return (create, *index)


def index_name(section: MatviewPolicy) -> str:
    """Return the name of a view's unique index, the same each time, fitting into 63 bytes."""
    text = "_".join((section.name.name, *section.unique_index, "key"))
    if len(text.encode()) <= MAX_NAME_BYTES:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{cut(text, MAX_NAME_BYTES - 13)}_{digest}_key"


def index_statement(
    section: MatviewPolicy, *, concurrently: bool, view: QualifiedName | None = None
) -> str:
    """Return the statement that makes a view's unique index, or that of another in its place."""
    how = "CONCURRENTLY " if concurrently else ""
    columns = ", ".join(map(quote, section.unique_index))
    target = view or section.name
    return f"CREATE UNIQUE INDEX {how}{quote(index_name(section))} ON {target} ({columns})"
