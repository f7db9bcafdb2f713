"""How many partitions declared queries read, why they read all, and how long they take to plan."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from maintenance.demo.postgres import PostgresServer
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from maintenance.policy.query_sql import parse_query
from maintenance.subjects.indexes import INDEXES
from maintenance.subjects.indexes.declared.pruning import PARTITIONS_READ, Unpruned
from maintenance.subjects.indexes.declared.queries import plan_queries
from maintenance.subjects.indexes.declared.query_models import PlanMode, PlannedQuery
from maintenance.subjects.indexes.declared.query_session import Limits
from tests.builders import Database, cloned, make_filled_template, run_all
from tests.policies import make_policy
from tests.sessions import session

MONTHS = [f"2026-{month:02}-01" for month in range(1, 13)]
SETUP = (
    """CREATE TABLE events (id bigint, user_id int, kind varchar(20), at timestamptz NOT NULL)
    PARTITION BY RANGE (at)""",
    *(
        f"CREATE TABLE events_{n} PARTITION OF events"
        f" FOR VALUES FROM ('{low} 00:00+00') TO ('{high} 00:00+00')"
        for n, (low, high) in enumerate(pairwise(MONTHS), 1)
    ),
    "CREATE INDEX ON events (user_id)",
    """INSERT INTO events SELECT g, g % 500, 'kind ' || g % 4, '2026-01-01 00:00+00'::timestamptz
    + g * interval '20 minutes' FROM generate_series(1, 20000) g""",
    """CREATE TABLE kinds (id int, kind varchar(20)) PARTITION BY LIST (kind)""",
    *(f"CREATE TABLE kinds_{n} PARTITION OF kinds FOR VALUES IN ('kind {n}')" for n in range(3)),
    "CREATE TABLE spread (id int, note text) PARTITION BY HASH (id)",
    *(
        f"CREATE TABLE spread_{n} PARTITION OF spread FOR VALUES WITH (MODULUS 4, REMAINDER {n})"
        for n in range(4)
    ),
    "CREATE TABLE hundreds (n int NOT NULL) PARTITION BY RANGE ((n / 100))",
    *(
        f"CREATE TABLE hundreds_{n} PARTITION OF hundreds FOR VALUES FROM ({n}) TO ({n + 1})"
        for n in (1, 2)
    ),
    "CREATE TABLE users (id int PRIMARY KEY, joined_at timestamptz)",
    "INSERT INTO users SELECT g, '2026-03-04 00:00+00' FROM generate_series(1, 500) g",
    "ANALYZE",
)


@pytest.fixture
def database(server: PostgresServer) -> Iterator[Database]:
    yield from cloned(server, make_filled_template(server, "pruned", run_all(*SETUP)))


def planned(database: Database, text: str) -> PlannedQuery:
    with session(database.url) as connection:
        limits = Limits(timedelta(seconds=20), "public")
        (found,) = plan_queries(connection, [parse_query(text, "q")], limits)
    assert found.failure is None
    return found


def read(database: Database, text: str, mode: PlanMode = PlanMode.CUSTOM) -> Any:
    """The partitions that a query reads, and why it reads all."""
    (one,) = planned(database, text).sets[1].partitions_read(mode)
    return one.n_read, one.cause.reason if one.cause is not None else None


MONTH = "at >= '2026-02-01 00:00+00' AND at < '2026-03-01 00:00+00'"


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        (MONTH, (1, None)),
        ("at >= '2025-01-01'", (11, None)),  # wants all
        ("at < '2025-01-01'", (0, None)),
        ("at >= now() - interval '90 years' AND at < '2026-03-01 00:00+00'", (2, None)),
        ("at >= timestamp '2026-11-01' AND at < timestamp '2026-11-02'", (1, None)),
        ("user_id = 7", (11, Unpruned.NO_CONDITION)),
        ("date_trunc('month', at) = '2026-02-01 00:00+00'", (11, Unpruned.FUNCTION)),
        ("at::date = '2026-02-03'", (11, Unpruned.CAST)),
        ("extract(year FROM at) = 2026", (11, Unpruned.FUNCTION)),
        ("(at AT TIME ZONE 'UTC') = '2026-02-03'", (11, Unpruned.FUNCTION)),
        ("at + interval '1 day' > '2026-11-30'", (11, Unpruned.EXPRESSION)),
        (f"({MONTH}) OR user_id = 7", (11, Unpruned.ALTERNATIVE)),
        ("at <> '2026-02-03'", (11, Unpruned.OPERATOR)),
        (f"user_id = 7 AND {MONTH}", (1, None)),
    ],
)
@pytest.mark.in_turn
def test_partitions_of_a_plan_are_counted_and_the_reason_for_all_is_told(
    database: Database, condition: str, wanted: Any
) -> None:
    assert read(database, f"SELECT count(*) FROM events WHERE {condition}") == wanted


def test_generic_plan_leaves_partitions_out_when_it_starts(database: Database) -> None:
    text = """-- params: '2026-02-01 00:00+00', '2026-03-01 00:00+00'
    SELECT count(*) FROM events WHERE at >= $1 AND at < $2"""
    (one,) = planned(database, text).sets[1].partitions_read(PlanMode.GENERIC)
    assert (one.n_read, one.removed_at_start, one.cause) == (1, 10, None)
    assert read(database, text) == (1, None)


@pytest.mark.in_turn
def test_other_keys_and_joins(database: Database) -> None:
    assert read(database, "SELECT * FROM kinds WHERE kind = 'kind 1'") == (1, None)
    assert read(database, "SELECT * FROM kinds WHERE kind = ANY ('{kind 1,kind 2}')") == (2, None)
    found = read(database, "SELECT * FROM kinds WHERE lower(kind) = 'kind 1'")
    assert found == (3, Unpruned.FUNCTION)
    assert read(database, "SELECT * FROM spread WHERE id = 3") == (1, None)
    assert read(database, "SELECT * FROM spread WHERE id > 3") == (4, Unpruned.OPERATOR)
    assert read(database, "SELECT * FROM hundreds WHERE n = 120") == (2, Unpruned.EXPRESSION)
    assert read(database, "SELECT * FROM hundreds WHERE n / 100 = 1") == (1, None)
    joined = "SELECT * FROM events e JOIN users u ON e.at = u.joined_at"
    found = read(database, joined)
    assert found in [(11, Unpruned.JOIN), (11, None)]  # None: a nested loop decides row by row


@pytest.mark.in_turn
def test_limit_in_the_order_of_the_partitions_ends_early(database: Database) -> None:
    database.execute("CREATE INDEX ON events (at)")
    assert read(database, "SELECT * FROM events ORDER BY at DESC LIMIT 5") == (11, None)
    database.execute("CREATE INDEX ON events (user_id, id)")
    found = read(database, "SELECT * FROM events WHERE user_id = 7 ORDER BY id LIMIT 5")
    assert found == (11, Unpruned.NO_CONDITION)


@pytest.mark.in_turn
def test_setting_that_is_off_is_the_reason(database: Database) -> None:
    database.execute(f"ALTER DATABASE {database.name} SET enable_partition_pruning = off")
    text = f"SELECT count(*) FROM events WHERE {MONTH}"
    assert read(database, text) == (11, Unpruned.SETTING)


@pytest.mark.in_turn
def test_union_and_self_join_count_each_partition_once(database: Database) -> None:
    text = f"""SELECT id FROM events WHERE {MONTH}
    UNION ALL SELECT id FROM events WHERE at >= '2026-05-01' AND at < '2026-05-02'"""
    assert read(database, text) == (2, None)


QUERIES = {
    "of_month": f"SELECT count(*) FROM events WHERE {MONTH}",
    "by_month": "SELECT count(*) FROM events WHERE date_trunc('month', at) = '2026-02-01'",
    "of_user": "-- params: 7\nSELECT * FROM events WHERE user_id = $1",
    "users": "SELECT count(*) FROM users",
}


def policy_of(folder: Path, database: Database, **indexes: Any) -> Policy:
    (folder / "queries").mkdir()
    for name, text in QUERIES.items():
        (folder / "queries" / f"{name}.sql").write_text(text)
    return make_policy(folder, database.url, indexes={"queries": "queries", **indexes})


def findings(policy: Policy, kind: FindingKind) -> dict[str, Finding]:
    found = pipeline.plan(policy, only=[INDEXES.name]).plan.findings
    return {each.data["query"]: each for each in found if each.kind is kind}


@pytest.mark.in_turn
def test_query_that_prunes_nothing_is_found_and_a_function_on_the_key_is_a_warning(
    database: Database, tmp_path: Path
) -> None:
    policy = policy_of(tmp_path, database)
    found = findings(policy, FindingKind.QUERY_NOT_PRUNED)
    assert found.keys() == {"by_month", "of_user"}
    assert found["by_month"].severity is Severity.WARN
    assert found["by_month"].value == found["by_month"].data["partitions"] == 11
    assert found["by_month"].data["reason"] == Unpruned.FUNCTION
    assert found["of_user"].severity is Severity.INFO
    facts = pipeline.plan(policy, only=[INDEXES.name]).plan.facts[PARTITIONS_READ]
    assert {(each["query"], each["read"], each["partitions"]) for each in facts} == {
        ("of_month", 1, 11),
        ("by_month", 11, 11),
        ("of_user", 11, 11),
    }
    assert all(each["planning_ms"] > 0 for each in facts)


@pytest.mark.in_turn
def test_planning_time_is_judged_by_its_limit(database: Database, tmp_path: Path) -> None:
    policy = policy_of(tmp_path, database, planning_time="1 hour")
    assert findings(policy, FindingKind.QUERY_PLANNING_SLOW) == {}
    section = policy.indexes
    assert section is not None
    strict = section.model_copy(update={"planning_time": timedelta(microseconds=1)})
    found = findings(policy.model_copy(update={"indexes": strict}), FindingKind.QUERY_PLANNING_SLOW)
    assert found.keys() == QUERIES.keys()
    assert found["of_user"].data["partitions"] == 11
    assert found["of_month"].threshold == 0.001
    assert isinstance(found["of_month"].value, float)
    assert found["of_month"].value > 0.001
    assert found["users"].data["partitions"] == 0
