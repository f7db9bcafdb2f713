"""A Dagster instance for each test, in a folder of its own."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest


def pytest_configure(config: pytest.Config) -> None:
    # Dagster 1.13 reads `__fields__` of every resource, which pydantic calls deprecated.
    category = "pydantic.warnings.PydanticDeprecatedSince20"
    config.addinivalue_line("filterwarnings", f"ignore:The `__fields__` attribute:{category}")


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    folder = tmp_path / "dagster"
    folder.mkdir()
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        yield instance
