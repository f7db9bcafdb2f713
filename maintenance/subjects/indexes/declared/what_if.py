"""Plans of declared queries as if the indexes were built or dropped already, by HypoPG.

Where the extension is in the database. It is never created by us, and what it pretends is seen by
one session alone: it ends with `hypopg_reset`, and with the session.
Source: HypoPG manual, https://hypopg.readthedocs.io.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import psycopg

from maintenance.names import QualifiedName, literal, quote
from maintenance.policy.query_sql import DeclaredQuery
from maintenance.server.owner_rights import OwnerRights, OwnerSession
from maintenance.server.owner_sessions import OwnerSessions
from maintenance.server.session import Connection, fetch, read_transaction
from maintenance.subjects.indexes.declared.plan_reader import QueryPlan, read_plan, renamed
from maintenance.subjects.indexes.declared.queries import CUSTOM, partition_roots
from maintenance.subjects.indexes.declared.query_models import QueryKey
from maintenance.subjects.indexes.declared.query_session import (
    DOING,
    Limits,
    NotRunError,
    RunnableQuery,
    find_queries,
    prepared,
    read_settings,
    release,
)
from maintenance.subjects.indexes.declared.what_if_models import (
    NO_WHAT_IF,
    PretendedQuery,
    WantedIndex,
    WhatIf,
)
from maintenance.subjects.indexes.declared.what_if_statement import simplified


class HypoPG(NamedTuple):
    """The extension in this database.

    Attributes:
        schema: quoted.
        can_hide: whether it can hide an index (1.4 and later).
    """

    schema: str
    version: str
    can_hide: bool


def find_hypopg(connection: Connection, limits: Limits) -> HypoPG | None:
    """Return the extension; None if it is not installed in this database.

    Raises:
        MaintenanceError: the catalog could not be read.
    """
    with read_transaction(connection, limits.statement, DOING):
        rows = fetch(connection, "indexes", "find_hypopg")
    return HypoPG(quote(rows[0].schema), rows[0].version, rows[0].can_hide) if rows else None


class PretendedIndex(NamedTuple):
    """An index that HypoPG pretends in a session.

    Attributes:
        name: in plans.
        size_bytes: as it estimates it.
    """

    name: str
    size_bytes: int


def pretend(
    session: OwnerSession, settings: Sequence[str], hypopg: HypoPG, statement: str
) -> PretendedIndex | str:
    """Pretend an index in a session; return the SQLSTATE if HypoPG refuses it.

    Args:
        session: in which plans take it from now on; call `forget_pretended` afterwards.
        settings: of the transaction.
        hypopg: the extension.
        statement: CREATE INDEX.

    Raises:
        psycopg.Error: the connection was lost.
    """
    create = (
        "SELECT pg_catalog.jsonb_build_object('name', h.indexname,"
        f" 'size', {hypopg.schema}.hypopg_relation_size(h.indexrelid))"
        f" FROM {hypopg.schema}.hypopg_create_index({literal(simplified(statement))}) AS h"
    )
    try:
        with session.reading(settings) as run:
            made = run(create)
    except psycopg.Error as exc:
        if exc.sqlstate is None:
            raise
        return exc.sqlstate
    return PretendedIndex(str(made["name"]), int(made["size"]))


def forget_pretended(session: OwnerSession, settings: Sequence[str], hypopg: HypoPG) -> None:
    """Forget all that HypoPG pretends in a session."""
    if session.connection.closed or session.connection.broken:
        return
    functions = ["hypopg_reset", *(["hypopg_unhide_all_indexes"] if hypopg.can_hide else [])]
    with session.reading(settings) as run:
        for function in functions:
            run(f"SELECT pg_catalog.to_jsonb(1) FROM {hypopg.schema}.{function}()")


def what_if(
    connection: Connection,
    queries: Sequence[DeclaredQuery],
    limits: Limits,
    wanted: Sequence[WantedIndex],
    dropped: Mapping[QualifiedName, Collection[int]],
) -> WhatIf:
    """Plan queries as if declared indexes were built, and as if others were dropped.

    Args:
        connection: a session on the primary.
        queries: all that are declared.
        limits: of each plan.
        wanted: indexes that are not built yet.
        dropped: the OIDs of each index that is to be dropped, and of those attached to it.

    Raises:
        MaintenanceError: the catalog could not be read.
        UnreachableError: the connection was lost.
    """
    if not queries or not (wanted or dropped):
        return NO_WHAT_IF
    found = find_hypopg(connection, limits)
    if found is None:
        return NO_WHAT_IF
    result = WhatIf(found.version, can_hide=found.can_hide)
    with OwnerSessions() as sessions:
        for query in find_queries(connection, queries, limits):
            if query.failure is None:
                pretending = _Pretending(connection, query, limits, sessions, found)
                pretending.add_to(result, wanted, dropped)
    return result


class _Pretending:
    """One query, planned with hypothetical and hidden indexes."""

    def __init__(
        self,
        connection: Connection,
        query: RunnableQuery,
        limits: Limits,
        sessions: OwnerSessions,
        hypopg: HypoPG,
    ) -> None:
        self._connection = connection
        self._query = query
        self._limits = limits
        self._sessions = sessions
        self._hypopg = hypopg
        self._settings = read_settings(limits)

    def add_to(
        self,
        result: WhatIf,
        wanted: Sequence[WantedIndex],
        dropped: Mapping[QualifiedName, Collection[int]],
    ) -> None:
        """Add what is found to a result."""
        tables = {each.relation for each in self._query.relations}
        own = [index for index in wanted if index.table in tables]
        try:
            before = self._plans({})
        except NotRunError:
            return  # it is told where queries are planned
        if own:
            self._build(result, own, before)
        if self._can_hide:
            for name, oids in dropped.items():
                if any(plan.uses(name) for plan in before.values()):
                    self._hide(result, name, oids, before)

    def _build(
        self, result: WhatIf, wanted: Sequence[WantedIndex], before: Mapping[QueryKey, QueryPlan]
    ) -> None:
        session = self._session()
        names: dict[str, QualifiedName] = {}
        try:
            for index in wanted:
                pretended = self._create(session, index, result)
                if pretended is not None:
                    names[pretended] = index.relation
            after = self._plans(names)
        except NotRunError:
            return
        finally:
            self._reset(session)
        for index in wanted:
            if index.relation in names.values():
                for key, plan in after.items():
                    query = PretendedQuery(
                        key, before[key].cost, plan.cost, plan.uses(index.relation)
                    )
                    result.add(index.relation, query)

    def _create(self, session: OwnerSession, index: WantedIndex, result: WhatIf) -> str | None:
        """Pretend an index; return its name in plans, None if that is not possible."""
        made = pretend(session, self._settings, self._hypopg, index.statement)
        if isinstance(made, str):
            result.refuse(index.relation, made)
            return None
        result.size(index.relation, made.size_bytes)
        return made.name

    def _hide(
        self,
        result: WhatIf,
        name: QualifiedName,
        oids: Collection[int],
        before: Mapping[QueryKey, QueryPlan],
    ) -> None:
        session = self._session()
        schema = self._hypopg.schema
        try:
            with session.reading(self._settings) as run:
                for oid in oids:
                    run(f"SELECT pg_catalog.to_jsonb({schema}.hypopg_hide_index({int(oid)}::oid))")
            after = self._plans({})
        except (NotRunError, psycopg.Error):
            return
        finally:
            self._reset(session)
        for key, plan in after.items():
            if before[key].uses(name):
                result.add(name, PretendedQuery(key, before[key].cost, plan.cost, False))

    def _session(self) -> OwnerSession:
        rights = OwnerRights(self._query.owner, self._limits.search_path)
        return self._sessions.session(self._connection, rights)

    def _reset(self, session: OwnerSession) -> None:
        """Forget all that HypoPG pretends in a session."""
        forget_pretended(session, self._settings, self._hypopg)

    @property
    def _can_hide(self) -> bool:
        return self._hypopg.can_hide

    def _plans(self, names: Mapping[str, QualifiedName]) -> dict[QueryKey, QueryPlan]:
        """Return the plan with each set of parameters.

        Args:
            names: the indexes that are pretended, by their names in plans.
        """
        statement = prepared(self._connection, self._query, self._limits, self._sessions)
        try:
            answers = {
                number: statement.explain(number, CUSTOM) for number in self._query.query.numbers
            }
        finally:
            release(statement.session)
        roots = partition_roots(self._connection, [*answers.values()], self._limits.statement)
        name = self._query.query.name
        return {
            QueryKey(name, number): _named(read_plan(answer, roots), names)
            for number, answer in answers.items()
        }


def _named(plan: QueryPlan, names: Mapping[str, QualifiedName]) -> QueryPlan:
    return renamed(plan, lambda index: names.get(index.name, index))
