"""Observe, plan, apply, record: the whole of one run on one database.

Both drivers, the command line and Dagster, call these functions and add nothing of their own.
"""

import os
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import psycopg

from maintenance.catalog.models import Server, Snapshot
from maintenance.catalog.observe import identify, look_up, observe
from maintenance.engine import runner
from maintenance.engine.actions import UNSEEN
from maintenance.engine.findings import FITNESS, Finding, FindingKind, Severity
from maintenance.engine.ladder import Ladder, Progress, silent
from maintenance.engine.plans import Plan, join
from maintenance.engine.requests import EVERYTHING, Request
from maintenance.engine.reviewed import ReviewedPlan, admit
from maintenance.engine.runlock import exclusive_run
from maintenance.engine.runner import Outcome, Result
from maintenance.engine.subject import Subject
from maintenance.errors import (
    ArchiveError,
    EffectError,
    LockNotAcquiredError,
    MaintenanceError,
    UnreachableError,
    UsageError,
)
from maintenance.policy import Policy
from maintenance.server.session import Connection, Timeouts, connect, explain
from maintenance.store import Journal, RecentRun, is_ready, migrate, missing_right, recent_runs
from maintenance.subjects import SUBJECTS

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
    """

    database: str
    now: datetime
    plan: Plan
    findings: tuple[Finding, ...]
    snapshot: Snapshot | None
    results: tuple[Result, ...] = ()
    runs: tuple[RecentRun, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether no action failed or was refused and no finding of severity error stands."""
        undone = any(result.outcome is not Outcome.DONE for result in self.results)
        return not undone and all(f.severity is not Severity.ERROR for f in self.findings)


def check(policy: Policy, *, environ: Mapping[str, str] = os.environ) -> Report:
    """Connect, and report what in the database does not fit the policy; changes nothing.

    Raises:
        UsageError, UnreachableError: see `plan`.
    """
    report = plan(policy, environ=environ)
    findings = [finding for finding in report.findings if finding.kind in FITNESS]
    with _store_session(policy, environ) as connection:
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
        UsageError: an environment variable is missing, a url is none, or a subject is unknown.
        UnreachableError: the server can't be reached or refuses us.
        MaintenanceError: the catalog could not be read.
    """
    subjects = _selected(only)
    moment = now or datetime.now(UTC)
    with _session(policy, environ, "plan") as connection:
        snapshot, planned = _look(connection, policy, subjects, moment, request)
    return Report(policy.database.name, moment, planned, planned.findings, snapshot)


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
    subjects = _selected(only)
    moment = now or datetime.now(UTC)
    with (
        _session(policy, environ, "apply") as connection,
        _store_session(policy, environ) as store,
    ):
        _refuse_standby(identify(connection))
        migrate(store)
        journal = Journal(store, policy.database.name)
        journal.begin("apply", policy.hash)
        with _recorded_failure(journal):
            report = _apply(
                connection, journal, policy, subjects, moment, request, reviewed, progress
            )
        journal.end(
            "done" if report.ok else "failed", [finding.as_json() for finding in report.findings]
        )
    return report


def status(policy: Policy, *, environ: Mapping[str, str] = os.environ) -> Report:
    """Report what stands now, with the newest runs where a store exists; changes nothing.

    Raises:
        UsageError, UnreachableError, MaintenanceError: as `plan`.
    """
    report = plan(policy, environ=environ)
    with _store_session(policy, environ) as store:
        runs = recent_runs(store, policy.database.name) if is_ready(store) else []
    return replace(report, runs=tuple(runs))


def _apply(
    connection: Connection,
    journal: Journal,
    policy: Policy,
    subjects: Sequence[Subject],
    now: datetime,
    request: Request,
    reviewed: ReviewedPlan | None,
    progress: Progress,
) -> Report:
    locks = policy.locks
    ladder = Ladder(locks.lock_timeout, locks.patient_lock_timeout, locks.give_up_after)
    name = policy.database.name
    try:
        with exclusive_run(connection, locks.give_up_after, progress):
            snapshot, planned = _look(connection, policy, subjects, now, request)
            if reviewed is not None:
                planned = admit(reviewed, policy.hash, planned)
            results = runner.run(
                connection,
                planned.actions,
                executors={k: e for subject in subjects for k, e in subject.executors.items()},
                policy=policy,
                ladder=ladder,
                journal=journal,
                progress=progress,
            )
            if not results:
                return Report(name, now, planned, planned.findings, snapshot)
            snapshot, again = _look(connection, policy, subjects, now, request)
            standing = again
            if request.periods:
                wider = Request(table=request.table)
                snapshot, standing = _look(connection, policy, subjects, now, wider)
    except LockNotAcquiredError as exc:
        busy = Finding(
            FindingKind.LOCK_NOT_ACQUIRED, Severity.ERROR, name, f"{name}: {exc} ({exc.hint})"
        )
        return Report(name, now, Plan(), (busy,), None)
    verified = tuple(_verified(results, again))
    findings = (*standing.findings, *_failures(verified))
    return Report(name, now, planned, findings, snapshot, verified)


def _look(
    connection: Connection,
    policy: Policy,
    subjects: Sequence[Subject],
    now: datetime,
    request: Request,
) -> tuple[Snapshot, Plan]:
    wanted = {relation for subject in subjects for relation in subject.relations(policy)}
    relations = {relation for relation in wanted if request.concerns(relation)}
    if request.table is not None and not relations:
        raise UsageError(
            f"{request.table}: no section of policy {policy.database.name} names this table",
            hint=f"it names {', '.join(sorted(map(str, wanted))) or 'none'}",
        )
    snapshot = observe(connection, relations, time_cap=policy.observe.time_cap)
    names = {
        name
        for subject in subjects
        for name in subject.names_wanted(policy, snapshot, now, request)
    }
    snapshot = look_up(connection, snapshot, names)
    plans = [subject.plan(policy, snapshot, now, request) for subject in subjects]
    return snapshot, join([*plans, Plan(findings=tuple(_general(policy, snapshot)))])


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
    seen = (action for action in again.actions if action.kind not in UNSEEN)
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


def _selected(only: Collection[str]) -> list[Subject]:
    known = {subject.name: subject for subject in SUBJECTS}
    unknown = sorted(set(only) - known.keys())
    if unknown:
        raise UsageError(
            f"no such subject: {', '.join(unknown)}", hint=f"subjects are {', '.join(known)}"
        )
    return [subject for name, subject in known.items() if not only or name in only]


def _refuse_standby(server: Server) -> None:
    if server.in_recovery:
        raise UnreachableError(
            f"database {server.database} is a standby, wanted the primary",
            hint="point database.url at the primary; standbys belong under database.replicas",
        )


@contextmanager
def _session(policy: Policy, environ: Mapping[str, str], command: str) -> Generator[Connection]:
    url = policy.database.url.resolve(environ)
    timeouts = Timeouts(policy.locks.lock_timeout, policy.observe.time_cap)
    with _opened(url, f"maintenance {command} {policy.database.name}", timeouts) as connection:
        yield connection


@contextmanager
def _store_session(policy: Policy, environ: Mapping[str, str]) -> Generator[Connection]:
    """The store has a session of its own: what was journaled survives the working session."""
    url = (policy.store.url or policy.database.url).resolve(environ)
    timeouts = Timeouts(policy.locks.patient_lock_timeout, timedelta(minutes=1))
    with _opened(url, f"maintenance store {policy.database.name}", timeouts) as connection:
        yield connection


@contextmanager
def _opened(url: str, application: str, timeouts: Timeouts) -> Generator[Connection]:
    connection = connect(url, application=application, timeouts=timeouts)
    try:
        yield connection
    except psycopg.Error as exc:
        raise explain(exc, application) from exc
    finally:
        connection.close()


@contextmanager
def _recorded_failure(journal: Journal) -> Generator[None]:
    try:
        yield
    except MaintenanceError as exc:
        # The store may be what failed; the first error is the one to tell.
        with suppress(psycopg.Error):
            journal.end("failed", [], str(exc))
        raise
