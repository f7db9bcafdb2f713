"""Record the proofs of one observation, so that age counts from them."""

from maintenance.engine.observe_context import ObserveContext
from maintenance.store import note_definitions, note_proofs
from maintenance.subjects.matviews.freshness import assess_all
from maintenance.subjects.matviews.models import MatviewsObservation


def record(context: ObserveContext, seen: MatviewsObservation) -> None:
    """Record the proofs and the comparisons of definitions of one observation."""
    assert context.store is not None, "only runs with a store record"
    proofs = {
        baseline.id: verdict.as_of
        for name, verdict in assess_all(context.policy, seen).items()
        if (baseline := seen.views[name].baseline) is not None and verdict.as_of is not None
    }
    if proofs:
        note_proofs(context.store, proofs)
    answers = {
        str(name): (definition.identity, definition.differs)
        for name, definition in seen.definitions.items()
        if definition.identity and name in seen.views
    }
    if answers:
        note_definitions(context.store, context.policy.database.name, answers)
