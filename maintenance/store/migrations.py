"""Migrate the store's schema in numbered steps, each applied once."""

from importlib.metadata import version
from pathlib import Path

import psycopg

from maintenance.errors import MaintenanceError, PrivilegeError
from maintenance.server.event_triggers import refuse_foreign_event_triggers
from maintenance.server.owner_code import name_owner_code
from maintenance.server.session import (
    Connection,
    fetch,
    rollback_quietly,
    run_sql,
    run_statement,
    to_error,
)
from maintenance.server.sql_library import data_root

NEWER_STORE = "newer_store"
"""Reason of the error that the store was migrated by a newer version."""

_MIGRATION_LOCK = 0x6D61696E74_0001


def migrate(connection: Connection) -> None:
    """Apply the missing migrations in one transaction.

    Raises:
        PrivilegeError: the role may not create the schema, or that would run another role's code
            with our rights; the hint has the statement to run.
        MaintenanceError: the store was created by a newer version.
    """
    steps = _steps()
    applied = _known(connection, steps)
    if len(applied) == len(steps):
        return
    grant = missing_right(connection)
    if grant is not None:  # a refused CREATE would be an ERROR in the server's log
        raise _not_permitted(grant)
    refuse_foreign_event_triggers(connection)
    try:
        _apply(connection, steps)
    except psycopg.Error as exc:
        rollback_quietly(connection)
        if isinstance(exc, psycopg.errors.InsufficientPrivilege):
            raise _not_permitted(missing_right(connection)) from exc
        error = to_error(exc, "creating the store")
        raise name_owner_code(connection, exc, error) from exc


def _not_permitted(grant: str | None) -> PrivilegeError:
    return PrivilegeError(
        "can't create the store's schema maintenance",
        hint=f"run {grant}; or set store.url to another database",
    )


def is_made(connection: Connection) -> bool:
    """Whether there is a store of this or of an earlier version; changes nothing.

    Raises:
        PrivilegeError, MaintenanceError: as `is_ready`.
    """
    return bool(_known(connection, _steps()))


def is_ready(connection: Connection) -> bool:
    """Whether the store exists with all migrations of this version; changes nothing.

    Raises:
        PrivilegeError: this role may not read it.
        MaintenanceError: the store was created by a newer version.
    """
    steps = _steps()
    return len(_known(connection, steps)) == len(steps)


def _known(connection: Connection, steps: list[Path]) -> frozenset[str]:
    """Return the migrations that were applied, all of which this version knows.

    Raises:
        PrivilegeError: this role may not read them.
        MaintenanceError: it does not know them all: the store is that of a newer version.
    """
    applied = _applied(connection)
    unknown = sorted(applied - {step.stem for step in steps})
    if unknown:
        raise MaintenanceError(
            f"the store is of a newer version: its migrations end at {unknown[-1]}, and maintenance"
            f" {version('maintenance')} knows those up to {steps[-1].stem}; nothing was changed",
            hint="upgrade this installation to the version that was used last, or name another"
            " database in store.url",
            reason=NEWER_STORE,
        )
    return applied


def _steps() -> list[Path]:
    return sorted((data_root() / "sql" / "store").glob("[0-9][0-9][0-9][0-9]_*.sql"))


def _applied(connection: Connection) -> frozenset[str]:
    (known,) = fetch(connection, "store", "find_migrations")
    if not known.is_there:
        return frozenset()
    if not known.may_read:
        raise PrivilegeError(
            "can't read the store's schema maintenance",
            hint="grant this role USAGE on it and the rights on its tables; or set store.url to"
            " another database",
        )
    return frozenset(row.name for row in fetch(connection, "store", "list_migrations"))


def _apply(connection: Connection, steps: list[Path]) -> None:
    run_sql(connection, "BEGIN")
    fetch(connection, "store", "lock_migrations", {"lock": _MIGRATION_LOCK})
    if not _applied(connection):
        run_sql(
            connection,
            "CREATE SCHEMA IF NOT EXISTS maintenance;"
            " CREATE TABLE IF NOT EXISTS maintenance.migration (name text PRIMARY KEY,"
            " applied_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp())",
        )
    applied = _applied(connection)
    for step in (step for step in steps if step.stem not in applied):
        run_sql(connection, step.read_text())
        run_statement(connection, "store", "add_migration", {"name": step.stem})
    run_sql(connection, "COMMIT")


def missing_right(connection: Connection) -> str | None:
    """Return the GRANT needed to create the store; None if it exists or can be created."""
    (right,) = fetch(connection, "store", "check_right_to_migrate")
    return None if right.granted else f"GRANT CREATE ON DATABASE {right.database} TO {right.role}"
