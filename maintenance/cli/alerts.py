"""The commands `notify` and `alerts`."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import click
from rich.console import Console
from rich.text import Text

from maintenance.alerts.models import Alert
from maintenance.alerts.trial_message import SinkReport, check_sinks
from maintenance.cli.options import NOW, answer, policy_options
from maintenance.engine.findings import Severity
from maintenance.engine.target import Target
from maintenance.formatting import visible
from maintenance.pipeline import notify as pipeline_notify
from maintenance.pipeline.acknowledge import AlertAction, acknowledge, read_until
from maintenance.pipeline.notify import RoundReport
from maintenance.policy import Policy

_out = Console(highlight=False)
_err = Console(stderr=True, highlight=False)


@click.command()
@policy_options
@NOW
def notify(policies: tuple[Path, ...], as_json: bool, now: datetime | None) -> None:
    """Check databases, update alerts and deliver notifications."""

    def work(policy: Policy) -> RoundReport:
        return pipeline_notify.notify(policy, now=now)

    answer(policies, as_json, work, _round_document, _render_round)


class Standing(NamedTuple):
    """The open alerts of one database; `store_error` says why they are those of the spool."""

    alerts: list[Alert]
    store_error: str | None = None

    @property
    def ok(self) -> bool:
        """Always true: listing alerts has no failure of its own."""
        return True


@click.group(invoke_without_command=True)
@policy_options
@click.pass_context
def alerts(context: click.Context, policies: tuple[Path, ...], as_json: bool) -> None:
    """List open alerts; acknowledge or mute one of them; test the sinks."""
    context.obj = policies
    if context.invoked_subcommand is None:
        answer(policies, as_json, _standing, _alerts_document, _render_alerts)


_KIND = click.argument("kind")
_OBJECT = click.argument("name", metavar="OBJECT")
_UNTIL = click.option(
    "--until", required=True, help="ISO 8601 time (2026-12-01) or duration (3 days)."
)


@alerts.command()
@_KIND
@_OBJECT
@_UNTIL
@policy_options
@click.pass_context
def ack(context: click.Context, kind: str, name: str, until: str, **given: Any) -> None:
    """Acknowledge an alert: not repeated or escalated unless it gets worse."""
    _tend(context, given, AlertAction.ACKNOWLEDGE, kind, name, read_until(until))


@alerts.command()
@_KIND
@_OBJECT
@_UNTIL
@policy_options
@click.pass_context
def mute(context: click.Context, kind: str, name: str, until: str, **given: Any) -> None:
    """Mute an alert; its resolution is still sent."""
    _tend(context, given, AlertAction.MUTE, kind, name, read_until(until))


@alerts.command()
@_KIND
@_OBJECT
@policy_options
@click.pass_context
def clear(context: click.Context, kind: str, name: str, **given: Any) -> None:
    """Cancel the acknowledgement and the mute of an alert."""
    _tend(context, given, AlertAction.CLEAR, kind, name, None)


@alerts.command()
@click.option("--sink", help="Test this sink only, by its name.")
@policy_options
@click.pass_context
def test(context: click.Context, sink: str | None, **given: Any) -> None:
    """Send a test message through each sink; exit 1 if one fails."""

    def work(policy: Policy) -> SinkReport:
        return check_sinks(Target(policy), sink)

    policies = given["policies"] or context.obj
    answer(policies, given["as_json"], work, _check_document, _render_checks)


def _tend(
    context: click.Context,
    given: dict[str, Any],
    action: AlertAction,
    kind: str,
    name: str,
    until: datetime | None,
) -> None:
    def work(policy: Policy) -> Standing:
        return Standing(*acknowledge(policy, kind, name, action, until))

    policies = given["policies"] or context.obj
    answer(policies, given["as_json"], work, _alerts_document, _render_alerts)


def _standing(policy: Policy) -> Standing:
    return Standing(*pipeline_notify.standing(policy))


def _alerts_document(policy: Policy, report: Standing) -> dict[str, Any]:
    return {
        "database": policy.database.name,
        "alerts": [_alert(each) for each in report.alerts],
        "store_error": report.store_error,
    }


def _round_document(policy: Policy, report: RoundReport) -> dict[str, Any]:
    events = [
        {"state": event.turn.value, **_alert(event.alert), "timestamp": event.at.isoformat()}
        for event in report.events
    ]
    delivered = [
        {
            "sink": d.sink,
            "delivered": d.n_delivered,
            "pending": d.n_pending,
            "held": d.n_held,
            "error": d.error,
        }
        for d in report.delivered
    ]
    return {
        "database": policy.database.name,
        "now": report.now.isoformat(),
        "events": events,
        "alerts": [_alert(alert) for alert in report.alerts],
        "delivered": delivered,
        "heartbeat_error": report.heartbeat_error,
        "store_error": report.store_error,
        "notices": list(report.notices),
    }


def _alert(alert: Alert) -> dict[str, Any]:
    return {
        "kind": alert.identity.kind.value,
        "severity": alert.severity.value,
        "object": alert.identity.object,
        "message": alert.message,
        "value": alert.value,
        "threshold": alert.threshold,
        "since": alert.since.isoformat(),
        "notified_at": _text(alert.notified_at),
        "acknowledged_until": _text(alert.acknowledged_until),
        "muted_until": _text(alert.muted_until),
        "escalated_at": _text(alert.escalated_at),
    }


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None


def _render_round(policy: Policy, report: RoundReport) -> None:
    """Print the alerts changed by this round, the other open alerts and the delivery results."""
    changed = {event.alert.identity for event in report.events}
    for event in report.events:
        _line(event.turn.value, event.alert)
    _lines(alert for alert in report.alerts if alert.identity not in changed)
    if not report.alerts:
        _render_alerts(policy, Standing([]))
    _render_store_error(report.store_error)
    for each in report.delivered:
        left = f", {each.n_pending} pending ({each.error})" if each.error else ""
        held = f", {each.n_held} until quiet hours end" if each.n_held else ""
        told = f"{each.sink}: delivered {each.n_delivered}{left}{held}"
        _out.print(Text(visible(told)), soft_wrap=True)
    if report.heartbeat_error is not None:
        _out.print(Text(visible(f"dead man's switch: {report.heartbeat_error}")), soft_wrap=True)


def _check_document(policy: Policy, report: SinkReport) -> dict[str, Any]:
    del policy
    return report.as_json()


def _render_checks(policy: Policy, report: SinkReport) -> None:
    """Print one line for each sink: whether it took the test message, and what it answered."""
    for each in report.checks:
        is_ok = each.error is None
        _out.print(
            Text.assemble(
                ("delivered" if is_ok else "failed   ", "green" if is_ok else "bold red"),
                visible(f"  {each.sink}: {each.answer if is_ok else each.error}"),
            ),
            soft_wrap=True,
        )
    if not report.checks:
        _out.print(f"{policy.database.name}: no sinks")


def _render_alerts(policy: Policy, report: Standing) -> None:
    if not report.alerts:
        _out.print(f"[green]{policy.database.name}: no open alerts[/]")
    _lines(report.alerts)
    _render_store_error(report.store_error)


def _render_store_error(error: str | None) -> None:
    if error is not None:
        _err.print(
            Text(visible(f"from the spool, the store can't be used: {error}")), soft_wrap=True
        )


def _lines(alerts: Iterable[Alert]) -> None:
    """Print alerts, errors first, then the oldest first."""
    for alert in sorted(alerts, key=lambda a: (a.severity is not Severity.ERROR, a.since)):
        _line(_state(alert, datetime.now(UTC)), alert)


def _state(alert: Alert, now: datetime) -> str:
    if alert.muted_until is not None and alert.is_muted(now):
        return f"muted until {alert.muted_until:%Y-%m-%d %H:%M}"
    if alert.acknowledged_until is not None and alert.is_acknowledged(now):
        return f"acknowledged until {alert.acknowledged_until:%Y-%m-%d %H:%M}"
    return "open" if alert.notified_at is not None else "pending"


def _line(state: str, alert: Alert) -> None:
    """Print one alert on one line, in the style of a finding, with its state and start time."""
    style = "bold red" if alert.severity is Severity.ERROR else "yellow"
    what = Text.assemble(
        f"{state:8}  ",
        (alert.severity.value, style),
        f" {alert.identity.kind} since {alert.since:%Y-%m-%d %H:%M}: {visible(alert.message)}",
    )
    _out.print(what, soft_wrap=True)
