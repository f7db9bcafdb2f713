"""Links of the digest from objects to their assets in the Dagster UI."""

from collections.abc import Collection
from typing import NamedTuple
from urllib.parse import quote

from maintenance.alerts.models import Alert
from maintenance.engine.actions import ActionKind
from maintenance.names import parse_name, slug
from maintenance.orchestration.markdown import code
from maintenance.pipeline.alert_links import ASSETS, path_of
from maintenance.policy import STANDALONE, Placement

_SUBJECTS: dict[str, str] = {
    **dict.fromkeys((ActionKind.ANALYZE_TABLE, ActionKind.VACUUM_TABLE), "statistics"),
    **dict.fromkeys((ActionKind.REINDEX, ActionKind.REMOVE_REBUILD), "bloat"),
    ActionKind.RECALCULATE_ROWS: "stale_analytics",
}


class AssetLinks(NamedTuple):
    """What is needed to link an object.

    Attributes:
        assets: the keys of the assets that exist, such as `app/bloat`.
        placement: what keys of assets begin with.
        ui: the address of the Dagster UI, without a trailing slash; empty for relative links.
    """

    assets: Collection[str] = ()
    placement: Placement = STANDALONE
    ui: str = ""

    def alert(self, alert: Alert) -> str:
        """Return an alert's object as Markdown, linked if its asset exists."""
        path = path_of(alert, self.placement) or ""
        return self._linked(alert.identity.object, path.removeprefix("assets/"))

    def object(self, database: str, kind: str, name: str) -> str:
        """Return the object of an action as Markdown, linked if its asset exists."""
        return self._linked(name, "/".join(self.placement.key(database, _asset(kind, name))))

    def _linked(self, name: str, key: str) -> str:
        if key not in self.assets:
            return code(name)
        return f"[{code(name)}]({self.ui}/assets/{quote(key)})"


def _asset(kind: str, name: str) -> str:
    if kind.endswith("_matview") or kind == ActionKind.INVALIDATE_CACHE:
        return f"{ASSETS['matviews']}/{_slug(name)}"
    if kind in {"archive_partition", "detach_partition", "drop_partition", "finalize_detach"}:
        return ASSETS["retention"]
    return ASSETS[_SUBJECTS.get(kind, "partitions")]


def _slug(name: str) -> str:
    try:
        return slug(parse_name(name))
    except ValueError:
        return ""
