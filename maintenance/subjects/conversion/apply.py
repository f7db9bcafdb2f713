"""Executes a conversion step by step; what is done is found again by the next run."""

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

import psycopg

from maintenance.engine.action_context import ActionContext
from maintenance.engine.actions import Action, Step
from maintenance.engine.build_cleanup import cleaned_up, drop_unusable
from maintenance.engine.build_monitor import run_watched, watched, without_timeouts
from maintenance.engine.build_preflight import IndexSize, await_build, refuse_copies
from maintenance.engine.index_build import find_index
from maintenance.engine.lock_retry import Progress
from maintenance.engine.progress import BuildProgress, StepProgress
from maintenance.engine.steps import run_step
from maintenance.errors import EffectError, MaintenanceError, NotNeededError, UnreachableError
from maintenance.names import QualifiedName, parse_name
from maintenance.server.session import fetch, owner_search_path, run_sql, to_error
from maintenance.server.sql_library import load_statement
from maintenance.subjects.conversion.matviews import is_fill
from maintenance.subjects.conversion.models import Definition, Fact
from maintenance.subjects.conversion.proof import is_exchange, is_swap, with_kept, with_proofs

_BUILD = "CREATE UNIQUE INDEX CONCURRENTLY "


def convert(context: ActionContext, action: Action) -> Mapping[str, Any]:
    """Run the steps of a conversion.

    Raises:
        NotNeededError: the table was dropped, replaced or converted meanwhile.
        LockNotAcquiredError: other sessions blocked a step until the deadline; what is done stays,
            and the next run continues.
        MaintenanceError: the server refused a step. What would refuse rows is removed.
    """
    _still_there(context, action)
    told = [each["what"] for each in action.detail["steps"]]
    took: list[float] = []
    show = context.progress
    for place, (step, what) in enumerate(zip(action.steps, told, strict=True), start=1):
        position = _Position(action.object, place, len(told), show)
        context.progress = position.pass_on
        position.tell(what)
        began = time.perf_counter()
        try:
            _run(context, action, step)
        except UnreachableError:
            raise
        except MaintenanceError as exc:
            if exc.reason == "check_violation":
                _remove_checks(context, action, exc)
            raise
        took.append(round(time.perf_counter() - began, 3))
    return {**_verified(context, action), "step_seconds": took}


class _Position(NamedTuple):
    """The place of a step among all, which lines of progress name."""

    table: str
    place: int
    total: int
    progress: Progress

    def tell(self, what: str, fraction: float | None = None) -> None:
        """Show what is being done, and how much of it is, if that is known."""
        line = StepProgress.of(self.table, "conversion", self.place, self.total, what, fraction)
        self.progress(line)

    def pass_on(self, line: str) -> None:
        """Show a line of the step; how far a build is becomes how far the conversion is."""
        if isinstance(line, BuildProgress):
            self.tell(line.phase, line.fraction)
        else:
            self.progress(line)


def _run(context: ActionContext, action: Action, step: Step) -> None:
    (*_, statement) = step.statements
    if is_swap(step):
        _swap(context, action, step)
    elif is_fill(step):
        _fill(context, action, step)
    elif is_exchange(step):
        _exchange(context, step)
    elif statement.startswith(_BUILD):
        _build(context, action, statement)
    elif statement.startswith("ANALYZE "):
        _analyze(context, statement)
    else:
        run_step(context, step)


def _analyze(context: ActionContext, statement: str) -> None:
    path = context.policy.database.search_path
    try:
        with without_timeouts(context), owner_search_path(context.connection, path):
            run_sql(context.connection, statement)
    except psycopg.Error as exc:
        raise to_error(exc, statement) from exc


def _swap(context: ActionContext, action: Action, step: Step) -> None:
    """Swap the table, with its properties of this moment in the proofs.

    Raises:
        MaintenanceError: they differ from those of the plan; nothing was changed.
    """
    parameters = {"relation": action.preconditions["oid"]}
    rows = fetch(context.connection, "conversion", "list_facts", parameters)
    facts = tuple(Fact(row.kind, row.name, row.definition) for row in rows)
    expected = action.preconditions
    table = Definition(
        parse_name(action.object), expected["column"], facts, expected["referenced_by"]
    )
    _refuse_full_disk(context, action)
    proven = with_proofs(step, table, _facts_sql(context))
    if proven is None:
        raise MaintenanceError(
            f"{action.object}: its definition has changed since the plan; nothing was swapped",
            hint="run maintenance apply again",
            reason="changed_since_plan",
        )
    context.run(proven)


def _fill(context: ActionContext, action: Action, step: Step) -> None:
    """Populate the twin of a materialized view."""
    _refuse_full_disk(context, action, twin=step.locks[0].object)
    context.run(step)


def _exchange(context: ActionContext, step: Step) -> None:
    """Replace a materialized view by its twin, with its properties of this moment in the proof.

    Raises:
        MaintenanceError: they differ from those of the plan; nothing was changed.
    """
    name = step.locks[0].object
    (view,) = _matviews(context, names=[name]) or (None,)
    proven = None
    if view is not None:
        rows = fetch(context.connection, "conversion", "list_facts", {"relation": view.oid})
        facts = tuple(Fact(row.kind, row.name, row.definition) for row in rows)
        proven = with_kept(step, parse_name(name), facts, _facts_sql(context))
    if proven is None:
        raise MaintenanceError(
            f"{name}: changed or dropped since the plan; it was not replaced",
            hint="run maintenance apply again",
            reason="changed_since_plan",
        )
    context.run(proven)


def _facts_sql(context: ActionContext) -> str:
    version = context.connection.info.server_version
    return load_statement("conversion", "list_facts", version).decode()


def _matviews(
    context: ActionContext, *, names: Sequence[str] = (), relations: Sequence[int] = ()
) -> list[Any]:
    parameters = {"names": list(names), "relations": list(relations), "twins": bool(relations)}
    return fetch(context.connection, "conversion", "list_matviews", parameters)


def _refuse_full_disk(context: ActionContext, action: Action, twin: str | None = None) -> None:
    """Refuse to build materialized views again without enough free disk: all, or one.

    Raises:
        MaintenanceError: there is not enough.
    """
    twins: Mapping[str, str] = action.preconditions["matviews"]
    refuse_copies(context, [view for each, view in twins.items() if twin in (None, each)])


def _build(context: ActionContext, action: Action, statement: str) -> None:
    """Build the index of the future key; without a lock timeout, which would leave it invalid."""
    _still_there(context, action)
    columns = {"relation": action.preconditions["oid"], "columns": action.preconditions["key"]}
    (size,) = fetch(context.connection, "conversion", "measure_table", columns)
    name = f"the index of the future key of {action.object}"
    await_build(context, name, action.object, size=IndexSize(size.key_bytes, size.tablespace))
    path = context.policy.database.search_path

    with (
        without_timeouts(context),
        watched(context) as watch,
        owner_search_path(context.connection, path),
        cleaned_up(context, partial(_remove_index, action)),
    ):
        run_watched(context, statement, watch)


def _remove_index(action: Action, context: ActionContext, within: timedelta) -> None:
    """Remove the invalid index of a build that did not end."""
    parameters = {"relations": [action.preconditions["oid"]]}
    for row in fetch(context.connection, "conversion", "list_helpers", parameters):
        if row.kind == "index" and not row.is_valid:
            name = QualifiedName(parse_name(action.object).schema, row.name)
            found = find_index(context.connection, str(name))
            if found is not None and found.table_oid == row.relation:
                drop_unusable(context, found.oid, within)


def _still_there(context: ActionContext, action: Action) -> None:
    rows = fetch(
        context.connection, "catalog", "list_named", {"relations": [action.preconditions["oid"]]}
    )
    name = parse_name(action.object)
    if not rows or (rows[0].schema, rows[0].name) != tuple(name):
        raise NotNeededError(
            f"{action.object}: dropped, renamed or replaced since the plan was made"
        )


def _remove_checks(context: ActionContext, action: Action, cause: MaintenanceError) -> None:
    """Remove the CHECK that a row violates: it would refuse more of them."""
    parameters = {"relations": [action.preconditions["oid"]]}
    try:
        for row in fetch(context.connection, "conversion", "list_helpers", parameters):
            if row.kind == "check" and not row.is_valid:
                statement = f"ALTER TABLE {action.object} DROP CONSTRAINT IF EXISTS {row.name}"
                context.run(Step((statement,), locks=action.steps[0].locks, owner=action.owner))
    except MaintenanceError as exc:
        cause.add_note(f"also, a CHECK that refuses rows could not be removed: {exc}")


def _verified(context: ActionContext, action: Action) -> Mapping[str, Any]:
    """Check the result in the catalog; its properties were compared before the swap's COMMIT.

    Raises:
        EffectError: the table is not the first partition, or an index is not valid.
    """
    if action.preconditions["is_swapped"]:
        return _finished(context, action)
    parameters = {"relation": action.preconditions["oid"]}
    rows = fetch(context.connection, "conversion", "check_result", parameters)
    row = rows[0] if rows else None
    if row is None or row.parent != action.object or row.invalid_indexes:
        raise EffectError(
            f"{action.object}: the swap succeeded, but the catalog shows"
            f" {row.parent if row is not None else 'no partition'} with invalid indexes"
            f" {list(row.invalid_indexes or ()) if row is not None else []}"
        )
    return {
        "partitions": row.n_partitions,
        "first_partition": row.name,
        "bound": row.bound,
        "undo": action.detail["undo"],
    }


def _finished(context: ActionContext, action: Action) -> Mapping[str, Any]:
    """Check that an interrupted conversion has nothing left.

    Raises:
        EffectError: something is still there.
    """
    parameters = {"relations": [action.preconditions["oid"]]}
    rows = fetch(context.connection, "conversion", "list_helpers", parameters)
    views = _matviews(context, relations=[action.preconditions["oid"]])
    names = ", ".join(row.name for row in (*rows, *views))
    if names:
        raise EffectError(f"{action.object}: the steps succeeded, but the catalog shows {names}")
    return {}
