"""The history in schema `maintenance` of the store database: runs, findings, observations."""

from maintenance.store.costs import record_costs
from maintenance.store.history_retention import forget_runs, history_due, longest_keep
from maintenance.store.journal import (
    Journal,
    RecentRun,
    UnrecordedJournal,
    first_run,
    recent_runs,
)
from maintenance.store.migrations import is_made, is_ready, migrate, missing_right
from maintenance.store.ownership import RECENT, SCHEMA, made_by_migrations, require_own
from maintenance.store.refresh import Refresh
from maintenance.store.refresh_ledger import (
    add_refresh,
    newest_failures,
    newest_refreshes,
    note_proofs,
)
from maintenance.store.view_definitions import known_definitions, note_definitions

__all__ = [
    "RECENT",
    "SCHEMA",
    "Journal",
    "RecentRun",
    "Refresh",
    "UnrecordedJournal",
    "add_refresh",
    "first_run",
    "forget_runs",
    "history_due",
    "is_made",
    "is_ready",
    "known_definitions",
    "longest_keep",
    "made_by_migrations",
    "migrate",
    "missing_right",
    "newest_failures",
    "newest_refreshes",
    "note_definitions",
    "note_proofs",
    "recent_runs",
    "record_costs",
    "require_own",
]
