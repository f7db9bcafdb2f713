"""Saved plans: exactly the reviewed plan is applied, and a changed file is refused."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance.engine.actions import Action, ActionKind, Lock, LockMode, Step, identify_action
from maintenance.engine.plan import Plan
from maintenance.engine.saved_plan import ReviewedPlan, admit, read_reviewed
from maintenance.errors import UsageError

LOCK = Lock("public.events", LockMode.SHARE_UPDATE_EXCLUSIVE)
ACTIONS = tuple(
    Action(
        kind=ActionKind.DROP_PARTITION,
        object=f"public.events_{n}",
        table="public.events",
        period=f"2026-{n}",
        steps=(Step(statements=(f"DROP TABLE public.events_{n}",), locks=(LOCK,)),),
        reason="expired",
        destructive=True,
        preconditions={"oid": n, "tree": (1, 2)},
    )
    for n in (10, 11)
)
PLAN = Plan(actions=ACTIONS)
REVIEWED = ReviewedPlan("app", "hash", ("retention",), tuple(a.as_json() for a in ACTIONS))
DOCUMENT = REVIEWED.as_json()
SAVED = json.dumps(DOCUMENT)


def test_plan_that_is_planned_again_is_admitted_as_it_is() -> None:
    assert admit(read_reviewed(SAVED, "p"), "hash", PLAN).actions == ACTIONS


def renamed(document: dict[str, Any]) -> None:
    document["actions"][0]["object"] = "public.orders"


def rewritten(document: dict[str, Any]) -> None:
    document["actions"][0]["sql"] = ["DROP TABLE public.orders"]


def identified(document: dict[str, Any]) -> None:
    document["actions"][0]["id"] = "0" * 16


def added(document: dict[str, Any]) -> None:
    document["actions"].append({**document["actions"][0], "id": "f" * 16})


def doubled(document: dict[str, Any]) -> None:
    document["actions"].append(document["actions"][0])


def removed(document: dict[str, Any]) -> None:
    del document["actions"][0]


def unlocked(document: dict[str, Any]) -> None:
    document["actions"][0]["locks"] = []


def disguised(document: dict[str, Any]) -> None:
    document["actions"][0]["reason"] = "harmless"
    document["actions"][0]["destructive"] = False


def moved(document: dict[str, Any]) -> None:
    document["actions"][0]["preconditions"]["oid"] = 99


TAMPERINGS = [renamed, rewritten, identified, added, doubled, removed, unlocked, disguised, moved]


@pytest.mark.parametrize("tamper", TAMPERINGS)
def test_plan_that_was_changed_is_refused_as_a_file(tamper: Callable[[Any], None]) -> None:
    document = copy.deepcopy(DOCUMENT)
    tamper(document)
    with pytest.raises(UsageError) as raised:
        read_reviewed(json.dumps(document), "p")
    assert raised.value.reason == "altered"


@pytest.mark.parametrize(
    "tamper", [renamed, rewritten, added, unlocked, disguised, moved], ids=lambda t: t.__name__
)
def test_plan_that_was_changed_with_its_digest_is_refused_by_what_is_planned(
    tamper: Callable[[Any], None],
) -> None:
    document = copy.deepcopy(DOCUMENT)
    tamper(document)
    for action in document["actions"]:
        action["id"] = identify_action(action["kind"], action["object"], action["sql"])
    if tamper is added:
        document["actions"][-1]["sql"] = ["DROP TABLE public.orders"]
        action = document["actions"][-1]
        action["id"] = identify_action(action["kind"], action["object"], action["sql"])
    forged = ReviewedPlan("app", "hash", (), tuple(document["actions"])).as_json()
    admitted = admit(read_reviewed(json.dumps(forged), "p"), "hash", PLAN)
    assert [bool(action.refused) for action in admitted.actions] == [True] * len(forged["actions"])


def test_plan_whose_action_takes_other_locks_now_is_refused_whole() -> None:
    locks = (Lock("public.events", LockMode.ACCESS_EXCLUSIVE),)
    first = replace(ACTIONS[0], steps=(replace(ACTIONS[0].steps[0], locks=locks),))
    admitted = admit(read_reviewed(SAVED, "p"), "hash", Plan(actions=(first, ACTIONS[1])))
    assert [bool(action.refused) for action in admitted.actions] == [True, True]


BAD = {
    "deep lists": "[" * 10_000,
    "deep objects": '{"a":' * 10_000 + "1" + "}" * 10_000,
    "deep within": SAVED.replace('"oid": 10', '"oid": ' + "[" * 10_000 + "]" * 10_000),
    "a huge number": '{"format": ' + "9" * 10_000 + "}",
    "an infinite number": '{"format": 1e999}',
    "not a number": '{"format": NaN}',
    "a NUL": "\0" + SAVED,
    "half": SAVED[: len(SAVED) // 2],
    "a mark of byte order": "\ufeff" + SAVED,
    "a text": '"plan"',
    "null": "null",
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_text_that_is_no_saved_plan_is_one_line(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        read_reviewed(text, "p")
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 300


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
keys = st.sampled_from(sorted(DOCUMENT))
action_keys = st.sampled_from(sorted(DOCUMENT["actions"][0]))


@given(keys, st.none() | values, st.booleans())
def test_any_value_in_any_place_is_refused_or_the_same(key: str, value: Any, drop: bool) -> None:
    document = {k: v for k, v in DOCUMENT.items() if k != key} if drop else {**DOCUMENT, key: value}
    assert_refused_or_same(document)


@given(action_keys, values, st.booleans())
def test_any_value_in_any_place_of_an_action_is_refused_or_the_same(
    key: str, value: Any, drop: bool
) -> None:
    first, second = DOCUMENT["actions"]
    changed = {k: v for k, v in first.items() if k != key} if drop else {**first, key: value}
    assert_refused_or_same({**DOCUMENT, "actions": [changed, second]})


def assert_refused_or_same(document: dict[str, Any]) -> None:
    try:
        reviewed = read_reviewed(json.dumps(document), "p")
    except UsageError:
        return
    assert reviewed == read_reviewed(SAVED, "p")


def test_refused_action_says_which_of_its_facts_has_changed() -> None:
    build = Action(
        ActionKind.CREATE_INDEX,
        "public.by_kind",
        (Step(("CREATE INDEX CONCURRENTLY by_kind ON public.events (kind)",), concurrent=True),),
        "missing",
        table="public.events",
        preconditions={"oid": 7, "leaves": {"public.events_10": 10}},
    )
    reviewed = ReviewedPlan("app", "hash", ("indexes",), (build.as_json(),))
    grown = replace(build, preconditions={"oid": 7, "leaves": {"public.events_11": 11}})
    (refused,) = admit(reviewed, "hash", Plan(actions=(grown,))).actions
    assert refused.object == "public.by_kind"
    assert "create_index public.by_kind: the partitions of its table" in (refused.refused or "")
