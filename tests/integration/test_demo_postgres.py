"""The embedded server: made whole, never twice on the same data, gone with its owner."""

import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psycopg
import pytest

from maintenance.demo import ports, processes
from maintenance.demo.postgres import PostgresServer, embedded_binaries
from maintenance.errors import MaintenanceError
from tests.builders import Database, Role, server_folder
from tests.sessions import until

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account")


def piped(stream: IO[str] | None) -> IO[str]:
    assert stream
    return stream


@pytest.fixture
def folder() -> Iterator[Path]:
    with server_folder() as folder:
        yield folder


@pytest.fixture
def fresh(folder: Path) -> Iterator[PostgresServer]:
    """A server apart from the suite's whose cluster has not been made."""
    server = PostgresServer(embedded_binaries(), folder / "data", fsync=False)
    yield server
    server.remove()


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A cluster to copy: initdb takes most of the time of these tests."""
    with server_folder() as folder:
        server = PostgresServer(embedded_binaries(), folder / "data", fsync=False)
        server.create()
        server.stop()
        yield server.data


@pytest.fixture
def own(made: Path, fresh: PostgresServer) -> PostgresServer:
    """A server apart from the suite's, stopped, for tests that break it."""
    subprocess.run(["cp", "-a", str(made), str(fresh.data)], check=True)
    return fresh


def _ask(server: PostgresServer, question: str) -> object:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        row = connection.execute(question.encode()).fetchone()
        assert row
        return row[0]


def _start_elsewhere(data: Path) -> "subprocess.Popen[str]":
    """A process that starts a server and then only lives; it says the server's pid."""
    script = """
import sys, time
from pathlib import Path
from maintenance.demo.postgres import PostgresServer, embedded_binaries
server = PostgresServer(embedded_binaries(), Path(sys.argv[1]), fsync=False)
server.start()
print(server.pid, flush=True)
time.sleep(600)
"""
    command = [sys.executable, "-c", script, str(data)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def owner(own: PostgresServer) -> Iterator["subprocess.Popen[str]"]:
    with _start_elsewhere(own.data) as process:
        yield process
        process.kill()


def _server_pid(owner: "subprocess.Popen[str]") -> int:
    assert owner.stdout
    return int(owner.stdout.readline())


def test_version_is_the_one_asked_for(server: PostgresServer) -> None:
    assert int(str(_ask(server, "SHOW server_version_num"))) // 10000 == server.major


def test_server_listens_on_loopback_alone(server: PostgresServer) -> None:
    assert _ask(server, "SHOW listen_addresses") == "127.0.0.1"
    assert _ask(server, "SHOW unix_socket_directories") == ""


def test_wrong_password_is_refused(server: PostgresServer) -> None:
    url = server.url().replace(":", ":x", 2).replace("x//", "//")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url)


def test_password_is_in_no_repr_and_in_a_private_file(server: PostgresServer) -> None:
    password = (server.data / "password").read_text()
    assert password not in repr(server)
    assert (server.data / "password").stat().st_mode & 0o777 == 0o600


def test_server_outlives_a_stop_with_its_data(own: PostgresServer) -> None:
    own.start()
    assert own.create_database("kept")
    own.stop()
    own.start()
    assert not own.create_database("kept")


def test_start_of_a_running_server_does_nothing(own: PostgresServer) -> None:
    own.start()
    pid = own.pid
    own.start()
    assert own.pid == pid


def test_context_manager_stops_the_server(own: PostgresServer) -> None:
    with own:
        pid = own.pid
    assert not processes.command_line(pid)


def test_url_quotes_the_database_name(own: PostgresServer) -> None:
    own.start()
    own.create_database("a/b ?c")
    with psycopg.connect(own.url("a/b ?c")) as connection:
        assert connection.info.dbname == "a/b ?c"


def test_taken_port_is_replaced_by_a_free_one(
    own: PostgresServer, server18: PostgresServer
) -> None:
    own.port = server18.port
    own.start()
    assert own.port != server18.port
    assert _ask(own, "SELECT 1") == 1


def test_half_made_cluster_is_removed_and_made_anew(fresh: PostgresServer) -> None:
    leftover = fresh.data.with_name(f"{fresh.data.name}.making-killed")
    (leftover / "cluster").mkdir(parents=True)
    fresh.create()
    assert not leftover.exists()
    assert fresh.major == 18


def test_initdb_ends_with_the_process_that_was_killed(fresh: PostgresServer, folder: Path) -> None:
    script = """
import sys
from pathlib import Path
from maintenance.demo.postgres import PostgresServer, embedded_binaries
PostgresServer(embedded_binaries(), Path(sys.argv[1])).create()
"""
    with subprocess.Popen([sys.executable, "-c", script, str(fresh.data)]) as process:
        until(lambda: any(folder.glob("data.making-*/cluster/base")))
        process.kill()
    assert not fresh.data.exists()
    fresh.start()
    assert _ask(fresh, "SELECT 1") == 1
    assert not list(folder.glob("data.making-*"))


def test_failed_initdb_leaves_nothing_and_says_why(fresh: PostgresServer, folder: Path) -> None:
    (folder / "initdb").write_text("#!/bin/sh\necho no room; exit 1\n")
    (folder / "initdb").chmod(0o755)
    fresh.binaries = folder
    with pytest.raises(MaintenanceError, match="no room"):
        fresh.create()
    assert [each.name for each in folder.iterdir() if each.name.startswith("data")] == ["data.lock"]


def test_folder_without_programs_is_refused(folder: Path) -> None:
    with pytest.raises(MaintenanceError, match="initdb") as caught:
        PostgresServer(folder, folder / "data")
    assert caught.value.reason == "no_programs"


def test_folder_with_other_files_is_left_alone(fresh: PostgresServer) -> None:
    fresh.data.mkdir()
    (fresh.data / "thesis.txt").write_text("mine")
    with pytest.raises(MaintenanceError) as caught:
        fresh.create()
    assert caught.value.reason == "other_files"
    assert str(fresh.data) in str(caught.value)
    assert (fresh.data / "thesis.txt").read_text() == "mine"


def test_empty_folder_is_used(fresh: PostgresServer) -> None:
    fresh.data.mkdir()
    fresh.create()
    assert fresh.major == 18


def test_cluster_of_another_version_is_refused(own: PostgresServer) -> None:
    own.create()
    own.stop()
    other = PostgresServer(embedded_binaries(16), own.data)
    with pytest.raises(MaintenanceError) as caught:
        other.start()
    assert caught.value.reason == "other_version"
    assert "18" in str(caught.value)
    assert "16" in str(caught.value)
    other.stop()


def test_setting_the_server_refuses_is_in_the_error(own: PostgresServer) -> None:
    own.settings = {"no_such_setting": "1"}
    with pytest.raises(MaintenanceError, match='"no_such_setting"'):
        own.start()


def test_server_ends_when_its_owner_is_killed(owner: "subprocess.Popen[str]") -> None:
    pid = _server_pid(owner)
    assert processes.command_line(pid)
    owner.kill()
    until(lambda: not processes.command_line(pid))


def test_data_in_use_by_a_living_process_is_refused(
    own: PostgresServer, owner: "subprocess.Popen[str]"
) -> None:
    _server_pid(owner)
    with pytest.raises(MaintenanceError, match=rf"\b{owner.pid}\b") as caught:
        own.start()
    assert caught.value.reason == "in_use"


def test_server_left_without_owner_and_keeper_is_replaced(
    own: PostgresServer, owner: "subprocess.Popen[str]"
) -> None:
    left = _server_pid(owner)
    keeper = _parent(left)
    os.kill(keeper, signal.SIGKILL)
    owner.kill()
    owner.wait()
    assert str(own.data) in processes.command_line(left)
    own.start()
    assert own.pid != left
    assert not processes.command_line(left)


def test_server_killed_outright_recovers_its_committed_rows(own: PostgresServer) -> None:
    own.start()
    with psycopg.connect(own.url(), autocommit=True) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS n")
    os.kill(own.pid, signal.SIGKILL)
    until(lambda: not own.is_running())
    own.start()
    assert _ask(own, "SELECT n FROM t") == 1


def test_pid_file_naming_another_kind_of_process_does_not_prevent_a_start(
    own: PostgresServer,
) -> None:
    own.start()
    pid_file = own.data / "cluster" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    own.stop()
    sleeper = subprocess.Popen(["sleep", "600"], user=_server_user())
    try:
        pid_file.write_text("\n".join([str(sleeper.pid), *lines[1:], ""]))
        own.start()
        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()


def test_immediate_stop_keeps_what_was_committed(own: PostgresServer) -> None:
    own.start()
    own.create_database("kept")
    own.stop(immediate=True)
    own.start()
    assert not own.create_database("kept")


FIND_ACCOUNT = """
import sys
from maintenance.demo import account
from tests.sessions import until
account.NAME = sys.argv[1]
print("loaded", flush=True)
sys.stdin.read()
print(account.server_account())
"""


@as_root
def test_processes_that_need_the_account_at_the_same_time_share_it() -> None:
    name = f"pgserver-{os.getpid()}"
    together = [
        subprocess.Popen(
            [sys.executable, "-c", FIND_ACCOUNT, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    try:
        assert {piped(each.stdout).readline() for each in together} == {"loaded\n"}
        for each in together:
            piped(each.stdin).close()
        found = {piped(each.stdout).read() for each in together}
        user = pwd.getpwnam(name)
        assert found == {f"Account(uid={user.pw_uid}, gid={user.pw_gid})\n"}
    finally:
        for each in together:
            with each:
                each.kill()
        subprocess.run(["userdel", name], check=True)


@as_root
def test_root_runs_the_server_as_another_account(server18: PostgresServer) -> None:
    owner = Path(f"/proc/{server18.pid}").stat().st_uid
    assert pwd.getpwuid(owner).pw_name == "pgserver"


@as_root
def test_data_the_account_cannot_reach_gets_a_stand_in(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    server = PostgresServer(embedded_binaries(), tmp_path / "data", fsync=False)
    try:
        server.start()
        assert server.data.is_relative_to("/var/tmp")
        assert server.data == PostgresServer(server.binaries, tmp_path / "data").data
        assert server.data.parent.stat().st_mode & 0o777 == 0o700
    finally:
        server.remove()
    assert not server.data.exists()


@as_root
def test_programs_the_account_cannot_reach_are_copied(tmp_path: Path, own: PostgresServer) -> None:
    package = embedded_binaries().parents[1]
    hidden = tmp_path / package.name
    tmp_path.chmod(0o700)
    hidden.symlink_to(package)
    (tmp_path / f"{package.name}.libs").symlink_to(package.with_name(f"{package.name}.libs"))
    server = PostgresServer(hidden / "pginstall18" / "bin", own.data, fsync=False)
    with server:
        assert server.binaries.is_relative_to("/var/tmp")
        assert str(server.binaries) in processes.command_line(server.pid)
        assert subprocess.run([server.binaries / "psql", "--version"], check=True)


def test_role_owning_nothing_reads_nothing(
    learning_platform_database: Database, limited_role: Role
) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        learning_platform_database.execute("SELECT FROM users", role=limited_role)


def test_owner_may_alter_tables_and_is_no_superuser(
    learning_platform_database: Database, owner_role: Role
) -> None:
    learning_platform_database.give_to(owner_role)
    learning_platform_database.execute("ALTER TABLE users ADD COLUMN x int", role=owner_role)
    asked = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
    assert learning_platform_database.execute(asked, role=owner_role) == [(False,)]


def test_each_test_gets_an_empty_schema(proposals_database: Database) -> None:
    children = "SELECT count(*) FROM pg_inherits"
    assert proposals_database.execute(children) == [(0,)]


def test_free_port_can_be_listened_on() -> None:
    port = ports.free_port()
    assert not ports.is_taken(port)
    assert ports.holder(port) == ""


def test_holder_of_a_port_is_named(server18: PostgresServer) -> None:
    assert str(server18.pid) in ports.holder(server18.port)


def _parent(pid: int) -> int:
    command = ["ps", "-o", "ppid=", "-p", str(pid)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _server_user() -> str | None:
    return "pgserver" if os.geteuid() == 0 else None
