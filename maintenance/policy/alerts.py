"""Alert settings: sinks and what they receive, delays, quiet hours and links."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, cast

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator

from maintenance.engine.findings import FindingKind, Severity
from maintenance.policy.base import (
    Fault,
    Section,
    as_written,
    did_you_mean,
    raise_faults,
    refused,
)
from maintenance.policy.cron import is_all_day
from maintenance.policy.quantities import Duration, Written
from maintenance.policy.secrets import AnyUrl, HttpUrl, Secret, at
from maintenance.policy.values import Cron, DatabaseName, Text

_SENT = (Severity.WARN, Severity.ERROR)
"""The severities of alerts."""
_KINDS = [kind.value for kind in FindingKind]


def _read_severity(value: object) -> Severity:
    names = [severity.value for severity in _SENT]
    if value in names:
        return Severity(value)
    hint = "information is in the digest only" if value == Severity.INFO else ""
    guess = did_you_mean(value, names) if isinstance(value, str) else ""
    raise refused(f"one of {', '.join(names)}", hint or guess)


def _read_kind(value: object) -> FindingKind:
    if value in _KINDS:
        return FindingKind(value)
    guess = did_you_mean(value, _KINDS) if isinstance(value, str) else ""
    raise refused("a finding kind", guess or "docs/runbook.md has an entry for each kind")


SentSeverity = Annotated[
    Severity, Written(_read_severity, {"enum": [severity.value for severity in _SENT]})
]
"""A severity of alerts."""
KindName = Annotated[FindingKind, Written(_read_kind, {"enum": _KINDS})]
"""A finding kind."""


class RoutedSink(Section):
    """The alerts that a sink receives."""

    severities: Annotated[
        tuple[SentSeverity, ...], Field(strict=False, json_schema_extra={"minItems": 1})
    ] = _SENT
    """Severities that the sink receives."""
    kinds: Annotated[tuple[KindName, ...], Field(strict=False)] = ()
    """The only kinds that the sink receives, advice too; empty for all kinds but advice."""
    except_kinds: Annotated[tuple[KindName, ...], Field(strict=False)] = ()
    """Kinds that the sink does not receive."""
    databases: Annotated[tuple[DatabaseName, ...], Field(strict=False)] = ()
    """Names of the databases whose alerts the sink receives; empty for all."""

    @field_validator("severities", mode="after")
    @classmethod
    def _check_severities(cls, severities: tuple[Severity, ...]) -> tuple[Severity, ...]:
        if not severities:
            raise refused("at least one severity", "to send nothing, remove the sink")
        return severities

    @field_validator("except_kinds", mode="after")
    @classmethod
    def _check_except_kinds(
        cls, excluded: tuple[FindingKind, ...], info: ValidationInfo
    ) -> tuple[FindingKind, ...]:
        named: Sequence[FindingKind] = info.data.get("kinds", ())
        error = refused("a kind that is not in kinds", "remove it here or there")
        raise_faults(
            "sink", [((index,), error) for index, kind in enumerate(excluded) if kind in named]
        )
        return excluded

    def takes_kind(self, database: str, kind: FindingKind) -> bool:
        """Whether it receives alerts of a kind about a database, whatever their severity."""
        if self.databases and database not in self.databases:
            return False
        if self.kinds:
            return kind in self.kinds
        return not kind.spec.is_advice and kind not in self.except_kinds

    @property
    def takes_only_errors(self) -> bool:
        """Whether warnings reach it only by escalation."""
        return Severity.WARN not in self.severities


class LogSink(RoutedSink):
    """Log of the process."""

    type: Literal["log"] = "log"
    """Type of the sink."""


class RedisStreamSink(RoutedSink):
    """Stream on the policy's Redis server."""

    type: Literal["redis_stream"]
    """Type of the sink."""
    stream: Text = "maintenance:alerts"
    """Key of the stream."""


class AppriseSink(RoutedSink):
    """Slack, PagerDuty, mail and other services through Apprise."""

    type: Literal["apprise"]
    """Type of the sink."""
    url: Annotated[AnyUrl, at("alerts.sinks.url")]
    """Apprise URL of the service."""


class WebhookSink(RoutedSink):
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
    escalate_after: Duration = as_written("24 hours")
    """Time after which an open warning is also sent, once, to sinks that receive only errors."""
    ping: Annotated[HttpUrl | None, at("alerts.ping")] = None
    """URL of a dead man's switch, called in every round."""
    quiet: Annotated[tuple[Cron, ...], Field(strict=False)] = ()
    """Crons of the minutes, in UTC, in which warnings wait, such as `* 22-23 * * *`."""
    sinks: Annotated[tuple[Sink, ...], Field(strict=False)] = (LogSink(),)
    """Alert sinks."""
    repeat_after: Duration = as_written("24 hours")
    """Interval after which an open alert is repeated."""
    runbook: Text = "docs/runbook.md#{kind}"
    """Link to the runbook entry of a finding kind. Messages have it if it is a URL, such as
    `https://wiki.example/runbook.md#{kind}`; otherwise the command `maintenance explain`."""
    ui: Annotated[Text | None, Field(pattern=r"^https?://\S+$")] = None
    """Base URL of the Dagster UI, for links to assets and jobs."""

    @property
    def has_escalation(self) -> bool:
        """Whether a warning can be escalated: a sink receives only errors."""
        return any(sink.takes_only_errors for sink in self.sinks)

    @field_validator("quiet", mode="after")
    @classmethod
    def _check_quiet(cls, crons: tuple[str, ...]) -> tuple[str, ...]:
        if is_all_day(crons):
            hint = "to never send warnings, give the sinks `severities: [error]`"
            error = refused("hours that leave some of the day for warnings", hint)
            faults: list[Fault] = [((len(crons) - 1,), error)]
            raise_faults("alerts", faults)
        return crons

    @field_validator("runbook")
    @classmethod
    def _check_runbook(cls, template: str) -> str:
        if re.search(r"[{}]", template.replace("{kind}", "")):
            raise refused("a link with no placeholder but {kind}")
        return template
