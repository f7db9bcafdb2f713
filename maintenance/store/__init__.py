"""History, in schema `maintenance` of the store database: runs, findings, what was observed."""

from maintenance.store.history import forget_runs, history_tables, longest_keep
from maintenance.store.journal import Journal, RecentRun, recent_runs
from maintenance.store.migrations import is_ready, migrate, missing_right

__all__ = [
    "Journal",
    "RecentRun",
    "forget_runs",
    "history_tables",
    "is_ready",
    "longest_keep",
    "migrate",
    "missing_right",
    "recent_runs",
]
