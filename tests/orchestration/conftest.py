"""A Dagster instance for each test, in a folder of its own, in memory if there is plenty."""

from collections.abc import Iterator

import dagster as dg
import pytest

from tests.builders import server_folder


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with server_folder() as folder, dg.DagsterInstance.local_temp(str(folder)) as instance:
        yield instance
