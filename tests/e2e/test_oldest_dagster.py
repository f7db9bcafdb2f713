"""The oldest Dagster of the range in pyproject.toml serves as the locked one, the newest, does."""

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.builders import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

BOUND = re.compile(r"(dagster[a-z-]*)>=(\d+\.\d+),<")
SAME = ("dagster-graphql", "dagster-pipes", "dagster-shared")
"""Other parts of Dagster, which have its version."""


def oldest() -> dict[str, str]:
    """The lower bounds that pyproject.toml sets, as versions."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["server"], *extras["celery"]]
    bounds = {found[1]: f"{found[2]}.0" for each in wanted if (found := BOUND.match(each))}
    return bounds | dict.fromkeys(SAME, bounds["dagster"])


def test_definitions_jobs_and_sensors_work_with_the_oldest_dagster(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    packages = [f"{name}=={number}" for name, number in oldest().items()]
    pip = [tmp_path / "venv/bin/python", "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--target", tmp_path / "oldest", *packages], check=True)
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "oldest")}
    told = [sys.executable, "-c", "import dagster; print(dagster.__version__)"]
    found = subprocess.run(told, env=environment, check=True, capture_output=True, text=True)
    assert found.stdout.strip() == oldest()["dagster"] != version("dagster")
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/orchestration"]
    done = subprocess.run(
        [*tests, "-m", "not slow and not thorough"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:]
