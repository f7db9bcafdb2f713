"""Helper CHECKs on a default partition: with one that is validated, ATTACH scans nothing.

They refuse rows from the moment they are added, validated or not. So each lives as short as can
be, its name says whose it is, and a run that finds one left behind removes it before all else.
Source: PostgreSQL manual, 5.12.2.2 Partition Maintenance.
"""

from collections.abc import Iterable
from typing import NamedTuple

from maintenance.ddl.locking import take
from maintenance.engine.actions import Lock, LockMode, Step
from maintenance.keys import KeyCodec
from maintenance.names import QualifiedName, quote
from maintenance.partitioning.window import Slot

PREFIX = "maintenance_"
"""What the name of every helper CHECK begins with; sql/catalog/list_tables.sql looks for it."""


class HelperCheck(NamedTuple):
    """One helper CHECK on one table."""

    table: QualifiedName
    name: str
    condition: str

    @property
    def add(self) -> Step:
        """Add it without a look at the rows that are there."""
        return Step(
            statements=(
                take(alone(self.table)),
                f"ALTER TABLE {self.table} ADD CONSTRAINT {self.name}"
                f" CHECK ({self.condition}) NOT VALID",
            ),
            locks=alone(self.table),
        )

    @property
    def validate(self) -> Step:
        """Look at every row, beside readers and writers."""
        return Step(
            statements=(f"ALTER TABLE {self.table} VALIDATE CONSTRAINT {self.name}",),
            locks=(Lock(str(self.table), LockMode.SHARE_UPDATE_EXCLUSIVE),),
        )


def alone(table: QualifiedName) -> tuple[Lock, ...]:
    """Return the locks that change a table: first the one before which autovacuum gives way."""
    modes = LockMode.SHARE_UPDATE_EXCLUSIVE, LockMode.ACCESS_EXCLUSIVE
    return tuple(Lock(str(table), mode) for mode in modes)


def drop(table: QualifiedName, name: str) -> str:
    """Return the statement that removes a helper CHECK, if it is there."""
    return f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {quote(name)}"


def removal(table: QualifiedName, names: Iterable[str]) -> Step:
    """Remove helper CHECKs that were left on a table."""
    locks = alone(table)
    return Step((take(locks), *(drop(table, name) for name in names)), locks=locks)


def excluding(
    default: QualifiedName, column: str, codec: KeyCodec, first: Slot, last: Slot
) -> HelperCheck:
    """Return the CHECK that no row lies from the first slot to the last."""
    lower, upper = codec.literal(first.lower), codec.literal(last.upper)
    key = quote(column)
    return HelperCheck(default, _name("not", first), f"{key} < {lower} OR {key} >= {upper}")


def within(
    table: QualifiedName, column: str, codec: KeyCodec, first: Slot, last: Slot
) -> HelperCheck:
    """Return the CHECK that every row lies from the first slot to the last."""
    lower, upper = codec.literal(first.lower), codec.literal(last.upper)
    key = quote(column)
    condition = f"{key} IS NOT NULL AND {key} >= {lower} AND {key} < {upper}"
    return HelperCheck(table, _name("only", first), condition)


def _name(kind: str, slot: Slot) -> str:
    return f"{PREFIX}{kind}_{slot.period.start.isoformat().replace('-', '_')}"
