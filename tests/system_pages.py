"""The measured part of the pages of the example systems, made from docs/systems/measured/.

`python -m tests.system_pages` writes it anew; `python -m tests.system_measurements` measures first.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from maintenance.formatting import readable_size
from tests.builders import ROOT
from tests.declared import SYSTEMS

PAGES = ROOT / "docs/systems"
_HEAD = "| wave | index | serves | plan claims |"
_COLUMNS = 4
"""So many columns are what the plan has; the others are measured."""
_MEASURED = " before | after | factor | claim reached | used |"
_BEGIN, _END = "<!-- measured -->", "<!-- /measured -->"
_LINE = 100

Measured = Mapping[str, Any]


class Pair(NamedTuple):
    """Something before and after, where less is better."""

    before: float
    after: float

    @property
    def less(self) -> float:
        """The part that is gone."""
        return 1 - self.after / self.before


class Claim(NamedTuple):
    """What a plan claims of more than one index.

    Attributes:
        pair: its key in `_PAIRS`.
        less: the part that is to be gone at least; negative where more is allowed.
    """

    text: str
    pair: str
    less: float


CLAIMS: Mapping[str, Sequence[Claim]] = {
    "unpuzzle": [
        Claim("queries 70-90 % faster", "queries", 0.7),
        Claim("at least 95 % of the queries use an index", "not served", 0.95),
    ],
    "lms": [
        Claim("reads 50-80 % faster", "queries", 0.5),
        Claim("writes 5-10 % faster without the six indexes", "writes", 0.05),
        Claim("indexes take 15-20 % more space at most", "indexes", -0.2),
        Claim("the database takes 5-8 % more space at most", "database", -0.08),
    ],
    "nova": [Claim("queries 10-25x faster", "queries", 0.9)],
    "learning_platform": [
        Claim("average query 250 to 45 ms (5.5x)", "queries", 1 - 1 / 5.5),
        Claim("analytics through the views 2500 to 180 ms (14x)", "views", 1 - 1 / 14),
    ],
    "proposals": [
        Claim("API 20-40 % faster", "queries", 0.2),
        Claim("analytics dashboard 50-70 % faster", "views", 0.5),
    ],
}


def load(system: str) -> Measured:
    """Return what was measured of a system."""
    found: Measured = json.loads((PAGES / f"measured/{system}.json").read_text())
    return found


def rendered(page: str, measured: Measured) -> str:
    """Return a page with its measured part replaced."""
    block = "\n".join([_BEGIN, *_block(measured), _END])
    return re.sub(f"{_BEGIN}.*{_END}", lambda _: block, with_times(page, measured), flags=re.DOTALL)


def with_times(page: str, measured: Measured) -> str:
    """Return a page with the measured columns of its table of indexes replaced."""
    lines = page.splitlines()
    head = next(n for n, line in enumerate(lines) if line.startswith(_HEAD))
    end = next(n for n in range(head, len(lines)) if not lines[n].startswith("|"))
    table = [
        _HEAD + _MEASURED,
        "|---" * (_COLUMNS + _MEASURED.count("|")) + "|",
        *(_row(line, measured) for line in lines[head + 2 : end]),
    ]
    return "\n".join([*lines[:head], *table, *lines[end:]]) + "\n"


def _row(line: str, measured: Measured) -> str:
    cells = [cell.strip() for cell in line.strip("|").split(" | ")][:_COLUMNS]
    found = measured["indexes"][cells[1].strip("`")]
    pair = Pair(found["before_ms"], found["after_ms"])
    ratio = found["ratio"]
    factor = f"{_number(ratio)}x" if ratio is not None else "in the spread"
    reached = {None: "", True: "yes", False: "no"}[_reached(cells[3], pair, ratio)]
    shown = [*cells, _ms(pair.before), _ms(pair.after), factor, reached, _use(found, measured)]
    return f"| {' | '.join(shown)} |"


def _reached(claim: str, pair: Pair, ratio: float | None) -> bool | None:
    """Whether a claim of one index holds by its lowest number; None if it has no number."""
    if times := re.search(r"(\d+)x", claim):
        return ratio is not None and ratio >= float(times[1])
    if percent := re.search(r"(\d+)(?:-\d+)? %", claim):
        return ratio is not None and pair.less >= float(percent[1]) / 100
    if limit := re.search(r"to (?:\d+-)?(\d+) ms", claim):
        return pair.after <= float(limit[1])
    return None


def _use(found: Mapping[str, Any], measured: Measured) -> str:
    if found["verdict"] == "used":
        return "yes"
    if found["verdict"] != "not used":
        return "yes, and sorts"
    served = {
        each["index"].partition(".")[2].strip('"')
        for key, each in measured["served"]["by"].items()
        if key.rpartition(" ")[0] == found["query"] and each["service"] == "another_index"
    }
    if served:
        return f"no: `{'`, `'.join(sorted(served))}` serves as well"
    reason = {"table_too_small": "small table", "another_index": "another index is estimated less"}
    return f"no: {reason.get(found['reason'], found['reason'])}"


def _block(measured: Measured) -> Iterator[str]:
    yield (
        f"PostgreSQL {measured['server_version']}, {measured['n_rows']:,} rows, {measured['date']}:"
        " made by `make claims`."
    )
    yield ""
    yield "| the plan claims of all | measured | before | after | change | claim reached |"
    yield "|---|---|---|---|---|---|"
    for claim in CLAIMS[measured["system"]]:
        what, pair, show = _PAIRS[claim.pair](measured)
        reached = "yes" if pair.less >= claim.less else "no"
        cells = [
            claim.text,
            what,
            show(pair.before),
            show(pair.after),
            f"{-pair.less:+.1%}",
            reached,
        ]
        yield f"| {' | '.join(cells)} |"


def _of_queries(measured: Measured) -> tuple[str, Pair, Any]:
    known = [each for each in measured["queries"].values() if each["before_ms"] is not None]
    pair = Pair(sum(each["before_ms"] for each in known), sum(each["after_ms"] for each in known))
    return f"each of {len(known)} declared queries once", pair, _ms


def _of_views(measured: Measured) -> tuple[str, Pair, Any]:
    known = list(measured["views"].values())
    pair = Pair(sum(each["tables_ms"] for each in known), sum(each["view_ms"] for each in known))
    return f"{len(known)} queries on the tables, and on the views", pair, _ms


def _of_writes(measured: Measured) -> tuple[str, Pair, Any]:
    found = measured["writes"]
    text = f"all rows of {len(found['tables'])} tables inserted, with these indexes and without"
    return text, Pair(found["with_ms"], found["without_ms"]), _ms


def _of_indexes(measured: Measured) -> tuple[str, Pair, Any]:
    sizes = [measured["sizes"][when]["indexes"] for when in ("before", "after")]
    return "size of all indexes", Pair(*sizes), readable_size


def _of_database(measured: Measured) -> tuple[str, Pair, Any]:
    sizes = [sum(measured["sizes"][when].values()) for when in ("before", "after")]
    return "size of all tables and indexes", Pair(*sizes), readable_size


def _not_served(measured: Measured) -> tuple[str, Pair, Any]:
    by = [each["service"] for each in measured["served"]["by"].values()]
    judged = [each for each in by if each != "small_table"]
    missed = sum(each not in ("declared_index", "another_index") for each in judged)
    own = judged.count("declared_index")
    text = f"sets of parameters that no index serves; {own} by a declared one"
    return text, Pair(len(judged), missed), str


_PAIRS: Mapping[str, Any] = {
    "queries": _of_queries,
    "views": _of_views,
    "writes": _of_writes,
    "indexes": _of_indexes,
    "database": _of_database,
    "not served": _not_served,
}


def _ms(value: float) -> str:
    return f"{_number(value)} ms"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def write(systems: Sequence[str] = SYSTEMS, folder: Path = PAGES) -> None:
    """Write the measured part of the pages anew."""
    for system in systems:
        page = folder / f"{system}.md"
        page.write_text(rendered(page.read_text(), load(system)))


if __name__ == "__main__":
    write()
