"""Sessions of Dagster's storage: few are opened, and lost ones are replaced."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dagster as dg
import pytest

from maintenance.orchestration import kept_sessions
from maintenance.orchestration.kept_sessions import N_KEPT
from tests.builders import Database

pytestmark = pytest.mark.pg("== 18")

END_ALL = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
HELD = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


def pids(database: Database) -> set[int]:
    """The server processes of the sessions that are held."""
    return {pid for (pid,) in database.execute(HELD)}


def test_operations_share_a_session(database: Database, shipped: dg.DagsterInstance) -> None:
    assert shipped.get_runs_count() == 0
    before = pids(database)
    for _ in range(50):
        assert shipped.get_runs_count() == 0
    assert pids(database) == before


def test_instances_one_after_the_other_share_sessions_too(
    database: Database, shipped: dg.DagsterInstance
) -> None:
    """As each tick of a sensor makes one of its own."""
    assert shipped.get_runs_count() == 0
    before = pids(database)
    for _ in range(5):
        with dg.DagsterInstance.from_ref(shipped.get_ref()) as instance:
            assert instance.get_runs_count() == 0
            assert instance.all_instigator_state() == []
    assert len(pids(database)) <= N_KEPT
    assert pids(database) & before


def test_run_holds_few_sessions(database: Database, shipped: dg.DagsterInstance) -> None:
    seen = set[int]()

    @dg.op
    def step() -> None:
        seen.update(pids(database))

    @dg.job
    def job() -> None:
        for n in range(10):
            step.alias(f"step_{n}")()

    assert job.execute_in_process(instance=shipped).success
    assert 0 < len(seen) <= N_KEPT


def test_session_that_the_server_ended_is_replaced(
    database: Database, shipped: dg.DagsterInstance
) -> None:
    for _ in range(3):
        assert shipped.get_runs_count() == 0
        before = pids(database)
        database.execute(END_ALL)
        assert shipped.get_runs_count() == 0
        assert pids(database)
        assert not pids(database) & before


def test_old_session_is_replaced(
    database: Database, shipped: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shipped.get_runs_count() == 0
    before = pids(database)
    monkeypatch.setattr(kept_sessions, "REPLACED_AFTER_S", 0)
    assert shipped.get_runs_count() == 0
    assert not pids(database) & before


def test_work_of_many_threads_is_served_and_leaves_few_sessions(
    database: Database, shipped: dg.DagsterInstance
) -> None:
    with ThreadPoolExecutor(8) as crew:
        counts = [crew.submit(shipped.get_runs_count) for _ in range(200)]
    assert [count.result() for count in counts] == [0] * 200
    assert len(pids(database)) <= N_KEPT


def test_session_that_garbage_closes_while_another_is_closed_is_kept_too(
    database: Database, shipped: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Collecting garbage may end what nobody holds any more at any place, on the same thread."""
    garbage: list[kept_sessions.KeptSession] = []

    class Kept(dict[str, list[kept_sessions.KeptSession]]):
        def setdefault(self, *given: Any) -> Any:
            while garbage:
                garbage.pop().close()
            return super().setdefault(*given)

    kept = Kept()
    monkeypatch.setattr(kept_sessions, "_kept", kept)
    shipped.get_runs_count()
    (waiting,) = kept.values()
    garbage.append(waiting.pop())
    shipped.get_runs_count()
    assert len(waiting) == 2
