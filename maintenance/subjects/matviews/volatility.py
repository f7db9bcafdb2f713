"""Which functions and types give the same answer for the same rows, whenever they are asked.

A list of what is proven, not of what is known to be wrong: whatever is not on it forbids a proof,
with its name.
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
"""Stable functions that follow their arguments and TimeZone, which is pinned."""

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
"""Functions that turn values of any type into text, and follow nothing but their types' output."""

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
"""Stable output that follows the types inside, DateStyle, IntervalStyle and TimeZone: pinned."""

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
"""Stable input that follows the types inside, array_nulls, IntervalStyle and xmloption: pinned.

That of dates and times is left out: it knows words such as `now`.
"""

_OTHER = _named({"xml": ["text"], "xml_is_well_formed": ["text"]})
"""Stable functions that follow xmloption, which is pinned."""

_STEADY = _BY_TIME_ZONE | _PRINTING | _OUTPUT | _INPUT | _OTHER

_NOT_IMMUTABLE = frozenset(
    {
        # they follow text search configurations, dictionaries and files
        *("to_tsvector", "to_tsquery", "plainto_tsquery", "phraseto_tsquery", "ts_headline"),
        *("websearch_to_tsquery", "json_to_tsvector", "jsonb_to_tsvector"),
        *("ts_lexize", "ts_parse", "ts_token_type"),
        # they read the catalog, or the server's own state
        *("pg_partition_root", "satisfies_hash_partition", "acldefault"),
        *("pg_walfile_name", "pg_walfile_name_offset", "pg_indexam_progress_phasename"),
        # conversions are looked for by name
        *("convert", "convert_from", "convert_to"),
    }
)
"""Built-in functions that call themselves immutable, and are not."""

_EXTENSIONS = frozenset(
    {
        *("citext", "cube", "fuzzystrmatch", "hstore", "intarray", "ltree", "pg_trgm", "pgcrypto"),
        *("seg", "uuid-ossp"),
    }
)
"""Extensions whose functions in C are immutable where they say so, by their documentation."""

_NAMES_OF_OBJECTS = frozenset(
    {24, 2202, 2203, 2204, 2205, 2206, 3734, 3769, 4089, 4096, 4191, 1033}
)
"""regclass and its like, and aclitem: their text follows the catalog, not the rows."""


def unsteadiness(function: Function) -> str | None:
    """Say why a function may give another answer though no row changed; None where it can't.

    One of the owner's is steady where the server keeps its body as a tree, which is then looked
    into like a view. What another body reads is not known, whatever it declares.
    """
    reason = f"{function.name}, which is not proven immutable"
    if function.oid < FIRST_USER_OID:
        base = function.name.partition("(")[0]
        if base in _NOT_IMMUTABLE or "." in base:
            return reason
        return None if function.volatility == "i" or function.name in _STEADY else reason
    if function.is_constructor:
        return None  # its types are looked at
    if function.kind == "a" and function.parts:
        return None  # its functions are looked at one by one
    if function.body is not None and function.volatility != "v":
        return None
    return None if _is_known(function) and function.volatility == "i" else reason


def _is_known(function: Function) -> bool:
    """Whether it comes with an extension that is known; hstore's conversions read any type."""
    is_known = function.extension in _EXTENSIONS and function.language == "c"
    return is_known and "anyelement" not in function.name


def prints_anything(function: Function) -> bool:
    """Whether a function may turn values of any type into text."""
    if function.oid >= FIRST_USER_OID:
        return function.body is None and not function.is_constructor
    return function.name in _PRINTING


def unsteady_output(types: Collection[Type], functions: Mapping[int, Function]) -> Iterator[str]:
    """Say which types are written as text in a way that does not follow their values alone."""
    for each in types:
        if (reason := _reason(each.output, functions)) is not None:
            yield f"it turns {each.name} into text by {reason}"


def unsteady_input(types: Collection[Type], functions: Mapping[int, Function]) -> Iterator[str]:
    """Say which types are read from text in a way that does not follow that text alone."""
    for each in types:
        if each.kind == "p":
            yield f"it reads values from text whose type, {each.name}, is known to the call alone"
        elif (reason := _reason(each.input, functions)) is not None:
            yield f"it reads {each.name} from text by {reason}"


def _reason(oid: int, functions: Mapping[int, Function]) -> str | None:
    function = functions.get(oid)
    return "a function that is gone" if function is None else unsteadiness(function)


def unknown_types(types: Collection[Type]) -> Iterator[str]:
    """Say which types are compared or stored by functions that are not known."""
    for each in types:
        if each.oid in _NAMES_OF_OBJECTS:
            yield f"it holds {each.name}, whose text follows the catalog"
        if each.oid < FIRST_USER_OID and not each.has_own_class:
            continue
        if each.has_own_class and each.extension not in _EXTENSIONS:
            yield f"it uses {each.name}, which has an operator class of its own"
        elif each.kind == "b" and not each.is_array and each.extension not in _EXTENSIONS:
            yield f"it uses {each.name}, a base type that is not proven immutable"
