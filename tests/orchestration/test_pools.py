"""Pools of Dagster: a step that waits gets the slot that is free."""

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqlEventLogStorage

from maintenance.orchestration.repository import repository_of
from tests.builders import Database
from tests.policies import write_policy

pytestmark = pytest.mark.pg("== 18")

POOL = "app_ddl"


def tick(policy: Path, instance: dg.DagsterInstance) -> str:
    """What a tick of the sensor says that gives free slots to waiting steps."""
    sensor = repository_of([policy]).get_sensor_def("alert_on_findings")
    said = sensor.evaluate_tick(dg.build_sensor_context(instance)).skip_message
    assert said
    return said


def let_a_step_wait_for_a_free_slot(instance: dg.DagsterInstance, pool: str) -> SqlEventLogStorage:
    """As when the slot is given back while Dagster notes the step that waits for it."""
    storage = instance.event_log_storage
    assert isinstance(storage, SqlEventLogStorage)
    storage.initialize_concurrency_limit_to_default(pool)
    assert storage.claim_concurrency_slot(pool, "first", "step").is_claimed
    is_free = storage.has_unassigned_slots(pool)
    storage.free_concurrency_slot_for_step("first", "step")
    storage.add_pending_step(pool, "second", "step", should_assign=is_free)
    return storage


def test_step_that_waits_for_a_free_slot_gets_it(
    database: Database, tmp_path: Path, shipped: dg.DagsterInstance
) -> None:
    policy = write_policy(tmp_path, database.url, statistics={})
    storage = let_a_step_wait_for_a_free_slot(shipped, POOL)
    for _ in range(3):  # Dagster itself never gives it
        assert not storage.claim_concurrency_slot(POOL, "second", "step").is_claimed
    told = f"pool {POOL}: its free slot was given"
    assert told in tick(policy, shipped)
    assert storage.claim_concurrency_slot(POOL, "second", "step").is_claimed
    assert told not in tick(policy, shipped)


def test_step_that_waits_for_a_taken_slot_and_pools_of_others_are_left_alone(
    database: Database, tmp_path: Path, shipped: dg.DagsterInstance
) -> None:
    policy = write_policy(tmp_path, database.url, statistics={})
    storage = let_a_step_wait_for_a_free_slot(shipped, "of another")
    storage.initialize_concurrency_limit_to_default(POOL)
    assert storage.claim_concurrency_slot(POOL, "first", "step").is_claimed
    assert not storage.claim_concurrency_slot(POOL, "third", "step").is_claimed
    assert "pool" not in tick(policy, shipped)
    assert not storage.claim_concurrency_slot("of another", "second", "step").is_claimed
    assert not storage.claim_concurrency_slot(POOL, "third", "step").is_claimed
