"""Findings, and the kinds of them with their specs."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from maintenance.formatting import visible_lines


class Severity(StrEnum):
    """Error: the promised state can't be reached, or writes will fail."""

    INFO = "info"
    WARN = "warn"
    ERROR = "error"


class Unit(StrEnum):
    """The unit of a finding's value and threshold."""

    NUMBER = "number"
    SHARE = "share"
    BYTES = "bytes"
    SHARE_OR_BYTES = "share or bytes"
    MILLISECONDS = "milliseconds"
    SECONDS = "seconds"
    DAYS = "days"
    TIMES = "times"


CONVERSION = "conversion"
PARTITIONS = "partitions"
RETENTION = "retention"
MATVIEWS = "matviews"
STALE_ANALYTICS = "stale_analytics"
STATISTICS = "statistics"
INDEXES = "indexes"
BLOAT = "bloat"
WORKLOAD = "workload"
CAPACITY = "capacity"
REDIS = "redis"


class Reading(StrEnum):
    """A part of an observation that can fail alone, by the name that messages use."""

    TABLE = "table"
    PARTITIONS = "partitions"
    DEFAULT_ROWS = "default rows"
    DEFAULT_ROW_PERIODS = "periods of default rows"
    STALE_ROWS = "stale rows"
    INDEX_DEFINITIONS = "index definitions"
    COLUMN_STATISTICS = "column statistics"
    FOREIGN_KEYS = "foreign keys"
    TABLE_STATISTICS = "table statistics"
    BLOAT = "bloat"
    REPLICA = "replica"
    STATEMENTS = "statements"
    SESSIONS = "sessions"
    CONNECTIONS = "connections"
    SNAPSHOTS = "snapshots"
    WRAPAROUND = "wraparound"
    SIZES = "sizes"
    DATABASE_SIZE = "the database's size"
    REPLICATION = "replication"
    LOCKS = "locks"
    RUNNING = "running statements"
    SEQUENCES = "sequences"
    LIMITS = "limits of the server"
    RELATIONS = "sizes of TOAST tables and partitioned tables"
    SLOTS = "replication slots"
    COLLATIONS = "collations"
    EXTENSIONS = "extensions"
    CONSTRAINTS = "constraints"
    AUTOVACUUM = "settings of autovacuum"
    SETTINGS = "settings of the policy"
    UNNAMED_TABLES = "tables that the policy does not name"
    QUERIES = "declared queries"
    SLOW_STATEMENTS = "slow statements for index candidates"


@dataclass(frozen=True, slots=True)
class FindingSpec:
    """The properties of all findings of one kind.

    Attributes:
        subjects: names of the subjects that look for it; empty where runs and sensors raise it.
        unit: of its value and threshold.
        is_fitness: whether it says that the policy can't be carried out, which `check` reports.
        is_of_job: whether its object is a Dagster job.
        is_of_file: whether its object is a policy file.
        is_of_run: whether it says what a run could not do. No look at the database can show that
            it is over; only a later run of the subject, which tries again, can.
        is_advice: whether it recommends something that can wait for the weekly review. Advice is
            sent only to sinks that name its kind.
        is_of_server: whether its object is the server of the database or of the store.
        is_of_declaration: whether it is about the declared indexes of the policy alone.
        is_of_check: whether only `check` and `init` look for it.
        reads: the readings it depends on. If one fails, the state of this kind is unknown: see
            `unknown_without`.
    """

    subjects: tuple[str, ...]
    unit: Unit = Unit.NUMBER
    is_fitness: bool = False
    is_of_job: bool = False
    is_of_file: bool = False
    is_of_run: bool = False
    is_advice: bool = False
    is_of_server: bool = False
    is_of_declaration: bool = False
    is_of_check: bool = False
    reads: tuple[Reading, ...] = ()


class _Kind(str):
    """The name of a kind, with its spec."""

    __slots__ = ("spec",)

    spec: FindingSpec


def _kind(
    name: str,
    *subjects: str,
    unit: Unit = Unit.NUMBER,
    is_fitness: bool = False,
    is_of_job: bool = False,
    is_of_file: bool = False,
    is_of_run: bool = False,
    is_advice: bool = False,
    is_of_server: bool = False,
    is_of_declaration: bool = False,
    is_of_check: bool = False,
    reads: tuple[Reading, ...] = (),
) -> str:
    kind = _Kind(name)
    kind.spec = FindingSpec(
        subjects,
        unit,
        is_fitness=is_fitness,
        is_of_job=is_of_job,
        is_of_file=is_of_file,
        is_of_run=is_of_run,
        is_advice=is_advice,
        is_of_server=is_of_server,
        is_of_declaration=is_of_declaration,
        is_of_check=is_of_check,
        reads=reads,
    )
    return kind


def _of_declaration(name: str, *, is_fitness: bool = True) -> str:
    reads = (Reading.INDEX_DEFINITIONS,)
    return _kind(name, INDEXES, is_fitness=is_fitness, is_of_declaration=True, reads=reads)


class FindingKind(StrEnum):
    """Every kind of finding with its spec; each has an entry in docs/runbook.md."""

    spec: FindingSpec

    def __new__(cls, kind: str) -> Self:
        """Make a member that is its name and has a spec."""
        assert isinstance(kind, _Kind), f"{kind} has no spec"
        member = str.__new__(cls, kind)
        member._value_ = str(kind)
        member.spec = kind.spec
        return member

    NO_SUCH_TABLE = _kind(
        "no_such_table", PARTITIONS, STALE_ANALYTICS, MATVIEWS, BLOAT, STATISTICS, is_fitness=True
    )
    NO_SUCH_COLUMN = _kind(
        "no_such_column", PARTITIONS, STALE_ANALYTICS, is_fitness=True, reads=(Reading.TABLE,)
    )
    NOT_PARTITIONED = _kind(
        "not_partitioned", CONVERSION, PARTITIONS, is_fitness=True, reads=(Reading.TABLE,)
    )
    CONVERSION_UNFINISHED = _kind("conversion_unfinished", CONVERSION, reads=(Reading.TABLE,))
    CONVERSION_WAITING = _kind(
        "conversion_waiting", CONVERSION, unit=Unit.SECONDS, reads=(Reading.TABLE,)
    )
    PARTITION_KEY_MISMATCH = _kind(
        "partition_key_mismatch", PARTITIONS, RETENTION, is_fitness=True, reads=(Reading.TABLE,)
    )
    PARTITION_NAME_TAKEN = _kind(
        "partition_name_taken", PARTITIONS, is_fitness=True, reads=(Reading.TABLE,)
    )
    PARTITION_HORIZON_SHORT = _kind(
        "partition_horizon_short", PARTITIONS, reads=(Reading.TABLE, Reading.DEFAULT_ROW_PERIODS)
    )
    PARTITION_GAP = _kind(
        "partition_gap", PARTITIONS, reads=(Reading.TABLE, Reading.DEFAULT_ROW_PERIODS)
    )
    PARTITION_OVERLAP = _kind(
        "partition_overlap", PARTITIONS, is_fitness=True, reads=(Reading.TABLE,)
    )
    PARTITION_SPANS_PERIODS = _kind("partition_spans_periods", PARTITIONS, reads=(Reading.TABLE,))
    PARTITION_PROPERTY_DRIFT = _kind("partition_property_drift", PARTITIONS, reads=(Reading.TABLE,))
    DEFAULT_PARTITION_ROWS = _kind(
        "default_partition_rows", PARTITIONS, reads=(Reading.TABLE, Reading.DEFAULT_ROWS)
    )
    PARTITION_TIME_ZONE_DRIFT = _kind(
        "partition_time_zone_drift", PARTITIONS, is_fitness=True, reads=(Reading.TABLE,)
    )
    DETACH_PENDING = _kind("detach_pending", PARTITIONS, reads=(Reading.TABLE,))
    PARTMAN_ACTIVE = _kind("partman_active", PARTITIONS, is_fitness=True)
    PARTITION_NAMES_DIFFER = _kind("partition_names_differ", is_fitness=True, is_of_check=True)
    NOT_IN_POLICY = _kind(
        "not_in_policy", CAPACITY, is_fitness=True, reads=(Reading.UNNAMED_TABLES,)
    )
    PARTITIONS_ENDING = _kind(
        "partitions_ending", CAPACITY, unit=Unit.DAYS, reads=(Reading.UNNAMED_TABLES,)
    )
    STRANDED_TABLE = _kind("stranded_table", PARTITIONS, RETENTION, reads=(Reading.PARTITIONS,))
    RETENTION_DUE = _kind("retention_due", RETENTION, reads=(Reading.TABLE,))
    RETENTION_HELD = _kind("retention_held", RETENTION, reads=(Reading.PARTITIONS,))
    RETENTION_FUSE = _kind("retention_fuse", RETENTION, reads=(Reading.TABLE,))
    RETENTION_UNAPPROVED = _kind("retention_unapproved", RETENTION, reads=(Reading.TABLE,))
    BACKUP_UNCONFIRMED = _kind("backup_unconfirmed", RETENTION)
    ARCHIVE_UNVERIFIED = _kind(
        "archive_unverified", RETENTION, is_of_run=True, reads=(Reading.PARTITIONS,)
    )
    ARCHIVE_UNUSABLE = _kind("archive_unusable", is_fitness=True, is_of_check=True)
    ANALYTICS_STALE = _kind("analytics_stale", STALE_ANALYTICS, reads=(Reading.STALE_ROWS,))
    REDIS_UNREACHABLE = _kind("redis_unreachable", REDIS, is_fitness=True)
    REDIS_HIT_RATE_LOW = _kind("redis_hit_rate_low", REDIS, unit=Unit.SHARE)
    REDIS_TTL_EXCEEDED = _kind("redis_ttl_exceeded", REDIS)
    MATVIEW_STALE = _kind("matview_stale", MATVIEWS, unit=Unit.SECONDS)
    MATVIEW_UNPOPULATED = _kind("matview_unpopulated", MATVIEWS)
    MATVIEW_MISSING = _kind("matview_missing", MATVIEWS, is_fitness=True)
    MATVIEW_NO_UNIQUE_INDEX = _kind("matview_no_unique_index", MATVIEWS, is_fitness=True)
    MATVIEW_DEFINITION_DRIFT = _kind("matview_definition_drift", MATVIEWS, is_fitness=True)
    MATVIEW_NULL_KEY_CHURN = _kind("matview_null_key_churn", MATVIEWS)
    MATVIEW_CYCLE = _kind("matview_cycle", MATVIEWS, is_fitness=True)
    INDEX_INVALID = _kind("index_invalid", INDEXES, BLOAT, reads=(Reading.INDEX_DEFINITIONS,))
    INDEX_MISSING = _of_declaration("index_missing")
    INDEX_DEFINITION_DRIFT = _of_declaration("index_definition_drift")
    INDEX_NOT_BUILDABLE = _of_declaration("index_not_buildable")
    INDEX_DECLARATION_DOUBTFUL = _of_declaration("index_declaration_doubtful", is_fitness=False)
    INDEX_NOT_DROPPABLE = _of_declaration("index_not_droppable")
    SCHEMA_DRIFT = _of_declaration("schema_drift")
    CONSTRAINT_MISSING = _of_declaration("constraint_missing")
    CONSTRAINT_VIOLATED = _of_declaration("constraint_violated")
    COLUMN_MISSING = _of_declaration("column_missing")
    INDEX_NOT_USED_BY_QUERY = _kind(
        "index_not_used_by_query",
        INDEXES,
        unit=Unit.SHARE,
        is_of_declaration=True,
        reads=(Reading.QUERIES,),
    )
    INDEX_NOT_SCANNED = _kind(
        "index_not_scanned", INDEXES, unit=Unit.SECONDS, is_of_declaration=True
    )
    INDEX_BELOW_EXPECTATION = _kind(
        "index_below_expectation",
        INDEXES,
        unit=Unit.TIMES,
        is_of_declaration=True,
        reads=(Reading.QUERIES,),
    )
    INDEX_NOT_AS_EXPECTED = _kind(
        "index_not_as_expected", INDEXES, reads=(Reading.INDEX_DEFINITIONS,)
    )
    INDEX_REVIEW = _kind("index_review", INDEXES, is_advice=True)
    QUERY_PLAN_CHANGED = _kind(
        "query_plan_changed",
        INDEXES,
        unit=Unit.TIMES,
        is_of_declaration=True,
        reads=(Reading.QUERIES,),
    )
    QUERY_NOT_PRUNED = _kind(
        "query_not_pruned", INDEXES, is_of_declaration=True, reads=(Reading.QUERIES,)
    )
    QUERY_PLANNING_SLOW = _kind(
        "query_planning_slow",
        INDEXES,
        unit=Unit.MILLISECONDS,
        is_of_declaration=True,
        reads=(Reading.QUERIES,),
    )
    INDEX_CANDIDATE = _kind(
        "index_candidate",
        INDEXES,
        is_advice=True,
        unit=Unit.TIMES,
        reads=(Reading.SLOW_STATEMENTS,),
    )
    INDEX_DUPLICATE = _kind(
        "index_duplicate", INDEXES, is_advice=True, reads=(Reading.INDEX_DEFINITIONS,)
    )
    INDEX_REDUNDANT = _kind(
        "index_redundant", INDEXES, is_advice=True, reads=(Reading.INDEX_DEFINITIONS,)
    )
    INDEX_UNUSED = _kind(
        "index_unused", INDEXES, is_advice=True, reads=(Reading.INDEX_DEFINITIONS,)
    )
    INDEX_EVIDENCE_INSUFFICIENT = _kind(
        "index_evidence_insufficient", INDEXES, is_advice=True, unit=Unit.DAYS
    )
    INDEX_LOW_CARDINALITY = _kind(
        "index_low_cardinality", INDEXES, is_advice=True, reads=(Reading.COLUMN_STATISTICS,)
    )
    INDEX_PREDICATE_IN_KEY = _kind(
        "index_predicate_in_key", INDEXES, is_advice=True, reads=(Reading.INDEX_DEFINITIONS,)
    )
    INDEX_WIDE_KEY = _kind(
        "index_wide_key", INDEXES, is_advice=True, reads=(Reading.COLUMN_STATISTICS,)
    )
    FK_UNINDEXED = _kind("fk_unindexed", INDEXES, is_advice=True, reads=(Reading.FOREIGN_KEYS,))
    REPLICA_UNREACHABLE = _kind("replica_unreachable", INDEXES, is_fitness=True)
    STATISTICS_STALE = _kind("statistics_stale", STATISTICS, reads=(Reading.TABLE_STATISTICS,))
    STATISTICS_MISSING = _kind("statistics_missing", STATISTICS, reads=(Reading.TABLE_STATISTICS,))
    BUDGET_EXHAUSTED = _kind("budget_exhausted", STATISTICS, is_of_run=True)
    TABLE_BLOAT = _kind("table_bloat", BLOAT, unit=Unit.SHARE, reads=(Reading.BLOAT,))
    INDEX_BLOAT = _kind("index_bloat", BLOAT, unit=Unit.SHARE, reads=(Reading.BLOAT,))
    BLOAT_UNKNOWN = _kind("bloat_unknown", BLOAT, is_advice=True)
    QUERY_SLOW = _kind(
        "query_slow",
        WORKLOAD,
        unit=Unit.MILLISECONDS,
        reads=(Reading.REPLICA, Reading.STATEMENTS, Reading.RUNNING),
    )
    QUERY_REGRESSED = _kind(
        "query_regressed",
        WORKLOAD,
        INDEXES,
        unit=Unit.TIMES,
        reads=(Reading.REPLICA, Reading.STATEMENTS),
    )
    QUERY_N_PLUS_ONE = _kind(
        "query_n_plus_one", WORKLOAD, is_advice=True, reads=(Reading.REPLICA, Reading.STATEMENTS)
    )
    MATVIEW_CANDIDATE = _kind(
        "matview_candidate",
        WORKLOAD,
        is_advice=True,
        unit=Unit.SHARE,
        reads=(Reading.REPLICA, Reading.STATEMENTS),
    )
    CONNECTIONS_SATURATED = _kind(
        "connections_saturated", WORKLOAD, unit=Unit.SHARE, reads=(Reading.REPLICA,)
    )
    CONNECTION_WITHOUT_TLS = _kind(
        "connection_without_tls", WORKLOAD, reads=(Reading.REPLICA, Reading.CONNECTIONS)
    )
    IDLE_IN_TRANSACTION = _kind(
        "idle_in_transaction",
        WORKLOAD,
        unit=Unit.SECONDS,
        reads=(Reading.REPLICA, Reading.SESSIONS),
    )
    LONG_TRANSACTION = _kind(
        "long_transaction",
        WORKLOAD,
        unit=Unit.SECONDS,
        reads=(Reading.REPLICA, Reading.SESSIONS, Reading.SNAPSHOTS),
    )
    WRAPAROUND_RISK = _kind(
        "wraparound_risk", WORKLOAD, CAPACITY, unit=Unit.SHARE, reads=(Reading.WRAPAROUND,)
    )
    CAPACITY_CLIFF = _kind(
        "capacity_cliff",
        CAPACITY,
        unit=Unit.SHARE,
        reads=(Reading.SEQUENCES, Reading.LIMITS, Reading.RELATIONS, Reading.SLOTS),
    )
    COLLATION_MISMATCH = _kind("collation_mismatch", CAPACITY, reads=(Reading.COLLATIONS,))
    EXTENSION_OUTDATED = _kind(
        "extension_outdated", CAPACITY, is_advice=True, reads=(Reading.EXTENSIONS,)
    )
    CONSTRAINT_NOT_VALID = _kind(
        "constraint_not_valid", CAPACITY, is_advice=True, reads=(Reading.CONSTRAINTS,)
    )
    CONVERSION_CHECK_LEFT = _kind(
        "conversion_check_left", CAPACITY, unit=Unit.DAYS, reads=(Reading.CONSTRAINTS,)
    )
    AUTOVACUUM_INEFFECTIVE = _kind(
        "autovacuum_ineffective", CAPACITY, unit=Unit.DAYS, reads=(Reading.AUTOVACUUM,)
    )
    SETTING_DIFFERS = _kind("setting_differs", CAPACITY, reads=(Reading.SETTINGS,))
    SESSIONS_BLOCKED = _kind(
        "sessions_blocked", WORKLOAD, unit=Unit.SECONDS, reads=(Reading.REPLICA, Reading.LOCKS)
    )
    BUFFER_HIT_RATE_LOW = _kind(
        "buffer_hit_rate_low", WORKLOAD, unit=Unit.SHARE, reads=(Reading.REPLICA,)
    )
    DISK_GROWTH = _kind(
        "disk_growth",
        WORKLOAD,
        unit=Unit.SHARE_OR_BYTES,
        reads=(Reading.REPLICA, Reading.SIZES, Reading.DATABASE_SIZE),
    )
    REPLICATION_LAG = _kind(
        "replication_lag", WORKLOAD, unit=Unit.BYTES, reads=(Reading.REPLICA, Reading.REPLICATION)
    )
    EXTENSION_MISSING = _kind("extension_missing", BLOAT, WORKLOAD, reads=(Reading.REPLICA,))
    CLOCK_SKEW = _kind(
        "clock_skew",
        PARTITIONS,
        MATVIEWS,
        INDEXES,
        BLOAT,
        WORKLOAD,
        CAPACITY,
        RETENTION,
        STATISTICS,
        unit=Unit.SECONDS,
        is_fitness=True,
    )
    PRIVILEGE_MISSING = _kind(
        "privilege_missing",
        PARTITIONS,
        MATVIEWS,
        STALE_ANALYTICS,
        INDEXES,
        WORKLOAD,
        CAPACITY,
        STATISTICS,
        is_fitness=True,
        reads=(Reading.TABLE,),
    )
    MONITOR_BLIND = _kind(
        "monitor_blind",
        CONVERSION,
        PARTITIONS,
        MATVIEWS,
        STALE_ANALYTICS,
        INDEXES,
        BLOAT,
        WORKLOAD,
        CAPACITY,
        STATISTICS,
        REDIS,
        is_fitness=True,
    )
    LOCK_NOT_ACQUIRED = _kind(
        "lock_not_acquired",
        CONVERSION,
        PARTITIONS,
        MATVIEWS,
        STALE_ANALYTICS,
        INDEXES,
        BLOAT,
        RETENTION,
        STATISTICS,
        is_of_run=True,
    )
    INDEX_BUILD_POSTPONED = _kind(
        "index_build_postponed", CONVERSION, INDEXES, BLOAT, is_of_run=True
    )
    PAUSED = _kind("paused", PARTITIONS, STATISTICS, WORKLOAD, unit=Unit.SECONDS)
    STORE_UNKEPT = _kind("store_unkept", STATISTICS, is_of_run=True)
    DAGSTER_UNKEPT = _kind("dagster_unkept", is_of_job=True)
    DATABASE_UNREACHABLE = _kind("database_unreachable", is_of_server=True)
    POLICY_BROKEN = _kind("policy_broken", is_of_file=True)
    RUN_FAILED = _kind("run_failed", is_of_job=True)
    RUN_OVERDUE = _kind("run_overdue", unit=Unit.SECONDS, is_of_job=True)


def kinds_of(subject: str) -> frozenset[FindingKind]:
    """Return the kinds that a subject looks for, by its name."""
    return frozenset(kind for kind in FindingKind if subject in kind.spec.subjects)


def unknown_without(
    reading: Reading, objects: Sequence[str] | None
) -> Mapping[str, Sequence[str] | None]:
    """Return a finding's `data[UNKNOWN]` for a reading that failed.

    Args:
        reading: the one that failed.
        objects: the objects whose state is unknown without it; None for all of them.
    """
    return {kind.value: objects for kind in FindingKind if reading in kind.spec.reads}


UNKNOWN = "unknown"
"""Key in a finding's data: by kind, the objects whose state is unknown now; None for all.

An object stands for those below it too: `app/query` for `app/query/4f2a`.
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """A fact about one object that needs attention, with what to do.

    Attributes:
        object: the qualified name as PostgreSQL quotes it, or the database's policy name.
        message: one sentence: object, found, wanted, what to do next.
        value: what was measured, beside `threshold`; both may be None.
        data: further facts, JSON-ready.
        subject: the subject that found it; empty if any run would find it.
        promise: the end of the message, if it says what the next run does about it. It is replaced
            by the reason where that action may not be executed.
    """

    kind: FindingKind
    severity: Severity
    object: str
    message: str
    value: float | str | None = None
    threshold: float | str | None = None
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    subject: str = ""
    promise: str = ""

    def __post_init__(self) -> None:
        """Escape control characters that names bring into the sentence; `object` has them as is."""
        object.__setattr__(self, "message", visible_lines(self.message))

    def leaves_open(self, kind: FindingKind, name: str) -> bool:
        """Whether it says that the state of an object is unknown for a kind of finding."""
        unknown: Mapping[str, Collection[str] | None] = self.data.get(UNKNOWN, {})
        objects = unknown.get(kind, ())
        return objects is None or any(
            name == each or name.startswith(f"{each}/") for each in objects
        )

    def as_json(self) -> dict[str, Any]:
        """The finding as the command line prints it."""
        return {
            "kind": self.kind.value,
            "severity": self.severity.value,
            "object": self.object,
            "message": self.message,
            "value": self.value,
            "threshold": self.threshold,
            "data": dict(self.data),
        }


def failed_readings(
    database: str, subject: str, failed: Mapping[Reading, str]
) -> Iterator[Finding]:
    """Yield one finding for each failed reading of a subject, with what is unknown without it.

    Args:
        database: the database's name in its policy.
        subject: the subject's name.
        failed: why, by reading.
    """
    for what, reason in failed.items():
        yield Finding(
            FindingKind.MONITOR_BLIND,
            Severity.ERROR,
            f"{database}/{subject}/{what}",
            f"{database}: {what} not checked: {reason}",
            data={UNKNOWN: unknown_without(what, None)},
        )
