"""One observation of one database: the common snapshot, then each subject, and the plans."""

import gc
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import psycopg

from maintenance.catalog.history import History
from maintenance.catalog.models import MAX_CLOCK_SKEW_S, Snapshot
from maintenance.catalog.observe import observe
from maintenance.catalog.partman_observe import read_partman
from maintenance.engine.findings import (
    UNKNOWN,
    Finding,
    FindingKind,
    Reading,
    Severity,
    unknown_without,
)
from maintenance.engine.history import recall
from maintenance.engine.observe_context import ObserveContext
from maintenance.engine.plan import Plan, join
from maintenance.engine.scope import Request
from maintenance.engine.subject import Subject
from maintenance.errors import MaintenanceError, UnreachableError, UsageError
from maintenance.inspection.findings import partman_findings
from maintenance.names import is_helper, quote
from maintenance.pipeline.asked import as_asked, as_health_asked
from maintenance.pipeline.context import RunContext
from maintenance.pipeline.inspection import unnamed_findings
from maintenance.pipeline.registry import SUBJECTS
from maintenance.policy import Policy
from maintenance.redaction import redact, redact_values
from maintenance.server.event_triggers import foreign_event_triggers
from maintenance.server.session import set_right, to_error
from maintenance.server.undecodable_names import undecodable
from maintenance.subjects.capacity import CAPACITY
from maintenance.subjects.partitions import PARTITIONS
from maintenance.subjects.workload.blind_spots import no_monitor_finding

_LEFT_BEHIND = FindingKind.STRANDED_TABLE

_OF_STORE = frozenset({FindingKind.PAUSED, FindingKind.RETENTION_UNAPPROVED})
"""Kinds whose state is unknown if the store can't be read."""

LONG_PAUSE = timedelta(days=7)
"""A pause without an end that is older than this may have been forgotten."""

COLLECT_EVERY = 500_000
"""Objects allocated in an observation before the collector of reference cycles runs."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """The observation of a run, and the plan made from it."""

    snapshot: Snapshot
    plan: Plan
    kinds: frozenset[FindingKind]
    subjects: frozenset[str]


def observe_and_plan(run: RunContext, *, records: bool = False) -> Assessment:
    """Read the common snapshot, then let each subject observe and plan."""
    with seldom_collecting():
        return _observe_and_plan(run, records=records)


def _observe_and_plan(run: RunContext, *, records: bool) -> Assessment:
    with run.meter.spent_on("catalog"):
        snapshot = _shared(run)
    context = ObserveContext(run.target, run.now, run.request, snapshot, run.connection, run.store)
    seeing = [subject for subject in run.subjects if subject.is_enabled(run.policy)]
    context = replace(context, findings=tuple(_consulted(run, seeing, context)))
    plans: dict[str, Plan] = {}
    for subject in seeing:
        with run.meter.spent_on(subject.name):
            plan = _signed(subject, _planned(subject, context, records=records))
        plans[subject.name] = plan
        context = replace(context, findings=(*context.findings, *plan.findings))
    further = (
        *_general(run.policy, snapshot),
        *_paused(run),
        *_half_blind(run.policy, snapshot),
        *_endangered(run),
        *_of_partman(run, snapshot.server.role),
        *_unnamed(run),
    )
    general = Plan(findings=further)
    subjects = frozenset(subject.name for subject in run.subjects)
    plan = _without_undecodable(run, _without_helpers(join([*plans.values(), general])))
    plan = run.gate.mark(plan) if run.gate is not None else plan
    return Assessment(snapshot, plan, _seen_kinds(run, plans), subjects)


def _consulted(
    run: RunContext, seeing: Sequence[Subject[Any]], context: ObserveContext
) -> Iterator[Finding]:
    """Yield the findings that subjects need of others which are not part of this run."""
    wanted = {name for subject in seeing for name in subject.consults(run.policy)}
    for subject in SUBJECTS:
        if subject.name in wanted and subject not in seeing and subject.is_enabled(run.policy):
            with run.meter.spent_on(subject.name):
                yield from _planned(subject, context, records=False).findings


def _without_helpers(plan: Plan) -> Plan:
    """Report nothing on tables that runs make for themselves, except ones that they left behind."""
    told = (f for f in plan.findings if f.kind is _LEFT_BEHIND or not is_helper(f.object))
    return replace(plan, findings=tuple(told))


def _without_undecodable(run: RunContext, plan: Plan) -> Plan:
    """Report objects with undecodable names, and drop their actions: SQL can't name them."""
    names = undecodable(run.connection)
    if not names:
        return plan
    told = {f.object for f in plan.findings if f.kind is FindingKind.MONITOR_BLIND}
    findings = tuple(_undecodable(name) for name in names if name not in told)
    actions = tuple(each for each in plan.actions if each.object not in names)
    return replace(plan, actions=actions, findings=(*plan.findings, *findings))


def _undecodable(name: str) -> Finding:
    return Finding(
        FindingKind.MONITOR_BLIND,
        Severity.WARN,
        name,
        f"{name}: the name is not valid UTF-8 and the database encoding is SQL_ASCII, so no"
        " action can change this object; other objects are maintained. Rename it in a session"
        " with the client_encoding of its name",
    )


def _signed(subject: Subject[Any], plan: Plan) -> Plan:
    found = (
        replace(
            finding,
            subject=subject.name,
            message=redact(finding.message),
            data=redact_values(finding.data),
        )
        for finding in plan.findings
    )
    return replace(plan, findings=tuple(found))


@contextmanager
def seldom_collecting() -> Generator[None]:
    """Collect reference cycles less often: it took a third of an observation's time.

    Observations that overlap in one process may leave the setting changed, which is harmless.
    """
    often, *older = gc.get_threshold()
    gc.set_threshold(max(often, COLLECT_EVERY), *older)
    try:
        yield
    finally:
        gc.set_threshold(often, *older)


def _seen_kinds(run: RunContext, plans: Mapping[str, Plan]) -> frozenset[FindingKind]:
    """Return the kinds that every subject could check, for an observation of all objects."""
    if not run.request.is_of_everything:
        return frozenset()
    blind = {
        kind
        for subject in run.subjects
        if any(_is_blind(subject, finding) for finding in plans.get(subject.name, Plan()).findings)
        for kind in subject.finding_kinds
    }
    looked_for = {kind for subject in run.subjects for kind in subject.finding_kinds}
    unread = _OF_STORE if run.store is None else frozenset[FindingKind]()
    return frozenset(looked_for - (blind - {FindingKind.MONITOR_BLIND}) - unread)


def refuse_unknown_waves(policy: Policy, request: Request) -> None:
    """Refuse waves that no declaration has.

    Raises:
        UsageError: with the waves that there are.
    """
    declared = policy.indexes.declarations if policy.indexes is not None else ()
    known = {each.annotations.wave or 1 for each in declared}
    unknown = sorted(set(request.waves) - known)
    if unknown:
        raise UsageError(
            f"wave {unknown[0]}: no declaration of policy {policy.database.name} is of that wave",
            hint=f"the policy has waves {', '.join(map(str, sorted(known))) or 'none'}",
            reason="no_such_wave",
        )


def refuse_unnamed(policy: Policy, subjects: Iterable[Subject[Any]], request: Request) -> None:
    """Reject a request for a table that the policy does not name; asks no server.

    Raises:
        UsageError: with the names that the policy has.
    """
    asked = list(subjects)
    if request.table is None or (request.forced and any(each.serves_any_table for each in asked)):
        return
    named = {relation for subject in asked for relation in subject.relations(policy)}
    if request.table in named:
        return
    elsewhere = [each.name for each in SUBJECTS if request.table in each.relations(policy)]
    if elsewhere:
        raise UsageError(
            f"{request.table}: not a table of {', '.join(each.name for each in asked)} in policy"
            f" {policy.database.name}, but of {', '.join(elsewhere)}",
            hint=f"add --only {elsewhere[0]}, or run maintenance analyze to analyze it",
            reason="other_subject",
        )
    names = ", ".join(sorted(map(str, named)))
    raise UsageError(
        f"{request.table}: not in policy {policy.database.name}",
        hint=f"the policy names {names or 'none'}",
    )


def _shared(run: RunContext) -> Snapshot:
    policy, request = run.policy, run.request
    wanted = {relation for subject in run.subjects for relation in subject.relations(policy)}
    relations = {relation for relation in wanted if request.includes(relation)}
    snapshot = observe(run.connection, relations, time_cap=policy.observe.time_cap)
    return replace(snapshot, history=_history(run, snapshot))


def _history(run: RunContext, snapshot: Snapshot) -> History:
    """Return the store's history of the observed relations; empty without a store."""
    if run.store is not None and snapshot.tables:
        with suppress(psycopg.Error):
            return recall(run.store, run.policy.database.name, snapshot, run.now)
    return History()


def _planned(subject: Subject[Any], context: ObserveContext, *, records: bool) -> Plan:
    """Let one subject observe and plan; its failure becomes a finding and stops no other subject.

    Raises:
        UsageError, UnreachableError: an error that stops all subjects.
    """
    try:
        seen = subject.observe(context)
        if records:
            subject.record(context, seen)
    except (UsageError, UnreachableError):
        raise
    except MaintenanceError as exc:
        return Plan(findings=(_blind(context.policy, subject, exc),))
    except psycopg.Error as exc:
        error = to_error(exc, "observing")
        if isinstance(error, UnreachableError):
            raise error from exc
        set_right(context.connection, context.target.timeouts)
        return Plan(findings=(_blind(context.policy, subject, error),))
    plan = subject.plan(context.policy, seen, context.now, context.request)
    told = as_asked(context.policy, subject.name, plan.findings)
    return replace(plan, findings=tuple(told))


def _blind(policy: Policy, subject: Subject[Any], exc: MaintenanceError) -> Finding:
    name = f"{policy.database.name}/{subject.name}"
    text = f"{name}: not observed: {exc.with_hint}"
    return Finding(FindingKind.MONITOR_BLIND, Severity.ERROR, name, text)


def _is_blind(subject: Subject[Any], finding: Finding) -> bool:
    is_whole = finding.object.endswith(f"/{subject.name}")
    return finding.kind is FindingKind.MONITOR_BLIND and is_whole


def _general(policy: Policy, snapshot: Snapshot) -> Iterator[Finding]:
    skew = snapshot.server.clock_skew_s
    if snapshot.server.has_clock_skew:
        name = policy.database.name
        yield Finding(
            FindingKind.CLOCK_SKEW,
            Severity.WARN,
            name,
            f"{name}: the server's clock differs from ours by {skew:+.0f} s; horizons are computed"
            " with our clock: synchronize both with NTP",
            value=round(skew, 1),
            threshold=MAX_CLOCK_SKEW_S,
        )


def _paused(run: RunContext) -> Iterator[Finding]:
    """Report a pause: as information, and as a warning if it has no end and is long."""
    pause = run.gate.pause if run.gate is not None else None
    if pause is None:
        return
    name, age = run.policy.database.name, run.now - pause.since
    is_forgotten = pause.until is None and age > LONG_PAUSE
    yield Finding(
        FindingKind.PAUSED,
        Severity.WARN if is_forgotten else Severity.INFO,
        name,
        f"{name}: {pause}; nothing is changed. To end it: maintenance resume",
        value=round(age.total_seconds()),
        threshold=LONG_PAUSE.total_seconds() if pause.until is None else None,
        data={
            "since": pause.since.isoformat(),
            "until": pause.until.isoformat() if pause.until is not None else None,
            "reason": pause.reason,
            "by": pause.by,
        },
    )


def _endangered(run: RunContext) -> Iterator[Finding]:
    """Report the event triggers that make `apply` change nothing."""
    for found in foreign_event_triggers(run.connection):
        name = f"{run.policy.database.name}/{found.name}"
        yield Finding(
            FindingKind.PRIVILEGE_MISSING,
            Severity.ERROR,
            name,
            f"{name}: {found.danger}; apply makes no changes: {found.remedy}",
            data={"function": found.function, "owner": found.function_owner},
        )


def _of_partman(run: RunContext, role: str) -> Iterator[Finding]:
    """Report the tables of the policy that pg_partman maintains too."""
    if PARTITIONS not in run.subjects or not PARTITIONS.is_enabled(run.policy):
        return
    try:
        partman = read_partman(run.connection, run.policy.observe.time_cap)
    except UnreachableError:
        raise
    except MaintenanceError as exc:
        yield replace(_blind(run.policy, PARTITIONS, exc), subject=PARTITIONS.name)
        return
    yield from (
        finding
        for finding in partman_findings(run.policy, partman, role)
        if run.request.is_of_everything or finding.object == str(run.request.table)
    )


def _unnamed(run: RunContext) -> Iterator[Finding]:
    """Report the tables of the database that no section names, and whose partitions end."""
    is_asked = CAPACITY in run.subjects and CAPACITY.is_enabled(run.policy)
    if not is_asked or not run.request.is_of_everything:
        return
    try:
        found = list(unnamed_findings(run.connection, run.policy, run.now))
    except UnreachableError:
        raise
    except MaintenanceError as exc:
        blind = _blind(run.policy, CAPACITY, exc)
        unknown = unknown_without(Reading.UNNAMED_TABLES, None)
        yield replace(blind, subject=CAPACITY.name, data={UNKNOWN: unknown})
        return
    yield from as_asked(run.policy, CAPACITY.name, found)


def _half_blind(policy: Policy, snapshot: Snapshot) -> Iterator[Finding]:
    """Report once, for all subjects that need it, that the role lacks pg_monitor."""
    health = (policy.statistics, policy.indexes, policy.bloat, policy.workload)
    server = snapshot.server
    if not server.monitors and any(section is not None for section in health):
        found = no_monitor_finding(policy.database.name, quote(server.role))
        yield as_health_asked(policy, found)
