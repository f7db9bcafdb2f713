"""Checks whether the bounds in the catalog are plausible for the policy, which may be wrong.

An integer has no unit: 1793491200 is a November in seconds and 20 days after 1970 in milliseconds.
So the bounds are read by every known encoding, and the readings are compared.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from maintenance.catalog.models import DEFAULT_BOUND, Partition, Table
from maintenance.formatting import listed
from maintenance.partition_key import (
    FUTURE,
    PAST,
    Encoding,
    KeyCodec,
    KeyEncoding,
    Snowflake,
    types_of,
)
from maintenance.partition_set.bounds import bound_literals, codec_of, read_bound
from maintenance.partition_set.names import named_period, names_agree
from maintenance.periods import Interval, period_at
from maintenance.policy import PartitionPolicy

UNLIKELY_PAST = datetime(1971, 1, 1, tzinfo=UTC)
"""A wrong unit puts this century before this moment: 20991231 read as seconds is August 1970."""
_UNLIKELY_FUTURE = datetime(2500, 1, 1, tzinfo=UTC)

_PLAUSIBLE_FROM = datetime(1990, 1, 1, tzinfo=UTC)
_PLAUSIBLE_TO = datetime(2200, 1, 1, tzinfo=UTC)
"""The range in which bounds must lie to be plausible by an encoding other than the policy's."""

_CLOCK_CHANGE = timedelta(hours=2)
"""How much daylight saving makes a period longer or shorter, at most."""
_FURTHEST_ZONE = timedelta(hours=14)
_ZONE_STEP = timedelta(minutes=15)
"""Midnight in any zone of today is a multiple of this in UTC."""
_DAYS = {
    Interval.DAY: (1, 1),
    Interval.WEEK: (7, 7),
    Interval.MONTH: (28, 31),
    Interval.QUARTER: (90, 92),
    Interval.YEAR: (365, 366),
}
"""The minimum and maximum days of an interval."""
_FEW = 2
"""Up to this many partitions with odd bounds count as the beginning of a table."""
_SAME_WIDTH = 1.1
_SAMPLED = 20
"""How many ranges at either end are checked for quarters of an hour, which plain numbers miss."""

_MILLISECOND = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SNOWFLAKES = (
    Snowflake(datetime(2015, 1, 1, tzinfo=UTC), 22),
    Snowflake(_EPOCH + 1_288_834_974_657 * _MILLISECOND, 22),
    Snowflake(_EPOCH + 1_314_220_021_721 * _MILLISECOND, 23),
    Snowflake(_EPOCH, 22),
)
"""Of Discord, Twitter (Mastodon's is Unix), Instagram and the Unix epoch."""

_SHOWN = 3

_literals = cache(bound_literals)


class Range(NamedTuple):
    """A partition with its bounds read by the policy's encoding, in UTC."""

    lower: datetime
    upper: datetime
    partition: Partition

    @property
    def is_bounded(self) -> bool:
        """Whether it has two bounds."""
        return "MINVALUE" not in self.literals and "MAXVALUE" not in self.literals

    @property
    def literals(self) -> tuple[str, str]:
        """Its bounds as SQL text."""
        assert self.partition.bound is not None, "unreadable partitions were left out"
        return _literals(self.partition.bound)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A contradiction between the bounds and the policy.

    Attributes:
        text: the contradiction, in words, and a policy that would fit.
        data: the same as facts: `encoding` and `interval` that would fit, or None;
            `partitions` that do not fit.
    """

    text: str
    data: dict[str, Any]


def mismatch(policy: PartitionPolicy, table: Table, now: datetime) -> Mismatch | None:
    """Return the contradiction between a table's bounds and the policy, if any.

    Args:
        policy: the table's section.
        table: partitioned by RANGE of the policy's column, of a type that fits the encoding.
        now: aware; partitions that reach up to it or beyond may be the first of a table.
    """
    codec = codec_of(policy, table)
    bounds = ((p, p.bound) for p in table.partitions if p.bound not in (None, DEFAULT_BOUND))
    ranges: list[Range] = []
    for partition, bound in bounds:
        try:
            ranges.append(Range(*read_bound(bound or "", codec), partition))
        except ValueError:
            return _unreadable(policy, partition)
    if codec.encoding is Encoding.NATIVE:
        # For types of time one fitting range is enough: usually the first.
        if any(_fits(each, policy.interval, codec.encoding) for each in ranges):
            return None
        return _native_mismatch(policy, _in_order(ranges))
    return _encoded_mismatch(policy, codec, ranges, now)


def other_readings(policy: PartitionPolicy, table: Table, bound: str) -> Iterator["Reading"]:
    """Yield the readings of a bound by encodings other than the policy's.

    Raises:
        ValueError: it is not a range of one column.
    """
    codec = codec_of(policy, table)
    for encoding in _candidates(codec):
        if encoding != policy.encoding:
            found = _reading(encoding, codec, bound)
            if found is not None:
                other = KeyCodec(encoding, codec.type, codec.zone)
                lower, upper = other.first_moment(found.lower), other.last_moment(found.upper)
                yield Reading(encoding, lower, upper)


class Reading(NamedTuple):
    """A range as read by one encoding; `PAST` and `FUTURE` mean open bounds."""

    encoding: KeyEncoding
    lower: datetime
    upper: datetime


def _native_mismatch(policy: PartitionPolicy, ranges: Sequence[Range]) -> Mismatch | None:
    """Return the mismatch for a native key: only the interval can differ from the policy's."""
    bounded = [each for each in ranges if each.is_bounded]
    if not bounded:
        return None
    interval = _common_interval(bounded, policy.encoding)
    widths = [each.upper - each.lower for each in bounded]
    is_habit = len(bounded) > _FEW and max(widths) <= min(widths) * _SAME_WIDTH
    if interval is None and not is_habit:
        return None
    return _not_of_interval(policy, bounded, Guess(policy.encoding, interval, len(bounded)))


def _encoded_mismatch(
    policy: PartitionPolicy, codec: KeyCodec, ranges: Sequence[Range], now: datetime
) -> Mismatch | None:
    """Return the mismatch for integers or identifiers, if any."""
    clear: list[Range] = []
    odd: list[Range] = []
    for each in ranges:
        if _PLAUSIBLE_FROM <= each.lower < each.upper < _PLAUSIBLE_TO:
            clear.append(each)
        elif set(each.literals) != {"MINVALUE", "MAXVALUE"}:
            odd.append(each)
    if not clear and not odd:
        return None
    foreign = [each for each in odd if _means_another(codec, each)]
    unlikely = [each for each in odd if _is_unlikely(each)]
    known = [*clear, *odd]
    if foreign or len(unlikely) > len(known) / 2:
        return _of_another_encoding(policy, codec, _in_order(known), _in_order(foreign or unlikely))
    bounded = [*clear, *(each for each in odd if each.is_bounded)]
    if bounded and not _has_interval(policy, bounded, now):
        return _not_of_interval(policy, _in_order(bounded), _guess(codec, known))
    if not names_agree(policy, ranges):
        return _named_otherwise(policy, _in_order(ranges), _guess(codec, known))
    return None


def _in_order(ranges: Iterable[Range]) -> list[Range]:
    return sorted(ranges, key=lambda each: each.lower)


def _has_interval(policy: PartitionPolicy, bounded: Sequence[Range], now: datetime) -> bool:
    fits = any(_fits(each, policy.interval, policy.encoding) for each in bounded)
    if fits:
        # Adjacent ranges: with a fixed step between them, all may be on the clock by chance.
        sample = [*bounded[:_SAMPLED], *bounded[-_SAMPLED:]]
        return 2 * sum(map(_is_on_the_clock, sample)) >= len(sample)
    if _common_interval(bounded, policy.encoding) is not None:
        return False
    # A table may have begun in the middle of a period, or been converted with its past in one.
    return len(bounded) <= _FEW and any(
        each.upper > now and _is_plausible(each.lower, each.upper) and _is_on_the_clock(each)
        for each in bounded
    )


def _fits(each: Range, interval: Interval, encoding: KeyEncoding) -> bool:
    """Whether a range has the length of an interval, by the calendar of any zone."""
    if PAST in each or FUTURE in each:
        return False
    fewest, most = _DAYS[interval]
    width = each.upper - each.lower
    as_long = timedelta(fewest) - _CLOCK_CHANGE <= width <= timedelta(most) + _CLOCK_CHANGE
    return as_long and (encoding is Encoding.NATIVE or _is_on_the_clock(each))


def begins_a_period(moment: datetime, interval: Interval) -> bool:
    """Whether an interval begins at a moment, by the calendar of any zone."""
    utc = ZoneInfo("UTC")
    begin, _ = period_at(moment + _FURTHEST_ZONE, interval, utc).bounds(utc)
    return abs(begin - moment) <= _FURTHEST_ZONE


def _is_on_the_clock(each: Range) -> bool:
    return _on_the_clock(each.lower) and _on_the_clock(each.upper)


@cache
def _on_the_clock(moment: datetime) -> bool:
    return not (moment - _EPOCH) % _ZONE_STEP


def _common_interval(ranges: Sequence[Range], encoding: KeyEncoding) -> Interval | None:
    """Return the interval that matches the length of most ranges, if any."""
    for interval in Interval:
        n_fitting = sum(_fits(each, interval, encoding) for each in ranges)
        if 2 * n_fitting > len(ranges):
            return interval
    return None


def _is_unlikely(each: Range) -> bool:
    """Whether a range lies completely where a wrong unit puts this century."""
    lower, upper = each.literals
    if upper == "MAXVALUE":
        return each.lower >= _UNLIKELY_FUTURE
    return each.upper < UNLIKELY_PAST or (lower != "MINVALUE" and each.lower >= _UNLIKELY_FUTURE)


def _means_another(codec: KeyCodec, each: Range) -> bool:
    """Whether a range is plausible by another encoding, but not by the policy's."""
    if _plausible_reading(each.lower, each.upper, each.literals):
        return False
    bound = each.partition.bound or ""
    others = (e for e in _candidates(codec) if e != codec.encoding)
    return any(_reading(encoding, codec, bound) is not None for encoding in others)


def _candidates(codec: KeyCodec) -> Sequence[KeyEncoding]:
    integers = (
        Encoding.EPOCH_S,
        Encoding.EPOCH_MS,
        Encoding.EPOCH_US,
        Encoding.YYYY,
        Encoding.YYYYMM,
        Encoding.YYYYMMDD,
        *SNOWFLAKES,
    )
    own = codec.encoding
    if own not in integers and not isinstance(own, Snowflake):
        return (own,)
    return [own, *(e for e in integers if e != own and codec.type in types_of(e))]


@cache
def _reading(encoding: KeyEncoding, codec: KeyCodec, bound: str) -> Reading | None:
    """Read a bound by an encoding; None if the reading is not plausible."""
    literals = _literals(bound)
    other = KeyCodec(encoding, codec.type, codec.zone)
    lower, upper = (other.moment(literal) for literal in literals)
    if lower >= upper or not _plausible_reading(lower, upper, literals):
        return None
    # Every small number is a snowflake right after the epoch.
    if isinstance(encoding, Snowflake) and encoding.epoch in (lower, upper):
        return None
    # As a snowflake every number is some moment: only one on a clean boundary counts.
    is_vague = isinstance(encoding, Snowflake) or isinstance(codec.encoding, Snowflake)
    ends = [end for end in (lower, upper) if end not in (PAST, FUTURE)]
    if is_vague and encoding != codec.encoding and not all(map(_on_the_clock, ends)):
        return None
    return Reading(encoding, lower, upper)


def _plausible_reading(lower: datetime, upper: datetime, literals: tuple[str, str]) -> bool:
    ends = [
        end
        for end, literal in zip((lower, upper), literals, strict=True)
        if literal not in ("MINVALUE", "MAXVALUE")
    ]
    return bool(ends) and all(_PLAUSIBLE_FROM <= end < _PLAUSIBLE_TO for end in ends)


def _is_plausible(lower: datetime, upper: datetime) -> bool:
    return _PLAUSIBLE_FROM <= lower < upper < _PLAUSIBLE_TO


class Guess(NamedTuple):
    """A guess at encoding and interval; `n_ranges` bounds fit it."""

    encoding: KeyEncoding
    interval: Interval | None
    n_ranges: int


def _guess(codec: KeyCodec, ranges: Sequence[Range]) -> Guess | None:
    """Return the encoding by which most bounds are plausible; the policy's in a tie."""
    guesses = [_read_all(encoding, codec, ranges) for encoding in _candidates(codec)]
    found = [guess for guess in guesses if guess.n_ranges]
    if not found:
        return None
    return max(found, key=lambda guess: (guess.n_ranges, guess.interval is not None))


def _read_all(encoding: KeyEncoding, codec: KeyCodec, ranges: Sequence[Range]) -> Guess:
    read = [
        Range(reading.lower, reading.upper, each.partition)
        for each in ranges
        if (reading := _reading(encoding, codec, each.partition.bound or "")) is not None
    ]
    bounded = [each for each in read if each.is_bounded]
    return Guess(encoding, _common_interval(bounded, encoding) if bounded else None, len(read))


_MEANINGS = {
    Encoding.EPOCH_S: "seconds since 1970",
    Encoding.EPOCH_MS: "milliseconds since 1970",
    Encoding.EPOCH_US: "microseconds since 1970",
    Encoding.YYYY: "years",
    Encoding.YYYYMM: "years and months as digits",
    Encoding.YYYYMMDD: "dates as digits",
}


def _guess_text(policy: PartitionPolicy, guess: Guess | None) -> str:
    """Describe the probable encoding and interval, and the change to the policy."""
    if guess is None:
        return "they seem to be plain numbers, not time by any known encoding"
    long = "" if guess.interval is None else f" of {guess.interval.value}"
    remedies: list[str] = []
    if guess.encoding == policy.encoding:
        looks = f"they seem to be partitions{long}" if long else ""
    else:
        looks = f"they seem to be {_meaning(guess.encoding)}{long}"
        remedies.append(f"encoding: {_written(guess.encoding)}")
    if guess.interval not in (None, policy.interval):
        remedies.append(f"interval: {guess.interval.value}")
    fitting = f"if so, set {' and '.join(remedies)} in the policy" if remedies else ""
    return "; ".join(part for part in (looks, fitting) if part)


def _meaning(encoding: KeyEncoding) -> str:
    if isinstance(encoding, Snowflake):
        return "snowflake identifiers"
    return _MEANINGS.get(encoding, encoding.value)


def _written(encoding: KeyEncoding) -> str:
    if not isinstance(encoding, Snowflake):
        return encoding.value
    is_day = encoding.epoch.time() == datetime.min.time()
    epoch = f"{encoding.epoch:%Y-%m-%d}" if is_day else (encoding.epoch - _EPOCH) // _MILLISECOND
    return f"{{snowflake: {{epoch: {epoch}, shift: {encoding.shift}}}}}"


def _of_another_encoding(
    policy: PartitionPolicy, codec: KeyCodec, known: Sequence[Range], odd: Sequence[Range]
) -> Mismatch:
    guess = _guess(codec, known)
    example = odd[-1]
    n_odd, n_known = len(odd), len(known)
    share = f"{n_odd} of its {n_known} partitions" if n_odd < n_known else "its partitions"
    parts = [
        f"the bounds of {share} can't be {policy.encoding.value}:"
        f" {_example(example)} would lie in {_year(example)}"
    ]
    mixed = guess is not None and guess.encoding == policy.encoding
    if mixed:
        names = listed((each.partition.relation for each in odd), _SHOWN)
        parts.append(
            f"the others are {policy.encoding.value}; check {names}, and drop those"
            " that were created by mistake and are empty"
        )
    else:
        parts.append(_guess_text(policy, guess))
    return Mismatch("; ".join(parts), _facts(guess, odd))


def _not_of_interval(
    policy: PartitionPolicy, bounded: Sequence[Range], guess: Guess | None
) -> Mismatch:
    example = bounded[-1]
    advice = _guess_text(policy, guess)
    text = (
        f"none of its {len(bounded)} partitions has the length of the policy's interval"
        f" {policy.interval.value} by encoding {policy.encoding.value}: {_example(example)};"
        f" {advice}{'; ' if advice else ''}to change the interval on purpose, create the first"
        f" partition of {policy.interval.value} by hand"
    )
    return Mismatch(text, _facts(guess, bounded))


def _named_otherwise(
    policy: PartitionPolicy, ranges: Sequence[Range], guess: Guess | None
) -> Mismatch:
    named = [each for each in ranges if named_period(policy, each.partition.relation.name)]
    example = named[-1]
    text = (
        f"no partition has a name that matches its bounds read as {policy.encoding.value}:"
        f" {example.partition.relation} would begin on {_day(example.lower)}; check encoding"
        " (the epoch of a snowflake) and time_zone, or rename the partitions"
    )
    return Mismatch(text, _facts(guess, named))


def _unreadable(policy: PartitionPolicy, partition: Partition) -> Mismatch:
    text = (
        f"the bound of {partition.relation} can't be read as {policy.encoding.value}:"
        f" {partition.bound}; correct encoding or column in the policy"
    )
    partitions = [str(partition.relation)]
    return Mismatch(text, {"encoding": None, "interval": None, "partitions": partitions})


def _facts(guess: Guess | None, odd: Sequence[Range]) -> dict[str, Any]:
    return {
        "encoding": _written(guess.encoding) if guess is not None else None,
        "interval": guess.interval.value if guess is not None and guess.interval else None,
        "partitions": [str(each.partition.relation) for each in odd[:100]],
    }


def _example(each: Range) -> str:
    lower, upper = (literal.strip("'") for literal in each.literals)
    return f"{each.partition.relation} from {lower} to {upper}"


def _year(each: Range) -> str:
    moment = each.upper if each.lower == PAST else each.lower
    if moment in (PAST, FUTURE):
        return "a year before 1" if moment == PAST else "a year beyond 9999"
    return f"the year {moment.year}"


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}" if moment not in (PAST, FUTURE) else "no date"
