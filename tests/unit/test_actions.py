"""Actions: ids that reviewers, journals and saved plans can rely on."""

from dataclasses import replace

import pytest

from maintenance.engine.actions import Action, ActionKind, Lock, LockMode, Step
from maintenance.engine.plan import Plan, join

LOCK = Lock("public.events", LockMode.SHARE_UPDATE_EXCLUSIVE)
STEP = Step(prepare=("CREATE TABLE c ()",), statements=("ATTACH c",), locks=(LOCK,))
ACTION = Action(
    kind=ActionKind.CREATE_PARTITION,
    object="public.events_2026_11",
    steps=(STEP,),
    reason="now: the current period 2026-11 has no partition",
)


def test_id_is_the_same_in_every_version_of_the_software() -> None:
    assert ACTION.id == "9ae001548dc9c142"


def test_id_leaves_out_why_and_when() -> None:
    assert replace(ACTION, reason="horizon", period="2026-11", after=("x",)).id == ACTION.id


@pytest.mark.parametrize(
    "other",
    [
        replace(ACTION, kind=ActionKind.CREATE_DEFAULT),
        replace(ACTION, object="public.events_2026_12"),
        replace(ACTION, steps=(replace(STEP, prepare=("CREATE TABLE c (id int)",)),)),
        replace(ACTION, steps=(STEP, STEP)),
        replace(ACTION, steps=()),
    ],
)
def test_id_differs_where_something_else_would_be_done(other: Action) -> None:
    assert other.id != ACTION.id


def test_sql_is_every_statement_in_order() -> None:
    twice = replace(ACTION, steps=(STEP, Step(statements=("DETACH c",))))
    assert twice.sql == ("CREATE TABLE c ()", "ATTACH c", "DETACH c")


def test_each_lock_is_listed_once_in_the_order_of_taking() -> None:
    default = Lock("public.rest", LockMode.ACCESS_EXCLUSIVE)
    twice = replace(ACTION, steps=(STEP, Step(statements=("X",), locks=(default, LOCK))))
    assert twice.locks == (LOCK, default)


def test_json_has_the_fields_of_the_command_line() -> None:
    document = ACTION.as_json()
    assert document["kind"] == "create_partition"
    assert document["locks"] == [{"object": "public.events", "mode": "SHARE UPDATE EXCLUSIVE"}]
    assert document["sql"] == ["CREATE TABLE c ()", "ATTACH c"]
    assert document["destructive"] is False


@pytest.mark.parametrize("mode", LockMode)
def test_only_share_update_exclusive_stops_no_writer(mode: LockMode) -> None:
    assert mode.blocks_writers == (mode != "SHARE UPDATE EXCLUSIVE")


def test_action_of_statements_alone_is_void_without_any_unless_it_was_refused() -> None:
    empty = replace(ACTION, kind=ActionKind.REPAIR_PARTITION, steps=())
    assert empty.is_void
    assert not replace(empty, refused="expired").is_void
    assert not ACTION.is_void
    assert join([Plan(actions=(empty, ACTION))]).actions == (ACTION,)
