"""Models of materialized views and their sources: frozen, free of sessions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from maintenance.names import QualifiedName
from maintenance.server.grants import Grants
from maintenance.store.refresh import Refresh

Counters = tuple[int, ...]
"""A relation's filenode, and its rows inserted, updated and deleted since the counters began."""


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
        extension: the extension it belongs to.
        parts: the functions of an aggregate.
        parsed: the state types of an aggregate with a text as initial value.
        is_constructor: whether it is the built-in constructor of a range type.
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
        """Its parse trees: body and argument defaults."""
        return " ".join(filter(None, (self.body, self.defaults))) or None


@dataclass(frozen=True, slots=True)
class Type:
    """A type of values in a view's sources, or a part of such a type.

    Attributes:
        kind: pg_type.typtype.
        shape: changes with its definition, its labels, attributes and constraints.
        input: the function that reads it from text.
        output: the function that writes it as text.
        functions: other functions applied to its values, such as a range's canonical function.
        has_own_class: whether it has its own btree or hash operator class.
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
        rule: the parse tree of its query, for views; of its virtual columns, for tables.
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
        """Whether it stores rows itself."""
        return self.kind in ("r", "m")


@dataclass(frozen=True, slots=True)
class Session:
    """Another session of the database.

    Attributes:
        is_visible: False if its activity is not visible to this role.
        open_since: the start of its transaction or statement; None while it is idle.
        changed_at: the start of its current state.
        is_streaming: whether it has only sent decoded changes since `open_since`.
        user: its role; None if it has none, like a background process.
        xact_start: the start of its transaction; None outside one.
    """

    pid: int
    is_visible: bool
    open_since: datetime | None
    changed_at: datetime | None
    is_streaming: bool = False
    user: str | None = None
    application: str | None = None
    xact_start: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the session as an explanation names it."""
        return {
            "pid": self.pid,
            "user": self.user,
            "application": self.application,
            "xact_start": self.xact_start.isoformat() if self.xact_start else None,
        }

    def __str__(self) -> str:
        """The session as a message names it."""
        who = ", ".join(filter(None, (self.user, self.application)))
        return f"session pid {self.pid}" + (f" ({who})" if who else "")


@dataclass(frozen=True, slots=True)
class Moment:
    """The moment counters were read, and the sessions that may have uncounted writes."""

    read_at: datetime
    sessions: tuple[Session, ...] = ()


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The facts that determine a view's content.

    Attributes:
        leaves: counters of the relations that store the rows, by OID.
        shape: a digest of the definitions, columns and types of its sources.
        epoch: values that must be equal for counters to be comparable.
        upstream: for each other view of the policy it reads, the newest refresh that changed it.
        settings: those that differ from the server's defaults.
        unprovable: why equal fingerprints prove nothing; empty if they do.
    """

    leaves: Mapping[str, Counters]
    shape: str
    epoch: tuple[str | None, ...]
    upstream: Mapping[str, int]
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    unprovable: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """Return the fingerprint as stored in the ledger."""
        return {
            "leaves": {oid: list(counters) for oid, counters in self.leaves.items()},
            "shape": self.shape,
            "epoch": list(self.epoch),
            "upstream": dict(self.upstream),
            "settings": dict(self.settings),
        }


@dataclass(frozen=True, slots=True)
class Ownership:
    """The owner and the privileges that a view should have.

    Attributes:
        owner: the wanted owner; None if none was found.
        grants: pairs of a role and a privilege; a role of None means PUBLIC.
        lacking: those of `grants` that an existing view lacks.
        refused: why a view can't be created like this; None if it can.
        unknown_roles: roles that the policy names for it and that do not exist.
    """

    owner: str | None = None
    grants: tuple[tuple[str | None, str], ...] = ()
    lacking: tuple[tuple[str | None, str], ...] = ()
    refused: str | None = None
    unknown_roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IndexObstacle:
    """The reason why a view can't have its unique index.

    Attributes:
        text: the reason, as the end of a message.
        data: details, such as the duplicate values.
        n_duplicates: the number of duplicate values.
    """

    text: str
    data: Mapping[str, object] = field(default_factory=dict[str, object])
    n_duplicates: int | None = None


@dataclass(frozen=True, slots=True)
class Matview:
    """One view of the policy as observed in the database.

    Attributes:
        kind: pg_class.relkind: `m`, unless another kind of relation has the name.
        n_rows: the server's estimate; negative if it has none.
        lends: whether its owner may create temporary tables, as a concurrent refresh does.
        unique_keys: the columns of each index that a concurrent refresh can use.
        state: its own filenode and counters.
        reads: views of the policy that it reads, directly or through plain views and functions.
        baseline: its newest recorded refresh.
        failure: its last refresh, if that failed.
        columns: their names.
        obstacle: why its declared unique index can't be built.
        unknown: relations named in its `depends_on` that do not exist.
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
    unknown: tuple[QualifiedName, ...] = ()


@dataclass(frozen=True, slots=True)
class Definition:
    """The result of comparing a view with its SQL file.

    Attributes:
        differs: how the view differs from the file; None if it does not.
        refused: why the server refuses the file; None if it accepts it.
        identity: a key of file and view; the result is valid while it is unchanged.
    """

    differs: str | None = None
    refused: str | None = None
    identity: str = ""


@dataclass(frozen=True, slots=True)
class MatviewsObservation:
    """One observation of all views of a policy.

    Attributes:
        views: those whose name exists.
        queries: of the views with a file.
        written: the views of the policy that those queries name.
        definitions: comparisons with the files, where the server could be asked.
        labels: names of relations, by OID, for messages.
        near: for names that do not exist, similar names.
        ownership: of views to create, and of those owned by this role.
        rights: the role of the session, and what may be granted to it.
        known_since: when the first run with this policy began; None before it.
        uncreatable: views that do not exist, since the last attempt to create them failed.
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
    rights: Grants = field(default_factory=Grants)
    known_since: datetime | None = None
    uncreatable: frozenset[QualifiedName] = frozenset()


FLUSH_LAG = timedelta(seconds=71)
"""How long an idle session may hold counts that it has not reported.

It reports them 10 s after its last commit, unless another session is updating the same counter;
after a minute it waits for that session. One second is added as a margin.
Source: PostgreSQL sources, pgstat.c: PGSTAT_IDLE_INTERVAL, PGSTAT_MAX_INTERVAL.
"""
