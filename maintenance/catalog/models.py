"""Models of the observed catalog: frozen, free of sessions, cheap to create by the thousands."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any, NamedTuple

from maintenance.catalog.history import History
from maintenance.catalog.trees import DEFAULT_BOUND, Tree, single
from maintenance.names import QualifiedName
from maintenance.server.capabilities import major_of
from maintenance.server.grants import Grants

MAX_CLOCK_SKEW_S = 60.0
"""Clocks further apart are a finding, and nothing expires by them."""


@dataclass(frozen=True, slots=True)
class Server:
    """One server, as observed by one session.

    Attributes:
        version: as libpq reports it, 180004 for 18.4.
        database: the name of the database, which may differ from the policy's name.
        role: the role of the session.
        clock_skew_s: seconds by which the server's clock is ahead of ours.
        monitors: whether the activity of all sessions and all settings are visible.
        superusers: all superuser roles.
        administrators: other roles that administer roles, and members of privileged ones.
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
    administrators: frozenset[str] = frozenset()

    @property
    def grants(self) -> Grants:
        """What may be granted to the role of the session."""
        return Grants(self.role, self.database, self.superusers, self.administrators)

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
        """The version as text, such as 18.4."""
        return f"{self.major}.{self.version % 10000}"


class Column(NamedTuple):
    """A column and its type from `format_type`, without length or precision."""

    name: str
    type: str


class Grant(NamedTuple):
    """One privilege on a table, or on one of its columns. Grantee None is PUBLIC."""

    grantee: str | None
    privilege: str
    grantable: bool
    column: str | None = None


class ColumnSetting(NamedTuple):
    """A setting of a column for ANALYZE: key `statistics` (its target) or `n_distinct`."""

    column: str
    key: str
    value: str


class Partition(NamedTuple):
    """One child of a partitioned parent.

    `bound` is the text of `pg_get_expr` in a session whose TimeZone is UTC, or None if the
    table was locked in ACCESS EXCLUSIVE mode. `pages` (8 kB blocks) and `rows` are the
    catalog's estimates; rows is -1 before the first ANALYZE or VACUUM. For a subpartitioned
    partition they are sums over the tables in `tree`.
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
        """All its tables as a tree; a single table if it is not subpartitioned."""
        return self.tree or single(self.relation, self.oid, self.kind)

    @property
    def names(self) -> tuple[QualifiedName, ...]:
        """The names of all its tables, beginning with its own."""
        return tuple(branch.relation for branch in self.whole.branches)


@dataclass(frozen=True, slots=True)
class MarkedTable:
    """A table with a mark of ours in its comment, see `ddl.marks`."""

    oid: int
    relation: QualifiedName
    comment: str
    attached: bool
    pages: int
    owner: str
    tree: Tree | None = None

    @property
    def names(self) -> tuple[QualifiedName, ...]:
        """The names of all its tables, beginning with its own."""
        if self.tree is None:
            return (self.relation,)
        return tuple(branch.relation for branch in self.tree.branches)


class UnattachedTable(NamedTuple):
    """A table with the columns of a partitioned table that is not a partition."""

    parent: QualifiedName
    oid: int
    relation: QualifiedName
    comment: str | None
    pages: int


@dataclass(frozen=True, slots=True)
class Properties:
    """Properties, besides columns, that a new partition must copy from its parent.

    Attributes:
        replica_identity: `d` default, `n` nothing, `f` full, `i` index.
        owner_lacks: default privileges of an owner that were revoked from this one.
        default_grantees: roles that get privileges on a table we create by ALTER DEFAULT
            PRIVILEGES; None is PUBLIC.
        targets: statistics targets of its columns that are not the server's default.
        access_method: the table access method; None for a partitioned table without one.
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
    """Properties that all partitions of a table share, and that a new one must get.

    Attributes:
        settings: of columns.
        options: storage options, such as `fillfactor=70` or `toast.autovacuum_enabled=off`.
        access_method: None if they differ.
        comment: their comment, if all have the same.
    """

    settings: tuple[ColumnSetting, ...] = ()
    options: tuple[str, ...] = ()
    access_method: str | None = None
    comment: str | None = None


class Obstacle(Enum):
    """Why the rows of a table can't be read."""

    ROW_SECURITY = "row_security"
    PRIVILEGE = "privilege"
    FOREIGN = "foreign"
    ERROR = "error"


class Unseen(NamedTuple):
    """The reason why it is unknown whether a default partition has rows.

    Attributes:
        detail: the error's text, or the foreign table; else empty.
        is_empty: whether it is known to have none, because its files are empty.
    """

    obstacle: Obstacle
    detail: str = ""
    is_empty: bool = False


class OwnerCode(NamedTuple):
    """Code of a role that runs when a relation or its partitions are read.

    Attributes:
        owner: of the relation; it is read with this role's rights.
        safe: whether that is safe: the owner has no more rights than the code's author.
        what: for messages, such as `code of app in app.events`.
    """

    owner: str
    safe: bool
    what: str


class PropertyDifference(NamedTuple):
    """A partition, or an index of the parent, and its difference from the others as text.

    `warns` if it requires an action; `reasons` are short codes, if any, and `statements` correct
    the difference, if possible.
    """

    relation: QualifiedName
    what: str
    warns: bool = False
    reasons: tuple[str, ...] = ()
    statements: tuple[str, ...] = ()


class OwnObject(NamedTuple):
    """An object of a partition that is not inherited from its parent, or an object of the parent.

    Attributes:
        kind: such as `index`, `constraint`, `check`, `foreign key`, `trigger`, `rule`, `policy`,
            `publication`, `default`, `not null`, `statistics`; `table` marks a table that was read.
        name: its own, or that of the column.
        parts: the parts of its definition without its name and that of the table.
        state: other relevant state, such as whether a trigger is enabled; of a `check` the columns.
        obstacle: why another one can't be created, as text, if so.
        referenced: of a foreign key, the referenced table.
    """

    kind: str
    name: str
    parts: tuple[Any, ...]
    state: str | None = None
    obstacle: str | None = None
    referenced: QualifiedName | None = None


class Child(NamedTuple):
    """A partition with the properties that it should share with its parent."""

    relation: QualifiedName
    properties: Properties
    oid: int = 0


class Buckets(NamedTuple):
    """A detail to fetch: the rows of a default partition between given bounds.

    Attributes:
        relation: the partitioned table.
        bounds: values of its key as SQL text, ascending.
    """

    relation: QualifiedName
    bounds: tuple[str, ...]


class Common(NamedTuple):
    """A detail to fetch: the shared properties of a table's partitions, for the next one."""

    relation: QualifiedName


class Own(NamedTuple):
    """A detail to fetch: the objects of partitions that are not inherited from the table.

    Attributes:
        relation: the partitioned table.
        sampled: a few partitions; if none of them has any object, no other is read.
        described: those whose objects are read if a sampled one has any.
        drifted: OIDs of tables whose objects are also read.
        needed: whether they are read in any case.
    """

    relation: QualifiedName
    sampled: tuple[Partition, ...] = ()
    described: tuple[Partition, ...] = ()
    drifted: tuple[int, ...] = ()
    needed: bool = False


class Place(NamedTuple):
    """A detail to fetch: whether a role may own new partitions in a schema."""

    schema: str
    owner: str


class SchemaRights(NamedTuple):
    """The rights in a schema where partitions are to be created.

    Attributes:
        exists: whether the schema exists.
        creatable: whether this role and the owner may create tables in it.
        default_grantees: roles that get privileges on a table we create there by ALTER DEFAULT
            PRIVILEGES; None is PUBLIC.
    """

    exists: bool
    creatable: bool
    default_grantees: tuple[str | None, ...] = ()


Detail = QualifiedName | Buckets | Common | Own | Place
"""Details that are read only for tables that need them; a name, to check if it is taken."""


class Bucket(NamedTuple):
    """Rows of a default partition between two adjacent bounds.

    Attributes:
        place: the number of bounds that are not above these rows: 0 is below all of them;
            None for the rows whose key is null.
        first: their smallest key as text; None if the key is null.
        last: their largest key.
    """

    place: int | None
    n_rows: int
    first: str | None
    last: str | None


@dataclass(frozen=True, slots=True)
class DefaultRows:
    """The rows of a default partition.

    Attributes:
        is_exact: False if counting exceeded the time cap and the numbers come from a sample: a
            bucket that is not in it may still have a few rows.
        buckets: those with rows, in the order of their place; nulls last.
    """

    is_exact: bool
    buckets: tuple[Bucket, ...]

    @property
    def n_rows(self) -> int:
        """The total number of rows."""
        return sum(bucket.n_rows for bucket in self.buckets)


@dataclass(frozen=True)
class Table:
    """A relation named in a policy.

    Attributes:
        kind: pg_class.relkind: `r` table, `p` partitioned table, `m` materialized view, …
        key_strategy: `r` RANGE, `l` LIST, `h` HASH; None unless partitioned.
        key_columns: the partition key; None stands for an expression.
        manageable: whether this role has the rights of the owner.
        secured: whether its row-level security is forced and applies to this role too.
        lends: whether the owner may create the temporary function that runs with its rights.
        owner_creates: whether the owner may create tables in its schema.
        creatable: whether the owner may, or this role is a superuser.
        foreign_keys: tables it references or that reference it.
        referenced_by: those of them that reference it.
        partitions: direct children, in no order.
        shared: properties that all of them share and the table does not have.
        differences: those between partitions and their siblings, only to be reported.
        drifted: partitions whose properties may differ from the table's, at most a few hundred.
        default_has_rows: None without a default partition, or if unknown.
        default_unseen: why its rows can't be read, if so.
        default_rows: its rows, if it has any and a planner requested them.
        default_checks: names of CHECKs on it created by a run of ours that was killed.
        code: the code of other roles that reading its rows runs, if any.
        objects: by OID, the own objects of its partitions and of the table itself, if a planner
            requested them and there are any.
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
        """The role whose rights create partitions; None if a superuser creates them as itself.

        A superuser does so if the owner can't, and if that runs no code of other roles.
        """
        return None if not self.owner_creates and self.code is None else self.properties.owner

    @property
    def is_partitioned(self) -> bool:
        """Whether it is a partitioned parent."""
        return self.kind == "p"

    @property
    def policies(self) -> tuple[OwnObject, ...]:
        """Its row-level security policies, if they were requested."""
        return tuple(each for each in self.objects.get(self.oid, ()) if each.kind == "policy")

    @cached_property
    def default(self) -> Partition | None:
        """The attached DEFAULT partition, if any."""
        return next((p for p in self.partitions if p.is_default), None)

    def column(self, name: str) -> Column | None:
        """Find a column by its exact name."""
        return next((c for c in self.columns if c.name == name), None)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One observation of one database.

    Attributes:
        tables: those of the requested relations that exist.
        missing: the others, each with similar names.
        blind: relations locked in ACCESS EXCLUSIVE mode, with the reason.
        failed: relations that could not be read, with the error; some are in no other field.
        marked: tables with a mark of ours in the schemas of the requested relations.
        unattached: tables similar to their partitions that are not attached.
        taken: for names that planners requested, the kind of the existing relation.
        places: rights in schemas that planners requested.
        history: their history from the store; empty without a store.
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
