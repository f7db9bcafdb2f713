"""Policies of any values that the JSON Schema allows, or of any text: loaded, or refused."""

import copy
import random
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from hypothesis import strategies as st

from maintenance.errors import PolicyError
from maintenance.policy import json_schema, load_policy
from tests.builders import ROOT
from tests.fuzz import Fuzz, fuzzed
from tests.mutations import HOSTILE_YAML, mutated_lines

SCHEMA = json_schema()
TEXT = Path(__file__).with_name("test_policy_example.yaml").read_text()
EXAMPLE: dict[str, Any] = yaml.safe_load(TEXT)
SECTIONS = dict(re.findall(r"^(\w+):((?:.|\n(?!\w))*\n)", TEXT, re.MULTILINE))
"""The sections of the example as they are written."""
NEEDED = "database"
Path_ = tuple[str | int, ...]

NUMBERS = st.one_of(st.integers(), st.floats(), st.sampled_from([0, 1, -1, 2**31, 2**63, 10**30]))
TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            *("public.events", '"a b"."c""d"', "0 2 * * *", "* * 31 2 *", "never", "off", "UTC"),
            *("2024-02", "2024-02-30", "9999-12", "0 days", "99999999 years", "1e400 ms", "0 B"),
            *("../sql/systems", "/dev/zero", ".", "x" * 300, "é", "null", "{table}_{yyyy}"),
        ]
    ),
)
OF_TYPES: dict[str, st.SearchStrategy[Any]] = {
    "string": TEXTS,
    "integer": st.one_of(NUMBERS, st.integers(0, 100)),
    "number": NUMBERS,
    "boolean": st.booleans(),
    "null": st.none(),
}
ANYTHING = st.one_of(TEXTS, NUMBERS, st.booleans(), st.none(), st.just([]), st.just({}))


def values_of(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a part of the schema allows; their limits are sometimes passed."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return st.deferred(lambda: values_of(SCHEMA["$defs"][name]))
    if branches := schema.get("anyOf") or schema.get("oneOf"):
        return st.one_of(*(values_of(each) for each in cast("list[dict[str, Any]]", branches)))
    if "const" in schema or "enum" in schema:
        return st.sampled_from(cast("list[Any]", schema.get("enum") or [schema["const"]]))
    types: str | list[str] = schema.get("type", "any")
    names = [types] if isinstance(types, str) else types
    return st.one_of(*(of_type(name, schema) for name in names))


def of_type(name: str, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if name == "object":
        return objects_of(schema)
    if name == "array":
        return st.lists(values_of(schema.get("items", {})), max_size=3)
    if name == "string" and "pattern" in schema:
        return st.one_of(st.from_regex(str(schema["pattern"])), TEXTS)
    return OF_TYPES.get(name, ANYTHING)


def objects_of(schema: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    known = {name: values_of(each) for name, each in schema.get("properties", {}).items()}
    needed = {name: each for name, each in known.items() if name in schema.get("required", ())}
    others = {name: each for name, each in known.items() if name not in needed}
    if not known:
        more: Any = schema.get("additionalProperties")
        values = values_of(cast("dict[str, Any]", more)) if isinstance(more, dict) else ANYTHING
        return st.dictionaries(TEXTS, values, max_size=3)
    return st.fixed_dictionaries(needed, optional=others)


def parts_of(value: Any, schema: dict[str, Any], at: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    """Each part of a document with its part of the schema; of alternatives, all that may be it."""
    if "$ref" in schema:
        schema = SCHEMA["$defs"][str(schema["$ref"]).rpartition("/")[2]]
    if at:
        yield at, schema
    for branch in schema.get("anyOf") or schema.get("oneOf") or ():
        yield from parts_of(value, branch, at)
    if isinstance(value, dict):
        for name, each in cast("dict[str, Any]", value).items():
            if name in schema.get("properties", {}):
                yield from parts_of(each, schema["properties"][name], (*at, name))
    if isinstance(value, list) and "items" in schema:
        for number, each in enumerate(cast("list[Any]", value)):
            yield from parts_of(each, schema["items"], (*at, number))


PARTS = [(at, values_of(schema)) for at, schema in parts_of(EXAMPLE, SCHEMA)]
CHANGES = st.lists(
    st.one_of(*(st.tuples(st.just(at), values) for at, values in PARTS)), min_size=1, max_size=3
)
BESIDE = st.sets(st.sampled_from(sorted(EXAMPLE)), max_size=3)


def changed(changes: list[tuple[Path_, Any]], beside: Collection[str]) -> dict[str, Any]:
    """Some sections of the example with other values; a place that went with another is left out.

    The whole example takes ten times as long to read.
    """
    sections = {NEEDED, *beside, *(at[0] for at, _ in changes)}
    document = copy.deepcopy({name: EXAMPLE[name] for name in EXAMPLE if name in sections})
    for at, value in changes:
        part: Any = document
        try:
            for step in at[:-1]:
                part = part[step]
            part[at[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue
    return document


def some_text(rng: random.Random) -> str:
    """Some sections of the example as text, with changed lines."""
    names = {NEEDED, *rng.sample(sorted(SECTIONS), 3)}
    text = "".join(f"{name}:{part}" for name, part in SECTIONS.items() if name in names)
    return mutated_lines(text, HOSTILE_YAML, rng)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a policy is that finds the SQL of the repository."""
    (tmp_path / "sql").symlink_to(ROOT / "sql")
    (tmp_path / "policies").mkdir()
    return tmp_path / "policies" / "policy.yaml"


def is_loaded(path: Path, content: bytes) -> bool:
    path.write_bytes(content)
    refusal = refusal_of(path)
    assert refusal is None or (refusal and "\x1b" not in refusal), refusal
    return refusal is None


def refusal_of(path: Path) -> str | None:
    try:
        load_policy(path)
    except PolicyError as error:
        return str(error)
    return None


@fuzzed("policy values", quick=150)  # 30 ms each: to make it, and to read a whole policy
def test_a_policy_of_any_values_is_loaded_or_refused(fuzz: Fuzz, path: Path) -> None:
    for kept in fuzz.kept():
        is_loaded(path, kept.read_bytes())

    def load(drawn: tuple[list[tuple[Path_, Any]], set[str]]) -> bool:
        return is_loaded(path, yaml.safe_dump(changed(*drawn), sort_keys=False).encode())

    fuzz.draw(st.tuples(CHANGES, BESIDE), load)


@fuzzed("policy text")
def test_a_policy_of_any_text_is_loaded_or_refused(fuzz: Fuzz, path: Path) -> None:
    for kept in fuzz.kept():
        is_loaded(path, kept.read_bytes())
    fuzz.seed(lambda rng: is_loaded(path, some_text(rng).encode("utf-8", "surrogatepass")))


def test_sections_of_the_example_are_all_there() -> None:
    assert SECTIONS.keys() == EXAMPLE.keys()
