"""Sessions of Dagster's storage: few are opened, and lost ones are replaced."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import event
from sqlalchemy.pool import Pool

from maintenance.orchestration.kept_sessions import N_KEPT
from tests.builders import Database

pytestmark = pytest.mark.pg("== 18")

END_ALL = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
HELD = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


@pytest.fixture
def opened(shipped: dg.DagsterInstance) -> Iterator[list[Any]]:
    """The sessions that have been opened since the storage was made."""
    opened: list[Any] = []

    def note(session: Any, _record: Any) -> None:
        opened.append(session)

    assert shipped.get_runs_count() == 0
    event.listen(Pool, "connect", note)
    yield opened
    event.remove(Pool, "connect", note)


def test_operations_share_a_session(shipped: dg.DagsterInstance, opened: list[Any]) -> None:
    for _ in range(50):
        assert shipped.get_runs_count() == 0
    assert opened == []


def test_run_opens_few_sessions(shipped: dg.DagsterInstance, opened: list[Any]) -> None:
    @dg.op
    def step() -> None:
        """Do nothing."""

    @dg.job
    def job() -> None:
        for n in range(10):
            step.alias(f"step_{n}")()

    assert job.execute_in_process(instance=shipped).success
    assert len(opened) <= 3 * N_KEPT


def test_session_that_the_server_ended_is_replaced(
    database: Database, shipped: dg.DagsterInstance, opened: list[Any]
) -> None:
    for _ in range(3):
        database.execute(END_ALL)
        assert shipped.get_runs_count() == 0
    assert len(opened) == 3


def test_work_of_many_threads_is_served_and_leaves_few_sessions(
    database: Database, shipped: dg.DagsterInstance
) -> None:
    with ThreadPoolExecutor(8) as crew:
        counts = [crew.submit(shipped.get_runs_count) for _ in range(200)]
    assert [count.result() for count in counts] == [0] * 200
    assert database.execute(HELD)[0][0] <= 3 * N_KEPT
