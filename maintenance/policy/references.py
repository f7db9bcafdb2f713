"""Urls and secrets: written in the file, or referred to by an environment variable's name."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, cast

from pydantic import AfterValidator, SecretStr
from pydantic.json_schema import JsonSchemaValue

from maintenance.errors import UsageError
from maintenance.policy.section import refused
from maintenance.policy.units import Written

_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
_HIDDEN = "a value that is not shown"


@dataclass(frozen=True, slots=True)
class Url:
    """A url or another secret that no message, log or dump ever shows.

    Attributes:
        env: the environment variable that holds it; None where the file has it literally.
        literal: the value itself; None where it is in the environment.
        key: the setting it stands under, for messages.
    """

    env: str | None = None
    literal: SecretStr | None = field(default=None, repr=False)
    key: str = ""

    @property
    def label(self) -> str:
        """What may be shown of it: the variable's name, or the word `literal`."""
        return self.env or "literal"

    def resolve(self, environ: Mapping[str, str]) -> str:
        """Return the value.

        Raises:
            UsageError: the environment variable is not set, or empty.
        """
        if self.literal is not None:
            return self.literal.get_secret_value()
        if value := environ.get(self.label):
            return value
        state = "empty" if self.label in environ else "not set"
        raise UsageError(
            f"{self.key}: environment variable {self.label} is {state}",
            hint=f"export {self.label}, or change {self.key} in the policy",
        )

    def __str__(self) -> str:
        return self.label


def _reader(wanted: str, schemes: str) -> Callable[[object], Url]:
    pattern = re.compile(schemes and rf"(?:{schemes})://\S+", re.IGNORECASE)

    def read(value: object) -> Url:
        if isinstance(value, str) and value and (not schemes or pattern.fullmatch(value)):
            return Url(literal=SecretStr(value))
        return _read_reference(value, wanted)

    return read


def _read_reference(value: object, wanted: str) -> Url:
    if isinstance(value, dict):
        mapping = cast("dict[object, object]", value)
        variable = mapping.get("env")
        if list(mapping) == ["env"] and isinstance(variable, str):
            if re.fullmatch(_VARIABLE, variable):
                return Url(env=variable)
            raise refused("the name of an environment variable", found=_HIDDEN)
    hint = ""
    if isinstance(value, str) and re.fullmatch(r"\$?\{?[A-Z_][A-Z0-9_]*\}?", value):
        hint = "refer to an environment variable by {env: NAME}"
    raise refused(f"{wanted} or {{env: NAME}}", hint, found=_HIDDEN)


def _schema(description: str) -> JsonSchemaValue:
    reference: JsonSchemaValue = {
        "type": "object",
        "properties": {"env": {"type": "string", "pattern": f"^{_VARIABLE}$"}},
        "required": ["env"],
        "additionalProperties": False,
    }
    literal = {"type": "string", "minLength": 1}
    return {"description": description, "oneOf": [literal, reference]}


def _written(wanted: str, schemes: str) -> Written:
    return Written(_reader(wanted, schemes), _schema(f"{wanted}, or {{env: NAME}}"))


PostgresUrl = Annotated[Url, _written("a postgresql:// url", "postgres|postgresql")]
"""Where a database is."""

RedisUrl = Annotated[Url, _written("a redis:// url", "redis|rediss|unix")]
"""Where a Redis server is."""

HttpUrl = Annotated[Url, _written("an https:// url", "http|https")]
"""What is called over HTTP."""

AnyUrl = Annotated[Url, _written("a url", r"[a-z][a-z0-9+.-]*")]
"""A url whose scheme is another program's business."""

Secret = Annotated[Url, _written("a secret", "")]
"""A shared secret."""


def at(key: str) -> AfterValidator:
    """Tell a reference which setting it stands under."""

    def name(url: Url | None) -> Url | None:
        return url and replace(url, key=key)

    return AfterValidator(name)
