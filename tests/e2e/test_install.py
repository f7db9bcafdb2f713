"""From a checkout to a working command: with uv, without, and from a wheel."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders import ROOT, unique
from tests.e2e.demos import Demo

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

PYTHON = f"python3.{sys.version_info.minor}"


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
