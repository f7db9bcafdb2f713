"""`init --dagster`: the folder that it writes is complete, holds no secret, and runs as it is."""

import json
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from click.testing import CliRunner, Result
from psycopg.conninfo import conninfo_to_dict

from maintenance.cli.commands import cli
from maintenance.demo import ports
from tests import strangers
from tests.builders import ROOT, Database

pytestmark = pytest.mark.pg("== 18")

PROGRAMS = Path(sys.executable).parent
SECURITY = ROOT / "docs/security.md"
UNITS = ("maintenance-daemon", "maintenance-webserver")


def init(database: Database, folder: Path, *arguments: str) -> Result:
    command = ["init", "--env", "SHOP_URL", "--name", "shop", "--dagster", str(folder), *arguments]
    return CliRunner().invoke(cli, command, env={"SHOP_URL": database.url})


@pytest.fixture
def project(database: Database, tmp_path: Path) -> Path:
    database.execute(strangers.schema("rails"))
    assert init(database, tmp_path / "ops").exit_code == 0
    return tmp_path / "ops"


def fill_in(project: Path, database: Database) -> None:
    """Make .env of .env.example, as its first line says."""
    parts = conninfo_to_dict(database.url)
    values = {
        "SHOP_URL": database.url,
        "DAGSTER_PG_HOST": parts["host"],
        "DAGSTER_PG_PORT": parts["port"],
        "DAGSTER_PG_DB": database.name,
        "DAGSTER_PG_USERNAME": parts["user"],
        "DAGSTER_PG_PASSWORD": parts["password"],
    }
    text = (project / ".env.example").read_text()
    names = re.findall(r"^(\w+)=", text, re.MULTILINE)
    assert sorted(names) == sorted(values)
    filled = re.sub(r"^(\w+)='.*'$", lambda m: f"{m[1]}='{values[m[1]]}'", text, flags=re.MULTILINE)
    (project / ".env").write_text(filled)


def script(*lines: str) -> list[str]:
    """Lines for a shell that has the variables of .env."""
    return ["sh", "-c", "\n".join(("set -eu", "set -a && . ./.env && set +a", *lines))]


def environment(project: Path) -> dict[str, str]:
    path = f"{PROGRAMS}:{os.defpath}"
    return {"PATH": path, "HOME": str(project.parent), "DAGSTER_HOME": str(project)}


def in_project(project: Path, *lines: str) -> str:
    done = subprocess.run(
        script(*lines),
        cwd=project,
        env=environment(project),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_project_loads_in_dagster_as_it_is(project: Path, database: Database) -> None:
    fill_in(project, database)
    in_project(project, "dagster definitions validate --workspace workspace.yaml")
    assert database.execute("SELECT count(*) FROM public.runs") == [(0,)], "Dagster's storage"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_services_start_as_their_units_say_and_run_the_nightly_job(
    project: Path, database: Database
) -> None:
    fill_in(project, database)
    assert json.loads(in_project(project, "maintenance check --json"))["database"] == "shop"
    in_project(project, *commands(project, "ExecStartPre"))
    port = ports.free_port()
    with ExitStack() as running:
        for line in commands(project, "ExecStart"):
            running.enter_context(service(project, line.replace("--port 3000", f"--port {port}")))
        in_project(
            project,
            f"until {ANSWERS.format(port=port)} 2>/dev/null; do sleep 1; done",
            "until dagster-daemon liveness-check; do sleep 1; done",
            "dagster job launch -w workspace.yaml --location maintenance --job shop_nightly",
        )
        status = "SELECT status FROM public.runs"
        while database.execute(status) not in ([("SUCCESS",)], [("FAILURE",)]):
            time.sleep(1)
        assert database.execute(status) == [("SUCCESS",)]


LAUNCH = """
mutation ($run: ExecutionParams!) { launchRun(executionParams: $run) { __typename } }
"""
ASSETS = "{ assetsOrError { __typename } }"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_web_server_that_is_read_only_shows_and_launches_nothing(
    project: Path, database: Database
) -> None:
    fill_in(project, database)
    port = ports.free_port()
    (line,) = re.findall(r"^dagster-webserver --read-only .*$", SECURITY.read_text(), re.MULTILINE)
    with service(project, line.replace("--port 3001", f"--port {port}")):
        in_project(
            project, f"until {ANSWERS.format(port=f'{port}/look')} 2>/dev/null; do sleep 1; done"
        )
        assert ask(port, ASSETS) == {"assetsOrError": {"__typename": "AssetConnection"}}
        selector = {
            "repositoryLocationName": "maintenance",
            "repositoryName": "__repository__",
            "jobName": "shop_nightly",
        }
        answer = ask(port, LAUNCH, run={"selector": selector})
    assert answer == {"launchRun": {"__typename": "UnauthorizedError"}}
    assert database.execute("SELECT count(*) FROM public.runs") == [(0,)]


def ask(port: int, query: str, **variables: Any) -> Any:
    body = {"query": query, "variables": variables}
    answer = requests.post(f"http://127.0.0.1:{port}/look/graphql", json=body, timeout=60)
    return answer.json()["data"]


ANSWERS = "python -c 'from urllib.request import urlopen; urlopen(\"http://127.0.0.1:{port}/server_info\")'"


def commands(project: Path, key: str) -> list[str]:
    """The command lines of both units, of one key."""
    units = [(project / "systemd" / f"{name}.service").read_text() for name in UNITS]
    return [line for text in units for line in re.findall(rf"^{key}=(.+)$", text, re.MULTILINE)]


@contextmanager
def service(project: Path, line: str) -> Generator[None]:
    """A command that runs until the end, and leaves no process behind."""
    process = subprocess.Popen(
        script(f"exec {line}"),
        cwd=project,
        env=environment(project),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
        assert process.poll() is None, f"ended: {line}"
    finally:
        process.terminate()
        process.wait(60)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def test_files_name_the_project_and_hold_no_secret(project: Path, database: Database) -> None:
    password = conninfo_to_dict(database.url)["password"]
    assert password
    texts = {p.name: p.read_text() for p in project.rglob("*") if p.is_file()}
    assert [name for name, text in texts.items() if str(password) in text] == []
    assert [name for name, text in texts.items() if re.search("@[A-Z]+@", text)] == []
    assert {"shop.yaml", "workspace.yaml", "dagster.yaml", ".env.example", ".gitignore"} < set(
        texts
    )
    assert {"compose.yaml", "Dockerfile", "requirements.lock", "README.md"} < set(texts)
    assert ".env" in texts[".gitignore"].splitlines()
    assert (project / "policies/shop.yaml").is_file()


def test_units_of_systemd_start_programs_that_exist(project: Path) -> None:
    lines = commands(project, "ExecStart(?:Pre)?")
    assert len(lines) == 3
    assert [line for line in lines if not os.access(shlex.split(line)[0], os.X_OK)] == []
    units = [project / "systemd" / f"{name}.service" for name in UNITS]
    if shutil.which("systemd-analyze"):
        verified = subprocess.run(
            ["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False
        )
        assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")


def test_compose_file_has_services_that_wait_for_each_other(project: Path) -> None:
    text = (project / "compose.yaml").read_text()
    compose: dict[str, Any] = yaml.safe_load(text)
    services = compose["services"]
    assert set(services) == {"storage", "migrate", "daemon", "webserver"}
    for name, service in services.items():
        assert "healthcheck" in service or name == "migrate", "which ends"
        assert set(service.get("depends_on", {})) < set(services)
        program, *_ = service.get("command", ["dagster"])
        assert os.access(PROGRAMS / program, os.X_OK)
        volumes = [volume.split(":") for volume in service["volumes"]]
        files = [mount for source, *mount in volumes if source.startswith("./")]
        assert all(mount[1] == "ro" for mount in files)
        assert all((project / v[0]).exists() for v in volumes if v[0].startswith("./"))
        assert {v[0] for v in volumes if not v[0].startswith("./")} < set(compose["volumes"])
    assert services["webserver"]["ports"] == ["127.0.0.1:3000:3000"]
    asked = set(re.findall(r"(?<!\$)\$\{(\w+)", text))
    assert asked <= set(
        re.findall(r"^(\w+)=", (project / ".env.example").read_text(), re.MULTILINE)
    )


def test_container_installs_a_part_of_the_lock_and_all_of_it_by_hash(project: Path) -> None:
    everything = pinned(ROOT / "requirements.lock")
    served = pinned(project / "requirements.lock")
    assert served.items() <= everything.items()
    assert all(served.values())
    assert {"dagster", "dagster-webserver", "dagster-postgres", "psycopg", "s3fs"} < {
        package.partition("==")[0] for package in served
    }
    assert not any(re.match("pytest|pyright|playwright|moto", package) for package in served)


def pinned(lock: Path) -> dict[str, frozenset[str]]:
    """The hashes of each release; a lock says too for which systems it is."""
    entries = re.findall(r"^(\S+==\S+)(.*?)(?=^\S|\Z)", lock.read_text(), re.MULTILINE | re.DOTALL)
    return {package: frozenset(re.findall(r"sha256:\w+", rest)) for package, rest in entries}


def test_existing_files_are_named_and_kept(project: Path, database: Database) -> None:
    (project / "compose.yaml").write_text("mine")
    again = init(database, project)
    assert again.exit_code == 2
    assert "compose.yaml" in again.stderr
    assert "policies" in again.stderr
    assert (project / "compose.yaml").read_text() == "mine"


def test_project_is_written_into_a_folder_of_other_files(
    database: Database, tmp_path: Path
) -> None:
    (tmp_path / ".git").mkdir()
    result = init(database, tmp_path, "--json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["file"] == str(tmp_path / "policies/shop.yaml")
    assert [name for name in document["files"] if not Path(name).is_file()] == []
    files = {str(path) for path in tmp_path.rglob("*") if path.is_file()}
    assert files == set(document["files"])


@pytest.mark.parametrize("exists", [False, True])
def test_project_that_does_not_fit_on_the_disk_leaves_nothing(
    exists: bool, database: Database, tmp_path: Path
) -> None:
    folder = tmp_path / "ops"
    if exists:
        folder.mkdir()
    with largest_file(50_000):
        assert init(database, folder).exit_code == 2
    assert list(tmp_path.rglob("*")) == ([folder] if exists else [])


@contextmanager
def largest_file(size_bytes: int) -> Generator[None]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize(
    ("folder", "more"), [("with space", ()), ("missing/ops", ()), ("ops", ("--out", "a.yaml"))]
)
def test_what_can_not_be_written_is_refused_before_the_database_is_asked(
    folder: str, more: tuple[str, ...], tmp_path: Path
) -> None:
    command = ["init", "--url", "postgresql://nobody@127.0.0.1:1/nothing", *more]
    result = CliRunner().invoke(cli, [*command, "--dagster", str(tmp_path / folder)])
    assert result.exit_code == 2
    assert list(tmp_path.iterdir()) == []
