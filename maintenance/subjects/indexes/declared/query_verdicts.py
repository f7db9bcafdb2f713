"""Whether a query uses an index, and why not, from plans alone. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from maintenance.names import QualifiedName
from maintenance.policy.query_sql import DeclaredQuery, Order
from maintenance.subjects.indexes.declared.plan_reader import QueryPlan
from maintenance.subjects.indexes.declared.query_models import PlanMode, PlannedSet

SMALL_PAGES = 64
"""A table of so many 8 kB blocks is read whole sooner than through an index."""


class Use(StrEnum):
    """How a query uses an index."""

    USED = "used"
    SORTS = "used but still sorts"
    UNUSED = "not used"


class Reason(StrEnum):
    """Why a query does not use an index, or sorts all the same, or may stop using it."""

    PARAMETER = "parameter_hides_predicate"
    GENERIC = "generic_plan_differs"
    SMALL = "table_too_small"
    COST = "another_plan_is_cheaper"
    PREDICATE = "predicate_not_implied"
    EXPRESSION = "expression_differs"
    LEADING = "leading_column_unconstrained"
    RANGE_FIRST = "range_column_first"
    ORDER = "order_differs"
    ANOTHER = "another_index"
    AS_GOOD = "another_index_as_good"
    UNKNOWN = "unknown"


class IndexKey(NamedTuple):
    """A key of an index.

    Attributes:
        column: None for an expression.
    """

    column: str | None
    descending: bool = False
    nulls_first: bool = False


@dataclass(frozen=True, slots=True)
class ProvenIndex:
    """An index whose use is judged.

    Attributes:
        table: the table, or the partitioned table.
        predicate: of a partial index.
        included: INCLUDE columns.
        pages: 8 kB blocks of the table, with its partitions; None if unknown.
        serves: the queries that it is declared to serve.
        expect: how many times faster they are expected to become; None if nothing is declared.
        condition: the predicate as it is declared, which is how queries are written too.
        is_unique: whether it is unique.
    """

    relation: QualifiedName
    table: QualifiedName
    keys: tuple[IndexKey, ...]
    predicate: str | None = None
    included: frozenset[str] = frozenset()
    method: str = "btree"
    pages: int | None = None
    serves: tuple[str, ...] = ()
    expect: float | None = None
    condition: str | None = None
    is_unique: bool = False

    @property
    def is_of_small_table(self) -> bool:
        """Whether its table is so small that plans without it prove nothing."""
        return self.pages is not None and self.pages <= SMALL_PAGES


class QueryUse(NamedTuple):
    """How one query with one set of parameters uses an index.

    Attributes:
        text: the reason in words, without values; empty if there is nothing to say.
        is_cautious: it is used now, and not by a generic plan.
    """

    use: Use
    reason: Reason | None = None
    text: str = ""
    is_cautious: bool = False


def judge(
    index: ProvenIndex, query: DeclaredQuery, planned: PlannedSet, settled: PlanMode
) -> QueryUse:
    """Return how a query uses an index, by the plan that the server settles on."""
    name = index.relation
    if not planned.plan(settled).uses(name):
        return _unused(index, query, planned, settled)
    use = _used(index, query, planned.plan(settled))
    if settled is PlanMode.CUSTOM and not _uses(planned.generic, name):
        reason, text = _generic(index)
        return use._replace(
            reason=use.reason or reason,
            text="; ".join(filter(None, (use.text, text))),
            is_cautious=True,
        )
    return use


def _uses(plan: QueryPlan | None, name: QualifiedName) -> bool:
    return plan is None or plan.uses(name)


def _used(index: ProvenIndex, query: DeclaredQuery, plan: QueryPlan) -> QueryUse:
    # Few rows are sorted sooner than read in order; other methods have no order.
    is_choice = returns_order(index, query) or index.method != "btree"
    if is_choice or not plan.sorts_after(index.relation):
        return QueryUse(Use.USED)
    return QueryUse(Use.SORTS, Reason.ORDER, _order_text(index, query))


def _generic(index: ProvenIndex) -> tuple[Reason, str]:
    if index.predicate is not None:
        text = (
            "a generic plan can't use it: a parameter does not imply its predicate"
            f" ({index.predicate}); write the condition as a constant"
        )
        return Reason.PARAMETER, text
    return Reason.GENERIC, "a generic plan does not use it"


def _unused(
    index: ProvenIndex, query: DeclaredQuery, planned: PlannedSet, settled: PlanMode
) -> QueryUse:
    name = index.relation
    if settled is PlanMode.GENERIC and planned.custom.uses(name):
        return QueryUse(Use.UNUSED, *_generic(index))
    forced = planned.forced or planned.custom
    can_serve = forced.uses(name)
    extended = planned.extended.get(name)
    if not can_serve and extended is not None and extended.uses(name):
        text = f"its conditions do not imply the predicate of the index ({index.predicate})"
        return QueryUse(Use.UNUSED, Reason.PREDICATE, text)
    if index.is_of_small_table:
        text = f"{index.table} has {index.pages} blocks of 8 kB, which are read whole sooner"
        return QueryUse(Use.UNUSED, Reason.SMALL, text)
    shown = _shown_by_keys(index, query, planned.custom)
    if shown is not None:
        return QueryUse(Use.UNUSED, *shown)
    if can_serve:
        text = (
            f"the planner estimates a cost of {planned.custom.cost:,.0f} without it and of"
            f" {forced.cost:,.0f} with it"
        )
        return QueryUse(Use.UNUSED, Reason.COST, text)
    return QueryUse(Use.UNUSED, *_not_shown_by_keys(index, planned.custom))


def _shown_by_keys(
    index: ProvenIndex, query: DeclaredQuery, plan: QueryPlan
) -> tuple[Reason, str] | None:
    """Return the reason that its keys and the query's columns show."""
    first = index.keys[0]
    if any(key.column is None for key in index.keys) and not plan.uses(index.relation):
        return Reason.EXPRESSION, "the query does not use the very expression of the index"
    if index.method != "btree" or first.column is None:
        return None
    ordered = {item.column for item in query.order or ()}
    if first.column not in query.equal | query.ranged | ordered:
        text = f"the query does not restrict its first column {first.column}"
        return Reason.LEADING, text
    more = [key.column for key in index.keys[1:]]
    if first.column in query.ranged - query.equal and _any_in(more, query):
        text = (
            f"its first column {first.column} is compared by a range, so the columns behind it"
            " narrow the search no further; put columns compared with = first"
        )
        return Reason.RANGE_FIRST, text
    if query.order and not returns_order(index, query):
        return Reason.ORDER, _order_text(index, query)
    return None


def _any_in(columns: list[str | None], query: DeclaredQuery) -> bool:
    return any(column in query.equal | query.ranged for column in columns)


def _not_shown_by_keys(index: ProvenIndex, plan: QueryPlan) -> tuple[Reason, str]:
    if index.predicate is not None and index.table in plan.scanned:
        text = f"its conditions may not imply the predicate of the index ({index.predicate})"
        return Reason.PREDICATE, text
    others = [
        each.index.name
        for each in plan.accesses
        if each.relation == index.table and each.index is not None
    ]
    if others:
        return Reason.ANOTHER, f"the planner takes {', '.join(dict.fromkeys(others))}"
    return Reason.UNKNOWN, "its plan does not show why"


def returns_order(index: ProvenIndex, query: DeclaredQuery) -> bool:
    """Whether an index returns rows in a query's order, behind columns with one value each."""
    if not query.order:
        return query.order is not None
    keys = [key for key in index.keys if key.column not in query.equal]
    wanted = [item for item in query.order if item.column not in query.equal]
    if len(keys) < len(wanted):
        return False
    pairs = list(zip(keys, wanted, strict=False))
    return any(all(_matches(key, item, turned) for key, item in pairs) for turned in (False, True))


def _matches(key: IndexKey, item: Order, turned: bool) -> bool:
    return (
        key.column == item.column
        and (key.descending != item.descending) is turned
        and (key.nulls_first != item.nulls_first) is turned
    )


def _order_text(index: ProvenIndex, query: DeclaredQuery) -> str:
    if query.order is None:
        return "the query orders by an expression"
    wanted = [item.column for item in query.order if item.column not in query.equal]
    only_included = [column for column in wanted if column in index.included]
    if only_included:
        return f"{only_included[0]} is only included, and included columns have no order"
    keys = [key.column or "an expression" for key in index.keys if key.column not in query.equal]
    if keys[: len(wanted)] == wanted:
        return "the query orders in another direction, or with nulls at the other end"
    behind = ", ".join(keys) or "no column"
    return f"it is ordered by {behind}, and the query by {', '.join(wanted)}"
