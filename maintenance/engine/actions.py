"""Actions: what is to be done, as finished SQL with the locks it takes."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple

from maintenance.formatting import visible_lines


class ActionKind(StrEnum):
    """Every kind of action."""

    CREATE_PARTITION = "create_partition"
    ATTACH_PARTITION = "attach_partition"
    CREATE_DEFAULT = "create_default"
    DRAIN_DEFAULT = "drain_default"
    SWAP_DEFAULT = "swap_default"
    REPAIR_PARTITION = "repair_partition"
    REMOVE_LEFTOVERS = "remove_leftovers"
    FINALIZE_DETACH = "finalize_detach"
    ARCHIVE_PARTITION = "archive_partition"
    DETACH_PARTITION = "detach_partition"
    DROP_PARTITION = "drop_partition"
    RESTORE_PARTITION = "restore_partition"
    ANALYZE_TABLE = "analyze_table"
    VACUUM_TABLE = "vacuum_table"
    INVALIDATE_CACHE = "invalidate_cache"
    RECALCULATE_ROWS = "recalculate_rows"
    CREATE_MATVIEW = "create_matview"
    REFRESH_MATVIEW = "refresh_matview"
    INDEX_MATVIEW = "index_matview"
    REBUILD_MATVIEW = "rebuild_matview"
    REINDEX = "reindex"
    REMOVE_REBUILD = "remove_rebuild"


UNSEEN = frozenset(
    {
        ActionKind.ARCHIVE_PARTITION,
        ActionKind.RECALCULATE_ROWS,
        ActionKind.REFRESH_MATVIEW,
        ActionKind.REBUILD_MATVIEW,
    }
)
"""Kinds whose effect the catalog does not show; their executors prove it themselves."""

RECURRING = frozenset({ActionKind.ANALYZE_TABLE, ActionKind.VACUUM_TABLE})
"""Kinds that the application's work may call for again at once; their executors prove them too."""


BY_STEPS = frozenset(
    {
        ActionKind.CREATE_PARTITION,
        ActionKind.ATTACH_PARTITION,
        ActionKind.CREATE_DEFAULT,
        ActionKind.SWAP_DEFAULT,
        ActionKind.REPAIR_PARTITION,
        ActionKind.REMOVE_LEFTOVERS,
        ActionKind.FINALIZE_DETACH,
        ActionKind.DETACH_PARTITION,
        ActionKind.DROP_PARTITION,
        ActionKind.INDEX_MATVIEW,
        ActionKind.REMOVE_REBUILD,
    }
)
"""Kinds that are nothing but their statements: one without any would change nothing, for ever."""


class LockMode(StrEnum):
    """Table lock modes, in the server's words (PostgreSQL manual, 13.3.1)."""

    SHARE_UPDATE_EXCLUSIVE = "SHARE UPDATE EXCLUSIVE"
    SHARE_ROW_EXCLUSIVE = "SHARE ROW EXCLUSIVE"
    EXCLUSIVE = "EXCLUSIVE"
    ACCESS_EXCLUSIVE = "ACCESS EXCLUSIVE"

    @property
    def blocks_writers(self) -> bool:
        """Whether holding it, or queueing for it, stops INSERT, UPDATE and DELETE."""
        return self is not LockMode.SHARE_UPDATE_EXCLUSIVE

    @property
    def conflicts(self) -> tuple[str, ...]:
        """The held modes that stand in its way, as `pg_locks` names them (table 13.2)."""
        return _HELD_MODES[_HELD_MODES.index(_WEAKEST_CONFLICT[self]) :]


_HELD_MODES = (
    "AccessShareLock",
    "RowShareLock",
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
)
_WEAKEST_CONFLICT = {
    LockMode.SHARE_UPDATE_EXCLUSIVE: "ShareUpdateExclusiveLock",
    LockMode.SHARE_ROW_EXCLUSIVE: "RowExclusiveLock",
    LockMode.EXCLUSIVE: "RowShareLock",
    LockMode.ACCESS_EXCLUSIVE: "AccessShareLock",
}


class Lock(NamedTuple):
    """A lock that a step takes, on a table named as PostgreSQL quotes it."""

    object: str
    mode: LockMode


@dataclass(frozen=True, slots=True)
class Step:
    """One transaction.

    Attributes:
        prepare: statements that block nobody, run first.
        statements: statements under the blocking locks, sent with COMMIT in one message, so
            that a client which dies or freezes can't leave those locks held.
        locks: every lock it takes; those that block no writer are waited for patiently before
            anything else, the others are taken by `statements` within the lock timeout.
        concurrent: the one statement makes its own transactions (`… CONCURRENTLY`), so it is
            sent alone; what an interrupted one leaves behind is its executor's to mend.
        owner: with whose rights its statements run, since they may run code that this role wrote:
            the owner of the table. Those that are `Ours` run as ourselves all the same. None
            where no statement runs code of an owner, or the server itself takes the owner's
            rights for it.
        one_snapshot: it waits for snapshots older than its own, so all tries keep that of the
            first: who comes later is not waited for, or a busy server would never let it through.
    """

    statements: tuple[str, ...]
    prepare: tuple[str, ...] = ()
    locks: tuple[Lock, ...] = ()
    concurrent: bool = False
    one_snapshot: bool = False
    owner: str | None = None

    @property
    def sql(self) -> tuple[str, ...]:
        """All its statements in order."""
        return self.prepare + self.statements

    @property
    def builds_index(self) -> bool:
        """Whether it builds an index concurrently, which waits for every older snapshot."""
        return self.concurrent and self.statements[0].startswith(("CREATE", "REINDEX"))


def identify_action(kind: str, object_: str, sql: Iterable[str]) -> str:
    """Return the id of an action: a hash of what is to be done to what."""
    content = "\0".join((kind, object_, *sql))
    return hashlib.sha256(content.encode(errors="surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True)
class Action:
    """Something to do to one object.

    Attributes:
        object: the qualified name, as PostgreSQL quotes it, of what is made or changed.
        table: the table that a policy names and that this serves.
        period: key of the period it is about, such as `2026-12`.
        reason: why, with found and wanted.
        after: ids of actions that must be done before.
        preconditions: what was observed and must still be so, JSON-ready: OIDs, bounds, …
        branches: further relations that it locks one by one, such as the partitions of a parent
            that ANALYZE goes on to.
        refused: why it must not be done; such an action was asked for and is only reported.
    """

    kind: ActionKind
    object: str
    steps: tuple[Step, ...]
    reason: str
    table: str | None = None
    period: str | None = None
    destructive: bool = False
    after: tuple[str, ...] = ()
    preconditions: Mapping[str, Any] = field(default_factory=dict[str, Any])
    refused: str | None = None
    branches: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Escape control characters that names bring into the sentence; `object` has them as is."""
        object.__setattr__(self, "reason", visible_lines(self.reason))

    @cached_property
    def id(self) -> str:
        """A hash that stays the same as long as the same is to be done to the same object."""
        return identify_action(self.kind, self.object, self.sql)

    @property
    def sql(self) -> tuple[str, ...]:
        """Every statement, in order."""
        return tuple(statement for step in self.steps for statement in step.sql)

    @property
    def owner(self) -> str | None:
        """With whose rights its statements run, where not with ours alone."""
        return next((step.owner for step in self.steps if step.owner is not None), None)

    @property
    def is_void(self) -> bool:
        """Whether it would change nothing, and is not asked for by hand either."""
        return self.kind in BY_STEPS and self.refused is None and not self.sql

    @property
    def locks(self) -> tuple[Lock, ...]:
        """Every lock taken, each once, in the order of taking."""
        return tuple(dict.fromkeys(lock for step in self.steps for lock in step.locks))

    @cached_property
    def relations(self) -> frozenset[str]:
        """The names of all relations that it locks against others of our actions."""
        return frozenset((*(lock.object for lock in self.locks), *self.branches))

    @cached_property
    def builds_index(self) -> bool:
        """Whether one of its steps builds an index concurrently."""
        return any(step.builds_index for step in self.steps)

    def as_json(self) -> dict[str, Any]:
        """The action as the command line prints it."""
        return {
            "id": self.id,
            "kind": self.kind.value,
            "object": self.object,
            "table": self.table,
            "period": self.period,
            "sql": list(self.sql),
            "as": self.owner,
            "locks": [{"object": lock.object, "mode": lock.mode.value} for lock in self.locks],
            "reason": self.reason,
            "destructive": self.destructive,
            "after": list(self.after),
            "preconditions": dict(self.preconditions),
        }
