"""Read a plan of EXPLAIN (FORMAT JSON): which indexes it uses, what it sorts, what it costs.

Pure. A plan's shape leaves out what differs from night to night without a decision of the planner:
estimates, workers, and how many partitions are read. It has no conditions, since those have values
of parameters.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

from maintenance.names import QualifiedName

Roots = Mapping[QualifiedName, QualifiedName]
"""The partitioned table or index of a partition or of an index of it."""

_KEEPS_ORDER = frozenset(
    {
        "Append",
        "BitmapAnd",
        "BitmapOr",
        "Bitmap Heap Scan",
        "Gather",
        "Gather Merge",
        "Limit",
        "Materialize",
        "Memoize",
        "Merge Append",
        "ProjectSet",
        "Result",
        "Subquery Scan",
        "Unique",
        "WindowAgg",
    }
)
"""Nodes that return rows in the order of their input, or would if it had an order."""

_TRANSPARENT = frozenset(
    {"Gather", "Gather Merge", "Hash", "Limit", "Materialize", "Memoize", "Result", "Subquery Scan"}
)
"""Nodes without a choice of an access path, left out of a shape."""

_APPENDS = frozenset({"Append", "Merge Append"})
SORTS = frozenset({"Sort", "Incremental Sort"})
_INDEX_SCANS = frozenset({"Index Scan", "Index Only Scan", "Bitmap Index Scan"})
_SEQUENTIAL = frozenset({"Seq Scan", "Sample Scan"})


@dataclass(frozen=True, slots=True)
class Access:
    """How a plan reads one relation.

    Attributes:
        relation: the table or view; the partitioned table of a partition.
        index: the index that it uses; the partitioned one of a partition's; None without one.
        sorted_after: whether the rows are sorted, although an index could have returned them in
            that order.
        narrowed: columns by which the index narrows the search; not stored.
    """

    relation: QualifiedName
    index: QualifiedName | None
    sorted_after: bool = False
    narrowed: frozenset[str] = frozenset()


class Buffers(NamedTuple):
    """Blocks of 8 kB that an execution touched."""

    hit: int = 0
    read: int = 0
    temp_read: int = 0
    temp_written: int = 0

    @property
    def total(self) -> int:
        """Blocks of tables and indexes, from the cache or not."""
        return self.hit + self.read


NO_BUFFERS = Buffers()


@dataclass(frozen=True)
class QueryPlan:
    """One plan.

    Attributes:
        cost: the planner's total cost.
        accesses: how it reads its relations, in the order of the plan, each once.
        shape: see the module.
        execution_ms: None if it was not executed.
        buffers: of the execution.
        sort_keys: what is sorted after `Access.sorted_after`.
    """

    cost: float
    accesses: tuple[Access, ...]
    shape: Any
    execution_ms: float | None = None
    planning_ms: float | None = None
    buffers: Buffers = NO_BUFFERS
    sort_keys: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """A hash of the shape."""
        return hashlib.sha256(json.dumps(self.shape).encode()).hexdigest()[:16]

    @property
    def indexes(self) -> frozenset[QualifiedName]:
        """The indexes that it uses."""
        return frozenset(each.index for each in self.accesses if each.index is not None)

    @property
    def scanned(self) -> frozenset[QualifiedName]:
        """The relations that it reads without an index."""
        return frozenset(each.relation for each in self.accesses if each.index is None)

    def uses(self, index: QualifiedName) -> bool:
        """Whether it uses an index."""
        return index in self.indexes

    def sorts_after(self, index: QualifiedName) -> bool:
        """Whether the rows of an index are sorted, although it could have returned them sorted."""
        return any(each.index == index and each.sorted_after for each in self.accesses)

    def reads(self, relation: QualifiedName) -> bool:
        """Whether it reads a relation."""
        return any(each.relation == relation for each in self.accesses)

    def describe(self) -> str:
        """Return how it reads each relation, in one line."""
        return ", ".join(dict.fromkeys(map(_said, self.accesses))) or "no table"

    def as_json(self) -> dict[str, Any]:
        """The plan as stored: without conditions, which have values of parameters."""
        return {
            "shape": self.shape,
            "accesses": [
                {
                    "relation": str(each.relation),
                    "index": str(each.index) if each.index is not None else None,
                    "sorted_after": each.sorted_after,
                }
                for each in self.accesses
            ],
        }


def _said(access: Access) -> str:
    how = f"index {access.index.name}" if access.index is not None else "sequential scan"
    return f"{access.relation.name} by {how}" + (", then a sort" if access.sorted_after else "")


@dataclass
class _Reading:
    roots: Roots
    accesses: list[Access] = field(default_factory=list[Access])
    sort_keys: list[str] = field(default_factory=list[str])


def read_plan(explained: Any, roots: Roots | None = None) -> QueryPlan:
    """Read the answer of EXPLAIN (VERBOSE, FORMAT JSON).

    Args:
        explained: the JSON value.
        roots: the partitioned table or index of each partition's.

    Raises:
        ValueError: it is no plan.
    """
    try:
        (top,) = explained
        root: Mapping[str, Any] = top["Plan"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError("not the JSON of EXPLAIN") from error
    reading = _Reading(roots or {})
    shape = _read(root, reading, None, None)
    return QueryPlan(
        cost=float(root["Total Cost"]),
        accesses=tuple(dict.fromkeys(reading.accesses)),
        shape=shape,
        execution_ms=_number(top.get("Execution Time")),
        planning_ms=_number(top.get("Planning Time")),
        buffers=Buffers(
            int(root.get("Shared Hit Blocks", 0)),
            int(root.get("Shared Read Blocks", 0)),
            int(root.get("Temp Read Blocks", 0)),
            int(root.get("Temp Written Blocks", 0)),
        ),
        sort_keys=tuple(dict.fromkeys(reading.sort_keys)),
    )


def names_in(explained: Any) -> frozenset[QualifiedName]:
    """Return the names of the relations and indexes in an answer of EXPLAIN."""
    return frozenset(_names(explained[0]["Plan"], None))


def removed_at_start(explained: Any) -> int:
    """Return how many partitions the start of an execution leaves out of a plan."""
    return _removed(explained[0]["Plan"])


def _removed(node: Mapping[str, Any]) -> int:
    return int(node.get("Subplans Removed", 0)) + sum(map(_removed, children_of(node)))


def renamed(plan: QueryPlan, name: Callable[[QualifiedName], QualifiedName]) -> QueryPlan:
    """Return a plan whose indexes have other names, such as those of hypothetical ones."""
    accesses = (
        replace(each, index=name(each.index)) if each.index is not None else each
        for each in plan.accesses
    )
    return replace(plan, accesses=tuple(accesses))


def _names(node: Mapping[str, Any], outer: QualifiedName | None) -> Iterator[QualifiedName]:
    relation = relation_of(node) or outer
    if relation is not None:
        yield relation
        index = node.get("Index Name")
        if index is not None:
            yield QualifiedName(relation.schema, index)
    for child in children_of(node):
        yield from _names(child, relation if node["Node Type"] in OF_BITMAPS else None)


OF_BITMAPS = frozenset({"Bitmap Heap Scan", "BitmapAnd", "BitmapOr"})


def _read(
    node: Mapping[str, Any],
    reading: _Reading,
    outer: QualifiedName | None,
    sort: Sequence[str] | None,
) -> Any:
    """Read a node and those below; return the shape.

    Args:
        node: of the plan.
        reading: takes what is found.
        outer: the table of the bitmap heap scan above.
        sort: the keys of a sort above, if rows reach it in the order of this node.
    """
    kind: str = node["Node Type"]
    relation = relation_of(node) or outer
    if kind in SORTS:
        keys: Sequence[str] = node.get("Sort Key", ())
        # What an incremental sort finds sorted, its input returns in order.
        sort = keys[len(node.get("Presorted Key", ())) :]
    own = _access(node, kind, relation, reading, sort)
    table = relation if kind in OF_BITMAPS else None
    below = [
        _read(child, reading, table, sort if passes_order(kind, child) else None)
        for child in children_of(node)
    ]
    return _shape(node, kind, own, [each for each in below if each is not None])


def _access(
    node: Mapping[str, Any],
    kind: str,
    relation: QualifiedName | None,
    reading: _Reading,
    sort: Sequence[str] | None,
) -> Access | None:
    if relation is None:
        return None
    table = reading.roots.get(relation, relation)
    found: Access | None = None
    if kind in _INDEX_SCANS:
        index = QualifiedName(relation.schema, node["Index Name"])
        narrowed = _narrowed(node.get("Index Cond", ""))
        found = Access(table, reading.roots.get(index, index), sort is not None, narrowed)
    elif kind in _SEQUENTIAL:
        found = Access(table, None, sort is not None)
    if found is not None:
        reading.accesses.append(found)
        if found.sorted_after:
            reading.sort_keys += sort or ()
    return found


_NAME = r'(?:"(?:[^"]|"")+"|[a-zA-Z_\u0080-\uffff][\w$]*)'
_CAST = r"\)::[^()<>=']+(?:\([\d,]+\))?"
_OPERATOR = r"(?:[-+*/<>=~!@#%^&|`?]+|IS|OPERATOR)"
_COMPARED = re.compile(rf"\((?:{_NAME}\.)*(?P<column>{_NAME})(?:{_CAST})? {_OPERATOR}")
_STRING = re.compile(r"'(?:[^']|'')*'")


def _narrowed(condition: str) -> frozenset[str]:
    """Return the columns of an index condition, which has those of the index on the left side."""
    found = (match["column"] for match in _COMPARED.finditer(_STRING.sub("''", condition)))
    return frozenset(each[1:-1].replace('""', '"') if each[0] == '"' else each for each in found)


def passes_order(kind: str, child: Mapping[str, Any]) -> bool:
    """Whether rows of a child leave its parent in their order."""
    role = child.get("Parent Relationship")
    if role in ("InitPlan", "SubPlan"):
        return False
    if kind == "Nested Loop":
        return role == "Outer"
    return kind in _KEEPS_ORDER or kind in SORTS


def _shape(node: Mapping[str, Any], kind: str, access: Access | None, below: Sequence[Any]) -> Any:
    if access is not None:
        index = str(access.index) if access.index is not None else None
        return ["scan", str(access.relation), index, *below]
    if kind in OF_BITMAPS or kind in _APPENDS:
        parts = _distinct(below)
        name = kind if kind in ("BitmapAnd", "BitmapOr") else "Append"
        return parts[0] if len(parts) == 1 else [name, *parts]
    if (kind in _TRANSPARENT or _is_of_workers(node, kind)) and len(below) <= 1:
        return below[0] if below else None
    name = "Sort" if kind in SORTS else kind
    join = node.get("Join Type")
    return [name if join is None else f"{name} {join}", *below]


def _is_of_workers(node: Mapping[str, Any], kind: str) -> bool:
    """Whether a node only puts together what parallel workers aggregated."""
    if kind == "Aggregate":
        return node.get("Partial Mode") == "Finalize"
    return kind in SORTS and any(
        child.get("Partial Mode") == "Partial" for child in children_of(node)
    )


def _distinct(shapes: Sequence[Any]) -> list[Any]:
    """Return each shape once, in an order that does not depend on the plan's."""
    by_text = {json.dumps(each): each for each in shapes}
    return [by_text[text] for text in sorted(by_text)]


def relation_of(node: Mapping[str, Any]) -> QualifiedName | None:
    """Return the relation that a node of a plan reads; None if it reads none by itself."""
    name = node.get("Relation Name")
    return QualifiedName(node.get("Schema", "public"), name) if name is not None else None


def children_of(node: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the nodes below one of a plan."""
    return node.get("Plans", ())


def _number(value: Any) -> float | None:
    return float(value) if value is not None else None
