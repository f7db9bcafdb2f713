"""Captures changes with triggers on the drained partition, in the writers' own transactions.

While rows are copied, the keys of changed rows are logged, to be copied again. Once the copies have
indexes, each change is mirrored: the writer's own transaction makes it in the copies too. So the
copy of a row is visible to exactly the snapshots that see the row, and the exchange writes none. A
change that can't be mirrored, because the copy of the row is not visible yet, is logged.
"""

from collections.abc import Iterator

from maintenance.ddl.guards import same_tree
from maintenance.ddl.lock_statements import take
from maintenance.engine.actions import Lock, LockMode, Step
from maintenance.names import QualifiedName, literal, quote
from maintenance.subjects.partitions.drain.job import CAPTURE, TRUNCATION, Job


def logging_function(job: Job) -> Iterator[str]:
    """Yield the statements that create the function in its first form: it logs."""
    # Not OR REPLACE: an existing function of that name is not ours to change.
    yield f"CREATE {_function(job, _logging_body(job))}"
    function = f"FUNCTION {job.objects.function}()"
    if job.table.properties.owner != job.role:
        yield f"ALTER {function} OWNER TO {quote(job.table.properties.owner)}"
    yield f"REVOKE ALL ON {function} FROM PUBLIC"


def mirroring_function(job: Job) -> str:
    """Return the statement that makes the function mirror; running transactions may still log."""
    return f"CREATE OR REPLACE {_function(job, _mirroring_body(job))}"


def install(job: Job, prepare: tuple[str, ...]) -> Step:
    """Return the step that creates the stage and, in the same transaction, starts capturing."""
    modes = LockMode.SHARE_UPDATE_EXCLUSIVE, LockMode.SHARE_ROW_EXCLUSIVE
    locks = tuple(Lock(str(name), mode) for mode in modes for name in job.drained.names)
    return Step(
        prepare=prepare,
        statements=(
            take(locks),
            same_tree(job.drained.relation, job.drained.whole.oids),
            *(sql for name in job.sources for sql in _triggers(job, name)),
        ),
        locks=locks,
        owner=job.owner,
    )


def _triggers(job: Job, table: QualifiedName) -> Iterator[str]:
    call = f"EXECUTE FUNCTION {job.objects.function}()"
    yield (
        f"CREATE TRIGGER {CAPTURE} AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW {call}"
    )
    yield f"CREATE TRIGGER {TRUNCATION} AFTER TRUNCATE ON {table} FOR EACH STATEMENT {call}"
    # for what logical replication applies, too
    yield (
        f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {CAPTURE}, ENABLE ALWAYS TRIGGER {TRUNCATION}"
    )


def _function(job: Job, body: str) -> str:
    # Writers have no privileges on the copies; the code is ours, fixed, and qualified.
    return (
        f"FUNCTION {job.objects.function}() RETURNS trigger LANGUAGE plpgsql"
        f" SECURITY DEFINER SET search_path = {job.search_path}, pg_temp AS {literal(body)}"
    )


def _logging_body(job: Job) -> str:
    return f"""
BEGIN
  {_truncation(job)}
  IF TG_OP <> 'INSERT' THEN {_log(job, "OLD")} END IF;
  IF TG_OP <> 'DELETE' THEN {_log(job, "NEW")} END IF;
  RETURN NULL;
END"""


def _mirroring_body(job: Job) -> str:
    root = job.objects.root
    insert = f"INSERT INTO {root} ({job.columns()}) VALUES ({job.columns('NEW')})"
    if not job.shape.identity:
        return f"""
BEGIN
  {_truncation(job)}
  IF TG_OP = 'INSERT' THEN {_insert_or_log(job, insert)}; RETURN NULL; END IF;
  {_log(job, "OLD")}
  IF TG_OP = 'UPDATE' THEN {_log(job, "NEW")} END IF;
  RETURN NULL;
END"""
    pairs = zip(job.identity("c"), job.identity("OLD"), strict=True)
    same = " AND ".join(f"{copy} = {old}" for copy, old in pairs)
    return f"""
BEGIN
  {_truncation(job)}
  IF TG_OP <> 'INSERT' THEN
    DELETE FROM {root} AS c WHERE {same};
    IF NOT FOUND THEN
      {_log(job, "OLD")}
      -- an older snapshot may not see an existing copy: inserting another would fail
      IF TG_OP = 'UPDATE' THEN {_log(job, "NEW")} END IF;
      RETURN NULL;
    END IF;
  END IF;
  IF TG_OP <> 'DELETE' THEN
    {_insert_or_log(job, f"{insert} ON CONFLICT DO NOTHING")};
    IF NOT FOUND THEN {_log(job, "NEW")} END IF;
  END IF;
  RETURN NULL;
END"""


def _insert_or_log(job: Job, insert: str) -> str:
    """Hide from the writer that no table of a period's tree takes the row; the drain fails then."""
    if not job.is_open:
        return insert
    return f"BEGIN {insert}; EXCEPTION WHEN check_violation THEN {_log(job, 'NEW')} END"


def _truncation(job: Job) -> str:
    log = job.objects.log
    return (
        f"IF TG_OP = 'TRUNCATE' THEN INSERT INTO {log} (truncated) VALUES (true);"
        " RETURN NULL; END IF;"
    )


def _log(job: Job, row: str) -> str:
    values = ", ".join(job.identity(row))
    return f"INSERT INTO {job.objects.log} VALUES ({values}, false);"
