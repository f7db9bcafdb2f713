"""The commands `notify` and `alerts`."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import click
from rich.console import Console
from rich.text import Text

from maintenance.alerts.models import Alert
from maintenance.cli.options import NOW, answer, policy_options
from maintenance.engine.findings import Severity
from maintenance.errors import UsageError
from maintenance.formatting import visible
from maintenance.pipeline import notify as rounds
from maintenance.pipeline.notify import RoundReport
from maintenance.policy import Policy, read_duration

_out = Console(highlight=False)
_err = Console(stderr=True, highlight=False)


@click.command()
@policy_options
@NOW
def notify(policies: tuple[Path, ...], as_json: bool, now: datetime | None) -> None:
    """Check databases, update alerts and deliver notifications."""

    def work(policy: Policy) -> RoundReport:
        return rounds.notify(policy, now=now)

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
    """List open alerts; acknowledge or mute one of them."""
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
    """Acknowledge an alert: not repeated unless it gets worse."""
    _tend(context, given, "acknowledged_until", kind, name, until)


@alerts.command()
@_KIND
@_OBJECT
@_UNTIL
@policy_options
@click.pass_context
def mute(context: click.Context, kind: str, name: str, until: str, **given: Any) -> None:
    """Mute an alert; its resolution is still sent."""
    _tend(context, given, "muted_until", kind, name, until)


def _tend(
    context: click.Context, given: dict[str, Any], column: str, kind: str, name: str, until: str
) -> None:
    end = _end(until)

    def work(policy: Policy) -> Standing:
        rounds.tend_alert(policy, kind, name, column, end)
        return _standing(policy)

    policies = given["policies"] or context.obj
    answer(policies, given["as_json"], work, _alerts_document, _render_alerts)


def _end(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return datetime.now(UTC) + _span(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _span(text: str) -> timedelta:
    try:
        return read_duration(text)
    except ValueError as exc:
        raise UsageError(
            f"--until: found {text!r}, wanted a time (2026-12-01) or a duration (3 days)"
        ) from exc


def _standing(policy: Policy) -> Standing:
    return Standing(*rounds.standing(policy))


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
        {"sink": d.sink, "told": d.n_told, "waiting": d.n_waiting, "error": d.error}
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
    for notice in report.notices:
        _err.print(Text(visible(notice)), soft_wrap=True)
    for each in report.delivered:
        left = f", {each.n_waiting} pending ({each.error})" if each.error else ""
        _out.print(Text(visible(f"{each.sink}: delivered {each.n_told}{left}")), soft_wrap=True)
    if report.heartbeat_error is not None:
        _out.print(Text(visible(f"dead man's switch: {report.heartbeat_error}")), soft_wrap=True)


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
