"""History, in schema `maintenance` of the store database: runs, their journal, their findings."""

from maintenance.store.journal import Journal, RecentRun, recent_runs
from maintenance.store.migrations import is_ready, migrate, missing_right

__all__ = ["Journal", "RecentRun", "is_ready", "migrate", "missing_right", "recent_runs"]
