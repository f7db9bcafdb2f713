"""The JSON schema: editors accept what the loader accepts, and refuse what it refuses."""

import re
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from maintenance.policy import json_schema

EXAMPLE = Path(__file__).with_name("test_policy_example.yaml")
SMALLEST: dict[str, Any] = {"database": {"name": "shop", "url": {"env": "SHOP_URL"}}}
SCHEMA = json_schema()
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str, date),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}
CHECKS: dict[str, Callable[[Any, Any], bool]] = {
    "enum": lambda value, rule: value in rule,
    "const": lambda value, rule: value == rule,
    "pattern": lambda value, rule: re.search(rule, value) is not None,
    "minimum": lambda value, rule: value >= rule,
    "maximum": lambda value, rule: value <= rule,
    "minItems": lambda value, rule: len(value) >= rule,
    "minLength": lambda value, rule: len(value) >= rule,
    "required": lambda value, rule: set(rule) <= set(value),
}
SHAPE = "$ref type properties additionalProperties items anyOf oneOf"
ABOUT = "$schema $defs title description examples default"
KNOWN = {*SHAPE.split(), *ABOUT.split(), *CHECKS}


def is_type(value: Any, names: str | list[str]) -> bool:
    listed = [names] if isinstance(names, str) else names
    if isinstance(value, bool):
        return "boolean" in listed
    return any(isinstance(value, TYPES[name]) for name in listed)


def faults(value: Any, schema: dict[str, Any], path: str = "") -> list[str]:
    """Check a value by the words of draft 2020-12 that the schema uses."""
    assert set(schema) <= KNOWN, set(schema) - KNOWN
    if "$ref" in schema:
        return faults(value, SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")], path)
    if branches := schema.get("anyOf") or schema.get("oneOf"):
        n_fitting = sum(not faults(value, branch, path) for branch in branches)
        return [] if n_fitting == 1 or (n_fitting and "anyOf" in schema) else [f"{path}: no branch"]
    if not is_type(value, schema.get("type", list(TYPES))):
        return [f"{path}: not {schema['type']}"]
    rules = [(word, check, schema[word]) for word, check in CHECKS.items() if word in schema]
    wrong = [f"{path}: {word}" for word, check, rule in rules if not check(value, rule)]
    if isinstance(value, dict):
        wrong += of_mapping(cast("dict[str, Any]", value), schema, path)
    if isinstance(value, list):
        wrong += [
            fault
            for item in cast("list[Any]", value)
            for fault in faults(item, schema["items"], f"{path}[]")
        ]
    return wrong


def of_mapping(value: dict[str, Any], schema: dict[str, Any], path: str) -> list[str]:
    others: Any = schema["additionalProperties"]
    known: dict[str, Any] = (
        schema["properties"] if others is False else dict.fromkeys(value, others)
    )
    wrong = [f"{path}.{key}: unknown" for key in value if key not in known]
    return wrong + [
        fault
        for key, item in value.items()
        if key in known
        for fault in faults(item, known[key], f"{path}.{key}")
    ]


def test_example_has_every_key() -> None:
    example = set(written_keys(yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))))
    elsewhere = {"extends", "snowflake", "epoch", "shift"}  # of a second file, or another form
    assert set(known_keys(SCHEMA)) - example == elsewhere


def known_keys(node: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """The names of all keys that the schema knows."""
    if isinstance(node, list):
        for each in cast("list[Any]", node):
            yield from known_keys(each, path)
    elif isinstance(node, dict):
        rules = cast("dict[str, Any]", node)
        reference: str = rules.get("$ref", "")
        if reference and reference not in path:
            yield from known_keys(SCHEMA["$defs"][reference.rpartition("/")[2]], (*path, reference))
        properties: dict[str, Any] = rules.get("properties", {})
        yield from properties
        for value in properties.values():
            yield from known_keys(value, path)
        for key in ("items", "anyOf", "oneOf", "additionalProperties"):
            yield from known_keys(rules.get(key), path)


def written_keys(node: Any) -> Iterator[str]:
    """The keys of a document, on all levels."""
    if isinstance(node, list):
        for each in cast("list[Any]", node):
            yield from written_keys(each)
    elif isinstance(node, dict):
        section = cast("dict[str, Any]", node)
        yield from section
        yield from written_keys(list(section.values()))


def test_schema_takes_the_example() -> None:
    assert faults(yaml.safe_load(EXAMPLE.read_text(encoding="utf-8")), SCHEMA) == []


@pytest.mark.parametrize(
    "more",
    [
        {"statistics": None, "partitions": None, "indexes": {"unused": None}, "alerts": None},
        {"redis": {"url": "redis://localhost"}},
        {"partitions": [{"table": "a", "column": "b", "start": 2024}]},
        {
            "alerts": {
                "quiet": ["* 22-23 * * *"],
                "sinks": [{"type": "log", "kinds": ["bloat_unknown"]}],
            }
        },
    ],
)
def test_schema_takes_what_the_loader_takes(more: dict[str, Any]) -> None:
    assert faults(SMALLEST | more, SCHEMA) == []


@pytest.mark.parametrize(
    "more",
    [
        {"partition": []},
        {"database": {"name": "Shop", "url": "postgresql://localhost/shop"}},
        {"database": {"name": "shop", "url": {"evn": "A"}}},
        {"database": {"name": "shop"}},
        {"locks": {"lock_timeout": 50}},
        {"locks": {"lock_timeout": "3 mnths"}},
        {"bloat": {"min_size": "10 mb", "table_fraction": 0.5}},
        {"bloat": {"table_fraction": 2}},
        {"partitions": [{"table": "a", "column": "b", "premake": 0}]},
        {"partitions": [{"table": "a", "column": "b", "interval": "2 months"}]},
        {"alerts": {"sinks": [{"type": "pager"}]}},
        {"alerts": {"sinks": [{"type": "log", "kinds": ["index_unusd"]}]}},
        {"alerts": {"sinks": [{"type": "log", "severities": list[str]()}]}},
    ],
)
def test_schema_refuses_what_the_loader_refuses(more: dict[str, Any]) -> None:
    assert faults(SMALLEST | more, SCHEMA)


def test_every_default_fits_its_own_schema() -> None:
    defaults = [
        (key, described["default"], described)
        for section in (SCHEMA, *SCHEMA["$defs"].values())
        for key, described in section["properties"].items()
        if "default" in described
    ]
    assert len(defaults) > 50
    assert [fault for key, value, schema in defaults for fault in faults(value, schema, key)] == []


def test_every_key_is_described() -> None:
    undescribed = [
        f"{section['title']}.{key}"
        for section in (SCHEMA, *SCHEMA["$defs"].values())
        for key, described in section["properties"].items()
        if not described.get("description")
    ]
    assert undescribed == []


def test_schema_names_its_draft() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
