"""Indexes that slow statements of a real server would have use of, proven by HypoPG."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from maintenance.subjects.indexes import INDEXES
from maintenance.subjects.indexes.candidates.models import INDEX_CANDIDATES, NotPlanned
from tests.builders import Database, make_role
from tests.policies import make_policy

pytestmark = pytest.mark.pg("== 15")  # only Debian's packages have both extensions

SETUP = (
    """CREATE TABLE orders (id int PRIMARY KEY, customer_id int, status text, note text,
    at timestamptz, deleted_at timestamptz)""",
    """INSERT INTO orders SELECT g, g % 4000, 'S' || g % 5, repeat('x', 100),
    '2026-01-01'::timestamptz + g * interval '1 minute', CASE WHEN g % 2 = 0 THEN now() END
    FROM generate_series(1, 60000) g""",
    "CREATE TABLE customers (id int PRIMARY KEY, name text)",
    "INSERT INTO customers SELECT g, 'n' || g FROM generate_series(0, 3999) g",
    """CREATE TABLE events (user_id int, at timestamptz NOT NULL, note text)
    PARTITION BY RANGE (at)""",
    "CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
    "CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM ('2026-02-01') TO ('2026-03-01')",
    """INSERT INTO events SELECT g % 5000, '2026-01-01'::timestamptz + g * interval '1 minute',
    repeat('x', 100) FROM generate_series(1, 60000) g""",
    "CREATE EXTENSION pg_stat_statements",
    "ANALYZE",
)
SECTION = {"candidates": {"mean_time": "1 ms", "statements": 20}}


@pytest.fixture
def shop(database: Database) -> Database:
    database.execute("SET max_parallel_workers_per_gather = 0")
    for statement in SETUP:
        database.execute(statement)
    database.execute("SELECT pg_stat_statements_reset()")
    return database


def send(database: Database, *statements: str, times: int = 3) -> None:
    """Run statements of an application; the server counts them."""
    with psycopg.connect(database.url, autocommit=True) as connection:
        for statement in statements:
            for _ in range(times):
                connection.execute(statement.encode())


def policy_of(folder: Path, database: Database, **more: Any) -> Policy:
    return make_policy(folder, database.url, indexes=SECTION | more)


def candidates(policy: Policy) -> list[Finding]:
    report = pipeline.plan(policy, only=[INDEXES.name])
    assert report.plan.actions == ()
    return [each for each in report.plan.findings if each.kind is FindingKind.INDEX_CANDIDATE]


def facts(policy: Policy) -> dict[str, Any]:
    return pipeline.plan(policy, only=[INDEXES.name]).plan.facts[INDEX_CANDIDATES]


OF_CUSTOMER = """SELECT * FROM orders WHERE customer_id = 77 AND status = 'S2'
ORDER BY at DESC LIMIT 20"""


def test_candidate_has_equal_columns_first_and_is_proven(shop: Database, tmp_path: Path) -> None:
    shop.execute("CREATE EXTENSION hypopg")
    send(shop, OF_CUSTOMER, "SELECT count(*) FROM orders")
    (found,) = candidates(policy_of(tmp_path, shop))
    assert found.severity is Severity.INFO
    assert found.data["columns"] == ["customer_id", "status", "at"]
    assert found.data["is_proven"]
    assert found.data["reason"] == "missing"
    (statement,) = found.data["statements"]
    assert statement["cost_after"] < statement["cost_before"] / 2
    assert "S2" not in str(found)
    assert statement["calls"] == 3
    indexes = shop.execute("SELECT count(*) FROM pg_class WHERE relkind = 'i'")
    shop.execute(found.data["create"])  # by hand
    assert shop.execute("SELECT count(*) FROM pg_class WHERE relkind = 'i'") != indexes
    assert candidates(policy_of(tmp_path, shop)) == []


def test_without_hypopg_it_is_told_and_not_called_proven(shop: Database, tmp_path: Path) -> None:
    send(shop, OF_CUSTOMER)
    policy = policy_of(tmp_path, shop)
    (found,) = candidates(policy)
    assert (found.data["is_proven"], found.value) == (False, None)
    assert facts(policy)["hypopg"] == ""


def test_statement_that_reads_most_rows_has_none(shop: Database, tmp_path: Path) -> None:
    send(shop, "SELECT max(note) FROM orders WHERE at > '2020-01-01'")
    assert candidates(policy_of(tmp_path, shop)) == []
    shop.execute("CREATE EXTENSION hypopg")
    send(shop, "SELECT sum(id) FROM orders WHERE status <> 'S9'")
    policy = policy_of(tmp_path, shop)
    assert candidates(policy) == []


def test_statement_that_an_index_alone_answers_has_one(shop: Database, tmp_path: Path) -> None:
    """Of a vacuumed table the planner reads a small index instead of all rows."""
    shop.execute("CREATE EXTENSION hypopg")
    shop.execute("VACUUM orders")
    send(shop, "SELECT count(*) FROM orders WHERE at > '2020-01-01'")
    (found,) = candidates(policy_of(tmp_path, shop))
    assert found.data["columns"] == ["at"]
    assert found.data["is_proven"]


def test_index_with_the_columns_in_another_order_is_named(shop: Database, tmp_path: Path) -> None:
    shop.execute("CREATE EXTENSION hypopg")
    shop.execute("CREATE INDEX orders_at_customer ON orders (at, customer_id)")
    shop.execute("ANALYZE orders")
    send(shop, "SELECT * FROM orders WHERE customer_id = 77 AND at > '2026-01-01'")
    (found,) = candidates(policy_of(tmp_path, shop))
    assert found.data["columns"] == ["customer_id", "at"]
    assert found.data["reason"] == "column_order"
    assert found.data["instead_of"] == "public.orders_at_customer"


def test_declared_index_that_serves_is_no_candidate(shop: Database, tmp_path: Path) -> None:
    send(shop, OF_CUSTOMER)
    declared = tmp_path / "indexes.sql"
    declared.write_text("CREATE INDEX wanted ON orders (status, customer_id, at DESC);")
    policy = policy_of(tmp_path, shop, declared="indexes.sql")
    found = pipeline.plan(policy, only=[INDEXES.name]).plan.findings
    assert FindingKind.INDEX_CANDIDATE not in {each.kind for each in found}
    declared.write_text("CREATE INDEX wanted ON orders (at, customer_id, status);")
    policy = policy_of(tmp_path, shop, declared="indexes.sql")
    found = pipeline.plan(policy, only=[INDEXES.name]).plan.findings
    (one,) = [each for each in found if each.kind is FindingKind.INDEX_CANDIDATE]
    assert one.data["instead_of"] == "public.wanted"


def test_partitions_joins_and_partial_conditions(shop: Database, tmp_path: Path) -> None:
    shop.execute("CREATE EXTENSION hypopg")
    send(
        shop,
        "SELECT * FROM events WHERE user_id = 7",
        """SELECT o.* FROM customers c JOIN orders o ON o.customer_id = c.id
        WHERE c.id = 9 AND o.deleted_at IS NULL""",
    )
    found = {each.data["table"]: each for each in candidates(policy_of(tmp_path, shop))}
    assert found.keys() == {"public.events", "public.orders"}
    events, orders = found["public.events"], found["public.orders"]
    assert "CONCURRENTLY" not in events.data["create"]  # impossible on a partitioned table
    assert events.data["columns"] == ["user_id"]
    assert "CONCURRENTLY" in orders.data["create"]
    assert (orders.data["columns"], orders.data["conditions"]) == (
        ["customer_id"],
        ["deleted_at IS NULL"],
    )


def test_two_statements_share_the_longer_candidate(shop: Database, tmp_path: Path) -> None:
    shop.execute("CREATE EXTENSION hypopg")
    send(
        shop,
        "SELECT * FROM orders WHERE customer_id = 5",
        "SELECT * FROM orders WHERE customer_id = 5 AND at > '2026-01-03'",
    )
    (found,) = candidates(policy_of(tmp_path, shop))
    assert found.data["columns"] == ["customer_id", "at"]
    assert len(found.data["statements"]) == 2


def test_constants_behind_their_type_and_casts_are_planned(shop: Database, tmp_path: Path) -> None:
    shop.execute("CREATE TYPE mood AS ENUM ('good', 'bad')")
    shop.execute("CREATE DOMAIN odd AS int CHECK (VALUE > 0)")
    send(
        shop,
        """SELECT * FROM orders WHERE customer_id = 5 AND at > timestamptz '2026-01-03'
        - interval '1 day' AND 'good'::mood = 'good'::mood""",
    )
    policy = policy_of(tmp_path, shop)
    assert facts(policy)["not_planned"] == {}
    assert len(candidates(policy)) == 1


def test_statements_that_are_not_planned_are_counted_by_their_reason(
    shop: Database, tmp_path: Path
) -> None:
    owner = make_role(shop.server, "odd_owner")
    shop.execute("CREATE DOMAIN odd AS int CHECK (VALUE > 0)")
    shop.execute(f"ALTER DOMAIN odd OWNER TO {owner.name}")
    send(
        shop,
        "SELECT * FROM orders WHERE customer_id = 5::odd",
        "SELECT * FROM orders WHERE customer_id = 5 FOR UPDATE",
        "SELECT count(*) FROM orders WHERE note = random()::text",
    )
    policy = policy_of(tmp_path, shop)
    assert facts(policy)["not_planned"] == {
        NotPlanned.TYPES.value: 1,
        NotPlanned.NOT_PARSED.value: 2,
    }
    assert candidates(policy) == []


def test_code_of_a_role_in_a_statement_of_anybody_never_runs(
    shop: Database, tmp_path: Path
) -> None:
    guest, owner = make_role(shop.server, "guest"), make_role(shop.server, "owner")
    shop.execute(f"ALTER TABLE orders OWNER TO {owner.name}")
    shop.execute(f"GRANT SELECT ON orders TO {guest.name}")
    shop.execute("CREATE TABLE ran (who text)")
    shop.execute("GRANT INSERT ON ran TO PUBLIC")
    shop.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
    with psycopg.connect(shop.url_of(guest), autocommit=True) as connection:
        connection.execute(
            """CREATE FUNCTION public.evil(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
            $$ BEGIN RAISE WARNING 'ran as %', current_user; RETURN $1; END $$"""
        )
        for _ in range(3):
            connection.execute("SELECT * FROM orders WHERE customer_id = public.evil(5)")
    policy = policy_of(tmp_path, shop)
    assert facts(policy)["not_planned"] == {NotPlanned.RIGHTS.value: 1}


def test_missing_counters_are_said_and_zero_statements_switch_it_off(
    shop: Database, tmp_path: Path
) -> None:
    shop.execute("DROP EXTENSION pg_stat_statements")
    policy = policy_of(tmp_path, shop)
    assert facts(policy)["statements"] is None
    assert "pg_stat_statements" in facts(policy)["silence"]
    off = policy_of(tmp_path, shop, candidates={"statements": 0})
    assert INDEX_CANDIDATES not in pipeline.plan(off, only=[INDEXES.name]).plan.facts
