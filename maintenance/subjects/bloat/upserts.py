"""Unique indexes that are not rebuilt beside an application's upserts.

Up to PostgreSQL 18 an `INSERT … ON CONFLICT` can fail with a false unique violation while a unique
index of its table is rebuilt concurrently: it meets the half-built copy, which it does not take
for the index that it asked for.
"""

from maintenance.server.capabilities import reindexes_beside_upserts
from maintenance.subjects.bloat.models import BloatSnapshot, ObservedIndex


def fails_upserts(index: ObservedIndex, stock: BloatSnapshot) -> bool:
    """Whether a rebuild could fail statements of the application, and the policy has not asked."""
    return can_fail_upserts(index, stock) and index.oid not in stock.asked_for


def can_fail_upserts(index: ObservedIndex, stock: BloatSnapshot) -> bool:
    """Whether a rebuild could fail statements of the application."""
    return index.is_unique and not index.of_view and not reindexes_beside_upserts(stock.major)
