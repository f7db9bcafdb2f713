"""Actions: finished SQL with the locks that it takes."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple

from maintenance.formatting import visible_lines


class ActionKind(StrEnum):
    """Every kind of action."""

    CONVERT_TABLE = "convert_table"
    CREATE_PARTITION = "create_partition"
    ATTACH_PARTITION = "attach_partition"
    CREATE_DEFAULT = "create_default"
    DRAIN_DEFAULT = "drain_default"
    SWAP_DEFAULT = "swap_default"
    SPLIT_PARTITION = "split_partition"
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
    CREATE_INDEX = "create_index"
    DROP_INDEX = "drop_index"
    REPLACE_INDEX = "replace_index"
    DROP_INVALID_INDEX = "drop_invalid_index"
    ADD_CONSTRAINT = "add_constraint"
    VALIDATE_CONSTRAINT = "validate_constraint"
    ADD_COLUMN = "add_column"
    REINDEX = "reindex"
    REMOVE_REBUILD = "remove_rebuild"
    UNDO = "undo"
    UNINSTALL = "uninstall"


UNSEEN = frozenset(
    {
        ActionKind.ARCHIVE_PARTITION,
        ActionKind.RECALCULATE_ROWS,
        ActionKind.REFRESH_MATVIEW,
        ActionKind.REBUILD_MATVIEW,
    }
)
"""Kinds whose effect is not visible in the catalog; their executors verify it."""

RECURRING = frozenset({ActionKind.ANALYZE_TABLE, ActionKind.VACUUM_TABLE})
"""Kinds that can be due again at once; their executors verify the effect."""


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
        ActionKind.CREATE_INDEX,
        ActionKind.DROP_INDEX,
        ActionKind.REPLACE_INDEX,
        ActionKind.DROP_INVALID_INDEX,
        ActionKind.ADD_CONSTRAINT,
        ActionKind.VALIDATE_CONSTRAINT,
        ActionKind.ADD_COLUMN,
        ActionKind.REMOVE_REBUILD,
    }
)
"""Kinds that consist only of statements: without statements they would change nothing."""


class HeldBy(StrEnum):
    """Why an action is planned and not executed."""

    REPORT_MODE = "report_mode"
    UNAPPROVED = "retention_unapproved"
    PAUSED = "paused"
    DROPS_NOT_ALLOWED = "drops_not_allowed"
    REWRITES_NOT_ALLOWED = "rewrites_not_allowed"
    NO_ROLLOUT = "no_rollout"
    WAVE_NOT_DUE = "wave_not_due"
    WAVE_NOT_CHOSEN = "wave_not_chosen"
    UNDONE = "undone"
    OUTSIDE_WINDOW = "outside_window"
    BACKUP_UNCONFIRMED = "backup_unconfirmed"


class Hold(NamedTuple):
    """The reason why an action is planned and not executed, as a code and in words."""

    by: HeldBy
    text: str


class LockMode(StrEnum):
    """Table lock modes as the server names them (PostgreSQL manual, 13.3.1)."""

    SHARE_UPDATE_EXCLUSIVE = "SHARE UPDATE EXCLUSIVE"
    SHARE = "SHARE"
    SHARE_ROW_EXCLUSIVE = "SHARE ROW EXCLUSIVE"
    EXCLUSIVE = "EXCLUSIVE"
    ACCESS_EXCLUSIVE = "ACCESS EXCLUSIVE"

    @property
    def blocks_writers(self) -> bool:
        """Whether holding or queueing for it blocks INSERT, UPDATE and DELETE."""
        return self is not LockMode.SHARE_UPDATE_EXCLUSIVE

    @property
    def conflicts(self) -> tuple[str, ...]:
        """The conflicting held modes, as `pg_locks` names them (table 13.2)."""
        modes = _HELD_MODES[_HELD_MODES.index(_WEAKEST_CONFLICT[self]) :]
        # the one mode here that does not conflict with itself
        return tuple(m for m in modes if m != "ShareLock") if self is LockMode.SHARE else modes


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
    LockMode.SHARE: "RowExclusiveLock",
    LockMode.SHARE_UPDATE_EXCLUSIVE: "ShareUpdateExclusiveLock",
    LockMode.SHARE_ROW_EXCLUSIVE: "RowExclusiveLock",
    LockMode.EXCLUSIVE: "RowShareLock",
    LockMode.ACCESS_EXCLUSIVE: "AccessShareLock",
}


class Lock(NamedTuple):
    """A lock that a step takes, on a table quoted as in PostgreSQL."""

    object: str
    mode: LockMode


@dataclass(frozen=True, slots=True)
class Step:
    """One transaction.

    Attributes:
        prepare: statements that block nothing, run first.
        statements: statements under the blocking locks, sent with COMMIT in one message, so
            that a client that dies or freezes can't keep those locks.
        locks: all locks it takes. Those that do not block writers are waited for patiently
            first; `statements` take the others within the lock timeout.
        concurrent: the one statement makes its own transactions (`… CONCURRENTLY`), so it is
            sent alone; its executor cleans up after an interruption.
        owner: the role with whose rights the statements run: the owner of the table, since they
            may run code that this role wrote. Statements of type `Ours` run as our own role. None
            if no statement runs an owner's code, or the server switches to the owner's rights
            itself.
        one_snapshot: it waits for snapshots older than its own, so all attempts keep the first
            one's snapshot; with a new snapshot each time a busy server would never let it finish.
        makes: the index that it builds, by its qualified name, quoted.
        removes: of a step that undoes: the relation that it removes, which is kept if it is not
            the one that the run made.
        when: of a step that undoes: a condition on the catalog, as SQL, without which there is
            nothing for it to do.
        kept_if: of a step that undoes: an SQL expression for why its action is not undone at all,
            as text; null if it can be.
        copies: of a step that undoes: relations of which it or a later step writes a copy, so
            that as much disk must be free.
        is_long: whether its statements read or rewrite all rows, and so take as long as they need
            once they have the locks. Those locks are waited for within the timeouts all the same.
    """

    statements: tuple[str, ...]
    prepare: tuple[str, ...] = ()
    locks: tuple[Lock, ...] = ()
    concurrent: bool = False
    one_snapshot: bool = False
    owner: str | None = None
    makes: str | None = None
    removes: str | None = None
    when: str | None = None
    kept_if: str | None = None
    copies: tuple[str, ...] = ()
    is_long: bool = False

    @property
    def sql(self) -> tuple[str, ...]:
        """All its statements in order."""
        return self.prepare + self.statements

    @property
    def builds_index(self) -> bool:
        """Whether it builds an index concurrently, which waits for every older snapshot."""
        return self.concurrent and self.statements[0].startswith(("CREATE", "REINDEX"))

    @property
    def drops_index(self) -> bool:
        """Whether it drops an index concurrently, which waits for every query of its table."""
        return self.concurrent and self.statements[0].startswith("DROP INDEX")


def identify_action(kind: str, object_: str, sql: Iterable[str]) -> str:
    """Return the id of an action: a hash of kind, object and SQL."""
    content = "\0".join((kind, object_, *sql))
    return hashlib.sha256(content.encode(errors="surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True)
class Action:
    """A change of one object.

    Attributes:
        object: qualified name of the object, quoted as in PostgreSQL.
        table: the table of the policy that it serves.
        period: key of its period, such as `2026-12`.
        reason: why it is planned, with the actual and the expected state.
        after: ids of actions that must be done before.
        preconditions: observed facts that must still hold, JSON-ready: OIDs, bounds, …
        branches: further relations that it locks one by one, such as the partitions of a table
            that ANALYZE also processes.
        refused: why it must not be executed; such a requested action is only reported.
        held: why it is not executed now, by mode, approval or pause; see `engine.gate`.
        detail: facts for people, JSON-ready, such as estimated rows and bytes. They decide nothing.
        undo: the steps that restore what it changed, in their order; kept in the journal.
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
    held: Hold | None = None
    detail: Mapping[str, Any] = field(default_factory=dict[str, Any])
    undo: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        """Escape control characters from names in the reason; `object` keeps them."""
        object.__setattr__(self, "reason", visible_lines(self.reason))

    @cached_property
    def id(self) -> str:
        """A hash of kind, object and SQL; it stays the same from run to run.

        What is refused has no SQL: several periods of a table are told apart by their keys.
        """
        told_by = self.sql if self.refused is None else (self.period or "",)
        return identify_action(self.kind, self.object, told_by)

    @cached_property
    def goal(self) -> str:
        """A hash of what it is to bring about; it stays the same when objects get other OIDs."""
        if self.kind is ActionKind.DROP_INDEX:
            return identify_action(self.kind, self.object, ())
        wanted = [self.preconditions.get(fact) for fact in ("definition", "new")]
        known = [str(each) for each in wanted if each is not None]
        return identify_action(self.kind, self.object, known or self.sql)

    @cached_property
    def sql(self) -> tuple[str, ...]:
        """Every statement, in order."""
        return tuple(statement for step in self.steps for statement in step.sql)

    @property
    def owner(self) -> str | None:
        """The role with whose rights its statements run; None for our own role."""
        return next((step.owner for step in self.steps if step.owner is not None), None)

    @property
    def is_void(self) -> bool:
        """Whether it would change nothing and was not requested by hand."""
        return self.kind in BY_STEPS and self.refused is None and not self.sql

    @property
    def locks(self) -> tuple[Lock, ...]:
        """Every lock taken, each once, in order."""
        return tuple(dict.fromkeys(lock for step in self.steps for lock in step.locks))

    @cached_property
    def relations(self) -> frozenset[str]:
        """The names of all relations that it locks against our other actions."""
        return frozenset((*(lock.object for lock in self.locks), *self.branches))

    @cached_property
    def builds_index(self) -> bool:
        """Whether one of its steps builds an index concurrently."""
        return any(step.builds_index for step in self.steps)

    def as_json(self) -> dict[str, Any]:
        """The action as JSON for the command line."""
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
            "detail": dict(self.detail),
            "held_by": self.held.by.value if self.held is not None else None,
        }
