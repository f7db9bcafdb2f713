"""Alert settings: sinks, delays and links."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, cast

from pydantic import Discriminator, Field, Tag, field_validator

from maintenance.policy.base import Section, as_written, refused
from maintenance.policy.quantities import Duration
from maintenance.policy.secrets import AnyUrl, HttpUrl, Secret, at
from maintenance.policy.values import Text


class LogSink(Section):
    """Log of the process."""

    type: Literal["log"] = "log"
    """Type of the sink."""


class RedisStreamSink(Section):
    """Stream on the policy's Redis server."""

    type: Literal["redis_stream"]
    """Type of the sink."""
    stream: Text = "maintenance:alerts"
    """Key of the stream."""


class AppriseSink(Section):
    """Slack, PagerDuty, mail and other services through Apprise."""

    type: Literal["apprise"]
    """Type of the sink."""
    url: Annotated[AnyUrl, at("alerts.sinks.url")]
    """Apprise URL of the service."""


class WebhookSink(Section):
    """JSON body by HTTP POST, signed if a secret is set."""

    type: Literal["webhook"]
    """Type of the sink."""
    url: Annotated[HttpUrl, at("alerts.sinks.url")]
    """URL to post to."""
    secret: Annotated[Secret | None, at("alerts.sinks.secret")] = None
    """Key of the HMAC-SHA256 signature."""


def _type_of(sink: object) -> str | None:
    """Return the type of a sink as written; None if it has none."""
    if not isinstance(sink, Mapping):
        return str(getattr(sink, "type", "log"))  # a value that is not a mapping is refused later
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
"""An alert sink."""


class AlertsPolicy(Section):
    """Alert settings."""

    for_: Duration = as_written("0 minutes", alias="for")
    """Time that a finding must persist before an alert is raised."""
    ping: Annotated[HttpUrl | None, at("alerts.ping")] = None
    """URL of a dead man's switch, called in every round."""
    sinks: Annotated[tuple[Sink, ...], Field(strict=False)] = (LogSink(),)
    """Alert sinks."""
    repeat_after: Duration = as_written("24 hours")
    """Interval after which an open alert is repeated."""
    runbook: Text = "docs/runbook.md#{kind}"
    """Link to the runbook entry of a finding kind."""
    ui: Annotated[Text | None, Field(pattern=r"^https?://\S+$")] = None
    """Base URL of the Dagster UI, for links to assets and jobs."""

    @field_validator("runbook")
    @classmethod
    def _check_runbook(cls, template: str) -> str:
        if re.search(r"[{}]", template.replace("{kind}", "")):
            raise refused("a link with no placeholder but {kind}")
        return template
