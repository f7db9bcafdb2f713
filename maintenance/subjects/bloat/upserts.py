"""Unique indexes that are not rebuilt because the application's upserts could fail.

Up to PostgreSQL 18 an `INSERT … ON CONFLICT` can fail with a false unique violation while a unique
index of its table is rebuilt concurrently: it finds the incomplete copy and does not recognize it
as its arbiter index.
Source: PostgreSQL 19 release notes; commits bc32a12 and 2bc7e886.
"""

from maintenance.server.capabilities import reindexes_beside_upserts
from maintenance.subjects.bloat.models import BloatSnapshot, ObservedIndex


def fails_upserts(index: ObservedIndex, stock: BloatSnapshot) -> bool:
    """Whether a rebuild could make upserts fail, and the policy does not name the index."""
    return can_fail_upserts(index, stock) and index.oid not in stock.asked_for


def can_fail_upserts(index: ObservedIndex, stock: BloatSnapshot) -> bool:
    """Whether a rebuild could make upserts of the application fail."""
    return index.is_unique and not index.of_view and not reindexes_beside_upserts(stock.major)
