"""Rows of a default partition get to months that are partitioned themselves, on real servers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maintenance.engine.actions import ActionKind
from maintenance.engine.executor import Outcome, Result
from maintenance.errors import UnreachableError
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from tests.builders import Database
from tests.integration.test_drain import COMPARING, COPYING, END, INDEXING, LEFT, beside
from tests.integration.test_trees import CREATE, add_month, bounds, child, insert, month, shape
from tests.policies import EVENTS, make_policy

pytestmark = [pytest.mark.store, pytest.mark.in_turn]

CONTENT = "SELECT count(*), sum(hashtextextended(e::text, 0)) FROM public.events AS e"
SINGLE = "CREATE TABLE public.rest PARTITION OF public.events DEFAULT"
TREE = """
CREATE TABLE public.rest PARTITION OF public.events DEFAULT PARTITION BY LIST (kind);
CREATE TABLE public.rest_a PARTITION OF public.rest FOR VALUES IN ('a') PARTITION BY HASH (id);
CREATE TABLE public.rest_a0 PARTITION OF public.rest_a FOR VALUES WITH (modulus 2, remainder 0);
CREATE TABLE public.rest_a1 PARTITION OF public.rest_a
  FOR VALUES WITH (modulus 2, remainder 1) WITH (fillfactor = 70);
CREATE TABLE public.rest_rest PARTITION OF public.rest DEFAULT;
ALTER TABLE public.rest_rest ALTER note SET STATISTICS 500;
"""
WITHOUT_IDENTITY = CREATE.replace("GENERATED ALWAYS AS IDENTITY", "DEFAULT random() * 1e15")
CHANGES = f"""
UPDATE public.events SET note = 'changed' WHERE author = 1;
UPDATE public.events SET kind = chr(ascii(kind) + 1) WHERE length(note) % 5 = 1;
UPDATE public.events SET at = '2001-01-01Z' WHERE length(note) % 5 = 2 AND at > '{month(1)}-05Z';
UPDATE public.events SET at = '{month(1)}-05Z' WHERE at < '2001-01-01Z' AND length(note) = 3;
DELETE FROM public.events WHERE length(note) % 5 = 3;
INSERT INTO public.events (at, kind) SELECT '{month(1)}-07Z', chr(97 + i % 3)
  FROM generate_series(1, 50) i;
"""


def filled(database: Database, default: str, create: str = CREATE) -> None:
    """A month that is a tree, and a default partition with rows of the next, and of 2001."""
    database.execute(create)
    add_month(database)
    database.execute(default)
    insert(database, 1, 3000)
    database.execute(
        "INSERT INTO public.events (at, kind, note)"
        " SELECT '2000-12-30'::timestamptz, chr(97 + n % 3), repeat('y', n)"
        " FROM generate_series(1, 90) n".replace("%", "%%"),
        [],
    )


def policy_of(database: Database, folder: Path, **section: Any) -> Policy:
    return make_policy(folder, database.url, {**EVENTS, "premake": 2, **section})


def put_right(policy: Policy, kind: ActionKind, **arguments: Any) -> Result:
    report = pipeline.apply(policy, **arguments)
    assert report.ok, [result.error for result in report.results]
    (result,) = (r for r in report.results if r.action.kind is kind)
    return result


def whole(database: Database, name: str) -> list[tuple[Any, ...]]:
    """What a tree is like, whatever its tables are called."""
    return sorted((row[1:] for row in shape(database, name)), key=str)


@pytest.mark.parametrize("default", [SINGLE, TREE], ids=["single", "tree"])
def test_rows_are_copied_into_a_tree_like_its_siblings(
    database: Database, tmp_path: Path, default: str
) -> None:
    filled(database, default)
    policy = policy_of(database, tmp_path)
    before, rest = database.execute(CONTENT), shape(database, "rest")
    result = put_right(policy, ActionKind.DRAIN_DEFAULT)
    assert result.detail == {"rows": 3000, "periods": {month(1): 3000}, "left": 90}
    assert database.execute(CONTENT) == before
    assert shape(database, child(1)) == shape(database, child())
    assert shape(database, child(2)) == shape(database, child())
    assert shape(database, "rest") == rest
    assert database.execute(LEFT) == []
    assert pipeline.plan(policy).plan.actions == ()
    database.execute(f"ALTER TABLE public.events DETACH PARTITION public.{child(1)}")
    database.execute("DELETE FROM public.users WHERE id = 5")
    database.execute("INSERT INTO public.events (at, kind) VALUES ('2001-01-01', 'b')")


def test_default_partition_that_is_like_its_siblings_becomes_one_in_place(
    database: Database, tmp_path: Path
) -> None:
    filled(database, TREE, WITHOUT_IDENTITY)
    database.execute("DELETE FROM public.events WHERE at < '2001-01-01'")
    before, rest = database.execute(CONTENT), whole(database, "rest")
    ((oid,),) = database.execute("SELECT 'public.rest_a1'::regclass::oid")
    put_right(policy_of(database, tmp_path), ActionKind.SWAP_DEFAULT)
    assert database.execute(CONTENT) == before
    assert database.execute("SELECT count(*) FROM public.rest") == [(0,)]
    assert database.execute(f"SELECT 'public.{child(1)}_a1'::regclass::oid") == [(oid,)]
    assert shape(database, child(1)) == shape(database, child())
    assert whole(database, "rest") == rest
    assert database.execute(LEFT) == []
    assert pipeline.plan(policy_of(database, tmp_path)).plan.actions == ()


@pytest.mark.pg("== 18")
def test_many_rows_become_a_month_in_place_by_a_check_that_goes(
    database: Database, tmp_path: Path
) -> None:
    filled(database, TREE, WITHOUT_IDENTITY)
    database.execute("DELETE FROM public.events WHERE at < '2001-01-01'")
    insert(database, 1, 12_000)
    database.execute("DROP TABLE public." + child())
    add_month(database)
    result = put_right(policy_of(database, tmp_path), ActionKind.SWAP_DEFAULT)
    assert any("VALIDATE CONSTRAINT" in sql for sql in result.action.sql)
    assert shape(database, child(1)) == shape(database, child())
    assert database.execute(LEFT) == []


@pytest.mark.pg("== 18")
def test_plain_months_take_the_rows_of_a_tree(database: Database, tmp_path: Path) -> None:
    database.execute(CREATE)
    database.execute(
        f"CREATE TABLE public.{child()} PARTITION OF public.events FOR VALUES {bounds(0)}"
    )
    database.execute(TREE)
    insert(database, 1, 300)
    before, rest = database.execute(CONTENT), shape(database, "rest")
    put_right(policy_of(database, tmp_path), ActionKind.DRAIN_DEFAULT)
    assert database.execute(CONTENT) == before
    assert database.execute(f"SELECT count(*) FROM ONLY public.{child(1)}") == [(300,)]
    assert shape(database, "rest") == rest
    assert database.execute(LEFT) == []


@pytest.mark.pg("== 18")
@pytest.mark.parametrize(
    ("default", "create", "moment"),
    [
        (TREE, CREATE, COPYING),
        (SINGLE, CREATE, INDEXING),
        (TREE, WITHOUT_IDENTITY, INDEXING),
        (TREE, CREATE, COMPARING),
    ],
)
def test_changes_at_any_moment_are_in_the_tree(
    database: Database, tmp_path: Path, default: str, create: str, moment: str
) -> None:
    filled(database, default, create)
    contents: list[Any] = []

    def work() -> None:
        database.execute(CHANGES)
        contents.extend(database.execute(CONTENT))

    progress = beside(moment, work)
    put_right(policy_of(database, tmp_path), ActionKind.DRAIN_DEFAULT, progress=progress)
    assert database.execute(CONTENT) == contents
    assert database.execute(LEFT) == []


@pytest.mark.pg("== 18")
@pytest.mark.parametrize("default", [SINGLE, TREE], ids=["single", "tree"])
def test_truncate_of_the_default_partition_or_a_leaf_ends_the_drain(
    database: Database, tmp_path: Path, default: str
) -> None:
    filled(database, default)
    table = "rest" if default == SINGLE else "rest_a0"
    stop = beside(COMPARING, lambda: database.execute(f"TRUNCATE public.{table}"))
    report = pipeline.apply(policy_of(database, tmp_path), progress=stop)
    (drain,) = (r for r in report.results if r.action.kind is ActionKind.DRAIN_DEFAULT)
    assert drain.cause is not None
    assert drain.cause.reason == "truncated"
    assert database.execute(LEFT) == []


@pytest.mark.pg("== 18")
def test_leaf_that_comes_or_goes_meanwhile_ends_the_drain(
    database: Database, tmp_path: Path
) -> None:
    filled(database, TREE)
    change = "CREATE TABLE public.rest_z PARTITION OF public.rest FOR VALUES IN ('z')"
    stop = beside(COMPARING, lambda: database.execute(change))
    report = pipeline.apply(policy_of(database, tmp_path), progress=stop)
    (drain,) = (r for r in report.results if r.action.kind is ActionKind.DRAIN_DEFAULT)
    assert drain.cause is not None
    assert drain.cause.reason == "object_not_in_prerequisite_state"
    assert database.execute(LEFT) == []
    put_right(policy_of(database, tmp_path), ActionKind.DRAIN_DEFAULT)


def closed_lists(database: Database) -> None:
    """Months whose trees know two values, and a default partition that takes any."""
    database.execute(CREATE)
    name = child()
    database.execute(
        f"CREATE TABLE public.{name} PARTITION OF public.events FOR VALUES {bounds(0)}"
        " PARTITION BY LIST (kind)"
    )
    for kind in "ab":
        database.execute(
            f"CREATE TABLE public.{name}_{kind} PARTITION OF public.{name} FOR VALUES IN ('{kind}')"
        )
    database.execute(SINGLE)
    database.execute(
        f"INSERT INTO public.events (at, kind) SELECT '{month(1)}-03Z', 'a'"
        " FROM generate_series(1, 100)"
    )


@pytest.mark.pg("== 18")
@pytest.mark.parametrize("moment", [None, COPYING, COMPARING])
def test_row_that_no_leaf_takes_ends_the_drain_and_hinders_no_writer(
    database: Database, tmp_path: Path, moment: str | None
) -> None:
    closed_lists(database)
    policy = policy_of(database, tmp_path, premake=1)
    misfit = f"INSERT INTO public.events (at, kind) VALUES ('{month(1)}-04Z', 'zebra')"
    progress: Callable[[str], None] = print
    if moment is None:
        database.execute(misfit)
    else:
        progress = beside(moment, lambda: database.execute(misfit))
    report = pipeline.apply(policy, progress=progress)
    (drain,) = report.results
    assert drain.outcome is Outcome.FAILED
    assert "zebra" in str(drain.error)
    assert drain.cause is not None
    assert drain.cause.reason == "check_violation"
    assert drain.cause.hint
    assert database.execute("SELECT count(*) FROM public.events") == [(101,)]
    assert database.execute(LEFT) == []
    database.execute(f"CREATE TABLE public.{child()}_rest PARTITION OF public.{child()} DEFAULT")
    put_right(policy, ActionKind.DRAIN_DEFAULT)
    assert shape(database, child(1)) == shape(database, child())


@pytest.mark.pg("== 18")
def test_tree_that_can_not_be_built_again_is_named(database: Database, tmp_path: Path) -> None:
    filled(database, SINGLE)
    database.execute(f"DROP TABLE public.{child()}_a1")
    report = pipeline.plan(policy_of(database, tmp_path))
    assert report.plan.actions == ()
    reasons = [finding.data.get("reasons") for finding in report.findings]
    assert {f"public.{child()}": ["remainders_lacking"]} in reasons


@pytest.mark.pg("== 18")
@pytest.mark.parametrize("swapped", [True, False])
def test_hostile_names_are_carried_over(database: Database, tmp_path: Path, swapped: bool) -> None:
    hostile = '"É ""2"", a.b\n' + "é" * 24 + '"'
    rest = '"r ; "" \' %s' + "z" * 52 + '"'
    database.execute(CREATE if not swapped else WITHOUT_IDENTITY)
    database.execute('ALTER TABLE public.events RENAME kind TO "Sort""e"')
    database.execute(f"ALTER TABLE public.events RENAME TO {hostile}")
    for name, bound in ((f'"m \' 1{"m" * 40}"', f"FOR VALUES {bounds(0)}"), (rest, "DEFAULT")):
        below = name[:-1].replace("%s", "")[:40] + ' \n$$"'
        database.execute(
            f"CREATE TABLE public.{name} PARTITION OF public.{hostile} {bound}"
            ' PARTITION BY LIST ("Sort""e")'
        )
        database.execute(
            f"CREATE TABLE public.{below} PARTITION OF public.{name}"
            " FOR VALUES IN ('it''s \"x\" $$', NULL)"
        )
    moments = [1] if swapped else [1, -300]
    for offset in moments:
        database.execute(
            f'INSERT INTO public.{hostile} (at, "Sort""e") VALUES'
            f" ('{month(offset)}-03Z', 'it''s \"x\" $$')"
        )
    policy = make_policy(
        tmp_path, database.url, {"table": f"public.{hostile}", "column": "at", "premake": 2}
    )
    put_right(policy, ActionKind.SWAP_DEFAULT if swapped else ActionKind.DRAIN_DEFAULT)
    left = database.execute(f"SELECT count(*) FROM public.{hostile}")
    assert left == [(len(moments),)]
    assert database.execute(LEFT) == []
    assert pipeline.plan(policy).plan.actions == ()


@pytest.mark.pg("== 18")
@pytest.mark.parametrize(("default", "moment"), [(TREE, COPYING), (SINGLE, COMPARING)])
def test_what_a_killed_drain_leaves_is_in_nobodys_way_and_removed_by_the_next_run(
    database: Database, tmp_path: Path, default: str, moment: str
) -> None:
    filled(database, default)
    policy = policy_of(database, tmp_path)
    with pytest.raises(UnreachableError):
        pipeline.apply(policy, progress=beside(moment, lambda: database.execute(END)))
    assert database.execute(LEFT) != []
    database.execute(CHANGES)
    before = database.execute(CONTENT)
    report = pipeline.apply(policy)
    assert report.results[0].action.kind is ActionKind.REMOVE_LEFTOVERS
    assert report.ok, [result.error for result in report.results]
    assert database.execute(CONTENT) == before
    assert database.execute(LEFT) == []
