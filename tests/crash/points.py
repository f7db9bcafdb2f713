"""The points of a run at which it can be interrupted, and what can happen there.

Every statement, every block of a COPY, every write of the journal, every file that is made, renamed
or removed, and every command to Redis is a point. They are found by recording a run, so that a new
statement is covered without a new test. The run is a process of its own: nothing of it is tidied up
after its death. It waits at the point until its parent, which keeps the server, has acted.
"""

import json
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import astuple, dataclass, field
from enum import StrEnum
from typing import Any

import psycopg
import redis.connection

from maintenance.engine import executor
from maintenance.engine.actions import Action
from tests.builders import Database
from tests.proxies import Proxy

OURS = "SELECT pid FROM pg_stat_activity WHERE starts_with(application_name, 'maintenance ')"

DELAY_S = 0.15
INSIDE_S = 0.2
"""How long a concurrent statement waits for a snapshot before it is interrupted."""

COME_THROUGH, FAILED = 0, 9


class Sort(StrEnum):
    """What a run does at a point."""

    STATEMENT = "statement"
    JOURNAL = "journal"
    BLOCK = "block"
    FILE = "file"
    REDIS = "redis"


@dataclass(frozen=True)
class Point:
    """A point of a run, by its number from 1.

    Attributes:
        changes: whether something may be otherwise afterwards than before.
        kind: of the action that is executed; empty before, between and after actions.
    """

    number: int
    sort: Sort
    text: str
    changes: bool
    kind: str = ""

    @property
    def waits(self) -> bool:
        """Whether the statement waits for older transactions, with the work half done."""
        return self.sort is Sort.STATEMENT and "CONCURRENTLY" in self.text


class Fault(StrEnum):
    """What happens at a point."""

    CLIENT = "client killed"
    BACKENDS = "sessions ended"
    SERVER = "server crashed"
    CUT = "connection cut before the statement"
    ANSWER_LOST = "connection cut before the answer"
    HALF_CLOSED = "connection half closed"
    DELAYED = "network slow"
    INSIDE = "session ended within the statement"

    @property
    def is_of_network(self) -> bool:
        return self in (Fault.CUT, Fault.ANSWER_LOST, Fault.HALF_CLOSED, Fault.DELAYED)

    @property
    def ends_run(self) -> bool:
        return self is not Fault.DELAYED

    def fits(self, point: Point) -> bool:
        """Whether it can happen at a point, and leave another state than elsewhere."""
        if self is Fault.INSIDE:
            return point.waits
        if self.is_of_network:
            return point.sort in (Sort.STATEMENT, Sort.JOURNAL)
        return True


Reach = Callable[[Sort, str, Any], AbstractContextManager[None]]
"""Surrounds a point: what it is, its text, and its connection to PostgreSQL."""

_executed = threading.local()


def _kind_now() -> str:
    """The kind of the action that this thread executes."""
    return getattr(_executed, "kind", "")


def _performing(perform: Any, _reach: Any) -> Any:
    def performing(context: Any, action: Action, execute: Any) -> Any:
        _executed.kind = action.kind.value
        try:
            return perform(context, action, execute)
        finally:
            _executed.kind = ""

    return performing


@contextmanager
def watching(reach: Reach) -> Generator[None]:
    """Call a context manager around everything that is a point of this process."""
    links: Any = redis.connection.AbstractConnection
    around: list[tuple[Any, str, Any]] = [
        (psycopg.Cursor, "execute", _executing),
        (psycopg.Cursor, "copy", _copying),
        (psycopg.Copy, "read", _block("COPY TO")),
        (psycopg.Copy, "write", _block("COPY FROM")),
        (links, "send_packed_command", _sending),
        (executor, "_perform", _performing),
    ]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in around]
    for owner, name, wrap in around:
        setattr(owner, name, wrap(getattr(owner, name), reach))
    try:
        yield
    finally:
        for owner, name, old in before:
            setattr(owner, name, old)


def _sort_of(connection: Any) -> Sort | None:
    """What statements of a session are; None if it is not a session of a run."""
    if connection.closed:
        return None
    application = connection.info.get_parameters().get("application_name", "")
    if not application.startswith("maintenance "):
        return None
    return Sort.JOURNAL if application.startswith("maintenance store") else Sort.STATEMENT


def _executing(execute: Any, reach: Reach) -> Any:
    def executing(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        sort = _sort_of(self.connection)
        if sort is None:
            return execute(self, query, *args, **kwargs)
        text = query.decode() if isinstance(query, bytes) else str(query)
        with reach(sort, text, self.connection):
            return execute(self, query, *args, **kwargs)

    return executing


def _copying(copy: Any, reach: Reach) -> Any:
    @contextmanager
    def copying(self: Any, statement: Any, *args: Any, **kwargs: Any) -> Generator[Any]:
        with reach(Sort.STATEMENT, str(statement), self.connection):
            pass
        with copy(self, statement, *args, **kwargs) as opened:
            yield opened

    return copying


def _block(text: str) -> Any:
    def wrap(transfer: Any, reach: Reach) -> Any:
        def transferring(self: Any, *args: Any) -> Any:
            with reach(Sort.BLOCK, text, self.connection):
                return transfer(self, *args)

        return transferring

    return wrap


def _sending(send: Any, reach: Reach) -> Any:
    def sending(self: Any, command: Any, *args: Any, **kwargs: Any) -> Any:
        with reach(Sort.REDIS, repr(command)[:80], None):
            return send(self, command, *args, **kwargs)

    return sending


_FILE_EVENTS = {"os.rename", "os.remove", "os.link"}


def watch_files(reach: Reach) -> None:
    """Report every file that this process makes, renames or removes; until it ends."""

    def hook(event: str, args: tuple[Any, ...]) -> None:
        is_made = event == "open" and isinstance(args[2], int) and args[2] & os.O_CREAT
        if not (is_made or event in _FILE_EVENTS) or "__pycache__" in str(args[0]):
            return
        with reach(Sort.FILE, f"{event} {args[0]}", None):
            pass

    sys.addaudithook(hook)


@dataclass
class _Recorder:
    """Notes every point, and whether the server has written to its log meanwhile."""

    database: Database
    points: list[Point] = field(default_factory=list[Point])
    _observer: Any = None
    _lock: Any = field(default_factory=threading.RLock)

    def _written(self) -> str:
        if self._observer is None:
            self._observer = psycopg.connect(self.database.url, autocommit=True)
        return self._observer.execute("SELECT pg_current_wal_insert_lsn()").fetchone()[0]

    @contextmanager
    def reach(self, sort: Sort, text: str, _connection: Any) -> Generator[None]:
        is_sql = sort in (Sort.STATEMENT, Sort.JOURNAL)
        with self._lock:
            before = self._written() if is_sql else ""
            try:
                yield
            finally:
                changes = not is_sql or self._written() != before
                number = len(self.points) + 1
                self.points.append(Point(number, sort, text, changes, _kind_now()))


def record(database: Database, work: Callable[[], object]) -> list[Point]:
    """The points of an undisturbed run, which must come through."""
    here, there = socket.socketpair()
    child = os.fork()
    if child == 0:
        here.close()
        recorder = _Recorder(database)
        watch_files(recorder.reach)
        code = _run(work, recorder.reach)
        there.sendall(json.dumps([astuple(point) for point in recorder.points]).encode())
        os._exit(code)
    there.close()
    with here, here.makefile("rb") as answer:
        text = answer.read()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == COME_THROUGH, "the undisturbed run failed"
    return [Point(n, Sort(sort), *more) for n, sort, *more in json.loads(text)]


def _run(work: Callable[[], object], reach: Reach) -> int:
    try:
        with watching(reach):
            work()
    except BaseException:  # noqa: BLE001 - whatever a fault does to the run
        if os.environ.get("SHOW_FAULTS"):
            traceback.print_exc()
        return FAILED
    return COME_THROUGH


@dataclass(frozen=True)
class Interrupted:
    """What became of a run that was interrupted: whether it got to the point, and through."""

    reached: bool
    came_through: bool


def interrupt(
    database: Database,
    work: Callable[[], object],
    number: int,
    fault: Fault,
    proxy: Proxy | None = None,
) -> Interrupted:
    """Run in a process of its own, and let something happen at its n-th point."""
    here, there = socket.socketpair()
    child = os.fork()
    if child == 0:
        here.close()
        os._exit(_run_to(work, number, there))
    there.close()
    with here:
        if proxy is None:
            reached = _act(database, child, fault, here, None)
            code = _ended(child)
        else:
            with proxy.serving():
                reached = _act(database, child, fault, here, proxy)
                code = _ended(child)
    return Interrupted(reached, code == COME_THROUGH)


def _ended(child: int) -> int:
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _run_to(work: Callable[[], object], number: int, parent: socket.socket) -> int:
    n_points = 0
    lock = threading.Lock()

    @contextmanager
    def reach(_sort: Sort, _text: str, connection: Any) -> Generator[None]:
        nonlocal n_points
        with lock:
            n_points += 1
            is_here = n_points == number
        if is_here:
            port = _port_of(connection)
            process = connection.info.backend_pid if connection is not None else 0
            parent.sendall(json.dumps([port, process]).encode().ljust(64))
            parent.recv(1)
        yield

    watch_files(reach)
    return _run(work, reach)


def _port_of(connection: Any) -> int:
    if connection is None or connection.closed:
        return 0
    with socket.socket(fileno=os.dup(connection.fileno())) as own:
        name: Any = own.getsockname()
        return int(name[1]) if name and not isinstance(name, str) else 0


def _act(
    database: Database, child: int, fault: Fault, run: socket.socket, proxy: Proxy | None
) -> bool:
    """Wait for the run at its point, and act; whether it got there."""
    message = run.recv(64)
    if not message:
        return False
    port, process = json.loads(message)
    if proxy is not None and not port:  # threads of a run take turns: it is at a file
        os.kill(child, signal.SIGKILL)
        return False
    if fault is Fault.INSIDE:
        _interrupt_within(database, run, process)
        return True
    match fault:
        case Fault.CLIENT:
            os.kill(child, signal.SIGKILL)
        case Fault.BACKENDS:
            database.execute(f"SELECT pg_terminate_backend(pid) FROM ({OURS}) AS ours")
        case Fault.SERVER:
            database.server.stop(immediate=True)
            database.server.start()
        case _:
            assert proxy is not None
            _disturb(proxy, fault, port)
    with suppress(OSError):  # the run is dead
        run.send(b".")
    return True


def _disturb(proxy: Proxy, fault: Fault, port: int) -> None:
    match fault:
        case Fault.CUT:
            proxy.cut(port)
        case Fault.ANSWER_LOST:
            proxy.lose_answer(port)
        case Fault.HALF_CLOSED:
            proxy.half_close(port)
        case _:
            proxy.delay(port, DELAY_S)


def _interrupt_within(database: Database, run: socket.socket, process: int) -> None:
    """End the session while its statement waits for a transaction that is older."""
    with psycopg.connect(database.url) as holder:
        holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        holder.execute("SELECT pg_current_xact_id()")
        run.send(b".")
        threading.Event().wait(INSIDE_S)
        database.execute("SELECT pg_terminate_backend(%s)", [process])
