"""How far keys have come that the application numbers itself, by sampled values: pure."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from maintenance.subjects.capacity.key_levels import dependents_of, wider_columns
from maintenance.subjects.capacity.models import (
    CapacityObservation,
    Cliff,
    Level,
    SampledKey,
    column_name,
    largest_of,
)

IN_ORDER = 0.9
"""Correlation of a column whose values were given one after the other."""
A_YEAR = timedelta(days=365)
EARLIEST_TIME = datetime(2000, 1, 1, tzinfo=UTC).timestamp()
FIRST_YEAR, LAST_YEAR = 1970, 2147


def sampled_levels(seen: CapacityObservation, now: datetime) -> Iterator[Level]:
    """Yield keys that the application numbers itself, by the largest value of the sample."""
    filled = {each.key for each in seen.columns}
    for key in seen.sampled_keys:
        if key.key in filled or not _is_numbered(key, now):
            continue
        limit = largest_of(key.n_bytes)
        references = [each for each in seen.references if each.target_key == key.key]
        facts = {
            "type_bytes": key.n_bytes,
            "sequence": None,
            "references": [each.object for each in references],
            "dependents": dependents_of(seen, key, *references),
            "last_value": key.most,
            "limit": limit,
            "left": limit - key.most,
        }
        name = column_name(key.table, key.column)
        statements = wider_columns(key.table, key.column, references)
        yield Level(Cliff.INTEGER_KEY, name, float(key.most), float(limit), facts, statements)


def _is_numbered(key: SampledKey, now: datetime) -> bool:
    """Whether values were given one after the other: hashes, codes and times are not."""
    is_in_order = key.correlation >= IN_ORDER and 0 <= key.least < key.most
    return is_in_order and not (_is_unix_time(key, now) or _is_date(key.least, key.most))


def _is_unix_time(key: SampledKey, now: datetime) -> bool:
    """Whether values may be seconds since 1970: they end in 2038, whatever is inserted."""
    latest = (now + A_YEAR).timestamp()
    is_recent = abs(key.most - now.timestamp()) < A_YEAR.total_seconds()
    return is_recent or (key.least >= EARLIEST_TIME and key.most <= latest)


def _is_date(*values: int) -> bool:
    """Whether values may be dates with hours, such as 2026113023."""
    return all(
        FIRST_YEAR <= value // 10**6 <= LAST_YEAR
        and 1 <= value // 10**4 % 100 <= 12  # noqa: PLR2004 - months
        and 1 <= value // 100 % 100 <= 31  # noqa: PLR2004 - days
        and value % 100 < 24  # noqa: PLR2004 - hours
        for value in values
    )
