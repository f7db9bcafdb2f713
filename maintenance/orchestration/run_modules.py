"""Loads what runs need, in the process that they are forked from: see `preloaded_runs`."""

from contextlib import suppress
from importlib import import_module

from maintenance.loading import without_collecting

MODULES = (
    "dagster._grpc.server",  # in which a run begins
    "dagster_postgres",
    "psycopg2.extras",
    "maintenance.orchestration.kept_sessions",
    "maintenance.orchestration.guest",
    "maintenance.orchestration.repository",
)

with without_collecting():
    for _name in MODULES:
        # What is not installed is not needed; a run tells of any other error.
        with suppress(ImportError):
            import_module(_name)
