"""A daemon for tests of alerts: processes scripted findings, and can be killed.

Run as `python -m tests.alert_daemon POLICY SCRIPT FIRST`; it prints each round, and begins it once
a line comes in.
"""

import json
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from maintenance.alerts.models import FindingSet
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.pipeline import notify
from maintenance.policy import load_policy


class Round(NamedTuple):
    """The scripted findings of one moment."""

    at: datetime
    finding_set: FindingSet


def read_script(path: Path, database: str) -> Iterator[Round]:
    """Read rounds: a moment each, and the findings of that moment as kind, object and severity."""
    for moment, found in json.loads(path.read_text()):
        findings = [_finding(*each) for each in found]
        yield Round(
            datetime.fromisoformat(moment), FindingSet(database, findings, frozenset(FindingKind))
        )


def _finding(kind: str, name: str, severity: str) -> Finding:
    return Finding(FindingKind(kind), Severity(severity), name, f"{name} is unwell")


def main(policy_path: str, script_path: str, first: str) -> None:
    policy = load_policy(Path(policy_path))
    script: list[Any] = list(read_script(Path(script_path), policy.database.name))
    for number, round_ in list(enumerate(script))[int(first) :]:
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
        sys.stdin.readline()
        notify.run_round(policy, [round_])


if __name__ == "__main__":
    main(*sys.argv[1:])
