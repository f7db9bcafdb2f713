"""Telling the application's cache of a refresh, and only of one that changed rows."""

from collections.abc import Callable, Mapping
from typing import Any

from maintenance.engine.announcing import announce, intend, withdraw
from maintenance.engine.workbench import Workbench
from maintenance.errors import MaintenanceError, UnreachableError
from maintenance.matviews.writing import detail_of
from maintenance.policy import MatviewPolicy
from maintenance.store import Refresh
from maintenance.store.invalidations import owed


def telling(
    bench: Workbench, section: MatviewPolicy, work: Callable[[], Refresh]
) -> Mapping[str, Any]:
    """Refresh, tell the cache if rows changed, and return the action's detail.

    The intention is noted before, so that neither a kill nor a Redis that is down loses it. It is
    taken back where nothing changed, unless an earlier refresh is still to be told of.

    Raises:
        MaintenanceError: whatever the work raised; never that the cache can't be told.
    """
    if bench.policy.redis is None or not section.invalidates:
        return detail_of(work())
    name, database = str(section.name), bench.policy.database.name
    is_owed = any(each.object == name for each in owed(bench.store, database))
    intend(bench, name, section.invalidates, {"database": database, "view": name})
    try:
        entry = work()
    except UnreachableError:
        raise  # whether it was done is not known, so it is told
    except MaintenanceError:
        _withdraw_unless(bench, name, is_owed=is_owed)
        raise
    if not entry.changed and not is_owed:
        withdraw(bench, name)
        return detail_of(entry)
    return {**detail_of(entry), **announce(bench, name)}


def _withdraw_unless(bench: Workbench, name: str, *, is_owed: bool) -> None:
    if not is_owed:
        withdraw(bench, name)
