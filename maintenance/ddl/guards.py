"""Guards: statements that fail, under the lock, if the observed state has changed."""

from collections.abc import Sequence

from maintenance.names import QualifiedName, literal
from maintenance.server.statements import Ours

CHANGED = "55000"
"""SQLSTATE object_not_in_prerequisite_state, for which a retry does not help."""


def still_attached(child: QualifiedName, oid: int, parent: QualifiedName, bound: str) -> Ours:
    """Return a statement that fails unless this table is still the parent's partition."""
    observed = f"""(
    SELECT pg_catalog.pg_get_expr(c.relpartbound, c.oid)
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid
     WHERE c.oid = {oid} AND c.oid = pg_catalog.to_regclass({literal(str(child))})
       AND i.inhparent = pg_catalog.to_regclass({literal(str(parent))}))"""
    return _of_the_catalog(
        f"{observed} IS NOT DISTINCT FROM {literal(bound)}",
        f"{child} is no longer the partition of {parent} {bound}",
    )


def still_detached(table: QualifiedName, oid: int) -> Ours:
    """Return a statement that fails unless this table exists and is not a partition."""
    return _of_the_catalog(
        "EXISTS (SELECT FROM pg_catalog.pg_class c WHERE NOT c.relispartition"
        f" AND c.oid = {oid} AND c.oid = pg_catalog.to_regclass({literal(str(table))}))",
        f"{table} is not the detached table that was observed",
    )


def same_tree(root: QualifiedName, oids: Sequence[int]) -> Ours:
    """Return a statement that fails unless a tree consists of exactly these tables.

    A table with a pending detach is invisible to readers of the tree, but dropped with it; a
    foreign table is not ours.
    """
    return _of_the_catalog(
        f"""(WITH RECURSIVE tree AS (
    SELECT pg_catalog.to_regclass({literal(str(root))})::pg_catalog.oid AS oid, false AS pending
    UNION ALL
    SELECT i.inhrelid, i.inhdetachpending
      FROM tree t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid)
    SELECT pg_catalog.array_agg(t.oid ORDER BY t.oid) = '{{{",".join(map(str, sorted(oids)))}}}'
           AND pg_catalog.bool_and(NOT t.pending AND c.relkind IN ('r', 'p'))
      FROM tree t JOIN pg_catalog.pg_class c ON c.oid = t.oid)""",
        f"{root} no longer has the partitions that were observed",
    )


def without_foreign_keys(table: QualifiedName, oids: Sequence[int]) -> Ours:
    """Return a statement that fails if tables have foreign keys that are dropped one by one.

    DROP TABLE locks every table that its keys point to, all at once and in ACCESS EXCLUSIVE mode.

    Args:
        table: named in the error.
        oids: its own, and of all tables of its tree.
    """
    return _of_the_catalog(
        "NOT EXISTS (SELECT FROM pg_catalog.pg_constraint f"
        f" WHERE f.conrelid = ANY ('{{{','.join(map(str, oids))}}}')"
        " AND f.contype = 'f' AND f.conparentid = 0)",
        f"{table} has foreign keys, and DROP TABLE would lock the tables that they point to",
    )


def empty(table: QualifiedName) -> str:
    """Return a statement that fails unless the file of a table is empty."""
    return _of_the_catalog(
        f"pg_catalog.pg_relation_size({literal(str(table))}::pg_catalog.regclass) = 0",
        f"{table} is no longer empty",
    )


def _of_the_catalog(condition: str, otherwise: str) -> Ours:
    return Ours(require(condition, otherwise))


def require(condition: str, otherwise: str) -> str:
    """Return a statement that fails with `CHANGED` and a message unless a condition holds."""
    message = literal(otherwise.replace("%", "%%"))
    body = (
        f"BEGIN IF NOT ({condition}) THEN"
        f" RAISE EXCEPTION {message} USING ERRCODE = '{CHANGED}',"
        " HINT = 'the catalog has changed since the plan; plan again'; END IF; END"
    )
    return f"DO {literal(body)}"
