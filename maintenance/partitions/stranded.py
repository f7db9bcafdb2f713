"""Tables that were to be partitions, or look like it, and are attached to nothing."""

from collections.abc import Iterator

from maintenance.catalog.models import Snapshot, UnattachedTable
from maintenance.ddl.marks import RESTORING, read_mark
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.partitions.outlook import Outlook
from maintenance.sizes import PAGE_BYTES, readable_size


def stranded(outlook: Outlook, snapshot: Snapshot) -> Iterator[Finding]:
    """Yield the tables that look as if they were made for a parent and never attached.

    They are only reported: their rows may be somebody's last.

    Args:
        outlook: the parent held against its policy.
        snapshot: where unattached tables were observed, with what the store knows of them.
    """
    for table in snapshot.unattached:
        if table.parent == outlook.table.relation and _seems_ours(outlook, snapshot, table):
            yield _finding(outlook, snapshot, table)


def _seems_ours(outlook: Outlook, snapshot: Snapshot, table: UnattachedTable) -> bool:
    mark = read_mark(table.comment)
    if mark:
        # Others with a mark were detached, or restored to stand alone.
        return RESTORING in mark
    deed = snapshot.history.deeds.get(str(table.relation))
    served = deed is not None and deed.table == outlook.name
    return served or outlook.policy.may_name(table.relation.name)


def _finding(outlook: Outlook, snapshot: Snapshot, table: UnattachedTable) -> Finding:
    name = str(table.relation)
    size = readable_size(table.pages * PAGE_BYTES)
    is_restored = RESTORING in read_mark(table.comment)
    if is_restored:
        origin = "a restore that was interrupted left it, and the next one of it replaces it"
    else:
        origin = snapshot.history.origin(name)
    return Finding(
        FindingKind.STRANDED_TABLE,
        Severity.INFO,
        name,
        f"{name}: has the columns of {outlook.name} and is attached to nothing, {size}; {origin};"
        " look what it holds, then attach it or drop it",
        data={
            "table": outlook.name,
            "reason": "interrupted_restore" if is_restored else "never_attached",
            "origin": origin,
            "last_action": None if is_restored else snapshot.history.last_action(name),
        },
    )
