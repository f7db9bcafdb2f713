"""Recalculate stale rows, in short batches over pages of their keys.

Each batch is one statement in its own transaction, so that no client can die or freeze between its
begin and its commit. After a batch that took longer than the lock timeout the next one is smaller,
so other writers of the same rows do not wait much longer than that.

The SQL fires triggers, CHECKs and other code of the table's owner, so it runs with the owner's
rights.
"""

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

import psycopg
from psycopg.adapt import Buffer, Dumper
from psycopg.types.json import Jsonb

from maintenance.engine.action_context import ActionContext
from maintenance.engine.actions import Action, Step
from maintenance.errors import EffectError, LockNotAcquiredError, MaintenanceError
from maintenance.formatting import readable_span
from maintenance.names import literal
from maintenance.policy import StaleAnalyticsPolicy
from maintenance.server.owner_rights import OwnerSession
from maintenance.server.session import (
    milliseconds,
    pin,
    read_transaction,
    rollback_quietly,
    to_error,
)
from maintenance.subjects.stale_analytics import queries

PAGE = 50_000
"""How many keys one page has."""

FIRST_BATCH, LARGEST_BATCH = 16, 1_000
"""Rows written in one statement: initial and maximum number."""

Key = tuple[Any, ...]


def recalculate(context: ActionContext, action: Action) -> Mapping[str, Any]:
    """Recalculate a table's stale rows until none remain or the time budget is used up.

    Raises:
        EffectError: a row is still stale after the owner's SQL.
        LockNotAcquiredError, MaintenanceError: as `LockRetry.run`; the owner's SQL was refused.
    """
    section = next(
        each for each in context.policy.stale_analytics if str(each.table) == action.table
    )
    cutoff = datetime.fromisoformat(str(action.preconditions["cutoff"]))
    step = action.steps[0]
    _check_parameters(context, section, step.statements[0])
    owner = context.owner_session(step.owner) if step.owner is not None else None
    work = _Work(context, section, step, cutoff, owner)
    ends_at = time.monotonic() + section.time_budget.total_seconds()
    for keys in work.pages():
        while keys:
            if time.monotonic() > ends_at:
                return work.detail(complete=False)
            n = work.batch
            work.write(keys[:n])
            del keys[:n]
        context.progress(f"{action.object}: {work.n_keys:,} keys recalculated")
    return work.detail(complete=True)


def _check_parameters(context: ActionContext, section: StaleAnalyticsPolicy, text: str) -> None:
    """Refuse SQL with parameters other than the keys.

    Raises:
        MaintenanceError: it has others.
    """
    try:
        psycopg.ClientCursor(context.connection).mogrify(text.encode(), {"keys": []})
    except (psycopg.ProgrammingError, TypeError) as exc:
        raise MaintenanceError(
            f"recalculating rows of {section.table}: {exc}",
            hint=f"{section.recalculate} may use only the parameter %(keys)s;"
            " write a literal percent sign as %%",
        ) from exc


@dataclass
class _Work:
    """The recalculation of one table."""

    context: ActionContext
    section: StaleAnalyticsPolicy
    step: Step
    cutoff: datetime
    owner: OwnerSession | None
    n_keys: int = 0
    n_batches: int = 0
    longest_s: float = 0.0
    batch: int = FIRST_BATCH

    def pages(self) -> Iterator[list[Key]]:
        """Yield pages of stale keys; each page is read after the previous one is written."""
        after: Key | None = None
        while True:
            keys = self._page(after)
            if not keys:
                return
            after = keys[-1]
            yield keys

    def _page(self, after: Key | None) -> list[Key]:
        text = queries.page(self.section, first=after is None)
        parameters = {"cutoff": self.cutoff, "n": PAGE, **queries.named("after", after or ())}
        return self._ask(text, parameters)

    def write(self, keys: Sequence[Key]) -> None:
        """Write one batch, verify its effect, and return the size of the next."""
        context, began = self.context, time.perf_counter()
        if self.owner is not None:
            attempts = self._insist({"keys": self._typed(keys)})
        else:
            with _path_of_the_owner(context):
                attempts = self._insist({"keys": _as_parameter(self.section, keys)})
        context.attempts = max(context.attempts, attempts)
        if attempts == 1:
            self._pace(time.perf_counter() - began)
        self._verify(keys)
        self.n_keys += len(keys)
        self.n_batches += 1

    def _insist(self, parameters: Mapping[str, Any]) -> int:
        context, name = self.context, str(self.section.table)
        told = Step(statements=(f"recalculating rows of {name}",))
        try:
            return context.lock_retry.run_with(
                context.connection, told, context.progress, lambda: self._write_once(parameters)
            )
        except LockNotAcquiredError as exc:
            raise LockNotAcquiredError(
                f"{name}: a row was locked for {readable_span(context.policy.locks.give_up_after)}",
                hint="check for a long transaction on it; the next run continues with the rest",
                reason="row_locked",
            ) from exc

    def _write_once(self, parameters: Mapping[str, Any]) -> None:
        began = time.perf_counter()
        if self.owner is None:
            self.context.connection.execute(self.step.statements[0].encode(), parameters)
        else:
            _execute_as(self.owner, self._bound(self.step.statements[0], parameters), self._limits)
        self.longest_s = max(self.longest_s, time.perf_counter() - began)

    def _pace(self, took_s: float) -> None:
        limit = self.context.policy.locks.lock_timeout.total_seconds()
        if took_s > limit:
            self.batch = max(self.batch // 2, 1)
        elif took_s < limit / 3:
            self.batch = min(self.batch * 2, LARGEST_BATCH)

    def _verify(self, keys: Sequence[Key]) -> None:
        ends = queries.named("from", keys[0]) | queries.named("to", keys[-1])
        left = self._ask(queries.left_over(self.section), {"cutoff": self.cutoff, **ends})
        # A row between the two may have become stale meanwhile; a later run recalculates it.
        key = next((each for each in left if each in keys), None)
        if key is not None:
            raise EffectError(
                f"{self.section.table}: the row of key {', '.join(map(repr, key))} is still stale",
                hint=f"{self.section.recalculate} must set {self.section.calculated_at}"
                " of every row whose key it is given",
            )

    def _ask(self, text: str, parameters: Mapping[str, Any]) -> list[Key]:
        connection, time_cap = self.context.connection, self.context.policy.observe.time_cap
        if self.owner is not None:
            return self._ask_as(self.owner, self._bound(text, parameters))
        try:
            with read_transaction(
                connection, time_cap, f"{self.section.table}: looking for stale rows"
            ):
                return connection.execute(text.encode(), parameters).fetchall()
        except psycopg.errors.LockNotAvailable as exc:
            raise to_error(exc, f"{self.section.table}: looking for stale rows") from exc

    def _ask_as(self, owner: OwnerSession, query: str) -> list[Key]:
        try:
            rows = owner.query(query, self._limits)
        except psycopg.Error as exc:
            rollback_quietly(owner.connection)
            raise to_error(exc, f"{self.section.table}: looking for stale rows") from exc
        return [tuple(row[name] for name in self.section.key) for row in rows]

    @property
    def _limits(self) -> tuple[str, ...]:
        """Return statements that set the timeouts, which an owner's code may have changed."""
        policy = self.context.policy
        return (
            f"SET LOCAL lock_timeout = {milliseconds(policy.locks.lock_timeout)}",
            f"SET LOCAL statement_timeout = {milliseconds(policy.observe.time_cap)}",
        )

    def _bound(self, text: str, parameters: Mapping[str, Any]) -> str:
        """Return a statement with its parameters inserted, for a function that takes plain SQL."""
        cursor = psycopg.ClientCursor(self.context.connection)
        cursor.adapters.register_dumper(_Array, _ArrayDumper)
        return cursor.mogrify(text.encode(), parameters)

    def _typed(self, keys: Sequence[Key]) -> object:
        if len(self.section.key) == 1:
            return _Array([key[0] for key in keys], self._key_type)
        return _as_parameter(self.section, keys)

    @cached_property
    def _key_type(self) -> str:
        row = self.context.connection.execute(
            "SELECT pg_catalog.format_type(a.atttypid, a.atttypmod)"
            " FROM pg_catalog.pg_attribute AS a"
            " WHERE a.attrelid = %s::pg_catalog.regclass AND a.attname = %s",
            (str(self.section.table), self.section.key[0]),
        ).fetchone()
        assert row is not None, "the section was validated"
        return row[0]

    def detail(self, *, complete: bool) -> Mapping[str, Any]:
        """Return the action's detail for the journal."""
        return {
            "keys": self.n_keys,
            "batches": self.n_batches,
            "longest_batch_ms": round(self.longest_s * 1000, 1),
            "complete": complete,
        }


class _Array(NamedTuple):
    """Values as in JSON, and their type in the table."""

    values: list[Any]
    type: str


class _ArrayDumper(Dumper):
    """Writes an array as a literal of its type: JSON does not distinguish uuid from text."""

    def dump(self, obj: _Array) -> Buffer:
        return self.quote(obj)

    def quote(self, obj: _Array) -> Buffer:
        values = ", ".join("NULL" if v is None else f"{literal(str(v))}" for v in obj.values)
        return f"ARRAY[{values}]::{obj.type}[]".encode()


def _execute_as(owner: OwnerSession, statement: str, settings: Sequence[str]) -> None:
    try:
        owner.execute(statement, settings=settings)
    except psycopg.Error:
        rollback_quietly(owner.connection)
        raise


@contextmanager
def _path_of_the_owner(context: ActionContext) -> Generator[None]:
    """Set the search_path for the owner's SQL; timeouts are those of the session."""
    pin(context.connection, {"search_path": context.policy.database.search_path})
    try:
        yield
    finally:
        if not context.connection.closed and not context.connection.broken:
            pin(context.connection, {"search_path": ""})


def _as_parameter(section: StaleAnalyticsPolicy, keys: Sequence[Key]) -> object:
    if len(section.key) == 1:
        return [key[0] for key in keys]
    return Jsonb([dict(zip(section.key, map(_plain, key), strict=True)) for key in keys])


def _plain(value: object) -> object:
    """Return a value as in JSON, else as text that the server can read."""
    return value if isinstance(value, str | int | float | None) else str(value)
