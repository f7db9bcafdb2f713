"""Every kind of action and every place that sends SQL says whether that can run an owner's code."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from maintenance.engine.actions import ActionKind
from tests.builders import ROOT

AS_OWNER = "with the owner's rights, by `Step.owner` or `ActionContext.owner_session`"
BY_SERVER = "the server takes the rights of the relation's owner itself"
NO_CODE = "it evaluates nothing that an owner wrote"

ACTIONS: dict[ActionKind, tuple[str, str]] = {
    ActionKind.CONVERT_TABLE: (AS_OWNER, "its DDL; CREATE INDEX and ANALYZE by the server"),
    ActionKind.CREATE_PARTITION: (AS_OWNER, "ATTACH evaluates constants in CHECKs and indexes"),
    ActionKind.ATTACH_PARTITION: (AS_OWNER, "the same"),
    ActionKind.CREATE_DEFAULT: (AS_OWNER, "the same"),
    ActionKind.DRAIN_DEFAULT: (AS_OWNER, "rows pass through CHECKs, generated columns, domains"),
    ActionKind.SWAP_DEFAULT: (AS_OWNER, "ATTACH"),
    ActionKind.SPLIT_PARTITION: (AS_OWNER, "rows pass through the same as in a drain"),
    ActionKind.REPAIR_PARTITION: (NO_CODE, "owner, grants, settings, comments"),
    ActionKind.REMOVE_LEFTOVERS: (AS_OWNER, "TRUNCATE of copies fires triggers; else drops"),
    ActionKind.FINALIZE_DETACH: (NO_CODE, "catalog only"),
    ActionKind.ARCHIVE_PARTITION: (NO_CODE, "COPY of a table is not planned"),
    ActionKind.DETACH_PARTITION: (NO_CODE, "CONCURRENTLY only where no CHECK holds such code"),
    ActionKind.DROP_PARTITION: (NO_CODE, "drops"),
    ActionKind.RESTORE_PARTITION: (AS_OWNER, "INSERT into the owner's table"),
    ActionKind.ANALYZE_TABLE: (BY_SERVER, "ANALYZE"),
    ActionKind.VACUUM_TABLE: (BY_SERVER, "VACUUM"),
    ActionKind.INVALIDATE_CACHE: (NO_CODE, "another server"),
    ActionKind.RECALCULATE_ROWS: (AS_OWNER, "UPDATE of the owner's table"),
    ActionKind.CREATE_MATVIEW: (BY_SERVER, "populated once it is its owner's"),
    ActionKind.REFRESH_MATVIEW: (BY_SERVER, "REFRESH"),
    ActionKind.INDEX_MATVIEW: (BY_SERVER, "CREATE INDEX"),
    ActionKind.REBUILD_MATVIEW: (BY_SERVER, "populated once it is its owner's"),
    ActionKind.CREATE_INDEX: (BY_SERVER, "CREATE INDEX"),
    ActionKind.DROP_INDEX: (NO_CODE, "drops an index"),
    ActionKind.REPLACE_INDEX: (NO_CODE, "drops and renames an index"),
    ActionKind.DROP_INVALID_INDEX: (NO_CODE, "drops an index"),
    ActionKind.ADD_CONSTRAINT: (AS_OWNER, "a CHECK with constants is evaluated"),
    ActionKind.VALIDATE_CONSTRAINT: (AS_OWNER, "a CHECK is evaluated for every row"),
    ActionKind.ADD_COLUMN: (AS_OWNER, "an expression is evaluated for every row"),
    ActionKind.REINDEX: (BY_SERVER, "REINDEX"),
    ActionKind.REMOVE_REBUILD: (NO_CODE, "drops an index"),
    ActionKind.UNDO: (BY_SERVER, "drops or creates an index; tables are altered as their owner"),
    ActionKind.UNINSTALL: (AS_OWNER, "drops and comments; copies of a drain are truncated"),
}

CATALOG = "reads the catalog or settings"
ROWS = "reads rows of others, as their owner where that runs code"

SENDERS = {
    "archives/copy_stream.py": "COPY of a table is not planned",
    "archives/load.py": AS_OWNER,
    "archives/restore.py": AS_OWNER,
    "archives/write.py": CATALOG,
    "catalog/default_counts.py": ROWS,
    "catalog/default_rows.py": ROWS,
    "catalog/owner_code.py": ROWS,
    "catalog/partman_observe.py": "reads columns of built-in types of a plain table",
    "engine/build_cleanup.py": NO_CODE,
    "engine/build_monitor.py": BY_SERVER,
    "engine/index_build.py": BY_SERVER,
    "engine/lock_retry.py": AS_OWNER,
    "engine/run_lock.py": CATALOG,
    "engine/undo_steps.py": CATALOG,
    "pipeline/reachability.py": CATALOG,
    "server/cost_meter.py": "counts what others send",
    "server/liveness.py": CATALOG,
    "server/owner_rights.py": AS_OWNER,
    "server/owner_sessions.py": AS_OWNER,
    "server/session.py": CATALOG,
    "server/undecodable_names.py": CATALOG,
    "server/upserts.py": "reads the counters of statements",
    "subjects/bloat/pgstattuple.py": "functions of pgstattuple read blocks",
    "subjects/indexes/candidates/slow_statements.py": "reads pg_stat_statements, an extension's",
    "subjects/indexes/declared/query_observe.py": CATALOG,
    "subjects/indexes/declared/query_session.py": AS_OWNER,
    "subjects/indexes/declared/preflight.py": ROWS,
    "subjects/indexes/declared/trial.py": AS_OWNER,
    "subjects/conversion/apply.py": BY_SERVER,
    "subjects/conversion/observe.py": ROWS,
    "subjects/matviews/definitions.py": "stores a query and does not run it",
    "subjects/matviews/measure.py": ROWS,
    "subjects/matviews/populate.py": BY_SERVER,
    "subjects/matviews/rebuild.py": BY_SERVER,
    "subjects/matviews/unique_index.py": "CREATE INDEX; duplicates as the owner",
    "subjects/partitions/drain/apply.py": AS_OWNER,
    "subjects/partitions/drain/backfill.py": AS_OWNER,
    "subjects/partitions/drain/kept_copy.py": AS_OWNER,
    "subjects/partitions/drain/older_transactions.py": "asks for a transaction's id, as the owner",
    "subjects/partitions/drain/prepare.py": AS_OWNER,
    "subjects/partitions/drain/split.py": "ANALYZE, with the rights of the table's owner",
    "subjects/partitions/drain/split_ranges.py": AS_OWNER,
    "subjects/partitions/drain/transactions.py": AS_OWNER,
    "subjects/partitions/drain/verify.py": AS_OWNER,
    "subjects/retention/apply.py": NO_CODE,
    "subjects/retention/key_range.py": ROWS,
    "subjects/retention/observe.py": ROWS,
    "subjects/stale_analytics/apply.py": AS_OWNER,
    "subjects/stale_analytics/observe.py": ROWS,
    "subjects/workload/observe.py": CATALOG,
    "subjects/workload/pg_stat_statements.py": "reads pg_stat_statements, an extension's",
}
"""Modules that send SQL of their own; statements of the library read catalog and store alone."""

_SEND = {
    *("execute", "run_sql", "transact", "query", "read_as", "read_as_owner", "stream", "mogrify"),
    "try_each",
}
_BARE = _SEND - {"execute", "query", "stream"}
_ELSEWHERE = {"alerts", "cache", "cli", "demo", "orchestration", "store"}
"""Packages without a session on the maintained database, and the store's own."""


@pytest.mark.parametrize("kind", ActionKind)
def test_kind_of_action_says_whether_it_runs_owners_code(kind: ActionKind) -> None:
    assert kind in ACTIONS, f"{kind}: can it run code that a table's owner wrote? as whom?"


def test_module_that_sends_sql_says_whether_it_runs_owners_code() -> None:
    found = set(_senders())
    assert found - SENDERS.keys() == set(), "can they run code that a table's owner wrote? as whom?"
    assert SENDERS.keys() - found == set(), "send nothing any more"


def _senders() -> Iterator[str]:
    package = ROOT / "maintenance"
    for path in package.rglob("*.py"):
        place = path.relative_to(package)
        if place.parts[0] not in _ELSEWHERE and _sends(path):
            yield place.as_posix()


def _sends(path: Path) -> bool:
    calls = (
        node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
    )
    return any(
        func.attr in _SEND if isinstance(func, ast.Attribute) else getattr(func, "id", "") in _BARE
        for func in calls
    )
