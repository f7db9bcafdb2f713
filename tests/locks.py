"""The locks that a run really takes on tables, and probes of a writer and a reader beside it.

A transaction is stopped before its COMMIT, and another session reads its locks. Statements that
make their own transactions are looked at while they run; an older snapshot keeps those back for a
moment that wait for it.
"""

import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from maintenance.engine import executor
from maintenance.engine.actions import Action, LockMode
from tests.builders import Database

MODES = {
    "ShareUpdateExclusiveLock": LockMode.SHARE_UPDATE_EXCLUSIVE,
    "ShareLock": LockMode.SHARE,
    "ShareRowExclusiveLock": LockMode.SHARE_ROW_EXCLUSIVE,
    "ExclusiveLock": LockMode.EXCLUSIVE,
    "AccessExclusiveLock": LockMode.ACCESS_EXCLUSIVE,
}
STRENGTH = list(MODES.values())

_NAMES = """
SELECT c.oid, format('%I.%I', n.nspname, c.relname)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
"""
_HELD = """
SELECT c.oid, format('%%I.%%I', n.nspname, c.relname), l.mode
FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE l.pid = %s AND l.granted AND l.mode = ANY (%s) AND c.relkind IN ('r', 'p', 'm')
  AND n.nspname NOT IN ('pg_catalog', 'pg_toast', 'maintenance', 'information_schema')
  AND n.nspname !~ '^pg_temp' AND c.relname !~ '^maintenance_'
"""
_ENDS = re.compile(r";\s*COMMIT\s*$")
_ALONE = re.compile(r"^\s*(CREATE|DROP|ALTER|REINDEX|REFRESH|ANALYZE|VACUUM|LOCK|UPDATE)\b")

PROBE_TIMEOUT = "50ms"
HOLD_S = 0.1

Taken = dict[str, LockMode]


def stronger(one: LockMode | None, other: LockMode) -> LockMode:
    return other if one is None or STRENGTH.index(other) > STRENGTH.index(one) else one


@contextmanager
def rewriting(rewrite: Callable[[str], str]) -> Generator[None]:
    """Send other statements than a run of ours means to, in a block."""
    execute = psycopg.Cursor.execute

    def executing(cursor: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        text = query.decode() if isinstance(query, bytes) else str(query)
        return execute(cursor, rewrite(text).encode(), *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psycopg.Cursor, "execute", executing)
        yield


@dataclass
class LockWatch:
    """The strongest lock of each action on each table that others can see.

    Attributes:
        declared: by action, as the tables were before it; none on tables that it makes.
        declared_on_made: by action, on tables that it has made, such as new partitions of one that
            it analyzes in the end.
        taken: by action, by the names that tables had before it.
        sampled: by action, what was seen while a statement ran that makes its own transactions; a
            lock that it held for a moment may be missing.
    """

    database: Database
    actions: dict[str, Action] = field(default_factory=dict[str, Action])
    declared: dict[str, Taken] = field(default_factory=dict[str, Taken])
    declared_on_made: dict[str, Taken] = field(default_factory=dict[str, Taken])
    taken: dict[str, Taken] = field(default_factory=lambda: defaultdict[str, Taken](dict))
    sampled: set[str] = field(default_factory=set[str])
    _names: dict[str, dict[int, str]] = field(default_factory=dict[str, dict[int, str]])
    _thread: threading.local = field(default_factory=threading.local)
    _lock: Any = field(default_factory=threading.RLock)
    _observer: Any = None

    @property
    def _current(self) -> str:
        """The action that this thread executes."""
        return getattr(self._thread, "action", "")

    def undeclared(self) -> list[str]:
        """Locks that an action took and did not declare, or declared as weaker ones."""
        found: list[str] = []
        for key, taken in self.taken.items():
            if key not in self.actions:
                continue
            declared = self.declared_on_made[key] | self.declared[key]
            for name, mode in taken.items():
                if stronger(declared.get(name), mode) is not declared.get(name):
                    action = self.actions[key]
                    found.append(f"{action.kind} {action.object}: {mode} on {name}")
        return found

    def untaken(self) -> list[str]:
        """Locks that an action declared, on tables that are there, and never took."""
        found: list[str] = []
        for key, action in self.actions.items():
            if key in self.sampled:
                continue
            taken = self.taken.get(key, {})
            for lock in action.locks:
                if lock.object not in self.declared[key]:
                    continue
                held = taken.get(lock.object)
                if held is None or stronger(held, lock.mode) is not held:
                    found.append(f"{action.kind} {action.object}: {lock.mode} on {lock.object}")
        return found

    def _declared(self, action: Action) -> Taken:
        """What an action declares on what is there; on a table also on all its partitions."""
        found: Taken = {}
        for lock in action.locks:
            for name in self._below(lock.object):
                found[name] = stronger(found.get(name), lock.mode)
        for name in action.branches:
            found.setdefault(name, LockMode.SHARE_UPDATE_EXCLUSIVE)
        return found

    def _below(self, name: str) -> list[str]:
        tree = (
            "SELECT format('%%I.%%I', n.nspname, c.relname)"
            " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.oid = to_regclass(%(name)s)"
            " OR c.oid IN (SELECT relid FROM pg_partition_tree(to_regclass(%(name)s)))"
        )
        return [child for (child,) in self._observer.execute(tree, {"name": name}).fetchall()]

    @contextmanager
    def watching(self) -> Generator[None]:
        """Watch the runs of this process in a block."""
        with (
            psycopg.connect(self.database.url, autocommit=True) as observer,
            pytest.MonkeyPatch.context() as patch,
        ):
            self._observer = observer
            patch.setattr(psycopg.Cursor, "execute", self._executing(psycopg.Cursor.execute))
            patch.setattr(executor, "_perform", self._performing(executor._perform))
            yield

    def _performing(self, perform: Any) -> Any:
        def performing(context: Any, action: Action, execute: Any) -> Any:
            self._thread.action = action.id
            self.actions[action.id] = action
            with self._lock:
                self.declared[action.id] = self._declared(action)
                self._names[action.id] = dict(self._observer.execute(_NAMES).fetchall())
            try:
                return perform(context, action, execute)
            finally:
                self._thread.action = ""
                with self._lock:
                    before = self._names[action.id].values()
                    now = self._declared(action).items()
                    self.declared_on_made[action.id] = {n: m for n, m in now if n not in before}

        return performing

    def _executing(self, execute: Any) -> Any:
        def executing(cursor: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
            connection = cursor.connection
            name = connection.info.get_parameters().get("application_name", "")
            is_ours = name.startswith("maintenance ") and "store" not in name
            if not (is_ours and self._current):
                return execute(cursor, query, *args, **kwargs)
            text = query.decode() if isinstance(query, bytes) else str(query)
            process = connection.info.backend_pid
            if _ENDS.search(text):
                open_ = _ENDS.sub(";\nSAVEPOINT the_end", text)  # as many answers
                done = execute(cursor, open_.encode(), *args, **kwargs)
                self._note(process)
                execute(psycopg.Cursor(connection), b"COMMIT")
                return done
            if _ALONE.match(text) and connection.info.transaction_status is TransactionStatus.IDLE:
                with self._sampling(process, is_held="CONCURRENTLY" in text):
                    return execute(cursor, text.encode(), *args, **kwargs)
            done = execute(cursor, text.encode(), *args, **kwargs)
            if connection.info.transaction_status is TransactionStatus.INTRANS:
                self._note(process)
            return done

        return executing

    def _note(self, process: int, observer: Any = None, action: str = "") -> None:
        with self._lock:
            held = (observer or self._observer).execute(_HELD, [process, list(MODES)])
            key: str = action or self._current
            taken, before = self.taken[key], self._names[key]
            for oid, now, mode in held.fetchall():
                name = before[oid] if oid in before else str(now)
                taken[name] = stronger(taken.get(name), MODES[mode])

    @contextmanager
    def _sampling(self, process: int, *, is_held: bool) -> Generator[None]:
        """Look at the locks all the time until the end of the block."""
        action = self._current
        self.sampled.add(action)
        over = threading.Event()

        def sample() -> None:
            with psycopg.connect(self.database.url, autocommit=True) as observer:
                ready.set()
                while not over.is_set():
                    self._note(process, observer, action)

        def hold() -> None:
            with psycopg.connect(self.database.url) as holder:
                holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                holder.execute("SELECT pg_current_xact_id()")
                holding.set()
                over.wait(HOLD_S)

        ready, holding = threading.Event(), threading.Event()
        threads = [threading.Thread(target=sample)]
        if is_held:
            threads.append(threading.Thread(target=hold))
        for thread in threads:
            thread.start()
        ready.wait()
        if is_held:
            holding.wait()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()


_TABLES = """
SELECT format('%I.%I', 'public', relname), relkind <> 'm' FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'm') AND NOT relispartition
  AND relname !~ '^maintenance_'
"""


@dataclass
class Probes:
    """A writer and a reader on all tables and views, that wait for no lock longer than a moment.

    They lock them as an INSERT and a SELECT do, and change nothing.
    """

    database: Database
    patience: str = PROBE_TIMEOUT
    blocked: list[str] = field(default_factory=list[str])
    n_tried: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Generator[None]:
        """Probe until the end of the block."""
        found = self.database.execute(_TABLES)
        writes = [
            f"LOCK TABLE {name} IN ROW EXCLUSIVE MODE" for name, is_table in found if is_table
        ]
        reads = [f"SELECT FROM {name} LIMIT 0" for name, _ in found]
        threads = [threading.Thread(target=self._probe, args=[each]) for each in (writes, reads)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def _probe(self, statements: list[str]) -> None:
        with psycopg.connect(self.database.url, autocommit=True) as connection:
            connection.execute(f"SET lock_timeout = '{self.patience}'".encode())
            while not self._over.is_set():
                for statement in statements:
                    self._try(connection, statement)
                time.sleep(0.002)

    def _try(self, connection: Any, statement: str) -> None:
        self.n_tried += 1
        try:
            connection.execute(f"BEGIN; {statement}; ROLLBACK".encode())
        except psycopg.errors.LockNotAvailable:
            self.blocked.append(statement)
            connection.execute("ROLLBACK")
        except psycopg.errors.UndefinedTable:  # it has been dropped, or replaced
            connection.execute("ROLLBACK")
