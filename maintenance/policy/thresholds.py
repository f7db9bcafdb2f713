"""What the owner wants of statistics, indexes, bloat and the workload."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from maintenance.names import QualifiedName
from maintenance.policy.base import Section, as_written, refused
from maintenance.policy.paths import SqlFile, SqlFolder
from maintenance.policy.quantities import Count, Duration, Share, Size, number, whole
from maintenance.policy.values import TableName

Connections = Annotated[int, whole(1, 32)]


class StatisticsPolicy(Section):
    """When a table is analyzed."""

    changed_rows: Count = 50
    """Rows changed since the last ANALYZE, at least."""
    changed_fraction: Share = 0.1
    """And this share of the table, at least."""
    dead_rows: Count = 1000
    """Dead rows, at least, before a table is vacuumed."""
    dead_fraction: Share = 0.2
    """And this share of the table, at least."""
    freeze_fraction: Share = 0.8
    """Share of `autovacuum_freeze_max_age` from which a table is frozen, in quiet hours."""
    time_budget: Duration = as_written("30 minutes")
    """What does not fit is a finding."""


class ParallelPolicy(Section):
    """Connections at work side by side."""

    matviews: Connections = 2
    """Views that refresh at a time."""
    statistics: Connections = 2
    """Tables that are analyzed at a time."""
    archives: Connections = 1
    """Periods that are archived at a time."""


class UnusedIndexes(Section):
    """When an index counts as unused."""

    window: Duration = as_written("35 days")
    """How long it must have been watched."""
    min_size: Size = as_written("1 MB")
    """Smaller ones are left alone."""
    max_scans: Count = 0
    """Scans in the window, at most."""


class LowCardinality(Section):
    """When an index has too few distinct values to help."""

    max_distinct: Count = 101
    """Distinct values, at most."""
    min_rows: Count = 10_000
    """Smaller tables are left alone."""
    except_: Annotated[tuple[TableName, ...], Field(strict=False)] = Field(
        default=(), alias="except"
    )
    """Indexes that are meant so."""


class IndexPreflight(Section):
    """What must be so before an index is built."""

    max_transaction_age: Duration = as_written("5 minutes")
    """An older transaction would hold up the build."""
    free_disk: Size = as_written("5 GB")
    """What must be left on the server's disk."""


class IndexesPolicy(Section):
    """Indexes that should exist, and advice on those that do."""

    declared: SqlFile | None = None
    """CREATE INDEX statements."""
    allow_drop: bool = False
    """Drops and replaces need this and a declaration."""
    queries: SqlFolder | None = None
    """One query a file, for proof before and after."""
    unused: UnusedIndexes = UnusedIndexes()
    """When an index counts as unused."""
    low_cardinality: LowCardinality = LowCardinality()
    """When an index has too few distinct values to help."""
    preflight: IndexPreflight = IndexPreflight()
    """What must be so before an index is built."""


class BloatPolicy(Section):
    """How much of a relation may be empty."""

    table_fraction: Share = 0.4
    """Empty share of a table, at most."""
    index_fraction: Share = 0.2
    """Empty share of an index, at most."""
    min_size: Size = as_written("10 MB")
    """Smaller relations are left alone."""
    reindex: Literal["report", "concurrently"] = "report"
    """What is done about a bloated index."""
    reindex_unique: Annotated[tuple[TableName, ...], Field(strict=False)] = ()
    """Unique indexes that are rebuilt too; up to PostgreSQL 18 upserts beside it can fail."""

    @field_validator("reindex_unique", mode="after")
    @classmethod
    def _check_reindex(
        cls, named: tuple[QualifiedName, ...], info: ValidationInfo
    ) -> tuple[QualifiedName, ...]:
        if named and info.data.get("reindex", "concurrently") != "concurrently":
            raise refused(
                "nothing here, or reindex: concurrently beside it",
                "with reindex: report no index is rebuilt",
            )
        return named


class DiskGrowth(Section):
    """How fast the database may grow."""

    fraction_per_week: Annotated[float, number(0)] = 0.2
    """Growth in a week, as a share of the size."""
    free_disk: Size = as_written("5 GB")
    """What must be left on the server's disk."""


class WorkloadPolicy(Section):
    """From where on the load is a finding."""

    slow_query: Duration = as_written("1000 ms")
    """Mean time of one statement that counts as slow."""
    mean_query: Duration = as_written("50 ms")
    """Mean time over all statements."""
    connections: Share = 0.9
    """Used share of the connections an application can have."""
    redis_hit_rate: Share = 0.7
    """At least."""
    buffer_hit_rate: Share = 0.95
    """At least."""
    idle_in_transaction: Duration = as_written("15 minutes")
    """At most."""
    long_transaction: Duration = as_written("1 hour")
    """At most."""
    wraparound: Share = 0.5
    """Used share of the transaction ids, at most."""
    replication_lag: Size = as_written("100 MB")
    """At most."""
    regression: Annotated[float, number(1)] = 2.0
    """Times the baseline mean of a statement."""
    disk_growth: DiskGrowth = DiskGrowth()
    """How fast the database may grow."""
