"""Dagster as on a host: code server, webserver and daemon, with a home and a storage of its own."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from maintenance.demo import dagster, ports
from tests.builders import Database, drop_database
from tests.orchestration.conftest import VARIABLES

STARTS_S = 300


@dataclass
class Host:
    """A host: the folder of its policy, its home, and its storage, which goes with it."""

    policy: Path
    home: Path
    storage: Database

    def __post_init__(self) -> None:
        self.dagster = dagster.Dagster(self.home, ports.free_port())
        parts = conninfo_to_dict(self.storage.url)
        self._environment = {
            **os.environ,
            **{variable: str(parts[part]) for variable, part in VARIABLES.items()},
            "MAINTENANCE_POLICIES": str(self.policy.parent),
        }

    @contextmanager
    def serving(self) -> "Generator[Host]":
        try:
            self.dagster.start(self._environment)
            self.dagster.serve(STARTS_S)
            yield self
        finally:
            self.dagster.stop()
            drop_database(self.storage)

    def status(self, run: str) -> str:
        """The status of a run that was launched here."""
        return self.dagster.webserver.statuses([run])[run]

    def said(self, what: str) -> bool:
        """Whether a run said so, by the events that Dagster keeps."""
        said = "SELECT FROM event_logs WHERE strpos(event, %s) > 0"
        return self.storage.execute(said, [what]) != []
