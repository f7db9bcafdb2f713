"""The declared indexes of the example systems, as far as the parser can tell."""

from collections import Counter

import pytest
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
