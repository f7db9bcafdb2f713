"""Base class of policy sections, and the errors that refuse a value."""

import ast
import inspect
from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from textwrap import dedent
from typing import Any, cast, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError

from maintenance.errors import Problem, ProblemReason
from maintenance.names import near

Location = tuple[str | int, ...]
"""Path of a value below a section: keys and list positions."""

Fault = tuple[Location, PydanticCustomError]
"""A refused value: its location and the error."""


def refused(
    wanted: str,
    hint: str = "",
    *,
    found: str = "",
    reason: ProblemReason = ProblemReason.MALFORMED,
) -> PydanticCustomError:
    """Return the error that refuses a value.

    Args:
        wanted: the expected value, in plain words.
        hint: what to do.
        found: shown instead of the written value if that is secret or not the cause.
        reason: the kind of the error.
    """
    context = {"wanted": wanted, "hint": hint, "found": found, "reason": reason}
    return PydanticCustomError("refused", "{wanted}", context)


def refused_file(problems: Iterable[Problem]) -> PydanticCustomError:
    """Return the error that refuses a file which a value names, with the problems inside it."""
    return PydanticCustomError("refused_file", "problems in a file", {"problems": tuple(problems)})


def did_you_mean(value: str, known: Iterable[str]) -> str:
    """Return a hint with the nearest known value; empty if none is near."""
    guesses = near(value, known, n=1)
    return f"did you mean {guesses[0]}?" if guesses else ""


def raise_faults(section: str, faults: Iterable[Fault]) -> None:
    """Raise the faults of a section together, each at its own location.

    Raises:
        ValidationError: there is at least one.
    """
    details = [InitErrorDetails(type=error, loc=place, input=None) for place, error in faults]
    if details:
        raise ValidationError.from_exception_data(section, details)


def as_written(text: str | list[str], alias: str | None = None) -> Any:
    """Return a field whose default is written as in a policy file, such as `50 ms`."""
    return Field(default=text, validate_default=True, alias=alias)


def _read_switch(value: object) -> object:
    """Return None for `off`, which YAML reads as false; a section as it is."""
    if value is False or value == "off":
        return None
    if isinstance(value, bool | int | float | str):
        raise refused("a mapping of keys and values, or off", reason=ProblemReason.WRONG_TYPE)
    return value


Switched = BeforeValidator(_read_switch)
"""A section that applies without being written, and that `off` switches off."""


class Section(BaseModel):
    """A mapping of a policy: frozen, strict, unknown keys refused.

    An empty section means all its defaults.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_empty_sections(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        written, empty = cast("dict[str, Any]", data), _empty_values(cls)
        return {
            key: empty[key] if value is None and key in empty else value
            for key, value in written.items()
        }

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Describe every key, and accept an empty section as the loader does."""
        described = handler.resolve_ref_schema(handler(schema))
        keys = described["properties"]
        about = _docstrings(cls)
        for key, field in keys_of(cls).items():
            if _may_be_empty(field) and not field.is_required() and "anyOf" not in keys[key]:
                keys[key] = _or_null(keys[key])
            if Switched in field.metadata:
                keys[key]["anyOf"].append({"type": ["boolean", "string"], "enum": [False, "off"]})
            if isinstance(field.default, Section):
                keys[key]["default"] = {}
            keys[key]["description"] = about[key]
        return described


def _docstrings(section: type[Section]) -> dict[str, str]:
    """Return the docstring below each key.

    pydantic's `use_attribute_docstrings` reads them too, but on every start of the program.
    """
    return {
        section.model_fields[target.id].alias or target.id: inspect.cleandoc(text)
        for part in reversed(section.__mro__)
        if issubclass(part, Section)
        for key, below in pairwise(_body(part))
        if isinstance(key, ast.AnnAssign) and isinstance(target := key.target, ast.Name)
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
        if isinstance(text := below.value.value, str)
    }


def _body(section: type[Section]) -> list[ast.stmt]:
    (parsed,) = ast.parse(dedent(inspect.getsource(section))).body
    return cast("ast.ClassDef", parsed).body


def keys_of(section: type[Section]) -> dict[str, FieldInfo]:
    """Return the keys of a section as written in the file, with their fields."""
    return {field.alias or name: field for name, field in section.model_fields.items()}


def sections_in(annotation: Any) -> list[type[Section]]:
    """Return the sections in a type: `tuple[Matview, ...]` gives Matview."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [section for part in get_args(annotation) for section in sections_in(part)]


def _has_list(annotation: Any) -> bool:
    parts = get_args(annotation)
    return getattr(annotation, "__origin__", None) is tuple or any(map(_has_list, parts))


def _may_be_empty(field: FieldInfo) -> bool:
    return _has_list(field.annotation) or bool(sections_in(field.annotation))


@cache
def _empty_values(section: type[Section]) -> dict[str, Any]:
    """Return the meaning of an empty value, for the keys that may have one."""
    return {key: _empty(field) for key, field in keys_of(section).items() if _may_be_empty(field)}


def _empty(field: FieldInfo) -> Any:
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    if default is not None:
        return default
    return [] if _has_list(field.annotation) else {}


def _or_null(schema: JsonSchemaValue) -> JsonSchemaValue:
    about = {key: schema.pop(key) for key in ("default", "title") if key in schema}
    return {"anyOf": [schema, {"type": "null"}], **about}
