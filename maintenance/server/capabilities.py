"""What each major version of PostgreSQL can do, as far as it makes a difference here. Pure."""

OLDEST = 15
"""The oldest major version that is served."""


def major_of(version: int) -> int:
    """Return the major version of one as libpq reports it, such as 18 of 180004."""
    return version // 10000


def is_served(major: int) -> bool:
    """Whether work on such a server is safe; before 15, concurrent detaching loses foreign keys."""
    return major >= OLDEST


def has_last_scan(major: int) -> bool:
    """Whether it tells when an index was last scanned (`pg_stat_all_indexes.last_idx_scan`)."""
    return major >= 16


def has_maintain(major: int) -> bool:
    """Whether it knows the privilege MAINTAIN and the role `pg_maintain`."""
    return major >= 17


def has_transaction_timeout(major: int) -> bool:
    """Whether it knows the setting `transaction_timeout`."""
    return major >= 17


def restricts_search_path(major: int) -> bool:
    """Whether maintenance commands run functions of indexes and views with a path of their own."""
    return major >= 17


def has_analyze_only(major: int) -> bool:
    """Whether `ANALYZE ONLY` analyzes a partitioned table without its partitions."""
    return major >= 18


def has_skip_scan(major: int) -> bool:
    """Whether it can search a btree by a later column, once for each value of the ones before."""
    return major >= 18


def reindexes_beside_upserts(major: int) -> bool:
    """Whether `INSERT ... ON CONFLICT` is safe while a unique index is rebuilt concurrently.

    Source: PostgreSQL 19 release notes; commits bc32a12 and 2bc7e886.
    """
    return major >= 19


def has_wide_multixact_offsets(major: int) -> bool:
    """Whether multixact members have no limit but the disk: their offsets have 64 bits.

    Source: PostgreSQL 19 release notes; commit bd8d9c9.
    """
    return major >= 19


def has_repack(major: int) -> bool:
    """Whether `REPACK (CONCURRENTLY)` rewrites a table online."""
    return major >= 19
