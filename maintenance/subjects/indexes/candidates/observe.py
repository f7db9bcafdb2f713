"""Look for indexes that slow statements would have use of. Nothing is executed or built.

A text of pg_stat_statements is anybody's. It is planned as a generic plan in the session of the
owner of its first table, read-only, only if it is one SELECT, and if all code that it names belongs
to that owner or to a superuser.
"""

import re
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, NamedTuple

import psycopg

from maintenance.errors import MaintenanceError, UnreachableError
from maintenance.names import QualifiedName
from maintenance.policy import Policy
from maintenance.policy.query_sql import DeclaredQuery, QueryFilesError, parse_select
from maintenance.server.owner_sessions import OwnerSessions
from maintenance.server.session import Connection, fetch, read_transaction, to_error
from maintenance.subjects.indexes.candidates.models import (
    NO_CANDIDATES,
    Candidate,
    CandidatesObservation,
    CandidateTable,
    Gain,
    NotPlanned,
    PresentIndex,
    ServedStatement,
    Shape,
    SlowStatement,
    SlowStatements,
    TableColumn,
    create_index,
)
from maintenance.subjects.indexes.candidates.propose import LEAST_PAGES, Proposal, propose
from maintenance.subjects.indexes.candidates.selection import is_useful, merged
from maintenance.subjects.indexes.candidates.slow_statements import read_slow_statements
from maintenance.subjects.indexes.declared.models import DeclaredObservation, State
from maintenance.subjects.indexes.declared.plan_conditions import Scan, read_scans
from maintenance.subjects.indexes.declared.plan_reader import read_plan
from maintenance.subjects.indexes.declared.proof import proven_index
from maintenance.subjects.indexes.declared.queries import GENERIC, partition_roots
from maintenance.subjects.indexes.declared.query_models import NotRun
from maintenance.subjects.indexes.declared.query_session import (
    Limits,
    NotRunError,
    PreparedQuery,
    RunnableQuery,
    find_queries,
    prepared,
    release,
)
from maintenance.subjects.indexes.declared.what_if import (
    HypoPG,
    find_hypopg,
    forget_pretended,
    pretend,
)
from maintenance.subjects.indexes.key_indexes import index_names
from maintenance.subjects.indexes.models import Catalog, Index, Table

DOING = "looking for index candidates"

MOST = 10
"""So many candidates are told, those that save most time."""
_NAMES = 5
"""So many names are tried for each."""
_READS_TABLES = re.compile(r"_to_xml(?:schema|_and_xmlschema)?\Z")
"""Stable functions, which the planner may run, that read a relation by its name, with its code."""
_NO_PRUNING = "SET LOCAL enable_partition_pruning = off"
"""The parameters have no values, with which no partition would be read."""


@dataclass(frozen=True)
class _Planned:
    """A slow statement with its generic plan."""

    statement: SlowStatement
    found: RunnableQuery
    cost: float
    scans: tuple[Scan, ...]
    answer: Any


class _Wanted(NamedTuple):
    """A proposal for one statement."""

    planned: _Planned
    proposal: Proposal


def observe_candidates(
    connection: Connection, policy: Policy, catalog: Catalog, declared: DeclaredObservation
) -> CandidatesObservation:
    """Plan the slowest statements, and propose the indexes that they lack.

    Args:
        connection: a session on the primary.
        policy: with a section of indexes.
        catalog: all indexes and tables, read before.
        declared: the declared indexes.

    Raises:
        UnreachableError: the connection was lost.
    """
    assert policy.indexes is not None, "a subject is asked only about what concerns it"
    section = policy.indexes.candidates
    if section.statements == 0:
        return NO_CANDIDATES
    limits = Limits(policy.observe.time_cap, policy.database.search_path)
    mean_ms = section.mean_time.total_seconds() * 1000
    try:
        with read_transaction(connection, limits.statement, DOING):
            slow = read_slow_statements(connection, mean_ms, section.statements)
        if slow.silence:
            return CandidatesObservation(silence=slow.silence)
        return _Looking(connection, limits, catalog, declared).at(slow)
    except UnreachableError:
        raise
    except MaintenanceError as exc:
        return CandidatesObservation(failure=str(exc))
    except psycopg.Error as exc:  # a locked catalog, or the owner's session was lost
        return CandidatesObservation(failure=str(to_error(exc, DOING)))


class _Looking:
    """One look at the slow statements of a database."""

    def __init__(
        self,
        connection: Connection,
        limits: Limits,
        catalog: Catalog,
        declared: DeclaredObservation,
    ) -> None:
        self._connection = connection
        self._limits = limits
        self._catalog = catalog
        self._declared = declared
        self._until = time.monotonic() + limits.statement.total_seconds()
        self._not_planned: Counter[NotPlanned] = Counter()

    def at(self, slow: SlowStatements) -> CandidatesObservation:
        """Return what the statements ask for."""
        hypopg = find_hypopg(self._connection, self._limits)
        with OwnerSessions() as sessions:
            planned = list(self._planned(slow.statements, sessions))
            wanted = list(self._wanted(planned))
            found = merged(self._proven(wanted, hypopg, sessions))
        useful = [each for each in found if is_useful(each)]
        useful.sort(key=lambda each: (-each.saved_ms, each.shape))
        return CandidatesObservation(
            n_statements=len(slow.statements),
            not_planned=dict(self._not_planned),
            hidden=slow.hidden,
            hypopg=hypopg.version if hypopg is not None else "",
            candidates=tuple(self._named(useful[:MOST])),
            n_rejected=len(found) - len(useful),
        )

    def _planned(
        self, statements: Sequence[SlowStatement], sessions: OwnerSessions
    ) -> Iterator[_Planned]:
        """Yield the statements that can be planned with the rights of one owner."""
        by_key = {each.key: each for each in statements}
        queries = list(self._parsed(statements))
        unsafe = self._unsafe_types(queries)
        for found in find_queries(self._connection, queries, self._limits):
            if any(_READS_TABLES.search(each.name) for each in found.query.functions):
                self._not_planned[NotPlanned.RIGHTS] += 1
            elif unsafe.intersection(each.name for each in found.query.types):
                self._not_planned[NotPlanned.TYPES] += 1
            elif found.failure is not None:
                is_of_rights = found.failure.reason in (NotRun.RIGHTS, NotRun.VOLATILE)
                reason = NotPlanned.RIGHTS if is_of_rights else NotPlanned.REFUSED
                self._not_planned[reason] += 1
            elif time.monotonic() > self._until:
                self._not_planned[NotPlanned.BUDGET] += 1
            else:
                yield from self._explained(by_key[found.query.name], found, sessions)

    def _parsed(self, statements: Sequence[SlowStatement]) -> Iterator[DeclaredQuery]:
        for each in statements:
            try:
                yield parse_select(each.query, each.key)
            except QueryFilesError:
                self._not_planned[NotPlanned.NOT_PARSED] += 1

    def _unsafe_types(self, queries: Sequence[DeclaredQuery]) -> frozenset[str]:
        names = sorted({each.name for query in queries for each in query.types})
        if not names:
            return frozenset()
        with read_transaction(self._connection, self._limits.statement, DOING):
            rows = fetch(self._connection, "indexes", "list_unsafe_types", {"names": names})
        return frozenset(row.name for row in rows)

    def _explained(
        self, statement: SlowStatement, found: RunnableQuery, sessions: OwnerSessions
    ) -> Iterator[_Planned]:
        try:
            ready = prepared(self._connection, found, self._limits, sessions)
            try:
                answer = _generic(ready)
            finally:
                release(ready.session)
        except NotRunError as exc:
            is_of_rights = exc.failure.reason is NotRun.RIGHTS
            reason = NotPlanned.RIGHTS if is_of_rights else NotPlanned.REFUSED
            self._not_planned[reason] += 1
            return
        yield _Planned(statement, found, read_plan(answer).cost, read_scans(answer), answer)

    def _wanted(self, planned: Sequence[_Planned]) -> Iterator[_Wanted]:
        answers = [each.answer for each in planned]
        roots = partition_roots(self._connection, answers, self._limits.statement)
        names = {roots.get(scan.relation, scan.relation) for each in planned for scan in each.scans}
        tables = self._tables(names)
        for each in planned:
            for proposal in propose(each.scans, tables, roots):
                yield _Wanted(each, proposal)

    def _tables(self, names: Collection[QualifiedName]) -> Mapping[QualifiedName, CandidateTable]:
        """Return what decides about the indexes of tables, of those that are large."""
        large = {
            table.oid: size
            for table in self._catalog.tables.values()
            if table.relation in names and (size := self._size(table)).pages >= LEAST_PAGES
        }
        if not large:
            return {}
        with read_transaction(self._connection, self._limits.statement, DOING):
            rows = fetch(self._connection, "indexes", "list_key_columns", {"tables": list(large)})
        columns: dict[int, dict[int, TableColumn]] = defaultdict(dict)
        for row in rows:
            distinct = _distinct(row.n_distinct, large[row.table_oid].rows)
            columns[row.table_oid][row.number] = TableColumn(row.name, distinct, row.width)
        return {
            size.relation: size._replace(
                columns={each.name: each for each in columns[oid].values()},
                indexes=tuple(self._indexes(oid, size.relation, columns[oid])),
            )
            for oid, size in large.items()
        }

    def _size(self, table: Table) -> CandidateTable:
        tables = [table]
        for each in tables:
            tables += self._catalog.parts_of.get(each.oid, ())
        return CandidateTable(
            table.relation,
            sum(each.pages for each in tables),
            sum(max(each.known_rows, 0) for each in tables if each.kind != "p"),
            table.kind == "p",
        )

    def _indexes(
        self, oid: int, relation: QualifiedName, columns: Mapping[int, TableColumn]
    ) -> Iterator[PresentIndex]:
        for index in self._catalog.indexes_of.get(oid, ()):
            if index.is_valid and index.method == "btree":
                yield PresentIndex(index.relation, _columns(index, columns), index.predicate)
        for each in self._declared.indexes:
            if each.declaration.table == relation and each.state is not State.SAME:
                keys = proven_index(each.declaration, None).keys
                names = tuple(key.column for key in keys)
                predicate = each.declaration.predicate
                yield PresentIndex(each.declaration.relation, names, predicate, is_declared=True)

    def _proven(
        self, wanted: Sequence[_Wanted], hypopg: HypoPG | None, sessions: OwnerSessions
    ) -> Iterator[tuple[Proposal, ServedStatement, int | None]]:
        """Yield the proposals with what HypoPG shows of them, and the size of the index."""
        by_statement: dict[str, list[_Wanted]] = defaultdict(list)
        for each in wanted:
            by_statement[each.planned.statement.key].append(each)
        for same in by_statement.values():
            planned = same[0].planned
            gains: Mapping[Shape, tuple[Gain | None, int | None]] = {}
            if hypopg is not None and time.monotonic() < self._until:
                shapes = [each.proposal.shape for each in same]
                gains = self._gains(planned, shapes, hypopg, sessions)
            for _, proposal in same:
                gain, size = gains.get(proposal.shape, (None, None))
                is_tried = proposal.shape in gains
                served = ServedStatement(planned.statement, gain, is_tried, proposal.is_selective)
                yield proposal, served, size

    def _gains(
        self,
        planned: _Planned,
        shapes: Sequence[Shape],
        hypopg: HypoPG,
        sessions: OwnerSessions,
    ) -> dict[Shape, tuple[Gain | None, int | None]]:
        """Return what the plan of a statement costs with all its candidates, of those it takes."""
        try:
            ready = prepared(self._connection, planned.found, self._limits, sessions)
        except NotRunError:
            return {}
        made: dict[str, tuple[Shape, int]] = {}
        is_alone = len(planned.found.relations) == 1
        try:
            for n, shape in enumerate(shapes):
                # Of a table that is not the first of a statement, HypoPG takes no predicate as
                # implied.
                whole = shape if is_alone else shape._replace(conditions=())
                statement = create_index(whole, f"candidate_{n}")
                index = pretend(ready.session, ready.settings, hypopg, statement)
                if not isinstance(index, str):
                    made[index.name] = shape, index.size_bytes
            ready.prepare_again()
            plan = read_plan(_generic(ready))
        except NotRunError:
            return {}
        finally:
            forget_pretended(ready.session, ready.settings, hypopg)
            release(ready.session)
        gain = Gain(planned.cost, plan.cost)
        taken = {index.name for index in plan.indexes}
        return {
            shape: (gain if name in taken else None, size) for name, (shape, size) in made.items()
        }

    def _named(self, candidates: Sequence[Candidate]) -> Iterator[Candidate]:
        """Yield candidates with names that are free."""
        tried = {
            each.shape: list(islice(index_names(each.shape.table, each.shape.names), _NAMES))
            for each in candidates
        }
        names = sorted({name for found in tried.values() for name in found})
        taken = {each.declaration.relation for each in self._declared.indexes}
        if names:
            with read_transaction(self._connection, self._limits.statement, DOING):
                rows = fetch(self._connection, "indexes", "list_taken_names", {"names": names})
            taken |= {QualifiedName(row.schema, row.name) for row in rows}
        for each in candidates:
            schema = each.shape.table.schema
            free = (name for name in tried[each.shape] if QualifiedName(schema, name) not in taken)
            name = next(free, tried[each.shape][-1])
            taken.add(QualifiedName(schema, name))
            table = next(t for t in self._catalog.tables.values() if t.relation == each.shape.table)
            yield replace(each, name=name, is_partitioned=table.kind == "p")


def _generic(ready: PreparedQuery) -> Any:
    return ready.explain(1, GENERIC, _NO_PRUNING)


def _columns(index: Index, columns: Mapping[int, TableColumn]) -> tuple[str | None, ...]:
    found = (columns.get(key.of) if isinstance(key.of, int) else None for key in index.keys)
    return tuple(each.name if each is not None else None for each in found)


def _distinct(known: float | None, rows: float) -> float | None:
    """Return how many distinct values a column has; pg_stats has a share of the rows below 0."""
    if known is None or known == 0:
        return None
    return known if known > 0 else -known * max(rows, 1)
