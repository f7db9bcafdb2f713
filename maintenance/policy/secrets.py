"""Urls and secrets: written in the file, or referred to by an environment variable's name."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, cast

from pydantic import AfterValidator, SecretStr
from pydantic.json_schema import JsonSchemaValue

from maintenance.errors import UsageError
from maintenance.policy.base import refused
from maintenance.policy.quantities import Written
from maintenance.policy.urls import (
    UrlError,
    check_postgres,
    check_url,
    public_parts,
    secret_parts,
    token_parts,
)
from maintenance.redaction import remember

_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
_HIDDEN = "a value that is not shown"

_POSTGRES = "postgres|postgresql"
_HTTP = "http|https"
_ANY = r"[a-z][a-z0-9+.-]*"
_NONE = ""


@dataclass(frozen=True, slots=True)
class Url:
    """A url or another secret that no message, log or dump ever shows.

    Attributes:
        env: the environment variable that holds it; None where the file has it literally.
        literal: the value itself; None where it is in the environment.
        key: the setting it stands under, for messages.
        schemes: a pattern of the schemes it may have; empty for what is no url.
    """

    env: str | None = None
    literal: SecretStr | None = field(default=None, repr=False)
    key: str = ""
    schemes: str = ""

    @property
    def label(self) -> str:
        """What may be shown of it: the variable's name, or the word `literal`."""
        return self.env or "literal"

    @property
    def setting(self) -> str:
        """Where it stands, for messages: the policy's key, and the variable's name."""
        return f"{self.key} (environment variable {self.env})" if self.env else self.key

    def resolve(self, environ: Mapping[str, str]) -> str:
        """Return the value.

        Raises:
            UsageError: the environment variable is not set, is empty, or holds no url of the
                kind; the message says which part is wrong, and shows none of it.
        """
        if self.literal is not None:
            return self.literal.get_secret_value()
        if value := environ.get(self.label):
            self._accept(value)
            return value
        state = "empty" if self.label in environ else "not set"
        raise UsageError(
            f"{self.key}: environment variable {self.label} is {state}",
            hint=f"export {self.label}, or change {self.key} in the policy",
        )

    def _accept(self, value: str) -> None:
        hide(value, self.schemes)
        fault = fault_of(value, self.schemes)
        if fault:
            raise UsageError(
                f"{self.key}: environment variable {self.label}: {fault}",
                hint=f"correct {self.label}; its value is not shown, since it may hold a secret",
            )

    def __str__(self) -> str:
        return self.label


def fault_of(value: str, schemes: str) -> str:
    """Return which part of a url is wrong; empty where none is."""
    try:
        if schemes == _POSTGRES:
            check_postgres(value)
        elif schemes not in (_NONE, _ANY):  # the urls of another program have rules of its own
            check_url(value, schemes)
    except UrlError as fault:
        return str(fault)
    return ""


def hide(value: str, schemes: str) -> None:
    """See that no text that leaves the process shows what is secret in a value."""
    if schemes == _NONE:
        remember([value])
        return
    # In a url that is wrong, what looks like a host may be a piece of the password.
    remember(secret_parts(value), () if fault_of(value, schemes) else public_parts(value))
    if schemes in (_HTTP, _ANY):
        remember(token_parts(value, host_too=schemes == _ANY))


def _reader(wanted: str, schemes: str) -> Callable[[object], Url]:
    pattern = re.compile(schemes and rf"(?:{schemes})://\S+", re.IGNORECASE)

    def read(value: object) -> Url:
        if isinstance(value, str) and value:
            hide(value, schemes)
            if not schemes or pattern.fullmatch(value):
                if fault := fault_of(value, schemes):
                    raise refused(wanted, fault, found=_HIDDEN)
                return Url(literal=SecretStr(value), schemes=schemes)
        return replace(_read_reference(value, wanted), schemes=schemes)

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


PostgresUrl = Annotated[Url, _written("a postgresql:// url", _POSTGRES)]
"""Where a database is."""

RedisUrl = Annotated[Url, _written("a redis:// url", "redis|rediss|unix")]
"""Where a Redis server is."""

HttpUrl = Annotated[Url, _written("an https:// url", _HTTP)]
"""What is called over HTTP."""

AnyUrl = Annotated[Url, _written("a url", _ANY)]
"""A url whose scheme is another program's business."""

Secret = Annotated[Url, _written("a secret", _NONE)]
"""A shared secret."""


def at(key: str) -> AfterValidator:
    """Tell a reference which setting it stands under."""

    def name(url: Url | None) -> Url | None:
        return url and replace(url, key=key)

    return AfterValidator(name)
