"""Compare the declarations of a policy with the database, in a few short transactions."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar

import psycopg

from maintenance.engine.observe_context import ObserveContext
from maintenance.formatting import PAGE_BYTES
from maintenance.names import QualifiedName
from maintenance.policy.declarations import (
    CheckDeclaration,
    ColumnDeclaration,
    Declaration,
    DropDeclaration,
    IndexDeclaration,
)
from maintenance.server.capabilities import major_of, reindexes_beside_upserts
from maintenance.server.grants import Grants
from maintenance.server.owner_sessions import OwnerSessions
from maintenance.server.session import Connection, fetch, read_transaction
from maintenance.server.upserts import upserts_into
from maintenance.subjects.indexes.declared.assessment import (
    assess,
    assess_before,
    successor_name,
)
from maintenance.subjects.indexes.declared.models import (
    NOTHING,
    Constraint,
    DeclaredCheck,
    DeclaredColumn,
    DeclaredIndex,
    DeclaredObservation,
    PartitionKey,
    Refusal,
    State,
    TableColumn,
    TableFacts,
)
from maintenance.subjects.indexes.declared.old_indexes import drops_of, with_replaced
from maintenance.subjects.indexes.declared.parts import (
    parts_of,
    refuse_lacking_key,
    to_compare,
)
from maintenance.subjects.indexes.declared.preflight import Reader
from maintenance.subjects.indexes.declared.query_history import recall_drops
from maintenance.subjects.indexes.declared.questions import (
    Answer,
    Question,
    Tried,
    index_of,
    is_stable,
    question,
    question_again,
)
from maintenance.subjects.indexes.declared.seen import Seen
from maintenance.subjects.indexes.declared.table_parts import (
    check_after,
    check_before,
    column_after,
    column_before,
)
from maintenance.subjects.indexes.declared.trial import try_out
from maintenance.subjects.indexes.models import Catalog
from maintenance.subjects.indexes.observe import DOING, read_definitions, read_taken_names

Kind = TypeVar("Kind")

_TO_BUILD = frozenset({State.MISSING, State.INVALID, State.INCOMPLETE, State.DIFFERENT})


def observe_declared(context: ObserveContext, catalog: Catalog) -> DeclaredObservation:
    """Compare every declaration of the policy with the database.

    Args:
        context: of the observation.
        catalog: all indexes and tables, read before.

    Raises:
        MaintenanceError: the server refused a query, or a query exceeded the time cap.
    """
    section = context.policy.indexes
    declarations = section.declarations if section is not None else ()
    if not declarations:
        return NOTHING
    with OwnerSessions() as sessions:
        return _Observer(context, declarations, sessions).observe(catalog)


@dataclass(frozen=True)
class _Observer:
    """One observation of the declarations.

    Attributes:
        sessions: give the sessions with owners' rights.
    """

    context: ObserveContext
    declarations: Sequence[Declaration]
    sessions: OwnerSessions

    def observe(self, catalog: Catalog) -> DeclaredObservation:
        """Read, try and compare."""
        gone = {name for each in self.declarations for name in each.annotations.replaces}
        drops = self._all(DropDeclaration)
        gone.update(each.relation for each in drops)
        seen = self._read(catalog, gone)
        known = self._known(gone)
        columns = [column_before(each, seen) for each in self._all(ColumnDeclaration)]
        new = _new_columns(columns)
        checks = [check_before(each, seen, new) for each in self._all(CheckDeclaration)]
        before = [
            assess_before(each, seen, new.get(each.table, ()))
            for each in self._all(IndexDeclaration)
        ]
        answers = self._try((*columns, *checks, *before))
        trials = {
            each.declaration.relation: index_of(each.declaration, each.table, each.facts, told)
            for each in before
            if (told := answers[each.declaration])
            and each.table is not None
            and each.facts is not None
        }
        found = self._with_parts(assess(before, trials, seen, gone), seen)
        path = self.context.policy.database.search_path
        rows = Reader(self.context.connection, self.sessions, path, self._time_cap)
        checked = [check_after(each, answers[each.declaration], seen) for each in checks]
        return DeclaredObservation(
            tuple(
                with_replaced(rows.index(each), seen, seen.texts, known)
                for each in self._with_upserts(found)
            ),
            drops_of(drops, seen, seen.texts, known),
            tuple(rows.check(each, seen) for each in checked),
            tuple(
                replace(column_after(each, answers[each.declaration]), bytes=_bytes(each, seen))
                for each in columns
            ),
        )

    def _known(self, gone: Collection[QualifiedName]) -> Collection[QualifiedName]:
        """Return the declared indexes, and those of the ones to drop that a run dropped."""
        known = {each.relation for each in self._all(IndexDeclaration)}
        known |= {successor_name(each) for each in self._all(IndexDeclaration)}
        store = self.context.store
        if store is not None:
            known |= recall_drops(store, self.context.policy.database.name, gone)
        return known

    def _with_upserts(self, found: Sequence[DeclaredIndex]) -> Sequence[DeclaredIndex]:
        """Return declared indexes; unique ones that are to be built know the upserts beside it."""
        connection = self.context.connection
        wanted = {
            each.declaration.table
            for each in found
            if each.declaration.is_unique and each.state in _TO_BUILD
        }
        if not wanted or reindexes_beside_upserts(major_of(connection.info.server_version)):
            return found
        with read_transaction(connection, self._time_cap, "looking for upserts"):
            calls = upserts_into(connection, wanted)
        return [
            replace(each, upserts=None if calls is None else calls.get(each.declaration.table, 0))
            if each.declaration.table in wanted and each.declaration.is_unique
            else each
            for each in found
        ]

    def _all(self, kind: type[Kind]) -> list[Kind]:
        return [each for each in self.declarations if isinstance(each, kind)]

    @property
    def _time_cap(self) -> timedelta:
        return self.context.policy.observe.time_cap

    def _read(self, catalog: Catalog, gone: Collection[QualifiedName]) -> Seen:
        """Read what the declarations need of the catalog."""
        indexes = self._all(IndexDeclaration)
        names = {each.relation for each in indexes} | {successor_name(each) for each in indexes}
        first = Seen(catalog, {}, {}, frozenset())
        tables = {t.oid for name in self._tables() if (t := first.tables.get(name)) is not None}
        old = [index for name in gone if (index := first.indexes.get(name)) is not None]
        tables.update(index.table_oid for index in old)
        oids = {index.oid for name in names if (index := first.indexes.get(name)) is not None}
        oids.update(index.oid for index in old)
        oids.update(part.oid for index in old for part, _ in first.parts_of(index))
        taken = {name.name for name in (*names, *gone, *self._tables())}
        connection, time_cap = self.context.connection, self._time_cap
        grants = self.context.snapshot.server.grants
        return Seen(
            catalog,
            read_table_facts(connection, tables, time_cap, grants),
            read_definitions(connection, sorted(oids), time_cap),
            read_taken_names(connection, taken, time_cap),
            self._read_constraints(first),
        )

    def _tables(self) -> set[QualifiedName]:
        return {each.table for each in self.declarations if not isinstance(each, DropDeclaration)}

    def _read_constraints(self, seen: Seen) -> dict[tuple[int, str], Constraint]:
        wanted = [
            (table.oid, each.name)
            for each in self._all(CheckDeclaration)
            if (table := seen.tables.get(each.table)) is not None
        ]
        if not wanted:
            return {}
        oids, names = zip(*wanted, strict=True)
        parameters = {"tables": list(oids), "names": list(names)}
        connection = self.context.connection
        with read_transaction(connection, self._time_cap, DOING):
            rows = fetch(connection, "indexes", "list_declared_constraints", parameters)
        return {
            (row.table_oid, row.name): Constraint(row.kind, row.is_validated, row.definition)
            for row in rows
        }

    def _try(
        self, found: Iterable[DeclaredColumn | DeclaredCheck | DeclaredIndex]
    ) -> Mapping[Tried, Sequence[Answer]]:
        """Ask the server for the definitions that can't be compared without it.

        What it accepts is asked again as the server wrote it.
        """
        asked = [
            question(each.declaration, each.table, each.facts)
            for each in found
            if each.state is State.UNKNOWN
            and each.refusal is None
            and each.table is not None
            and each.facts is not None
        ]
        first = self._ask(asked)
        again = [
            question_again(each, answer)
            for each in asked
            if not isinstance(answer := first[each.declared], Refusal)
            # an index may need a new column
            and (not is_stable(answer) or isinstance(each.declared, ColumnDeclaration))
        ]
        second = self._ask(again)
        told: dict[Tried, list[Answer]] = defaultdict(list)
        for answers in (first, second):
            for declared, answer in answers.items():
                told[declared].append(answer)
        return told

    def _ask(self, asked: Sequence[Question]) -> dict[Tried, Answer]:
        path = self.context.policy.database.search_path
        return try_out(self.context.connection, asked, path, self._time_cap, self.sessions)

    def _with_parts(self, found: Sequence[DeclaredIndex], seen: Seen) -> list[DeclaredIndex]:
        """Return the declared indexes; those of partitioned tables with their parts."""
        found = self._with_partition_keys(found, seen)
        rolled_out = [
            each
            for each in found
            if each.facts is not None
            and each.facts.partition_key is not None
            and each.state in (State.MISSING, State.INCOMPLETE)
        ]
        if not rolled_out:
            return list(found)
        oids = sorted({oid for each in rolled_out for oid in to_compare(each, seen)})
        texts = read_definitions(self.context.connection, oids, self._time_cap)
        parts = {id(each): parts_of(each, seen, texts) for each in rolled_out}
        return [replace(each, parts=parts.get(id(each), ())) for each in found]

    def _with_partition_keys(
        self, found: Sequence[DeclaredIndex], seen: Seen
    ) -> Sequence[DeclaredIndex]:
        """Return the declared indexes; unique ones that lack a key of a lower level are refused."""
        wanted = [
            each
            for each in found
            if each.declaration.is_unique
            and each.state in _TO_BUILD
            and each.table is not None
            and each.table.kind == "p"
        ]
        oids = {
            part.oid
            for each in wanted
            if each.table is not None
            for part in seen.below(each.table)
            if part.kind == "p"
        }
        if not oids:
            return found
        connection = self.context.connection
        with read_transaction(connection, self._time_cap, DOING):
            rows = fetch(connection, "indexes", "list_partition_keys", {"oids": sorted(oids)})
        keys = {row.oid: PartitionKey(tuple(row.columns), row.has_expression) for row in rows}
        return [refuse_lacking_key(each, seen, keys) if each in wanted else each for each in found]


def _bytes(found: DeclaredColumn, seen: Seen) -> int:
    tables = (found.table, *seen.below(found.table)) if found.table is not None else ()
    return sum(table.pages for table in tables) * PAGE_BYTES


def _new_columns(columns: Iterable[DeclaredColumn]) -> dict[QualifiedName, set[str]]:
    """Return the declared columns that do not exist yet, by table."""
    found: dict[QualifiedName, set[str]] = defaultdict(set)
    for each in columns:
        if each.facts is not None and each.declaration.name not in each.facts.columns:
            found[each.declaration.table].add(each.declaration.name)
    return found


def read_table_facts(
    connection: Connection, oids: Collection[int], time_cap: timedelta, grants: Grants
) -> dict[int, TableFacts]:
    """Read the owners and columns of tables, by their OIDs; those that are locked are left out.

    Raises:
        MaintenanceError: the server refused the query, or it exceeded the time cap.
    """
    rows: list[Any] = []
    try:
        rows = _read_tables(connection, sorted(oids), time_cap)
    except psycopg.errors.LockNotAvailable:
        for oid in sorted(oids):
            with suppress(psycopg.errors.LockNotAvailable):
                rows += _read_tables(connection, [oid], time_cap)
    return {row.oid: _facts(row, grants) for row in rows}


def _read_tables(connection: Connection, oids: Sequence[int], time_cap: timedelta) -> list[Any]:
    if not oids:
        return []
    with read_transaction(connection, time_cap, DOING):
        return fetch(connection, "indexes", "list_declared_tables", {"oids": list(oids)})


def _facts(row: Any, grants: Grants) -> TableFacts:
    parts = (
        *(row.numbers, row.names, row.types, row.lengths),
        *(row.not_null, row.generated, row.expressions),
    )
    columns = {column.name: column for column in map(TableColumn, *(part or () for part in parts))}
    return TableFacts(
        row.owner,
        row.is_ours,
        row.partition_key,
        row.n_foreign,
        columns,
        row.may_create,
        row.default_tablespace,
        frozenset(row.tablespaces),
        row.owner in grants.superusers,
        grants.right_to_act(row.owner, QualifiedName(row.schema, row.name)),
    )
