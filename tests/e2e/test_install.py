"""From a checkout to a working command: with uv, without, and from a wheel."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.builders import ROOT, Database, unique
from tests.e2e.demos import Demo
from tests.policies import CREATE_EVENTS, EVENTS, write_policy

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

PYTHON = f"python3.{sys.version_info.minor}"
WITH_PIP = sys.executable if find_spec("pip") else str(Path(sys.base_prefix) / "bin" / PYTHON)
"""An environment that uv made has no pip."""
PIP = [WITH_PIP, "-m", "pip", "--quiet", "--disable-pip-version-check"]


@pytest.fixture(scope="module")
def bare_path(folder: Path) -> str:
    """A PATH with this Python and the system's programs, and without uv."""
    programs = folder / "programs"
    programs.mkdir()
    for name in ("sh", "cat", "cksum", "dirname", "make", "awk", "rm", "cp", "ps", "test", "chmod"):
        found = shutil.which(name)
        assert found
        (programs / name).symlink_to(found)
    (programs / PYTHON).symlink_to(Path(sys.base_prefix) / "bin" / PYTHON)
    return str(programs)


def _checkout(folder: Path) -> Path:
    """A copy of what the repository holds, as a clone would have it."""
    copy = folder / unique("checkout")
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(lambda name: (ROOT / name).is_file(), names.splitlines()):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name)
    return copy


def _make(checkout: Path, *arguments: str, path: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"PATH": path}
    command = [shutil.which("make") or "make", *arguments]
    return subprocess.run(
        command, cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def with_pip(folder: Path, bare_path: str) -> Path:
    """A checkout whose environment was made without uv."""
    checkout = _checkout(folder)
    done = _make(checkout, "environment", path=bare_path)
    assert done.returncode == 0, done.stderr
    return checkout


def test_environment_made_by_pip_has_the_command(with_pip: Path) -> None:
    command = [with_pip / ".venv/bin/maintenance", "--version"]
    assert subprocess.run(command, capture_output=True, check=True).stdout


def test_environment_that_is_up_to_date_is_left_alone(with_pip: Path, bare_path: str) -> None:
    assert _make(with_pip, "environment", path=bare_path).stderr == ""


def test_missing_python_is_one_clear_line(folder: Path, bare_path: str) -> None:
    programs = folder / unique("programs")
    shutil.copytree(bare_path, programs, symlinks=True)
    (programs / PYTHON).unlink()
    done = _make(_checkout(folder), "environment", path=str(programs))
    assert done.returncode == 2
    assert [name for name in ("Python", "3.11", "3.14") if name not in done.stderr] == []


@pytest.fixture(scope="module")
def packages(folder: Path) -> dict[str, Path]:
    """The wheel, the source distribution, and the wheel that is built from that."""
    tools, built, again = (folder / name for name in ("tools", "dist", "again"))
    subprocess.run([*PIP, "install", "--target", tools, "hatchling"], check=True)
    with_tools = os.environ | {"PYTHONPATH": str(tools)}
    hatchling = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-t", "wheel"]
    subprocess.run([*hatchling, "-d", built], cwd=_checkout(folder), env=with_tools, check=True)
    (sdist,), (wheel,) = built.glob("*.tar.gz"), built.glob("*.whl")
    build = [*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", again, sdist]
    subprocess.run(build, env=with_tools, check=True)
    return {"sdist": sdist, "wheel": wheel, "wheel of the sdist": next(again.glob("*.whl"))}


def _names(package: Path) -> set[str]:
    """The files of a package, without the folder with its version."""
    if package.suffix == ".whl":
        with zipfile.ZipFile(package) as archive:
            return {name.split(".dist-info")[-1] for name in archive.namelist()}
    with tarfile.open(package) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


CARRIED = {"sql/store/0001_runs_and_journal.sql", "docs/runbook.md", "dagster.yaml"}


def test_packages_hold_what_is_needed_and_no_more(packages: dict[str, Path]) -> None:
    names = {kind: _names(package) for kind, package in packages.items()}
    assert names["wheel"] == names["wheel of the sdist"]
    data = {f"maintenance/_data/{name}" for name in CARRIED}
    assert {"maintenance/py.typed", "/licenses/LICENSE", *data} - names["wheel"] == set()
    assert {"LICENSE", "README.md", "CHANGELOG.md", *CARRIED} - names["sdist"] == set()
    for each in names.values():
        assert [
            n for n in each if n.startswith(("tests", "benchmarks")) or "__pycache__" in n
        ] == []


@pytest.fixture(scope="module")
def elsewhere(folder: Path) -> Path:
    """An environment of its own with links to our dependencies, and nothing of the checkout."""
    elsewhere = folder / "without_checkout"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", elsewhere], check=True)
    (packages,) = elsewhere.glob("lib/*/site-packages")
    for each in Path(sysconfig.get_path("purelib")).iterdir():
        if "maintenance" not in each.name and not (packages / each.name).exists():
            (packages / each.name).symlink_to(each)
    return elsewhere


@pytest.mark.pg("== 18")
@pytest.mark.parametrize("kind", ["wheel of the sdist", "wheel"])
def test_package_works_where_there_is_no_checkout(
    kind: str, packages: dict[str, Path], elsewhere: Path, database: Database, tmp_path: Path
) -> None:
    install = [*PIP, "--python", elsewhere / "bin/python", "install", "--no-deps"]
    subprocess.run([*install, "--force-reinstall", packages[kind]], check=True)
    database.execute(CREATE_EVENTS)
    write_policy(tmp_path, database.url, EVENTS)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}

    def call(*command: str, exit_code: int = 0) -> str:
        program = [elsewhere / "bin" / command[0], *command[1:]]
        done = subprocess.run(
            program, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == exit_code, (command, done.stdout, done.stderr)
        return done.stdout

    def answer(*command: str, exit_code: int = 0) -> dict[str, Any]:
        asked = ("maintenance", *command, "--json", "--policy", "app.yaml")
        return json.loads(call(*asked, exit_code=exit_code))

    assert version("maintenance") in call("maintenance", "--version")
    assert json.loads(call("maintenance", "check", "--schema"))["properties"]
    assert answer("check")["server"]["database"] == database.name
    planned = answer("plan", exit_code=1)  # no partition of this month is an error
    assert [action["kind"] for action in planned["actions"]] == ["create_partition"] * 4
    assert "premake" in answer("explain", "partition_horizon_short")["entry"]
    assert {each["outcome"] for each in answer("apply")["actions"]} == {"done"}
    assert answer("uninstall", "--yes")["complete"]
    environment["MAINTENANCE_POLICIES"] = str(tmp_path)
    script = "import maintenance.definitions as d; print(d.__file__)"
    assert str(elsewhere) in call("python", "-c", script)


def test_wheel_runs_the_demo_from_any_folder(folder: Path, with_pip: Path) -> None:
    """In an environment of its own, without the checkout's files beside it."""
    elsewhere = folder / "elsewhere"
    subprocess.run([with_pip / ".venv/bin/python", "-m", "venv", elsewhere], check=True)
    pip = [elsewhere / "bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
    pins = ["--require-hashes", "--requirement", with_pip / "requirements.lock"]
    subprocess.run([*pip, "install", "--no-deps", *pins], check=True)
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", folder, with_pip], check=True)
    subprocess.run([*pip, "install", "--no-deps", *folder.glob("maintenance-*.whl")], check=True)
    assert list(elsewhere.glob("lib/*/site-packages/maintenance-*.dist-info/licenses/LICENSE"))
    assert list(elsewhere.glob("lib/*/site-packages/maintenance/_data/deploy/project/.env.example"))
    demo = Demo(folder / "demo", command=elsewhere / "bin/maintenance")
    assert demo.run("--once") == 0, demo.stderr
    n_passed, *_ = demo.stdout.splitlines()[-1].split()
    assert int(n_passed) > 0, "no check that failed is listed last"


@pytest.mark.skipif(not shutil.which("uv"), reason="there is no uv")
def test_broken_environment_is_made_anew(folder: Path) -> None:
    checkout = _checkout(folder)
    assert _make(checkout, "environment", path=os.environ["PATH"]).returncode == 0
    python = checkout / ".venv/bin/python"
    python.unlink()
    assert _make(checkout, "environment", path=os.environ["PATH"]).returncode == 0
    assert subprocess.run([python, "-c", "import maintenance"], cwd="/", check=True)
