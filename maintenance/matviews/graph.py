"""Views on views: in which order they are refreshed, and which of them go round in a circle."""

from collections.abc import Collection, Mapping
from graphlib import CycleError, TopologicalSorter

from maintenance.names import QualifiedName

Reads = Mapping[QualifiedName, Collection[QualifiedName]]
"""For each view, the views it reads."""


def in_order(reads: Reads) -> tuple[QualifiedName, ...]:
    """Return views so that each comes after those it reads; those in a circle are left out."""
    circular = in_circles(reads)
    sorter = TopologicalSorter(
        {
            view: sorted((set(sources) & reads.keys()) - circular)
            for view, sources in sorted(reads.items())
            if view not in circular
        }
    )
    return tuple(sorter.static_order())


def in_circles(reads: Reads) -> frozenset[QualifiedName]:
    """Return the views that read themselves by way of others."""
    remaining = {view: set(sources) for view, sources in reads.items()}
    circular: set[QualifiedName] = set()
    while True:
        try:
            TopologicalSorter(remaining).prepare()
        except CycleError as exc:
            circle = set(exc.args[1])
            circular |= circle
            remaining = {
                view: sources - circle for view, sources in remaining.items() if view not in circle
            }
        else:
            return frozenset(circular & reads.keys())
