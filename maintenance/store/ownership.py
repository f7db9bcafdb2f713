"""Verify that schema `maintenance` is ours, before anything in it is read or written.

Its objects run with our rights: a trigger on a table, a view instead of a table, a function in a
default. A role that created the schema before us could make us run any code.

Once they are ours, only we and superusers can change that, as long as the schema is the same and no
other role may create in it. So rounds of seconds may go by a proof of minutes ago: a new session
knows no catalog yet, and the whole proof takes it as long as all else that it does.
"""

import re
import time
from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import Any

from maintenance.errors import ForeignStoreError
from maintenance.formatting import listed
from maintenance.names import quote
from maintenance.server.session import Connection, fetch
from maintenance.server.sql_library import data_root

SCHEMA = "maintenance"
SHOWN = 3
RECENT = timedelta(minutes=5)
"""How long a proof holds for sessions that are opened every minute."""
_proved_at: dict[tuple[object, ...], float] = {}

_MADE = re.compile(
    r"^CREATE (?:OR REPLACE )?(?:UNLOGGED )?(TABLE|VIEW|FUNCTION) maintenance\.(\w+)", re.MULTILINE
)
_KINDS = {"TABLE": ("r", "p"), "VIEW": ("v",)}
_WORDS = {"r": "table", "p": "table", "v": "view", "m": "materialized view", "f": "foreign table"}


def require_own(
    connection: Connection, owner: str | None = None, recent: timedelta = timedelta()
) -> None:
    """Refuse a store that another role created or changed; a missing one is accepted.

    Args:
        connection: a session on the store that has not read or written anything yet.
        owner: another role that may own it, besides the session's role.
        recent: how old a proof of this process may be, if the schema is the same since.

    Raises:
        ForeignStoreError: it may be another role's; names the objects and the remedy.
    """
    (schema,) = fetch(connection, "store", "find_schema")
    info = connection.info
    proof = (info.host, info.port, info.dbname, schema.role, schema.version, owner)
    proved_at = _proved_at.get(proof, float("-inf"))
    if time.monotonic() - proved_at < recent.total_seconds():
        return
    trusted = [schema.role, *([owner] if owner else [])]
    rows = fetch(connection, "store", "list_schema_faults", {"owners": trusted})
    faults = _faults(rows)
    if not faults and schema.version is not None and not schema.others_create:
        _proved_at[proof] = time.monotonic()
    if faults:
        raise ForeignStoreError(
            f"schema {SCHEMA} is not a store of role {quote(schema.role)}:"
            f" {listed(faults, SHOWN, '; ')}. Nothing in it was read or written",
            hint=(
                "set store.url to another database; or, if you trust the role that owns it, set"
                " store.owner to that role (store.schema can only be maintenance)"
            ),
        )


def _faults(rows: Sequence[Any]) -> list[str]:
    found = [_fault_text(row) for row in rows if row.fault]
    kinds = {row.name: row.kind for row in rows if not row.fault}
    made = _made()
    if kinds and "migration" not in kinds:
        found += [f"{_WORDS.get(kind, 'relation')} {quote(name)} is not part of the store"
                  for name, kind in kinds.items() if kind != "S"]  # fmt: skip
    for name, kind in kinds.items():
        if name in made and kind not in made[name]:
            word = _WORDS.get(kind, "relation")
            found.append(f"{quote(name)} is a {word}, wanted a {_WORDS[made[name][0]]}")
    return list(dict.fromkeys(found))


def _fault_text(row: Any) -> str:
    owner = f"role {quote(row.owner)}" if row.owner else "another role"
    name = quote(row.name)
    texts = {
        "owner": f"owner of {row.kind} {name} is {owner}",
        "child": f"owner of {quote(row.kind)}, a child of {name}, is {owner}",
        "expression": f"{name} depends on {row.kind}",
        "row security": f"{name} has row-level security",
        "object": f"{row.kind} {row.name} is not part of the store",
    }
    return texts.get(row.fault, f"{name} has {row.fault} {quote(row.kind)}")


def made_by_migrations() -> frozenset[str]:
    """Return the names of all tables, views and functions that the migrations create."""
    return frozenset(name for _, name in _created()) | {"migration"}


@cache
def _made() -> dict[str, tuple[str, ...]]:
    """Return the relations that the migrations create: their possible kinds, by name."""
    made = {name: _KINDS[word] for word, name in _created() if word in _KINDS}
    return {**made, "migration": ("r",)}


@cache
def _created() -> tuple[tuple[str, str], ...]:
    folder = data_root() / "sql" / "store"
    paths = sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    return tuple(found for path in paths for found in _MADE.findall(path.read_text()))
