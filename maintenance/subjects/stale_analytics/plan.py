"""Plan for computed rows: report stale ones, and recalculate them if the policy says so."""

from collections.abc import Iterator
from datetime import datetime

from maintenance.engine.actions import Action, ActionKind, Step
from maintenance.engine.findings import (
    UNKNOWN,
    Finding,
    FindingKind,
    Reading,
    Severity,
    unknown_without,
)
from maintenance.engine.plan import Plan, join
from maintenance.engine.scope import Request
from maintenance.formatting import readable_span
from maintenance.names import quote
from maintenance.policy import Policy, StaleAnalyticsPolicy
from maintenance.subjects.stale_analytics.models import StaleAnalyticsObservation, Staleness


def plan(policy: Policy, seen: StaleAnalyticsObservation, now: datetime, request: Request) -> Plan:
    """Return findings for tables with stale rows, and actions for those with recalculation SQL."""
    if request.periods or request.archives:
        return Plan()
    sections = [each for each in policy.stale_analytics if request.includes(each.table)]
    return join(_plan_table(section, seen, now) for section in sections)


def _plan_table(
    section: StaleAnalyticsPolicy, seen: StaleAnalyticsObservation, now: datetime
) -> Plan:
    if section.table in seen.unfit:
        return Plan(findings=(seen.unfit[section.table],))
    if section.table in seen.blind:
        return Plan(findings=(_unseen(section, seen),))
    staleness = seen.tables[section.table]
    if not staleness.n_stale:
        return Plan()
    finding = _stale(section, staleness)
    if section.recalculate is not None and not seen.snapshot.tables[section.table].manageable:
        return Plan(findings=(finding, _no_rights(section, seen)))
    return Plan(actions=tuple(_recalculate(section, seen, now)), findings=(finding,))


def _no_rights(section: StaleAnalyticsPolicy, seen: StaleAnalyticsObservation) -> Finding:
    name, server = str(section.table), seen.snapshot.server
    owner = seen.snapshot.tables[section.table].properties.owner
    right = server.grants.right_to_act(owner, section.table)
    return Finding(
        FindingKind.PRIVILEGE_MISSING,
        Severity.ERROR,
        name,
        f"{name}: rows are not recalculated: this needs the rights of its owner {quote(owner)}, and"
        f" role {quote(server.role)} does not have them; run {right}",
        data={"grants": [right]},
    )


def _recalculate(
    section: StaleAnalyticsPolicy, seen: StaleAnalyticsObservation, now: datetime
) -> Iterator[Action]:
    if section.recalculate is not None:
        name = str(section.table)
        yield Action(
            kind=ActionKind.RECALCULATE_ROWS,
            object=name,
            table=name,
            steps=(
                Step(
                    statements=(section.recalculate.read_text(),),
                    owner=seen.snapshot.tables[section.table].properties.owner,
                ),
            ),
            reason=f"rows are older than {readable_span(section.max_age)}",
            preconditions={"cutoff": (now - section.max_age).isoformat()},
        )


def _stale(section: StaleAnalyticsPolicy, staleness: Staleness) -> Finding:
    name = str(section.table)
    newer = f" although {section.activity.table} has newer rows" if section.activity else ""
    never = f", {staleness.n_never} never calculated" if staleness.n_never else ""
    oldest = staleness.oldest_age_s
    age = f", the oldest {readable_span(oldest)}" if oldest else ""
    todo = "" if section.recalculate else "; recalculate them, or set `recalculate` to a SQL file"
    return Finding(
        FindingKind.ANALYTICS_STALE,
        Severity.WARN,
        name,
        f"{name}: {staleness.n_stale:,} rows are older than {readable_span(section.max_age)}"
        f"{newer}{age}{never}{todo}",
        value=staleness.n_stale,
        threshold=0,
        data={
            "oldest_age_s": oldest,
            "max_age_s": section.max_age.total_seconds(),
            "never_calculated": staleness.n_never,
            "recalculated": section.recalculate is not None,
        },
    )


def _unseen(section: StaleAnalyticsPolicy, seen: StaleAnalyticsObservation) -> Finding:
    name, reason = str(section.table), seen.blind[section.table]
    role = quote(seen.snapshot.server.role)
    unknown = {UNKNOWN: unknown_without(Reading.STALE_ROWS, [name])}
    if section.table in seen.hidden:
        reason = (
            f"stale rows unknown: row-level security hides rows of it or of its activity table from"
            f" role {role}; run ALTER ROLE {role} BYPASSRLS"
        )
    if section.table not in seen.forbidden:
        return Finding(
            FindingKind.MONITOR_BLIND, Severity.ERROR, name, f"{name}: {reason}", data=unknown
        )
    tables = [name, *([str(section.activity.table)] if section.activity else [])]
    grant = f"GRANT SELECT ON {', '.join(tables)} TO {role}"
    return Finding(
        FindingKind.PRIVILEGE_MISSING,
        Severity.ERROR,
        name,
        f"{name}: {reason}; run {grant}",
        data={**unknown, "grants": [grant]},
    )
