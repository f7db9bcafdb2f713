"""One demo that serves, for all tests that only look at it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import server_folder
from tests.e2e.demos import SERVING, Demo


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    with server_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def served(folder: Path) -> Iterator[Demo]:
    """A demo that serves its UI, started where variables lead to somebody's real database."""
    demo = Demo(folder / "served")
    real = "postgresql://somebody@192.0.2.1/real"
    demo.start(
        environment=os.environ
        | {"LEARNING_PLATFORM_URL": real, "PROPOSALS_URL": real, "PGPORT": "1"}
    )
    try:
        demo.wait_for(SERVING)
        yield demo
    finally:
        demo.close()
