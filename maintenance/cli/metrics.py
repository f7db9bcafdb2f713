"""The command `metrics`: prints Prometheus metrics of all policies, or writes them to a file."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from maintenance.cli.batch import Answer, answers
from maintenance.cli.options import FILE, policy_options
from maintenance.cli.text_output import error_console
from maintenance.errors import UnreachableError
from maintenance.monitoring import Overview, observe_overview
from maintenance.monitoring.metrics import (
    FAMILIES,
    PREFIX,
    exposition,
    samples,
    write_textfile,
)
from maintenance.policy import Policy, load_policies, policy_paths
from maintenance.redaction import redact_values


@click.command()
@policy_options
@click.option("--textfile", type=FILE, help="Write atomically to FILE; its name ends in .prom.")
def metrics(policies: tuple[Path, ...], as_json: bool, textfile: Path | None) -> None:
    """Print the numbers of the digest as Prometheus metrics."""
    given = list(answers(load_policies(policy_paths(policies, os.environ)), observe_overview))
    overviews = [each.report for each in given if each.report is not None]
    if textfile is not None:
        write_textfile(overviews, textfile)
    elif as_json:
        documents = [redact_values(each.as_json(_document)) for each in given]
        click.echo(json.dumps(documents[0] if len(documents) == 1 else documents, indent=2))
    else:
        click.echo(exposition(overviews), nl=False)
    raise SystemExit(_report_errors(given))


def _report_errors(given: Sequence[Answer[Overview]]) -> int:
    """Print what could not be read to standard error and return the exit code."""
    for each in given:
        if each.error is not None:
            error_console.print_error(each.error)
        elif each.report is not None and each.report.blind is not None:
            error_console.print_error(UnreachableError(each.report.blind))
    return max(_code(each) for each in given)


def _code(each: Answer[Overview]) -> int:
    is_blind = each.report is not None and each.report.blind is not None
    return UnreachableError.exit_code if is_blind else each.exit_code


def _document(policy: Policy, overview: Overview) -> dict[str, Any]:
    found = [
        {
            "name": f"{PREFIX}{name}",
            "labels": dict(zip(FAMILIES[name][1], labels, strict=True)),
            "value": float(value),
        }
        for name, value, labels in samples(overview)
    ]
    return {
        "database": policy.database.name,
        "now": overview.now.isoformat(),
        "metrics": found,
    }
