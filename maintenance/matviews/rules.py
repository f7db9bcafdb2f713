"""What a stored query uses, read from the tree in which the server keeps it.

The tree holds the OID of every function, operator and type as the server resolved them, built-ins
too, which pg_depend leaves out; and what is no function at all, such as CURRENT_DATE.
Source: PostgreSQL sources, nodes/outfuncs.c: a node is `{NAME :field value …}`; white space and
braces inside of names are escaped, so what looks like a field is one.
"""

import re
from dataclasses import dataclass

_FUNCTION = re.compile(r":(?:funcid|aggfnoid|winfnoid|opfuncid) (\d+)")
_OPERATOR = re.compile(r":(?:opno|eqop|sortop) (\d+)")
_OPERATORS = re.compile(r":opnos \(o((?: \d+)*)\)")
_TYPE = re.compile(r":\w*(?:type|typeid|typeId) (\d+)")
_RELATION = re.compile(r":relid (\d+)")
_SYSTEM_COLUMN = re.compile(r":varattno -(\d+)")

_UNSTEADY_NODES = {
    "SQLVALUEFUNCTION": "CURRENT_DATE, CURRENT_USER or their like",
    "TABLESAMPLECLAUSE": "TABLESAMPLE",
    "NEXTVALUEEXPR": "a sequence",
}
_TABLEOID = "6"

FIRST_USER_OID = 16384
"""Everything below comes with the server."""


@dataclass(frozen=True, slots=True)
class Used:
    """What one stored query uses.

    Attributes:
        unsteady: what in it may give another answer though no row changed, in words.
    """

    functions: frozenset[int]
    operators: frozenset[int]
    types: frozenset[int]
    unsteady: tuple[str, ...]


def used_by(tree: str) -> Used:
    """Read a tree of pg_rewrite.ev_action or pg_proc.prosqlbody."""
    operators = {int(oid) for oid in _OPERATOR.findall(tree)}
    for listed in _OPERATORS.findall(tree):
        operators |= {int(oid) for oid in listed.split()}
    return Used(
        functions=frozenset(int(oid) for oid in _FUNCTION.findall(tree)) - {0},
        operators=frozenset(operators) - {0},
        types=frozenset(int(oid) for oid in _TYPE.findall(tree)) - {0},
        unsteady=tuple(_unsteady(tree)),
    )


def _unsteady(tree: str) -> list[str]:
    found = [words for node, words in _UNSTEADY_NODES.items() if "{" + node + " " in tree]
    if set(_SYSTEM_COLUMN.findall(tree)) - {_TABLEOID}:
        found.append("a system column")
    if any(0 < int(oid) < FIRST_USER_OID for oid in _RELATION.findall(tree)):
        found.append("a catalog of the server")
    return found
