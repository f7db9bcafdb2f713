"""The runbook: its entries are part of the software and are shown with findings."""

import re
from collections.abc import Mapping
from functools import cache

from maintenance.engine.findings import FindingKind
from maintenance.server.sql_library import data_root

_ENTRY = re.compile(r"^## (\w+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_BY_ITSELF = re.compile(r"\*\*By\s+itself:\*\*(.*?)(?=\n\n|\*\*[A-Z]|\Z)", re.DOTALL)


def entry(kind: FindingKind) -> str:
    """Return the runbook's entry of a kind, as Markdown: its meaning and the remedy."""
    return _entries()[kind.value]


def by_itself(kind: FindingKind) -> str:
    """Return, in one sentence, the automatic action for a kind."""
    found = _BY_ITSELF.search(entry(kind))
    if found is None:
        return "nothing"
    first, *_ = re.split(r"(?<=[.;])\s", " ".join(found[1].split()), maxsplit=1)
    return first.rstrip(".;")


@cache
def _entries() -> Mapping[str, str]:
    text = (data_root() / "docs" / "runbook.md").read_text()
    return {kind: said.strip() for kind, said in _ENTRY.findall(text)}
