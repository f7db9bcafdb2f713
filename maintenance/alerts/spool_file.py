"""The file of the spool: its tables, transactions, locks, and what is done if it is damaged.

Where it can't be written, the same tables are kept in memory for the length of this process.
"""

import fcntl
import hashlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

LOCK_LIMIT_S = 30.0
"""Longest wait for another process that works on the alerts of the same policy."""
BUSY_S = 10.0
"""Longest wait for a transaction of another process."""
_POLL_S = 0.02
_VERSION = 2
_TABLES = f"""
CREATE TABLE scope (
  name TEXT PRIMARY KEY, is_away INTEGER NOT NULL, reached_at REAL NOT NULL, digest TEXT NOT NULL);
CREATE TABLE alert (
  scope TEXT NOT NULL, kind TEXT NOT NULL, object TEXT NOT NULL, document TEXT, gone_at TEXT,
  is_new INTEGER NOT NULL, PRIMARY KEY (scope, kind, object));
CREATE TABLE event (
  id INTEGER PRIMARY KEY AUTOINCREMENT, scope TEXT NOT NULL, key TEXT NOT NULL,
  turn TEXT NOT NULL, happened_at TEXT NOT NULL, document TEXT NOT NULL, is_new INTEGER NOT NULL,
  UNIQUE (scope, key));
CREATE TABLE delivery (
  event_id INTEGER NOT NULL REFERENCES event ON DELETE CASCADE, sink TEXT NOT NULL,
  attempts INTEGER NOT NULL, tried_at TEXT, ended_at TEXT, error TEXT, turn TEXT, severity TEXT,
  can_wait INTEGER NOT NULL, is_new INTEGER NOT NULL,
  PRIMARY KEY (event_id, sink));
PRAGMA user_version = {_VERSION};
"""

T = TypeVar("T")

_LOG = logging.getLogger("maintenance.alerts")


@dataclass
class _Memory:
    """Spools of this process whose file can't be written."""

    connection: sqlite3.Connection
    lock: threading.RLock = field(default_factory=threading.RLock)


_memories: dict[Path, _Memory] = {}
_memories_lock = threading.Lock()
_said: dict[Path, set[str]] = {}


@dataclass
class SpoolFile:
    """One spool, for all policies of a host.

    Attributes:
        path: the file.
        notices: what the operator should know of it, each said once by this process.
    """

    path: Path
    notices: list[str] = field(default_factory=list[str])

    @property
    def is_in_memory(self) -> bool:
        """Whether nothing of it will survive this process."""
        return self.path in _memories

    @contextmanager
    def held(self, what: str, limit_s: float) -> Generator[bool]:
        """Hold a lock of this host for a block; yield whether it was free within some seconds."""
        name = hashlib.sha256(what.encode()).hexdigest()[:16]
        try:
            self._make_folder()
            path = self.path.with_name(f"alerts.{name}.lock")
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            with _thread_lock(f"{self.path}{name}", limit_s) as is_held:
                yield is_held
            return
        try:
            yield _flock(descriptor, limit_s)
        finally:
            os.close(descriptor)  # which gives the lock back

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run work in one transaction on the file; in memory where that can't be written."""
        memory = _memories.get(self.path)
        if memory is None:
            try:
                return self._run_on_file(work)
            except (sqlite3.OperationalError, OSError) as exc:
                memory = self._go_to_memory(exc)
            except (sqlite3.DatabaseError, ValueError, KeyError, TypeError) as exc:
                return self._without_damage(work, exc)
        with memory.lock:
            return _in_transaction(memory.connection, work)

    def _run_on_file(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self._make_folder()
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        with closing(sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)) as db:
            db.execute("PRAGMA foreign_keys = ON")
            return _in_transaction(db, lambda db: work(_prepared(db)))

    def _without_damage(self, work: Callable[[sqlite3.Connection], T], damage: Exception) -> T:
        """Set a damaged file aside, and work on a new one."""
        try:
            with self.held("aside", LOCK_LIMIT_S):
                with suppress(sqlite3.DatabaseError, ValueError, KeyError, TypeError):
                    return self._run_on_file(work)  # another process may have done so meanwhile
                self._set_aside(damage)
                return self._run_on_file(work)
        except (sqlite3.Error, OSError) as exc:
            memory = self._go_to_memory(exc)
        with memory.lock:
            return _in_transaction(memory.connection, work)

    def _set_aside(self, damage: Exception) -> None:
        moment = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
        aside = self.path.with_name(f"{self.path.name}.damaged-{moment}")
        journal = self.path.with_name(f"{self.path.name}-journal")
        self.path.replace(aside)
        with suppress(FileNotFoundError):
            journal.replace(aside.with_name(f"{aside.name}-journal"))
        self._say(
            f"the spool {self.path} was damaged ({type(damage).__name__}) and was set aside as"
            f" {aside.name}; what it held and the store does not is lost"
        )

    def _go_to_memory(self, exc: Exception) -> _Memory:
        self._say(
            f"the spool {self.path} can't be written ({_named(exc)}): until it can, alerts are kept"
            " in memory while the store can't be used, and lost with this process"
        )
        with _memories_lock:
            if self.path not in _memories:
                _memories[self.path] = _Memory(_copied(self.path))
            return _memories[self.path]

    def return_to_file(self, scope: str, write: Callable[[sqlite3.Connection], None]) -> None:
        """Leave memory once the file can be written again, unless another scope needs it.

        Args:
            scope: of which the store has all that is in memory.
            write: writes the state of that scope.
        """
        memory = _memories.get(self.path)
        if memory is None:
            return
        with memory.lock:
            others = "SELECT 1 FROM scope WHERE name <> ? AND is_away"
            if memory.connection.execute(others, (scope,)).fetchone():
                return
            with suppress(sqlite3.Error, OSError):
                self._run_on_file(write)
                with _memories_lock:
                    _memories.pop(self.path, None)
                _said.pop(self.path, None)

    def _make_folder(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _say(self, text: str) -> None:
        said = _said.setdefault(self.path, set())
        if text not in said:
            said.add(text)
            self.notices.append(text)
            _LOG.warning("%s", text)  # on standard error, in a command and in a sensor


def _in_transaction(db: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    db.execute("BEGIN IMMEDIATE")
    try:
        done = work(db)
        db.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise
    return done


def _prepared(db: sqlite3.Connection) -> sqlite3.Connection:
    """Create the tables where they are missing; refuse a file of another version."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == 0:
        for statement in _TABLES.split(";"):
            db.execute(statement)
    elif version != _VERSION:
        raise sqlite3.DatabaseError(f"version {version}")
    return db


def _copied(path: Path) -> sqlite3.Connection:
    """Return a spool in memory with what can be read of a file."""
    memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    with suppress(sqlite3.Error, OSError):
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_S)) as file:
            file.backup(memory)
    try:
        _prepared(memory)
    except sqlite3.Error:
        memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        _prepared(memory)
    memory.execute("PRAGMA foreign_keys = ON")
    return memory


def _flock(descriptor: int, limit_s: float) -> bool:
    until = time.monotonic() + limit_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(_POLL_S)
        else:
            return True


_thread_locks: dict[str, threading.Lock] = {}


@contextmanager
def _thread_lock(name: str, limit_s: float) -> Generator[bool]:
    """Where no lock file can be made: the threads of this process only."""
    lock = _thread_locks.setdefault(name, threading.Lock())
    is_held = lock.acquire(timeout=limit_s)
    try:
        yield is_held
    finally:
        if is_held:
            lock.release()


def _named(exc: Exception) -> str:
    return os.strerror(exc.errno) if isinstance(exc, OSError) and exc.errno else str(exc)
