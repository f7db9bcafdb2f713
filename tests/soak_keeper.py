"""Runs maintenance as it is told, in a process that the soak kills.

It reads an order a line: a moment, what to do, and for `undo` the run. Before each it says `BEGIN`.
"""

import json
import sys
from collections import Counter
from datetime import datetime
from pathlib import Path

from maintenance.engine.actions import ActionKind
from maintenance.engine.executor import Outcome, Result
from maintenance.engine.scope import EVERYTHING, Request
from maintenance.errors import UsageError
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.undo import undo
from maintenance.policy import load_policy

BEGIN = "begin"
OK = "ok"
FAILED = "failed"
CONVERTED = "converted"
UNDONE = "undone"
REFUSED = "refused"


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def keep(path: Path, order: dict[str, str]) -> None:
    """Carry out one order, and say how it ended."""
    policy = load_policy(path)
    if order["do"] == "undo":
        take_back(path, order["run"])
        return
    request = Request(again=True) if order["do"] == "again" else EVERYTHING
    now = datetime.fromisoformat(order["now"])
    report = pipeline.apply(policy, now=now, request=request, progress=say)
    done = kinds_done(report.results)
    if ActionKind.CONVERT_TABLE in done:
        say(f"{CONVERTED} {report.run_id}")
    if report.ok:
        say(f"{OK} {json.dumps(done)}")
        return
    errors = [(r.action.kind, r.action.object, r.error) for r in report.results if r.error]
    findings = [f.message for f in report.findings if f.severity == "error"]
    say(f"{FAILED} {errors} {findings}".replace("\n", " "))


def take_back(path: Path, run: str) -> None:
    """Undo a run; a process that was killed after the last step has done it already."""
    try:
        report = undo(load_policy(path), run, progress=say)
    except UsageError as exc:
        say(f"{UNDONE} {exc}")
        return
    if report.ok:
        say(f"{UNDONE} {json.dumps(kinds_done(report.results))}")
    elif any(each.outcome is Outcome.FAILED for each in report.results):
        say(f"{FAILED} {report.as_json()}")
    else:  # later work stands on it, such as rows of a month that the plain table can't take
        say(f"{REFUSED} {[each.reason for each in report.kept if each.is_refused]}")


def kinds_done(results: tuple[Result, ...]) -> Counter[str]:
    return Counter(str(r.action.kind) for r in results if r.outcome is Outcome.DONE)


if __name__ == "__main__":
    say(BEGIN)
    for line in sys.stdin:
        keep(Path(sys.argv[1]), json.loads(line))
        say(BEGIN)
