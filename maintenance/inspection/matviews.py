"""Proposes the sections of materialized views."""

from collections.abc import Iterator

from maintenance.formatting import listed
from maintenance.inspection.models import Entry, Inventory, LeftOut, Setting, Subject, View

SHOWN = 5


def propose_matviews(inventory: Inventory) -> Iterator[Entry | LeftOut]:
    """Yield an entry for each materialized view; as a comment if a refresh would disturb."""
    for view in inventory.views:
        if str(view.relation) in inventory.undecodable:
            text = "its name is not valid UTF-8; rename it"
            yield LeftOut(Subject.MATVIEWS, view.relation, text, "undecodable")
            continue
        obstacle, reason = _obstacle(view)
        yield Entry(
            subject=Subject.MATVIEWS,
            relation=view.relation,
            summary=_summary(view),
            settings=(Setting("name", str(view.relation)), *_key(view)),
            notes=tuple(_notes(view)),
            obstacle=obstacle,
            reason=reason,
        )


def _summary(view: View) -> str:
    reads = listed(view.reads, SHOWN) if view.reads else "no relation"
    return f"{view.relation}: reads {reads}"


def _key(view: View) -> Iterator[Setting]:
    if view.unique_keys:
        yield Setting("unique_index", list(view.unique_keys[0]), "exists; refreshed concurrently")


def _notes(view: View) -> Iterator[str]:
    if view.functions:
        yield (
            f"It calls {listed(view.functions, SHOWN)}: the catalog does not show which tables"
            " these read. Name them in depends_on."
        )


def _obstacle(view: View) -> tuple[str, str]:
    off = "then remove the # signs"
    if not view.is_populated:
        text = (
            f"it was never populated; its first refresh blocks whoever reads it. Refresh it, {off}"
        )
        return text, "unpopulated"
    if not view.unique_keys:
        text = "it has no unique index on plain columns, so each refresh would block its readers"
        return f"{text}. Create one, {off}", "no_unique_index"
    return "", ""
