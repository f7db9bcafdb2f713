"""Connections whose server has gone without a word, and run locks of sessions that are dead."""

import select
import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from maintenance.engine.findings import FindingKind
from maintenance.engine.run_lock import RUN_LOCK
from maintenance.errors import UnreachableError
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.context import RunContext
from maintenance.server.liveness import HalfOpenError
from maintenance.server.session import fetch, run_sql, to_error
from tests.builders import Database
from tests.policies import CREATE_EVENTS, EVENTS, make_policy
from tests.sessions import session, until

pytestmark = pytest.mark.pg("== 15")


@dataclass
class Relay:
    """A TCP relay that can swallow what goes through it, and keeps the connections open."""

    port: int
    swallows: threading.Event = field(default_factory=threading.Event)
    only_old: bool = False
    refuses: bool = False
    held: list[socket.socket] = field(default_factory=list[socket.socket])

    def url(self, database: Database) -> str:
        parts = urlsplit(database.url)
        user = parts.netloc.rpartition("@")[0]
        return urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{self.port}"))


@contextmanager
def relay(database: Database) -> Generator[Relay]:  # noqa: C901 - threads of one relay
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        known = Relay(listener.getsockname()[1])

        def pump(client: socket.socket) -> None:
            with suppress(OSError, ValueError):  # closed at the end of the test
                hand_on(client)

        def hand_on(client: socket.socket) -> None:
            server = socket.create_connection(("127.0.0.1", database.server.port))
            known.held.extend((client, server))
            began_swallowing = known.swallows.is_set()
            ways = {client: server, server: client}
            while not over.is_set():
                for ready in select.select(list(ways), [], [], 0.05)[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    new = began_swallowing and known.only_old
                    if not known.swallows.is_set() or new:
                        ways[ready].sendall(data)

        def accept() -> None:
            with suppress(OSError):
                while not over.is_set():
                    client, _ = listener.accept()
                    if known.refuses:
                        client.close()
                        continue
                    threading.Thread(target=pump, args=(client,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield known
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)
            for each in known.held:
                each.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maintenance.server.liveness.SILENCE_S", 0.3)
    monkeypatch.setattr("maintenance.server.liveness.CONFIRM_S", 0.3)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("only_old", [True, False], ids=["new ones work", "none works"])
def test_answer_that_is_swallowed_ends_with_a_clear_error(
    database: Database, only_old: bool
) -> None:
    with relay(database) as between:
        between.only_old = only_old
        with session(f"{between.url(database)}?connect_timeout=2") as ours:
            run_sql(ours, "SELECT 1")
            between.swallows.set()
            began = time.monotonic()
            with pytest.raises(HalfOpenError) as lost:
                run_sql(ours, "SELECT pg_catalog.pg_sleep(1)")
            assert time.monotonic() - began < 30
            assert isinstance(to_error(lost.value, "asking"), UnreachableError)


@pytest.mark.usefixtures("impatient")
def test_long_statement_is_waited_for(database: Database) -> None:
    with relay(database) as between, session(between.url(database)) as ours:
        assert ours.execute("SELECT 1 FROM pg_catalog.pg_sleep(1.5)").fetchone() == (1,)
        ours.execute("SET statement_timeout = 0")
        between.refuses = True  # a server that takes no second connection may be at work
        assert ours.execute("SELECT 1 FROM pg_catalog.pg_sleep(1.5)").fetchone() == (1,)


@pytest.mark.usefixtures("impatient")
def test_command_whose_connection_is_swallowed_says_so(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute(CREATE_EVENTS)
    with relay(database) as between:
        url = f"{between.url(database)}?connect_timeout=2"
        policy = make_policy(tmp_path, url, EVENTS)

        def ask_in_vain(context: RunContext, **_: object) -> None:
            between.swallows.set()
            run_sql(context.connection, "SELECT 1")

        monkeypatch.setattr(
            "maintenance.pipeline.run.observe_and_plan",
            ask_in_vain,
        )
        with pytest.raises(UnreachableError) as caught:
            pipeline.plan(policy)
    assert isinstance(caught.value.__cause__, HalfOpenError)


def test_server_gives_up_clients_that_are_gone_within_two_minutes(database: Database) -> None:
    with session(database.url) as ours:
        shown = ours.execute(
            "SELECT current_setting('tcp_keepalives_idle')::int,"
            " current_setting('tcp_keepalives_interval')::int,"
            " current_setting('tcp_keepalives_count')::int,"
            " current_setting('tcp_user_timeout')::int"
        ).fetchone()
    assert shown is not None
    idle_s, interval_s, count, unacknowledged_ms = shown
    assert 0 < idle_s + interval_s * count <= 120
    assert 0 < unacknowledged_ms <= 120_000


def test_loser_of_the_run_lock_is_told_who_holds_it_and_what_to_do(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute(CREATE_EVENTS)
    holder = database.connect(application_name="maintenance apply app")
    holder.execute("SELECT pg_advisory_lock(%s)", [RUN_LOCK])
    pid = holder.info.backend_pid
    policy = make_policy(tmp_path, database.url, EVENTS, locks={"give_up_after": "300 ms"})
    monkeypatch.setattr("maintenance.engine.run_lock.SILENT_S", 0.1)
    (busy,) = pipeline.apply(policy).findings
    assert busy.kind is FindingKind.LOCK_NOT_ACQUIRED
    told = busy.data["holder"]
    assert (told["pid"], told["state"], told["is_silent"]) == (pid, "idle", True)
    assert told["application"] == "maintenance apply app"
    assert told["client"].startswith("127.0.0.1:")
    assert datetime.fromisoformat(told["since"]) <= datetime.now(UTC)
    assert told["statement"] == f"SELECT pg_terminate_backend({pid})"
    for fact in ("application", "client", "state", "statement"):
        assert told[fact] in busy.message
    with session(database.url) as ours:
        (row,) = fetch(ours, "server", "find_run_lock_holder", {"key": RUN_LOCK})
    assert (row.pid, row.state) == (pid, "idle")
    holder.close()
    until(lambda: not database.execute("SELECT FROM pg_locks WHERE locktype = 'advisory'"))
    assert pipeline.apply(policy).ok
