"""The runbook, for whoever looks at a finding: its entries travel with the software."""

import re
from collections.abc import Mapping
from functools import cache

from maintenance.engine.findings import FindingKind
from maintenance.server.sql_library import data_root

_ENTRY = re.compile(r"^## (\w+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_BY_ITSELF = re.compile(r"\*\*By\s+itself:\*\*(.*?)(?=\n\n|\*\*[A-Z]|\Z)", re.DOTALL)


def entry(kind: FindingKind) -> str:
    """Return what the runbook says of a kind, as Markdown: what it means, what to do."""
    return _entries()[kind.value]


def by_itself(kind: FindingKind) -> str:
    """Return in one sentence what the software does about a kind without being asked."""
    found = _BY_ITSELF.search(entry(kind))
    if found is None:
        return "nothing"
    first, *_ = re.split(r"(?<=[.;])\s", " ".join(found[1].split()), maxsplit=1)
    return first.rstrip(".;")


@cache
def _entries() -> Mapping[str, str]:
    text = (data_root() / "docs" / "runbook.md").read_text()
    return {kind: said.strip() for kind, said in _ENTRY.findall(text)}
