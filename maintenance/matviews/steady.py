"""Which functions and types give the same answer for the same rows, whenever they are asked."""

from maintenance.matviews.models import Function
from maintenance.matviews.rules import FIRST_USER_OID

NAMES_OF_OBJECTS = frozenset(
    {24, 2202, 2203, 2204, 2205, 2206, 3734, 3769, 4089, 4096, 4191}
    | {1008, 2207, 2208, 2209, 2210, 2211, 3735, 3770, 4090, 4097, 4192}
)
"""regclass and its like, with their arrays: their text follows the catalog, not the rows."""

_SETTINGS_ALONE = frozenset(
    f"{name}({arguments})"
    for name, variants in {
        "date": ["timestamp with time zone"],
        "date_part": ["text,timestamp with time zone"],
        "date_trunc": ["text,timestamp with time zone"],
        "extract": ["text,timestamp with time zone"],
        '"time"': ["timestamp with time zone"],
        '"timestamp"': ["timestamp with time zone"],
        "timestamptz": ["date", "timestamp without time zone"],
        "timestamptz_pl_interval": ["timestamp with time zone,interval"],
        "timestamptz_mi_interval": ["timestamp with time zone,interval"],
        "interval_pl_timestamptz": ["interval,timestamp with time zone"],
        "array_to_string": ["anyarray,text", "anyarray,text,text"],
        "concat": ['"any"'],
        "concat_ws": ['text,"any"'],
        "textanycat": ["text,anynonarray"],
        "anytextcat": ["anynonarray,text"],
        "to_json": ["anyelement"],
        "to_jsonb": ["anyelement"],
        "row_to_json": ["record"],
        "array_to_json": ["anyarray"],
        "json_build_object": ['"any"', ""],
        "jsonb_build_object": ['"any"', ""],
        "json_build_array": ['"any"', ""],
        "jsonb_build_array": ['"any"', ""],
        "json_agg": ["anyelement"],
        "jsonb_agg": ["anyelement"],
        "json_object_agg": ['"any","any"'],
        "jsonb_object_agg": ['"any","any"'],
    }.items()
    for arguments in variants
)
"""Stable functions that follow nothing but rows, types, and settings that a refresh pins.

The settings are TimeZone, DateStyle, IntervalStyle, bytea_output and extra_float_digits.
"""


def unsteadiness(function: Function) -> str | None:
    """Say why a function may give another answer though no row changed; None where it can't.

    One of the owner's is steady where the server keeps its body as a tree, which is then looked
    into like a view, or where it is an extension's in C that declares itself immutable. What
    another body reads is not known, whatever it declares.
    """
    if function.oid < FIRST_USER_OID:
        steady = function.volatility == "i" or function.name in _SETTINGS_ALONE
        return None if steady else f"{function.name}, which is not immutable"
    if function.body is not None and function.volatility != "v":
        return None
    if function.language in ("c", "internal") and function.kind == "f":
        return None if function.volatility == "i" else f"{function.name}, which is not immutable"
    return f"{function.name}, whose body can't be looked into"
