"""The list of subjects, in the order of one run."""

from typing import Any

from maintenance.engine.subject import Subject
from maintenance.subjects.bloat import BLOAT
from maintenance.subjects.capacity import CAPACITY
from maintenance.subjects.conversion import CONVERSION
from maintenance.subjects.indexes import INDEXES
from maintenance.subjects.matviews import MATVIEWS
from maintenance.subjects.partitions import PARTITIONS
from maintenance.subjects.redis import CACHING
from maintenance.subjects.retention import RETENTION
from maintenance.subjects.stale_analytics import STALE_ANALYTICS
from maintenance.subjects.statistics import STATISTICS
from maintenance.subjects.workload import WORKLOAD

SUBJECTS: tuple[Subject[Any], ...] = (
    CONVERSION,
    PARTITIONS,
    MATVIEWS,
    STALE_ANALYTICS,
    INDEXES,
    CACHING,
    BLOAT,
    WORKLOAD,
    CAPACITY,
    RETENTION,
    STATISTICS,
)
"""In the order of their work: views are refreshed before retention drops their source rows, and
statistics come last, for the changes of all others; see `engine.action_order`."""
