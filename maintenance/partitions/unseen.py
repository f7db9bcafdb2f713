"""What the owner should know where the rows of a default partition can't be read."""

from collections.abc import Iterator

from maintenance.catalog.models import Obstacle, Unseen
from maintenance.engine.findings import UNKNOWN, Finding, FindingKind, Severity
from maintenance.names import quote
from maintenance.partitions.outlook import Outlook

TOLD_ALONG = frozenset({FindingKind.PARTITION_HORIZON_SHORT, FindingKind.PARTITION_GAP})
"""What is missing for want of a look into the default partition."""


def unseen_finding(outlook: Outlook, role: str) -> Iterator[Finding]:
    """Yield what keeps us from a default partition's rows, and what that keeps us from."""
    default, unseen = outlook.table.default, outlook.table.default_unseen
    if default is None or unseen is None:
        return
    name, relation = outlook.name, str(default.relation)
    remedies = _remedies(unseen, relation, role)
    if unseen.is_empty:
        impact = "it is empty now, and rows that fall into it will not be seen"
    else:
        impact = (
            "rows in it may belong to periods that have no partition, so none is created for this"
            f" table, and {outlook.ahead} of {outlook.policy.premake} partitions ahead exist"
        )
    unknown = {FindingKind.DEFAULT_PARTITION_ROWS, *(() if unseen.is_empty else TOLD_ALONG)}
    todo = f"; {' or '.join(remedies)}" if remedies else ""
    yield Finding(
        FindingKind.MONITOR_BLIND,
        Severity.WARN if unseen.is_empty else Severity.ERROR,
        name,
        f"{name}: {_fact(unseen, relation, role)}; {impact}{todo}",
        data={
            "default": relation,
            "obstacle": unseen.obstacle.value,
            "missing": [slot.period.key for slot in outlook.missing],
            "remedies": remedies,
            UNKNOWN: {kind.value: [name] for kind in sorted(unknown)},
        },
    )


def _fact(unseen: Unseen, default: str, role: str) -> str:
    match unseen.obstacle:
        case Obstacle.ROW_SECURITY:
            hidden = f"hidden from role {quote(role)} by row security"
            return f"the rows of its default partition {default} are {hidden}"
        case Obstacle.PRIVILEGE:
            return f"role {quote(role)} may not read its default partition {default}"
        case Obstacle.FOREIGN if unseen.detail != default:
            foreign = f"the foreign table {unseen.detail}, which is never read"
            return f"its default partition {default} contains {foreign}"
        case Obstacle.FOREIGN:
            return f"its default partition {default} is a foreign table, which is never read"
        case Obstacle.ERROR:
            return f"its default partition {default} can't be read: {unseen.detail}"


def _remedies(unseen: Unseen, default: str, role: str) -> list[str]:
    match unseen.obstacle:
        case Obstacle.ROW_SECURITY:
            return [f"ALTER ROLE {quote(role)} BYPASSRLS"]
        case Obstacle.PRIVILEGE:
            return [f"GRANT SELECT ON {default} TO {quote(role)}"]
        case Obstacle.FOREIGN:
            return [f"replace {unseen.detail} by a local table"]
        case Obstacle.ERROR:
            return []
