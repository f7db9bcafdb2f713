"""Observe, plan, apply, record: the whole of one run on one database.

Both drivers, the command line and Dagster, call these functions and add nothing of their own.
"""

import os
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import psycopg

from maintenance.catalog.history import History
from maintenance.catalog.models import Server, Snapshot
from maintenance.catalog.observe import identify, look_up, observe
from maintenance.engine import runner
from maintenance.engine.actions import RECURRING, UNSEEN
from maintenance.engine.budget import Budget
from maintenance.engine.findings import FITNESS, Finding, FindingKind, Severity
from maintenance.engine.ladder import Ladder, Progress, silent
from maintenance.engine.look import Look
from maintenance.engine.plans import Plan, join
from maintenance.engine.recall import recall
from maintenance.engine.requests import EVERYTHING, Request
from maintenance.engine.reviewed import ReviewedPlan, admit
from maintenance.engine.runlock import exclusive_run
from maintenance.engine.runner import Crew, Outcome, Result
from maintenance.engine.subject import Subject
from maintenance.engine.unfinished import left_over
from maintenance.engine.workbench import Workbench
from maintenance.errors import (
    ArchiveError,
    EffectError,
    LockNotAcquiredError,
    MaintenanceError,
    UnreachableError,
    UsageError,
)
from maintenance.names import quote
from maintenance.policy import Policy
from maintenance.server.metering import Cost, Meter, metered
from maintenance.server.session import Connection, explain
from maintenance.sessions import on_database, on_history, on_store
from maintenance.store import (
    Journal,
    RecentRun,
    is_ready,
    migrate,
    missing_right,
    recent_runs,
    record_costs,
)
from maintenance.subjects import SUBJECTS
from maintenance.upkeep import keep_history

_FAILURES: Mapping[type[MaintenanceError], FindingKind] = {
    LockNotAcquiredError: FindingKind.LOCK_NOT_ACQUIRED,
    ArchiveError: FindingKind.ARCHIVE_UNVERIFIED,
}
"""Failures of actions that are findings of their own."""

MAX_CLOCK_SKEW = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Report:
    """What one command saw and did on one database.

    Attributes:
        now: the moment that plans counted from.
        plan: what was planned before anything was done.
        results: what came of the plan's actions; empty unless they were applied.
        findings: what stands at the end.
        snapshot: the newest observation; None where another run was in the way.
        runs: the newest runs, for `status`.
        kinds: the kinds of findings that were looked for everywhere, and could be seen: what of
            them is not among the findings does not stand.
        costs: what our own statements took, by what they were for: `catalog` is the look that all
            subjects share, a subject's name its own looks, `actions` the work.
    """

    database: str
    now: datetime
    plan: Plan
    findings: tuple[Finding, ...]
    snapshot: Snapshot | None
    results: tuple[Result, ...] = ()
    runs: tuple[RecentRun, ...] = ()
    kinds: frozenset[FindingKind] = frozenset()
    costs: Mapping[str, Cost] = field(default_factory=dict[str, Cost])

    @property
    def ok(self) -> bool:
        """Whether no action failed or was refused and no finding of severity error stands."""
        undone = any(result.outcome in (Outcome.FAILED, Outcome.REFUSED) for result in self.results)
        return not undone and all(f.severity is not Severity.ERROR for f in self.findings)


@dataclass(frozen=True, slots=True)
class _Visit:
    """What stays the same during one command on one database."""

    policy: Policy
    environ: Mapping[str, str]
    now: datetime
    subjects: Sequence[Subject[Any]]
    request: Request
    connection: Connection
    store: Connection | None
    progress: Progress = silent
    meter: Meter = field(default_factory=Meter)


def check(policy: Policy, *, environ: Mapping[str, str] = os.environ) -> Report:
    """Connect, and report what in the database does not fit the policy; changes nothing.

    Raises:
        UsageError, UnreachableError: see `plan`.
    """
    report = plan(policy, environ=environ)
    findings = [finding for finding in report.findings if finding.kind in FITNESS]
    with on_store(policy, environ) as connection:
        grant = missing_right(connection)
    if grant is not None:
        findings.append(_no_store(policy, grant))
    return replace(report, plan=Plan(), findings=tuple(findings))


def plan(
    policy: Policy,
    *,
    environ: Mapping[str, str] = os.environ,
    now: datetime | None = None,
    only: Collection[str] = (),
    request: Request = EVERYTHING,
) -> Report:
    """Observe and plan; changes nothing and needs no store.

    Args:
        policy: what the owner wants.
        environ: where `{env: …}` references of the policy are resolved.
        now: the moment to count from, aware; the clock's if None.
        only: names of subjects; all if empty.
        request: what is asked for beyond the policy.

    Raises:
        UsageError: an environment variable or a package is missing, a url is none, or a subject
            is unknown.
        UnreachableError: the server can't be reached or refuses us.
        MaintenanceError: the catalog could not be read.
    """
    subjects = _selected(only, policy)
    moment = now or datetime.now(UTC)
    with (
        metered() as meter,
        on_database(policy, environ, "plan") as connection,
        on_history(policy, environ) as store,
    ):
        visit = _Visit(policy, environ, moment, subjects, request, connection, store, meter=meter)
        sight = _look(visit)
    return replace(sight.report(policy, moment), costs=meter.costs)


def apply(
    policy: Policy,
    *,
    environ: Mapping[str, str] = os.environ,
    now: datetime | None = None,
    only: Collection[str] = (),
    request: Request = EVERYTHING,
    reviewed: ReviewedPlan | None = None,
    progress: Progress = silent,
) -> Report:
    """Observe, plan, carry out, observe again; everything is recorded in the store.

    An action counts as done only when a second look at the catalog no longer asks for it.
    With a reviewed plan exactly its actions are carried out, or all are refused.

    Raises:
        UsageError, UnreachableError, MaintenanceError: as `plan`; a store that can't be made too.
    """
    subjects = _selected(only, policy)
    moment = now or datetime.now(UTC)
    with (
        metered() as meter,
        on_database(policy, environ, "apply") as connection,
        on_store(policy, environ) as store,
    ):
        _refuse_standby(identify(connection))
        migrate(store)
        journal = Journal(store, policy.database.name)
        journal.begin("apply", policy.hash)
        with _recorded_failure(journal):
            visit = _Visit(
                policy, environ, moment, subjects, request, connection, store, progress, meter
            )
            report = replace(_apply(visit, journal, reviewed), costs=meter.costs)
        journal.end(
            "done" if report.ok else "failed",
            [finding.as_json() for finding in report.findings],
            kinds=report.kinds,
        )
        # Without the store's month there is a finding already.
        with suppress(psycopg.errors.CheckViolation):
            record_costs(store, policy.database.name, journal.run_id, moment, report.costs)
    return report


def status(policy: Policy, *, environ: Mapping[str, str] = os.environ) -> Report:
    """Report what stands now, with the newest runs where a store exists; changes nothing.

    Raises:
        UsageError, UnreachableError, MaintenanceError: as `plan`.
    """
    report = plan(policy, environ=environ)
    with on_store(policy, environ) as store:
        runs = recent_runs(store, policy.database.name) if is_ready(store) else []
    return replace(report, runs=tuple(runs))


def _apply(visit: _Visit, journal: Journal, reviewed: ReviewedPlan | None) -> Report:
    policy, now = visit.policy, visit.now
    name = policy.database.name
    try:
        with exclusive_run(visit.connection, policy.locks.give_up_after, visit.progress):
            with visit.meter.spent_on("store"):
                kept = _keep_history(visit, journal)
            sight = _look(visit, records=True)
            if reviewed is not None:
                sight = replace(sight, plan=admit(reviewed, policy.hash, sight.plan))
            with visit.meter.spent_on("actions"):
                results = _carry_out(visit, sight.plan, journal)
            if not results:
                return sight.report(policy, now, kept)
            after = _look(visit)
            wider = after
            if visit.request.periods:
                wider = _look(replace(visit, request=Request(table=visit.request.table)))
    except LockNotAcquiredError as exc:
        busy = Finding(
            FindingKind.LOCK_NOT_ACQUIRED, Severity.ERROR, name, f"{name}: {exc} ({exc.hint})"
        )
        return Report(name, now, Plan(), (busy,), None)
    verified = tuple(_verified(results, after.plan))
    more = (*_failures(verified), *left_over(policy, visit.subjects, verified), *kept)
    report = wider.report(policy, now, more)
    return replace(report, plan=sight.plan, results=verified)


def _keep_history(visit: _Visit, journal: Journal) -> tuple[Finding, ...]:
    assert visit.store is not None, "what is carried out is journaled"
    return keep_history(
        visit.policy,
        visit.store,
        journal,
        visit.now,
        environ=visit.environ,
        progress=visit.progress,
    )


def _carry_out(visit: _Visit, planned: Plan, journal: Journal) -> list[Result]:
    policy, store = visit.policy, visit.store
    assert store is not None, "what is carried out is journaled"
    locks = policy.locks
    ladder = Ladder(locks.lock_timeout, locks.patient_lock_timeout, locks.give_up_after)

    def bench(connection: Connection) -> Workbench:
        run_id = str(journal.run_id)
        return Workbench(connection, store, policy, visit.environ, ladder, visit.progress, run_id)

    return runner.run(
        planned.actions,
        _crew(visit.subjects, policy),
        journal,
        connection=visit.connection,
        opened=partial(on_database, policy, visit.environ, "apply"),
        bench=bench,
        progress=visit.progress,
    )


def _crew(subjects: Sequence[Subject[Any]], policy: Policy) -> Crew:
    budgets = {
        s.name: Budget(limit) for s in subjects if (limit := s.time_budget(policy)) is not None
    }
    return Crew(
        {kind: each for subject in subjects for kind, each in subject.executors.items()},
        {kind: subject.width(policy) for subject in subjects for kind in subject.executors},
        {kind: budgets[s.name] for s in subjects if s.name in budgets for kind in s.executors},
    )


@dataclass(frozen=True, slots=True)
class _Sight:
    """What one look saw, and what follows from it."""

    snapshot: Snapshot
    plan: Plan
    kinds: frozenset[FindingKind]

    def report(self, policy: Policy, now: datetime, further: Iterable[Finding] = ()) -> Report:
        return Report(
            policy.database.name,
            now,
            self.plan,
            (*self.plan.findings, *further),
            self.snapshot,
            kinds=self.kinds,
        )


def _look(visit: _Visit, *, records: bool = False) -> _Sight:
    """Observe what all subjects share, then let each look further and plan."""
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
            plans[subject.name] = _planned(subject, look, records=records)
    further = (*_general(visit.policy, snapshot), *_half_blind(visit.policy, snapshot))
    general = Plan(findings=further)
    return _Sight(snapshot, join([*plans.values(), general]), _seen_kinds(visit, plans))


def _seen_kinds(visit: _Visit, plans: Mapping[str, Plan]) -> frozenset[FindingKind]:
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


def _shared(visit: _Visit) -> Snapshot:
    policy, request = visit.policy, visit.request
    wanted = {relation for subject in visit.subjects for relation in subject.relations(policy)}
    relations = {relation for relation in wanted if request.concerns(relation)}
    if request.table is not None and not relations:
        raise UsageError(
            f"{request.table}: no section of policy {policy.database.name} names this table",
            hint=f"it names {', '.join(sorted(map(str, wanted))) or 'none'}",
        )
    snapshot = observe(visit.connection, relations, time_cap=policy.observe.time_cap)
    questions = {
        question
        for subject in visit.subjects
        for question in subject.questions(policy, snapshot, visit.now, request)
    }
    snapshot = look_up(visit.connection, snapshot, questions)
    return replace(snapshot, history=_history(visit, snapshot))


def _history(visit: _Visit, snapshot: Snapshot) -> History:
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


def _no_store(policy: Policy, grant: str) -> Finding:
    name = policy.database.name
    return Finding(
        FindingKind.PRIVILEGE_MISSING,
        Severity.ERROR,
        name,
        f"{name}: the store's schema maintenance can't be created, and apply needs it: {grant}",
    )


def _verified(results: Sequence[Result], again: Plan) -> Iterator[Result]:
    """Call done only what the catalog shows: what a second plan asks for again has failed."""
    seen = (action for action in again.actions if action.kind not in UNSEEN | RECURRING)
    still_wanted = {(action.kind, action.object) for action in seen}
    for result in results:
        action = result.action
        if result.outcome is Outcome.DONE and (action.kind, action.object) in still_wanted:
            cause = EffectError(f"{action.object}: done, and yet the catalog does not show it")
            yield replace(result, outcome=Outcome.FAILED, error=str(cause), cause=cause)
        else:
            yield result


def _failures(results: Sequence[Result]) -> Iterator[Finding]:
    for result in results:
        kind = next((k for cause, k in _FAILURES.items() if isinstance(result.cause, cause)), None)
        if kind is not None:
            name = result.action.object
            yield Finding(kind, Severity.ERROR, name, f"{name}: {result.error}")


def _selected(only: Collection[str], policy: Policy) -> list[Subject[Any]]:
    known = {subject.name: subject for subject in SUBJECTS}
    unknown = sorted(set(only) - known.keys())
    if unknown:
        raise UsageError(
            f"no such subject: {', '.join(unknown)}", hint=f"subjects are {', '.join(known)}"
        )
    selected = [subject for name, subject in known.items() if not only or name in only]
    for subject in selected:
        subject.require(policy)
    return selected


def _refuse_standby(server: Server) -> None:
    if server.in_recovery:
        raise UnreachableError(
            f"database {server.database} is a standby, wanted the primary",
            hint="point database.url at the primary; standbys belong under database.replicas",
        )


@contextmanager
def _recorded_failure(journal: Journal) -> Generator[None]:
    try:
        yield
    except MaintenanceError as exc:
        # The store may be what failed; the first error is the one to tell.
        with suppress(psycopg.Error):
            journal.end("failed", [], str(exc))
        raise
