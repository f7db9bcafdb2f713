"""Watching the rebuild of an index, and noting what it makes, so that leftovers are known."""

from collections.abc import Generator
from contextlib import contextmanager

from maintenance.bloat.history import note_new_oid
from maintenance.engine import build_monitor
from maintenance.engine.build_monitor import Watch
from maintenance.engine.workbench import Workbench

__all__ = ["Watch", "watched"]


@contextmanager
def watched(bench: Workbench, number: int) -> Generator[Watch]:
    """Watch the rebuild of that number in our history, see `build_monitor.watched`."""
    with build_monitor.watched(bench, lambda oid: note_new_oid(bench.store, number, oid)) as watch:
        yield watch
