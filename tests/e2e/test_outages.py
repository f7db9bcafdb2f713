"""Outages as an operator meets them: Dagster's daemon, a server that stops, a real webhook."""

import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from maintenance.demo.account import server_account
from maintenance.demo.postgres import PostgresServer, embedded_binaries
from tests.builders import ROOT, unique
from tests.disks import small_disk
from tests.e2e.demos import PATIENCE_S, wait_until
from tests.policies import write_policy
from tests.receivers import Receiver

pytestmark = pytest.mark.timeout(2 * PATIENCE_S)

DEFINITIONS = """
from maintenance.orchestration import alert_sensors

alert_sensors.ROUND_S = alert_sensors.FRESHNESS_S = 1

from maintenance.definitions import defs
"""
"""The definitions as they are, with sensors that come as often as the daemon looks: all 5 s."""


@contextmanager
def daemon(folder: Path, policy: Path) -> Generator[None]:
    """Dagster's daemon, with its storage in a folder."""
    home = folder / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    (folder / "outage_definitions.py").write_text(DEFINITIONS)
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(home),
        "MAINTENANCE_POLICIES": str(policy),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "dagster._daemon", "run"]
    command += ["-f", str(folder / "outage_definitions.py")]
    with (folder / "daemon.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)


def outages(receiver: Receiver) -> list[tuple[str, str]]:
    found = [each for each in receiver.events() if each["kind"] == "database_unreachable"]
    return [(each["state"], each["value"]) for each in found]


def is_watched(url: str) -> bool:
    """Whether a round has made the store."""
    with psycopg.connect(url) as connection:
        known = connection.execute("SELECT to_regclass('maintenance.delivery')::text").fetchone()
    return known != (None,)


@pytest.fixture
def own(folder: Path) -> Generator[PostgresServer]:
    server = PostgresServer(embedded_binaries(18), folder / unique("server"), fsync=False)
    server.start()
    yield server
    server.remove()


def test_server_that_stops_is_told_once_and_its_return_once(
    own: PostgresServer, tmp_path: Path, receiver: Receiver
) -> None:
    path = write_policy(tmp_path, own.url(), alerts={"sinks": [receiver.webhook()]})
    with daemon(tmp_path, path):
        wait_until(lambda: is_watched(own.url()))
        own.stop(immediate=True)
        wait_until(lambda: outages(receiver) != [])
        own.start()
        wait_until(lambda: len(outages(receiver)) > 1)
    # A round may also meet the server while it starts.
    assert [state for state, _ in outages(receiver)] == ["raised", "resolved"]
    assert {value for _, value in outages(receiver)} <= {"refused", "not_ready"}
    assert (tmp_path / "dagster/maintenance/alerts.db").exists()
    assert receiver.is_signed()


@pytest.mark.slow
def test_full_disk_of_the_store_is_told_once_and_its_end_once(
    own: PostgresServer, folder: Path, tmp_path: Path, receiver: Receiver
) -> None:
    with small_disk(folder / unique("disk"), 40) as disk:
        if account := server_account():
            account.own(disk)
        with psycopg.connect(own.url(), autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE small LOCATION '{disk}'".encode())
            connection.execute("CREATE DATABASE filled TABLESPACE small")
        url = own.url("filled")
        path = write_policy(tmp_path, url, alerts={"sinks": [receiver.webhook()]})
        with daemon(tmp_path, path):
            wait_until(lambda: is_watched(url))
            free = shutil.disk_usage(disk).free
            (disk / "filler").write_bytes(b"x" * (free - free % 4096))
            wait_until(lambda: outages(receiver) != [])
            (disk / "filler").unlink()
            wait_until(lambda: len(outages(receiver)) > 1)
        own.stop(immediate=True)
    assert outages(receiver) == [("raised", "disk_full"), ("resolved", "disk_full")]
