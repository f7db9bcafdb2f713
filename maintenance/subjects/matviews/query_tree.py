"""Read the objects that a stored query uses from its parse tree.

The tree holds the OIDs of all functions, operators and types as the server resolved them,
including built-ins, which have no rows in pg_depend, and expressions that are not functions, such
as CURRENT_DATE. Unknown nodes are reported, so that they make a proof impossible.
Source: PostgreSQL sources, nodes/outfuncs.c: a node is `{NAME :field value …}`; white space,
braces and backslashes inside of names are escaped by a backslash.
"""

import re
from dataclasses import dataclass, field

from maintenance.subjects.matviews.nodes import (
    FUNCTIONS,
    NODES,
    OPERATORS,
    PARSED,
    PRINTING,
    TYPES,
)

_TOKEN = re.compile(
    r"\\."
    r"|\{(?P<node>[A-Za-z]\w*)"
    r"|(?P<end>\})"
    r"| :(?P<field>[A-Za-z_]\w*)(?: (?P<value>\([bio][^(){}\\]*\)|[^ (){}\\]+))?",
    re.DOTALL,
)
_NOTHING = frozenset({"<>", "false", "0", "(b)"})

_UNSTEADY_NODES = {
    "SQLVALUEFUNCTION": "CURRENT_DATE, CURRENT_USER or a similar function",
    "TABLESAMPLECLAUSE": "TABLESAMPLE",
    "NEXTVALUEEXPR": "a sequence",
}
_TABLEOID = -6

FIRST_USER_OID = 16384
"""OIDs below this one belong to built-in objects."""


@dataclass(frozen=True, slots=True)
class Used:
    """The objects that one stored query uses.

    Attributes:
        relations: those it names, including views.
        parsed: types whose values it reads from text.
        prints: whether it converts values of any type to text.
        unsteady: its parts whose result may change although no row changed, as text.
    """

    functions: frozenset[int]
    operators: frozenset[int]
    types: frozenset[int]
    relations: frozenset[int] = frozenset()
    parsed: frozenset[int] = frozenset()
    prints: bool = False
    unsteady: tuple[str, ...] = ()


@dataclass(slots=True)
class _Reading:
    """The state of reading one tree."""

    functions: set[int] = field(default_factory=set[int])
    operators: set[int] = field(default_factory=set[int])
    types: set[int] = field(default_factory=set[int])
    relations: set[int] = field(default_factory=set[int])
    parsed: set[int] = field(default_factory=set[int])
    prints: bool = False
    unsteady: dict[str, None] = field(default_factory=dict[str, None])
    path: list[str] = field(default_factory=list[str])
    unsorted: set[int] = field(default_factory=set[int])

    def enter(self, node: str) -> None:
        self.path.append(node)
        self.unsorted.discard(len(self.path))
        self.prints |= node in PRINTING
        if node in _UNSTEADY_NODES:
            self.unsteady[_UNSTEADY_NODES[node]] = None
        elif node not in NODES:
            self.unsteady[f"the node {node}, which is not supported"] = None

    def take(self, name: str, value: str) -> None:
        node = self.path[-1]
        self._take_oids(node, name, value)
        if name == "varattno" and int(value) < 0 and int(value) != _TABLEOID:
            self.unsteady["a system column"] = None
        if name == "sortClause" and value == "<>":
            self.unsorted.add(len(self.path))
        is_limit = name in ("limitCount", "limitOffset") and value != "<>"
        if is_limit and len(self.path) in self.unsorted:
            self.unsteady["LIMIT or OFFSET without ORDER BY"] = None
        if node in NODES and name not in NODES[node] and value not in _NOTHING:
            self.unsteady[f"the field {node}.{name}, which is not supported"] = None

    def _take_oids(self, node: str, name: str, value: str) -> None:
        if name in FUNCTIONS:
            self.functions |= _oids(value)
        elif name in OPERATORS:
            self.operators |= _oids(value)
        elif name in TYPES:
            self.types |= _oids(value)
        elif name == "relid":
            self.relations |= _oids(value)
        if (node, name) in PARSED:
            self.parsed |= _oids(value)


def used_by(tree: str) -> Used:
    """Read a tree, such as pg_rewrite.ev_action, pg_proc.prosqlbody or pg_attrdef.adbin."""
    reading = _Reading()
    for token in _TOKEN.finditer(tree):
        if (node := token["node"]) is not None:
            reading.enter(node)
        elif token["end"] is not None:
            reading.path.pop()
        elif (name := token["field"]) is not None and reading.path:
            reading.take(name, token["value"] or "")
    if any(0 < oid < FIRST_USER_OID for oid in reading.relations):
        reading.unsteady["a system catalog"] = None
    return Used(
        functions=frozenset(reading.functions),
        operators=frozenset(reading.operators),
        types=frozenset(reading.types),
        relations=frozenset(reading.relations),
        parsed=frozenset(reading.parsed),
        prints=reading.prints,
        unsteady=tuple(reading.unsteady),
    )


def _oids(value: str) -> set[int]:
    """Read one OID, or a list such as `(o 23 25)`; zero is left out."""
    return {int(word) for word in value.strip("()").split() if word.isdigit()} - {0}
