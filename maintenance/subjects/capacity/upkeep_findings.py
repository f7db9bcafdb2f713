"""Findings on what was left behind: collations, extensions, constraints, autovacuum. Pure."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.formatting import counted_noun, listed, readable_size
from maintenance.names import QualifiedName, quote
from maintenance.subjects.capacity.models import (
    IN_DATA,
    CapacityObservation,
    Collation,
    Constraint,
    ConversionCheck,
    Extension,
    Vacuumed,
)

SHOWN = 5
LARGE_BYTES = 10 * 2**20
"""Smaller tables do no harm while autovacuum leaves them out."""
PAGE_BYTES = 8192
MANY_DEAD = 1000
DEAD_SHARE = 0.2
RECENT = timedelta(days=7)
"""A table that somebody vacuums so often needs no autovacuum."""
LONG = timedelta(days=30)
LEAST_THRESHOLD = 10_000_000
"""Dead rows that autovacuum waits for in a large table: more are too many."""
ADVISED_SCALE = 0.01
"""The share of the rows that is advised as threshold of a large table."""
REPLACED_DAYS = 7
"""A conversion that goes on replaces its CHECK when fewer days are left."""
URGENT_DAYS = 3
DIGITS = re.compile(r"\d+")


def upkeep_findings(database: str, seen: CapacityObservation, now: datetime) -> Iterator[Finding]:
    """Yield what was left behind and will hurt later."""
    yield from (_collation(database, each) for each in seen.collations)
    yield from (_extension(database, each) for each in seen.extensions if _is_behind(each))
    yield from (_constraint(each) for each in seen.constraints)
    yield from (_refusal(each, now) for each in seen.conversion_checks if _is_near(each, now))
    if seen.limits is not None and not seen.limits.autovacuum:
        yield _server_off(database)
    left_out = [
        each
        for each in seen.vacuumed
        if each.is_off and not _is_tiny(each) and not _is_kept(each, now)
    ]
    told = {each.root for each in left_out}
    unmet = [each for each in seen.vacuumed if _is_unmet(each, now) and each.root not in told]
    yield from (_left_out(root, found, now) for root, found in _by_root(left_out))
    yield from (_large(root, found, now) for root, found in _by_root(unmet))


def _by_root(tables: Iterable[Vacuumed]) -> Iterable[tuple[QualifiedName, list[Vacuumed]]]:
    """Return tables by the table that they are partitions of."""
    found: dict[QualifiedName, list[Vacuumed]] = {}
    for each in tables:
        found.setdefault(each.root, []).append(each)
    return found.items()


def _collation(database: str, each: Collation) -> Finding:
    is_default = each.schema is None
    name = quote(each.name) if is_default else str(QualifiedName(each.schema or "", each.name))
    kind = "DATABASE" if is_default else "COLLATION"
    what = f"the default collation of database {name}" if is_default else f"collation {name}"
    statements = [f"REINDEX INDEX CONCURRENTLY {index}" for index in each.indexes]
    refresh = f"ALTER {kind} {name} REFRESH {'COLLATION ' if is_default else ''}VERSION"
    tables = (
        f" Check the partitions of {listed(each.tables, SHOWN)}: rows may belong elsewhere."
        if each.tables
        else ""
    )
    concerned = (
        f"{counted_noun(each.n_indexes, 'index')} in the old order ({listed(each.indexes, SHOWN)}):"
        " lookups can miss rows, and a unique index can take duplicates. Rebuild, then run"
        if each.n_indexes
        else "no index depends on it. Run"
    )
    return Finding(
        FindingKind.COLLATION_MISMATCH,
        Severity.WARN if each.n_indexes or each.tables else Severity.INFO,
        database if is_default else name,
        f"{what} was version {each.recorded}, and the library of the system has {each.actual};"
        f" {concerned} {refresh}.{tables}",
        value=each.n_indexes,
        threshold=0,
        data={
            "recorded": each.recorded,
            "actual": each.actual,
            "indexes": list(each.indexes),
            "n_indexes": each.n_indexes,
            "tables": list(each.tables),
            "statements": [*statements, refresh],
        },
    )


def _is_behind(each: Extension) -> bool:
    """Whether the installed version is older; where that can't be told, a script tells it."""
    return each.has_script or _version(each.installed) < _version(each.available)


def _version(text: str) -> list[int]:
    return [int(number) for number in DIGITS.findall(text)]


def _extension(database: str, each: Extension) -> Finding:
    statement = f"ALTER EXTENSION {quote(each.name)} UPDATE"
    advice = (
        f"read its release notes, then run {statement}"
        if each.has_script
        else "there is no update script from this version: see its documentation"
    )
    return Finding(
        FindingKind.EXTENSION_OUTDATED,
        Severity.INFO,
        f"{database}/extension/{each.name}",
        f"{database}: extension {each.name} is version {each.installed}, the server offers"
        f" {each.available}; fixes in its SQL objects are missing: {advice}",
        value=each.installed,
        threshold=each.available,
        data={"has_script": each.has_script, "statements": [statement] if each.has_script else []},
    )


def _constraint(each: Constraint) -> Finding:
    name = f"{each.table}.{quote(each.name)}"
    statement = f"ALTER TABLE {each.table} VALIDATE CONSTRAINT {quote(each.name)}"
    # by relpages, which is 0 before the first VACUUM or ANALYZE
    is_known = each.size_bytes > 0
    size = f"{readable_size(each.size_bytes)} at its last VACUUM" if is_known else "of unknown size"
    return Finding(
        FindingKind.CONSTRAINT_NOT_VALID,
        Severity.INFO,
        name,
        f"{name}: the {each.what} constraint is NOT VALID: rows from before it were never checked,"
        f" and the planner does not rely on it; run {statement}, which scans the table"
        f" ({size}), blocks no reader or writer, and"
        f" fails if rows violate it{IN_DATA}",
        data={
            "what": each.what,
            "size_bytes": each.size_bytes,
            "table": str(each.table),
            "statements": [statement],
        },
    )


def _days_left(check: ConversionCheck, now: datetime) -> int | None:
    """Return the days until it refuses rows; None if that is unknown."""
    if check.refuses_from is None:
        return None
    return (check.refuses_from - now.astimezone(UTC).date()).days


def _is_near(check: ConversionCheck, now: datetime) -> bool:
    """Whether the next run should have replaced it; a conversion at work is further ahead."""
    left = _days_left(check, now)
    return left is None or left <= REPLACED_DAYS


def _refusal(each: ConversionCheck, now: datetime) -> Finding:
    left, table = _days_left(each, now), str(each.table)
    statement = f"ALTER TABLE {table} DROP CONSTRAINT {quote(each.name)}"
    when = f"from {each.refuses_from} on" if each.refuses_from else "from an unknown day on"
    is_urgent = left is None or left <= URGENT_DAYS
    return Finding(
        FindingKind.CONVERSION_CHECK_LEFT,
        Severity.ERROR if is_urgent else Severity.WARN,
        table,
        f"{table}: CHECK {quote(each.name)} of an unfinished conversion refuses rows {when}. Run"
        " maintenance apply, which finishes the conversion or replaces the CHECK; if the table was"
        f" renamed, or no policy names it any more, run {statement}",
        value=left,
        threshold=REPLACED_DAYS,
        data={
            "table": table,
            "check": each.name,
            "refuses_from": str(each.refuses_from) if each.refuses_from else None,
            "statements": [statement],
        },
    )


def _server_off(database: str) -> Finding:
    statements = ["ALTER SYSTEM SET autovacuum = on", "SELECT pg_catalog.pg_reload_conf()"]
    return Finding(
        FindingKind.AUTOVACUUM_INEFFECTIVE,
        Severity.WARN,
        database,
        f"{database}: autovacuum is off on this server: dead rows stay, statistics get stale, and"
        f" tables are only vacuumed against wraparound; run {'; '.join(statements)}",
        data={"reason": "server_off", "statements": statements},
    )


def _left_out(root: QualifiedName, found: Sequence[Vacuumed], now: datetime) -> Finding:
    worst = max(found, key=lambda each: (_hurts(each), each.n_dead, each.size_bytes or 0))
    return Finding(
        FindingKind.AUTOVACUUM_INEFFECTIVE,
        Severity.WARN if any(map(_hurts, found)) else Severity.INFO,
        str(root),
        f"{root}: autovacuum is off for {_which(worst, found)}"
        f" ({_size(worst)}, {worst.n_dead:,} dead rows, {_last(worst)}); dead"
        f" rows stay until wraparound forces a VACUUM. Run {_turn_on(worst)}, or vacuum it by a"
        " schedule",
        value=_days(worst, now),
        data={
            "reason": "table_off",
            "tables": [str(each.table) for each in found],
            "statements": [_turn_on(each) for each in found],
            **_facts(worst),
        },
    )


def _turn_on(each: Vacuumed) -> str:
    option = "toast.autovacuum_enabled" if each.is_toast else "autovacuum_enabled"
    return f"ALTER TABLE {each.table} RESET ({option})"


def _which(worst: Vacuumed, found: Sequence[Vacuumed]) -> str:
    """Return which of a table's parts autovacuum leaves out."""
    part = "its TOAST table" if worst.is_toast else "this table"
    if worst.table == worst.root:
        return part
    of = f"the TOAST table of {worst.table}" if worst.is_toast else f"its partition {worst.table}"
    return f"{of} and {counted_noun(len(found) - 1, 'other')}" if len(found) > 1 else of


def _is_kept(each: Vacuumed, now: datetime) -> bool:
    """Whether somebody vacuums the table anyway."""
    return each.vacuumed_at is not None and each.vacuumed_at >= now - RECENT


def _is_tiny(each: Vacuumed) -> bool:
    """Whether the table has one page or one row at most: there is nothing to clean up."""
    if each.size_bytes is not None and each.size_bytes <= PAGE_BYTES:
        return True
    return 0 <= each.n_rows <= 1 and not _hurts(each)


def _hurts(each: Vacuumed) -> bool:
    n_rows = max(each.n_rows, 0)
    is_large = (each.size_bytes or 0) >= LARGE_BYTES and each.n_written > 0
    return is_large or each.n_dead >= max(MANY_DEAD, DEAD_SHARE * n_rows)


def _is_unmet(each: Vacuumed, now: datetime) -> bool:
    """Whether a large table is written and waits for more dead rows than it should.

    A table that was vacuumed within a month meets its threshold, or somebody vacuums it.
    """
    is_recent = each.vacuumed_at is not None and each.vacuumed_at >= now - LONG
    return (
        not each.is_off
        and each.threshold >= LEAST_THRESHOLD
        and each.scale > ADVISED_SCALE
        and each.n_written > 0
        and not is_recent
    )


def _large(root: QualifiedName, found: Sequence[Vacuumed], now: datetime) -> Finding:
    worst = max(found, key=lambda each: (each.n_dead, each.n_rows))
    return Finding(
        FindingKind.AUTOVACUUM_INEFFECTIVE,
        Severity.WARN if any(_has_waited(each, now) for each in found) else Severity.INFO,
        str(root),
        f"{root}: in {_which(worst, found)} autovacuum waits for {worst.threshold:,.0f} dead rows"
        f" (scale factor {worst.scale:g} of about {worst.n_rows:,.0f} rows); it has"
        f" {worst.n_dead:,}, {_last(worst)}. Bloat grows until then, and VACUUM takes long."
        f" Run {_lower(worst)}",
        value=_days(worst, now),
        threshold=float(LONG.days),
        data={
            "reason": "threshold_not_met",
            "tables": [str(each.table) for each in found],
            "statements": [_lower(each) for each in found],
            **_facts(worst),
        },
    )


def _has_waited(each: Vacuumed, now: datetime) -> bool:
    """Whether dead rows gather, and have been counted for long enough to say so."""
    since = each.counted_since
    is_long = each.vacuumed_at is not None or (since is not None and since < now - LONG)
    return is_long and each.n_dead > ADVISED_SCALE * each.n_rows


def _lower(each: Vacuumed) -> str:
    return (
        f"ALTER TABLE {each.table} SET (autovacuum_vacuum_scale_factor = {ADVISED_SCALE},"
        f" autovacuum_vacuum_insert_scale_factor = {ADVISED_SCALE},"
        f" autovacuum_analyze_scale_factor = {ADVISED_SCALE})"
    )


def _facts(each: Vacuumed) -> dict[str, Any]:
    at = each.vacuumed_at
    return {
        "rows": each.n_rows,
        "dead_rows": each.n_dead,
        "vacuum_threshold": each.threshold,
        "size_bytes": each.size_bytes,
        "vacuumed_at": at.isoformat() if at is not None else None,
    }


def _last(each: Vacuumed) -> str:
    at = each.vacuumed_at
    if at is not None:
        return f"last vacuumed on {at:%Y-%m-%d}"
    since = each.counted_since
    if each.n_rows < 0 or since is None:
        return "never vacuumed"
    return f"no VACUUM since counters started on {since:%Y-%m-%d}"


def _size(each: Vacuumed) -> str:
    """Return the size; a table that another session locks has none that is known."""
    return "size unknown" if each.size_bytes is None else readable_size(each.size_bytes)


def _days(each: Vacuumed, now: datetime) -> float | None:
    at = each.vacuumed_at
    return round((now - at) / timedelta(days=1), 1) if at is not None else None
