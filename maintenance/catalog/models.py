"""What was observed. Frozen, free of the database, cheap to make by the ten thousand."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any, NamedTuple

from maintenance.catalog.history import History
from maintenance.catalog.trees import DEFAULT_BOUND, Tree, single
from maintenance.names import QualifiedName
from maintenance.server.capabilities import major_of

MAX_CLOCK_SKEW_S = 60.0
"""Clocks further apart are a finding, and nothing expires by them."""


@dataclass(frozen=True, slots=True)
class Server:
    """One server as one session met it.

    Attributes:
        version: as libpq reports it, 180004 for 18.4.
        database: the database's own name, which a policy's name need not equal.
        role: who we are there.
        clock_skew_s: seconds by which the server's clock is ahead of ours.
        monitors: whether we see what all sessions do, and all settings.
        superusers: the roles that are one.
    """

    version: int
    database: str
    role: str
    is_superuser: bool
    in_recovery: bool
    encoding: str
    clock_skew_s: float
    monitors: bool = True
    superusers: frozenset[str] = frozenset()

    @property
    def major(self) -> int:
        """The major version, such as 18."""
        return major_of(self.version)

    @property
    def has_clock_skew(self) -> bool:
        """Whether the server's clock and ours are too far apart to count periods by."""
        return abs(self.clock_skew_s) > MAX_CLOCK_SKEW_S

    @property
    def version_text(self) -> str:
        """The version as people write it, such as 18.4."""
        return f"{self.major}.{self.version % 10000}"


class Column(NamedTuple):
    """A column and its type as `format_type` names it, without length or precision."""

    name: str
    type: str


class Grant(NamedTuple):
    """One privilege on a table, or on one of its columns. Grantee None is PUBLIC."""

    grantee: str | None
    privilege: str
    grantable: bool
    column: str | None = None


class ColumnSetting(NamedTuple):
    """What ANALYZE is told of a column: key `statistics` (its target) or `n_distinct`."""

    column: str
    key: str
    value: str


class Partition(NamedTuple):
    """One child of a partitioned parent.

    `bound` is the text of `pg_get_expr` in a session whose TimeZone is UTC, or None where
    somebody's ACCESS EXCLUSIVE lock kept us from reading it. `pages` (8 kB blocks) and `rows`
    are the catalog's estimates; rows is -1 before the first ANALYZE or VACUUM. Of one that is
    partitioned itself they are the sums of what is below it, which `tree` tells.
    """

    oid: int
    relation: QualifiedName
    kind: str
    detach_pending: bool
    pages: int
    rows: float
    bound: str | None
    tree: Tree | None = None

    @property
    def is_default(self) -> bool:
        """Whether this is the parent's DEFAULT partition."""
        return self.bound == DEFAULT_BOUND

    @property
    def whole(self) -> Tree:
        """All its tables; one that is not partitioned itself is a tree of a single table."""
        return self.tree or single(self.relation, self.oid, self.kind)

    @property
    def names(self) -> tuple[QualifiedName, ...]:
        """The names of all its tables, its own first."""
        return tuple(branch.relation for branch in self.whole.branches)


@dataclass(frozen=True, slots=True)
class MarkedTable:
    """A table whose comment bears a mark of ours, see `ddl.marks`."""

    oid: int
    relation: QualifiedName
    comment: str
    attached: bool
    pages: int
    owner: str
    tree: Tree | None = None


class UnattachedTable(NamedTuple):
    """A table beside a partitioned one that has its columns and is no partition of any."""

    parent: QualifiedName
    oid: int
    relation: QualifiedName
    comment: str | None
    pages: int


@dataclass(frozen=True, slots=True)
class Properties:
    """What a new partition must get from its parent beyond its columns.

    Attributes:
        replica_identity: `d` default, `n` nothing, `f` full, `i` index.
        owner_lacks: privileges an owner has by default and this one was revoked.
        default_grantees: roles that ALTER DEFAULT PRIVILEGES would give rights on a table
            that we create; None is PUBLIC.
        targets: statistics targets of its columns, as far as they are not the server's default.
        access_method: of its storage; None for a partitioned table that names none.
    """

    owner: str
    replica_identity: str = "d"
    row_security: bool = False
    force_row_security: bool = False
    tablespace: str | None = None
    grants: tuple[Grant, ...] = ()
    owner_lacks: tuple[str, ...] = ()
    default_grantees: tuple[str | None, ...] = ()
    targets: tuple[ColumnSetting, ...] = ()
    access_method: str | None = None


@dataclass(frozen=True, slots=True)
class Shared:
    """What all partitions of a table have in common, and a new one must get to be like them.

    Attributes:
        settings: of columns.
        options: storage options, such as `fillfactor=70` or `toast.autovacuum_enabled=off`.
        access_method: None where they differ.
        comment: the words about them, if all bear the same.
    """

    settings: tuple[ColumnSetting, ...] = ()
    options: tuple[str, ...] = ()
    access_method: str | None = None
    comment: str | None = None


class Obstacle(Enum):
    """What keeps us from the rows of a table."""

    ROW_SECURITY = "row_security"
    PRIVILEGE = "privilege"
    FOREIGN = "foreign"
    ERROR = "error"


class Unseen(NamedTuple):
    """A default partition whose rows can't be told.

    Attributes:
        detail: the error's text, or the foreign table; else empty.
        is_empty: whether there are none all the same, since its files are empty.
    """

    obstacle: Obstacle
    detail: str = ""
    is_empty: bool = False


class OwnerCode(NamedTuple):
    """Code of some role that reading a relation runs, or what is below it.

    Attributes:
        owner: of the relation, with whose rights it is read.
        safe: whether it can be: the owner may do no more than whoever wrote the code, or is it.
        what: for messages, such as `code of app in app.events`.
    """

    owner: str
    safe: bool
    what: str


class PropertyDifference(NamedTuple):
    """A partition, or an index of the parent, and in words what it has otherwise than others.

    `warns` where somebody should do something about it; `reasons` are short codes for it, where
    there are any, and `statements` put it right where some do.
    """

    relation: QualifiedName
    what: str
    warns: bool = False
    reasons: tuple[str, ...] = ()
    statements: tuple[str, ...] = ()


class OwnObject(NamedTuple):
    """Something that a partition has and its parent does not give it, or that the parent has.

    Attributes:
        kind: such as `index`, `constraint`, `check`, `foreign key`, `trigger`, `rule`, `policy`,
            `publication`, `default`, `not null`, `statistics`; `table` says that it was read.
        name: its own, or that of the column.
        parts: the pieces of its definition without its name and that of the table.
        state: what else counts, such as whether a trigger is enabled; of a `check` the columns.
        obstacle: in words, why we could not make another one, if so.
        referenced: of a foreign key, the table that it points to.
    """

    kind: str
    name: str
    parts: tuple[Any, ...]
    state: str | None = None
    obstacle: str | None = None
    referenced: QualifiedName | None = None


class Child(NamedTuple):
    """A partition with the properties that it shares with its parent, or should."""

    relation: QualifiedName
    properties: Properties
    oid: int = 0


class Buckets(NamedTuple):
    """A detail: how many rows of a table's default partition lie between which bounds.

    Attributes:
        relation: the partitioned table.
        bounds: values of its key as SQL text, ascending.
    """

    relation: QualifiedName
    bounds: tuple[str, ...]


class Common(NamedTuple):
    """A detail: what all partitions of a table have in common, for the next one."""

    relation: QualifiedName


class Own(NamedTuple):
    """A detail: what partitions of a table have that it does not give them.

    Attributes:
        relation: the partitioned table.
        sampled: a few partitions, the only ones looked at where none of them has anything.
        described: those whose objects are read otherwise.
        drifted: OIDs of tables whose objects are read along with theirs.
        needed: whether they are read in any case.
    """

    relation: QualifiedName
    sampled: tuple[Partition, ...] = ()
    described: tuple[Partition, ...] = ()
    drifted: tuple[int, ...] = ()
    needed: bool = False


class Place(NamedTuple):
    """A detail: whether partitions owned by a role may be made in a schema."""

    schema: str
    owner: str


class SchemaRights(NamedTuple):
    """What is known of a schema where partitions are to be made.

    Attributes:
        exists: whether there is one of that name.
        creatable: whether we and the owner may create tables in it.
        default_grantees: roles that ALTER DEFAULT PRIVILEGES would give rights on a table that
            we create there; None is PUBLIC.
    """

    exists: bool
    creatable: bool
    default_grantees: tuple[str | None, ...] = ()


Detail = QualifiedName | Buckets | Common | Own | Place
"""What is read only of tables that need it; a name, to learn whether it is taken."""


class Bucket(NamedTuple):
    """Rows of a default partition that lie between two neighbouring bounds.

    Attributes:
        place: the number of bounds that are not above these rows: 0 is below all of them;
            None holds the rows whose key is null.
        first: their least key as text; None where the key is null.
        last: their greatest.
    """

    place: int | None
    n_rows: int
    first: str | None
    last: str | None


@dataclass(frozen=True, slots=True)
class DefaultRows:
    """What a default partition holds.

    Attributes:
        is_exact: False where counting took too long, and the numbers come from a sample: a
            bucket that is not in it may hold a few rows all the same.
        buckets: those with rows, in the order of their place; nulls last.
    """

    is_exact: bool
    buckets: tuple[Bucket, ...]

    @property
    def n_rows(self) -> int:
        """All of them together."""
        return sum(bucket.n_rows for bucket in self.buckets)


@dataclass(frozen=True)
class Table:
    """A relation that a policy names.

    Attributes:
        kind: pg_class.relkind: `r` table, `p` partitioned table, `m` materialized view, …
        key_strategy: `r` RANGE, `l` LIST, `h` HASH; None unless partitioned.
        key_columns: the partition key; None stands for an expression.
        manageable: whether we have the rights of the owner.
        secured: whether its row security, being forced, applies to us too.
        lends: whether the owner may make the temporary function by which its rights are taken.
        owner_creates: whether the owner may create tables in its schema.
        creatable: whether the owner may, or we who are superuser.
        foreign_keys: tables it points to or that point to it.
        referenced_by: those of them that point to it.
        partitions: direct children, in no order.
        shared: what they have in common beyond what the table itself has.
        oddities: what partitions have otherwise than their siblings, only to be reported.
        drifted: partitions whose properties may differ from the table's, at most a few hundred.
        default_has_rows: None without a default partition, or where that can't be told.
        default_unseen: why its rows can't be looked at, if so.
        default_rows: what it holds, where it has rows and a planner asked.
        default_checks: names of CHECKs on it that are ours, left by a run that was killed.
        code: what reading its rows runs; None where that is the server's own and ours.
        objects: by OID, what its partitions have of their own, and it itself, as far as a planner
            asked and any has something.
    """

    oid: int
    relation: QualifiedName
    kind: str
    columns: tuple[Column, ...]
    properties: Properties
    key_strategy: str | None = None
    key_columns: tuple[str | None, ...] = ()
    manageable: bool = True
    secured: bool = False
    lends: bool = True
    owner_creates: bool = True
    creatable: bool = True
    foreign_keys: tuple[QualifiedName, ...] = ()
    referenced_by: tuple[QualifiedName, ...] = ()
    partitions: tuple[Partition, ...] = ()
    shared: Shared = Shared()
    drifted: tuple[Child, ...] = ()
    differences: tuple[PropertyDifference, ...] = ()
    default_has_rows: bool | None = None
    default_unseen: Unseen | None = None
    default_rows: DefaultRows | None = None
    default_checks: tuple[str, ...] = ()
    code: OwnerCode | None = None
    objects: Mapping[int, tuple[OwnObject, ...]] = field(
        default_factory=dict[int, tuple[OwnObject, ...]]
    )

    @property
    def maker(self) -> str | None:
        """With whose rights partitions are made; None where a superuser makes them as itself.

        A superuser does so where the owner can't, and no code but the server's is run by it.
        """
        return None if not self.owner_creates and self.code is None else self.properties.owner

    @property
    def is_partitioned(self) -> bool:
        """Whether it is a partitioned parent."""
        return self.kind == "p"

    @property
    def policies(self) -> tuple[OwnObject, ...]:
        """Its policies of row security, as far as they were asked for."""
        return tuple(each for each in self.objects.get(self.oid, ()) if each.kind == "policy")

    @cached_property
    def default(self) -> Partition | None:
        """The DEFAULT partition, if one is attached."""
        return next((p for p in self.partitions if p.is_default), None)

    def column(self, name: str) -> Column | None:
        """Find a column by its exact name."""
        return next((c for c in self.columns if c.name == name), None)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One look at one database.

    Attributes:
        tables: those of the asked-for relations that exist.
        missing: the others, each with the names that come near it.
        blind: relations behind somebody's ACCESS EXCLUSIVE lock, with the reason.
        failed: relations that could not be looked at, with the error; some are in no other field.
        marked: tables with a mark of ours in the schemas of the asked-for relations.
        unattached: tables like their partitions that are none.
        taken: for names that planners asked about, the kind of what bears them already.
        places: what is known of schemas that planners asked about.
        history: what the store knows of them; nothing without a store.
    """

    server: Server
    tables: Mapping[QualifiedName, Table] = field(default_factory=dict[QualifiedName, Table])
    missing: Mapping[QualifiedName, tuple[str, ...]] = field(
        default_factory=dict[QualifiedName, tuple[str, ...]]
    )
    blind: Mapping[QualifiedName, str] = field(default_factory=dict[QualifiedName, str])
    failed: Mapping[QualifiedName, str] = field(default_factory=dict[QualifiedName, str])
    marked: tuple[MarkedTable, ...] = ()
    unattached: tuple[UnattachedTable, ...] = ()
    taken: Mapping[QualifiedName, str] = field(default_factory=dict[QualifiedName, str])
    places: Mapping[Place, SchemaRights] = field(default_factory=dict[Place, SchemaRights])
    history: History = field(default_factory=History)
