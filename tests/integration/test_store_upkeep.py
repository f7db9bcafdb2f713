"""The store keeps its own months, in the maintained database or in one that serves many."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from maintenance.engine.findings import FindingKind
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from maintenance.server.session import connect
from maintenance.store import history_due
from tests.builders import Database, Role, drop_database, make_database
from tests.policies import CREATE_EVENTS, EVENTS, make_policy
from tests.sessions import TIMEOUTS

MONTHS = """
SELECT c.relname FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'maintenance.cost'::regclass ORDER BY 1
"""
DETACH = """
ALTER TABLE maintenance.cost DETACH PARTITION maintenance.cost_2026_11 CONCURRENTLY
"""
NOVEMBER = datetime(2026, 11, 20, tzinfo=UTC)
LATER = datetime(2028, 1, 5, tzinfo=UTC)


@pytest.fixture
def policy(database: Database, tmp_path: Path) -> Policy:
    database.execute(CREATE_EVENTS)
    return make_policy(tmp_path, database.url, EVENTS)


def months(database: Database) -> list[str]:
    return [name for (name,) in database.execute(MONTHS)]


def test_months_of_the_store_exist_before_a_run_records(database: Database, policy: Policy) -> None:
    assert pipeline.apply(policy, now=NOVEMBER).ok
    assert months(database) == ["cost_2026_11", "cost_2026_12"]


def due(database: Database, now: datetime, before: datetime) -> set[str]:
    with connect(database.url, application="test", timeouts=TIMEOUTS) as store:
        next_month = datetime(now.year, now.month + 1, 1, tzinfo=UTC)
        return {each.name for each in history_due(store, (now, next_month), before)}


def test_upkeep_is_due_for_a_missing_an_expired_a_default_and_a_half_detached_partition(
    database: Database, policy: Policy
) -> None:
    assert pipeline.apply(policy, now=NOVEMBER).ok
    database.execute("CREATE TABLE of_numbers (id int) PARTITION BY RANGE (id)")
    database.execute("CREATE TABLE few PARTITION OF of_numbers FOR VALUES FROM ('0') TO ('100')")
    assert due(database, NOVEMBER, before=datetime(2026, 11, 30, tzinfo=UTC)) == set()
    every = due(database, datetime(2026, 8, 1, tzinfo=UTC), before=NOVEMBER)
    assert "cost" in every
    assert len(every) > 5
    assert due(database, NOVEMBER, before=datetime(2026, 12, 1, tzinfo=UTC)) == every
    database.execute("CREATE TABLE maintenance.other PARTITION OF maintenance.cost DEFAULT")
    assert due(database, NOVEMBER, before=NOVEMBER) == {"cost"}
    database.execute("DROP TABLE maintenance.other")
    assert due(database, NOVEMBER, before=NOVEMBER) == set()
    with database.connect() as reader, database.connect() as detacher:
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM maintenance.cost")
        detacher.execute("SET statement_timeout = '300ms'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            detacher.execute(DETACH)
    assert due(database, NOVEMBER, before=NOVEMBER) == {"cost"}


def test_months_and_runs_beyond_keep_are_dropped(database: Database, policy: Policy) -> None:
    pipeline.apply(policy, now=NOVEMBER)
    database.execute(f"UPDATE maintenance.run SET started_at = '{NOVEMBER}'")
    report = pipeline.apply(policy, now=LATER)
    assert report.ok
    assert months(database) == ["cost_2026_12", *kept_between("2027-01", 14)]
    assert database.execute("SELECT count(*) FROM maintenance.run") == [(1,)]
    assert pipeline.apply(policy, now=LATER).findings == ()


def kept_between(first: str, n: int) -> list[str]:
    year, month = map(int, first.split("-"))
    counted = [divmod(year * 12 + month - 1 + offset, 12) for offset in range(n)]
    return [f"cost_{year:04}_{month + 1:02}" for year, month in counted]


def test_one_store_serves_many_and_keeps_what_any_of_them_wants(
    database: Database, tmp_path: Path
) -> None:
    store = make_database(database.server)
    database.execute(CREATE_EVENTS)
    try:
        patient, hasty = (
            make_policy(
                tmp_path, database.url, EVENTS, name=n, store={"url": store.url, "keep": keep}
            )
            for n, keep in (("patient", "24 months"), ("hasty", "1 day"))
        )
        pipeline.apply(patient, now=NOVEMBER)
        pipeline.apply(hasty, now=NOVEMBER + timedelta(days=1))
        pipeline.apply(hasty, now=LATER)
        assert months(store)[0] == "cost_2026_11"
        assert database.execute("SELECT to_regnamespace('maintenance')") == [(None,)]
    finally:
        drop_database(store)


@pytest.mark.pg("== 18")
def test_store_that_cannot_be_kept_is_a_finding_and_the_run_goes_on(
    database: Database, policy: Policy
) -> None:
    pipeline.apply(policy, now=NOVEMBER)
    database.execute("CREATE TABLE maintenance.cost_2027_01 ()")
    report = pipeline.apply(policy, now=datetime(2026, 12, 2, tzinfo=UTC))
    assert {(f.kind, f.object) for f in report.findings} == {
        (FindingKind.PARTITION_NAME_TAKEN, "maintenance.cost"),
        (FindingKind.PARTITION_HORIZON_SHORT, "maintenance.cost"),
    }
    assert any(r.action.object == "public.events_2027_03" for r in report.results)


@pytest.mark.pg("== 18")
def test_busy_store_is_a_finding_that_names_who_is_in_the_way(
    database: Database, policy: Policy, limited_role: Role
) -> None:
    pipeline.apply(policy, now=NOVEMBER)
    hasty = policy.model_copy(
        update={"locks": policy.locks.model_copy(update={"give_up_after": timedelta(seconds=1)})}
    )
    holder = database.connect(autocommit=False, application_name="a slow report")
    holder.execute("LOCK TABLE ONLY maintenance.cost IN SHARE UPDATE EXCLUSIVE MODE")
    report = pipeline.apply(hasty, now=datetime(2026, 12, 2, tzinfo=UTC))
    (finding,) = [f for f in report.findings if f.kind is FindingKind.STORE_UNKEPT]
    assert "a slow report" in finding.data["error"]
