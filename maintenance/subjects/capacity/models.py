"""Models of a database's limits and of what is in use of them: frozen, free of sessions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from maintenance.engine.findings import Reading
from maintenance.names import QualifiedName, quote

INTEGER_TYPES = {2: "smallint", 4: "integer", 8: "bigint"}
"""The integer types by their size in bytes."""

IN_DATA = ". The statements are in its data: run plan --json, or see the asset in Dagster"
"""The end of a message with statements."""


def largest_of(n_bytes: int) -> int:
    """Return the largest value of an integer type; the smallest is -1 less than its negative."""
    return 2 ** (8 * n_bytes - 1) - 1


def column_name(table: QualifiedName, column: str) -> str:
    """Return a column as PostgreSQL quotes it, behind its table."""
    return f"{table}.{quote(column)}"


def alter_type(table: QualifiedName, column: str, wanted: str = "bigint") -> str:
    """Return the statement that changes the type of a column."""
    return f"ALTER TABLE {table} ALTER COLUMN {quote(column)} TYPE {wanted}"


class Cliff(StrEnum):
    """A limit behind which statements fail."""

    INTEGER_KEY = "integer_key"
    INTEGER_REFERENCE = "integer_reference"
    SEQUENCE = "sequence"
    TOAST_VALUES = "toast_values"
    MULTIXACT_MEMBERS = "multixact_members"
    LOCK_TABLE = "lock_table"
    SLOT_WAL = "slot_wal"
    CONNECTIONS = "connections"
    CONNECTION_LIMITS = "connection_limits"
    TRANSACTION_IDS = "transaction_ids"
    """Only a rate: how many ids the server has assigned."""
    MULTIXACT_IDS = "multixact_ids"
    """Only a rate, too."""


class SequenceUse(NamedTuple):
    """A sequence.

    Attributes:
        type_bytes: the size of its own type.
        least: its MINVALUE.
        most: its MAXVALUE.
        is_readable: whether this role may read it.
        is_read: whether its last value is known; it is not while the sequence is locked.
        last_value: None if it was never used.
    """

    oid: int
    relation: QualifiedName
    type_bytes: int
    increment: int
    least: int
    most: int
    start: int
    cycles: bool
    is_readable: bool
    is_read: bool = False
    last_value: int | None = None


class FilledColumn(NamedTuple):
    """A column that takes the values of a sequence; `n_bytes` is None unless it is an integer."""

    sequence: int
    table_oid: int
    table: QualifiedName
    attnum: int
    column: str
    n_bytes: int | None

    @property
    def key(self) -> tuple[int, int]:
        """The table's OID and the number of the column."""
        return self.table_oid, self.attnum


class Reference(NamedTuple):
    """A smallint or integer column of a foreign key, and the column that it points to."""

    table: QualifiedName
    column: str
    n_bytes: int
    target_oid: int
    target_attnum: int
    target_bytes: int
    target: QualifiedName
    target_column: str
    table_oid: int = 0
    attnum: int = 0

    @property
    def key(self) -> tuple[int, int]:
        """The table's OID and the number of the column."""
        return self.table_oid, self.attnum

    @property
    def object(self) -> str:
        """The column's quoted name."""
        return column_name(self.table, self.column)

    @property
    def target_key(self) -> tuple[int, int]:
        """The OID of the table that it points to, and the number of the column there."""
        return self.target_oid, self.target_attnum


class SampledKey(NamedTuple):
    """A unique integer column without a sequence, and the range of its sampled values."""

    table_oid: int
    attnum: int
    table: QualifiedName
    column: str
    n_bytes: int
    correlation: float
    least: int
    most: int

    @property
    def key(self) -> tuple[int, int]:
        """The table's OID and the number of the column."""
        return self.table_oid, self.attnum


class Age(NamedTuple):
    """The age of the oldest ids in a table.

    Attributes:
        is_toast: whether they are in its TOAST table.
        is_temporary: whether it is a temporary table, which only its session can vacuum.
        n_tables: how many tables are as old as was asked for, or older.
    """

    table: QualifiedName
    is_toast: bool
    is_temporary: bool
    xid_age: int
    multixact_age: int
    size_bytes: int
    n_tables: int


class Limits(NamedTuple):
    """Settings of the server and their use.

    Attributes:
        n_reserved: connections that applications can't use.
        n_promised: the sum of the CONNECTION LIMITs of roles that may log in, or of all databases
            if that is more.
        locks_each: max_locks_per_transaction.
        next_xid: the next transaction id, with its epoch.
        may_list_files: whether this role may list the files of the server.
        member_files: the files of multixact members; None if unknown.
        members_end: whether the number of members has a limit.
    """

    max_connections: int
    n_reserved: int
    n_connections: int
    n_promised: int
    max_prepared: int
    locks_each: int
    next_xid: int
    next_multixact: int
    oldest_multixact_age: int
    may_list_files: bool
    autovacuum: bool
    freeze_max_age: int
    member_files: int | None = None
    members_end: bool = True

    @property
    def n_usable(self) -> int:
        """Connections that applications can use."""
        return max(self.max_connections - self.n_reserved, 1)

    @property
    def n_locks(self) -> int:
        """Locks that the server has room for, as the manual counts them."""
        return self.locks_each * (self.max_connections + self.max_prepared)


class Toast(NamedTuple):
    """A TOAST table with many chunks; numbers of rows are -1 if unknown."""

    table: QualifiedName
    oid: int
    n_chunks: float
    n_rows: float
    n_columns: int


class Tree(NamedTuple):
    """A partitioned table with the number of all partitions and indexes below it."""

    table: QualifiedName
    n_partitions: int
    n_indexes: int

    @property
    def n_relations(self) -> int:
        """The relations that a statement on all partitions locks."""
        return 1 + self.n_partitions + self.n_indexes


class Slot(NamedTuple):
    """A replication slot and the WAL that it holds; `keep_bytes` is None without a limit."""

    name: str
    is_active: bool
    state: str | None
    held_bytes: int
    keep_bytes: int | None


class Collation(NamedTuple):
    """A collation whose version has changed; of the database's default the schema is None.

    Attributes:
        indexes: the largest ones that are sorted by it, quoted.
        tables: those partitioned by RANGE of such a value, quoted.
    """

    schema: str | None
    name: str
    recorded: str
    actual: str
    indexes: tuple[str, ...]
    n_indexes: int
    tables: tuple[str, ...]


class Extension(NamedTuple):
    """An extension in another version than the one that the server offers."""

    name: str
    installed: str
    available: str
    has_script: bool


class Constraint(NamedTuple):
    """A constraint that was never validated."""

    table: QualifiedName
    name: str
    what: str
    size_bytes: int


class ConversionCheck(NamedTuple):
    """A CHECK of an unfinished conversion.

    Attributes:
        refuses_from: rows of this day and later are refused; None if its name does not tell.
    """

    table: QualifiedName
    name: str
    refuses_from: date | None


class Vacuumed(NamedTuple):
    """A table that autovacuum leaves out, or one of many rows.

    Attributes:
        root: the table that it is a partition of; itself if it is none.
        is_off: whether autovacuum leaves it out.
        is_toast: whether only its TOAST table is left out.
        n_rows: as last counted; -1 if never, so it was never vacuumed.
        size_bytes: with its TOAST table; None if unknown, because another session locks it.
        threshold: dead rows from which autovacuum vacuums it.
        scale: the share of the rows in that threshold.
        n_written: rows written since counters were reset.
        vacuumed_at: the last VACUUM, by hand or by autovacuum; None if none since then.
        counted_since: when counters were reset; None if unknown.
    """

    table: QualifiedName
    root: QualifiedName
    is_off: bool
    is_toast: bool
    n_rows: float
    size_bytes: int | None
    threshold: float
    scale: float
    n_dead: int
    n_written: int
    vacuumed_at: datetime | None
    counted_since: datetime | None


class Level(NamedTuple):
    """How much of one limit is in use.

    Attributes:
        object: the finding's object.
        used: in the unit of the limit.
        ceiling: the limit.
        facts: further data of the finding.
        statements: to run, as far as they are known here.
    """

    cliff: Cliff
    object: str
    used: float
    ceiling: float
    facts: Mapping[str, Any] = MappingProxyType({})
    statements: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """The share in use: 0 to 1, and more if the limit does not hold."""
        return self.used / self.ceiling if self.ceiling > 0 else 1.0


Points = Sequence[tuple[datetime, float]]
"""Earlier values, oldest first."""


class Setting(NamedTuple):
    """A setting of the server as new sessions of the database have it.

    Attributes:
        value: in units of `unit`.
        unit: such as `ms` or `8kB`; None without one.
        vartype: bool, integer, real, enum or string.
        context: when it can be changed: internal, postmaster, sighup, superuser, user, …
        is_pending: whether another value waits for a restart.
        is_of_role: whether the value is that of this role alone.
    """

    name: str
    value: str
    unit: str | None
    vartype: str
    context: str
    is_pending: bool = False
    is_of_role: bool = False


class Settings(NamedTuple):
    """The settings that the policy has a value for.

    Attributes:
        found: by name in lower case.
        sees_all: whether this role may see all settings.
        database: the name of the database, quoted.
    """

    found: Mapping[str, Setting]
    sees_all: bool
    database: str


@dataclass(frozen=True, slots=True)
class CapacityObservation:
    """The observation of one database and its server.

    Attributes:
        dependents: what uses a column, such as `view public.v`, by the OID of the table and the
            number of the column; its type can't be changed while they exist.
        limits: None if they could not be read.
        free_bytes: on the server's disk; None if not visible from here.
        blind: failed observations, with the reason.
        past: earlier values, by cliff and object.
        pool_peaks: of each day the largest share of connections in use, oldest first.
        role: the session's role, quoted.
        settings: None if the policy has none, or they could not be read.
    """

    sequences: tuple[SequenceUse, ...] = ()
    columns: tuple[FilledColumn, ...] = ()
    references: tuple[Reference, ...] = ()
    dependents: Mapping[tuple[int, int], Sequence[str]] = field(
        default_factory=dict[tuple[int, int], "Sequence[str]"]
    )
    sampled_keys: tuple[SampledKey, ...] = ()
    ages: tuple[Age, ...] = ()
    limits: Limits | None = None
    toast: tuple[Toast, ...] = ()
    widest: Tree | None = None
    slots: tuple[Slot, ...] = ()
    collations: tuple[Collation, ...] = ()
    extensions: tuple[Extension, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    conversion_checks: tuple[ConversionCheck, ...] = ()
    vacuumed: tuple[Vacuumed, ...] = ()
    free_bytes: int | None = None
    blind: Mapping[Reading, str] = field(default_factory=dict[Reading, str])
    past: Mapping[tuple[str, str], Points] = field(default_factory=dict[tuple[str, str], "Points"])
    pool_peaks: Points = ()
    role: str = ""
    settings: Settings | None = None
