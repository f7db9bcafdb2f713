"""Validate that the tables and columns of a section exist."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from maintenance import names
from maintenance.catalog.models import Snapshot
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.names import QualifiedName, quote
from maintenance.policy import StaleAnalyticsPolicy


def validate(section: StaleAnalyticsPolicy, snapshot: Snapshot) -> Finding | None:
    """Return the first reason why the section is invalid; None if it is valid.

    If only the table itself was requested, the activity table is not checked here; the query
    fails then.
    """
    return next(_reasons(section, snapshot), None)


def _reasons(section: StaleAnalyticsPolicy, snapshot: Snapshot) -> Iterator[Finding]:
    yield from _absent(section, section.table, snapshot)
    yield from _columns(section, section.table, (*section.key, section.calculated_at), snapshot)
    if activity := section.activity:
        yield from _absent(section, activity.table, snapshot)
        yield from _columns(section, activity.table, (*activity.key, activity.at), snapshot)


def _absent(
    section: StaleAnalyticsPolicy, table: QualifiedName, snapshot: Snapshot
) -> Iterator[Finding]:
    if table in snapshot.missing:
        near = list(snapshot.missing[table])
        text = f"no such table in database {snapshot.server.database}: {table}{_guess(near)}"
        facts = {"table": str(table), "near": near}
        yield _finding(section, FindingKind.NO_SUCH_TABLE, text, facts)


def _columns(
    section: StaleAnalyticsPolicy,
    table: QualifiedName,
    wanted: Iterable[str],
    snapshot: Snapshot,
) -> Iterator[Finding]:
    if table not in snapshot.tables:
        return
    known = [column.name for column in snapshot.tables[table].columns]
    for name in wanted:
        if name not in known:
            near = names.near(name, known)
            text = f"{table} has no column {quote(name)}{_guess(map(quote, near))}"
            facts = {"table": str(table), "column": name, "near": near}
            yield _finding(section, FindingKind.NO_SUCH_COLUMN, text, facts)


def _guess(near: Iterable[str]) -> str:
    guesses = " or ".join(near)
    return f"; did you mean {guesses}?" if guesses else ""


def _finding(
    section: StaleAnalyticsPolicy, kind: FindingKind, text: str, facts: Mapping[str, Any]
) -> Finding:
    name = str(section.table)
    return Finding(kind, Severity.ERROR, name, f"{name}: {text}", data=facts)
