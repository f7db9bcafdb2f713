"""A Dagster instance for each test, in a folder of its own, in memory if there is plenty."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.builders import ROOT, Database, server_folder

VARIABLES = {
    "DAGSTER_PG_USERNAME": "user",
    "DAGSTER_PG_PASSWORD": "password",
    "DAGSTER_PG_HOST": "host",
    "DAGSTER_PG_PORT": "port",
    "DAGSTER_PG_DB": "dbname",
}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with server_folder() as folder, dg.DagsterInstance.local_temp(str(folder)) as instance:
        yield instance


@pytest.fixture
def shipped(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """The instance that dagster.yaml describes, its storage in this test's database."""
    parts = conninfo_to_dict(database.url)
    for variable, part in VARIABLES.items():
        monkeypatch.setenv(variable, str(parts[part]))
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(ROOT / "dagster.yaml", home)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance
