"""Undoes a run: drops what it made, recreates what it dropped, in reverse order.

The steps were kept in the journal before the run acted. Each is carried out only if the catalog
shows that there is something for it to do, so that an undo can be repeated after an interruption.
What was undone stays undone until its declaration changes, or it is asked for again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import psycopg

from maintenance.catalog.observe import identify
from maintenance.engine import executor
from maintenance.engine.action_context import ActionContext
from maintenance.engine.actions import Action, ActionKind, HeldBy, Step
from maintenance.engine.executor import ExecutorRegistry, Outcome, Result
from maintenance.engine.kept_steps import read_step
from maintenance.engine.lock_retry import Progress, silent
from maintenance.engine.run_lock import exclusive_run
from maintenance.engine.target import Target
from maintenance.engine.undo_steps import run_undo, why_kept
from maintenance.errors import MaintenanceError, UnreachableError, UsageError
from maintenance.pipeline.gate import PauseWatch, refuse_if_paused
from maintenance.policy import Policy
from maintenance.server.event_triggers import refuse_foreign_event_triggers
from maintenance.server.session import Connection
from maintenance.store import Journal, is_made, migrate
from maintenance.store.undo import PastChange, UndoableRun, changes_of, find_runs, note_undo

LAST = "last"
"""In place of an id: the newest run that left something to undo."""

_SHORTEST_PREFIX = 4

_LAST_KNOWS = frozenset({ActionKind.CONVERT_TABLE.value})
"""Kinds whose newest run knew best how to undo them."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A change that was not undone, and why.

    Attributes:
        is_refused: whether it could be undone in another state of the database.
    """

    object: str
    kind: str
    reason: str
    is_refused: bool = False

    def as_json(self) -> dict[str, Any]:
        """The change as JSON."""
        return {
            "object": self.object,
            "kind": self.kind,
            "reason": self.reason,
            "refused": self.is_refused,
        }


@dataclass(frozen=True, slots=True)
class UndoReport:
    """What an undo did.

    Attributes:
        run_id: of the run that was undone.
        undo_id: of the run that undid it.
        results: the outcomes, in the order in which they were carried out.
        kept: changes that were not undone.
    """

    database: str
    run_id: str
    undo_id: str
    results: tuple[Result, ...] = ()
    kept: tuple[Kept, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Whether nothing failed or was refused."""
        failed = any(result.outcome is Outcome.FAILED for result in self.results)
        return not failed and not any(each.is_refused for each in self.kept)

    @property
    def is_complete(self) -> bool:
        """Whether everything was undone that could be."""
        refused = any(each.is_refused for each in self.kept)
        return not refused and all(result.outcome is Outcome.DONE for result in self.results)

    def as_json(self) -> dict[str, Any]:
        """Return the report as the command line prints it."""
        return {
            "database": self.database,
            "run": self.run_id,
            "undo_run": self.undo_id,
            "complete": self.is_complete,
            "actions": [result.as_json() for result in self.results],
            "kept": [each.as_json() for each in self.kept],
        }


def undo(on: Policy | Target, run: str = LAST, *, progress: Progress = silent) -> UndoReport:
    """Undo what one run changed, as far as its actions can be undone.

    Args:
        on: the database: its policy, or a target that has variables of its own.
        run: the id of the run, the beginning of it, or `last`.
        progress: called with each outcome, and with the locks that are waited for.

    Raises:
        UsageError: there is no such run, several match, or the policy's mode is report.
        UnreachableError: the server can't be reached, or is a standby.
        HeldError: the database is paused.
        LockNotAcquiredError: another run is active.
        MaintenanceError: the store can't be read.
    """
    target = Target.of(on)
    policy = target.policy
    _refuse_if_reporting(policy, [("database.mode", policy.database.mode)])
    with target.database("undo") as connection, target.store() as store:
        if identify(connection).in_recovery:
            raise UnreachableError(
                f"{policy.database.name}: its url leads to a standby; undo needs the primary",
                hint="set database.url to the primary",
                reason="standby",
            )
        if not is_made(store):
            raise _unknown(policy, run)
        refuse_foreign_event_triggers(connection)
        migrate(store)
        refuse_if_paused(policy, store)
        with exclusive_run(connection, policy.locks.give_up_after, progress):
            return _undo(_Undo(target, connection, store, progress), _find(policy, store, run))


@dataclass(frozen=True, slots=True)
class _Undo:
    target: Target
    connection: Connection
    store: Connection
    progress: Progress


def _undo(work: _Undo, run: UndoableRun) -> UndoReport:
    policy = work.target.policy
    name = policy.database.name
    changes, kept = _sorted_out(work.connection, changes_of(work.store, run.id))
    _refuse_if_reporting(policy, _modes(policy, changes))
    journal = Journal(work.store, name)
    journal.begin("undo", policy.hash)
    try:
        results = _carry_out(work, run, changes, journal)
    except MaintenanceError as exc:
        _end(journal, "failed", exc)
        raise
    failed = any(result.outcome is Outcome.FAILED for result in results)
    journal.end("failed" if failed else "done", [])
    return UndoReport(name, run.id, str(journal.run_id), tuple(results), tuple(kept))


def _end(journal: Journal, outcome: str, cause: MaintenanceError) -> None:
    try:
        journal.end(outcome, [], str(cause))
    except (psycopg.Error, MaintenanceError):
        return  # the run stays without an end, like that of a killed process


def _carry_out(
    work: _Undo, run: UndoableRun, changes: Sequence[PastChange], journal: Journal
) -> list[Result]:
    undone = _actions(run, changes)
    of_action = {action.id: same for action, same in undone}

    def context(connection: Connection) -> ActionContext:
        run_id = str(journal.run_id)
        return ActionContext(connection, work.store, work.target, work.progress, run_id)

    def execute(context: ActionContext, action: Action) -> Mapping[str, Any]:
        return _execute(context, action, of_action[action.id])

    return executor.run(
        [action for action, _ in undone],
        ExecutorRegistry({ActionKind.UNDO: execute}),
        journal,
        connection=work.connection,
        opened=partial(work.target.database, "undo"),
        context=context,
        progress=work.progress,
        paused=PauseWatch(work.store, work.target.policy),
    )


def _sorted_out(
    connection: Connection, changes: Sequence[PastChange]
) -> tuple[list[PastChange], list[Kept]]:
    """Return the changes to undo, and the others with the reason.

    What earlier runs began for the same goal is kept together with what completed it.
    """
    wanted: list[PastChange] = []
    kept: list[Kept] = []
    refused: set[str] = set()
    begun: set[str] = set()
    for change in changes:
        reason = _why_kept(change)
        if reason is not None:
            kept.append(Kept(change.object, change.kind, reason))
            continue
        if change.goal not in begun:
            begun.add(change.goal)
            refusal = why_kept(connection, [read_step(each) for each in change.undo or ()])
            if refusal is not None:
                refused.add(change.goal)
                kept.append(Kept(change.object, change.kind, refusal, is_refused=True))
        if change.goal not in refused:
            wanted.append(change)
    return wanted, kept


def _why_kept(change: PastChange) -> str | None:
    if change.undone_at is not None:
        return f"undone already, at {change.undone_at:%Y-%m-%d %H:%M} UTC"
    if change.undo is None:
        return f"{change.kind} can't be undone"
    if change.later_run is not None:
        return f"run {change.later_run} did the same later: undo that one"
    return None


def _actions(
    run: UndoableRun, changes: Sequence[PastChange]
) -> list[tuple[Action, list[PastChange]]]:
    """Return the actions that undo changes, each after those before it on the same table."""
    same: dict[str, list[PastChange]] = {}
    for change in changes:
        same.setdefault(change.goal, []).append(change)
    found: list[tuple[Action, list[PastChange]]] = []
    before: dict[str | None, str] = {}
    for group in same.values():
        change = group[0]
        required = before.get(change.table)
        action = Action(
            ActionKind.UNDO,
            change.object,
            _steps(group),
            f"undoes {change.kind} of run {change.run_id}",
            table=change.table,
            after=(required,) if required is not None else (),
            preconditions={"run": change.run_id, "action": change.action_id},
            detail={"undoes": change.kind, "run": run.id},
        )
        found.append((action, group))
        before[change.table] = action.id
    return found


def _steps(group: Sequence[PastChange]) -> tuple[Step, ...]:
    """Return the steps that undo what several runs did for the same goal, the last one first.

    The first of them knew what was there before. Later ones may have made more. Of a conversion
    the last one knew best what the table has; the others only what they have made themselves.
    """
    if group[0].kind in _LAST_KNOWS:
        known = (read_step(each) for change in group for each in change.undo or ())
        return tuple(dict.fromkeys(known))
    *later, first = ([read_step(each) for each in change.undo or ()] for change in group)
    more = (step for steps in later for step in steps if step.removes is not None)
    return tuple(dict.fromkeys((*more, *first)))


def _execute(
    context: ActionContext, action: Action, changes: Sequence[PastChange]
) -> Mapping[str, Any]:
    """Undo a change, and record that it is undone.

    It is recorded before the first step already that it is being undone, so that a run after an
    interruption does not do it again.
    """

    def note(*, is_complete: bool) -> None:
        for each in changes:
            by = context.run_id
            note_undo(context.store, each.run_id, each.action_id, by, is_complete=is_complete)

    note(is_complete=False)
    made: dict[str, int] = {}
    for each in reversed(changes):
        made |= (each.detail or {}).get("made") or {}
    n_run, others = run_undo(context, action.steps, made)
    note(is_complete=True)
    detail: dict[str, Any] = {"steps": n_run}
    if others:
        detail["kept"] = others
        context.progress(f"kept, made by others since: {', '.join(others)}")
    return detail


def _find(policy: Policy, store: Connection, run: str) -> UndoableRun:
    """Return the run that is meant.

    Raises:
        UsageError: there is none, or more than one.
    """
    name = policy.database.name
    if run == LAST:
        left = (each for each in find_runs(store, name) if each.n_to_undo)
        found = next(left, None)
        if found is None:
            raise UsageError(
                f"{name}: no run has left anything to undo",
                hint="maintenance history shows the runs",
                reason="nothing_to_undo",
            )
        return found
    matching = find_runs(store, name, run) if len(run) >= _SHORTEST_PREFIX else []
    if not matching:
        raise _unknown(policy, run)
    if len(matching) > 1:
        raise UsageError(
            f"{name}: {len(matching)} runs have an id that begins with {run}",
            hint="give more of it",
            reason="ambiguous_run",
        )
    return matching[0]


def _unknown(policy: Policy, run: str) -> UsageError:
    return UsageError(
        f"{policy.database.name}: no run has the id {run}",
        hint="maintenance history shows the runs; last means the newest that can be undone",
        reason="unknown_run",
    )


def _modes(policy: Policy, changes: Sequence[PastChange]) -> Iterator[tuple[str, str]]:
    """Yield the modes that apply to changes, each with its place in the policy."""
    converted = ActionKind.CONVERT_TABLE.value
    tables = {change.object for change in changes if change.kind == converted}
    for section in policy.partitions:
        if str(section.table) in tables:
            yield f"mode of table {section.table}", section.mode
    if policy.indexes is not None and any(change.kind != converted for change in changes):
        yield "indexes.mode", policy.indexes.mode


def _refuse_if_reporting(policy: Policy, modes: Iterable[tuple[str, str]]) -> None:
    place = next((place for place, mode in modes if mode == "report"), None)
    if place is not None:
        raise UsageError(
            f"{policy.database.name}: nothing was done: {place} of the policy is report",
            hint="set it to act, or remove it from the policy",
            reason=HeldBy.REPORT_MODE.value,
        )
