"""Observe the limits of a database and its server with a few short, independent queries.

A query that the server refuses or that exceeds the time cap is reported; the others still run.
"""

from collections.abc import Collection
from datetime import timedelta

from maintenance.engine.findings import Reading
from maintenance.engine.observations import Observations
from maintenance.names import QualifiedName
from maintenance.server.capabilities import has_wide_multixact_offsets
from maintenance.server.disk import free_disk
from maintenance.server.session import Connection, fetch
from maintenance.subjects.capacity.key_observations import with_keys
from maintenance.subjects.capacity.models import Age, CapacityObservation, Limits, Slot, Toast, Tree
from maintenance.subjects.capacity.upkeep_observations import (
    collations,
    constraints,
    conversion_checks,
    extensions,
    settings,
    vacuumed,
)

LEAST_AGE = 400_000_000
"""Ids of younger tables are not listed: twice the age at which autovacuum freezes by default."""
MOST_TABLES = 5
LEAST_CHUNKS = 2**32 / 10


def observe(
    connection: Connection, time_cap: timedelta, major: int, names: Collection[str] = ()
) -> CapacityObservation:
    """Observe a database and its server.

    Args:
        connection: to the database.
        time_cap: of each query.
        major: the version of the server.
        names: of settings to read.

    Raises:
        UnreachableError: the connection was lost.
    """
    glances = Observations(connection, time_cap)
    seen = CapacityObservation(
        ages=glances.see(Reading.WRAPAROUND, _ages, ()),
        limits=glances.see(Reading.LIMITS, lambda c: _limits(c, major), None),
        toast=glances.see(Reading.RELATIONS, _toast, ()),
        widest=glances.see(Reading.RELATIONS, _widest, None),
        slots=glances.see(Reading.SLOTS, _slots, ()),
        collations=glances.see(Reading.COLLATIONS, collations, ()),
        extensions=glances.see(Reading.EXTENSIONS, extensions, ()),
        constraints=glances.see(Reading.CONSTRAINTS, constraints, ()),
        conversion_checks=glances.see(Reading.CONSTRAINTS, conversion_checks, ()),
        vacuumed=glances.see(Reading.AUTOVACUUM, vacuumed, ()),
        settings=glances.see(Reading.SETTINGS, lambda c: settings(c, names), None),
        free_bytes=free_disk(connection),
        blind=glances.blind,
    )
    return with_keys(glances, seen)


def _ages(connection: Connection) -> tuple[Age, ...]:
    about = {"least_age": LEAST_AGE, "most": 2 * MOST_TABLES}
    rows = fetch(connection, "capacity", "list_ages", about)
    return tuple(Age(QualifiedName(row.schema, row.name), *row[2:]) for row in rows)


def _limits(connection: Connection, major: int) -> Limits:
    (row,) = fetch(connection, "capacity", "read_limits")
    limits = Limits(*row)._replace(members_end=not has_wide_multixact_offsets(major))
    if not limits.may_list_files or not limits.members_end:
        return limits
    (files,) = fetch(connection, "capacity", "count_member_files")
    return limits._replace(member_files=files.n_files)


def _toast(connection: Connection) -> tuple[Toast, ...]:
    rows = fetch(connection, "capacity", "list_toast", {"least_chunks": LEAST_CHUNKS})
    return tuple(Toast(QualifiedName(row.schema, row.name), *row[2:]) for row in rows)


def _widest(connection: Connection) -> Tree | None:
    rows = fetch(connection, "capacity", "find_widest_tree")
    return Tree(QualifiedName(*rows[0][:2]), *rows[0][2:]) if rows else None


def _slots(connection: Connection) -> tuple[Slot, ...]:
    return tuple(Slot(*row) for row in fetch(connection, "capacity", "list_slots"))
