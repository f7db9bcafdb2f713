"""Folders for demos, open to the account that servers run as."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import server_folder


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with server_folder() as folder:
        yield folder
