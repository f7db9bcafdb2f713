"""A project as create-dagster makes it, with assets of its own, becomes our host by its page."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from maintenance.demo.postgres import PostgresServer
from tests.builders import ROOT, cloned
from tests.load_generator import month
from tests.policies import CREATE_EVENTS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

DAGSTER = "1.13.27"
"""The newest release whose command line `dg` is published."""
OWN_ASSET = "import dagster as dg\n\n\n@dg.asset\ndef orders() -> int:\n    return 1\n"


def commands() -> str:
    """The commands of the page, in their order."""
    page = (ROOT / "docs/guest.md").read_text()
    return "\n".join(re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))


def test_commands_of_the_page_make_a_project_our_host(
    tmp_path: Path, server18: PostgresServer
) -> None:
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    pip = [environment / "bin/python", "-m", "pip", "install", "--quiet"]
    tools = [f"{name}=={DAGSTER}" for name in ("create-dagster", "dagster-dg-cli")]
    subprocess.run([*pip, *tools, ROOT], check=True)
    make = [environment / "bin/create-dagster", "project", "host", "--no-uv-sync"]
    subprocess.run(make, cwd=tmp_path, check=True)
    project = tmp_path / "host"
    (project / "src/host/defs/own.py").write_text(OWN_ASSET)
    subprocess.run([*pip, "--editable", project], check=True)
    for database in cloned(server18, "template1"):
        database.execute(CREATE_EVENTS)
        database.execute(
            f"CREATE TABLE public.events_{month(0)[:7].replace('-', '_')}"
            " PARTITION OF public.events"
            f" FOR VALUES FROM ('{month(0)} 00:00+00') TO ('{month(1)} 00:00+00')"
        )
        variables = {
            "APP_URL": database.url,
            "PATH": f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}",
        }
        done = subprocess.run(
            ["bash", "-euc", commands()],
            cwd=project,
            env=os.environ | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "maintenance.MaintenanceComponent" in done.stdout
        made = "SELECT count(*) FROM pg_catalog.pg_inherits WHERE inhparent = 'events'::regclass"
        assert database.execute(made) == [(4,)], "this month, and three ahead"
