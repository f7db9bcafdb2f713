"""Plans with indexes that are not built yet, by HypoPG."""

import os
from pathlib import Path
from typing import Any

import pytest

from maintenance.engine.actions import ActionKind
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from maintenance.subjects.indexes import INDEXES
from tests.builders import Database, make_role
from tests.policies import make_policy

pytestmark = pytest.mark.pg("== 15")  # only Debian's packages have HypoPG

INDEXES_SQL = """CREATE INDEX idx_orders_customer ON orders (customer_id, at DESC);
CREATE INDEX idx_orders_note ON orders USING gin (to_tsvector('english', note));
CREATE UNIQUE INDEX idx_orders_number ON orders (number);
CREATE INDEX idx_parts ON parts (customer_id);
"""
QUERIES = {
    "of_customer": "-- params: 7\n-- params: 8\nSELECT * FROM orders WHERE customer_id = $1",
    "by_number": "-- params: 7\nSELECT * FROM orders WHERE number = $1",
    "all": "SELECT count(*) FROM orders",
    "parts": "-- params: 7\nSELECT * FROM parts WHERE customer_id = $1",
}
SETUP = (
    "CREATE TABLE orders (id int PRIMARY KEY, customer_id int, number int, at date, note text)",
    """INSERT INTO orders SELECT g, g % 3000, g, '2026-01-01', 'note ' || g
    FROM generate_series(1, 50000) g""",
    "CREATE TABLE parts (customer_id int, at date) PARTITION BY RANGE (at)",
    "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
    "CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM ('2026-02-01') TO ('2026-03-01')",
    """INSERT INTO parts SELECT g % 3000, '2026-01-01'::date + g % 59
    FROM generate_series(1, 50000) g""",
    "ANALYZE",
)


@pytest.fixture
def shop(database: Database) -> Database:
    available = "SELECT 1 FROM pg_available_extensions WHERE name = 'hypopg'"
    if not database.execute(available):
        missing = "postgresql-15-hypopg is not installed"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    for statement in SETUP:
        database.execute(statement)
    return database


def policy_of(folder: Path, database: Database, declared: str = INDEXES_SQL) -> Policy:
    (folder / "indexes.sql").write_text(declared)
    (folder / "queries").mkdir()
    for name, text in QUERIES.items():
        (folder / "queries" / f"{name}.sql").write_text(text)
    return make_policy(
        folder, database.url, indexes={"declared": "indexes.sql", "queries": "queries"}
    )


def details(policy: Policy) -> dict[str, Any]:
    """What each planned build would change, by the index."""
    actions = pipeline.plan(policy, only=[INDEXES.name]).plan.actions
    assert actions
    assert {action.kind for action in actions} == {ActionKind.CREATE_INDEX}
    return {
        action.object.removeprefix("public."): action.detail["what_if"]
        for action in actions
        if "what_if" in action.detail
    }


def test_plan_shows_which_query_would_take_a_missing_index(shop: Database, tmp_path: Path) -> None:
    shop.execute("CREATE EXTENSION hypopg")
    found = details(policy_of(tmp_path, shop))
    taken = {
        name: {(each["query"], each["parameters"]) for each in shown["queries"] if each["takes"]}
        for name, shown in found.items()
    }
    assert taken == {
        "idx_orders_customer": {("of_customer", 1), ("of_customer", 2)},
        "idx_orders_number": {("by_number", 1)},
        "idx_orders_note": set(),
        "idx_parts": {("parts", 1)},
    }
    for name in ("idx_orders_customer", "idx_parts"):
        first = next(each for each in found[name]["queries"] if each["takes"])
        assert first["cost_after"] < first["cost_before"] / 2
        assert found[name]["size_bytes"] > 100_000
    assert found["idx_orders_note"]["refused"] is not None


def test_predicate_on_a_boolean_is_implied_as_the_server_implies_it(
    shop: Database, tmp_path: Path
) -> None:
    shop.execute("CREATE EXTENSION hypopg")
    shop.execute("ALTER TABLE orders ADD COLUMN paid bool NOT NULL DEFAULT true")
    shop.execute("UPDATE orders SET paid = false WHERE id % 50 = 0")
    shop.execute("ANALYZE orders")
    declared = "CREATE INDEX idx_unpaid ON orders (customer_id) WHERE paid = false;"
    policy = policy_of(tmp_path, shop, declared)
    text = "-- params: 7\nSELECT * FROM orders WHERE customer_id = $1 AND paid = false"
    (tmp_path / "queries" / "of_customer.sql").write_text(text)
    policy = make_policy(
        tmp_path, shop.url, indexes={"declared": "indexes.sql", "queries": "queries"}
    )
    found = details(policy)["idx_unpaid"]["queries"]
    taken = {each["query"]: each["takes"] for each in found}
    assert taken["of_customer"]
    pipeline.apply(policy, only=[INDEXES.name])
    query = "EXPLAIN SELECT * FROM orders WHERE customer_id = 7 AND paid = false"
    assert "idx_unpaid" in str(shop.execute(query))


def test_plan_shows_what_a_drop_costs_where_the_extension_can_hide_an_index(
    shop: Database, tmp_path: Path
) -> None:
    shop.execute("CREATE EXTENSION hypopg")
    (hides,) = shop.execute("SELECT count(*) FROM pg_proc WHERE proname = 'hypopg_hide_index'")
    shop.execute("CREATE INDEX idx_old ON orders (customer_id)")
    policy = policy_of(tmp_path, shop, "DROP INDEX idx_old;")
    (action,) = pipeline.plan(policy, only=[INDEXES.name]).plan.actions
    assert action.kind is ActionKind.DROP_INDEX
    if not hides[0]:  # before 1.4
        assert "what_if" not in action.detail
        return
    queries = action.detail["what_if"]["queries"]
    assert {(each["query"], each["parameters"]) for each in queries} == {
        ("of_customer", 1),
        ("of_customer", 2),
    }
    assert all(each["cost_after"] > 2 * each["cost_before"] for each in queries)
    assert "Index" in str(shop.execute("EXPLAIN SELECT * FROM orders WHERE customer_id = 7"))


def test_nothing_pretended_remains(shop: Database, tmp_path: Path) -> None:
    shop.execute("CREATE EXTENSION hypopg")
    before = shop.execute("SELECT count(*) FROM pg_class")
    details(policy_of(tmp_path, shop))
    assert shop.execute("SELECT count(*) FROM pg_class") == before


def test_tables_of_another_role_are_planned_with_its_rights(shop: Database, tmp_path: Path) -> None:
    owner = make_role(shop.server, "owner")
    shop.execute("CREATE SCHEMA tools")
    shop.execute("CREATE EXTENSION hypopg SCHEMA tools")
    shop.execute(f"GRANT USAGE ON SCHEMA tools TO {owner.name}")
    shop.execute(f"ALTER TABLE orders OWNER TO {owner.name}")
    found = details(policy_of(tmp_path, shop))
    assert any(each["takes"] for each in found["idx_orders_customer"]["queries"])


def test_without_the_extension_nothing_is_shown_and_nothing_is_made(
    shop: Database, tmp_path: Path
) -> None:
    assert details(policy_of(tmp_path, shop)) == {}
    assert shop.execute("SELECT 1 FROM pg_extension WHERE extname = 'hypopg'") == []
