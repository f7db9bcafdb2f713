"""The list of subjects, in the order in which one run takes them."""

from typing import Any

from maintenance.analytics import STALE_ANALYTICS
from maintenance.bloat import BLOAT
from maintenance.caching import CACHING
from maintenance.engine.subject import Subject
from maintenance.indexes import INDEXES
from maintenance.matviews import MATVIEWS
from maintenance.partitions import PARTITIONS
from maintenance.retention import RETENTION
from maintenance.statistics import STATISTICS
from maintenance.workload import WORKLOAD

SUBJECTS: tuple[Subject[Any], ...] = (
    PARTITIONS,
    MATVIEWS,
    STALE_ANALYTICS,
    INDEXES,
    CACHING,
    BLOAT,
    WORKLOAD,
    RETENTION,
    STATISTICS,
)
"""In the order of their work: views see a month once more before it goes, and what all of them have
changed is analyzed last; see `engine.schedule`."""
