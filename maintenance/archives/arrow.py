"""Converts columns of COPY text to Arrow arrays and back, exactly or not at all.

Each type has a conversion in both directions. A value that does not convert back to exactly the
same text (infinity, NaN, years out of Arrow's range) is refused, with column and value.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from importlib import import_module
from typing import Any, NamedTuple

from maintenance.archives.manifest import Column
from maintenance.errors import ArchiveError
from maintenance.names import quote

# Its own types are not known to the checker.
pa: Any = import_module("pyarrow")
pc: Any = import_module("pyarrow.compute")

Array = Any

MAX_DECIMAL_DIGITS = 76
_DECIMAL128_DIGITS = 38
_FLOAT_DIGITS = {"real": 6, "double precision": 15}
"""Below ten to this power PostgreSQL writes a float without an exponent."""
_SMALLEST_PLAIN_EXPONENT = -4

_NUMERIC = re.compile(r"numeric\((?P<precision>\d+),(?P<scale>\d+)\)\Z")
_MODIFIER = re.compile(r"\([^)]*\)")
_HINT = "archive this table with format: copy, which supports every type"


class Codec(NamedTuple):
    """The conversion of one type to Arrow and back, for whole arrays."""

    type: Any
    parse: Callable[[Array], Array]
    render: Callable[[Array], Array]


def codec_of(column: Column) -> Codec:
    """Return the conversion for a column.

    Raises:
        ArchiveError: Arrow has no exact counterpart for its type.
    """
    base = _MODIFIER.sub("", column.type)
    numeric = _NUMERIC.match(column.type)
    if numeric is not None:
        precision, scale = int(numeric["precision"]), int(numeric["scale"])
        if scale <= precision <= MAX_DECIMAL_DIGITS:
            return _decimal(precision, scale)
    if base in _CODECS:
        return _CODECS[base]()
    raise ArchiveError(
        f"column {quote(column.name)}: type {column.type} can't be stored exactly as Parquet",
        hint=_HINT,
        reason="inexact_type",
    )


def to_arrow(column: Column, codec: Codec, texts: Array) -> Array:
    """Convert the texts of one column to values, and check that they convert back exactly.

    Raises:
        ArchiveError: a value has no exact counterpart; the error names it.
    """
    try:
        values = codec.parse(texts)
        rendered = codec.render(values)
    except (pa.ArrowInvalid, ValueError):
        raise _refused(column, _first_bad(codec, texts)) from None
    different = pc.fill_null(pc.not_equal(rendered, texts), False)
    if pc.any(different).as_py():
        raise _refused(column, texts.filter(different)[0].as_py())
    return values


def unescape(texts: Array) -> Array:
    r"""Remove COPY's escapes; `\N` becomes null."""
    texts = pc.if_else(pc.equal(texts, "\\N"), pa.scalar(None, pa.string()), texts)
    if not pc.any(pc.match_substring(texts, "\\")).as_py():
        return texts
    # No text contains a NUL, so it can replace the escaped backslash meanwhile.
    texts = pc.replace_substring(texts, "\\\\", "\0")
    for character, escaped in _ESCAPES.items():
        texts = pc.replace_substring(texts, escaped, character)
    return pc.replace_substring(texts, "\0", "\\")


def escape(texts: Array) -> Array:
    r"""Add COPY's escapes; null becomes `\N`."""
    texts = pc.replace_substring(texts, "\\", "\\\\")
    for character, escaped in _ESCAPES.items():
        texts = pc.replace_substring(texts, character, escaped)
    return pc.fill_null(texts, "\\N")


_ESCAPES = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}


def _refused(column: Column, value: str) -> ArchiveError:
    return ArchiveError(
        f"column {quote(column.name)}: value {value!r} of type {column.type}"
        " can't be stored exactly as Parquet",
        hint=_HINT,
        reason="inexact_value",
    )


def _first_bad(codec: Codec, texts: Array) -> str:
    for number in range(len(texts)):
        try:
            codec.render(codec.parse(texts.slice(number, 1)))
        except (pa.ArrowInvalid, ValueError):
            return texts[number].as_py()
    return "?"


def _plain(type_: Any) -> Codec:
    return Codec(type_, _cast(type_), _cast(pa.string()))


def _cast(type_: Any) -> Callable[[Array], Array]:
    def cast(array: Array) -> Array:
        return pc.cast(array, type_)

    return cast


def _text() -> Codec:
    return _plain(pa.string())


def _boolean() -> Codec:
    def parse(texts: Array) -> Array:
        return pc.equal(texts, "t")

    def render(values: Array) -> Array:
        return pc.if_else(values, "t", "f")

    return Codec(pa.bool_(), parse, render)


def _float(base: str) -> Codec:
    type_ = pa.float32() if base == "real" else pa.float64()
    digits = _FLOAT_DIGITS[base]

    def parse(texts: Array) -> Array:
        return pc.cast(pc.utf8_lower(pc.replace_substring(texts, "Infinity", "inf")), type_)

    def render(values: Array) -> Array:
        shortest = pc.cast(values, pa.string()).to_pylist()
        texts = [None if text is None else _float_text(text, digits) for text in shortest]
        return pa.array(texts, pa.string())

    return Codec(type_, parse, render)


def _float_text(shortest: str, digits: int) -> str:
    """Format a float's shortest digits like PostgreSQL's output function."""
    if shortest.endswith(("inf", "nan")):
        return shortest.replace("inf", "Infinity").replace("nan", "NaN")
    number = Decimal(shortest).normalize()
    if not number:
        return "-0" if number.is_signed() else "0"
    exponent = number.adjusted()
    if _SMALLEST_PLAIN_EXPONENT <= exponent < digits:
        return f"{number:f}"
    sign, figures, _ = number.as_tuple()
    first, *rest = map(str, figures)
    mantissa = f"{first}.{''.join(rest)}" if rest else first
    return f"{'-' if sign else ''}{mantissa}e{exponent:+03d}"


def _decimal(precision: int, scale: int) -> Codec:
    narrow = precision <= _DECIMAL128_DIGITS
    type_ = (pa.decimal128 if narrow else pa.decimal256)(precision, scale)

    def render(values: Array) -> Array:
        texts = pc.cast(values, pa.string())
        if not pc.any(pc.match_substring(texts, "E")).as_py():
            return texts
        plain = [None if v is None else f"{v:f}" for v in values.to_pylist()]
        return pa.array(plain, pa.string())

    return Codec(type_, _cast(type_), render)


def _temporal(type_: Any) -> Codec:
    def render(values: Array) -> Array:
        texts = pc.replace_substring_regex(pc.cast(values, pa.string()), r"(\.\d*?)0+$", r"\1")
        return pc.replace_substring_regex(texts, r"\.$", "")

    return Codec(type_, _cast(type_), render)


def _time() -> Codec:
    type_ = pa.time64("us")
    on_a_day = _temporal(pa.timestamp("us"))

    def parse(texts: Array) -> Array:
        dated = pc.binary_join_element_wise(pa.scalar("1970-01-01"), texts, " ")
        return pc.cast(on_a_day.parse(dated), type_)

    return Codec(type_, parse, _temporal(type_).render)


def _moment() -> Codec:
    local = _temporal(pa.timestamp("us"))

    def parse(texts: Array) -> Array:
        return pc.assume_timezone(
            local.parse(pc.replace_substring_regex(texts, r"\+00$", "")), "UTC"
        )

    def render(values: Array) -> Array:
        texts = local.render(pc.local_timestamp(values))
        return pc.binary_join_element_wise(texts, pa.scalar("+00"), "")

    return Codec(pa.timestamp("us", "UTC"), parse, render)


def _bytes() -> Codec:
    def parse(texts: Array) -> Array:
        found = [None if t is None else bytes.fromhex(t[2:]) for t in texts.to_pylist()]
        return pa.array(found, pa.binary())

    def render(values: Array) -> Array:
        texts = [None if v is None else f"\\x{v.hex()}" for v in values.to_pylist()]
        return pa.array(texts, pa.string())

    return Codec(pa.binary(), parse, render)


_CODECS: dict[str, Callable[[], Codec]] = {
    "boolean": _boolean,
    "smallint": lambda: _plain(pa.int16()),
    "integer": lambda: _plain(pa.int32()),
    "bigint": lambda: _plain(pa.int64()),
    "real": lambda: _float("real"),
    "double precision": lambda: _float("double precision"),
    "date": lambda: _plain(pa.date32()),
    "time without time zone": _time,
    "timestamp without time zone": lambda: _temporal(pa.timestamp("us")),
    "timestamp with time zone": _moment,
    "bytea": _bytes,
} | dict.fromkeys(
    (
        "text",
        "character varying",
        "character",
        "name",
        "json",
        "jsonb",
        "xml",
        "uuid",
        "inet",
        "cidr",
        "macaddr",
    ),
    _text,
)
"""Numbers and times are stored as Arrow types; types without a counterpart as text."""
