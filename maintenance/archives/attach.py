"""Attaches a restored table without a scan while the parent is locked.

What ATTACH would verify under its locks is verified before, without blocking other sessions: a
CHECK for the bounds, validated foreign keys, and a CHECK that the default partition has no row of
the range.
Source: PostgreSQL manual, ALTER TABLE … ATTACH PARTITION.
"""

import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from maintenance.archives.manifest import Column
from maintenance.catalog.models import Table
from maintenance.ddl.children import attach, attach_locks
from maintenance.ddl.lock_statements import take
from maintenance.engine.actions import Lock, LockMode, Step
from maintenance.engine.lock_retry import LockRetry, Progress
from maintenance.errors import ArchiveError, MaintenanceError
from maintenance.names import QualifiedName, quote
from maintenance.server.owner_rights import OwnerSession
from maintenance.server.session import Connection, fetch

BOUNDS_CHECK = "maintenance_restored_bounds"
AWAY_CHECK = "maintenance_restoring_away"
"""The CHECK on the default partition during a restore."""

_BOUND = re.compile(r"FOR VALUES FROM \(('[^']*'|\d+|MINVALUE)\) TO \(('[^']*'|\d+|MAXVALUE)\)\Z")


class _Range(NamedTuple):
    """A bound as conditions on its column; None for an open end."""

    column: str
    lower: str | None
    upper: str | None

    @property
    def inside(self) -> str:
        parts = [f"{self.column} IS NOT NULL"]
        if self.lower is not None:
            parts.append(f"{self.column} >= {self.lower}")
        if self.upper is not None:
            parts.append(f"{self.column} < {self.upper}")
        return " AND ".join(parts)

    @property
    def outside(self) -> str:
        parts = [f"{self.column} IS NULL"]
        if self.lower is not None:
            parts.append(f"{self.column} < {self.lower}")
        if self.upper is not None:
            parts.append(f"{self.column} >= {self.upper}")
        return " OR ".join(parts)


def attach_restored(
    connection: Connection,
    lock_retry: LockRetry,
    parent: Table,
    child: QualifiedName,
    bound: str,
    finish: Sequence[str],
    progress: Progress,
    owner: OwnerSession | None = None,
) -> None:
    """Attach a loaded table with its bound.

    Args:
        connection: not in a transaction.
        lock_retry: the limits of lock waits.
        parent: as observed.
        child: the loaded table, not used by other sessions.
        bound: as in its manifest.
        finish: statements run together with the attachment.
        progress: receives the locks that are waited for.
        owner: its session, if ATTACH evaluates code of the parent's owner to compare indexes.

    Raises:
        ArchiveError: the bound is not a range of one column.
        MaintenanceError: rows violate a foreign key now, the default partition holds rows of
            the range, another partition overlaps it, or a lock was not acquired.
    """
    range_ = _read_range(parent, bound)
    lock_retry.run(connection, _check_bounds(child, range_), progress)
    keys = list(_build_keys(connection, lock_retry, parent, child, progress))
    with _default_kept_away(connection, lock_retry, parent, range_, progress) as undo:
        locks = (*_others(attach_locks(parent), keys), *keys)
        statements = (
            take(locks),
            *_attach(parent, child, bound, owner),
            f"ALTER TABLE {child} DROP CONSTRAINT {BOUNDS_CHECK}",
            *undo,
            *finish,
        )
        session = owner.connection if owner is not None else connection
        lock_retry.run(session, Step(statements=statements, locks=locks), progress)


def _attach(
    parent: Table, child: QualifiedName, bound: str, owner: OwnerSession | None
) -> Iterator[str]:
    statement, *more = attach(parent, child, bound)
    yield from (statement,) if owner is None else owner.guard(statement)
    yield from more


def _others(locks: Iterable[Lock], keys: Sequence[Lock]) -> Iterator[Lock]:
    """Yield the locks of tables for which no foreign key needs a stronger one."""
    stronger = {lock.object for lock in keys}
    return (lock for lock in locks if lock.object not in stronger)


def _read_range(parent: Table, bound: str) -> _Range:
    match = _BOUND.match(bound)
    column = parent.key_columns[0] if len(parent.key_columns) == 1 else None
    if match is None or column is None:
        raise ArchiveError(
            f"{parent.relation}: bound {bound!r} is not a range of one column",
            hint="restore it as a separate table (--as)",
        )
    lower, upper = (None if text.endswith("VALUE") else text for text in match.groups())
    return _Range(quote(column), lower, upper)


def _check_bounds(child: QualifiedName, range_: _Range) -> Step:
    statement = f"ALTER TABLE {child} ADD CONSTRAINT {BOUNDS_CHECK} CHECK ({range_.inside})"
    return Step(statements=(statement,))


def _build_keys(
    connection: Connection,
    lock_retry: LockRetry,
    parent: Table,
    child: QualifiedName,
    progress: Progress,
) -> Iterator[Lock]:
    """Add the parent's foreign keys to the child, validated; yield the locks of ATTACH."""
    rows = fetch(connection, "archives", "list_foreign_keys", {"relation": str(parent.relation)})
    for key in rows:
        if key.definition.endswith(("NOT VALID", "NOT ENFORCED")):
            continue  # ATTACH does not validate it
        referenced = str(QualifiedName(key.schema, key.referenced))
        name = quote(key.name)
        add = f"ALTER TABLE {child} ADD CONSTRAINT {name} {key.definition} NOT VALID"
        lock = Lock(referenced, LockMode.SHARE_ROW_EXCLUSIVE)
        lock_retry.run(connection, Step(statements=(add,), locks=(lock,)), progress)
        validate = f"ALTER TABLE {child} VALIDATE CONSTRAINT {name}"
        lock_retry.run(connection, Step(statements=(validate,)), progress)
        yield Lock(referenced, LockMode.ACCESS_EXCLUSIVE)


@contextmanager
def _default_kept_away(
    connection: Connection, lock_retry: LockRetry, parent: Table, range_: _Range, progress: Progress
) -> Generator[tuple[str, ...]]:
    """Ensure during a block that the default partition has no row of the range.

    A CHECK refuses such rows meanwhile; a restored period is in the past, so none are expected.

    Yields:
        The statements that drop the CHECK together with the attachment.
    """
    if parent.default is None:
        yield ()
        return
    default = parent.default.relation
    alone = (Lock(str(default), LockMode.ACCESS_EXCLUSIVE),)
    drop = f"ALTER TABLE {default} DROP CONSTRAINT IF EXISTS {AWAY_CHECK}"
    add = f"ALTER TABLE {default} ADD CONSTRAINT {AWAY_CHECK} CHECK ({range_.outside}) NOT VALID"
    validate = f"ALTER TABLE {default} VALIDATE CONSTRAINT {AWAY_CHECK}"
    shared = (Lock(str(default), LockMode.SHARE_UPDATE_EXCLUSIVE),)
    lock_retry.run(connection, Step(statements=(drop, add), locks=alone), progress)
    try:
        lock_retry.run(connection, Step(statements=(validate,), locks=shared), progress)
        yield (drop,)
    except BaseException:
        with suppress(MaintenanceError):  # the first error is reported
            lock_retry.run(connection, Step(statements=(drop,), locks=alone), progress)
        raise


class Difference(NamedTuple):
    """A column difference that prevents a restore into a table: a short code, and in words."""

    column: str
    reason: str
    text: str


def added_columns(
    archived: Sequence[Column], present: Sequence[Column], table: QualifiedName
) -> tuple[str, ...]:
    """Return the columns added to the table since the archive; restored rows get their defaults.

    Raises:
        ArchiveError: anything else differs; the message lists every difference.
    """
    found = list(differences(archived, present))
    if found:
        listed = "; ".join(each.text for each in found)
        raise ArchiveError(
            f"{table}: its columns differ from those of the archive: {listed}",
            hint="restore it as a separate table (--as), and copy the rows you need from there",
            reason="columns_differ",
        )
    known = {column.name for column in archived}
    return tuple(column.name for column in present if column.name not in known)


def differences(archived: Sequence[Column], present: Sequence[Column]) -> Iterator[Difference]:
    """Yield the differences that prevent a restore into a table, one per column."""
    by_name = {column.name: column for column in present}
    for column in archived:
        now = by_name.pop(column.name, None)
        if now is None:
            text = f"{quote(column.name)} {column.type} is missing"
            yield Difference(column.name, "missing", text)
        elif now.type != column.type:
            text = f"{quote(column.name)} was {column.type} and is {now.type}"
            yield Difference(column.name, "other_type", text)
        elif (now.generated is None) != (column.generated is None):
            text = f"{quote(column.name)} was {_nature(column)} and is {_nature(now)}"
            yield Difference(column.name, "generated", text)
    for column in by_name.values():
        if column.not_null and column.default is None and column.generated is None:
            text = f"{quote(column.name)} {column.type} was added as NOT NULL without a default"
            yield Difference(column.name, "no_default", text)


def _nature(column: Column) -> str:
    return "an ordinary column" if column.generated is None else "generated"
