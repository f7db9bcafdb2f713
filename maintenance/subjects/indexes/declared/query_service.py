"""Whether declared queries are served by an index: a declared one, or another as good. Pure.

An index scan alone proves nothing, since it may read the whole index. Another index is as good if
the planner could have taken the declared one, and the other one narrows the search by all columns
by which that would; or by the first of them, where every row so found is read; or if it returns the
same order.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from maintenance.names import QualifiedName
from maintenance.policy.query_conditions import implies, may_stop_early
from maintenance.policy.query_sql import DeclaredQuery
from maintenance.subjects.indexes.declared.plan_reader import Access, QueryPlan
from maintenance.subjects.indexes.declared.query_models import QueryKey
from maintenance.subjects.indexes.declared.query_verdicts import ProvenIndex

DECLARED_QUERIES = "declared_queries"
"""The name of the share among the facts of a plan."""

WANTED_SHARE = 0.95
"""So many of the declared queries should be served by an index."""


class Service(StrEnum):
    """What serves a declared query."""

    DECLARED = "declared_index"
    ANOTHER = "another_index"
    SMALL = "small_table"
    """None, because its tables are read whole sooner; that proves nothing of the index."""
    NONE = "not_served"
    MISSING = "index_missing"
    """Its declared index does not exist."""
    UNKNOWN = "not_planned"


@dataclass(frozen=True, slots=True)
class QueryService:
    """What serves one query with one set of parameters.

    Attributes:
        index: the index that serves it.
        wanted: the declared indexes that are for it.
        text: why none does, in words; empty if one does or the reason is said elsewhere.
    """

    key: QueryKey
    service: Service
    index: QualifiedName | None = None
    wanted: tuple[QualifiedName, ...] = ()
    text: str = ""

    def as_json(self) -> dict[str, Any]:
        """The service for documents."""
        return {
            "query": self.key.query,
            "parameters": self.key.number,
            "service": self.service.value,
            "index": str(self.index) if self.index is not None else None,
            "wanted": [str(each) for each in self.wanted],
            "text": self.text,
        }


@dataclass(frozen=True, slots=True)
class Share:
    """The declared queries that have a declared index, and what serves them."""

    queries: tuple[QueryService, ...]

    def count(self, service: Service) -> int:
        """Return how many are served so."""
        return sum(each.service is service for each in self.queries)

    @property
    def value(self) -> float | None:
        """The share of those served by an index; None if none of them could be judged.

        Queries of small tables, and those whose index does not exist, are left out: the first prove
        nothing, and a missing index is a finding itself.
        """
        served = self.count(Service.DECLARED) + self.count(Service.ANOTHER)
        judged = served + self.count(Service.NONE)
        return served / judged if judged else None

    @property
    def counts(self) -> dict[str, int]:
        """How many are served in each way."""
        return {service.value: self.count(service) for service in Service}

    def as_json(self) -> dict[str, Any]:
        """The share for documents."""
        value = self.value
        return {
            "share": round(value, 4) if value is not None else None,
            "wanted": WANTED_SHARE,
            **self.counts,
            "queries": [each.as_json() for each in self.queries],
        }


def as_good(
    plan: QueryPlan,
    query: DeclaredQuery,
    wanted: ProvenIndex,
    others: Mapping[QualifiedName, ProvenIndex],
) -> QualifiedName | None:
    """Return the index that serves a query as well as a declared one would; None if none does.

    Args:
        plan: on which the server settles.
        query: the query.
        wanted: the declared index.
        others: all indexes of its table, by name.
    """
    if wanted.table in plan.scanned:
        return None
    for access in plan.accesses:
        other = others.get(access.index) if access.index is not None else None
        if other is None or access.relation != wanted.table or other.relation == wanted.relation:
            continue
        if _is_as_good(access, query, wanted, other):
            return other.relation
    return None


def _is_as_good(
    access: Access, query: DeclaredQuery, wanted: ProvenIndex, other: ProvenIndex
) -> bool:
    compared = [key.column for key in other.keys]
    narrowed = access.narrowed.intersection(compared)
    if other.is_unique and narrowed.issuperset(compared) and query.equal.issuperset(compared):
        return True  # it reads one row
    if not _had_the_choice(query, wanted, other):
        return False
    needed = list(_narrowing(query, wanted))
    if not needed:
        return wanted.method == "btree" and other.keys[: len(wanted.keys)] == wanted.keys
    if needed[0] not in narrowed:
        return False
    return narrowed.issuperset(needed) or _reads_all(access, query)


def _reads_all(access: Access, query: DeclaredQuery) -> bool:
    """Whether an access reads every row that its index finds.

    Then the planner's estimate of how many these are decides. One that reads on in an order until
    it has enough depends on where the rows are, which is not estimated.
    """
    is_ordered = query.order != () and not access.sorted_after
    return not is_ordered and not may_stop_early(query.text, access.relation.name)


def _had_the_choice(query: DeclaredQuery, wanted: ProvenIndex, other: ProvenIndex) -> bool:
    """Whether the planner could have taken the wanted index too, and estimated more cost with it.

    If the query does not imply the predicate of the wanted index, it could not.
    """
    if wanted.predicate is None or wanted.predicate == other.predicate:
        return True
    condition = wanted.condition or wanted.predicate
    return implies(query.text, wanted.table.name, condition)


def _narrowing(query: DeclaredQuery, index: ProvenIndex) -> Iterator[str]:
    """Yield the columns by which an index narrows the search for a query.

    These are its first ones that the query compares with `=`, and one more that has a range.
    """
    if index.method not in ("btree", "hash"):
        yield from (key.column or "" for key in index.keys)
        return
    for key in index.keys:
        if key.column is None:
            yield ""  # no column is named so: an expression can't be compared
            return
        if key.column in query.equal:
            yield key.column
            continue
        if key.column in query.ranged:
            yield key.column
        return


def said(share: Share) -> str:
    """Return a share in one line."""
    return said_json(share.as_json())


def said_json(share: Mapping[str, Any]) -> str:
    """Return a share in one line, from its document."""
    parts = ", ".join(
        f"{n} {text}" for service, text in _SAID.items() if (n := share[service.value])
    )
    value: float | None = share["share"]
    shown = f"{value:.0%} served, wanted {WANTED_SHARE:.0%}" if value is not None else "none judged"
    return f"{shown}: {parts}"


_SAID: Mapping[Service, str] = {
    Service.DECLARED: "by a declared index",
    Service.ANOTHER: "by another index that is as good",
    Service.SMALL: "read a small table whole",
    Service.NONE: "by none",
    Service.MISSING: "wait for an index that does not exist",
    Service.UNKNOWN: "could not be planned",
}


def named(queries: Sequence[QueryService], most: int = 5) -> str:
    """Return the names of a few queries."""
    more = f" and {len(queries) - most} more" if len(queries) > most else ""
    return f"{', '.join(str(each.key) for each in queries[:most])}{more}"
