"""The rollout of declared indexes: states, order, steps and findings, without a server."""

from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance.engine.actions import Action, ActionKind, LockMode
from maintenance.engine.findings import FindingKind, Severity
from maintenance.engine.plan import Plan
from maintenance.engine.scope import EVERYTHING, Request
from maintenance.names import MAX_NAME_BYTES, QualifiedName
from maintenance.policy.declarations import IndexDeclaration
from maintenance.policy.declared_sql import parse_declarations
from maintenance.subjects.indexes.declared.comparison import certain_tail, is_same_tail, tail_of
from maintenance.subjects.indexes.declared.models import (
    DeclaredIndex,
    DeclaredObservation,
    OldIndex,
    Part,
    Refusal,
    RowFacts,
    State,
    TableFacts,
)
from maintenance.subjects.indexes.declared.parts import part_name
from maintenance.subjects.indexes.declared.plan import plan_declared
from maintenance.subjects.indexes.models import Catalog, Index, Key, Table

T = QualifiedName("public", "t")
TABLE = Table(1, T, pages=10)
FACTS = TableFacts("owner", True, None, 0, {})
_oids = count(100)


def declared(sql: str, state: State, table: Table = TABLE, **found: object) -> DeclaredIndex:
    (declaration,) = parse_declarations(sql, "indexes.sql")
    assert isinstance(declaration, IndexDeclaration)
    known = DeclaredIndex(declaration, state, table, FACTS, definition="btree (a)")
    return replace(known, **found)  # pyright: ignore[reportArgumentType]


def an_index(name: str, **facts: object) -> Index:
    index = Index(next(_oids), QualifiedName("public", name), 1, "btree", (Key(1, 1, 0, 0),))
    return index._replace(**facts)


def planned(*indexes: DeclaredIndex, request: Request = EVERYTHING) -> Plan:
    tables = {each.table.oid: each.table for each in indexes if each.table is not None}
    for each in indexes:
        tables.update({part.table.oid: part.table for part in each.parts})
    return plan_declared(DeclaredObservation(indexes), Catalog((), tables), request)


def actions_of(*indexes: DeclaredIndex) -> list[tuple[ActionKind, str]]:
    return [(action.kind, action.object) for action in planned(*indexes).actions]


# Texts


def test_tail_is_what_stands_behind_using() -> None:
    name = QualifiedName("s", 'a"b USING x')
    text = 'CREATE UNIQUE INDEX "a""b USING x" ON ONLY s.t USING btree (a) WHERE (b > 0)'
    assert tail_of(text, name, "s.t", is_unique=True) == "btree (a) WHERE (b > 0)"
    assert tail_of(text, name, "s.t", is_unique=False) is None
    assert tail_of(text, name, "s.u", is_unique=True) is None


@pytest.mark.parametrize(
    ("sql", "tail"),
    [
        ("(a)", "btree (a)"),
        ("(a DESC, b)", "btree (a DESC, b)"),
        ("(a NULLS FIRST, b DESC NULLS LAST)", "btree (a NULLS FIRST, b DESC NULLS LAST)"),
        ('("B") INCLUDE (c, "D")', 'btree ("B") INCLUDE (c, "D")'),
        ("USING hash (a)", "hash (a)"),
        ("(lower(a))", None),
        ("(a) WHERE b", None),
        ("(a text_ops)", None),
        ('(a COLLATE "C")', None),
        ("(a) WITH (fillfactor = 70)", None),
    ],
)
def test_definition_is_certain_only_of_plain_columns(sql: str, tail: str | None) -> None:
    assert certain_tail(declared(f"CREATE INDEX i ON t {sql}", State.SAME).declaration) == tail


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("btree (a)", "btree (a)", True),
        ("btree (a)", "btree (a DESC)", False),
        ("btree (a) WITH (x='1', y='off')", "btree (a) WITH (y='false', x='1')", True),
        ("btree (a) WITH (x='1')", "btree (a) WITH (x='2')", False),
        ("btree (a) WITH (x='1') WHERE (b = 1)", "btree (a) WITH (x='1') WHERE (b = 2)", False),
        ("btree (a) WHERE (b = ' WITH (x='''')')", "btree (a) WHERE (b = ' WITH (y='''')')", False),
    ],
)
def test_order_of_options_does_not_count(one: str, other: str, *, same: bool) -> None:
    assert is_same_tail(one, other) == same


@given(st.text(min_size=1, max_size=63), st.text(min_size=1, max_size=63), st.integers(0, 3))
def test_name_of_a_part_fits_and_differs_by_partition(table: str, index: str, number: int) -> None:
    one, other = (Table(n, QualifiedName("s", f"{table}{n}")) for n in (1, 2))
    names = {part_name(each, index, number).name for each in (one, other)}
    assert len(names) == 2
    assert max(len(name.encode()) for name in names) <= MAX_NAME_BYTES


# What is built


@pytest.mark.parametrize("state", State)
def test_only_what_is_missing_is_built(state: State) -> None:
    exists = state in (State.INVALID, State.DIFFERENT)
    existing = an_index("i", is_valid=state is State.DIFFERENT) if exists else None
    refusal = Refusal("42P17", "no") if state is State.REFUSED else None
    found = declared("CREATE INDEX i ON t (a)", state, existing=existing, refusal=refusal)
    kinds = [kind for kind, _ in actions_of(found)]
    built = {
        State.MISSING: [ActionKind.CREATE_INDEX],
        State.INCOMPLETE: [ActionKind.CREATE_INDEX],
        State.INVALID: [ActionKind.DROP_INVALID_INDEX, ActionKind.CREATE_INDEX],
    }
    assert kinds == built.get(state, [])
    assert bool(planned(found).findings) == (state is not State.SAME)


@pytest.mark.parametrize(("is_passing", "n_built"), [(True, 0), (False, 1)])
def test_index_that_could_not_be_tried_is_built_unless_that_passes(
    is_passing: bool, n_built: int
) -> None:
    refusal = Refusal("", "no TEMPORARY", is_passing=is_passing)
    found = declared("CREATE INDEX i ON t (a)", State.UNKNOWN, definition=None, refusal=refusal)
    assert len(actions_of(found)) == n_built
    assert [f.kind for f in planned(found).findings] == [FindingKind.MONITOR_BLIND]


def test_duplicates_stop_a_unique_index() -> None:
    rows = RowFacts(n_duplicates=3, duplicates=("a=1",))
    plan = planned(declared("CREATE UNIQUE INDEX i ON t (a)", State.MISSING, rows=rows))
    assert plan.actions == ()
    (finding,) = plan.findings
    assert (finding.kind, finding.severity) == (FindingKind.INDEX_NOT_BUILDABLE, Severity.ERROR)
    assert finding.value == 3


def test_build_says_what_it_serves_and_runs_the_servers_own_text() -> None:
    sql = (
        "-- wave: 3\n-- serves: q1\n-- expect: 10x\nCREATE INDEX i ON t (a) TABLESPACE fast WHERE b"
    )
    text = "btree (a) WHERE (b)"
    (action,) = planned(declared(sql, State.MISSING, definition=text, predicate="(b)")).actions
    assert action.sql == (
        "CREATE INDEX CONCURRENTLY i ON public.t USING btree (a) TABLESPACE fast WHERE (b)",
    )
    assert action.detail["serves"] == ["q1"]
    assert (action.detail["wave"], action.detail["expect"]) == (3, 10)
    assert action.detail["relation_bytes"] == 10 * 8192
    assert action.preconditions["oid"] == 1


def test_request_for_a_table_plans_that_table_alone() -> None:
    other = Table(2, QualifiedName("public", "u"))
    indexes = (
        declared("CREATE INDEX i ON t (a)", State.MISSING),
        declared("CREATE INDEX j ON u (a)", State.MISSING, other),
    )
    plan = planned(*indexes, request=Request(table=T))
    assert [action.object for action in plan.actions] == ["public.i"]
    assert [finding.object for finding in plan.findings] == ["public.i"]


# Order


@given(st.lists(st.integers(1, 4), min_size=1, max_size=8))
def test_every_build_waits_for_the_wave_before_it(waves: list[int]) -> None:
    indexes = [
        declared(f"-- wave: {wave}\nCREATE INDEX i{n} ON t (a)", State.MISSING)
        for n, wave in enumerate(waves)
    ]
    actions = planned(*indexes).actions
    by_id = {action.id: action for action in actions}
    assert [action.detail["wave"] for action in actions] == sorted(waves)
    for action in actions:
        before = {wave for wave in waves if wave < action.detail["wave"]}
        waited = {by_id[each].detail["wave"] for each in action.after}
        assert waited == ({max(before)} if before else set())


def test_replacement_follows_its_build_and_holds_up_nothing() -> None:
    old = OldIndex(an_index("old"), TABLE, restore=("CREATE INDEX old …",))
    sql = "-- replaces: old\nCREATE INDEX i ON t (a)"
    later = declared("-- wave: 2\nCREATE INDEX j ON t (b)", State.MISSING)
    created, replaced, second = planned(
        declared(sql, State.MISSING, replaced=(old,)), later
    ).actions
    assert (replaced.kind, replaced.object) == (ActionKind.REPLACE_INDEX, "public.old")
    assert replaced.destructive
    assert (replaced.after, second.after) == ((created.id,), (created.id,))
    assert replaced.preconditions == {"oid": old.index.oid, "new": "public.i"}
    assert replaced.detail["restore"] == ["CREATE INDEX old …"]


def test_old_index_goes_once_the_new_one_is_there() -> None:
    old = OldIndex(an_index("old"), TABLE, restore=("CREATE INDEX old …",))
    sql = "-- replaces: old\nCREATE INDEX i ON t (a)"
    assert actions_of(declared(sql, State.SAME, replaced=(old,))) == [
        (ActionKind.REPLACE_INDEX, "public.old")
    ]
    for state in (State.COVERED, State.REFUSED, State.BUILDING, State.NO_COLUMN):
        refusal = Refusal("42P17", "no")
        assert actions_of(declared(sql, state, replaced=(old,), refusal=refusal)) == []


def test_old_index_that_is_needed_stays() -> None:
    old = OldIndex(
        an_index("old"), TABLE, obstacle="constraint", message="a constraint requires it"
    )
    plan = planned(
        declared("-- replaces: old\nCREATE INDEX i ON t (a)", State.MISSING, replaced=(old,))
    )
    assert [action.kind for action in plan.actions] == [ActionKind.CREATE_INDEX]
    assert [(f.kind, f.object) for f in plan.findings] == [
        (FindingKind.INDEX_MISSING, "public.i"),
        (FindingKind.INDEX_NOT_DROPPABLE, "public.old"),
    ]


def test_build_that_needs_a_column_which_is_not_added_is_not_promised() -> None:
    index = declared("CREATE INDEX i ON t (a)", State.MISSING, waits_for=("a",))
    plan = planned(index)
    assert plan.actions == ()
    (missing,) = plan.findings
    assert (missing.kind, missing.promise) == (FindingKind.INDEX_MISSING, "")
    assert missing.data["waits_for"] == ["a"]


# Partitions

PARENT = Table(1, T, kind="p")
LEAVES = tuple(Table(n, QualifiedName("public", f"t{n}"), parent=1, pages=n) for n in (2, 3, 4))
PARENT_INDEX = QualifiedName("public", "i")


def on_tree(*parts: Part, **found: object) -> Action:
    facts = FACTS._replace(partition_key="RANGE (at)")
    sql = "CREATE INDEX i ON t (a)"
    index = declared(sql, State.MISSING, PARENT, facts=facts, parts=parts, **found)
    (action,) = planned(index).actions
    return action


def a_part(leaf: Table, *, is_there: bool = False, is_attached: bool = False) -> Part:
    name = part_name(leaf, "i")
    restore = (f"CREATE INDEX {name.name} …",) if is_there else ()
    return Part(leaf, PARENT_INDEX, name, is_there, is_there, is_attached, restore=restore)


def test_parts_are_built_then_the_parent_then_attached() -> None:
    action = on_tree(a_part(LEAVES[0]), a_part(LEAVES[1], is_there=True), a_part(LEAVES[2]))
    assert action.sql == (
        "CREATE INDEX CONCURRENTLY t2_i ON public.t2 USING btree (a)",
        "CREATE INDEX CONCURRENTLY t4_i ON public.t4 USING btree (a)",
        "CREATE INDEX i ON ONLY public.t USING btree (a)",
        "ALTER INDEX public.i ATTACH PARTITION public.t2_i",
        "ALTER INDEX public.i ATTACH PARTITION public.t3_i",
        "ALTER INDEX public.i ATTACH PARTITION public.t4_i",
    )
    assert [step.concurrent for step in action.steps] == [True, True, *[False] * 4]
    blocking = {lock.object for lock in action.locks if lock.mode.blocks_writers}
    assert "public.t2" not in blocking
    assert LockMode.SHARE in {lock.mode for lock in action.locks if lock.object == "public.t"}
    assert action.preconditions["leaves"] == {"public.t2": 2, "public.t3": 3, "public.t4": 4}
    assert action.detail["relation_bytes"] == 9 * 8192
    assert action.branches == ("public.t2", "public.t3", "public.t4")


def test_rollout_continues_where_it_ended() -> None:
    done = a_part(LEAVES[0], is_there=True, is_attached=True)
    action = on_tree(done, a_part(LEAVES[1]), existing=an_index("i", is_partitioned=True))
    assert action.sql == (
        "CREATE INDEX CONCURRENTLY t3_i ON public.t3 USING btree (a)",
        "ALTER INDEX public.i ATTACH PARTITION public.t3_i",
    )
