"""Observe, plan, apply, record: one run on one database.

The command line and Dagster call these functions and add no logic.
"""

from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import psycopg

from maintenance.catalog.models import Server, Snapshot
from maintenance.catalog.observe import identify
from maintenance.engine.action_order import rounds
from maintenance.engine.actions import Action
from maintenance.engine.executor import Outcome, Result, held
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.gate import Gate, Origin
from maintenance.engine.lock_retry import Progress, silent
from maintenance.engine.plan import Plan
from maintenance.engine.run_lock import exclusive_run
from maintenance.engine.saved_plan import ReviewedPlan, admit
from maintenance.engine.scope import EVERYTHING, Request
from maintenance.engine.subject import Subject
from maintenance.engine.target import Target
from maintenance.errors import (
    LockNotAcquiredError,
    MaintenanceError,
    UnreachableError,
    UsageError,
)
from maintenance.inspection.findings import names_differ, not_in_policy, zones_differ
from maintenance.pipeline.context import RunContext
from maintenance.pipeline.execute import (
    check_effects,
    execute_plan,
    failures,
    left_over,
    superseded,
)
from maintenance.pipeline.gate import (
    approve_retired,
    read_gate,
    reduce_approvals,
    refuse_if_paused,
    refuse_if_reporting,
    who,
    with_backup,
)
from maintenance.pipeline.inspection import unnamed
from maintenance.pipeline.observe import (
    Assessment,
    observe_and_plan,
    refuse_unknown_waves,
    refuse_unnamed,
)
from maintenance.pipeline.registry import SUBJECTS
from maintenance.pipeline.services import broken_settings, unusable_archives
from maintenance.pipeline.store_upkeep import keep_history
from maintenance.policy import Policy
from maintenance.policy.pauses import Pause
from maintenance.server.cost_meter import Cost, metered
from maintenance.server.event_triggers import refuse_foreign_event_triggers
from maintenance.server.session import Connection
from maintenance.store import (
    Journal,
    RecentRun,
    is_ready,
    migrate,
    missing_right,
    recent_runs,
    record_costs,
)


@dataclass(frozen=True, slots=True)
class Report:
    """The result of one command on one database.

    Attributes:
        now: the time used as the current time by plans.
        plan: the plan before any action.
        results: the outcomes of the plan's actions; empty unless applied.
        findings: the findings at the end.
        snapshot: the newest observation; None if another run held the lock.
        runs: the newest runs, for `status`.
        kinds: the kinds of findings that were checked completely; those without a finding are
            known to be resolved.
        subjects: the subjects that checked them.
        pause: the pause of the database when the command began; None if there was none.
        costs: the cost of our own statements, by purpose: `catalog` is the common snapshot, a
            subject's name its own queries, `actions` the actions.
        run_id: the id of the recorded run; None unless applied.
        facts: of the plan, at the end.
    """

    database: str
    now: datetime
    plan: Plan
    findings: tuple[Finding, ...]
    snapshot: Snapshot | None
    results: tuple[Result, ...] = ()
    runs: tuple[RecentRun, ...] = ()
    kinds: frozenset[FindingKind] = frozenset()
    subjects: frozenset[str] = frozenset()
    pause: Pause | None = None
    costs: Mapping[str, Cost] = field(default_factory=dict[str, Cost])
    run_id: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def ok(self) -> bool:
        """Whether no action failed or was refused and there is no finding of severity error."""
        refused = any(result.outcome is Outcome.REFUSED for result in self.results)
        return not refused and not self.has_failed

    @property
    def has_failed(self) -> bool:
        """Whether an action failed or there is an error: refused requests are no failed run."""
        failed = any(result.outcome is Outcome.FAILED for result in self.results)
        return failed or any(f.severity is Severity.ERROR for f in self.findings)


def check(on: Policy | Target) -> Report:
    """Connect, and report what in the database does not match the policy, or is not in it.

    Changes nothing; in each archive store a small object is written, read back and removed.

    Raises:
        UsageError, UnreachableError, MaintenanceError: see `plan`.
    """
    target = Target.of(on)
    report = checked(target, plan(target))
    with target.database("check") as connection:
        there = unnamed(connection, target.policy, report.now)
    name = target.policy.database.name
    found = not_in_policy(name, there.tables, there.further, report.now)
    known = [each for each in report.findings if each.kind is not FindingKind.NOT_IN_POLICY]
    further = (*unusable_archives(target), *((found,) if found is not None else ()))
    return replace(report, findings=(*known, *further))


def checked(target: Target, report: Report) -> Report:
    """Reduce the report of a plan to what in the database does not match the policy.

    A variable, a url or a sink that can't be used is a finding too.

    Raises:
        UsageError, UnreachableError: see `plan`.
    """
    findings = [finding for finding in report.findings if finding.kind.spec.is_fitness]
    if report.snapshot is not None:
        findings += names_differ(target.policy, report.snapshot)
        said = {(finding.kind, finding.object) for finding in findings}
        zones = zones_differ(target.policy, report.snapshot, report.now)
        findings += (each for each in zones if (each.kind, each.object) not in said)
    findings += broken_settings(target)
    with target.store() as connection:
        grant = missing_right(connection)
    if grant is not None:
        findings.append(_no_store(target.policy, grant))
    return replace(report, plan=Plan(), findings=tuple(findings))


def plan(
    on: Policy | Target,
    *,
    now: datetime | None = None,
    only: Collection[str] = (),
    request: Request = EVERYTHING,
    origin: Origin = Origin.COMMAND,
) -> Report:
    """Observe and plan; change nothing. Needs no store.

    Args:
        on: the database: its policy, or a target that has variables of its own.
        now: the current time, aware; the clock's if None.
        only: names of subjects; all if empty.
        request: work beyond the policy.
        origin: who would execute the plan; actions that it may not execute are marked.

    Raises:
        UsageError: an environment variable or a package is missing, a url is invalid, or a subject
            is unknown.
        UnreachableError: the server can't be reached or refuses the connection.
        MaintenanceError: the catalog could not be read.
    """
    target, moment = Target.of(on), now or datetime.now(UTC)
    policy = target.policy
    subjects = _selected(only, policy, request)
    with (
        metered() as meter,
        target.database("plan") as connection,
        target.optional_store() as store,
    ):
        gate = _gate_of_plan(policy, origin, store, moment, request)
        gate = with_backup(gate, connection, moment)
        run = RunContext(
            target, moment, subjects, request, connection, store, meter=meter, gate=gate
        )
        assessment = observe_and_plan(run)
    return replace(_report(run, assessment), costs=meter.costs)


def apply(
    on: Policy | Target,
    *,
    now: datetime | None = None,
    only: Collection[str] = (),
    request: Request = EVERYTHING,
    reviewed: ReviewedPlan | None = None,
    progress: Progress = silent,
    origin: Origin = Origin.COMMAND,
) -> Report:
    """Observe, plan, execute, observe again; record everything in the store.

    An action counts as done only if a second plan does not ask for it again. With a reviewed
    plan exactly its actions are executed, or all are refused. Actions that mode, approval or a
    pause does not allow are skipped.

    Raises:
        UsageError, UnreachableError, MaintenanceError: as `plan`; or the store can't be created.
        HeldError: it was asked for by hand, and the database is paused.
    """
    target, moment = Target.of(on), now or datetime.now(UTC)
    policy = target.policy
    if (request.rebuild or request.forced) and request.table is not None:
        refuse_if_reporting(policy, request.table)
    subjects = _selected(only, policy, request)
    with (
        metered() as meter,
        target.database("apply") as connection,
        target.store() as store,
    ):
        _refuse_standby(identify(connection))
        refuse_foreign_event_triggers(connection)
        migrate(store)
        if origin is Origin.COMMAND or request.forced:
            refuse_if_paused(policy, store)
        gate = read_gate(policy, origin, store, moment, request)
        gate = with_backup(gate, connection, moment)
        reduce_approvals(gate, store)
        journal = Journal(store, policy.database.name)
        journal.begin("apply", policy.hash)
        with _recorded_failure(journal):
            run = RunContext(
                target, moment, subjects, request, connection, store, progress, meter, gate
            )
            report = _apply(run, journal, reviewed)
        report = replace(report, costs=meter.costs, run_id=str(journal.run_id))
        approve_retired(gate, store, report.results, who(connection))
        journal.end(
            "failed" if report.has_failed else "done",
            [{**each.as_json(), "subject": each.subject} for each in report.findings],
            kinds=_settled_kinds(report, is_reviewed=reviewed is not None),
            subjects=report.subjects,
        )
        # A missing partition of the store has a finding already.
        with suppress(psycopg.errors.CheckViolation):
            record_costs(store, policy.database.name, journal.run_id, moment, report.costs)
    return report


def status(on: Policy | Target) -> Report:
    """Report current findings, and the newest runs if there is a store; change nothing.

    Raises:
        UsageError, UnreachableError, MaintenanceError: as `plan`.
    """
    target = Target.of(on)
    report = plan(target)
    with target.store() as store:
        runs = recent_runs(store, target.policy.database.name) if is_ready(store) else []
    return replace(report, runs=tuple(runs))


def _apply(run: RunContext, journal: Journal, reviewed: ReviewedPlan | None) -> Report:
    policy, now = run.policy, run.now
    name = policy.database.name
    try:
        with exclusive_run(run.connection, policy.locks.give_up_after, run.progress):
            with run.meter.spent_on("store"):
                kept = keep_history(run, journal)
            assessment = observe_and_plan(run, records=True)
            if reviewed is not None:
                assessment = replace(assessment, plan=admit(reviewed, policy.hash, assessment.plan))
            results, after = _carry_out(run, assessment, journal, as_reviewed=reviewed is not None)
            if not results:
                return _report(run, assessment, kept)
            wider = after
            if run.request.periods:
                wider = observe_and_plan(replace(run, request=Request(table=run.request.table)))
    except LockNotAcquiredError as exc:
        busy = Finding(
            FindingKind.LOCK_NOT_ACQUIRED,
            Severity.ERROR,
            name,
            f"{name}: {exc.with_hint}",
            data={"holder": exc.holder},
            subject=run.subjects[0].name if len(run.subjects) == 1 else "",
        )
        return Report(name, now, Plan(), (busy,), None)
    proven = tuple(check_effects(results, after.plan))
    known = {(finding.kind, finding.object) for finding in wider.plan.findings}
    failed = (f for f in failures(proven, run.subjects) if (f.kind, f.object) not in known)
    more = (
        *failed,
        *left_over(policy, run.subjects, proven),
        *kept,
    )
    return replace(_report(run, wider, more), plan=assessment.plan, results=proven)


def _carry_out(
    run: RunContext, assessment: Assessment, journal: Journal, *, as_reviewed: bool
) -> tuple[list[Result], Assessment]:
    """Execute the plan, and observe again.

    ANALYZE is planned again after the other actions, which make statistics stale. Of a
    reviewed plan exactly the reviewed actions are executed.
    """
    work, upkeep = rounds(assessment.plan.actions)
    if as_reviewed or not work:
        results = _act(run, (*work, *upkeep), journal)
        return results, observe_and_plan(_afterwards(run)) if _acted(results) else assessment
    results = _act(run, work, journal)
    after = observe_and_plan(_afterwards(run)) if _acted(results) else assessment
    left = list(superseded(run, upkeep, after.plan))
    again = rounds(after.plan.actions).upkeep
    done = _act(run, again, journal, first_place=len(results))
    return [*results, *left, *done], observe_and_plan(_afterwards(run)) if _acted(done) else after


def _afterwards(run: RunContext) -> RunContext:
    return replace(run, request=run.request.carried_out)


def _act(
    run: RunContext, actions: Sequence[Action], journal: Journal, first_place: int = 0
) -> list[Result]:
    """Execute the actions that the gate allows; the journal has no intent for the others.

    An intent to detach is evidence that a table was ours, so it is not written for a held action.
    """
    free = [action for action in actions if action.held is None]
    if len(free) < len(actions):
        run.progress(f"{len(actions) - len(free)} actions held: {_first_hold(actions)}")
    done: dict[str, Result] = {}
    if free:
        with run.meter.spent_on("actions"):
            results = execute_plan(run, free, journal, first_place)
        done = {result.action.id: result for result in results}
    return [held(a, a.held) if a.held is not None else done[a.id] for a in actions]


def _first_hold(actions: Iterable[Action]) -> str:
    return next(action.held.text for action in actions if action.held is not None)


def _acted(results: Iterable[Result]) -> bool:
    """Whether anything may have been changed."""
    return any(result.action.held is None for result in results)


def _report(run: RunContext, assessment: Assessment, further: Iterable[Finding] = ()) -> Report:
    return Report(
        run.policy.database.name,
        run.now,
        assessment.plan,
        (*assessment.plan.findings, *further),
        assessment.snapshot,
        kinds=assessment.kinds,
        subjects=assessment.subjects,
        pause=run.gate.pause if run.gate is not None else None,
        facts=assessment.plan.facts,
    )


def _settled_kinds(report: Report, *, is_reviewed: bool) -> frozenset[FindingKind]:
    """Return the kinds of which a run without a finding shows that nothing is left.

    Every run keeps the store, whatever its subjects. A reviewed plan tries only what it names, so
    it does not show that what an earlier run could not do is done.
    """
    if not report.kinds:
        return report.kinds
    kept = report.kinds | {FindingKind.STORE_UNKEPT}
    return frozenset(kind for kind in kept if not (is_reviewed and kind.spec.is_of_run))


def _no_store(policy: Policy, grant: str) -> Finding:
    name = policy.database.name
    return Finding(
        FindingKind.PRIVILEGE_MISSING,
        Severity.ERROR,
        name,
        f"{name}: can't create the store's schema maintenance, which apply needs: run {grant}",
        data={"grants": [grant]},
    )


def _gate_of_plan(
    policy: Policy, origin: Origin, store: Connection | None, now: datetime, request: Request
) -> Gate:
    """Return the gate for a plan, which is shown even if this role may not read the store."""
    try:
        return read_gate(policy, origin, store, now, request)
    except psycopg.errors.InsufficientPrivilege:
        return Gate(policy, origin, now=now, waves=request.waves)


def _selected(only: Collection[str], policy: Policy, request: Request) -> list[Subject[Any]]:
    known = {subject.name: subject for subject in SUBJECTS}
    unknown = sorted(set(only) - known.keys())
    if unknown:
        raise UsageError(
            f"unknown subject: {', '.join(unknown)}", hint=f"known subjects: {', '.join(known)}"
        )
    selected = [subject for name, subject in known.items() if not only or name in only]
    for subject in selected:
        subject.require(policy)
    refuse_unnamed(policy, selected, request)
    refuse_unknown_waves(policy, request)
    return selected


def _refuse_standby(server: Server) -> None:
    if server.in_recovery:
        raise UnreachableError(
            f"database {server.database} is on a standby, wanted the primary",
            hint="set database.url to the primary; list standbys under database.replicas",
            reason="standby",
        )


@contextmanager
def _recorded_failure(journal: Journal) -> Generator[None]:
    try:
        yield
    except MaintenanceError as exc:
        # The store may have caused the failure; the first error is reported.
        with suppress(psycopg.Error):
            journal.end("failed", [], str(exc))
        raise
