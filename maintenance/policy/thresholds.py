"""Thresholds of statistics, indexes, bloat and the workload."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    PrivateAttr,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from maintenance.errors import ProblemReason
from maintenance.names import QualifiedName
from maintenance.policy.base import Section, as_written, did_you_mean, refused, refused_file
from maintenance.policy.cron import matches
from maintenance.policy.declarations import Declaration
from maintenance.policy.declared_sql import (
    DeclaredSqlError,
    read_declarations,
    unknown_queries,
)
from maintenance.policy.paths import SqlFolder, SqlSource, is_in_file
from maintenance.policy.quantities import (
    Count,
    CountLimit,
    Duration,
    Share,
    Size,
    SizeLimit,
    Timeout,
    number,
    whole,
)
from maintenance.policy.query_sql import DeclaredQuery, QueryFilesError, read_queries
from maintenance.policy.values import Cron, Mode, TableName

Connections = Annotated[int, whole(1, 32)]


class StatisticsPolicy(Section):
    """Thresholds of ANALYZE and VACUUM."""

    changed_rows: Count = 50
    """Minimum number of rows changed since the last ANALYZE."""
    changed_fraction: Share = 0.1
    """Minimum share of the table's rows changed, in addition."""
    dead_rows: Count = 1000
    """Minimum number of dead rows before a table is vacuumed."""
    dead_fraction: Share = 0.2
    """Minimum share of dead rows, in addition."""
    freeze_fraction: Share = 0.8
    """Share of `autovacuum_freeze_max_age` at which a table is frozen, in quiet hours."""
    time_budget: Duration = as_written("30 minutes")
    """Time limit per run; tables left over are a finding."""
    mode: Mode = "act"
    """With report, no table is analyzed or vacuumed."""


class ParallelPolicy(Section):
    """Number of parallel connections."""

    matviews: Connections = 2
    """Views refreshed in parallel."""
    statistics: Connections = 2
    """Tables analyzed in parallel."""
    archives: Connections = 1
    """Periods archived in parallel."""


class UnusedIndexes(Section):
    """Conditions to report an index as unused."""

    window: Duration = as_written("35 days")
    """Minimum observation period."""
    min_size: Size = as_written("1 MB")
    """Minimum size; smaller indexes are not reported, and other advice on them is information."""
    max_scans: Count = 0
    """Maximum number of scans in the window."""


class ExpectedIndex(Section):
    """An index that must exist, with limits of its own. It is never built or changed."""

    index: TableName
    """The index, with its schema."""
    scans: Count = 0
    """Minimum number of scans on all servers together in `indexes.unused.window`."""
    of_table: Share = 1.0
    """Maximum size, as a share of the size of its table without indexes; 1 means no limit."""


class LowCardinality(Section):
    """Conditions to report an index with too few distinct values."""

    max_distinct: Count = 101
    """Maximum number of distinct values."""
    min_rows: Count = 10_000
    """Minimum size; smaller tables are not reported."""
    except_: Annotated[tuple[TableName, ...], Field(strict=False)] = Field(
        default=(), alias="except"
    )
    """Indexes not to report."""


class IndexCandidates(Section):
    """Which statements are looked at for indexes that they lack."""

    mean_time: Duration = as_written("20 ms")
    """Mean time of a statement from which it is looked at, as pg_stat_statements has it."""
    statements: Count = 20
    """How many are looked at, those with most time in total; 0: none."""


class IndexPreflight(Section):
    """Conditions before an index is built."""

    max_transaction_age: Duration = as_written("5 minutes")
    """Maximum age of open transactions, which would delay the build."""
    free_disk: Size = as_written("5 GB")
    """Free disk space that must remain on the server."""
    max_slot_wal: SizeLimit = as_written("1 GB")
    """WAL that a replication slot may retain; what a build writes stays on disk with it."""
    max_slot_age: CountLimit = as_written("never")
    """Transactions for which a replication slot may hold back VACUUM."""
    max_replica_lag: SizeLimit = as_written("100 MB")
    """Maximum replication lag; replicas replay the WAL of a build before later changes."""
    max_active_sessions: CountLimit = as_written("never")
    """Maximum number of active sessions on the server, without our own."""
    max_wal_rate: SizeLimit = as_written("never")
    """Maximum WAL that the server writes in a second."""


class IndexProof(Section):
    """Limits of the measurement of declared queries."""

    time_limit: Timeout = as_written("30 seconds")
    """statement_timeout of one execution of a query; a slower one is not measured."""
    repeats: Annotated[int, whole(3, 100)] = 5
    """Measured executions of each query, after one that only warms the caches."""


def _read_watch(value: object) -> object:
    wanted = "three durations, each longer than the one before, such as [1 hour, 24 hours, 7 days]"
    if not isinstance(value, list | tuple):
        raise refused(wanted, reason=ProblemReason.WRONG_TYPE)
    parts = cast("Sequence[object]", value)
    if len(parts) != 3:  # noqa: PLR2004 - as said
        raise refused(wanted, reason=ProblemReason.OUT_OF_RANGE)
    return parts


def _check_watch(value: tuple[timedelta, ...]) -> tuple[timedelta, ...]:
    if any(later <= earlier for earlier, later in pairwise(value)):
        wanted = "three durations, each longer than the one before"
        raise refused(wanted, reason=ProblemReason.OUT_OF_RANGE)
    return value


Watch = Annotated[
    tuple[Duration, ...],
    Field(strict=False),
    BeforeValidator(_read_watch),
    AfterValidator(_check_watch),
]


_LEAST_FACTOR = 1.01


def _read_factor(value: object) -> float:
    """Return a number of times above 1; infinite for `never`."""
    if value == "never":
        return inf
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise refused("never, or how many times slower, such as 1.2")
    if not _LEAST_FACTOR <= value < inf:
        wanted = f"never, or a number of at least {_LEAST_FACTOR}"
        raise refused(wanted, reason=ProblemReason.OUT_OF_RANGE)
    return float(value)


SlowDown = Annotated[
    float,
    PlainValidator(_read_factor),
    PlainSerializer(lambda value: "never" if value == inf else value),
    WithJsonSchema({"anyOf": [{"const": "never"}, {"type": "number", "minimum": _LEAST_FACTOR}]}),
]
"""How many times slower; infinite for never."""


class RollbackPolicy(Section):
    """Conditions to undo a build by itself."""

    slower_than: SlowDown = as_written("never")
    """How many times slower a measured query may become, such as 1.2; never: nothing is undone."""


def _read_wave_dates(value: object) -> dict[int, date]:
    """Return the dates of waves, which are numbered from 1."""
    wanted = "the dates from which waves are rolled out, such as {1: 2026-12-01, 2: 2026-12-06}"
    if not isinstance(value, Mapping):
        raise refused(wanted, reason=ProblemReason.WRONG_TYPE)
    dates: dict[int, date] = {}
    for wave, written in cast("Mapping[object, object]", value).items():
        day = _read_day(written)
        if day is None or not re.fullmatch("[1-9][0-9]{0,3}", str(wave)):
            raise refused(wanted, found=f"{wave}: {written}", reason=ProblemReason.MALFORMED)
        dates[int(str(wave))] = day
    if any(later < earlier for earlier, later in pairwise(dates[wave] for wave in sorted(dates))):
        raise refused("dates in the order of their waves", reason=ProblemReason.OUT_OF_RANGE)
    return dates


def _read_day(written: object) -> date | None:
    if isinstance(written, str):
        try:
            return date.fromisoformat(written)
        except ValueError:
            return None
    if isinstance(written, date) and not isinstance(written, datetime):
        return written
    return None


WaveDates = Annotated[
    dict[int, date],
    PlainValidator(_read_wave_dates),
    PlainSerializer(lambda value: {str(wave): str(day) for wave, day in value.items()}),
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d$"},
        }
    ),
]
"""The first day (UTC) of waves, by their numbers."""


class IndexesPolicy(Section):
    """Wanted indexes, and advice on existing ones."""

    queries: SqlFolder | None = None
    """One query per file, explained before and after."""
    proof: IndexProof = IndexProof()
    """Limits of the measurement of declared queries."""
    watch: Watch = as_written(["1 hour", "24 hours", "7 days"])
    """When a new index is judged by its use: a warning, an error, the review."""
    targets: Annotated[dict[str, Duration], Field(strict=False)] = Field(default_factory=dict)
    """How long declared queries may take, by name: the 95th percentile of their calls, as
    pg_stat_statements has them."""
    planning_time: Duration = as_written("50 ms")
    """How long the server may take to plan a declared query: the shortest of several times."""
    declared: SqlSource | None = None
    """A file, or a folder of *.sql files: CREATE INDEX, DROP INDEX, CHECK constraints and generated
    columns."""
    waves: WaveDates = Field(default_factory=dict[int, date])
    """The day (UTC) from which a wave of declarations is rolled out; without one, at once."""
    window: Annotated[tuple[Cron, ...], Field(strict=False)] = ()
    """Crons of the minutes, in UTC, in which declarations are rolled out, such as `* 2-4 * * *`; a
    build that still runs when they end is canceled. Without one: at any time."""
    allow_drop: bool = False
    """Whether indexes may be dropped or replaced, if they are declared too."""
    allow_rewrite: bool = False
    """Whether a declared generated column may be added, which rewrites its table."""
    rollback_if: RollbackPolicy = RollbackPolicy()
    """Conditions to undo a build by itself."""
    unused: UnusedIndexes = UnusedIndexes()
    """Conditions to report an index as unused."""
    expected: Annotated[tuple[ExpectedIndex, ...], Field(strict=False)] = ()
    """Indexes that must exist, whoever makes them, such as those of a migration."""
    low_cardinality: LowCardinality = LowCardinality()
    """Conditions to report an index with too few distinct values."""
    candidates: IndexCandidates = IndexCandidates()
    """Which statements are looked at for indexes that they lack."""
    preflight: IndexPreflight = IndexPreflight()
    """Conditions before an index is built."""
    mode: Mode = "act"
    """With report, no index is built or dropped."""

    _declarations: tuple[Declaration, ...] = PrivateAttr(default=())
    _declared_queries: tuple[DeclaredQuery, ...] = PrivateAttr(default=())

    @field_validator("queries", mode="after")
    @classmethod
    def _check_queries(cls, folder: Path | None, info: ValidationInfo) -> Path | None:
        if folder is not None and is_in_file(info):
            try:
                read_queries(folder)
            except QueryFilesError as error:
                raise refused_file(error.problems) from error
        return folder

    @field_validator("targets", mode="after")
    @classmethod
    def _check_targets(
        cls, targets: dict[str, timedelta], info: ValidationInfo
    ) -> dict[str, timedelta]:
        folder = info.data.get("queries")
        known = sorted(file.stem for file in folder.glob("*.sql")) if folder is not None else []
        unknown = next((name for name in targets if name not in known), None)
        if unknown is not None and is_in_file(info):
            raise refused(
                "names of queries in the folder of indexes.queries",
                did_you_mean(unknown, known),
                found=unknown,
                reason=ProblemReason.NO_SUCH_FILE,
            )
        return targets

    def is_in_window(self, moment: datetime) -> bool:
        """Whether declarations are rolled out at a time, which is aware."""
        utc = moment.astimezone(UTC)
        return not self.window or any(matches(cron, utc) for cron in self.window)

    @property
    def declared_queries(self) -> tuple[DeclaredQuery, ...]:
        """The queries of the folder, by name; none without a folder."""
        return self._declared_queries

    @property
    def declarations(self) -> tuple[Declaration, ...]:
        """The declared indexes, drops, constraints and columns, in the order of the files.

        As the files were when the policy was loaded: its hash counts them.
        """
        return self._declarations

    def model_post_init(self, context: Any) -> None:
        """Keep what the files declared when the policy was loaded."""
        loading: dict[str, Any] = context or {}
        if self.declared is not None and "folder" in loading:
            self._declarations = read_declarations(self.declared)
        if self.queries is not None and "folder" in loading:
            self._declared_queries = read_queries(self.queries)

    @field_validator("declared", mode="after")
    @classmethod
    def _check_declared(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        if path is not None and is_in_file(info):
            try:
                declared = read_declarations(path)
            except DeclaredSqlError as error:
                raise refused_file(error.problems) from error
            problems = unknown_queries(declared, info.data.get("queries"))
            if problems:
                raise refused_file(problems)
        return path


class BloatPolicy(Section):
    """Thresholds of bloat, and rebuilds."""

    table_fraction: Share = 0.4
    """Maximum bloat of a table, as a share of its size."""
    index_fraction: Share = 0.2
    """Maximum bloat of an index, as a share of its size."""
    min_size: Size = as_written("10 MB")
    """Minimum size; smaller relations are not reported."""
    reindex: Literal["report", "concurrently"] = "report"
    """Action on a bloated index."""
    reindex_unique: Annotated[tuple[TableName, ...], Field(strict=False)] = ()
    """Names of unique indexes to rebuild too, such as `public.orders_pkey`; up to PostgreSQL 18,
    upserts can fail during the rebuild."""
    mode: Mode = "act"
    """With report, no index is rebuilt and no leftover of a rebuild is dropped."""

    @field_validator("reindex_unique", mode="after")
    @classmethod
    def _check_reindex(
        cls, named: tuple[QualifiedName, ...], info: ValidationInfo
    ) -> tuple[QualifiedName, ...]:
        if named and info.data.get("reindex", "concurrently") != "concurrently":
            raise refused(
                "no value here, or reindex: concurrently",
                "with reindex: report, no index is rebuilt",
                reason=ProblemReason.CONFLICT,
            )
        return named


class DiskGrowth(Section):
    """Growth of the database, and free disk space."""

    fraction_per_week: Annotated[float, number(0)] = 0.2
    """Maximum growth per week, as a share of the size."""
    free_disk: Size = as_written("5 GB")
    """Free disk space that must remain on the server."""


class WorkloadPolicy(Section):
    """Thresholds of the workload."""

    slow_query: Duration = as_written("1000 ms")
    """Time from which a statement is slow: its mean, its 95th percentile or its longest call."""
    mean_query: Duration = as_written("50 ms")
    """Maximum mean time over all statements."""
    connections: Share = 0.9
    """Maximum share of the connections available to applications."""
    require_tls: bool = False
    """Whether connections over the network without TLS are reported."""
    redis_hit_rate: Share = 0.7
    """Minimum hit rate of the Redis cache."""
    buffer_hit_rate: Share = 0.95
    """Minimum hit rate of the buffer cache."""
    idle_in_transaction: Duration = as_written("15 minutes")
    """Maximum time of a session idle in transaction."""
    long_transaction: Duration = as_written("1 hour")
    """Maximum age of a transaction."""
    wraparound: Share = 0.5
    """Maximum share of the transaction IDs used."""
    replication_lag: Size = as_written("100 MB")
    """Maximum replication lag."""
    regression: Annotated[float, number(1)] = 2.0
    """Maximum mean time or 95th percentile of a statement, as a multiple of its baseline."""
    n_plus_one_share: Share = 0.05
    """Share of the time from which a statement that looks like an N+1 loop is a warning."""
    disk_growth: DiskGrowth = DiskGrowth()
    """Growth of the database, and free disk space."""


class PoolPolicy(Section):
    """Connection pools of one kind."""

    instances: Annotated[int, whole(1, 100_000)]
    """Number of pools: one for each process or instance of the application."""
    size: Annotated[int, whole(1, 100_000)]
    """Maximum number of connections of each."""


class CapacityPolicy(Section):
    """Limits that end writes when they are reached, such as the last value of a key."""

    used: Share = 0.7
    """Share of a limit in use from which it is reported, whenever it will be reached."""
    within: Duration = as_written("90 days")
    """A limit that is reached within this time at the present rate is reported at any share."""
    urgent_within: Duration = as_written("14 days")
    """A limit that is reached within this time is an error."""
    pools: Annotated[tuple[PoolPolicy, ...], Field(strict=False)] = ()
    """Connection pools of the applications; together they must fit the usable connections."""
