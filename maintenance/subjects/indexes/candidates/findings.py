"""Index candidates as findings: advice, which nobody carries out but the owner of a file. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from maintenance.engine.findings import (
    UNKNOWN,
    Finding,
    FindingKind,
    Reading,
    Severity,
    unknown_without,
)
from maintenance.engine.scope import Request
from maintenance.formatting import counted_noun, readable_size
from maintenance.server.query_text import shown
from maintenance.subjects.indexes.candidates.models import Candidate, CandidatesObservation


def candidate_findings(
    database: str, seen: CandidatesObservation, request: Request
) -> Iterator[Finding]:
    """Yield the candidates of the requested tables, those that save most time first.

    Args:
        database: the policy's name.
        seen: what slow statements ask for.
        request: limits the findings to tables.
    """
    if seen.failure:
        yield Finding(
            FindingKind.MONITOR_BLIND,
            Severity.WARN,
            f"{database}/indexes/{Reading.SLOW_STATEMENTS}",
            f"{database}: no index candidates looked for: {seen.failure}",
            data={UNKNOWN: unknown_without(Reading.SLOW_STATEMENTS, None)},
        )
    for each in seen.candidates:
        if request.includes(each.shape.table):
            yield _finding(each)


def candidates_said(looked: Mapping[str, Any]) -> str:
    """Return in one line what was looked at for index candidates, from its document."""
    if looked["statements"] is None:
        return f"index candidates: no statements read: {looked['silence']}"
    missed = ", ".join(
        f"{n} not planned ({reason.replace('_', ' ')})"
        for reason, n in looked["not_planned"].items()
    )
    hidden = f"{looked['hidden']} hidden from this role" if looked["hidden"] else ""
    proof = f"HypoPG {looked['hypopg']}" if looked["hypopg"] else "no proof without HypoPG"
    parts = (f"{looked['candidates']} found", proof, missed, hidden)
    said = "; ".join(part for part in parts if part)
    return f"index candidates for {looked['statements']} slow statements: {said}"


def _finding(candidate: Candidate) -> Finding:
    heaviest = candidate.statements[0].statement
    table, create = candidate.shape.table, f"{candidate.create()};"
    more = len(candidate.statements) - 1
    others = f" and {counted_noun(more, 'other statement')}" if more else ""
    return Finding(
        FindingKind.INDEX_CANDIDATE,
        Severity.INFO,
        str(candidate.relation),
        f"{table}: an index on ({', '.join(map(str, candidate.shape.columns))}) would serve query"
        f" {heaviest.key}{others}{_reordered(candidate)}: {_proof(candidate)};"
        f" {shown(heaviest.text)}; to have it, add to the file of indexes.declared: {create}",
        value=round(candidate.gain, 1) if candidate.is_proven else None,
        data={
            "table": str(table),
            "columns": list(candidate.shape.names),
            "conditions": list(candidate.shape.conditions),
            "reason": "column_order" if candidate.instead_of is not None else "missing",
            "instead_of": str(candidate.instead_of.relation) if candidate.instead_of else None,
            "is_proven": candidate.is_proven,
            "size_bytes": candidate.size_bytes,
            "create": create,
            "statements": [each.as_json() for each in candidate.statements],
        },
    )


def _reordered(candidate: Candidate) -> str:
    index = candidate.instead_of
    if index is None:
        return ""
    what = "the declared index" if index.is_declared else "the index"
    return f" ({what} {index.relation} has these columns in an order that does not)"


def _proof(candidate: Candidate) -> str:
    if not candidate.is_proven:
        return "not proven: HypoPG is not in this database, or can't pretend it"
    size = candidate.size_bytes
    of = f", {readable_size(size)}" if size is not None else ""
    return f"by HypoPG the planner expects {candidate.gain:,.1f} times less cost{of}"
