"""Helper CHECKs on a default partition: with a validated one, ATTACH scans no rows.

They refuse rows as soon as they are added, validated or not. So each exists as briefly as possible,
has a reserved name, and is removed first by the next run if it was left behind.
Source: PostgreSQL manual, 5.12.2.2 Partition Maintenance.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from maintenance.catalog.models import Partition, Table
from maintenance.ddl.lock_statements import take
from maintenance.engine.actions import Lock, LockMode, Step
from maintenance.names import QualifiedName, quote
from maintenance.partition_key import PAST, KeyCodec
from maintenance.partition_set.bounds import Span, bound_literals
from maintenance.partition_set.expected import PeriodRange, stamp

PREFIX = "maintenance_"
"""The prefix of the names of helper CHECKs; sql/catalog/list_tables.sql searches for it."""


class HelperCheck(NamedTuple):
    """One helper CHECK on a partition and its own partitions; `owner` is the owner of its table."""

    partition: Partition
    owner: str
    name: str
    condition: str

    @property
    def table(self) -> QualifiedName:
        """The partition's name."""
        return self.partition.relation

    @property
    def add(self) -> Step:
        """Return the step that adds it as NOT VALID, without a scan."""
        return Step(
            statements=(
                take(self._locks),
                f"ALTER TABLE {self.table} ADD CONSTRAINT {self.name}"
                f" CHECK ({self.condition}) NOT VALID",
            ),
            locks=self._locks,
            owner=self.owner,
        )

    @property
    def validate(self) -> Step:
        """Return the step that validates it: a scan that blocks neither readers nor writers."""
        return Step(
            statements=(f"ALTER TABLE {self.table} VALIDATE CONSTRAINT {self.name}",),
            locks=tuple(lock for lock in self._locks if not lock.mode.blocks_writers),
            owner=self.owner,
        )

    @property
    def _locks(self) -> tuple[Lock, ...]:
        return alone(*self.partition.names)


def alone(*tables: QualifiedName) -> tuple[Lock, ...]:
    """Return the locks to alter tables; the first ones make autovacuum give way."""
    modes = LockMode.SHARE_UPDATE_EXCLUSIVE, LockMode.ACCESS_EXCLUSIVE
    return tuple(Lock(str(table), mode) for mode in modes for table in tables)


def drop(table: QualifiedName, name: str) -> str:
    """Return the statement that removes a helper CHECK if it exists."""
    return f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {quote(name)}"


def removal(tables: Sequence[QualifiedName], names: Iterable[str]) -> Step:
    """Return the step that removes leftover helper CHECKs from tables and their partitions."""
    locks = alone(*tables)
    return Step((take(locks), *(drop(tables[0], name) for name in names)), locks=locks)


def excluding(
    table: Table, column: str, codec: KeyCodec, first: PeriodRange, last: PeriodRange
) -> HelperCheck:
    """Return the CHECK that no row of the default partition lies within the slots."""
    lower, upper = first.literals(codec)[0], last.literals(codec)[1]
    key = quote(column)
    return _check(table, _name("not", first), f"{key} < {lower} OR {key} >= {upper}")


def within(
    table: Table, column: str, codec: KeyCodec, first: PeriodRange, last: PeriodRange
) -> HelperCheck:
    """Return the CHECK that all rows of the default partition lie within the slots."""
    lower, upper = first.literals(codec)[0], last.literals(codec)[1]
    key = quote(column)
    condition = f"{key} IS NOT NULL AND {key} >= {lower} AND {key} < {upper}"
    return _check(table, _name("only", first), condition)


def outside(table: Table, column: str, span: Span) -> HelperCheck:
    """Return the CHECK that no row of the default partition lies within another partition."""
    lower, upper = bound_literals(span.partition.bound or "")
    key = quote(column)
    below = "" if span.lower == PAST else f"{key} < {lower} OR "
    name = f"{PREFIX}not_{stamp(span.upper).replace('-', '_')}"
    return _check(table, name, f"{below}{key} >= {upper}")


def _check(table: Table, name: str, condition: str) -> HelperCheck:
    assert table.default is not None, "it has rows"
    return HelperCheck(table.default, table.properties.owner, name, condition)


def _name(kind: str, slot: PeriodRange) -> str:
    since = stamp(slot.lower) if slot.is_bridge else slot.period.start.isoformat()
    return f"{PREFIX}{kind}_{since.replace('-', '_')}"
