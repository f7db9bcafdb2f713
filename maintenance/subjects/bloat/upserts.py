"""Unique indexes that are not rebuilt beside an application's upserts.

Up to PostgreSQL 18 an `INSERT … ON CONFLICT` can fail with a false unique violation while a unique
index of its table is rebuilt concurrently: it meets the half-built copy, which it does not take
for the index that it asked for.
Source: PostgreSQL 19 release notes; commits bc32a12 and 2bc7e886.
"""

from maintenance.subjects.bloat.models import BloatSnapshot, ObservedIndex

MENDED_IN = 19


def fails_upserts(index: ObservedIndex, stock: BloatSnapshot) -> bool:
    """Whether a rebuild could fail statements of the application, and the policy has not asked."""
    return can_fail_upserts(index, stock) and index.oid not in stock.asked_for


def can_fail_upserts(index: ObservedIndex, stock: BloatSnapshot) -> bool:
    """Whether a rebuild could fail statements of the application."""
    return index.is_unique and not index.of_view and stock.major < MENDED_IN
