"""Whether schema `maintenance` is ours, told before anything in it is read or written.

What stands in it runs with our rights: a trigger on a table, a view in a table's place, a
function in a default. Whoever made the schema before us could make us run what they like.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from maintenance.errors import ForeignStoreError
from maintenance.formatting import listed
from maintenance.names import quote
from maintenance.server.session import Connection, fetch
from maintenance.server.sql_library import data_root

SCHEMA = "maintenance"
SHOWN = 3

_MADE = re.compile(r"^CREATE (?:UNLOGGED )?(TABLE|VIEW) maintenance\.(\w+)", re.MULTILINE)
_KINDS = {"TABLE": ("r", "p"), "VIEW": ("v",)}
_WORDS = {"r": "table", "p": "table", "v": "view", "m": "materialized view", "f": "foreign table"}


def require_own(connection: Connection, owner: str | None = None) -> None:
    """Refuse a store that another role made, or changed; one that does not exist is fine.

    Args:
        connection: a session on the store, in which nothing was read or written yet.
        owner: a role that may own it beside the session's own.

    Raises:
        ForeignStoreError: it may be another's; names what is, and the way out.
    """
    (row,) = connection.execute("SELECT current_user::pg_catalog.text").fetchall()
    trusted = [row[0], *([owner] if owner else [])]
    rows = fetch(connection, "store", "list_schema_faults", {"owners": trusted})
    faults = _faults(rows)
    if faults:
        raise ForeignStoreError(
            f"schema {SCHEMA} is not a store of role {quote(row[0])}:"
            f" {listed(faults, SHOWN, '; ')}. Nothing in it was read or written",
            hint=(
                "name another database in store.url; or, if you trust the role that owns it, name"
                " it in store.owner (store.schema can only be maintenance)"
            ),
        )


def _faults(rows: Sequence[Any]) -> list[str]:
    found = [_told(row) for row in rows if row.fault]
    kinds = {row.name: row.kind for row in rows if not row.fault}
    made = _made()
    if kinds and "migration" not in kinds:
        found += [f"{_WORDS.get(kind, 'relation')} {quote(name)} is not one of its own"
                  for name, kind in kinds.items() if kind != "S"]  # fmt: skip
    for name, kind in kinds.items():
        if name in made and kind not in made[name]:
            word = _WORDS.get(kind, "relation")
            found.append(f"{quote(name)} is a {word}, wanted a {_WORDS[made[name][0]]}")
    return list(dict.fromkeys(found))


def _told(row: Any) -> str:
    owner = f"role {quote(row.owner)}" if row.owner else "another role"
    name = quote(row.name)
    told = {
        "owner": f"{row.kind} {name} belongs to {owner}",
        "child": f"{quote(row.kind)}, a child of {name}, belongs to {owner}",
        "expression": f"{name} depends on {row.kind}",
        "row security": f"{name} has row security",
        "object": f"it holds {row.kind} {row.name}",
    }
    return told.get(row.fault, f"{name} has {row.fault} {quote(row.kind)}")


@cache
def _made() -> dict[str, tuple[str, ...]]:
    """The kinds of relations that the migrations make, by name."""
    folder = data_root() / "sql" / "store"
    made = {
        name: _KINDS[word]
        for path in sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))
        for word, name in _MADE.findall(path.read_text())
    }
    return {**made, "migration": ("r",)}
