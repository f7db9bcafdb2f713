"""The environment variables that a policy refers to."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from pydantic import BaseModel

from maintenance.policy.models import Policy
from maintenance.policy.secrets import Url


def references(policy: Policy) -> tuple[Url, ...]:
    """Return the urls and secrets of a policy that are in the environment, each once.

    Without the database's own, and without replicas that may be missing.
    """
    optional = policy.database.replicas if policy.database.optional_replicas else ()
    left_out = {policy.database.url, *optional}
    found = dict.fromkeys(each for each in _urls(policy) if each.env is not None)
    return tuple(each for each in found if each not in left_out)


def _urls(value: Any) -> Iterator[Url]:
    if isinstance(value, Url):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _urls(getattr(value, name))
    elif isinstance(value, Mapping):
        for each in cast("Mapping[Any, Any]", value).values():
            yield from _urls(each)
    elif isinstance(value, tuple):
        for each in cast("tuple[Any, ...]", value):
            yield from _urls(each)
