"""Real Redis servers for tests: the embedded one, and the system's if it is installed."""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import redis

from maintenance.demo.redis import RedisServer, embedded_program, system_program


@contextmanager
def cache_server(program: Path, folder: Path) -> Generator[RedisServer]:
    """A server of one test."""
    server = RedisServer(program, folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def program_of(kind: str) -> Path:
    """The program of a kind; where it is not installed: skipped, failed in CI."""
    program = embedded_program() if kind == "embedded" else system_program()
    if program is None:
        missing = "redis-server is not installed"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    return program


def client_of(server: RedisServer) -> Any:
    """A client as an application has one; redis-py leaves its types open."""
    connect = cast("Callable[..., Any]", redis.Redis.from_url)
    return connect(server.url, decode_responses=True)
