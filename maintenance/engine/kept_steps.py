"""Steps as JSON: the journal keeps those that undo an action."""

from collections.abc import Mapping
from typing import Any

from maintenance.engine.actions import Lock, LockMode, Step
from maintenance.server.statements import Ours


def step_as_json(step: Step) -> dict[str, Any]:
    """Return a step as JSON."""
    return {
        "prepare": list(step.prepare),
        "statements": list(step.statements),
        "ours": [n for n, each in enumerate(step.statements) if isinstance(each, Ours)],
        "locks": [[lock.object, lock.mode.value] for lock in step.locks],
        "concurrent": step.concurrent,
        "owner": step.owner,
        "makes": step.makes,
        "removes": step.removes,
        "when": step.when,
    }


def read_step(kept: Mapping[str, Any]) -> Step:
    """Return a step that was kept.

    Raises:
        KeyError, TypeError, ValueError: it is not a step.
    """
    ours = frozenset(kept["ours"])
    return Step(
        statements=tuple(
            Ours(each) if n in ours else str(each) for n, each in enumerate(kept["statements"])
        ),
        prepare=tuple(map(str, kept["prepare"])),
        locks=tuple(Lock(str(name), LockMode(mode)) for name, mode in kept["locks"]),
        concurrent=bool(kept["concurrent"]),
        owner=kept["owner"],
        makes=kept["makes"],
        removes=kept["removes"],
        when=kept["when"],
    )
