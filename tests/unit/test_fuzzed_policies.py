"""Policies that the JSON Schema allows, with any values: loaded, or refused with clear problems."""

import copy
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maintenance.errors import PolicyError
from maintenance.policy import json_schema, load_policy
from tests.builders import ROOT
from tests.mutations import CORPUS

SCHEMA = json_schema()
EXAMPLE: dict[str, Any] = yaml.safe_load(
    Path(__file__).with_name("test_policy_example.yaml").read_text()
)
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


def changed(changes: list[tuple[Path_, Any]]) -> dict[str, Any]:
    """The example with other values at some places; a place that went with another is left out."""
    document = copy.deepcopy(EXAMPLE)
    for at, value in changes:
        part: Any = document
        try:
            for step in at[:-1]:
                part = part[step]
            part[at[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue
    return document


def load(folder: Path, content: bytes) -> bool:
    """Load a policy of some content; return whether it was accepted."""
    path = folder / "policies" / "policy.yaml"
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


@pytest.mark.parametrize(
    "n",
    [
        pytest.param(15, id="some"),
        pytest.param(10_000, id="many", marks=(pytest.mark.slow, pytest.mark.timeout(3600))),
    ],
)
def test_a_policy_of_any_values_is_loaded_or_refused(n: int) -> None:
    n_loaded = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sql").symlink_to(ROOT / "sql")
        (folder / "policies").mkdir()
        for path in sorted((CORPUS / "policy").glob("*")):
            load(folder, path.read_bytes())

        @settings(
            max_examples=n,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
        )
        @given(CHANGES)
        def load_changed(changes: list[tuple[Path_, Any]]) -> None:
            nonlocal n_loaded
            text = yaml.safe_dump(changed(changes), sort_keys=False)
            n_loaded += load(folder, text.encode())

        load_changed()
    assert 0 < n_loaded < n
