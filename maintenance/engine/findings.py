"""Findings: what the owner should know."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from maintenance.formatting import visible_lines


class Severity(StrEnum):
    """Error means the promised state can't be reached, or writes will fail."""

    INFO = "info"
    WARN = "warn"
    ERROR = "error"


class FindingKind(StrEnum):
    """Every kind of finding; each has its entry in docs/runbook.md."""

    NO_SUCH_TABLE = "no_such_table"
    NO_SUCH_COLUMN = "no_such_column"
    NOT_PARTITIONED = "not_partitioned"
    PARTITION_KEY_MISMATCH = "partition_key_mismatch"
    PARTITION_NAME_TAKEN = "partition_name_taken"
    PARTITION_HORIZON_SHORT = "partition_horizon_short"
    PARTITION_GAP = "partition_gap"
    PARTITION_OVERLAP = "partition_overlap"
    PARTITION_PROPERTY_DRIFT = "partition_property_drift"
    DEFAULT_PARTITION_ROWS = "default_partition_rows"
    PARTITION_TIME_ZONE_DRIFT = "partition_time_zone_drift"
    DETACH_PENDING = "detach_pending"
    STRANDED_TABLE = "stranded_table"
    RETENTION_DUE = "retention_due"
    RETENTION_HELD = "retention_held"
    RETENTION_FUSE = "retention_fuse"
    ARCHIVE_UNVERIFIED = "archive_unverified"
    ANALYTICS_STALE = "analytics_stale"
    REDIS_UNREACHABLE = "redis_unreachable"
    REDIS_HIT_RATE_LOW = "redis_hit_rate_low"
    MATVIEW_STALE = "matview_stale"
    MATVIEW_UNPOPULATED = "matview_unpopulated"
    MATVIEW_MISSING = "matview_missing"
    MATVIEW_NO_UNIQUE_INDEX = "matview_no_unique_index"
    MATVIEW_DEFINITION_DRIFT = "matview_definition_drift"
    MATVIEW_NULL_KEY_CHURN = "matview_null_key_churn"
    MATVIEW_CYCLE = "matview_cycle"
    INDEX_INVALID = "index_invalid"
    INDEX_DUPLICATE = "index_duplicate"
    INDEX_REDUNDANT = "index_redundant"
    INDEX_UNUSED = "index_unused"
    INDEX_EVIDENCE_INSUFFICIENT = "index_evidence_insufficient"
    INDEX_LOW_CARDINALITY = "index_low_cardinality"
    INDEX_PREDICATE_IN_KEY = "index_predicate_in_key"
    INDEX_WIDE_KEY = "index_wide_key"
    FK_UNINDEXED = "fk_unindexed"
    REPLICA_UNREACHABLE = "replica_unreachable"
    STATISTICS_STALE = "statistics_stale"
    STATISTICS_MISSING = "statistics_missing"
    BUDGET_EXHAUSTED = "budget_exhausted"
    TABLE_BLOAT = "table_bloat"
    INDEX_BLOAT = "index_bloat"
    BLOAT_UNKNOWN = "bloat_unknown"
    QUERY_SLOW = "query_slow"
    QUERY_REGRESSED = "query_regressed"
    QUERY_N_PLUS_ONE = "query_n_plus_one"
    CONNECTIONS_SATURATED = "connections_saturated"
    IDLE_IN_TRANSACTION = "idle_in_transaction"
    LONG_TRANSACTION = "long_transaction"
    WRAPAROUND_RISK = "wraparound_risk"
    BUFFER_HIT_RATE_LOW = "buffer_hit_rate_low"
    DISK_GROWTH = "disk_growth"
    REPLICATION_LAG = "replication_lag"
    EXTENSION_MISSING = "extension_missing"
    CLOCK_SKEW = "clock_skew"
    PRIVILEGE_MISSING = "privilege_missing"
    MONITOR_BLIND = "monitor_blind"
    LOCK_NOT_ACQUIRED = "lock_not_acquired"
    STORE_UNKEPT = "store_unkept"
    RUN_FAILED = "run_failed"
    RUN_OVERDUE = "run_overdue"


FITNESS = frozenset(
    {
        FindingKind.NO_SUCH_TABLE,
        FindingKind.NO_SUCH_COLUMN,
        FindingKind.NOT_PARTITIONED,
        FindingKind.PARTITION_KEY_MISMATCH,
        FindingKind.PRIVILEGE_MISSING,
        FindingKind.MONITOR_BLIND,
        FindingKind.CLOCK_SKEW,
    }
)
"""The kinds that say whether a policy can be carried out at all: what `check` reports."""


UNKNOWN = "unknown"
"""Key in a finding's data: by kind, on which objects nobody can tell now; None for all of them.

An object stands for those below it too: `app/query` for `app/query/4f2a`.
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing the owner should know about one object.

    Attributes:
        object: the qualified name as PostgreSQL quotes it, or the database's policy name.
        message: one sentence: object, found, wanted, what to do next.
        value: what was measured, beside `threshold`; both may be None.
        data: further facts, JSON-ready.
        subject: whose look found it; empty where every look would.
    """

    kind: FindingKind
    severity: Severity
    object: str
    message: str
    value: float | str | None = None
    threshold: float | str | None = None
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    subject: str = ""

    def __post_init__(self) -> None:
        """Escape control characters that names bring into the sentence; `object` has them as is."""
        object.__setattr__(self, "message", visible_lines(self.message))

    def leaves_open(self, kind: FindingKind, name: str) -> bool:
        """Whether it says that nobody can tell now if something of a kind stands on an object."""
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
