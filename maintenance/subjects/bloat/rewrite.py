"""How to free the space of a bloated table, by version and kind of table. Pure."""

from typing import NamedTuple

from maintenance.server.capabilities import has_repack
from maintenance.subjects.bloat.models import ObservedTable


class Rewrite(NamedTuple):
    """The way to rewrite a table.

    Attributes:
        text: for the message.
        statement: the statement to run; with locks that block all access, unless it says
            CONCURRENTLY.
        is_online: whether readers and writers go on meanwhile.
    """

    text: str
    statement: str
    is_online: bool


def rewrite(table: ObservedTable, major: int) -> Rewrite:
    """Return how to free the space of a table, or of the table that a TOAST table belongs to.

    `REPACK (CONCURRENTLY)` exists from version 19 on. It refuses unlogged tables and those whose
    rows logical decoding can't identify by an index. pg_repack needs a unique key too. Neither
    takes materialized views, which a plain refresh rewrites.
    Source: PostgreSQL 19 manual, REPACK.
    """
    name = table.table
    if table.is_view:
        refresh = f"REFRESH MATERIALIZED VIEW {name}"
        return Rewrite(f"to free the space, run {refresh} (blocks readers)", refresh, False)
    if has_repack(major) and table.is_logged and table.has_identity:
        repack = f"REPACK (CONCURRENTLY) {name}"
        text = (
            f"to free the space, run {repack} (online; needs a free slot of"
            " max_repack_replication_slots, and older snapshots may see the table empty)"
        )
        return Rewrite(text, repack, True)
    full = f"VACUUM FULL {name}"
    if table.has_key:
        text = f"to free the space, use pg_repack (online) or {full} (blocks all access)"
        return Rewrite(text, full, False)
    text = f"to free the space, run {full} (blocks all access; pg_repack needs a unique key)"
    return Rewrite(text, full, False)
