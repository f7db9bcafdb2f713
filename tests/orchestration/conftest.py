"""A Dagster instance for each test, in a folder of its own, in memory if there is plenty."""

from collections.abc import Iterator

import dagster as dg
import pytest

from tests.builders import server_folder


def pytest_configure(config: pytest.Config) -> None:
    # Dagster 1.13 reads `__fields__` of every resource, which pydantic calls deprecated.
    category = "pydantic.warnings.PydanticDeprecatedSince20"
    config.addinivalue_line("filterwarnings", f"ignore:The `__fields__` attribute:{category}")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with server_folder() as folder, dg.DagsterInstance.local_temp(str(folder)) as instance:
        yield instance
