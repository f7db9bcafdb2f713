"""Converts pydantic errors to problems with line, column and plain words."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from maintenance.errors import Problem, ProblemReason
from maintenance.policy.base import Section, did_you_mean, keys_of, sections_in
from maintenance.policy.models import Policy
from maintenance.policy.yaml_document import Document, shown

_WANTED: Mapping[str, str] = {
    "bool_type": "true or false",
    "model_type": "a mapping of keys and values",
    "model_attributes_type": "a mapping of keys and values",
    "tuple_type": "a list",
    "too_short": "a list of at least one",
}
_BELOW: Mapping[str, tuple[str]] = {
    "union_tag_not_found": ("type",),
    "union_tag_invalid": ("type",),
}
"""The real location of a fault that pydantic reports for the whole section."""

_REASONS: Mapping[str, ProblemReason] = {
    "missing": ProblemReason.MISSING,
    "union_tag_not_found": ProblemReason.MISSING,
    "literal_error": ProblemReason.UNKNOWN_VALUE,
    "union_tag_invalid": ProblemReason.UNKNOWN_VALUE,
    "too_short": ProblemReason.OUT_OF_RANGE,
    "string_pattern_mismatch": ProblemReason.MALFORMED,
}
"""The reasons of pydantic's errors; all others are of a wrong type."""

_CONSEQUENCES = frozenset({"default_factory_not_called"})
"""Faults that only follow from another fault."""


def problems_of(error: ValidationError, document: Document) -> list[Problem]:
    """Return one problem for each fault, at the key or value that has it, or in its file."""
    details = error.errors(include_url=False, include_input=False)
    return [
        problem
        for each in details
        if each["type"] not in _CONSEQUENCES
        for problem in _problems(each, document)
    ]


def _problems(detail: ErrorDetails, document: Document) -> Sequence[Problem]:
    """Return the problem of a fault, or those inside the file that a value names."""
    if detail["type"] == "refused_file":
        return detail.get("ctx", {})["problems"]
    return [_problem(detail, document)]


def _problem(detail: ErrorDetails, document: Document) -> Problem:
    place = (*detail["loc"], *_BELOW.get(detail["type"], ()))
    key, key_node, node = document.find(place)
    if detail["type"] == "extra_forbidden":
        return _unknown_key(place, document)
    if detail["type"] in ("missing", "union_tag_not_found"):
        wanted = "this required key"
        return document.problem(key_node, key, _reason(detail), wanted, found="nothing")
    wanted, hint, found = _words(detail, node)
    return document.problem(node, key, _reason(detail), wanted, hint, found or shown(node))


def _reason(detail: ErrorDetails) -> ProblemReason:
    if detail["type"] == "refused":
        return ProblemReason(detail.get("ctx", {})["reason"])
    return _REASONS.get(detail["type"], ProblemReason.WRONG_TYPE)


def _unknown_key(place: tuple[str | int, ...], document: Document) -> Problem:
    key, key_node, _ = document.find(place)
    known = _known_keys(place)
    hint = did_you_mean(str(place[-1]), known) or f"known keys: {', '.join(known)}"
    return document.problem(key_node, key, ProblemReason.UNKNOWN_KEY, "a known key", hint)


def _known_keys(place: tuple[str | int, ...]) -> list[str]:
    """Return the keys of the section at a location; a sink's type is also a step of it."""
    sections: list[type[Section]] = [Policy]
    for step in place[:-1]:
        fields = [keys_of(section).get(str(step)) for section in sections]
        below = [inner for field in fields if field for inner in sections_in(field.annotation)]
        tagged = [section for section in sections if _has_tag(section, step)]
        sections = below or tagged or sections
    return list(dict.fromkeys(key for section in sections for key in keys_of(section)))


def _has_tag(section: type[Section], step: str | int) -> bool:
    field = keys_of(section).get("type")
    return field is not None and str(step) in str(field.annotation)


def _words(detail: ErrorDetails, node: yaml.Node) -> tuple[str, str, str]:
    context: dict[str, Any] = detail.get("ctx", {})
    if detail["type"] == "refused":
        return context["wanted"], context["hint"], context["found"]
    if detail["type"] in ("literal_error", "union_tag_invalid"):
        choices = re.findall(r"'([^']*)'", context.get("expected") or context["expected_tags"])
        # Not the text of a list: aliases can make it longer than memory.
        text = node.value if isinstance(node, yaml.ScalarNode) else ""
        return f"one of {', '.join(choices)}", did_you_mean(text, choices), ""
    return _WANTED.get(detail["type"], detail["msg"]), "", ""
