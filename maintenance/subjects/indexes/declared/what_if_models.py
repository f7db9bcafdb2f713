"""What plans would be with indexes that are not built yet, or without others. Free of sessions."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from maintenance.names import QualifiedName
from maintenance.subjects.indexes.declared.query_models import QueryKey


class WantedIndex(NamedTuple):
    """An index that is not built yet.

    Attributes:
        statement: that creates it.
    """

    relation: QualifiedName
    table: QualifiedName
    statement: str


class PretendedQuery(NamedTuple):
    """One query as if an index were built, or dropped.

    Attributes:
        cost_before: as the planner estimates it now.
        cost_after: as it would estimate it.
        takes: whether its plan would use the index.
    """

    key: QueryKey
    cost_before: float
    cost_after: float
    takes: bool

    def as_json(self) -> dict[str, Any]:
        """The query for the detail of an action."""
        return {
            "query": self.key.query,
            "parameters": self.key.number,
            "cost_before": round(self.cost_before, 2),
            "cost_after": round(self.cost_after, 2),
            "takes": self.takes,
        }


@dataclass(slots=True)
class Pretended:
    """What is known of one index.

    Attributes:
        size_bytes: estimated; None for an index that there is.
        refused: SQLSTATE with which HypoPG refused it, such as for a GIN index.
    """

    queries: list[PretendedQuery] = field(default_factory=list[PretendedQuery])
    size_bytes: int | None = None
    refused: str | None = None

    def as_json(self) -> dict[str, Any]:
        """What is known, for the detail of an action."""
        return {
            "queries": [each.as_json() for each in self.queries],
            "size_bytes": self.size_bytes,
            "refused": self.refused,
        }


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What HypoPG shows.

    Attributes:
        version: of the extension; empty if it is not installed.
        can_hide: whether it can show what a drop costs.
        indexes: by name.
    """

    version: str = ""
    can_hide: bool = False
    indexes: dict[QualifiedName, Pretended] = field(default_factory=dict[QualifiedName, Pretended])

    def add(self, index: QualifiedName, query: PretendedQuery) -> None:
        """Add what is known of a query."""
        self._of(index).queries.append(query)

    def size(self, index: QualifiedName, size_bytes: int) -> None:
        """Set the estimated size of an index."""
        self._of(index).size_bytes = size_bytes

    def refuse(self, index: QualifiedName, sqlstate: str) -> None:
        """Note that an index can't be pretended."""
        self._of(index).refused = sqlstate

    def _of(self, index: QualifiedName) -> Pretended:
        return self.indexes.setdefault(index, Pretended())


NO_WHAT_IF = WhatIf()
"""Of a database without HypoPG."""
