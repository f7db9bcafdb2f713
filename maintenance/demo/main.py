"""The demo from start to end: servers, rows, Dagster, the main job and the UI."""

import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from rich.markup import escape

from maintenance.demo import preflight, storage, systems
from maintenance.demo.dagster import Dagster
from maintenance.demo.jobs import launch_digests, run_main_job
from maintenance.demo.postgres import PostgresServer
from maintenance.demo.programs import binaries_for, has_extension, version_of
from maintenance.demo.redis import RedisServer, embedded_program
from maintenance.demo.report import print_line, show, step
from maintenance.demo.systems import System
from maintenance.errors import MaintenanceError

_INHERITED = ("HOME", "LANG", "LC_ALL", "PATH", "PYTHONPATH", "TMPDIR", "USER")
"""Environment variables of Dagster's processes. None leads to a database or an alert service of
the caller, since a policy may name any variable."""

_POLL_S = 1.0

# If the machine crashes, only the last rows of a demo are lost.
_SETTINGS = {"synchronous_commit": "off"}

_STATEMENTS = "pg_stat_statements"
_NO_STATEMENTS = (
    "[dim]Statements are not counted here: the PostgreSQL of the demo has no pg_stat_statements."
    " On a server that has it, slow statements are found too.[/]"
)

_ON_PURPOSE = (
    "[dim]Each database has one warning on purpose, whose check says what to do, and waves of"
    " indexes to roll out; docs/demo.md lists them.[/]"
)

_STOPPING = "Stopping. Press Ctrl-C again to kill."
_WHAT_TO_SEE = """
[bold]{url}[/]
  /asset-groups                                   assets and their dependencies
  /assets/{first}/digest     daily health summary
  /automation                                     schedules and sensors

In another terminal: [bold]. {variables}[/] and then [bold]maintenance status[/]
Ctrl-C stops everything.
"""


def run_demo(*, data: Path, names: Sequence[str], once: bool, port: int) -> None:
    """Start everything, run the main job in Dagster, print its results, and serve the UI.

    All started processes end with this process. Ctrl-C and SIGTERM stop it in order; a second
    one kills.

    Args:
        data: the folder for all data; created if missing.
        names: of the example systems to show; empty for all.
        once: stop after the main job instead of serving the UI.
        port: the port of the UI, on loopback.

    Raises:
        UsageError: the folder is used by another demo, or the port by another process.
        MaintenanceError: a process did not start, a run failed, or a check found an error.
    """
    # Set explicitly: a shell starts background jobs with SIGINT ignored, which programs started
    # from here would inherit.
    _on_signal(signal.default_int_handler)
    try:
        with ExitStack() as started:
            try:
                _run(started, data.absolute(), names, once=once, port=port)
            except KeyboardInterrupt:
                print_line(_STOPPING)
                raise
            finally:
                _on_signal(signal.SIG_DFL)
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None


def _run(started: ExitStack, data: Path, names: Sequence[str], *, once: bool, port: int) -> None:
    names = systems.chosen(names)
    preflight.make_folder(data)
    print_line(f"Starting {', '.join(names)} in {escape(str(data))}; the first time takes minutes")
    policies = systems.load(data, names)
    programs = binaries_for(data / "postgres")
    counts_statements = has_extension(programs, _STATEMENTS)
    library = {"shared_preload_libraries": _STATEMENTS} if counts_statements else {}
    server = PostgresServer(programs, data / "postgres", settings={**_SETTINGS, **library})
    redis = RedisServer(embedded_program(), data / "redis")
    dagster = Dagster(data / "dagster", port)
    started.callback(server.stop)
    preflight.claim(server, data)
    dagster.end_leftovers()
    redis.end_leftover()
    preflight.refuse_taken(port)
    with step(f"PostgreSQL {version_of(server.binaries)}"):
        server.start()
        is_new = storage.make(server)
        made = [systems.create(server, policy) for policy in policies]
        if counts_statements:
            systems.count_statements(made)
    started.callback(redis.stop)
    redis.start()
    variables = systems.environment(made) | {"REDIS_URL": redis.url}
    started.callback(dagster.stop)
    dagster.start(_inherited() | storage.environment(server) | variables)
    with step("Sample data and past partitions") as detail:
        _prepare(made, detail)
    with step(f"Dagster at {dagster.webserver.url}"):
        dagster.serve(is_new=is_new)
        storage.mark_complete(server)
    with step("Main job in Dagster") as detail:
        outcome = run_main_job(
            dagster.webserver, names, check_alive=dagster.check_alive, progress=detail
        )
        for system in made:
            detail(f"alerts of {system.name}")
            system.alert(variables)
    show(outcome)
    if outcome.n_warnings:
        print_line(_ON_PURPOSE)
    if not counts_statements:
        print_line(_NO_STATEMENTS)
    if not once:
        launch_digests(dagster.webserver, names)
        _write_exports(data / "environment", variables, Path(sys.executable).parent)
        _serve(data, names[0], server, dagster, redis)
    elif outcome.n_errors:
        raise MaintenanceError(f"{outcome.n_errors} checks found errors")


def _on_signal(handler: "Callable[[int, FrameType | None], Any] | signal.Handlers") -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def _inherited() -> dict[str, str]:
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}


def _prepare(made: Iterable[System], detail: Callable[[str], None]) -> None:
    now = datetime.now(UTC)
    for system in made:
        detail(system.name)
        system.prepare(now)


def _serve(
    data: Path, first: str, server: PostgresServer, dagster: Dagster, redis: RedisServer
) -> None:
    variables = data / "environment"
    print_line(
        _WHAT_TO_SEE.format(
            url=dagster.webserver.url, first=first, variables=escape(str(variables))
        )
    )
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(_POLL_S)
            dagster.check_alive()
            redis.check_alive()
            if not server.is_running():
                raise MaintenanceError("PostgreSQL has ended", hint=f"log: {server.log}")
    print_line(_STOPPING)


def _write_exports(path: Path, variables: Mapping[str, str], programs: Path) -> None:
    """Write a file for shells: the variables, and the folder of the command `maintenance`."""
    path.touch(mode=0o600)
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()]
    path.write_text("".join([*lines, f'export PATH={shlex.quote(str(programs))}:"$PATH"\n']))
