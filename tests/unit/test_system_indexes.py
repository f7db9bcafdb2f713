"""The declared indexes of the example systems, as far as the parser can tell."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from pglast import ast, parse_sql

from maintenance.policy import load_policy
from tests.builders import ROOT, SQL
from tests.declared import SYSTEMS, Query, declared, queries, system_plan

CREATES = {"unpuzzle": 10, "lms": 18, "nova": 2, "learning_platform": 13, "proposals": 7}
OPTIONAL = {
    "media_type_provider_idx",
    "media_createdAt_idx",
    "course_analytics_lastCalculatedAt_idx",
}
OF_VIEWS = 1
"""The plans' index of a materialized view is declared with the view."""

LEFT_OUT = {"lms": {"users_role_idx": "users_role_createdAt_idx"}}
"""Planned indexes that are not declared, with the declared ones that do all that they would."""

every_system = pytest.mark.parametrize("system", SYSTEMS)
every_query = pytest.mark.parametrize(
    "query",
    [query for system in SYSTEMS for query in queries(system)],
    ids=lambda query: f"{query.path.parents[1].name}/{query.name}",
)


def created(system: str) -> list[str]:
    return [each.name for each in declared(system) if each.creates]


def test_fifty_two_indexes_are_planned_and_all_but_one_created_and_six_dropped() -> None:
    plain = {system: len(set(created(system)) - OPTIONAL) for system in SYSTEMS}
    assert plain == CREATES
    assert sum(plain.values()) + OF_VIEWS + sum(map(len, LEFT_OUT.values())) == 52
    dropped = [name for system in SYSTEMS for each in declared(system) for name in each.drops]
    assert sorted(dropped) == [
        "certificates_certificateNo_idx",
        "course_progress_progressPercent_idx",
        "courses_slug_idx",
        "lesson_progress_completed_idx",
        "transactions_providerTxnId_idx",
        "users_email_idx",
    ]


def test_optional_indexes_stand_in_a_last_wave_of_their_own() -> None:
    statements = declared("lms")
    last = max(each.wave for each in statements)
    assert {each.name for each in statements if each.wave == last} == OPTIONAL


@every_system
def test_plan_and_declaration_have_the_same_indexes(system: str) -> None:
    left_out = LEFT_OUT.get(system, {})
    planned = {each.name for each in system_plan(system)}
    assert planned - left_out.keys() == set(created(system)) - OPTIONAL
    assert left_out.keys() <= planned


@every_system
def test_index_that_is_left_out_is_covered_and_the_reason_is_in_the_file(system: str) -> None:
    text = (SQL / "systems" / system / "indexes.sql").read_text()
    for name, cover in LEFT_OUT.get(system, {}).items():
        assert f"-- Not {name} " in text
        (planned,) = (each for each in system_plan(system) if each.name == name)
        (instead,) = (each for each in declared(system) if each.name == cover)
        keys = [each.name for each in planned.node.indexParams]
        assert [each.name for each in instead.node.indexParams][: len(keys)] == keys
        assert planned.node.whereClause is instead.node.whereClause is None


@every_system
def test_every_statement_has_a_wave_and_waves_are_in_order(system: str) -> None:
    waves = [each.wave for each in declared(system)]
    assert waves == sorted(waves)
    assert set(waves) == set(range(1, waves[-1] + 1))


@every_system
def test_every_index_serves_a_query_that_exists(system: str) -> None:
    known = {query.name for query in queries(system)}
    assert [each.name for each in declared(system) if each.creates and not each.serves] == []
    assert {name for each in declared(system) for name in each.serves} <= known


@every_system
def test_names_are_declared_once_and_what_goes_is_not_made(system: str) -> None:
    assert [name for name, n in Counter(created(system)).items() if n > 1] == []
    gone = [name for each in declared(system) for name in each.drops]
    assert set(gone) & set(created(system)) == set()


@every_system
def test_statements_are_plain_and_name_their_schema(system: str) -> None:
    for each in declared(system):
        if each.creates:
            assert not each.node.concurrent
            assert not each.node.if_not_exists
            assert each.node.relation.schemaname == "public"


@every_query
def test_query_is_one_select(query: Query) -> None:
    (raw,) = parse_sql(query.text)
    assert isinstance(raw.stmt, ast.SelectStmt)


@every_query
def test_query_says_what_it_asks_and_has_values_for_its_parameters(query: Query) -> None:
    assert query.text.startswith(f"-- {query.name}: ")
    assert ("$1" in query.text) == bool(query.parameter_sets)


@every_system
def test_page_of_a_system_has_every_declared_index_and_query_it_serves(system: str) -> None:
    page = (ROOT / "docs" / "systems" / f"{system}.md").read_text()
    assert [name for name in created(system) if f"| `{name}` |" not in page] == []
    served = {name for each in declared(system) for name in each.serves}
    assert [name for name in served if f"`{name}`" not in page] == []


@every_system
def test_policy_names_the_declared_indexes_and_their_queries(system: str) -> None:
    section = load_policy(ROOT / "policies" / f"{system}.yaml").indexes
    assert section is not None
    assert section.declared == SQL / "systems" / system / "indexes.sql"
    assert section.queries == SQL / "systems" / system / "queries"
    drops = any(each.drops for each in declared(system))
    assert section.allow_drop == drops


STATED: dict[str, dict[str, Any]] = {
    "unpuzzle": {
        "indexes.targets": {
            "finished_videos": "500 ms",
            "active_enrollments": "500 ms",
            "courses_of_a_goal": "200 ms",
            "conversation_timeline": "300 ms",
        },
        "workload.slow_query": "500 ms",
    },
    "lms": {
        "indexes.targets": {
            "course_catalog": "50 ms",
            "student_dashboard": "80 ms",
            "payment_history": "30 ms",
            "course_search": "200 ms",
        },
        "indexes.low_cardinality.max_distinct": 101,
        "workload.slow_query": "1000 ms",
        "capacity.pools": [{"instances": 2, "size": (50 - 5) // 2}],
        "settings.log_min_duration_statement": "1000 ms",
        "settings.autovacuum": True,
    },
    "nova": {
        "indexes.targets": {"messages_of_a_sender": "20 ms", "posts_of_a_user": "15 ms"},
        "indexes.planning_time": "1 ms",
        "indexes.watch": ["30 minutes", "24 hours", "7 days"],
        "indexes.preflight.free_disk": "5 GB",
        "bloat.index_fraction": 0.2,
        "workload.buffer_hit_rate": 0.95,
    },
    "learning_platform": {
        "indexes.targets": {
            "login": "50 ms",
            "course_discovery": "100 ms",
            "progress_in_a_lesson": "30 ms",
            "events_of_a_type": "200 ms",
            "course_search": "150 ms",
        },
        "workload.slow_query": "1000 ms",
        "workload.mean_query": "100 ms",
        "workload.connections": 0.9,
        "workload.redis_hit_rate": 0.7,
        "capacity.pools": [{"instances": 1, "size": 20}],
    },
    "proposals": {
        "redis.ttl": {"proposals:*": "300 seconds"},
        "indexes.targets": {query.name: "200 ms" for query in queries("proposals")},
        "workload.mean_query": "50 ms",
        "workload.connections": 0.7,
        "workload.redis_hit_rate": 0.8,
    },
}
"""The numbers that the plans state, by the keys of the policies."""


@every_system
def test_policy_has_the_numbers_that_the_plan_states(system: str, tmp_path: Path) -> None:
    """Values that a policy leaves out are the defaults, which have to be those of its plan."""
    path = ROOT / "policies" / f"{system}.yaml"
    document = yaml.safe_load(path.read_text())
    for key, value in STATED[system].items():
        *sections, name = key.split(".")
        section = document
        for each in sections:
            section[each] = section.get(each) or {}
            section = section[each]
        section[name] = value
    (tmp_path / "policies").mkdir()
    (tmp_path / "sql").symlink_to(ROOT / "sql")
    stated = tmp_path / "policies" / path.name
    stated.write_text(yaml.safe_dump(document))
    wanted, found = (load_policy(each).model_dump() for each in (stated, path))
    for key in STATED[system]:
        section, name = key.split(".")[:2]
        assert found[section][name] == wanted[section][name], key
