"""The steps back of a conversion as the journal keeps them, and the finding on one that waits."""

from datetime import timedelta

import pytest

from maintenance.engine.actions import Action, ActionKind, LockMode
from maintenance.engine.findings import FindingKind, Severity
from maintenance.engine.kept_steps import read_step, step_as_json
from maintenance.engine.scope import EVERYTHING
from maintenance.server.statements import Ours
from maintenance.subjects.conversion.models import ConversionObservation, ConvertibleTable, Wait
from maintenance.subjects.conversion.plan import plan
from tests.unit.test_conversion_plan import CHECK, FACTS, INDEX, NOW, SERVER, column, events

FACTS_SQL = "SELECT kind, name, definition FROM facts WHERE relation = %(relation)s"
WAIT = Wait(
    NOW - timedelta(hours=1),
    NOW,
    2,
    {"pid": 7, "role": "app", "application": "report", "query_start": "2026-11-27T01:00:00+00:00"},
    "not acquired",
)


def converted(seen: ConvertibleTable) -> Action:
    observation = ConversionObservation(SERVER, (seen,), facts_sql=FACTS_SQL)
    (action,) = plan(observation, NOW, EVERYTHING).actions
    assert action.kind is ActionKind.CONVERT_TABLE
    return action


def test_each_step_back_has_a_condition_and_survives_the_journal() -> None:
    for step in converted(events()).undo:
        assert step.when is not None
        kept = read_step(step_as_json(step))
        assert kept == step
        assert [type(each) for each in kept.sql] == [type(each) for each in step.sql]


def test_swap_back_is_proven_before_and_after_its_changes() -> None:
    swap_back = next(step for step in converted(events()).undo if "DETACH" in " ".join(step.sql))
    proofs = [each for each in swap_back.sql if each.startswith("DO") and "DECLARE diff" in each]
    assert proofs == [swap_back.prepare[-1], swap_back.statements[-2]]
    assert all(isinstance(each, Ours) for each in proofs)
    assert swap_back.locks[0].mode is LockMode.SHARE_UPDATE_EXCLUSIVE
    assert swap_back.kept_if is None
    assert converted(events()).undo[0].kept_if is not None


@pytest.mark.parametrize("was_nullable", [True, False])
def test_key_is_nullable_again_only_if_it_was(was_nullable: bool) -> None:
    key = column("at", 2, not_null=not was_nullable)
    facts = tuple(key if (f.kind, f.name) == ("column", "at") else f for f in FACTS)
    text = " ".join(each for step in converted(events(facts=facts)).undo for each in step.sql)
    assert ("DROP NOT NULL" in text) is was_nullable


def test_goal_does_not_depend_on_what_is_done_already() -> None:
    goals = {converted(events(helpers=helpers)).goal for helpers in ((), (INDEX,), (INDEX, CHECK))}
    assert len(goals) == 1


def test_undone_conversion_is_told_and_its_helpers_are_removed() -> None:
    goal = converted(events()).goal
    for helpers, kind in (((), ActionKind.CONVERT_TABLE), ((CHECK,), ActionKind.REMOVE_LEFTOVERS)):
        seen = ConversionObservation(SERVER, (events(helpers=helpers),), undone={goal: "a run"})
        made = plan(seen, NOW, EVERYTHING)
        assert [action.kind for action in made.actions] == [kind]
        (finding,) = made.findings
        assert finding.data["reasons"] == ["undone"]
        assert finding.data["undone_by"] == "a run"


@pytest.mark.parametrize(("age", "severity"), [(1, Severity.WARN), (80, Severity.ERROR)])
def test_wait_names_the_blocker(age: int, severity: Severity) -> None:
    wait = WAIT._replace(since=NOW - timedelta(hours=age))
    seen = ConversionObservation(SERVER, (events(),), waits={"public.events": wait})
    finding = next(
        each
        for each in plan(seen, NOW, EVERYTHING).findings
        if each.kind is FindingKind.CONVERSION_WAITING
    )
    assert finding.severity is severity
    assert finding.value == age * 3600
    assert finding.data["blocked_by"] == WAIT.blocked_by
    assert "7" in finding.message


@pytest.mark.parametrize("facts", [{}, {"prepared": "gid 1", "pid": None}, {"pid": 7}])
def test_wait_for_what_is_not_shown_to_us_is_a_finding_too(facts: dict[str, object]) -> None:
    wait = WAIT._replace(blocked_by=facts)
    seen = ConversionObservation(SERVER, (events(),), waits={"public.events": wait})
    kinds = {each.kind for each in plan(seen, NOW, EVERYTHING).findings}
    assert kinds == {FindingKind.CONVERSION_WAITING, FindingKind.NOT_PARTITIONED}
