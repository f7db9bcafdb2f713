"""Findings on statistics: the worst tables, missing privileges, failed checks."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from maintenance.engine.findings import (
    UNKNOWN,
    Finding,
    FindingKind,
    Reading,
    Severity,
    unknown_without,
)
from maintenance.engine.scope import Request
from maintenance.formatting import counted, listed
from maintenance.names import near, quote
from maintenance.policy import Policy
from maintenance.server.capabilities import has_maintain
from maintenance.subjects.statistics.due import Due, Why
from maintenance.subjects.statistics.models import (
    ForeignPartition,
    StatisticsObservation,
    TableFacts,
    ancestors,
)

LISTED = 20
"""How many tables have their own finding; the others are counted."""

MOST_TABLES = 100
"""How many tables the data of a finding names."""

NAMED = 5
"""How many tables a message names."""

COUNT = ("ALTER SYSTEM SET track_counts = on", "SELECT pg_reload_conf()")
"""The statements that turn counting on."""

_KINDS = {Why.CHANGED: FindingKind.STATISTICS_STALE, Why.MISSING: FindingKind.STATISTICS_MISSING}


def findings_of(
    policy: Policy, seen: StatisticsObservation, due: Sequence[Due]
) -> Iterator[Finding]:
    """Yield findings: stale and missing statistics, missing privileges, track_counts off.

    A table that this role may not analyze is only in the finding on privileges.
    """
    name = policy.database.name
    permitted = [item for item in due if item.table.permitted]
    section = policy.statistics
    reporting = "report" in (policy.database.mode, section.mode if section is not None else "act")
    for why, kind in _KINDS.items():
        of_kind = [item for item in permitted if item.why is why]
        yield from _listed(name, kind, of_kind, seen, reporting=reporting)
    yield from _failed(seen)
    yield from _rights(f"{name}/statistics", seen)
    if not seen.counts:
        yield _blind(f"{name}/statistics")


def unknown_table(seen: StatisticsObservation, request: Request) -> Iterator[Finding]:
    """Report a table asked for by hand that does not exist."""
    names = {table.relation for table in seen.tables}
    if not request.forced or request.table is None or request.table in names:
        return
    guesses = near(str(request.table), sorted(map(str, names)), n=1)
    hint = f"did you mean {guesses[0]}?" if guesses else "name it with its schema"
    yield Finding(
        FindingKind.NO_SUCH_TABLE,
        Severity.ERROR,
        str(request.table),
        f"{request.table}: no such table or materialized view; {hint}",
        data={"near": guesses},
    )


def _listed(
    name: str,
    kind: FindingKind,
    due: Sequence[Due],
    seen: StatisticsObservation,
    *,
    reporting: bool,
) -> Iterator[Finding]:
    waiting = [item for item in due if item.table.autovacuum_pid is None]
    by_oid = {table.oid: table for table in seen.tables}
    for item in waiting[:LISTED]:
        yield _finding(kind, item, _root(item.table, by_oid), seen, reporting=reporting)
    if len(waiting) > LISTED:
        left = waiting[LISTED:]
        message = f"{name}: {len(left)} more tables, less urgent than those with their own finding"
        roots = {_root(item.table, by_oid) for item in left}
        data = {"tables": sorted(roots)[:MOST_TABLES]}
        are_new = kind is FindingKind.STATISTICS_MISSING and roots <= seen.made
        severity = Severity.INFO if are_new else Severity.WARN
        yield Finding(kind, severity, name, message, value=len(left), threshold=0, data=data)


def _root(table: TableFacts, by_oid: Mapping[int, TableFacts]) -> str:
    """Return the name of the partitioned table that a table belongs to, else its own."""
    return str([table, *ancestors(table, by_oid)][-1].relation)


def _finding(
    kind: FindingKind, due: Due, root: str, seen: StatisticsObservation, *, reporting: bool
) -> Finding:
    name, foreign = str(due.table.relation), seen.foreign.get(due.table.oid, ())
    todo = _by_hand(name, foreign) if foreign else "; maintenance apply analyzes it"
    if reporting and not foreign:
        todo = f"; the mode of the policy is report: run ANALYZE {name}"
    in_the_way: dict[str, Any] = {"table": root} if root != name else {}
    if foreign:
        in_the_way["foreign"] = [str(each.relation) for each in foreign]
    if due.why is Why.MISSING:
        is_new = not foreign and not reporting and not seen.made.isdisjoint((name, root))
        severity = Severity.INFO if is_new else Severity.WARN
        todo = "; made since the last nightly run, the next one analyzes it" if is_new else todo
        message = f"{name}: has rows but no statistics, so the planner guesses{todo}"
        return Finding(kind, severity, name, message, data=in_the_way)
    below = " below it" if due.table.is_parent else ""
    message = (
        f"{name}: {due.value:,.0f} rows{below} changed since its last ANALYZE, limit"
        f" {due.threshold:,.0f}{todo}"
    )
    data = {
        "parent": due.table.is_parent,
        "rows": due.table.n_rows,
        "by_hand": bool(foreign) or reporting,
        **in_the_way,
    }
    threshold = round(due.threshold, 1)
    return Finding(
        kind, Severity.WARN, name, message, value=due.value, threshold=threshold, data=data
    )


def _by_hand(name: str, foreign: Sequence[ForeignPartition]) -> str:
    """Return why a parent is not analyzed: ANALYZE would read its foreign partitions."""
    shown = listed((f"{each.relation} (on server {each.server})" for each in foreign), NAMED)
    return (
        f"; not analyzed, because ANALYZE also reads its foreign partitions {shown}."
        " Its local partitions are analyzed one by one. When those servers respond, run"
        f" ANALYZE {name}; or detach the foreign partitions"
    )


def _failed(seen: StatisticsObservation) -> Iterator[Finding]:
    for relation, error in seen.failed.items():
        name = str(relation)
        yield Finding(
            FindingKind.MONITOR_BLIND,
            Severity.ERROR,
            name,
            f"{name}: not checked for missing statistics: {error}",
            data={UNKNOWN: unknown_without(Reading.TABLE_STATISTICS, [name])},
        )


def _rights(name: str, seen: StatisticsObservation) -> Iterator[Finding]:
    forbidden = [table for table in seen.tables if not table.permitted]
    undescribed = [t for t in seen.tables if t.described is None and t.filled]
    hidden = [table for table in undescribed if table.secured]
    unseen = [table for table in undescribed if not table.secured]
    grants: list[str] = []
    lacks: list[str] = []
    if forbidden:
        lacks.append(f"may not analyze {_named(forbidden)}")
        grants += _to_maintain(forbidden, seen)
    if unseen:
        lacks.append(f"can't read the statistics of {_named(unseen)}")
        grants.append(f"GRANT pg_read_all_data TO {quote(seen.role)}")
    if hidden:
        lacks.append(f"can't read the statistics of {_named(hidden)} because of row-level security")
        grants.append(f"ALTER ROLE {quote(seen.role)} BYPASSRLS")
    if grants:
        yield Finding(
            FindingKind.PRIVILEGE_MISSING,
            Severity.WARN,
            name,
            f"{name}: role {quote(seen.role)} {' and '.join(lacks)}; run {'; '.join(grants)}",
            value=len({table.oid for table in (*forbidden, *undescribed)}),
            threshold=0,
            data={
                "grants": grants,
                "tables": sorted({str(table.relation) for table in (*forbidden, *undescribed)}),
            },
        )


def _to_maintain(tables: Sequence[TableFacts], seen: StatisticsObservation) -> Iterator[str]:
    role = quote(seen.role)
    if not has_maintain(seen.major):
        yield from sorted(
            {seen.rights.right_to_act(table.owner, table.relation) for table in tables}
        )
    elif len(tables) <= NAMED:
        names = ", ".join(sorted(str(table.relation) for table in tables))
        yield f"GRANT MAINTAIN ON TABLE {names} TO {role}"
    else:
        yield f"GRANT pg_maintain TO {role}"


def _named(tables: Sequence[TableFacts]) -> str:
    names = sorted(str(table.relation) for table in tables)
    return counted(names, "table", NAMED)


def _blind(name: str) -> Finding:
    return Finding(
        FindingKind.MONITOR_BLIND,
        Severity.ERROR,
        name,
        f"{name}: track_counts is off, so stale statistics are not detected (only missing ones) and"
        f" autovacuum does not run; run {', then '.join(COUNT)}",
        data={"statements": list(COUNT)},
    )
