"""URLs and secrets: literal in the file, or in an environment variable."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, cast

from pydantic import AfterValidator, SecretStr
from pydantic.json_schema import JsonSchemaValue

from maintenance.errors import UsageError
from maintenance.policy.base import refused
from maintenance.policy.prisma import check_prisma
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
_HIDDEN = "a value (not shown)"

_POSTGRES = "postgres|postgresql"
_HTTP = "http|https"
_ANY = r"[a-z][a-z0-9+.-]*"
_NONE = ""


@dataclass(frozen=True, slots=True)
class Url:
    """A URL or another secret that no message, log or dump shows.

    Attributes:
        env: the environment variable that holds it; None if the file has it literally.
        literal: the value itself; None if it is in the environment.
        key: the policy key, for messages.
        schemes: a pattern of the accepted schemes; empty if the value is not a URL.
    """

    env: str | None = None
    literal: SecretStr | None = field(default=None, repr=False)
    key: str = ""
    schemes: str = ""

    @property
    def label(self) -> str:
        """The part that may be shown: the variable's name, or the word `literal`."""
        return self.env or "literal"

    @property
    def setting(self) -> str:
        """The source, for messages: the policy key and the variable's name."""
        return f"{self.key} (environment variable {self.env})" if self.env else self.key

    def resolve(self, environ: Mapping[str, str]) -> str:
        """Return the value.

        Raises:
            UsageError: the environment variable is not set, empty, or has an invalid URL; the
                message names the invalid part, without its text.
        """
        if self.literal is not None:
            return self.literal.get_secret_value()
        if value := environ.get(self.label):
            self._accept(value)
            return value
        state = "empty" if self.label in environ else "not set"
        raise UsageError(
            f"{self.key}: environment variable {self.label} is {state}",
            hint=f"set {self.label}, or change {self.key} in the policy",
        )

    def _accept(self, value: str) -> None:
        hide(value, self.schemes)
        fault = fault_of(value, self.schemes)
        if fault:
            raise UsageError(
                f"{self.key}: environment variable {self.label}: {fault}",
                hint=f"correct {self.label}; its value is not shown: it may contain a secret",
            )

    def __str__(self) -> str:
        return self.label


def fault_of(value: str, schemes: str) -> str:
    """Return the invalid part of a URL; empty if it is valid."""
    try:
        if schemes == _POSTGRES:
            check_postgres(value)
            check_prisma(value)
        elif schemes not in (_NONE, _ANY):  # URLs of other programs have their own rules
            check_url(value, schemes)
    except UrlError as fault:
        return str(fault)
    return ""


def hide(value: str, schemes: str) -> None:
    """Redact the secret parts of a value in all output of this process."""
    if schemes == _NONE:
        remember([value])
        return
    # In an invalid URL the apparent host may be a part of the password.
    remember(secret_parts(value), () if fault_of(value, schemes) else public_parts(value))
    if schemes in (_HTTP, _ANY):
        remember(token_parts(value, host_too=schemes == _ANY))


def _reader(wanted: str, schemes: str) -> Callable[[object], Url]:
    pattern = re.compile(schemes and rf"(?:{schemes})://\S+", re.IGNORECASE)

    def read(value: object) -> Url:
        if isinstance(value, str) and value:
            hide(value, schemes)
            if not schemes or pattern.fullmatch(value) or _is_prisma(value, schemes):
                if fault := fault_of(value, schemes):
                    raise refused(wanted, fault, found=_HIDDEN)
                return Url(literal=SecretStr(value), schemes=schemes)
        return replace(_read_reference(value, wanted), schemes=schemes)

    return read


def _is_prisma(value: str, schemes: str) -> bool:
    """Whether a url leads to a service of Prisma, which has its own message."""
    return schemes == _POSTGRES and value.lower().startswith(("prisma://", "prisma+postgres://"))


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
        hint = "use an environment variable: {env: NAME}"
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
"""URL of a database."""

RedisUrl = Annotated[Url, _written("a redis:// url", "redis|rediss|unix")]
"""URL of a Redis server."""

HttpUrl = Annotated[Url, _written("an https:// url", _HTTP)]
"""An HTTP URL."""

AnyUrl = Annotated[Url, _written("a url", _ANY)]
"""A URL of any scheme, checked by another program."""

Secret = Annotated[Url, _written("a secret", _NONE)]
"""A shared secret."""


def at(key: str) -> AfterValidator:
    """Set the policy key that a reference belongs to."""

    def name(url: Url | None) -> Url | None:
        return url and replace(url, key=key)

    return AfterValidator(name)
