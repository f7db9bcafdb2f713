"""Models of what runs have left in a database, as it was observed, and what becomes of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from maintenance.engine.actions import Action
from maintenance.names import QualifiedName
from maintenance.subjects.bloat.models import Leftover


class Marked(NamedTuple):
    """A table, a materialized view or a foreign key with a mark of ours in its comment.

    Attributes:
        part: the name of the foreign key.
        kind: as `pg_class.relkind`, or `foreign key`.
        is_ours: whether our role has the rights of the owner.
        attached: whether it is a partition.
        has_rows: whether its files have a page.
        is_valid: of a foreign key, whether it is validated.
        drained_owner: of a drain's log, who owns the table that its mark names.
    """

    oid: int
    relation: QualifiedName
    part: str | None
    kind: str
    comment: str
    owner: str
    is_ours: bool
    attached: bool
    has_rows: bool
    size_bytes: int | None
    is_valid: bool | None = None
    drained_owner: str | None = None


class Helper(NamedTuple):
    """Something with a name that is reserved for what runs make for themselves.

    Attributes:
        kind: `check`, `conversion check`, `index`, `relation` or `function`.
        relation: the table that it is on, or itself.
        part: its own name, on a table.
        is_proven: whether the catalog shows more than the name: see `list_helpers`.
        partitions: the tables that a CHECK is on.
    """

    oid: int
    kind: str
    relation: QualifiedName
    part: str | None
    owner: str
    is_ours: bool
    is_proven: bool
    partitions: tuple[QualifiedName, ...]
    size_bytes: int | None

    @property
    def object(self) -> str:
        """Its qualified name: of an index or relation its own, of a CHECK that of its table."""
        if self.kind == "index":
            return str(QualifiedName(self.relation.schema, self.part or ""))
        return str(self.relation)


class PendingDetach(NamedTuple):
    """A partition whose concurrent detach was interrupted.

    Attributes:
        is_of_run: whether the journal has a run that detached it.
    """

    parent: QualifiedName
    relation: QualifiedName
    is_of_run: bool


class UnfinishedIndex(NamedTuple):
    """An index of a partitioned table that a run began, and that lacks the index of a partition."""

    relation: QualifiedName
    table: QualifiedName


class StoreObject(NamedTuple):
    """An object in the store's schema, the schema itself, or one elsewhere that depends on them.

    Attributes:
        kind: `schema`, `table`, `view`, `function`, …; `dependent` for one elsewhere.
        identity: its qualified name, as SQL.
        parent: the table of which it is a partition.
        has_database: whether its rows say of which database they are.
    """

    kind: str
    identity: str
    name: str
    parent: str | None = None
    comment: str | None = None
    owner: str | None = None
    is_ours: bool | None = None
    size_bytes: int | None = None
    has_database: bool = False


class Served(NamedTuple):
    """A database of which the store has runs.

    Attributes:
        n_to_undo: how many runs left something that can be undone.
    """

    database: str
    n_runs: int
    first_at: datetime
    last_at: datetime
    n_to_undo: int


@dataclass(frozen=True, slots=True)
class Remains:
    """What runs have left, as the catalog and the store show it.

    Attributes:
        role: our role.
        rebuilds: invalid indexes that rebuilds or builds of ours left.
        indexes: unfinished indexes of partitioned tables, which a run of ours began.
        pending: partitions whose detach was interrupted.
        store: the objects of the store's schema; empty without one.
        served: the databases of the store.
        store_role: our role there.
        is_store_old: whether the store lacks migrations, so that its history can't be read yet.
    """

    database: str
    role: str
    is_superuser: bool
    marked: Sequence[Marked] = ()
    helpers: Sequence[Helper] = ()
    builds: Sequence[Leftover] = ()
    indexes: Sequence[UnfinishedIndex] = ()
    pending: Sequence[PendingDetach] = ()
    store: Sequence[StoreObject] = ()
    served: Sequence[Served] = ()
    store_role: str = ""
    is_store_old: bool = False

    @property
    def others(self) -> tuple[str, ...]:
        """The other databases that the store serves."""
        return tuple(each.database for each in self.served if each.database != self.database)


@dataclass(frozen=True, slots=True)
class Kept:
    """Something that is not removed, and why.

    Attributes:
        kind: a code: `rows`, `unproven`, `unfinished`, `privilege`, `dependent`, `shared_store`, …
        is_refused: whether it would have to be removed, and can't be as things are.
        statements: what to run by hand, after a look at it.
    """

    object: str
    kind: str
    reason: str
    size_bytes: int | None = None
    statements: tuple[str, ...] = ()
    is_refused: bool = False

    def as_json(self) -> dict[str, Any]:
        """It as JSON."""
        return {
            "object": self.object,
            "kind": self.kind,
            "reason": self.reason,
            "size_bytes": self.size_bytes,
            "statements": list(self.statements),
            "refused": self.is_refused,
        }


@dataclass(frozen=True, slots=True)
class Removal:
    """What is removed, and what is kept.

    Attributes:
        actions: in the maintained database, in their order.
        store: the removal of the store, or of this database's rows in it; None if there is none.
    """

    actions: tuple[Action, ...] = ()
    store: Action | None = None
    kept: tuple[Kept, ...] = field(default=())

    @property
    def is_refused(self) -> bool:
        """Whether something that would have to be removed can't be, as things are."""
        return any(each.is_refused for each in self.kept)


@dataclass(frozen=True, slots=True)
class Outside:
    """Something outside the database that only people can remove, or that is theirs.

    Attributes:
        what: a code: `policy`, `dagster`, `objects`, `archive`, `redis`, `spool`, `role`.
        statements: SQL or commands to run.
    """

    what: str
    text: str
    statements: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """It as JSON."""
        return {"what": self.what, "text": self.text, "statements": list(self.statements)}
