"""Shows what runs have left in a database, and removes it, the store last.

What is ours is decided by marks, registries, ownership and the journal: `maintenance.uninstall`.
Each step is planned anew from the catalog, so that an uninstall that was killed is continued by
the next one. Tables with rows are never dropped.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg

from maintenance.alerts.spool import spool_path
from maintenance.catalog.observe import identify
from maintenance.engine import executor
from maintenance.engine.action_context import ActionContext
from maintenance.engine.actions import Action, ActionKind
from maintenance.engine.executor import ExecutorRegistry, Outcome, Result
from maintenance.engine.lock_retry import Progress, silent
from maintenance.engine.plan import Plan
from maintenance.engine.run_lock import exclusive_run
from maintenance.engine.steps import run_steps
from maintenance.engine.target import Target
from maintenance.errors import MaintenanceError, UnreachableError
from maintenance.pipeline.execute import check_effects
from maintenance.pipeline.gate import refuse_if_paused
from maintenance.policy import Policy
from maintenance.server.event_triggers import refuse_foreign_event_triggers
from maintenance.server.session import Connection, to_error
from maintenance.store import Journal, UnrecordedJournal, is_made, is_ready, migrate
from maintenance.subjects.partitions.drain.cleanup import clear
from maintenance.subjects.partitions.drain.job import Objects
from maintenance.uninstall.models import Outside, Remains, Removal
from maintenance.uninstall.observe import observe
from maintenance.uninstall.outside import outside
from maintenance.uninstall.plan import plan


@dataclass(frozen=True, slots=True)
class UninstallReport:
    """What an uninstall found and did.

    Attributes:
        removal: what is to be removed, or was; and what is kept.
        results: the outcomes; empty if it was only shown.
        is_applied: whether it was carried out.
        outside: what is left outside the database.
        n_to_undo: the number of runs that can be undone as long as the store exists.
    """

    database: str
    removal: Removal
    results: tuple[Result, ...]
    is_applied: bool
    outside: tuple[Outside, ...]
    n_to_undo: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing failed, and nothing that has to be removed can't be."""
        failed = any(result.outcome is not Outcome.DONE for result in self.results)
        return not failed and not self.removal.is_refused

    @property
    def planned(self) -> tuple[Action, ...]:
        """All actions, that on the store last."""
        store = self.removal.store
        return (*self.removal.actions, *((store,) if store is not None else ()))

    def as_json(self) -> dict[str, Any]:
        """Return the report as the command line prints it."""
        done = [result.as_json() for result in self.results]
        shown = [action.as_json() for action in self.planned]
        return {
            "database": self.database,
            "applied": self.is_applied,
            "complete": self.is_applied and self.ok,
            "actions": done if self.is_applied else shown,
            "kept": [each.as_json() for each in self.removal.kept],
            "outside": [each.as_json() for each in self.outside],
            "runs_to_undo": self.n_to_undo,
        }


def uninstall(
    on: Policy | Target, *, act: bool = False, progress: Progress = silent
) -> UninstallReport:
    """Show what runs have left in a database; remove it if that was asked for.

    The modes of the policy do not matter: whoever types it wants the software gone.

    Args:
        on: the database: its policy, or a target that has variables of its own.
        act: whether to remove it.
        progress: called with each outcome, and with the locks that are waited for.

    Raises:
        UsageError: an environment variable is missing, or a url is invalid.
        UnreachableError: the server can't be reached, or is a standby.
        HeldError: the database is paused.
        LockNotAcquiredError: another run is active.
        ForeignStoreError: the store is another role's.
        MaintenanceError: the catalog or the store can't be read.
    """
    target = Target.of(on)
    with target.database("uninstall") as connection, target.store() as store:
        work = _Uninstall(target, connection, store, progress)
        return work.carry_out() if act else work.show()


@dataclass(frozen=True, slots=True)
class _Uninstall:
    target: Target
    connection: Connection
    store: Connection
    progress: Progress

    def show(self) -> UninstallReport:
        remains = self._observe()
        return self._report(remains, plan(remains))

    def carry_out(self) -> UninstallReport:
        policy = self.target.policy
        if identify(self.connection).in_recovery:
            raise UnreachableError(
                f"{policy.database.name}: its url leads to a standby; uninstall needs the primary",
                hint="set database.url to the primary",
                reason="standby",
            )
        refuse_foreign_event_triggers(self.connection)
        if is_made(self.store):
            migrate(self.store)  # an older store can't be read as a whole
            refuse_if_paused(policy, self.store)
        with exclusive_run(self.connection, policy.locks.give_up_after, self.progress):
            return self._carry_out()

    def _carry_out(self) -> UninstallReport:
        remains = self._observe()
        planned = plan(remains)
        results = self._remove(planned, self._journal(planned))
        left = plan(self._observe())
        proven = [*check_effects(results, Plan(actions=left.actions))]
        if planned.store is not None:
            proven.append(self._remove_store(planned.store, proven))
        return self._report(remains, planned, tuple(proven), act=True)

    def _observe(self) -> Remains:
        try:
            return observe(self.connection, self.store, self.target.policy.database.name)
        except psycopg.Error as exc:
            raise to_error(exc, "looking for what runs have left") from exc

    def _journal(self, planned: Removal) -> Journal:
        """Return the journal; without anything to do, nothing is written to a store that stays."""
        is_recorded = planned.actions and is_ready(self.store)
        kind = Journal if is_recorded else UnrecordedJournal
        return kind(self.store, self.target.policy.database.name)

    def _remove(self, planned: Removal, journal: Journal) -> list[Result]:
        """Remove what is in the maintained database, and end the journal."""
        journal.begin("uninstall", self.target.policy.hash)
        try:
            results = executor.run(
                planned.actions,
                ExecutorRegistry({ActionKind.UNINSTALL: _execute}),
                journal,
                connection=self.connection,
                opened=partial(self.target.database, "uninstall"),
                context=partial(self._context, journal),
                progress=self.progress,
            )
        except MaintenanceError as exc:
            _end(journal, str(exc))
            raise
        failed = any(result.outcome is not Outcome.DONE for result in results)
        journal.end("failed" if failed else "done", [])
        return results

    def _context(self, journal: Journal, connection: Connection) -> ActionContext:
        run_id = str(journal.run_id)
        return ActionContext(connection, self.store, self.target, self.progress, run_id)

    def _remove_store(self, action: Action, results: list[Result]) -> Result:
        """Remove the store, unless something else is left: its history is needed for that."""
        if any(result.outcome is not Outcome.DONE for result in results):
            error = "not removed: a required action failed, and its history is needed"
            return Result(action, Outcome.SKIPPED, error=error)
        (step,) = action.steps
        try:
            attempts = self.target.lock_retry.run(self.store, step, self.progress)
        except UnreachableError:
            raise
        except MaintenanceError as exc:
            return Result(action, Outcome.FAILED, error=exc.with_hint, cause=exc)
        again = plan(self._observe()).store
        result = Result(action, Outcome.DONE, attempts)
        (proven,) = check_effects([result], Plan(actions=(again,) if again is not None else ()))
        self.progress(f"{action.kind} {action.object}: {proven.outcome}")
        return proven

    def _report(
        self,
        remains: Remains,
        planned: Removal,
        results: tuple[Result, ...] = (),
        *,
        act: bool = False,
    ) -> UninstallReport:
        name = self.target.policy.database.name
        n_to_undo = sum(each.n_to_undo for each in remains.served if each.database == name)
        left = outside(self.target.policy, remains, spool_path(self.target.environ))
        return UninstallReport(name, planned, results, act, tuple(left), n_to_undo)


def _end(journal: Journal, error: str) -> None:
    try:
        journal.end("failed", [], error)
    except (psycopg.Error, MaintenanceError):
        return  # the run stays without an end, like that of a killed process


def _execute(context: ActionContext, action: Action) -> Mapping[str, Any]:
    if "drained_oid" in action.preconditions:
        facts = action.preconditions
        clear(context, Objects(facts["schema"], facts["drained_oid"]))
        return {}
    return run_steps(context, action)
