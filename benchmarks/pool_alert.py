"""The time from a full connection pool to its alert, by a real Dagster daemon with defaults."""

import json
import os
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue

import psycopg
import yaml

from benchmarks.outcomes import OURS, Outcome, Target
from benchmarks.servers import fresh_database
from benchmarks.watch import served
from maintenance.demo.postgres import PostgresServer
from maintenance.pipeline import run as pipeline
from maintenance.policy import load_policy

LIMIT_S = 120.0
PATIENCE_S = 300.0
ROLE = "pool_app"
KIND = "connections_saturated"
Events = Queue[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class PoolAlert:
    """All connections that are left for applications are taken, and later closed again."""

    rounds: int = 2

    def run(self, server: PostgresServer) -> Outcome:
        with (
            fresh_database(server) as database,
            tempfile.TemporaryDirectory() as folder,
            _receiver() as (url, events),
        ):
            policies = Path(folder) / "policies"
            policies.mkdir()
            document = {
                "database": {"name": "app", "url": database.url},
                "alerts": {"sinks": [{"type": "webhook", "url": url}]},
            }
            (policies / "app.yaml").write_text(yaml.safe_dump(document))
            pipeline.apply(load_policy(policies / "app.yaml"))
            environment = {**os.environ, "MAINTENANCE_POLICIES": str(policies)}
            with served(server, Path(folder) / "dagster", environment):
                waits = tuple(_wait(server, database.url, events) for _ in range(self.rounds))
        return Outcome(
            "from a full pool to its alert at the webhook",
            "s",
            {OURS: waits},
            (Target("the slowest alert, s", max(waits), LIMIT_S),),
        )


def _wait(server: PostgresServer, url: str, events: Events) -> float:
    """Fill the pool; return the seconds until it is told. Returns after it is resolved."""
    with _full(server, url):
        began = time.monotonic()
        _await(events, "raised")
        took = time.monotonic() - began
    _await(events, "resolved")
    return took


def _await(events: Events, state: str) -> None:
    until = time.monotonic() + PATIENCE_S
    while events.get(timeout=max(0.0, until - time.monotonic())) != (KIND, state):
        pass


@contextmanager
def _full(server: PostgresServer, url: str) -> Generator[None]:
    """Hold every connection that an ordinary role can get."""
    with (
        psycopg.connect(server.url(), autocommit=True) as admin,
        suppress(psycopg.errors.DuplicateObject),
    ):
        admin.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{ROLE}'".encode())
    with ExitStack() as stack:
        with suppress(psycopg.OperationalError):
            while True:
                connection = psycopg.connect(url, user=ROLE, password=ROLE, autocommit=True)
                stack.enter_context(connection)
        yield


@contextmanager
def _receiver() -> Generator[tuple[str, Events]]:
    """Serve a webhook; yield its url, and the kind and state of each event."""
    events: Events = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            events.put((body["kind"], body["state"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Keep requests out of the benchmark's output."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}/", events
        finally:
            http.shutdown()
            thread.join()
