"""Counting stale rows: one set-based query a table, each in a short transaction of its own."""

from collections.abc import Collection
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from maintenance.catalog.models import Obstacle, OwnerCode, Table
from maintenance.catalog.owner_code import read_as_owner
from maintenance.catalog.unreadable import foreign_tables, unreadable_tables
from maintenance.engine.observe_context import ObserveContext
from maintenance.errors import MaintenanceError, PrivilegeError, UnreachableError
from maintenance.names import QualifiedName
from maintenance.policy import StaleAnalyticsPolicy
from maintenance.server.session import read_transaction, to_error
from maintenance.subjects.stale_analytics import queries
from maintenance.subjects.stale_analytics.models import StaleAnalyticsObservation, Staleness
from maintenance.subjects.stale_analytics.validate import validate


def observe(context: ObserveContext) -> StaleAnalyticsObservation:
    """Count the stale rows of every table that is fit; one that can't be read stops no other."""
    found: dict[QualifiedName, Staleness] = {}
    blind: dict[QualifiedName, str] = {}
    forbidden: set[QualifiedName] = set()
    hidden: set[QualifiedName] = set()
    sections = [
        section
        for section in context.policy.stale_analytics
        if context.request.includes(section.table) and validate(section, context.snapshot) is None
    ]
    elsewhere = foreign_tables(
        context.connection, [oid for section in sections for oid in _oids(context, section)]
    )
    for section in sections:
        foreign = next((f for oid in _oids(context, section) if (f := elsewhere.get(oid))), None)
        if foreign is not None:
            blind[section.table] = (
                f"its stale rows are not counted, because that would read {foreign.relation} on"
                f" the foreign server {foreign.server}, which may never answer; name a local table"
            )
            continue
        try:
            found[section.table] = _count(context, section)
        except UnreachableError:
            raise
        except psycopg.errors.LockNotAvailable as exc:
            blind[section.table] = str(to_error(exc, "counting its stale rows"))
        except MaintenanceError as exc:
            blind[section.table] = f"{exc} ({exc.hint})" if exc.hint else str(exc)
            plain = not isinstance(exc, PrivilegeError)
            if plain and isinstance(exc.__cause__, psycopg.errors.InsufficientPrivilege):
                obstacles = _obstacles(context, section)
                if obstacles == {Obstacle.PRIVILEGE}:
                    forbidden.add(section.table)
                hidden |= {section.table} if Obstacle.ROW_SECURITY in obstacles else set()
    return StaleAnalyticsObservation(
        context.snapshot, found, blind, frozenset(forbidden), frozenset(hidden)
    )


def _obstacles(context: ObserveContext, section: StaleAnalyticsPolicy) -> set[Obstacle]:
    """Return what the server refused us for: a right, or rows behind row security."""
    return set(unreadable_tables(context.connection, _oids(context, section)).values())


def _oids(context: ObserveContext, section: StaleAnalyticsPolicy) -> list[int]:
    """Return the OIDs of a section's table and of its activity's, as far as they were seen."""
    activity = section.activity
    names = [section.table, *([activity.table] if activity is not None else [])]
    return [table.oid for name in names if (table := context.snapshot.tables.get(name)) is not None]


def cutoff_of(section: StaleAnalyticsPolicy, now: datetime) -> datetime:
    """Return the moment before which a row is old."""
    return now - section.max_age


def _count(context: ObserveContext, section: StaleAnalyticsPolicy) -> Staleness:
    parameters = {"now": context.now, "cutoff": cutoff_of(section, context.now)}
    code = _code(context, section)
    if code is not None:
        cursor = psycopg.ClientCursor(context.connection)
        query = cursor.mogrify(queries.summary(section).encode(), parameters)
        doing, cap = "counting its stale rows", context.policy.observe.time_cap
        try:
            (row,) = read_as_owner(context.connection, code, query, cap, doing)
        except psycopg.errors.LockNotAvailable:
            raise
        except psycopg.Error as exc:
            raise to_error(exc, doing) from exc
        age = row["oldest_age_s"]
        return Staleness(row["n_stale"], row["n_never"], None if age is None else float(age))
    with (
        read_transaction(
            context.connection, context.policy.observe.time_cap, "counting its stale rows"
        ),
        context.connection.cursor(row_factory=class_row(Staleness)) as cursor,
    ):
        # Two such tables are joined in hashes, whose size this bounds; what is more is spilled.
        cursor.execute("SET LOCAL work_mem = '64MB'")
        row = cursor.execute(queries.summary(section).encode(), parameters).fetchone()
    assert row is not None, "an aggregate gives one row"
    return row


def _code(context: ObserveContext, section: StaleAnalyticsPolicy) -> OwnerCode | None:
    """Return what the query runs of others' code; that of two owners goes with nobody's rights."""
    used: dict[QualifiedName, tuple[str, ...]] = {
        section.table: (*section.key, section.calculated_at)
    }
    if section.activity is not None:
        activity = section.activity
        used[activity.table] = (*used.get(activity.table, ()), *activity.key, activity.at)
    tables = context.snapshot.tables
    role = context.snapshot.server.role
    codes = (_code_of(tables[name], cols, role) for name, cols in used.items() if name in tables)
    found = [code for code in codes if code is not None]
    if not found:
        return None
    what = " and ".join(code.what for code in found)
    safe = all(code.safe and code.owner == found[0].owner for code in found)
    return OwnerCode(found[0].owner, safe, what)


def _code_of(table: Table, columns: Collection[str], role: str) -> OwnerCode | None:
    """Return what reading some columns of a table runs: operators and casts of their types too."""
    owner = table.properties.owner
    if table.code is not None or owner == role or not table.manageable:
        return table.code
    types = [column.type for column in table.columns if column.name in columns]
    # Only the server's own types are named without a schema.
    strange = next((each for each in types if "." in each), None)
    return OwnerCode(owner, safe=True, what=f"code of the type {strange}") if strange else None
