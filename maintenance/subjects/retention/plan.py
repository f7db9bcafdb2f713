"""Plans retention: retires expired partitions, oldest first, at most `max_per_run` per table."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from maintenance.catalog.models import Snapshot
from maintenance.engine.actions import ActionKind
from maintenance.engine.findings import Finding, FindingKind
from maintenance.engine.plan import Plan, join
from maintenance.engine.scope import Request
from maintenance.names import QualifiedName, parse_name
from maintenance.partition_set.expiry import (
    Expired,
    detached,
    grace_over,
    unproven,
)
from maintenance.policy import PartitionPolicy, Policy
from maintenance.subjects.retention.actions import archive, end_pending, finish, retire, unmark
from maintenance.subjects.retention.assess import RetentionState, States
from maintenance.subjects.retention.batch import Surroundings, choose
from maintenance.subjects.retention.blocked_findings import foreign_findings, unreadable_findings
from maintenance.subjects.retention.findings import (
    clocks_differ,
    due_findings,
    everything_finding,
    fuse_finding,
    stranded,
    unapproved_finding,
    unarchived_findings,
    unproven_findings,
)
from maintenance.subjects.retention.models import NOTHING_SEEN, Case, RetentionObservation
from maintenance.subjects.retention.safeguards import can_be_undone, empties_table


def plan(policy: Policy, seen: RetentionObservation, now: datetime, request: Request) -> Plan:
    """Plan the retention of every table of the policy that has one.

    Nothing is retired if the clock of the server differs from ours by more than a minute: what has
    expired is unknown. A table that fails validation is skipped; another subject reports it. Only
    bounds that don't fit the policy are reported here too, since they stop retention.
    Referencing tables come before the tables they reference, so that their partitions go first.
    """
    asked = [section for section in policy.partitions if section.table in seen.states]
    fit = {t: state for t, state in seen.states.items() if isinstance(state, RetentionState)}
    misread = Plan(findings=tuple(_misread(asked, seen.states)))
    if request.periods or request.archives:
        archived = (
            _archive_asked(policy, each, seen, now, request.archives) for each in fit.values()
        )
        return join([misread, *archived])
    due = frozenset(_dropped_in_the_end(fit.values(), seen.snapshot))
    around = Surroundings(seen.blockers, seen.snapshot.history, due)
    sections = [section for section in asked if section.table in fit]
    tables = (
        _plan_table(policy, fit[section.table], seen, now, request.max_per_run, around)
        for section in _pointing_first(sections, seen.snapshot)
    )
    return join([misread, *tables])


def _misread(sections: Sequence[PartitionPolicy], states: States) -> Iterator[Finding]:
    for section in sections:
        found = states[section.table]
        if (
            isinstance(found, Finding)
            and found.kind is FindingKind.PARTITION_KEY_MISMATCH
            and section.retention is not None
        ):
            yield found


def _pointing_first(
    sections: Sequence[PartitionPolicy], snapshot: Snapshot
) -> Iterator[PartitionPolicy]:
    """Yield tables in the order of the policy, but after those that reference them."""
    by_name = {section.table: section for section in sections}
    done: set[QualifiedName] = set()

    def visit(section: PartitionPolicy) -> Iterator[PartitionPolicy]:
        if section.table in done:
            return
        done.add(section.table)
        for other in snapshot.tables[section.table].referenced_by:
            if other in by_name:
                yield from visit(by_name[other])
        yield section

    for section in sections:
        yield from visit(section)


def _dropped_in_the_end(
    states: Iterable[RetentionState], snapshot: Snapshot
) -> Iterator[QualifiedName]:
    for state in states:
        retention = state.section.retention
        if retention is not None and retention.action in ("drop", "archive_then_drop"):
            yield from (item.relation for item in state.due)
            yield from (item.table.relation for item in detached(state.section, snapshot, ()))


def _archive_asked(
    policy: Policy,
    state: RetentionState,
    seen: RetentionObservation,
    now: datetime,
    keys: Sequence[str],
) -> Plan:
    """Plan the archives of the requested periods; nothing is retired."""
    retention = state.section.retention
    if retention is None or retention.archive is None:
        return Plan()
    case = seen.case_of(policy, state.section, retention, now)
    targets = [case.attached(Expired(span, held=None)) for span in state.spans]
    return Plan(actions=tuple(archive(case, t) for t in targets if t.period in keys))


def _plan_table(
    policy: Policy,
    state: RetentionState,
    seen: RetentionObservation,
    now: datetime,
    fuse: int | None,
    around: Surroundings,
) -> Plan:
    section, snapshot = state.section, seen.snapshot
    pending = tuple(end_pending(snapshot.tables[section.table]))
    retention = section.retention
    if retention is None or retention.action == "keep":
        return Plan(actions=pending)
    if fuse is not None:
        retention = retention.model_copy(update={"max_per_run": fuse})
    case = seen.case_of(policy, section, retention, now)
    if snapshot.server.has_clock_skew:
        return Plan(actions=pending, findings=tuple(clocks_differ(case, state.expired)))
    ended = {int(action.preconditions["oid"]): action.id for action in pending}
    is_unapproved = section.table in seen.unapproved
    work = _work(case, state, snapshot, ended, around, is_unapproved=is_unapproved)
    return Plan(actions=(*pending, *work.actions), findings=work.findings)


def _work(
    case: Case,
    state: RetentionState,
    snapshot: Snapshot,
    ended: dict[int, str],
    around: Surroundings,
    *,
    is_unapproved: bool,
) -> Plan:
    """Plan the drops of detached tables first, then the retirement of attached partitions."""
    due, spans = state.expired, state.spans
    loose = list(detached(case.policy, snapshot, ended))
    left = [
        item
        for item in loose
        if case.drops and grace_over(case.policy, case.retention, item.at, case.now)
    ]
    expiring = [item for item in due if item.held is None]
    evidence = around.blockers.evidence
    empties = empties_table(case, expiring, spans, evidence, begun=bool(loose))
    withheld = empties and not can_be_undone(case, expiring, spans)
    unreadable = around.blockers.unreadable if case.archives else NOTHING_SEEN.unreadable
    archived = [
        *((item.table.oid, item.table.relation) for item in left),
        *((item.span.partition.oid, item.relation) for item in expiring),
    ]
    left = [item for item in left if item.table.oid not in unreadable]
    free = [item for item in expiring if item.span.partition.oid not in unreadable]
    choice = choose(case, left, [] if withheld else free, spans, around)
    unattached = {*ended, *(leaving.item.span.partition.oid for leaving in choice.leaving)}
    actions = (
        *unmark(case, unattached),
        *(finish(case, item, ended) for item in choice.finishing),
        *(action for each in choice.leaving for action in retire(case, each.item, each.after)),
    )
    drops = (action for action in actions if action.kind is ActionKind.DROP_PARTITION)
    around.dropped |= {parse_name(action.object): action.id for action in drops}
    return Plan(
        actions=actions,
        findings=(
            *due_findings(case, [item for item in due if item.held or item in free], choice.kept),
            *unreadable_findings(case, archived, unreadable, snapshot),
            *unarchived_findings((name for _, name in archived if case.archives), snapshot.history),
            *foreign_findings(case),
            *(
                [everything_finding(case, expiring, withheld=withheld)]
                if empties
                else fuse_finding(case, choice.n_due)
            ),
            *(unapproved_finding(case, choice) if is_unapproved else ()),
            *stranded(case, [] if case.drops else loose, snapshot.history),
            *unproven_findings(case, unproven(case.policy, snapshot)),
        ),
    )
