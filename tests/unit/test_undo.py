"""Steps that undo, as the journal keeps them, and what is held because it was undone."""

from dataclasses import replace
from pathlib import Path

import pytest

from maintenance.engine.actions import Action, ActionKind, HeldBy, Lock, LockMode, Step
from maintenance.engine.gate import Gate
from maintenance.engine.kept_steps import read_step, step_as_json
from maintenance.server.statements import Ours
from tests.policies import make_policy

STEPS = [
    Step(
        ("DROP INDEX CONCURRENTLY public.a",),
        locks=(Lock("public.t", LockMode.SHARE_UPDATE_EXCLUSIVE),),
        concurrent=True,
        removes="public.a",
        when="true",
    ),
    Step(
        ("CREATE INDEX CONCURRENTLY a ON public.t (x)",),
        prepare=("SET default_tablespace = 'fast'",),
        concurrent=True,
        makes="public.a",
    ),
    Step((Ours("DO 'guard'"), "ALTER TABLE public.t DROP CONSTRAINT c"), owner="app"),
    Step(
        ("ALTER TABLE public.t ADD x int",), prepare=(Ours("DO 'proof'"), "SET x = 1"), kept_if="1"
    ),
]


@pytest.mark.parametrize("step", STEPS)
def test_step_that_was_kept_is_the_same_step(step: Step) -> None:
    kept = read_step(step_as_json(step))
    assert kept == step
    assert [type(each) for each in kept.sql] == [type(each) for each in step.sql]


def an_action(definition: str | None = "btree (x)", oid: int = 1) -> Action:
    steps = (Step((f"CREATE INDEX CONCURRENTLY a ON public.t USING {definition}",)),)
    preconditions = {"oid": oid, "definition": definition}
    kind = ActionKind.CREATE_INDEX
    return Action(kind, "public.a", steps, "declared", preconditions=preconditions)


def test_goal_stays_the_same_for_other_oids_and_changes_with_the_definition() -> None:
    assert an_action(oid=2).goal == an_action().goal
    assert an_action("btree (y)").goal != an_action().goal
    drop = Action(ActionKind.DROP_INDEX, "public.a", (Step(("one",)),), "")
    assert replace(drop, steps=(Step(("another guard",)),)).goal == drop.goal


def test_action_whose_goal_was_undone_is_held_until_its_definition_changes(tmp_path: Path) -> None:
    policy = make_policy(tmp_path, "postgresql://localhost/app")
    gate = Gate(policy, undone={an_action().goal: "a run"})
    hold = gate.hold(an_action(oid=7))
    assert hold is not None
    assert hold.by is HeldBy.UNDONE
    assert gate.hold(an_action("btree (y)")) is None
    assert Gate(policy).hold(an_action()) is None
