"""Policy files as frozen models."""

from maintenance.policy.alerts import (
    AlertsPolicy,
    AppriseSink,
    LogSink,
    RedisStreamSink,
    Sink,
    WebhookSink,
)
from maintenance.policy.database import (
    DatabasePolicy,
    LocksPolicy,
    ObservePolicy,
    RedisPolicy,
    SchedulesPolicy,
    StorePolicy,
)
from maintenance.policy.files import BrokenPolicyError
from maintenance.policy.loader import (
    Policies,
    alerting_part,
    load_policies,
    load_policy,
    parse_policy,
    policy_paths,
)
from maintenance.policy.matviews import Activity, MatviewPolicy, StaleAnalyticsPolicy
from maintenance.policy.models import Policy
from maintenance.policy.partitions import Archive, ConvertWhen, PartitionPolicy, RetentionPolicy
from maintenance.policy.placement import STANDALONE, Placement
from maintenance.policy.quantities import read_duration, read_moment, read_moment_near
from maintenance.policy.schema import json_schema
from maintenance.policy.secrets import Url
from maintenance.policy.thresholds import (
    BloatPolicy,
    CapacityPolicy,
    IndexesPolicy,
    ParallelPolicy,
    StatisticsPolicy,
    WorkloadPolicy,
)

__all__ = [
    "STANDALONE",
    "Activity",
    "AlertsPolicy",
    "AppriseSink",
    "Archive",
    "BloatPolicy",
    "BrokenPolicyError",
    "CapacityPolicy",
    "ConvertWhen",
    "DatabasePolicy",
    "IndexesPolicy",
    "LocksPolicy",
    "LogSink",
    "MatviewPolicy",
    "ObservePolicy",
    "ParallelPolicy",
    "PartitionPolicy",
    "Placement",
    "Policies",
    "Policy",
    "RedisPolicy",
    "RedisStreamSink",
    "RetentionPolicy",
    "SchedulesPolicy",
    "Sink",
    "StaleAnalyticsPolicy",
    "StatisticsPolicy",
    "StorePolicy",
    "Url",
    "WebhookSink",
    "WorkloadPolicy",
    "alerting_part",
    "json_schema",
    "load_policies",
    "load_policy",
    "parse_policy",
    "policy_paths",
    "read_duration",
    "read_moment",
    "read_moment_near",
]
