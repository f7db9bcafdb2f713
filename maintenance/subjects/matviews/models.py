"""What planning a refresh looks at: frozen, free of sessions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from maintenance.names import QualifiedName
from maintenance.store.refresh import Refresh

Counters = tuple[int, ...]
"""A relation's file node, and its rows inserted, updated and deleted since counting began."""


class Node(NamedTuple):
    """A relation or a function that a view reads."""

    kind: str
    oid: int


@dataclass(frozen=True, slots=True)
class Function:
    """A function that a view calls.

    Attributes:
        name: with its arguments, as the server writes it.
        volatility: `i`, `s` or `v`.
        kind: `f` function, `a` aggregate, `w` window function.
        version: changes with its definition.
        body: the tree of an SQL-standard body; None where there is none.
        defaults: the trees of its arguments' defaults, which calls leave to the planner.
        extension: that it belongs to.
        parts: the functions of an aggregate.
        parsed: the types of an aggregate's states that begin with a text.
        is_constructor: whether it is the server's own for ranges of a type.
    """

    oid: int
    name: str
    volatility: str
    language: str
    kind: str
    version: str
    body: str | None = None
    defaults: str | None = None
    extension: str | None = None
    parts: tuple[int, ...] = ()
    parsed: tuple[int, ...] = ()
    is_constructor: bool = False

    @property
    def tree(self) -> str | None:
        """Everything of it that can be looked into."""
        return " ".join(filter(None, (self.body, self.defaults))) or None


@dataclass(frozen=True, slots=True)
class Type:
    """A type that values on the way have, or a part of one.

    Attributes:
        kind: pg_type.typtype.
        shape: changes with its definition, its labels, attributes and constraints.
        input: the function that reads it from text.
        output: the function that writes it as text.
        functions: others that its values go through, such as a range's canonical one.
        has_own_class: whether a btree or hash operator class was made for it.
    """

    oid: int
    name: str
    kind: str
    shape: str
    is_array: bool = False
    input: int = 0
    output: int = 0
    functions: tuple[int, ...] = ()
    extension: str | None = None
    has_own_class: bool = False


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation that a view reads.

    Attributes:
        kind: pg_class.relkind.
        shape: changes with its definition, its columns and their types.
        types: of its columns.
        rule: the tree of its query, for views; of its virtual columns, for tables.
    """

    oid: int
    name: QualifiedName
    kind: str
    counters: Counters
    shape: str
    row_security: bool = False
    is_heap: bool = True
    types: tuple[int, ...] = ()
    rule: str | None = field(default=None, repr=False)

    @property
    def holds_rows(self) -> bool:
        """Whether rows are stored in it, and not only below or behind it."""
        return self.kind in ("r", "m")


@dataclass(frozen=True, slots=True)
class Session:
    """A session of the database that is not ours.

    Attributes:
        is_visible: False where we lack the right to see what it does.
        open_since: since when a transaction or statement of it may run; None while it is idle.
        changed_at: since when it is in the state in which it is.
        is_streaming: whether it sends decoded changes since `open_since`, and does nothing else.
    """

    pid: int
    is_visible: bool
    open_since: datetime | None
    changed_at: datetime | None
    is_streaming: bool = False


@dataclass(frozen=True, slots=True)
class Moment:
    """When counters were read, and who may hold writes that they lack."""

    read_at: datetime
    sessions: tuple[Session, ...] = ()


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a view's content follows from.

    Attributes:
        leaves: counters of the relations that hold the rows, by OID.
        shape: a digest of definitions, columns and types on the way.
        epoch: what must be the same for counters to be comparable.
        upstream: the newest refresh that changed each other view of ours which it reads.
        settings: those that are configured otherwise than the server comes with.
        unprovable: why equal fingerprints would prove nothing; empty where they do.
    """

    leaves: Mapping[str, Counters]
    shape: str
    epoch: tuple[str | None, ...]
    upstream: Mapping[str, int]
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    unprovable: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """What the ledger keeps of it."""
        return {
            "leaves": {oid: list(counters) for oid, counters in self.leaves.items()},
            "shape": self.shape,
            "epoch": list(self.epoch),
            "upstream": dict(self.upstream),
            "settings": dict(self.settings),
        }


@dataclass(frozen=True, slots=True)
class Ownership:
    """Whom a view belongs to, or is to belong to, and who may read it.

    Attributes:
        owner: the role that it is to have; None where none was found.
        grants: pairs of a role and a right; the role is None for all.
        lacking: those of `grants` that a view which exists lacks.
        refused: why no view can be made so; None where it can.
    """

    owner: str | None = None
    grants: tuple[tuple[str | None, str], ...] = ()
    lacking: tuple[tuple[str | None, str], ...] = ()
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class IndexObstacle:
    """Why a view can't have its unique index.

    Attributes:
        text: in words, after `has no unique index on (…): `.
        data: what there is to know, such as the values that are there more than once.
        n_duplicates: how many values are there more than once.
    """

    text: str
    data: Mapping[str, object] = field(default_factory=dict[str, object])
    n_duplicates: int | None = None


@dataclass(frozen=True, slots=True)
class Matview:
    """One view of the policy as it is in the database.

    Attributes:
        kind: pg_class.relkind: `m`, unless something else bears the name.
        n_rows: the server's estimate; negative where it has none.
        lends: whether its owner may make temporary tables, as a concurrent refresh does.
        unique_keys: the columns of each index that a concurrent refresh can use.
        state: file node and counters of its own.
        reads: views of the policy that it reads, directly or through plain views and functions.
        baseline: its newest refresh on record.
        failure: its last refresh, where that failed.
        columns: their names.
        obstacle: why its declared unique index can't be made.
    """

    name: QualifiedName
    oid: int
    kind: str = "m"
    is_populated: bool = True
    n_rows: float = -1
    owner: str = ""
    is_owner: bool = True
    may_refresh: bool = True
    lends: bool = True
    unique_keys: tuple[tuple[str, ...], ...] = ()
    state: Counters = ()
    fingerprint: Fingerprint | None = None
    reads: frozenset[QualifiedName] = frozenset()
    baseline: Refresh | None = None
    failure: Refresh | None = None
    columns: tuple[str, ...] = ()
    obstacle: IndexObstacle | None = None


@dataclass(frozen=True, slots=True)
class Definition:
    """What a view's file means to the server.

    Attributes:
        differs: how the view differs from it; None where it does not.
        refused: why the server refuses it; None where it takes it.
        identity: of file and view together; as long as it stays, so does the answer.
    """

    differs: str | None = None
    refused: str | None = None
    identity: str = ""


@dataclass(frozen=True, slots=True)
class MatviewsObservation:
    """One look at all views of a policy.

    Attributes:
        views: those whose name is borne by something.
        queries: of the views with a file.
        written: the views of the policy that those queries name.
        definitions: what the files mean to the server, as far as it could be asked.
        labels: names of relations, by OID, for reasons.
        near: for names that nothing bears, those that come near.
        ownership: of views to be made, and of those that belong to this role.
        role: this software's own.
        superusers: the roles that are one.
        database: its own name.
    """

    views: Mapping[QualifiedName, Matview]
    moment: Moment
    queries: Mapping[QualifiedName, str] = field(default_factory=dict[QualifiedName, str])
    written: Mapping[QualifiedName, frozenset[QualifiedName]] = field(
        default_factory=dict[QualifiedName, frozenset[QualifiedName]]
    )
    definitions: Mapping[QualifiedName, Definition] = field(
        default_factory=dict[QualifiedName, Definition]
    )
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    near: Mapping[QualifiedName, tuple[str, ...]] = field(
        default_factory=dict[QualifiedName, tuple[str, ...]]
    )
    ownership: Mapping[QualifiedName, Ownership] = field(
        default_factory=dict[QualifiedName, Ownership]
    )
    role: str = ""
    superusers: frozenset[str] = frozenset()
    database: str = ""


FLUSH_LAG = timedelta(seconds=71)
"""How long a session that idles may keep its counts to itself.

It delivers them 10 s after its last commit, unless another session is at the same counter just
then; it insists after a minute. One more second is for the measure.
Source: PostgreSQL sources, pgstat.c: PGSTAT_IDLE_INTERVAL, PGSTAT_MAX_INTERVAL.
"""
