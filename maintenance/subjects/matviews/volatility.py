"""Functions and types proven to give the same result for the same rows at any time.

An allow list: any function or type not on it makes a proof impossible and is named in the reason.
"""

from collections.abc import Collection, Iterator, Mapping

from maintenance.subjects.matviews.models import Function, Type
from maintenance.subjects.matviews.query_tree import FIRST_USER_OID


def _named(variants: dict[str, list[str]]) -> frozenset[str]:
    return frozenset(f"{name}({each})" for name, some in variants.items() for each in some)


_AT, _AT_LOCAL = "timestamp with time zone", "timestamp without time zone"
_COMPARISONS = ("cmp", "eq", "ge", "gt", "le", "lt", "ne")

_BY_TIME_ZONE = _named(
    {
        "date": [_AT],
        "date_part": [f"text,{_AT}"],
        "date_trunc": [f"text,{_AT}", f"text,{_AT},text"],
        '"extract"': [f"text,{_AT}"],
        '"time"': [_AT],
        '"timestamp"': [_AT],
        "timetz": [_AT],
        "timestamptz": ["date", "date,time without time zone", _AT_LOCAL],
        "timezone": [_AT, _AT_LOCAL],
        "timestamptz_pl_interval": [f"{_AT},interval"],
        "timestamptz_mi_interval": [f"{_AT},interval"],
        "interval_pl_timestamptz": [f"interval,{_AT}"],
        "date_add": [f"{_AT},interval", f"{_AT},interval,text"],
        "date_subtract": [f"{_AT},interval", f"{_AT},interval,text"],
        "generate_series": [f"{_AT},{_AT},interval", f"{_AT},{_AT},interval,text"],
        "in_range": [f"{_AT},{_AT},interval,boolean,boolean"],
        '"overlaps"': [
            f"{_AT},interval,{_AT},interval",
            f"{_AT},interval,{_AT},{_AT}",
            f"{_AT},{_AT},{_AT},interval",
        ],
        "make_timestamptz": [
            "integer,integer,integer,integer,integer,double precision",
            "integer,integer,integer,integer,integer,double precision,text",
        ],
        **{f"date_{how}_timestamptz": [f"date,{_AT}"] for how in _COMPARISONS},
        **{f"timestamptz_{how}_date": [f"{_AT},date"] for how in _COMPARISONS},
        **{f"timestamp_{how}_timestamptz": [f"{_AT_LOCAL},{_AT}"] for how in _COMPARISONS},
        **{f"timestamptz_{how}_timestamp": [f"{_AT},{_AT_LOCAL}"] for how in _COMPARISONS},
    }
)
"""Stable functions that depend only on their arguments and TimeZone, which is pinned."""

_PRINTING = _named(
    {
        "array_to_string": ["anyarray,text", "anyarray,text,text"],
        "concat": ['"any"'],
        "concat_ws": ['text,"any"'],
        "format": ["text", 'text,"any"'],
        "textanycat": ["text,anynonarray"],
        "anytextcat": ["anynonarray,text"],
        "to_json": ["anyelement"],
        "to_jsonb": ["anyelement"],
        "row_to_json": ["record", "record,boolean"],
        "array_to_json": ["anyarray", "anyarray,boolean"],
        **{
            f"{json}_build_{what}": ['"any"', ""]
            for json in ("json", "jsonb")
            for what in ("object", "array")
        },
        **{
            f"{json}_agg{how}": ["anyelement"]
            for json in ("json", "jsonb")
            for how in ("", "_strict")
        },
        **{
            f"{json}_object_agg{how}": ['"any","any"']
            for json in ("json", "jsonb")
            for how in ("", "_strict", "_unique", "_unique_strict")
        },
    }
)
"""Functions that convert values of any type to text, and depend only on the types' output."""

_OUTPUT = _named(
    {
        "array_out": ["anyarray"],
        "enum_out": ["anyenum"],
        "range_out": ["anyrange"],
        "multirange_out": ["anymultirange"],
        "record_out": ["record"],
        "date_out": ["date"],
        "timestamp_out": [_AT_LOCAL],
        "timestamptz_out": [_AT],
        "interval_out": ["interval"],
    }
)
"""Stable output functions: they depend on element types and on pinned settings only.

The settings are DateStyle, IntervalStyle and TimeZone.
"""

_INPUT = _named(
    {
        "array_in": ["cstring,oid,integer"],
        "enum_in": ["cstring,oid"],
        "range_in": ["cstring,oid,integer"],
        "multirange_in": ["cstring,oid,integer"],
        "record_in": ["cstring,oid,integer"],
        "domain_in": ["cstring,oid,integer"],
        "interval_in": ["cstring,oid,integer"],
        "xml_in": ["cstring"],
    }
)
"""Stable input functions that depend on element types and pinned settings only.

The settings are array_nulls, IntervalStyle and xmloption. Input of dates and times is left out,
because it accepts words such as `now`.
"""

_OTHER = _named({"xml": ["text"], "xml_is_well_formed": ["text"]})
"""Stable functions that depend on xmloption, which is pinned."""

_STEADY = _BY_TIME_ZONE | _PRINTING | _OUTPUT | _INPUT | _OTHER

_NOT_IMMUTABLE = frozenset(
    {
        # they depend on text search configurations, dictionaries and files
        *("to_tsvector", "to_tsquery", "plainto_tsquery", "phraseto_tsquery", "ts_headline"),
        *("websearch_to_tsquery", "json_to_tsvector", "jsonb_to_tsvector"),
        *("ts_lexize", "ts_parse", "ts_token_type"),
        # they read the catalog, or the server's own state
        *("pg_partition_root", "satisfies_hash_partition", "acldefault"),
        *("pg_walfile_name", "pg_walfile_name_offset", "pg_indexam_progress_phasename"),
        # conversions are looked up by name
        *("convert", "convert_from", "convert_to"),
    }
)
"""Built-in functions that are declared immutable and are not."""

_EXTENSIONS = frozenset(
    {
        *("citext", "cube", "fuzzystrmatch", "hstore", "intarray", "ltree", "pg_trgm", "pgcrypto"),
        *("seg", "uuid-ossp"),
    }
)
"""Extensions whose C functions are immutable if declared so, by their documentation."""

_NAMES_OF_OBJECTS = frozenset(
    {24, 2202, 2203, 2204, 2205, 2206, 3734, 3769, 4089, 4096, 4191, 1033}
)
"""regclass and similar types, and aclitem: their text depends on the catalog."""


def unsteadiness(function: Function) -> str | None:
    """Return why a function's result may change although no row changed; None if it can't.

    A user-defined function is accepted if the server stores its body as a parse tree, which is then
    checked like a view. The sources of any other body are unknown, whatever it declares.
    """
    reason = f"{function.name}, which is not proven immutable"
    if function.oid < FIRST_USER_OID:
        base = function.name.partition("(")[0]
        if base in _NOT_IMMUTABLE or "." in base:
            return reason
        return None if function.volatility == "i" or function.name in _STEADY else reason
    if function.is_constructor:
        return None  # its types are checked
    if function.kind == "a" and function.parts:
        return None  # its functions are checked one by one
    if function.body is not None and function.volatility != "v":
        return None
    return None if _is_known(function) and function.volatility == "i" else reason


def _is_known(function: Function) -> bool:
    """Whether it belongs to a known extension; hstore's conversions read any type."""
    is_known = function.extension in _EXTENSIONS and function.language == "c"
    return is_known and "anyelement" not in function.name


def prints_anything(function: Function) -> bool:
    """Whether a function may convert values of any type to text."""
    if function.oid >= FIRST_USER_OID:
        return function.body is None and not function.is_constructor
    return function.name in _PRINTING


def unsteady_output(types: Collection[Type], functions: Mapping[int, Function]) -> Iterator[str]:
    """Yield the types whose conversion to text depends on more than their values."""
    for each in types:
        if (reason := _reason(each.output, functions)) is not None:
            yield f"it converts {each.name} to text by {reason}"


def unsteady_input(types: Collection[Type], functions: Mapping[int, Function]) -> Iterator[str]:
    """Yield the types whose conversion from text depends on more than that text."""
    for each in types:
        if each.kind == "p":
            yield f"it converts text to {each.name}, whose actual type is known only at run time"
        elif (reason := _reason(each.input, functions)) is not None:
            yield f"it converts text to {each.name} by {reason}"


def _reason(oid: int, functions: Mapping[int, Function]) -> str | None:
    function = functions.get(oid)
    return "a function that no longer exists" if function is None else unsteadiness(function)


def unknown_types(types: Collection[Type]) -> Iterator[str]:
    """Yield the types that are compared or stored by functions not proven immutable."""
    for each in types:
        if each.oid in _NAMES_OF_OBJECTS:
            yield f"it has a column of type {each.name}, whose text depends on the catalog"
        if each.oid < FIRST_USER_OID and not each.has_own_class:
            continue
        if each.has_own_class and each.extension not in _EXTENSIONS:
            yield f"it uses {each.name}, which has its own operator class"
        elif each.kind == "b" and not each.is_array and each.extension not in _EXTENSIONS:
            yield f"it uses {each.name}, a base type that is not proven immutable"
