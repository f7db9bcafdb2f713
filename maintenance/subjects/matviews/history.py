"""Keeping what one look has proven, so that age counts from there."""

from maintenance.engine.observe_context import Look
from maintenance.store import note_definitions, note_proofs
from maintenance.subjects.matviews.freshness import judge_all
from maintenance.subjects.matviews.models import Seen


def record(look: Look, seen: Seen) -> None:
    """Write down proofs and comparisons of one look."""
    assert look.store is not None, "only runs with a store record"
    proofs = {
        baseline.id: verdict.as_of
        for name, verdict in judge_all(look.policy, seen).items()
        if (baseline := seen.views[name].baseline) is not None and verdict.as_of is not None
    }
    if proofs:
        note_proofs(look.store, proofs)
    answers = {
        str(name): (definition.identity, definition.differs)
        for name, definition in seen.definitions.items()
        if definition.identity and name in seen.views
    }
    if answers:
        note_definitions(look.store, look.policy.database.name, answers)
