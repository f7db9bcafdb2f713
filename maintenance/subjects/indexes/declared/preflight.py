"""Read what tables hold that declared indexes and constraints would fail on.

Read with the rights of the table's owner, because expressions of declarations run the owner's
functions. All together take one time cap; what does not fit is unknown.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import psycopg

from maintenance.errors import MaintenanceError, UnreachableError
from maintenance.names import quote
from maintenance.server.owner_rights import OwnerRights
from maintenance.server.owner_sessions import OwnerSessions, read_as
from maintenance.server.session import Connection, to_error
from maintenance.subjects.indexes.declared.models import (
    MAX_COUNTED,
    DeclaredCheck,
    DeclaredIndex,
    RowFacts,
    State,
    TableFacts,
)
from maintenance.subjects.indexes.declared.seen import Seen
from maintenance.subjects.indexes.models import Index, Table

MAX_SHOWN = 5
"""How many keys of rows are shown."""

_SHOWN_CHARACTERS = 100
_DOING = "reading what declarations could fail on"
_TEXTS = frozenset({"text", "character varying", "bytea"})


@dataclass
class Reader:
    """Reads rows of tables until the time is used up.

    Attributes:
        connection: our session on the primary, outside a transaction.
        search_path: the policy's, for names in declarations.
        time_cap: for everything together.
    """

    connection: Connection
    sessions: OwnerSessions
    search_path: str
    time_cap: timedelta
    clock: Callable[[], float] = time.monotonic
    spent_s: float = 0.0

    def index(self, found: DeclaredIndex) -> DeclaredIndex:
        """Return a declared index that is to be built, with what its table holds.

        Raises:
            UnreachableError: the connection was lost.
        """
        if found.state not in (State.MISSING, State.DIFFERENT) or found.waits_for:
            return found
        if found.table is None or found.facts is None or not found.built:
            return found
        rows = RowFacts()
        widths = _widths(found, found.facts)
        if widths:
            where = f" WHERE {found.predicate}" if found.predicate is not None else ""
            query = f"SELECT max({widths}) AS widest FROM {found.table.relation}{where}"
            answer = self._read(found.facts, query)
            rows = (
                rows._replace(unread=answer)
                if isinstance(answer, str)
                else rows._replace(widest=answer[0]["widest"])
            )
        if found.declaration.is_unique:
            rows = self._duplicates(found, found.table, found.facts, found.built[-1], rows)
        return replace(found, rows=rows)

    def check(self, found: DeclaredCheck, seen: Seen) -> DeclaredCheck:
        """Return a declared constraint that is not validated, with the rows that violate it.

        Raises:
            UnreachableError: the connection was lost.
        """
        facts = found.facts
        if (
            found.state not in (State.MISSING, State.INCOMPLETE)
            or found.table is None
            or facts is None
            or any(name not in facts.columns for name in found.declaration.columns)
        ):
            return found
        violates = f"({found.declaration.expression}) IS FALSE"
        only = "ONLY " if found.declaration.is_no_inherit else ""
        source = f"{only}{found.table.relation} WHERE {violates}"
        answer = self._read(facts, f"SELECT count(*) AS n FROM {source}")
        if isinstance(answer, str):
            return replace(found, unread=answer)
        n_violators: int = answer[0]["n"]
        found = replace(found, n_violators=n_violators)
        keys = _primary_key(found, seen)
        if not n_violators or not keys:
            return found
        shown = ", ".join(f"{_shown(quote(key))} AS {quote(key)}" for key in keys)
        rows = self._read(facts, f"SELECT {shown} FROM {source} LIMIT {MAX_SHOWN}")
        if isinstance(rows, str):
            return found
        return replace(found, violators=tuple(map(_pairs, rows)))

    def _duplicates(
        self, found: DeclaredIndex, table: Table, facts: TableFacts, index: Index, rows: RowFacts
    ) -> RowFacts:
        names = {column.number: name for name, column in facts.columns.items()}
        parts = [
            quote(names[key.of]) if isinstance(key.of, int) else f"({key.of})" for key in index.keys
        ]
        conditions = [f"({found.predicate})"] if found.predicate is not None else []
        if not index.nulls_not_distinct:
            conditions += [f"{part} IS NOT NULL" for part in parts]
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        listed = ", ".join(f"{part} AS k{n}" for n, part in enumerate(parts))
        keys = ", ".join(f"k{n}" for n in range(len(parts)))
        twice = (
            f"SELECT {keys} FROM (SELECT {listed} FROM {table.relation}{where}) AS r"
            f" GROUP BY {keys} HAVING count(*) > 1 LIMIT {MAX_COUNTED}"
        )
        texts = ", ".join(f"{_shown(f'k{n}')} AS k{n}" for n in range(len(parts)))
        query = (
            f"SELECT d.*, count(*) OVER () AS n FROM (SELECT {texts} FROM ({twice}) AS t) AS d"
            f" LIMIT {MAX_SHOWN}"
        )
        answer = self._read(facts, query)
        if isinstance(answer, str):
            return rows._replace(unread=answer)
        named = [key.column or key.text for key in found.declaration.keys]
        shown = tuple(
            ", ".join(f"{name}={row[f'k{n}']}" for n, name in enumerate(named)) for row in answer
        )
        return rows._replace(n_duplicates=answer[0]["n"] if answer else 0, duplicates=shown)

    def _read(self, facts: TableFacts, query: str) -> list[dict[str, Any]] | str:
        """Return the rows of a query, or why it could not be run."""
        left = self.time_cap.total_seconds() - self.spent_s
        if left <= 0:
            return "the time cap of the observation is used up"
        began = self.clock()
        rights = OwnerRights(facts.owner, self.search_path)
        try:
            cap = timedelta(seconds=left)
            return read_as(self.connection, rights, query, cap, _DOING, self.sessions)
        except UnreachableError:
            raise
        except MaintenanceError as exc:
            return str(exc)
        except psycopg.Error as exc:
            error = to_error(exc, _DOING)
            if isinstance(error, UnreachableError):
                raise error from exc
            return str(error)
        finally:
            self.spent_s += self.clock() - began


def _widths(found: DeclaredIndex, facts: TableFacts) -> str:
    """Return the SQL of the bytes of a row's values without a limit; empty if there are none."""
    declared = found.declaration
    if declared.method != "btree":
        return ""
    names = [*(key.column for key in declared.keys), *declared.included]
    columns = [facts.columns.get(name) for name in names if name is not None]
    unlimited = [
        f"coalesce(octet_length({quote(column.name)}), 0)"
        for column in columns
        if column is not None and column.max_length is None and column.type in _TEXTS
    ]
    return " + ".join(unlimited)


def _primary_key(found: DeclaredCheck, seen: Seen) -> Sequence[str]:
    """Return the columns of the primary key of a table; none if it has none."""
    assert found.table is not None, "it is on a table"
    assert found.facts is not None, "its table exists"
    names = {column.number: name for name, column in found.facts.columns.items()}
    indexes = seen.indexes_of.get(found.table.oid, ())
    primary = next((index for index in indexes if index.is_primary), None)
    keys = primary.keys if primary is not None else ()
    return [names[key.of] for key in keys if isinstance(key.of, int)]


def _shown(expression: str) -> str:
    return f"pg_catalog.left({expression}::pg_catalog.text, {_SHOWN_CHARACTERS})"


def _pairs(row: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in row.items())
