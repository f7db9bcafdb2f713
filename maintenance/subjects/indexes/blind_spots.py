"""Findings on incomplete observation of indexes, and the findings that are unknown therefore."""

from collections.abc import Collection, Iterator
from datetime import datetime

from maintenance.engine.findings import (
    UNKNOWN,
    Finding,
    FindingKind,
    Reading,
    Severity,
    unknown_without,
)
from maintenance.errors import NO_REPLICA
from maintenance.formatting import counted, counted_noun, listed, readable_span
from maintenance.names import QualifiedName, quote
from maintenance.policy import Policy
from maintenance.policy.thresholds import IndexesPolicy
from maintenance.subjects.indexes.models import Table
from maintenance.subjects.indexes.observation import IndexesObservation
from maintenance.subjects.indexes.usage import ServerUsage

_DAY_S = 86_400
_MOST_NAMED = 100
_FEW = 5
"""How many tables a message names."""


def blind_spot_findings(
    policy: Policy, limits: IndexesPolicy, seen: IndexesObservation, now: datetime
) -> Iterator[Finding]:
    """Yield unreachable replicas, locked tables, hidden statistics and incomplete evidence."""
    for witness in seen.witnesses:
        if witness.usage is None:
            yield _unreachable(policy, witness)
    for relation in seen.catalog.blind:
        yield _blind(policy.database.name, relation, seen)
    yield from _hidden(policy.database.name, limits, seen)
    if seen.advice.unproven:
        yield _unproven(policy, limits, seen, now)


def _unreachable(policy: Policy, witness: ServerUsage) -> Finding:
    name = f"{policy.database.name}/{witness.name}"
    is_tolerated = policy.database.optional_replicas and witness.reason not in NO_REPLICA
    return Finding(
        FindingKind.REPLICA_UNREACHABLE,
        Severity.WARN if is_tolerated else Severity.ERROR,
        name,
        f"{name}: {witness.silence}; unused-index detection is paused until the replica responds",
        data={"reason": witness.reason},
    )


def _blind(database: str, relation: QualifiedName, seen: IndexesObservation) -> Finding:
    names = sorted(map(str, seen.catalog.blind[relation]))
    tables = seen.catalog.tables
    has_keys = any(
        (table := tables.get(key.table_oid)) and table.relation == relation
        for key in seen.catalog.foreign_keys
    )
    unknown = {
        **unknown_without(Reading.INDEX_DEFINITIONS, names),
        **unknown_without(Reading.COLUMN_STATISTICS, names),
        **unknown_without(Reading.FOREIGN_KEYS, [database] if has_keys else []),
    }
    return Finding(
        FindingKind.MONITOR_BLIND,
        Severity.WARN,
        str(relation),
        f"{relation}: indexes not checked: the table is locked in ACCESS EXCLUSIVE mode; retried"
        " on the next run",
        data={"table": str(relation), UNKNOWN: unknown},
    )


def _hidden(database: str, limits: IndexesPolicy, seen: IndexesObservation) -> Iterator[Finding]:
    """Yield one finding for all large tables whose statistics are not visible to this role."""
    indexes = [
        (index, table)
        for index in seen.catalog.indexes
        if (table := seen.catalog.tables[index.table_oid]).rows >= limits.low_cardinality.min_rows
        and (table.is_secured or not table.is_readable)
    ]
    tables = {table.oid: table for _, table in indexes}
    if not tables:
        return
    grants, role = _grants(tables.values(), seen.role), quote(seen.role)
    names = sorted(str(index.relation) for index, _ in indexes)
    yield Finding(
        FindingKind.PRIVILEGE_MISSING,
        Severity.WARN,
        f"{database}/indexes",
        f"{database}/indexes: role {role} can't read the statistics of {_named(tables.values())};"
        f" low cardinality and wide keys are not checked there; run {'; '.join(grants)}",
        value=len(tables),
        threshold=0,
        data={
            "grants": grants,
            "tables": sorted(str(table.relation) for table in tables.values()),
            UNKNOWN: unknown_without(Reading.COLUMN_STATISTICS, _at_most(names)),
        },
    )


def _grants(tables: Collection[Table], role: str) -> list[str]:
    grants: list[str] = []
    if not all(table.is_readable for table in tables):
        grants.append(f"GRANT pg_read_all_data TO {quote(role)}")
    if any(table.is_secured for table in tables):
        grants.append(f"ALTER ROLE {quote(role)} BYPASSRLS")
    return grants


def _named(tables: Collection[Table]) -> str:
    names = sorted(str(table.relation) for table in tables)
    return counted(names, "table", _FEW)


def _unproven(
    policy: Policy, limits: IndexesPolicy, seen: IndexesObservation, now: datetime
) -> Finding:
    name = policy.database.name
    days = limits.unused.window.days
    starts = [witness.watched_since or now for witness in seen.witnesses]
    watched = round((now - max(starts)).total_seconds() / _DAY_S, 1)
    reset = sorted(str(index.relation) for index in seen.advice.reset)
    found = sorted(str(index.relation) for index in seen.advice.unproven)
    own = {str(index.relation): gap for index, gap in seen.advice.own_gaps}
    told = dict(list(own.items())[:_MOST_NAMED])
    waits = bool(seen.advice.gaps) or bool(set(found) - own.keys() - set(reset))
    reasons: list[str] = []
    if waits:
        span = readable_span(limits.unused.window)
        reasons.append(f"not every server has counters of {span}; all servers have {watched} days")
    reasons += [f"{server}: {gap.text}" for server, gap in seen.advice.gaps]
    if reset:
        reasons.append(f"counters of {listed(reset, _FEW)} were reset in that time")
    if own:
        reasons.append(listed([f"{index}: {gap.text}" for index, gap in own.items()], _FEW, "; "))
    return Finding(
        FindingKind.INDEX_EVIDENCE_INSUFFICIENT,
        Severity.INFO,
        name,
        f"{name}: {counted_noun(len(found), 'index')} without recorded use, not reported as unused"
        f" yet: {'; '.join(reasons)}",
        value=watched if waits else None,
        threshold=days if waits else None,
        data={
            "indexes": found[:_MOST_NAMED],
            "n_indexes": len(found),
            "gaps": {name: gap.text for name, gap in (*seen.advice.gaps, *told.items())},
            "reset": reset[:_MOST_NAMED],
            "reasons": {name: gap.reason for name, gap in (*seen.advice.gaps, *told.items())},
            # an alert on one of them is kept until there is evidence
            UNKNOWN: {FindingKind.INDEX_UNUSED.value: _at_most(found)},
        },
    )


def _at_most(names: list[str]) -> list[str] | None:
    """Return the names, or None (which means all) if there are too many."""
    return names if len(names) <= _MOST_NAMED else None
