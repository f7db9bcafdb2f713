"""The finding on sessions that wait for locks, with the lock tree."""

from collections.abc import Iterator

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.subjects.workload.models import LockNode, LockTree

LEAST_WAIT_S = 30.0
"""A shorter wait is not reported."""
LONG_WAIT_S = 300.0
"""A longer wait is an error."""
MANY_WAITING = 10
"""More waiting sessions are an error."""
SHOWN = 5
LISTED = 20


def blocked_findings(
    database: str, tree: LockTree, least_wait_s: float = LEAST_WAIT_S
) -> Iterator[Finding]:
    """Yield one finding if a session of an application has waited too long for a lock."""
    waits = [node.wait_s for node in tree.nodes if node.wait_s is not None and not node.is_ours]
    longest = max(waits, default=0.0)
    if longest <= least_wait_s:
        return
    is_bad = longest > LONG_WAIT_S or tree.n_waiting > MANY_WAITING
    roots = [node for node in tree.nodes if node.wait_s is None]
    blame = "; ".join(_blame(node) for node in roots[:SHOWN]) or "each other"
    yield Finding(
        FindingKind.SESSIONS_BLOCKED,
        Severity.ERROR if is_bad else Severity.WARN,
        database,
        f"{database}: {tree.n_waiting} sessions wait for locks, the longest for {longest:.0f} s;"
        f" blocked by {blame}; end that transaction in the application, or the session with"
        " pg_terminate_backend",
        value=round(longest, 1),
        threshold=LEAST_WAIT_S,
        data={
            "waiting": tree.n_waiting,
            "blockers": [_described(node) for node in roots[:LISTED]],
            "blocked": [_described(n) for n in tree.nodes if n.wait_s is not None][:LISTED],
        },
    )


def _blame(node: LockNode) -> str:
    if node.pid == 0:
        return "a prepared transaction"
    application = node.application or "no application name"
    state = node.state or "state unknown"
    since = f" for {node.transaction_s:.0f} s" if node.transaction_s is not None else ""
    return f"pid {node.pid} ({node.role}, {application}, {node.client}), {state}{since}"


def _described(node: LockNode) -> dict[str, object]:
    return {**node._asdict(), "blockers": list(node.blockers)}
