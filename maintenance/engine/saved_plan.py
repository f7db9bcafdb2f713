"""Reviewed plans: saved by `plan --out`, applied by `apply --plan` exactly or not at all."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from maintenance.engine.actions import Action, ActionKind, Step, identify_action
from maintenance.engine.plan import Plan
from maintenance.errors import UsageError

FORMAT = 1

COMPARED = ("kind", "object", "table", "period", "sql", "locks", "destructive", "preconditions")
"""Fields of an action that must not have changed since the review; the reason may differ."""


@dataclass(frozen=True, slots=True)
class ReviewedPlan:
    """A plan that was reviewed and approved.

    Attributes:
        only: the subjects that were planned; all if empty.
        actions: each as returned by `Action.as_json`.
    """

    database: str
    policy_hash: str
    only: tuple[str, ...]
    actions: tuple[Mapping[str, Any], ...]

    def as_json(self) -> dict[str, Any]:
        """The document that `plan --out` writes."""
        document = {
            "format": FORMAT,
            "database": self.database,
            "policy_hash": self.policy_hash,
            "only": list(self.only),
            "actions": [dict(action) for action in self.actions],
        }
        return {**document, "digest": _digest(document)}


def read_reviewed(text: str, source: str) -> ReviewedPlan:
    """Read a saved plan.

    Raises:
        UsageError: the text is not a saved plan, has another format, or was changed.
    """
    document = _parse(text, source)
    if document.get("format") != FORMAT:
        found = _shown(document.get("format"))
        raise UsageError(f"{source}: found format {found}, wanted {FORMAT}")
    fault = next(_faults(document), None)
    if fault is not None:
        raise _no_plan(source, fault)
    try:
        change = next(_tampered(document), None)
    except RecursionError:
        raise _no_plan(source, "nested too deeply") from None
    if change is not None:
        raise UsageError(
            f"{source}: {change} since it was saved; nothing was done",
            hint="create and review a new plan: maintenance plan --out FILE",
            reason="altered",
        )
    return ReviewedPlan(
        document["database"],
        document["policy_hash"],
        tuple(document["only"]),
        tuple(document["actions"]),
    )


def admit(reviewed: ReviewedPlan, policy_hash: str, planned: Plan) -> Plan:
    """Return the reviewed actions as planned now; all refused if any differs.

    Args:
        reviewed: the approved plan.
        policy_hash: hash of the current policy.
        planned: the current plan.
    """
    now = {action.id: action for action in planned.actions}
    changes = list(_changes(reviewed, policy_hash, now))
    if not changes:
        return replace(planned, actions=tuple(now[a["id"]] for a in reviewed.actions))
    reason = f"differs from the reviewed plan: {'; '.join(changes)}; create and review a new plan"
    return replace(planned, actions=tuple(_refused(a, reason) for a in reviewed.actions))


def _changes(reviewed: ReviewedPlan, policy_hash: str, now: Mapping[str, Action]) -> Iterator[str]:
    if reviewed.policy_hash != policy_hash:
        yield "the policy has changed"
    for action in reviewed.actions:
        name = f"{action['kind']} {action['object']}"
        planned = now.get(action["id"])
        if planned is None:
            yield f"{name} is no longer planned with the same SQL"
            continue
        # Through JSON, as in the file: a tuple becomes a list there.
        actual = json.loads(json.dumps(planned.as_json()))
        if action["preconditions"] != actual["preconditions"]:
            changed = _changed_facts(action["preconditions"], actual["preconditions"])
            yield f"{name}: {changed} changed since the review"
        different = [key for key in COMPARED if action[key] != actual[key]]
        if different and different != ["preconditions"]:
            yield f"{name}: changed {', '.join(different)}"


_FACTS = {
    "definition": "its definition has",
    "leaves": "the partitions of its table have",
    "new": "the index that replaces it has",
}
"""What preconditions are about, in words; most are about the table."""


def _changed_facts(reviewed: Mapping[str, Any], actual: Mapping[str, Any]) -> str:
    keys = [key for key in reviewed.keys() | actual.keys() if reviewed.get(key) != actual.get(key)]
    return " and ".join(sorted({_FACTS.get(key, "its table has") for key in keys}))


def _parse(text: str, source: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise _no_plan(source, "not valid JSON") from None
    if not isinstance(document, dict):
        raise _no_plan(source, "not a JSON object")
    return cast("dict[str, Any]", document)


def _no_plan(source: str, fault: str) -> UsageError:
    return UsageError(
        f"{source}: not a saved plan: {fault}", hint="create one with maintenance plan --out FILE"
    )


def _faults(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the fields that a saved plan must have and this document lacks."""
    for key in ("database", "policy_hash", "digest"):
        if not isinstance(document.get(key), str):
            yield f"{key}: found {_shown(document.get(key))}, wanted text"
    if not _are_texts(document.get("only")):
        yield f"only: found {_shown(document.get('only'))}, wanted a list of texts"
    actions = document.get("actions")
    if not isinstance(actions, list):
        yield f"actions: found {_shown(actions)}, wanted a list"
        return
    for place, action in enumerate(cast("list[object]", actions)):
        for fault in _action_faults(action):
            yield f"actions[{place}]{fault}"


def _action_faults(action: object) -> Iterator[str]:
    if not isinstance(action, dict):
        yield f": found {_shown(action)}, wanted an object"
        return
    facts = cast("dict[str, object]", action)
    for key, (wanted, fits) in _WANTED.items():
        if key not in facts:
            yield f".{key}: missing, wanted {wanted}"
        elif not fits(facts[key]):
            yield f".{key}: found {_shown(facts[key])}, wanted {wanted}"


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, str) for item in cast("list[object]", value)
    )


def _is_text_or_null(value: object) -> bool:
    return value is None or _is_text(value)


_TEXT = ("text", _is_text)
_TEXT_OR_NULL = ("text or null", _is_text_or_null)
_TEXTS = ("a list of texts", _are_texts)
_WANTED: Mapping[str, tuple[str, Callable[[object], bool]]] = {
    "id": _TEXT,
    "kind": ("a kind of action", lambda value: _is_text(value) and value in set(ActionKind)),
    "object": _TEXT,
    "reason": _TEXT,
    "table": _TEXT_OR_NULL,
    "period": _TEXT_OR_NULL,
    "sql": _TEXTS,
    "after": _TEXTS,
    "locks": ("a list", lambda value: isinstance(value, list)),
    "destructive": ("true or false", lambda value: isinstance(value, bool)),
    "preconditions": ("an object", lambda value: isinstance(value, dict)),
}


def _tampered(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the changes made to a saved plan since it was written."""
    actions: Sequence[Mapping[str, Any]] = document["actions"]
    for place, action in enumerate(actions):
        if action["id"] != identify_action(action["kind"], action["object"], action["sql"]):
            yield f"actions[{place}] (id does not match its kind, object and SQL) was changed"
    if len({action["id"] for action in actions}) != len(actions):
        yield "an action was duplicated"
    if document["digest"] != _digest(document):
        yield "the file was changed"


def _digest(document: Mapping[str, Any]) -> str:
    """Return the hash of a saved plan without the digest itself."""
    content = {key: value for key, value in document.items() if key != "digest"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _shown(value: object) -> str:
    """Return a short form of a value, whatever its size."""
    if value is None or isinstance(value, bool | int | float):
        return json.dumps(value)[:40]
    if isinstance(value, str):
        return json.dumps(value if len(value) <= 40 else f"{value[:39]}…")  # noqa: PLR2004
    return "a list" if isinstance(value, list) else "an object"


def _refused(saved: Mapping[str, Any], reason: str) -> Action:
    return Action(
        kind=ActionKind(saved["kind"]),
        object=saved["object"],
        table=saved["table"],
        period=saved["period"],
        steps=(Step(statements=tuple(saved["sql"])),),
        reason=saved["reason"],
        destructive=saved["destructive"],
        refused=reason,
    )
