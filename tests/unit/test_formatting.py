"""Names of others, shown to people: no character of theirs is obeyed, and each is seen."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance.engine.actions import Action, ActionKind
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.errors import MaintenanceError
from maintenance.formatting import visible, visible_lines
from maintenance.orchestration.markdown import code, plain, sql

HOSTILE = 'e"\x1b[2J\x07\r\u202egp\u2066\x9b1m\u200b\udcff'


def controls(text: str, *, but: str = "") -> list[str]:
    unseen = ("Cc", "Cf", "Zl", "Zp", "Cs")
    return [c for c in text if c not in but and unicodedata.category(c) in unseen]


@given(st.text(st.characters()))
def test_every_character_is_seen(text: str) -> None:
    assert controls(visible(text)) == []
    assert controls(visible_lines(text), but="\n") == []


@given(st.text(st.characters(categories=("L", "N", "P", "S"))))
def test_what_is_seen_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize(
    "shown",
    [
        str(MaintenanceError(f"{HOSTILE}: no such table")),
        MaintenanceError("no", hint=f"GRANT {HOSTILE}").hint,
        Finding(FindingKind.PARTITION_GAP, Severity.WARN, HOSTILE, f"{HOSTILE}: gone").message,
        Action(ActionKind.CREATE_PARTITION, HOSTILE, (), f"for {HOSTILE}").reason,
        code(HOSTILE),
        plain(HOSTILE),
        str(sql([f"DROP TABLE {HOSTILE}"]).value),
    ],
)
def test_sentences_and_markdown_escape_what_names_bring(shown: str) -> None:
    assert controls(shown, but="\n") == []
    assert "\\x1b" in shown
    assert "\\u202e" in shown


def test_object_of_a_finding_is_the_true_name() -> None:
    finding = Finding(FindingKind.PARTITION_GAP, Severity.WARN, HOSTILE, "gone")
    assert finding.as_json()["object"] == HOSTILE
