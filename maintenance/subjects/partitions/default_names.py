"""Names of default partitions, and the creation of one if the policy requires it."""

import hashlib
from dataclasses import replace

from maintenance.catalog.models import Partition, Table
from maintenance.ddl.children import attach, attach_locks, build_like, force_row_security
from maintenance.engine.actions import Action, ActionKind, Lock, LockMode, Step
from maintenance.names import MAX_NAME_BYTES, QualifiedName, cut
from maintenance.partition_set.expected import PeriodRange

_SUFFIX = "_default"
_INTERIM_SUFFIX = "_new"
_RELEASED_SUFFIX = "_released"


def default_name(parent: QualifiedName) -> QualifiedName:
    """Return the name of the default partition that we create: `<table>_default`."""
    return QualifiedName(parent.schema, _with_suffix(parent.name, _SUFFIX))


def interim_name(default: QualifiedName) -> QualifiedName:
    """Return the temporary name of a default partition that will replace another."""
    return QualifiedName(default.schema, _with_suffix(default.name, _INTERIM_SUFFIX))


def released_name(table: QualifiedName) -> QualifiedName:
    """Return the name of a table that is about to be replaced under its own name."""
    if table.name == cut(table.name, MAX_NAME_BYTES - len(_RELEASED_SUFFIX)):
        return QualifiedName(table.schema, table.name + _RELEASED_SUFFIX)
    digest = hashlib.sha256(table.name.encode()).hexdigest()[:8]
    return QualifiedName(table.schema, _with_suffix(table.name, f"_{digest}{_RELEASED_SUFFIX}"))


def name_before(parent: QualifiedName, first: PeriodRange) -> QualifiedName:
    """Return the name of a partition for all rows before a period: `<table>_before_<first>`."""
    suffix = f"_before_{first.period.key.replace('-', '_')}"
    return QualifiedName(parent.schema, _with_suffix(parent.name, suffix))


def wide_name(parent: QualifiedName, first: PeriodRange, last: PeriodRange) -> QualifiedName:
    """Return the name of a partition that holds several periods: `<table>_<first>_to_<last>`."""
    keys = (slot.key.replace("-", "_") for slot in (first, last))
    return QualifiedName(parent.schema, _with_suffix(parent.name, f"_{'_to_'.join(keys)}"))


def parent_of_default(table: Table) -> Table:
    """Return a table with the properties that its default partition should have.

    The rows of a default partition decide which partitions can be created. So it never forces row
    security if that would hide its rows from our role.
    """
    if not table.secured:
        return table
    return replace(table, properties=replace(table.properties, force_row_security=False))


def create_default(table: Table, role: str) -> Action:
    """Plan a default partition for a table that has none."""
    default = default_name(table.relation)
    return Action(
        kind=ActionKind.CREATE_DEFAULT,
        object=str(default),
        table=str(table.relation),
        reason="the policy requires a default partition, and the table has none",
        steps=(
            Step(
                prepare=build_like(parent_of_default(table), default, role=role),
                statements=(
                    *attach(table, default, "DEFAULT"),
                    *force_row_security(parent_of_default(table), [default]),
                ),
                locks=tuple(attach_locks(table)),
                owner=table.maker,
            ),
        ),
    )


def exchange_locks(table: Table, partition: Partition) -> tuple[Lock, ...]:
    """Return the locks for detaching a partition and attaching it, or copies, again.

    ATTACH locks the default partition too. An existing foreign key takes the strongest lock on the
    table that it references.
    """
    default = table.default
    others = () if default is None or default.oid == partition.oid else default.names
    tables = (*partition.names, *others)
    # Autovacuum gives way only to a lock request that waits longer than a lock timeout.
    patient = (Lock(str(name), LockMode.SHARE_UPDATE_EXCLUSIVE) for name in tables)
    names = (table.relation, *tables, *sorted(table.foreign_keys))
    return (*patient, *(Lock(str(name), LockMode.ACCESS_EXCLUSIVE) for name in names))


def _with_suffix(name: str, suffix: str) -> str:
    return cut(name, MAX_NAME_BYTES - len(suffix.encode())) + suffix
