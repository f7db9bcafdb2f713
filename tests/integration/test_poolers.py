"""A connection pool that shares server processes is refused before anything is set."""

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from maintenance.cli.commands import cli
from maintenance.errors import UnreachableError
from maintenance.server.session import connect
from tests.builders import Database, Role
from tests.policies import CREATE_EVENTS, EVENTS, write_policy
from tests.poolers import Pooler, pooler
from tests.sessions import TIMEOUTS, session

pytestmark = pytest.mark.pg("== 15")

LEFT_BEHIND = """
SELECT current_setting('search_path'), current_setting('lock_timeout'),
  current_setting('synchronous_commit'), current_setting('TimeZone')
"""


def application(through: Pooler, database: Database, role: Role) -> psycopg.Connection[Any]:
    return psycopg.connect(through.url(database, role), autocommit=True, prepare_threshold=None)


@contextmanager
def busy(through: Pooler, database: Database, role: Role, n: int = 6) -> Generator[list[str]]:
    """An application that keeps the pool busy; what its statements failed with."""
    errors: list[str] = []
    over = threading.Event()
    at_work = [threading.Event() for _ in range(n)]

    def work(is_at_work: threading.Event) -> None:
        with application(through, database, role) as connection:
            while not over.is_set():
                try:
                    connection.execute("SELECT count(*) FROM orders")
                except psycopg.Error as exc:
                    errors.append(str(exc))
                is_at_work.set()

    threads = [threading.Thread(target=work, args=[each]) for each in at_work]
    for thread in threads:
        thread.start()
    try:
        assert all(each.wait(60) for each in at_work)
        yield errors
    finally:
        over.set()
        for thread in threads:
            thread.join()


@pytest.fixture
def orders(database: Database, owner_role: Role) -> Database:
    database.execute("CREATE TABLE public.orders (id int)")
    database.give_to(owner_role)
    return database


@pytest.mark.parametrize("mode", ["transaction", "statement"])
@pytest.mark.parametrize(
    ("size", "further"), [(1, ""), (5, ""), (3, "server_round_robin = 1")], ids=["1", "5", "robin"]
)
def test_pool_that_shares_processes_is_refused_and_nothing_stays_behind(
    orders: Database, owner_role: Role, mode: str, size: int, further: str
) -> None:
    with pooler(orders, owner_role, mode, size=size, further=further) as through:
        with application(through, orders, owner_role) as client:
            before = client.execute(LEFT_BEHIND.encode()).fetchone()
        with pytest.raises(UnreachableError) as refused:
            connect(through.url(orders, owner_role), application="test", timeouts=TIMEOUTS)
        assert refused.value.reason == "shared_pool"
        for _ in range(size * 2):
            with application(through, orders, owner_role) as client:
                assert client.execute(LEFT_BEHIND.encode()).fetchone() == before


@pytest.mark.parametrize("size", [1, 2, 3])
def test_shared_pool_is_recognized_under_load_too(
    orders: Database, owner_role: Role, size: int
) -> None:
    with (
        pooler(orders, owner_role, "transaction", size=size) as through,
        busy(through, orders, owner_role) as errors,
    ):
        for _ in range(5):
            with pytest.raises(UnreachableError):
                connect(through.url(orders, owner_role), application="test", timeouts=TIMEOUTS)
    assert errors == []


@pytest.mark.parametrize("reset", ["server_reset_query = DISCARD ALL", "server_reset_query ="])
def test_pool_in_session_mode_is_served_and_left_clean(
    orders: Database, owner_role: Role, reset: str
) -> None:
    with pooler(orders, owner_role, "session", further=reset) as through:
        with application(through, orders, owner_role) as client:
            before = client.execute(LEFT_BEHIND.encode()).fetchone()
        with session(through.url(orders, owner_role), timeouts=TIMEOUTS) as ours:
            assert ours.execute("SHOW search_path").fetchone() == ("",)
            ours.execute("SELECT pg_catalog.pg_advisory_lock(1)")
        with suppress(psycopg.Error), session(through.url(orders, owner_role)) as ours:
            ours.execute("BEGIN")
            ours.execute("SELECT nonsense")
        for _ in range(4):
            with application(through, orders, owner_role) as client:
                assert client.execute(LEFT_BEHIND.encode()).fetchone() == before
                assert client.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
                                      ).fetchone() == (0,)  # fmt: skip


def test_pool_that_has_no_second_connection_is_refused(
    orders: Database, owner_role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maintenance.server.poolers.ANSWER_LIMIT_S", 0.5)
    with (
        pooler(orders, owner_role, "session", size=1) as through,
        pytest.raises(UnreachableError) as refused,
    ):
        connect(through.url(orders, owner_role), application="test", timeouts=TIMEOUTS)
    assert refused.value.reason == "unclear_pool"


def test_flag_of_prisma_alone_does_not_refuse_a_direct_connection(
    orders: Database, owner_role: Role
) -> None:
    url = f"{orders.url_of(owner_role)}?pgbouncer=true&schema=public"
    with session(url) as ours:
        assert ours.execute("SHOW search_path").fetchone() == ("",)


COMMANDS = ("check", "plan", "apply", "status", "notify", "alerts", "metrics")


def test_every_command_refuses_a_shared_pool_and_serves_one_in_session_mode(
    orders: Database, owner_role: Role, tmp_path: Path
) -> None:
    orders.execute(CREATE_EVENTS, role=owner_role)
    runner = CliRunner()
    with pooler(orders, owner_role, "transaction") as through:
        policy = str(write_policy(tmp_path, through.url(orders, owner_role), EVENTS))
        for command in COMMANDS:
            as_json = ["--json"] if command != "metrics" else []
            result = runner.invoke(cli, [command, "--policy", policy, *as_json])
            assert result.exit_code == 3, (command, result.output)
            if as_json:
                assert json.loads(result.stdout)["error"]["reason"] == "shared_pool", command
    assert not orders.execute("SELECT FROM pg_namespace WHERE nspname = 'maintenance'")
    with pooler(orders, owner_role, "session") as through:
        policy = str(write_policy(tmp_path, through.url(orders, owner_role), EVENTS))
        result = runner.invoke(cli, ["apply", "--policy", policy, "--json"])
        assert result.exit_code == 0, result.output
        assert {a["outcome"] for a in json.loads(result.stdout)["actions"]} == {"done"}
        for command in COMMANDS:
            result = runner.invoke(cli, [command, "--policy", policy])
            assert result.exit_code == 0, (command, result.output)


def test_store_behind_a_shared_pool_is_refused_too(
    orders: Database, owner_role: Role, tmp_path: Path
) -> None:
    orders.execute(CREATE_EVENTS, role=owner_role)
    with pooler(orders, owner_role, "transaction") as through:
        store = {"url": through.url(orders, owner_role)}
        policy = write_policy(tmp_path, orders.url_of(owner_role), EVENTS, store=store)
        for command in ("check", "apply", "status", "notify"):
            result = CliRunner().invoke(cli, [command, "--policy", str(policy)])
            assert result.exit_code == 3, (command, result.output)
    assert not orders.execute("SELECT FROM pg_class WHERE relispartition")
