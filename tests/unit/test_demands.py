"""The demands of the example systems: each has a proof that exists, or says what is missing.

The tests that are named as proofs run in the same suite, so that their existence is what is left to
be checked here.
"""

import re
from collections import Counter

import pytest

from tests.declared import SYSTEMS, declared
from tests.demands import (
    PAGE,
    Demand,
    State,
    fault_of_command,
    fault_of_page,
    fault_of_test,
    is_command,
    is_test,
    load,
    render,
)

CAPABILITIES, DEMANDS = load()
PROOFS = sorted({proof for demand in DEMANDS for proof in demand.proof})


def test_page_is_what_the_file_says() -> None:
    assert PAGE.read_text() == render(CAPABILITIES, DEMANDS), (
        "outdated; run .venv/bin/python -m tests.demands"
    )


def test_every_test_that_is_named_is_in_the_suite() -> None:
    faults = {each: fault_of_test(each) for each in PROOFS if is_test(each)}
    assert {each: fault for each, fault in faults.items() if fault} == {}


def test_every_command_that_is_named_exists() -> None:
    faults = {each: fault_of_command(each) for each in PROOFS if is_command(each)}
    assert {each: fault for each, fault in faults.items() if fault} == {}


def test_every_section_that_is_named_exists() -> None:
    pages = [each for each in PROOFS if not is_test(each) and not is_command(each)]
    faults = {each: fault_of_page(each) for each in pages}
    assert {each: fault for each, fault in faults.items() if fault} == {}


@pytest.mark.parametrize(
    "proof",
    [
        "maintenance applies",
        "maintenance plan --ot",
        "maintenance status nova",
        "maintenance alerts no",
    ],
)
def test_what_is_no_command_is_told(proof: str) -> None:
    assert fault_of_command(proof) is not None


@pytest.mark.parametrize(
    "proof",
    [
        "tests/unit/test_none.py::test_page_is_what_the_file_says",
        "tests/unit/test_demands.py::test_none",
        "tests/unit/test_demands.py::load",
        "tests/demands.py::load",
        "tests/crash/test_declared_rollout.py::test_rollout_and_undo_converge_after_the_server_crashed",
        "tests/crash/test_soak.py::test_no_row_is_lost_or_hidden_while_a_million_are_written",
    ],
)
def test_what_is_no_test_of_the_suite_is_told(proof: str) -> None:
    assert fault_of_test(proof) is not None


@pytest.mark.parametrize("proof", ["docs/none.md#undo", "docs/undo.md#redo", "docs/undo.md"])
def test_what_is_no_section_is_told(proof: str) -> None:
    assert fault_of_page(proof) is not None


def _is_sound(demand: Demand) -> bool:
    """Whether a demand has what its state needs, and nothing that contradicts it."""
    match demand.state:
        case State.YES:
            return any(map(is_test, demand.proof)) and not demand.missing
        case State.PARTLY | State.NO:
            return bool(demand.missing) and not demand.out_of_scope
        case State.OUT_OF_SCOPE:
            return bool(demand.out_of_scope) and not demand.proof and not demand.missing


def test_served_demands_have_a_test_and_the_others_say_what_is_missing() -> None:
    assert [demand.id for demand in DEMANDS if not _is_sound(demand)] == []


def test_ids_are_unique_and_of_a_system_and_sentences_end() -> None:
    assert [name for name, n in Counter(each.id for each in DEMANDS).items() if n > 1] == []
    assert list(dict.fromkeys(each.system for each in DEMANDS)) == list(SYSTEMS)
    assert [each.id for each in DEMANDS if not re.fullmatch(r"[a-z_]+/[\w-]+", each.id)] == []
    assert [each.id for each in DEMANDS if not each.demand.endswith(".")] == []


def test_every_capability_is_listed_and_asked_for() -> None:
    assert {each.capability for each in DEMANDS} == set(CAPABILITIES)


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_declared_index_and_drop_is_a_demand(system: str) -> None:
    ids = {each.id for each in DEMANDS}
    statements = declared(system)
    wanted = {f"{system}/{each.name}" for each in statements if each.creates}
    dropped = {f"{system}/drop-{name}" for each in statements for name in each.drops}
    assert (wanted | dropped) - ids == set()
