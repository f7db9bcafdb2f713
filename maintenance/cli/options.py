"""Options shared by the commands, and the loop over the policies."""

import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import Any

import click

from maintenance.cli.batch import R, answers
from maintenance.cli.text_output import error_console
from maintenance.errors import MaintenanceError
from maintenance.names import QualifiedName, parse_name
from maintenance.policy import Policy, load_policies, policy_paths, read_duration
from maintenance.policy import read_moment as parse_moment
from maintenance.redaction import redact_values


def policy_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of every command; turn our errors into messages and exit codes."""

    @click.option(
        "--policy",
        "policies",
        type=click.Path(path_type=Path),
        multiple=True,
        help="Policy file or folder; repeatable. Default: $MAINTENANCE_POLICIES, else policies/.",
    )
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except MaintenanceError as exc:
            error_console.print_error(exc)
            raise SystemExit(exc.exit_code) from None

    return wrapped


def _only(
    _context: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    parts = (part.strip() for value in values for part in value.split(","))
    return tuple(part for part in parts if part)


def read_moment(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> datetime | None:
    """Parse an ISO 8601 time; without an offset it is UTC."""
    if value is None:
        return None
    try:
        return parse_moment(value)
    except ValueError as exc:
        raise click.BadParameter(
            f"{value!r} is not an ISO 8601 time such as 2026-11-20T00:00Z"
        ) from exc


def read_table(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> QualifiedName | None:
    """Parse a table name in SQL notation."""
    try:
        return parse_name(value) if value is not None else None
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from exc


def read_span(_context: click.Context, _option: click.Parameter, value: str) -> timedelta:
    """Parse a duration such as `30 days`."""
    try:
        return read_duration(value)
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from exc


FILE = click.Path(path_type=Path, dir_okay=False)
ONLY = click.option(
    "--only", multiple=True, callback=_only, help="Run these subjects only, separated by commas."
)
WAVES = click.option(
    "--wave",
    "waves",
    type=click.IntRange(min=1),
    multiple=True,
    help="Roll out this wave of declared indexes only; repeatable.",
)
SCHEDULED = click.option(
    "--scheduled",
    is_flag=True,
    help="As a schedule would: retention needs its approval, and a pause is no error.",
)
NOW = click.option("--now", callback=read_moment, help="ISO 8601 time to use as the current time.")


def answer(
    policies: tuple[Path, ...],
    as_json: bool,
    work: Callable[[Policy], R],
    to_json: Callable[[Policy, R], dict[str, Any]],
    render: Callable[[Policy, R], None],
) -> None:
    """Run `work` for each policy, print every result, exit with the highest code."""
    loaded = load_policies(policy_paths(policies, os.environ))
    given = list(answers(loaded, work))
    if as_json:
        documents = [redact_values(each.as_json(to_json)) for each in given]
        click.echo(json.dumps(documents[0] if len(documents) == 1 else documents, indent=2))
    for each in given:
        if each.error is not None:
            error_console.print_error(each.error)
        elif not as_json:
            each.render(render)
    raise SystemExit(max(each.exit_code for each in given))
