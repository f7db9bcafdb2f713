"""Jobs launched by hand: test the alert sinks; acknowledge or mute an alert."""

from datetime import UTC, datetime
from enum import Enum

import dagster as dg
from pydantic import Field

from maintenance.alerts.trial_message import SinkCheck
from maintenance.formatting import visible
from maintenance.orchestration.form_job import form_job
from maintenance.orchestration.maintainer import MAINTAINER
from maintenance.orchestration.naming import name_of
from maintenance.pipeline.acknowledge import AlertAction
from maintenance.policy import Policy


class SinkTestConfig(dg.Config):
    """The sinks to test; the launchpad shows the descriptions."""

    sink: str = Field(
        default="", description="Name of the one sink to test, such as log; empty: every sink."
    )


class Action(Enum):
    """The actions, as the launchpad offers them: by name."""

    acknowledge = AlertAction.ACKNOWLEDGE
    mute = AlertAction.MUTE
    clear = AlertAction.CLEAR


class AcknowledgeConfig(dg.Config):
    """The open alert and what to do with it; the launchpad shows the descriptions."""

    kind: str = Field(description="Finding kind of the open alert, such as connections_saturated.")
    object: str = Field(description="Object of the open alert, as the alert shows it.")
    action: Action = Field(
        default=Action.acknowledge,
        description=(
            "acknowledge: not repeated or escalated unless it gets worse; mute: nothing is sent"
            " but the resolution; clear: neither any more."
        ),
    )
    until: str = Field(
        default="1 day",
        description="ISO 8601 time (2026-12-01) or duration (3 days); ignored by clear.",
    )


def alert_jobs(policy: Policy) -> list[dg.JobDefinition]:
    """Build the jobs `<db>_alerts_test` and `<db>_acknowledge_alert`."""
    return [_test_job(policy), _acknowledge_job(policy)]


def _test_job(policy: Policy) -> dg.JobDefinition:
    @dg.op(name=name_of(policy, "test_sinks"))
    def test_sinks(context: dg.OpExecutionContext, config: SinkTestConfig) -> None:
        report = MAINTAINER.check_sinks(policy, config.sink or None)
        shown = {each.sink: _shown(each) for each in report.checks}
        context.add_output_metadata(shown)
        failed = [each for each in report.checks if each.error is not None]
        if failed:
            lines = [f"{each.sink}: {each.error}" for each in failed]
            raise dg.Failure(
                description=visible("; ".join(lines)), metadata=shown, allow_retries=False
            )

    description = (
        "Sends one message marked as a test through each alert sink of the policy, and shows"
        " what each answered. Fails if a sink fails."
    )
    return form_job(policy, "alerts_test", test_sinks, description)


def _shown(check: SinkCheck) -> str:
    return visible(f"failed: {check.error}" if check.error else f"delivered: {check.answer}")


def _shown_time(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if moment is not None else "no"


def _acknowledge_job(policy: Policy) -> dg.JobDefinition:
    @dg.op(name=name_of(policy, "tend_alert"))
    def tend_alert(context: dg.OpExecutionContext, config: AcknowledgeConfig) -> None:
        alert = MAINTAINER.acknowledge(
            policy, config.kind, config.object, config.action.value, config.until
        )
        about = {
            "message": alert.message,
            "acknowledged_until": _shown_time(alert.acknowledged_until),
            "muted_until": _shown_time(alert.muted_until),
        }
        context.add_output_metadata(about)

    description = (
        "Acknowledges or mutes an open alert until a time, or clears both. Set `kind` and"
        " `object`; open alerts are listed on the digest, and in the error if none matches."
    )
    return form_job(policy, "acknowledge_alert", tend_alert, description)
