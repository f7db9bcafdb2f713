"""Real servers for every test: one for each major version, made when the first test asks.

Each pytest-xdist worker has servers of its own. That costs a worker 0.5 to 1.3 s a version
once, needs no locks between workers, and keeps what is shared inside one server (sessions,
roles, old snapshots, a crash) inside one worker.
"""

import gc
import operator
import os
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from statistics import fmean
from urllib.parse import urlsplit

import pytest
from hypothesis import settings

from maintenance.demo.cluster import SUPERUSER
from maintenance.demo.postgres import PostgresServer, embedded_binaries, system_binaries
from maintenance.demo.programs import version_of
from maintenance.errors import MaintenanceError
from maintenance.redaction import forget
from tests.builders import (
    Database,
    Role,
    cloned,
    in_maintenance_database,
    make_role,
    make_template,
    make_template_with_store,
    quickly_verified,
    server_folder,
    unique,
)
from tests.receivers import Receiver, http_receiver

# Tests start hundreds of processes of ours, and compiling our modules is a third of such a start.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# How long an example takes depends on what else the machine does.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

MAJORS = (18, 17, 16, 15)
EMBEDDED = (18, 17, 16)
WITH_CONTRIB = (17, 15)
MOSTLY_PROVED = 17
"""The version that `--every-version` leaves to the proof, as it is between two that it tries."""

SETTINGS = {
    # Days, the longest there is: a test says itself when rows are counted and cleaned.
    "autovacuum_naptime": "2147483s",
    "max_connections": "60",
    "max_prepared_transactions": "10",
    "max_wal_size": "256MB",
    "wal_level": "logical",
}


@cache
def _binaries(major: int) -> Path | None:
    """The programs of a version; `None` where this machine lacks them."""
    if major not in EMBEDDED:
        return system_binaries().get(major)
    try:
        return embedded_binaries(major)
    except MaintenanceError:
        return None


@dataclass
class Servers:
    """The running servers by major version, started on first use, under one folder."""

    folder: Path
    running: dict[int, PostgresServer] = field(default_factory=dict[int, PostgresServer])

    def get(self, major: int) -> PostgresServer:
        """The server of a version, running. Where it is not installed: skipped, failed in CI."""
        binaries = _binaries(major)
        if binaries is None:
            missing = f"PostgreSQL {major} is not installed"
            pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
        if major not in self.running:
            self.running[major] = PostgresServer(
                binaries, self.folder / str(major), fsync=False, settings=_settings(major)
            )
            self.running[major].start()
            _quicken_connections(self.running[major])
        self.running[major].start()  # also after a test that stopped or crashed it
        return self.running[major]


def _quicken_connections(server: PostgresServer) -> None:
    password = urlsplit(server.url()).password
    assert password
    verifier = quickly_verified(password)
    in_maintenance_database(server, f"ALTER ROLE {SUPERUSER} PASSWORD '{verifier}'")


def _settings(major: int) -> dict[str, str]:
    if major not in WITH_CONTRIB:
        return SETTINGS
    return SETTINGS | {"shared_preload_libraries": "pg_stat_statements"}


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    with server_folder() as folder:
        servers = Servers(folder)
        yield servers
        for server in servers.running.values():
            server.remove()


@pytest.fixture
def server(request: pytest.FixtureRequest, servers: Servers) -> PostgresServer:
    """A server of each version in turn, or of those that `@pytest.mark.pg(">= 16")` admits."""
    return servers.get(request.param)


@pytest.fixture
def server18(servers: Servers) -> PostgresServer:
    """The newest server, for tests that need only one."""
    return servers.get(18)


@pytest.fixture
def database(request: pytest.FixtureRequest, server: PostgresServer) -> Iterator[Database]:
    """An empty database of this test's own.

    With `@pytest.mark.store` it has our store, as an earlier run has made it; not with
    `@pytest.mark.store(None)`, and not where the test has a role, which makes a store of its own.
    """
    mark = request.node.get_closest_marker("store")
    now = datetime.now(UTC) if mark and not mark.args else mark and mark.args[0]
    if now is None or {"limited_role", "owner_role"} & set(request.fixturenames):
        yield from cloned(server, "template1")
    else:
        yield from cloned(server, make_template_with_store(server, now))


@pytest.fixture
def learning_platform_database(server: PostgresServer) -> Iterator[Database]:
    """The tables of sql/systems/learning_platform, without rows and partitions."""
    yield from cloned(server, make_template(server, "learning_platform"))


@pytest.fixture
def proposals_database(server: PostgresServer) -> Iterator[Database]:
    """The tables of sql/systems/proposals, without rows and partitions."""
    yield from cloned(server, make_template(server, "proposals"))


@pytest.fixture(autouse=True)
def no_secrets_of_other_tests() -> None:
    """Forget secrets of other tests: a part of a wrong url there may be an address here."""
    forget()


@pytest.fixture(scope="session", autouse=True)
def no_spool_at_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep fixtures of a wider scope than a test from the spool of this user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / unique("state")))
        patch.delenv("DAGSTER_HOME", raising=False)
        yield


@pytest.fixture(autouse=True)
def state_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's own spool is made, if it needs one."""
    folder = tmp_path_factory.getbasetemp() / unique("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return folder


@pytest.fixture
def limited_role(server: PostgresServer) -> Role:
    """A login role that owns nothing and has been granted nothing."""
    return make_role(server, "limited")


@pytest.fixture
def owner_role(server: PostgresServer) -> Role:
    """A login role that is no superuser; `database.give_to(owner_role)` makes it the owner."""
    return make_role(server, "owner")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A real HTTP server, for webhooks and the dead man's switch."""
    with http_receiver() as receiver:
        yield receiver


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "server" in metafunc.fixturenames:
        specs = [mark.args[0] for mark in metafunc.definition.iter_markers("pg")]
        majors = [major for major in MAJORS if all(admits(spec, major) for spec in specs)]
        versions = [pytest.param(major, id=f"pg{major}") for major in majors]
        metafunc.parametrize("server", versions, indirect=True)


COSTLY = Path(__file__).with_name("costly_tests.txt")
"""The tests that are left to CI, one a line; `--write-costly` writes it."""
COSTLY_S = 2.5
"""A test is costly if its examples take longer than this in a whole run, on average."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--every-version",
        action="store_true",
        help="tests that are not marked in_turn run on all server versions but one between",
    )
    parser.addoption(
        "--write-costly",
        action="store_true",
        help=f"write the tests that took longer than {COSTLY_S} s into {COSTLY.name}",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave costly tests to CI, and to the proof other server versions than the one in turn."""
    costly = set(COSTLY.read_text().splitlines())
    for item in items:
        if _without_example(item.nodeid) in costly and not item.get_closest_marker("essential"):
            item.add_marker(pytest.mark.thorough)
    is_every_version = bool(config.getoption("--every-version"))
    files = defaultdict[Path, defaultdict[str, dict[int, pytest.Item]]](lambda: defaultdict(dict))
    for item in items:
        if major := _major_of(item):
            without_version = re.sub(r"pg\d\d", "", item.nodeid, count=1)
            files[item.path][without_version][major] = item
    for tests in files.values():
        for n_test, versions in enumerate(tests.values()):
            for major in _left_to_the_proof(n_test, versions, is_every_version):
                versions[major].add_marker(pytest.mark.slow)


def _major_of(item: pytest.Item) -> int | None:
    """The server version of a test; `None` for one without a server, or with one of its own."""
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("server") if callspec else None


def _left_to_the_proof(
    n_test: int, versions: dict[int, pytest.Item], is_every_version: bool
) -> set[int]:
    is_in_turn = any(each.get_closest_marker("in_turn") for each in versions.values())
    if is_every_version and not is_in_turn:
        return {MOSTLY_PROVED} & set(versions) if len(versions) > 1 else set()
    return set(versions) - {list(versions)[n_test % len(versions)]}


_took_s: dict[str, list[float]] = defaultdict(list)


def _without_example(nodeid: str) -> str:
    return nodeid.partition("[")[0]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    times = _took_s[_without_example(report.nodeid)]
    if report.when == "setup":
        times.append(0)
    times[-1] += report.duration


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.getoption("--write-costly") and "PYTEST_XDIST_WORKER" not in os.environ:
        costly = sorted(test for test, times in _took_s.items() if fmean(times) > COSTLY_S)
        COSTLY.write_text("".join(f"{test}\n" for test in costly))


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over the modules and tests, which stay to the end.

    It looked at all of them again and again, which was a sixth of what unit tests take.
    """
    gc.collect()
    gc.freeze()


_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}


def admits(spec: str, major: int) -> bool:
    """Tell whether a version fits a marker such as `>= 16`."""
    match = re.fullmatch(r"\s*(>=|<=|==|!=|>|<)\s*(\d+)\s*", spec)
    if match is None:
        raise pytest.UsageError(f"pg marker: found {spec!r}, wanted such as '>= 16'")
    return _COMPARISONS[match[1]](major, int(match[2]))


def pytest_report_header() -> str:
    found = {major: _binaries(major) for major in MAJORS}
    versions = [version_of(path) if path else f"no {major}" for major, path in found.items()]
    return f"PostgreSQL: {', '.join(versions)}"
