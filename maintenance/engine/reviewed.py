"""Reviewed plans: saved by `plan --out`, carried out by `apply --plan` exactly or not at all."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from maintenance.engine.actions import Action, ActionKind, Step
from maintenance.engine.plans import Plan
from maintenance.errors import UsageError

FORMAT = 1


@dataclass(frozen=True, slots=True)
class ReviewedPlan:
    """What somebody has read and approved.

    Attributes:
        only: the subjects that were planned; all if empty.
        actions: each as `Action.as_json` gave it.
    """

    database: str
    policy_hash: str
    only: tuple[str, ...]
    actions: tuple[Mapping[str, Any], ...]

    def as_json(self) -> dict[str, Any]:
        """The document that `plan --out` writes."""
        return {
            "format": FORMAT,
            "database": self.database,
            "policy_hash": self.policy_hash,
            "only": list(self.only),
            "actions": [dict(action) for action in self.actions],
        }


def read_reviewed(text: str, source: str) -> ReviewedPlan:
    """Read a saved plan.

    Raises:
        UsageError: the text is none, or one of another format.
    """
    try:
        document = cast("dict[str, Any]", json.loads(text))
        if document["format"] != FORMAT:
            raise UsageError(f"{source}: format {document['format']}, wanted {FORMAT}")
        return ReviewedPlan(
            document["database"],
            document["policy_hash"],
            tuple(document["only"]),
            tuple(document["actions"]),
        )
    except (ValueError, KeyError, TypeError) as exc:
        raise UsageError(
            f"{source}: not a saved plan", hint="write one with maintenance plan --out FILE"
        ) from exc


def admit(reviewed: ReviewedPlan, policy_hash: str, planned: Plan) -> Plan:
    """Return the reviewed actions as they are planned now; all refused where any differs.

    Args:
        reviewed: what was approved.
        policy_hash: of the policy as it is now.
        planned: the plan as it is now.
    """
    now = {action.id: action for action in planned.actions}
    changes = list(_changes(reviewed, policy_hash, now))
    if not changes:
        return replace(planned, actions=tuple(now[a["id"]] for a in reviewed.actions))
    reason = f"not what was reviewed: {'; '.join(changes)}; plan and review again"
    return replace(planned, actions=tuple(_refused(a, reason) for a in reviewed.actions))


def _changes(reviewed: ReviewedPlan, policy_hash: str, now: Mapping[str, Action]) -> Iterator[str]:
    if reviewed.policy_hash != policy_hash:
        yield "the policy has changed"
    for action in reviewed.actions:
        name = f"{action['kind']} {action['object']}"
        if action["id"] not in now:
            yield f"{name} is no longer planned so"
        elif action["preconditions"] != dict(now[action["id"]].preconditions):
            yield f"{name} meets another table than it did"


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
