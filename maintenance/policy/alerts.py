"""Whom findings are told, and when."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, cast

from pydantic import Discriminator, Field, Tag, field_validator

from maintenance.policy.base import Section, as_written, refused
from maintenance.policy.quantities import Duration
from maintenance.policy.secrets import AnyUrl, HttpUrl, Secret, at
from maintenance.policy.values import Text


class LogSink(Section):
    """The log."""

    type: Literal["log"] = "log"
    """Which sink this is."""


class RedisStreamSink(Section):
    """A stream on the policy's Redis server."""

    type: Literal["redis_stream"]
    """Which sink this is."""
    stream: Text = "maintenance:alerts"
    """Its key."""


class AppriseSink(Section):
    """Slack, PagerDuty, mail and others through Apprise."""

    type: Literal["apprise"]
    """Which sink this is."""
    url: Annotated[AnyUrl, at("alerts.sinks.url")]
    """Apprise's url of the service."""


class WebhookSink(Section):
    """A JSON body by POST, signed if there is a secret."""

    type: Literal["webhook"]
    """Which sink this is."""
    url: Annotated[HttpUrl, at("alerts.sinks.url")]
    """Where to."""
    secret: Annotated[Secret | None, at("alerts.sinks.secret")] = None
    """Key of the HMAC-SHA256 signature."""


def _type_of(sink: object) -> str | None:
    """Return the type a sink is written with; None if it has none."""
    if not isinstance(sink, Mapping):
        return str(getattr(sink, "type", "log"))  # what is no mapping, no sink takes
    kind = cast("Mapping[str, object]", sink).get("type")
    # Not the text of a list: aliases can make it longer than memory.
    return kind if kind is None or isinstance(kind, str) else ""


Sink = Annotated[
    Annotated[LogSink, Tag("log")]
    | Annotated[RedisStreamSink, Tag("redis_stream")]
    | Annotated[AppriseSink, Tag("apprise")]
    | Annotated[WebhookSink, Tag("webhook")],
    Discriminator(_type_of),
]
"""Where alerts go."""


class AlertsPolicy(Section):
    """Whom findings are told, and when."""

    for_: Duration = as_written("0 minutes", alias="for")
    """How long a finding stands before it is raised."""
    ping: Annotated[HttpUrl | None, at("alerts.ping")] = None
    """A dead man's switch, called each round."""
    sinks: Annotated[tuple[Sink, ...], Field(strict=False)] = (LogSink(),)
    """Where alerts go."""
    repeat_after: Duration = as_written("24 hours")
    """When a standing alert is told again."""
    runbook: Text = "docs/runbook.md#{kind}"
    """The page of a finding's kind."""
    ui: Annotated[Text | None, Field(pattern=r"^https?://\S+$")] = None
    """Where the Dagster UI is, for links to assets and jobs."""

    @field_validator("runbook")
    @classmethod
    def _check_runbook(cls, template: str) -> str:
        if re.search(r"[{}]", template.replace("{kind}", "")):
            raise refused("a link with no placeholder but {kind}")
        return template
