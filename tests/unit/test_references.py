"""The reference pages are what the code says."""

import pytest

from maintenance.engine.findings import FindingKind
from tests.references import PAGES, ROOT


@pytest.mark.parametrize("page", PAGES)
def test_page_is_what_is_generated(page: str) -> None:
    """`.venv/bin/python -m tests.references` writes it."""
    assert (ROOT / page).read_text(encoding="utf-8") == PAGES[page]()


def test_every_kind_is_listed_once() -> None:
    text = PAGES["docs/findings.md"]()
    assert [kind for kind in FindingKind if text.count(f"(runbook.md#{kind.value})") != 1] == []
