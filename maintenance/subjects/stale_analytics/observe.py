"""Count stale rows with one set-based query per table, each in a short transaction."""

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
    """Count the stale rows of every valid table; an error affects only its table."""
    found: dict[QualifiedName, Staleness] = {}
    blind: dict[QualifiedName, str] = {}
    forbidden: set[QualifiedName] = set()
    hidden: set[QualifiedName] = set()
    asked = [s for s in context.policy.stale_analytics if context.request.includes(s.table)]
    validated = {section.table: validate(section, context.snapshot) for section in asked}
    unfit = {table: finding for table, finding in validated.items() if finding is not None}
    sections = [section for section in asked if section.table not in unfit]
    elsewhere = foreign_tables(
        context.connection, [oid for section in sections for oid in _oids(context, section)]
    )
    for section in sections:
        foreign = next((f for oid in _oids(context, section) if (f := elsewhere.get(oid))), None)
        if foreign is not None:
            blind[section.table] = (
                f"stale rows not counted, because that would read {foreign.relation} on the"
                f" foreign server {foreign.server}, which may never respond; name a local table"
            )
            continue
        if _is_refused(context, section):
            blind[section.table] = "stale rows not counted: this role may not read its rows"
            obstacles = _obstacles(context, section)
            forbidden |= {section.table} if obstacles == {Obstacle.PRIVILEGE} else set()
            hidden |= {section.table} if Obstacle.ROW_SECURITY in obstacles else set()
            continue
        try:
            found[section.table] = _count(context, section)
        except UnreachableError:
            raise
        except psycopg.errors.LockNotAvailable as exc:
            blind[section.table] = str(to_error(exc, "counting its stale rows"))
        except MaintenanceError as exc:
            blind[section.table] = exc.with_hint
            plain = not isinstance(exc, PrivilegeError)
            if plain and isinstance(exc.__cause__, psycopg.errors.InsufficientPrivilege):
                obstacles = _obstacles(context, section)
                if obstacles == {Obstacle.PRIVILEGE}:
                    forbidden.add(section.table)
                hidden |= {section.table} if Obstacle.ROW_SECURITY in obstacles else set()
    return StaleAnalyticsObservation(
        context.snapshot, unfit, found, blind, frozenset(forbidden), frozenset(hidden)
    )


def _is_refused(context: ObserveContext, section: StaleAnalyticsPolicy) -> bool:
    """Whether the count would be an ERROR in the server's log."""
    if _code(context, section) is not None:  # it is counted as the owner
        return False
    oids = _oids(context, section)
    return bool(unreadable_tables(context.connection, oids, wholly=True))


def _obstacles(context: ObserveContext, section: StaleAnalyticsPolicy) -> set[Obstacle]:
    """Return whether the server refused because of a privilege or of row-level security."""
    return set(unreadable_tables(context.connection, _oids(context, section)).values())


def _oids(context: ObserveContext, section: StaleAnalyticsPolicy) -> list[int]:
    """Return the OIDs of a section's table and activity table, if they exist."""
    activity = section.activity
    names = [section.table, *([activity.table] if activity is not None else [])]
    return [table.oid for name in names if (table := context.snapshot.tables.get(name)) is not None]


def cutoff_of(section: StaleAnalyticsPolicy, now: datetime) -> datetime:
    """Return the moment before which a calculation is too old."""
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
        # Bounds the memory of hash joins of two large tables; the rest is spilled to disk.
        cursor.execute("SET LOCAL work_mem = '64MB'")
        row = cursor.execute(queries.summary(section).encode(), parameters).fetchone()
    assert row is not None, "an aggregate returns one row"
    return row


def _code(context: ObserveContext, section: StaleAnalyticsPolicy) -> OwnerCode | None:
    """Return the owner's code that the query runs; code of two owners can't be run safely."""
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
    """Return the owner's code that reading some columns runs, including operators and casts."""
    owner = table.properties.owner
    if table.code is not None or owner == role or not table.manageable:
        return table.code
    types = [column.type for column in table.columns if column.name in columns]
    # Only built-in types are named without a schema.
    strange = next((each for each in types if "." in each), None)
    return OwnerCode(owner, safe=True, what=f"code of the type {strange}") if strange else None
