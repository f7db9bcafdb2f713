"""Which indexes a run may rebuild, whatever their bloat. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from maintenance.policy.thresholds import BloatPolicy
from maintenance.subjects.bloat.backoff import backoff_of
from maintenance.subjects.bloat.models import BloatSnapshot, ObservedIndex, Rebuild
from maintenance.subjects.bloat.superfluous import advice_against, has_duplicate
from maintenance.subjects.bloat.upserts import fails_upserts

REST = timedelta(days=10)
"""How long an index is not rebuilt again."""


def is_due(index: ObservedIndex, stock: BloatSnapshot, section: BloatPolicy, now: datetime) -> bool:
    """Whether a run would rebuild this index, if its bloat is above the threshold."""
    return (
        section.reindex == "concurrently"
        and index.is_rebuildable
        and index.manageable
        and not _is_rested(index, stock.rebuilds, now)
        and not fails_upserts(index, stock)
        and not _is_put_off(index, stock.rebuilds, now)
        and advice_against(index, stock) is None
        and not has_duplicate(index, stock)
    )


def _is_rested(index: ObservedIndex, rebuilds: Sequence[Rebuild], now: datetime) -> bool:
    return any(
        rebuild.size_after is not None
        and rebuild.name == str(index.relation)
        and rebuild.started_at > now - REST
        for rebuild in rebuilds
    )


def _is_put_off(index: ObservedIndex, rebuilds: Sequence[Rebuild], now: datetime) -> bool:
    backoff = backoff_of(index.oid, rebuilds)
    return backoff is not None and backoff.holds(now)
