"""Sessions for declared queries: read-only, with the rights of the owner of their tables.

A query runs code of others: of views, operators, expressions in indexes. So it never runs with our
rights if one of its relations has such code or belongs to another role. Its parameters are never
shown, and an error of an execution is told by its code alone: its text may have values of rows.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

import psycopg

from maintenance.catalog.models import OwnerCode
from maintenance.catalog.owner_code import owner_code
from maintenance.errors import MaintenanceError
from maintenance.names import QualifiedName, quote
from maintenance.policy.query_sql import (
    DEALLOCATE,
    DEALLOCATE_NARROWED,
    DeclaredQuery,
    RelationName,
)
from maintenance.server.owner_rights import OwnerRights, OwnerSession
from maintenance.server.owner_sessions import OwnerSessions, grants_for
from maintenance.server.session import (
    READ_LOCK_TIMEOUT,
    Connection,
    fetch,
    milliseconds,
    read_transaction,
    to_error,
)
from maintenance.subjects.indexes.declared.query_models import Failure, NotRun, QueryRelation

DOING = "reading declared queries"

EXPLAIN = "EXPLAIN (VERBOSE, FORMAT JSON)"
TIMED = "EXPLAIN (SUMMARY, FORMAT JSON)"
"""With the time of planning."""
EXECUTE = "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, VERBOSE, FORMAT JSON)"
"""Without the time of each node: reading the clock takes longer than many queries."""

_PART = re.compile(r'\s*(?:"((?:[^"]|"")+)"|([^",\s]+))\s*(?:,|\Z)')
_NAMES_OBJECTS = frozenset(
    {
        "3F000",  # invalid_schema_name
        "42501",  # insufficient_privilege
        "42702",  # ambiguous_column
        "42703",  # undefined_column
        "42704",  # undefined_object
        "42725",  # ambiguous_function
        "42803",  # grouping_error
        "42804",  # datatype_mismatch
        "42883",  # undefined_function
        "42P01",  # undefined_table
        "42P18",  # indeterminate_datatype
    }
)
"""Errors about names, types and rights, whose text has no values."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the work on queries.

    Attributes:
        statement: of one EXPLAIN, or of one execution.
        search_path: of the queries, as the policy writes it.
    """

    statement: timedelta
    search_path: str


class NotRunError(Exception):
    """A query can't be planned or executed; carries the failure."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.text)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class RunnableQuery:
    """A query whose names were found in the database.

    Attributes:
        owner: the role with whose rights it runs.
        failure: why it can't run; it is not run then.
    """

    query: DeclaredQuery
    relations: tuple[QueryRelation, ...] = ()
    owner: str = ""
    failure: Failure | None = None


class _Function(NamedTuple):
    """A function that a query may mean, by its name or an operator's."""

    signature: str
    is_volatile: bool
    owner: str
    is_superuser: bool


@dataclass(frozen=True, slots=True)
class PreparedQuery:
    """A query that was prepared in a session.

    Attributes:
        settings: of each transaction.
    """

    query: DeclaredQuery
    session: OwnerSession
    settings: tuple[str, ...]

    def prepare_again(self) -> None:
        """Prepare it anew, without what the server remembers of its plans.

        Raises:
            NotRunError: the server refused it.
        """
        try:
            with self.session.reading(self.settings) as run:
                run(DEALLOCATE)
                run(self.query.prepare())
        except psycopg.Error as exc:
            raise _not_run(exc, is_executed=False) from exc

    def explain(self, number: int, *local: str, how: str = EXPLAIN) -> Any:
        """Return the JSON of a plan.

        Args:
            number: of the set of parameters.
            local: statements before, such as `SET LOCAL enable_seqscan = off`.
            how: `EXPLAIN`, `TIMED` or `EXECUTE`.

        Raises:
            NotRunError: the server refused it.
        """
        (plan,) = self.explain_all(number, [local], how=how)
        return plan

    def explain_all(
        self, number: int, variants: Sequence[Sequence[str]], *, how: str = EXPLAIN
    ) -> list[Any]:
        """Return the JSON of several plans, of one transaction.

        Args:
            number: of the set of parameters.
            variants: statements before each plan; those before an earlier one still apply.
            how: `EXPLAIN`, `TIMED` or `EXECUTE`.

        Raises:
            NotRunError: the server refused one of them.
        """
        plans: list[Any] = []
        try:
            with self.session.reading(self.settings) as run:
                for variant in variants:
                    for statement in variant:
                        run(statement)
                    plans.append(run(f"{how} {self.query.execute(number)}"))
        except psycopg.Error as exc:
            error = _not_run(exc, is_executed=how == EXECUTE)
            if self.query.n_parameters:
                text = f"with parameters {number}: {error.failure.text}"
                error = NotRunError(error.failure._replace(text=text))
            raise error from exc
        return plans

    def planning_times(self, number: int, mode: str, repeats: int) -> list[float]:
        """Return how long the server plans the query, in milliseconds, of several times.

        Args:
            number: of the set of parameters.
            mode: the statement that sets how it is planned.
            repeats: how often.

        Raises:
            NotRunError: the server refused it.
        """
        # Without parameters the plan is kept, whatever the mode.
        anew = () if self.query.n_parameters else (DEALLOCATE, self.query.prepare())
        answers = self.explain_all(number, [(mode, *anew)] * repeats, how=TIMED)
        return [float(answer[0]["Planning Time"]) for answer in answers]

    def explain_narrowed(self, number: int, condition: str, *local: str) -> Any:
        """Return the JSON of the plan that the query had with one more condition.

        Args:
            number: of the set of parameters.
            condition: SQL with column names of its table.
            local: as in `explain`.

        Returns:
            None if it can't have one, or the server refused it.
        """
        statement = self.query.narrowed(condition)
        if statement is None:
            return None
        try:
            with self.session.reading(self.settings) as run:
                run(statement)
                for each in local:
                    run(each)
                plan = run(f"{EXPLAIN} {self.query.execute(number, narrowed=True)}")
                run(DEALLOCATE_NARROWED)
                return plan
        except psycopg.Error as exc:
            _not_run(exc, is_executed=False)
            return None


def find_queries(
    connection: Connection, queries: Sequence[DeclaredQuery], limits: Limits
) -> list[RunnableQuery]:
    """Find the relations and functions of queries, and the rights that they need.

    Raises:
        MaintenanceError: the catalog could not be read.
    """
    if not queries:
        return []
    path = ["pg_catalog", *schemas_of(limits.search_path)]
    with read_transaction(connection, limits.statement, DOING):
        relations = _relations(connection, queries, path)
        functions = _functions(connection, queries, path)
        oids = {row.oid for rows in relations.values() for row in rows.values()}
        code = owner_code(connection, oids)
    role = connection.info.user
    return [
        _runnable(each, relations[each.name], functions[each.name], code, role) for each in queries
    ]


def prepared(
    beside: Connection, found: RunnableQuery, limits: Limits, sessions: OwnerSessions
) -> PreparedQuery:
    """Prepare a query in a session of its owner; call `release` afterwards.

    Raises:
        NotRunError: the server refused it, or our role has not the owner's rights.
        UnreachableError: the connection was lost.
    """
    rights = OwnerRights(found.owner, limits.search_path)
    settings = read_settings(limits)
    try:
        session = sessions.session(beside, rights)
    except MaintenanceError as exc:
        raise NotRunError(Failure(NotRun.RIGHTS, str(exc), hint=exc.hint)) from exc
    try:
        with session.reading(settings) as run:
            run(found.query.prepare())
    except psycopg.errors.InsufficientPrivilege as exc:
        if exc.diag.context is None:  # not inside of the query
            text = f"this role may not use the rights of {quote(found.owner)}"
            hint = grants_for(found.owner, beside)
            raise NotRunError(Failure(NotRun.RIGHTS, text, exc.sqlstate, hint)) from exc
        raise _not_run(exc, is_executed=False) from exc
    except psycopg.Error as exc:
        raise _not_run(exc, is_executed=False) from exc
    return PreparedQuery(found.query, session, settings)


def read_settings(limits: Limits) -> tuple[str, ...]:
    """Return the settings of each transaction for a query."""
    return (
        f"SET LOCAL lock_timeout = {READ_LOCK_TIMEOUT}",
        f"SET LOCAL statement_timeout = {milliseconds(limits.statement)}",
    )


def release(session: OwnerSession) -> None:
    """Remove what queries left in a session."""
    if not session.connection.closed and not session.connection.broken:
        session.forget()


def schemas_of(search_path: str) -> list[str]:
    """Return the schemas of a search_path, unquoted."""
    return [
        quoted.replace('""', '"') if quoted else plain.lower()
        for quoted, plain in _PART.findall(search_path)
    ]


def _not_run(exc: psycopg.Error, *, is_executed: bool) -> NotRunError:
    """Return the failure of a query.

    Raises:
        UnreachableError: the connection was lost.
    """
    if exc.sqlstate is None or exc.diag.severity_nonlocalized in ("FATAL", "PANIC"):
        raise to_error(exc, DOING) from exc
    reason = _REASONS.get(exc.sqlstate, NotRun.ERROR)
    text = f"the server refused it with SQLSTATE {exc.sqlstate}"
    if exc.sqlstate in _NAMES_OBJECTS and not is_executed:
        text = f"{exc.diag.message_primary} [{exc.sqlstate}]"
    text = _TEXTS.get(reason, text)
    return NotRunError(Failure(reason, text, exc.sqlstate, exc.diag.message_hint or ""))


_REASONS: Mapping[str, NotRun] = {
    "42501": NotRun.RIGHTS,  # insufficient_privilege
    "55P03": NotRun.LOCKED,  # lock_not_available
    "57014": NotRun.TIME_LIMIT,  # query_canceled
}
_TEXTS = {
    NotRun.LOCKED: "one of its tables is locked in ACCESS EXCLUSIVE mode now",
    NotRun.TIME_LIMIT: "it exceeded its time limit",
}


def _runnable(
    query: DeclaredQuery,
    rows: Mapping[RelationName, Any],
    functions: Sequence[_Function],
    code: Mapping[int, OwnerCode],
    role: str,
) -> RunnableQuery:
    relations = tuple(
        QueryRelation(row.oid, QualifiedName(row.schema, row.name), row.kind, row.pages, row.rows)
        for row in rows.values()
    )
    missing = [name for name in query.relations if name not in rows]
    if missing:
        text = f"there is no table or view {', '.join(map(_shown, missing))}"
        failure = Failure(NotRun.NO_RELATION, text, missing=tuple(missing))
        return RunnableQuery(query, relations, failure=failure)
    volatile = next((each for each in functions if each.is_volatile), None)
    if volatile is not None:
        text = f"it calls {volatile.signature}, which is volatile: it may change rows"
        failure = Failure(NotRun.VOLATILE, text, hint="leave the call out")
        return RunnableQuery(query, relations, failure=failure)
    codes = [code[row.oid] for row in rows.values() if row.oid in code]
    unsafe = next((each for each in codes if not each.safe), None)
    if unsafe is not None:
        failure = _mixed(f"{unsafe.what} with the rights of {quote(unsafe.owner)}")
        return RunnableQuery(query, relations, failure=failure)
    first = next(iter(rows.values()), None)
    owner = role if first is None or first.is_superuser else first.owner
    authors = {each.owner for each in codes}
    authors |= {each.owner for each in functions if not each.is_superuser} - {role}
    if owner == role and len(authors) == 1:
        (owner,) = authors
    if authors - {owner}:
        failure = _mixed(f"code of {', '.join(sorted(authors))} with the rights of {quote(owner)}")
        return RunnableQuery(query, relations, failure=failure)
    return RunnableQuery(query, relations, owner)


def _mixed(what: str) -> Failure:
    hint = "make one role the owner of the tables and of the code"
    return Failure(NotRun.RIGHTS, f"it would run {what}", hint=hint)


def _relations(
    connection: Connection, queries: Sequence[DeclaredQuery], path: list[str]
) -> dict[str, dict[RelationName, Any]]:
    """Return the relations of each query by the names that it uses."""
    wanted = [(query.name, name) for query in queries for name in query.relations]
    about = {
        "schemas": [name.schema for _, name in wanted],
        "names": [name.name for _, name in wanted],
        "path": path,
    }
    found: dict[str, dict[RelationName, Any]] = {query.name: {} for query in queries}
    for row in fetch(connection, "indexes", "list_query_relations", about):
        place: int = row.place - 1
        of_query, name = wanted[place]
        found[of_query][name] = row
    return found


def _functions(
    connection: Connection, queries: Sequence[DeclaredQuery], path: list[str]
) -> dict[str, list[_Function]]:
    """Return the functions of each query that are volatile or not a superuser's."""
    wanted = list(_called(queries))
    about = {
        "schemas": [name.schema for _, name, _ in wanted],
        "names": [name.name for _, name, _ in wanted],
        "are_operators": [is_operator for *_, is_operator in wanted],
        "path": path,
    }
    found: dict[str, list[_Function]] = {query.name: [] for query in queries}
    for place, *function in fetch(connection, "indexes", "list_query_functions", about):
        found[wanted[place - 1][0]].append(_Function(*function))
    return found


def _called(queries: Sequence[DeclaredQuery]) -> Iterator[tuple[str, RelationName, bool]]:
    for query in queries:
        yield from ((query.name, name, False) for name in query.functions)
        yield from ((query.name, name, True) for name in query.operators)


def _shown(name: RelationName) -> str:
    return f"{quote(name.schema)}.{quote(name.name)}" if name.schema else quote(name.name)
