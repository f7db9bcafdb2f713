"""Records the tables that a drain has created, by OID, in the comment of its log.

Any role may give a table such a name. So a table is removed only if its OID is in the comment of
the log and its owner is the log's owner; or if it is the drained table itself.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from maintenance.ddl.marks import PREFIX, read_mark
from maintenance.names import literal
from maintenance.subjects.partitions.drain.job import DRAINED, Job


@dataclass(frozen=True, slots=True)
class Registry:
    """The record in the comment of a drain's log.

    Attributes:
        owner: of the log.
        made: OIDs of the drain's tables.
        function: OID of its trigger function.
    """

    owner: str
    made: frozenset[int]
    function: int | None


def register(job: Job, facts: Mapping[str, Any] | None = None) -> str:
    """Return the statement that records the new objects, for the transaction that creates them.

    Args:
        job: whose objects they are.
        facts: further content of the mark, JSON-ready.
    """
    objects = job.objects
    more = literal(json.dumps(facts or {}, ensure_ascii=False))
    names = [objects.plain, objects.root, objects.log, objects.progress]
    names += [name for target in job.targets for name in target.staged.names.values()]
    listed = ", ".join(f"({literal(str(name))})" for name in names)
    command = literal(f"COMMENT ON TABLE {objects.log} IS ")
    body = f"""BEGIN EXECUTE {command} || pg_catalog.quote_literal({literal(PREFIX)}
  || (pg_catalog.jsonb_build_object('{DRAINED}', {literal(str(job.table.relation))},
       'oid', {job.drained.oid},
       'function', {_number(f"pg_catalog.to_regprocedure({literal(f'{objects.function}()')})")},
       'made', (SELECT pg_catalog.jsonb_agg({_number("pg_catalog.to_regclass(name)")})
                  FROM (VALUES {listed}) AS names (name)
                 WHERE pg_catalog.to_regclass(name) IS NOT NULL))
      || {more}::pg_catalog.jsonb)::text); END"""
    return f"DO {literal(body)}"


def _number(oid: str) -> str:
    return f"{oid}::pg_catalog.oid::pg_catalog.int8"


def read_registry(comment: str | None, owner: str, oid: int) -> Registry | None:
    """Read the comment of a log; None if it does not belong to a drain of this table."""
    mark = read_mark(comment)
    made, function = mark.get("made"), mark.get("function")
    if mark.get("oid") != oid or DRAINED not in mark or not isinstance(made, list):
        return None
    listed = cast("list[object]", made)
    oids = frozenset(each for each in listed if isinstance(each, int))
    return Registry(owner, oids, function if isinstance(function, int) else None)
