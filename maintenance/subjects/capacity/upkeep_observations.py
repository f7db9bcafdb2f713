"""Read what was left behind: collations, extensions, constraints, autovacuum, settings."""

import re
from collections.abc import Collection
from datetime import date
from typing import Any

from maintenance.names import QualifiedName, is_helper, quote
from maintenance.server.session import Connection, fetch
from maintenance.subjects.capacity.models import (
    Collation,
    Constraint,
    ConversionCheck,
    Extension,
    Setting,
    Settings,
    Vacuumed,
)

_PERIOD = re.compile(r"\d+")

MANY_ROWS = 100_000_000
"""From here on a fifth of the rows, the default, is too many dead rows to wait for."""
SHOWN_INDEXES = 20


def collations(connection: Connection) -> tuple[Collation, ...]:
    """Read the collations whose version has changed."""
    rows = fetch(connection, "capacity", "list_collations", {"most": SHOWN_INDEXES})
    return tuple(
        Collation(*row)._replace(indexes=tuple(row.indexes), tables=tuple(row.tables))
        for row in rows
    )


def extensions(connection: Connection) -> tuple[Extension, ...]:
    """Read the extensions in another version than the one that the server offers."""
    return tuple(Extension(*row) for row in fetch(connection, "capacity", "list_extensions"))


def constraints(connection: Connection) -> tuple[Constraint, ...]:
    """Read the constraints that were never validated; sizes are those of the last VACUUM."""
    return tuple(
        Constraint(QualifiedName(row.schema, row.name), *row[2:])
        for row in fetch(connection, "capacity", "list_constraints")
        if not is_helper(row.name)
    )


def conversion_checks(connection: Connection) -> tuple[ConversionCheck, ...]:
    """Read the CHECKs of unfinished conversions, whatever the policy says of their tables."""
    rows = fetch(connection, "capacity", "list_conversion_checks")
    return tuple(
        ConversionCheck(
            QualifiedName(row.schema, row.name), row.check_name, day_of_check(row.check_name)
        )
        for row in rows
    )


def day_of_check(check: str) -> date | None:
    """Return the first day of the period that ends the name of a CHECK; None if it has none."""
    parts = list(map(int, _PERIOD.findall(check.rpartition("_until_")[2])))
    try:
        return date(*[*parts, 1, 1][:3])
    except (TypeError, ValueError):
        return None


def vacuumed(connection: Connection) -> tuple[Vacuumed, ...]:
    """Read the tables that autovacuum leaves out, and those too large for its thresholds."""
    rows = fetch(connection, "capacity", "list_autovacuum", {"least_rows": MANY_ROWS})
    return tuple(_as_vacuumed(row) for row in rows if not is_helper(row.name))


def settings(connection: Connection, names: Collection[str]) -> Settings | None:
    """Read the settings of these names; None without names."""
    wanted = sorted({name.lower() for name in names})
    rows = fetch(connection, "capacity", "list_settings", {"names": wanted}) if wanted else []
    if not rows:
        return None
    found = {row.wanted: Setting(*row[1:8]) for row in rows if row.name is not None}
    return Settings(found, rows[0].sees_all, quote(rows[0].database))


def _as_vacuumed(row: Any) -> Vacuumed:
    table = QualifiedName(row.schema, row.name)
    root = QualifiedName(row.root_schema, row.root_name) if row.root_name else table
    return Vacuumed(table, root, *row[4:])
