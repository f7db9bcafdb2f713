"""Which candidates are told: merged over statements, and proven or likely. Pure."""

from collections import defaultdict
from collections.abc import Iterable

from maintenance.subjects.indexes.candidates.models import (
    LEAST_GAIN,
    Candidate,
    PresentIndex,
    ServedStatement,
    Shape,
)
from maintenance.subjects.indexes.candidates.propose import Proposal


def merged(
    found: Iterable[tuple[Proposal, ServedStatement, int | None]],
) -> list[Candidate]:
    """Return the candidates, each with all its statements, without those that others begin with."""
    statements: dict[Shape, list[ServedStatement]] = defaultdict(list)
    sizes: dict[Shape, int] = {}
    instead: dict[Shape, PresentIndex] = {}
    for proposal, served, size in found:
        statements[proposal.shape].append(served)
        if size is not None:
            sizes[proposal.shape] = size
        if proposal.instead_of is not None:
            instead[proposal.shape] = proposal.instead_of
    for shape in sorted(statements, key=lambda each: len(each.columns)):
        longer = next((each for each in statements if _begins_with(each, shape)), None)
        if longer is not None:
            known = {each.statement.key for each in statements[longer]}
            more = statements.pop(shape)
            statements[longer] += [each for each in more if each.statement.key not in known]
    return [
        Candidate(
            shape,
            "",
            tuple(sorted(served, key=lambda each: -each.statement.total_ms)),
            instead.get(shape),
            sizes.get(shape),
            is_proven=any(each.gain is not None for each in served),
        )
        for shape, served in statements.items()
    ]


def _begins_with(longer: Shape, shape: Shape) -> bool:
    n = len(shape.columns)
    return (
        longer != shape
        and (longer.table, longer.conditions) == (shape.table, shape.conditions)
        and longer.columns[:n] == shape.columns
    )


def is_useful(candidate: Candidate) -> bool:
    """Whether a candidate is told: proven, or likely where HypoPG could not be asked."""
    if candidate.is_proven:
        return candidate.gain >= LEAST_GAIN
    return any(each.is_selective and not each.is_tried for each in candidate.statements)
