"""SQL statements that create, index and refresh materialized views."""

import hashlib
from collections.abc import Iterable

from maintenance.names import MAX_NAME_BYTES, QualifiedName, cut, quote
from maintenance.policy import MatviewPolicy
from maintenance.subjects.matviews.models import Matview, Ownership

CONCURRENTLY = "concurrently"
"""The refresh mode in which readers are not blocked: they see the old content until commit."""

REBUILD_OF = "rebuild_of"
"""Mark of a view that is built to replace another: the other one."""


def replacement_name(view: QualifiedName) -> QualifiedName:
    """Return the name of a view that is built to replace another, until the swap."""
    digest = hashlib.sha256(str(view).encode()).hexdigest()[:12]
    return QualifiedName(view.schema, f"maintenance_rebuild_{digest}")


def refresh_statement(view: QualifiedName, mode: str) -> str:
    """Return the statement that refreshes a view in a mode."""
    how = "CONCURRENTLY " if mode == CONCURRENTLY else ""
    return f"REFRESH MATERIALIZED VIEW {how}{view}"


def create_statements(
    section: MatviewPolicy, query: str, ownership: Ownership | None = None
) -> tuple[str, ...]:
    """Return the statements that create a view from its query, with its unique index.

    The owner is set before the view is populated, so that its query runs with the owner's rights.
    """
    wanted = ownership or Ownership()
    return (
        create_empty(section.name, query),
        *give_to(section.name, wanted.owner),
        *grant_statements(section.name, wanted.grants),
        refresh_statement(section.name, "plain"),
        *([index_statement(section, concurrently=False)] if section.unique_index else []),
    )


def give_to(view: QualifiedName, owner: str | None) -> tuple[str, ...]:
    """Return the statement that makes a role the owner of a view."""
    return (f"ALTER MATERIALIZED VIEW {view} OWNER TO {quote(owner)}",) if owner is not None else ()


def create_empty(view: QualifiedName, query: str) -> str:
    """Return the statement that creates a view WITH NO DATA."""
    return f"CREATE MATERIALIZED VIEW {view} AS {query}\nWITH NO DATA"


def grant_statements(
    view: QualifiedName, grants: Iterable[tuple[str | None, str]]
) -> tuple[str, ...]:
    """Return the GRANT statements for a view; a role of None means PUBLIC."""
    return tuple(
        f"GRANT {right} ON {view} TO {'PUBLIC' if role is None else quote(role)}"
        for role, right in grants
    )


def owner_statements(view: QualifiedName, ownership: Ownership) -> tuple[str, ...]:
    """Return the statements that set the missing owner and privileges of an existing view."""
    return (*give_to(view, ownership.owner), *grant_statements(view, ownership.lacking))


def is_unindexed(section: MatviewPolicy, view: Matview) -> bool:
    """Whether a view has no usable unique index on its declared columns."""
    declared = set(section.unique_index)
    return bool(declared) and declared not in map(set, view.unique_keys)


def index_name(section: MatviewPolicy) -> str:
    """Return the deterministic name of a view's unique index, at most 63 bytes."""
    text = "_".join((section.name.name, *section.unique_index, "key"))
    if len(text.encode()) <= MAX_NAME_BYTES:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{cut(text, MAX_NAME_BYTES - 13)}_{digest}_key"


def index_statement(
    section: MatviewPolicy, *, concurrently: bool, view: QualifiedName | None = None
) -> str:
    """Return the statement that creates a view's unique index, on the view or its replacement."""
    how = "CONCURRENTLY " if concurrently else ""
    columns = ", ".join(map(quote, section.unique_index))
    target = view or section.name
    return f"CREATE UNIQUE INDEX {how}{quote(index_name(section))} ON {target} ({columns})"
