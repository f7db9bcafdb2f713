"""Steps as JSON: the journal keeps those that undo an action."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from maintenance.engine.actions import Lock, LockMode, Step
from maintenance.server.statements import Ours


def step_as_json(step: Step) -> dict[str, Any]:
    """Return a step as JSON."""
    return {
        "prepare": list(step.prepare),
        "statements": list(step.statements),
        "ours": _places(step.statements),
        "ours_prepare": _places(step.prepare),
        "locks": [[lock.object, lock.mode.value] for lock in step.locks],
        "concurrent": step.concurrent,
        "owner": step.owner,
        "makes": step.makes,
        "removes": step.removes,
        "when": step.when,
        "kept_if": step.kept_if,
        "copies": list(step.copies),
    }


def read_step(kept: Mapping[str, Any]) -> Step:
    """Return a step that was kept.

    Raises:
        KeyError, TypeError, ValueError: it is not a step.
    """
    return Step(
        statements=_read(kept["statements"], kept["ours"]),
        prepare=_read(kept["prepare"], kept.get("ours_prepare", ())),
        locks=tuple(Lock(str(name), LockMode(mode)) for name, mode in kept["locks"]),
        concurrent=bool(kept["concurrent"]),
        owner=kept["owner"],
        makes=kept["makes"],
        removes=kept["removes"],
        when=kept["when"],
        kept_if=kept.get("kept_if"),
        copies=tuple(map(str, kept.get("copies", ()))),
    )


def _places(statements: Sequence[str]) -> list[int]:
    """Return the places of the statements that run as our own role."""
    return [n for n, each in enumerate(statements) if isinstance(each, Ours)]


def _read(texts: Iterable[object], ours: Collection[int]) -> tuple[str, ...]:
    return tuple(Ours(each) if n in ours else str(each) for n, each in enumerate(texts))
