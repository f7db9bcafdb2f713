"""Build the set-based SQL that finds stale rows.

`%(cutoff)s` is the moment before which a calculation is too old. A row that was never calculated is
too old. If the policy names an activity table, a row is stale only if its activity is newer.
"""

from collections.abc import Sequence

from maintenance.names import quote
from maintenance.policy import StaleAnalyticsPolicy


def summary(section: StaleAnalyticsPolicy) -> str:
    """Return the query for the number of stale rows and the age of the oldest, in seconds."""
    at = f"t.{_name(section.calculated_at)}"
    return (
        "SELECT pg_catalog.count(*) AS n_stale,"
        f" pg_catalog.count(*) FILTER (WHERE {at} IS NULL) AS n_never,"
        " EXTRACT(epoch FROM %(now)s::pg_catalog.timestamptz - pg_catalog.min("
        f"{at}::pg_catalog.timestamptz) FILTER (WHERE pg_catalog.isfinite({at})))"
        f"::pg_catalog.float8 AS oldest_age_s FROM {_relation(section)} AS t WHERE {_old(section)}"
    )


def page(section: StaleAnalyticsPolicy, *, first: bool) -> str:
    """Return the query for the next `%(n)s` keys of stale rows, in key order.

    Args:
        section: the table.
        first: whether it is the first page; else keys come after `%(after_0)s`, `%(after_1)s`, …
    """
    keys = _keys(section.key)
    beyond = "" if first else f" AND {_row(keys)} > {_row(_places('after', keys))}"
    return (
        f"SELECT DISTINCT {', '.join(keys)} FROM {_relation(section)} AS t"
        f" WHERE {_old(section)}{_not_null(keys)}{beyond}"
        f" ORDER BY {', '.join(keys)} LIMIT %(n)s"
    )


def left_over(section: StaleAnalyticsPolicy) -> str:
    """Return the query for the keys of stale rows from `%(from_…)s` to `%(to_…)s`."""
    keys = _keys(section.key)
    return (
        f"SELECT {', '.join(keys)} FROM {_relation(section)} AS t WHERE {_old(section)}"
        f" AND {_row(keys)} >= {_row(_places('from', keys))}"
        f" AND {_row(keys)} <= {_row(_places('to', keys))}"
    )


def named(prefix: str, key: Sequence[object]) -> dict[str, object]:
    """Return the parameters for one key, such as `after_0`."""
    return {f"{prefix}_{place}": value for place, value in enumerate(key)}


def _old(section: StaleAnalyticsPolicy) -> str:
    at = f"t.{_name(section.calculated_at)}"
    old = f"({at} IS NULL OR {at} < %(cutoff)s::pg_catalog.timestamptz)"
    activity = section.activity
    if activity is None:
        return old
    pairs = zip(activity.key, section.key, strict=True)
    same = " AND ".join(f"a.{_name(theirs)} = t.{_name(ours)}" for theirs, ours in pairs)
    table = f"{_name(activity.table.schema)}.{_name(activity.table.name)}"
    return (
        f"{old} AND EXISTS (SELECT FROM {table} AS a WHERE {same}"
        f" AND a.{_name(activity.at)} > COALESCE({at}, '-infinity'))"
    )


def _relation(section: StaleAnalyticsPolicy) -> str:
    return f"{_name(section.table.schema)}.{_name(section.table.name)}"


def _keys(columns: Sequence[str]) -> list[str]:
    return [f"t.{_name(column)}" for column in columns]


def _places(prefix: str, keys: Sequence[str]) -> list[str]:
    return [f"%({prefix}_{place})s" for place in range(len(keys))]


def _row(values: Sequence[str]) -> str:
    return f"({', '.join(values)})"


def _not_null(keys: Sequence[str]) -> str:
    return "".join(f" AND {key} IS NOT NULL" for key in keys)


def _name(identifier: str) -> str:
    # The driver treats a percent sign as the start of a parameter.
    return quote(identifier).replace("%", "%%")
