"""One look at one database: what all subjects share, then each for itself, and the plans."""

import gc
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import psycopg

from maintenance.catalog.history import History
from maintenance.catalog.models import Snapshot
from maintenance.catalog.observe import observe
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.history import recall
from maintenance.engine.observe_context import Look
from maintenance.engine.plan import Plan, join
from maintenance.engine.scope import EVERYTHING
from maintenance.engine.subject import Subject
from maintenance.errors import MaintenanceError, UnreachableError, UsageError
from maintenance.names import quote
from maintenance.pipeline.context import Visit
from maintenance.policy import Policy
from maintenance.redaction import redact, redact_values
from maintenance.server.event_triggers import foreign_event_triggers
from maintenance.server.session import explain
from maintenance.server.undecodable_names import undecodable

MAX_CLOCK_SKEW = timedelta(minutes=1)

COLLECT_EVERY = 50_000
"""Objects that a look may make before the collector of reference cycles goes through them."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What one look saw, and what follows from it."""

    snapshot: Snapshot
    plan: Plan
    kinds: frozenset[FindingKind]
    subjects: frozenset[str]


def look_at(visit: Visit, *, records: bool = False) -> Sight:
    """Observe what all subjects share, then let each look further and plan."""
    with _seldom_collecting():
        return _look_at(visit, records=records)


def _look_at(visit: Visit, *, records: bool) -> Sight:
    with visit.meter.spent_on("catalog"):
        snapshot = _shared(visit)
    look = Look(
        visit.policy,
        visit.now,
        visit.request,
        snapshot,
        visit.connection,
        visit.store,
        visit.environ,
    )
    seeing = [subject for subject in visit.subjects if subject.concerns(visit.policy)]
    plans: dict[str, Plan] = {}
    for subject in seeing:
        with visit.meter.spent_on(subject.name):
            plans[subject.name] = _signed(subject, _planned(subject, look, records=records))
    further = (
        *_general(visit.policy, snapshot),
        *_half_blind(visit.policy, snapshot),
        *_endangered(visit),
    )
    general = Plan(findings=further)
    subjects = frozenset(subject.name for subject in visit.subjects)
    plan = _without_undecodable(visit, join([*plans.values(), general]))
    return Sight(snapshot, plan, _seen_kinds(visit, plans), subjects)


def _without_undecodable(visit: Visit, plan: Plan) -> Plan:
    """Name what has names that are no text, and leave it alone: no statement can name it."""
    names = undecodable(visit.connection)
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
        f"{name}: a name in it is not UTF-8 text, and the database's encoding SQL_ASCII does not"
        " say what it is: no action changes it itself, everything else goes on; rename it in a"
        " session with the client_encoding of its name",
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
def _seldom_collecting() -> Generator[None]:
    """Let the collector rest: what a look makes stays, and a third of its time went into that.

    Looks that overlap in one process may leave it so, which harms nothing.
    """
    often, *older = gc.get_threshold()
    gc.set_threshold(max(often, COLLECT_EVERY), *older)
    try:
        yield
    finally:
        gc.set_threshold(often, *older)


def _seen_kinds(visit: Visit, plans: Mapping[str, Plan]) -> frozenset[FindingKind]:
    """The kinds that no subject was kept from seeing, in a look at all there is."""
    if visit.request != EVERYTHING:
        return frozenset()
    blind = {
        kind
        for subject in visit.subjects
        if any(_is_blind(subject, finding) for finding in plans.get(subject.name, Plan()).findings)
        for kind in subject.finding_kinds
    }
    looked_for = {kind for subject in visit.subjects for kind in subject.finding_kinds}
    return frozenset(looked_for - (blind - {FindingKind.MONITOR_BLIND}))


def _shared(visit: Visit) -> Snapshot:
    policy, request = visit.policy, visit.request
    wanted = {relation for subject in visit.subjects for relation in subject.relations(policy)}
    relations = {relation for relation in wanted if request.concerns(relation)}
    if request.table is not None and not relations:
        raise UsageError(
            f"{request.table}: no section of policy {policy.database.name} names this table",
            hint=f"it names {', '.join(sorted(map(str, wanted))) or 'none'}",
        )
    snapshot = observe(visit.connection, relations, time_cap=policy.observe.time_cap)
    return replace(snapshot, history=_history(visit, snapshot))


def _history(visit: Visit, snapshot: Snapshot) -> History:
    """What the store knows of what was seen; nothing where there is no store to read."""
    if visit.store is not None and snapshot.tables:
        with suppress(psycopg.Error):
            return recall(visit.store, visit.policy.database.name, snapshot, visit.now)
    return History()


def _planned(subject: Subject[Any], look: Look, *, records: bool) -> Plan:
    """Let one subject look and plan; one that can't see is a finding and stops no other.

    Raises:
        UsageError, UnreachableError: nobody else could go on either.
    """
    try:
        seen = subject.observe(look)
        if records:
            subject.record(look, seen)
    except (UsageError, UnreachableError):
        raise
    except MaintenanceError as exc:
        return Plan(findings=(_blind(look.policy, subject, exc),))
    except psycopg.Error as exc:
        error = explain(exc, "observing")
        if isinstance(error, UnreachableError):
            raise error from exc
        return Plan(findings=(_blind(look.policy, subject, error),))
    return subject.plan(look.policy, seen, look.now, look.request)


def _blind(policy: Policy, subject: Subject[Any], exc: MaintenanceError) -> Finding:
    name = f"{policy.database.name}/{subject.name}"
    hint = f" ({exc.hint})" if exc.hint else ""
    return Finding(
        FindingKind.MONITOR_BLIND, Severity.ERROR, name, f"{name}: can't be observed: {exc}{hint}"
    )


def _is_blind(subject: Subject[Any], finding: Finding) -> bool:
    is_whole = finding.object.endswith(f"/{subject.name}")
    return finding.kind is FindingKind.MONITOR_BLIND and is_whole


def _general(policy: Policy, snapshot: Snapshot) -> Iterator[Finding]:
    skew = snapshot.server.clock_skew_s
    limit = MAX_CLOCK_SKEW.total_seconds()
    if abs(skew) > limit:
        name = policy.database.name
        yield Finding(
            FindingKind.CLOCK_SKEW,
            Severity.WARN,
            name,
            f"{name}: the server's clock and ours differ by {skew:+.0f} s;"
            " horizons are counted from ours: set both by NTP",
            value=round(skew, 1),
            threshold=limit,
        )


def _endangered(visit: Visit) -> Iterator[Finding]:
    """Name the event triggers for which `apply` changes nothing."""
    for found in foreign_event_triggers(visit.connection):
        name = f"{visit.policy.database.name}/{found.name}"
        yield Finding(
            FindingKind.PRIVILEGE_MISSING,
            Severity.ERROR,
            name,
            f"{name}: {found.danger}, so apply changes nothing: {found.remedy}",
            data={"function": found.function, "owner": found.function_owner},
        )


def _half_blind(policy: Policy, snapshot: Snapshot) -> Iterator[Finding]:
    """Say once for all subjects that judge the health of a database what their role can't see."""
    health = (policy.statistics, policy.indexes, policy.bloat, policy.workload)
    server = snapshot.server
    if server.monitors or not any(section is not None for section in health):
        return
    name, role = policy.database.name, quote(server.role)
    grant = f"GRANT pg_monitor TO {role}"
    yield Finding(
        FindingKind.PRIVILEGE_MISSING,
        Severity.WARN,
        name,
        f"{name}: role {role} can't see what other sessions do, so what is said of them is less"
        f" than it could be: {grant}",
        data={"grants": [grant]},
    )
