"""The command `init`: inspects a database and writes a policy for it."""

import json
import os
import re
from collections import Counter
from pathlib import Path

import click

from maintenance.cli import project
from maintenance.cli.options import FILE
from maintenance.cli.text_output import error_console
from maintenance.errors import MaintenanceError, UsageError
from maintenance.formatting import counted_noun
from maintenance.pipeline.init import InitReport
from maintenance.pipeline.init import init as inspect
from maintenance.redaction import redact_values

_NAME = re.compile("[a-z][a-z0-9_]*")

_ENTRY = {"partitions": "partitioned table", "matviews": "materialized view"}


@click.command()
@click.option("--url", help="URL of the database; it is not written to the policy.")
@click.option("--env", "variable", help="Environment variable with the URL of the database.")
@click.option("--name", help="Name of the database in the policy. Default: like the database.")
@click.option("--out", type=FILE, help="New policy file. Default: standard output.")
@click.option(
    "--dagster",
    "folder",
    type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
    help="Folder for a project that runs the policy: Dagster, containers, services.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def init(
    url: str | None,
    variable: str | None,
    name: str | None,
    out: Path | None,
    folder: Path | None,
    *,
    as_json: bool,
) -> None:
    """Inspect a database and write a commented policy for it; change nothing.

    An existing file is never overwritten.
    """
    try:
        if folder is not None:
            _refuse_beside(out)
            project.refuse_unfit(folder)
        report = _init(url, variable, name, out)
        files = (
            project.write_project(report, folder) if folder is not None else [out] if out else []
        )
    except MaintenanceError as exc:
        error_console.print_error(exc)
        raise SystemExit(exc.exit_code) from None
    policy = files[0] if files else None
    if as_json:
        written = {"file": str(policy) if policy else None, "files": [str(each) for each in files]}
        document = {**report.as_json(), **written}
        click.echo(json.dumps(redact_values(document), indent=2, default=str))
    elif policy is None:
        click.echo(report.text, nl=False)
    _tell(report, given_url=url is not None)
    _tell_next(policy, folder)
    raise SystemExit(0 if report.ok else 1)


def _refuse_beside(out: Path | None) -> None:
    if out is not None:
        raise UsageError(
            "--out can't be combined with --dagster",
            hint="the policy is written to policies/ of that folder",
        )


def _init(url: str | None, variable: str | None, name: str | None, out: Path | None) -> InitReport:
    if (url is None) == (variable is None):
        raise UsageError(
            "init needs either --url or --env", hint="such as --env SHOP_URL, which holds the url"
        )
    if variable is not None:
        url = os.environ.get(variable)
        if not url:
            raise UsageError(f"--env: environment variable {variable} is not set")
    assert url is not None, "one of them was given"
    if name is not None and not _NAME.fullmatch(name):
        raise UsageError(
            f"--name: found {name!r}, wanted lower case letters, digits and _, such as shop"
        )
    if out is not None:
        _refuse_existing(out)
    report = inspect(url, os.environ, name=name, variable=variable, path=out or Path("policy.yaml"))
    if out is not None:
        _write(out, report.text)
    return report


def _refuse_existing(out: Path) -> None:
    if out.exists() or out.is_symlink():
        raise UsageError(f"{out}: exists already and is not overwritten", hint="name a new file")
    if not out.absolute().parent.is_dir():
        raise UsageError(f"{out}: its folder does not exist", hint=f"mkdir -p {out.parent}")


def _write(out: Path, text: str) -> None:
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as exc:
        raise UsageError(f"{out}: can't be written: {exc.strerror}") from exc


def _tell(report: InitReport, *, given_url: bool) -> None:
    """Say on standard error what was found, and what the first run would do."""
    tell = error_console.print_progress
    applied = Counter(_ENTRY[entry.subject] for entry in report.entries if entry.applies)
    named = ", ".join(counted_noun(n, noun) for noun, n in applied.items()) or "no table or view"
    proposed = sum(not entry.applies for entry in report.entries)
    tell(
        f"{report.database}: {named} in the policy, {proposed} proposed as comments,"
        f" {len(report.left_out)} left out"
    )
    actions = Counter(action.kind.value for action in report.plan.plan.actions)
    counted = ", ".join(f"{n} {kind}" for kind, n in actions.items()) or "nothing"
    tell(f"the first apply would do: {counted}")
    for entry in report.entries:
        if entry.applies and entry.values.get("mode") == "report":
            tell(f"{entry.relation}: only reported, nothing is created; its section says why")
    for grant in report.grants:
        tell(f"a privilege is missing, run: {grant}")
    if given_url:
        tell(f"set the variable that the policy reads: export {report.variable}='<the url>'")


def _tell_next(policy: Path | None, folder: Path | None) -> None:
    """Say on standard error what was written, and what comes next."""
    tell = error_console.print_progress
    if folder is not None:
        tell(f"written: {folder}")
        tell(f"next: cd {folder}; copy .env.example to .env and fill it in; see README.md")
        return
    if policy is not None:
        tell(f"written: {policy}")
    option = f"--policy {policy or 'FILE'}"
    tell(f"next: maintenance check {option}; maintenance plan {option}")
