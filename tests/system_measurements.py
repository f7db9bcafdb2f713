"""What the plans of the example systems claim, measured: query times, sizes, views, writes.

`python -m tests.system_measurements [SYSTEM ...]` fills each system at the stated scale on the
newest embedded PostgreSQL, rolls out its declared indexes with the product, and writes what was
measured to docs/systems/measured/<system>.json and into the pages.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

from maintenance.demo.data import Connection
from maintenance.demo.postgres import PostgresServer, embedded_binaries
from maintenance.demo.scales import Scale
from maintenance.engine.actions import ActionKind
from maintenance.engine.target import Target
from maintenance.names import quote
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy, load_policy
from maintenance.policy.view_sql import read_view_query
from tests.builders import ROOT
from tests.declared import SYSTEMS, Query, declared, queries
from tests.example_systems import make_system
from tests.system_pages import PAGES, write

FOLDER = PAGES / "measured"
ROUNDS = 5
STATED = {"nova": {"messages": 5_000_000, "posts": 2_000_000}}
"""Row counts that a plan states, where the stated scale has fewer."""
DISK = Path("/var/tmp")
"""Not /tmp, which may be in memory."""

_SIZES = """
SELECT coalesce(pg_catalog.sum(pg_catalog.pg_table_size(oid)), 0)::int8,
  coalesce(pg_catalog.sum(pg_catalog.pg_indexes_size(oid)), 0)::int8
FROM pg_catalog.pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::pg_catalog.regnamespace
"""
_COUNT = """
SELECT pg_catalog.sum(reltuples)::int8 FROM pg_catalog.pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::pg_catalog.regnamespace AND reltuples > 0
"""

Samples = dict[str, list[float]]


def measure(
    url: str, system: str, scale: Scale, *, rounds: int = ROUNDS, **counts: int
) -> dict[str, Any]:
    """Fill an empty database with a system, roll out its indexes, and measure before and after.

    Args:
        url: of the database, as superuser.
        system: its name.
        scale: how many rows it gets.
        rounds: number of executions of which the median counts.
        counts: numbers other than those of the scale.

    Returns:
        Times in milliseconds, sizes in bytes.
    """
    policy = load_policy(ROOT / "policies" / f"{system}.yaml")
    with psycopg.connect(url, autocommit=True) as connection:
        make_system(connection, system, scale, datetime.now(UTC), **counts)
        connection.execute("VACUUM (ANALYZE)")
        ((n_rows,),) = connection.execute(_COUNT).fetchall()
        sizes = {"before": _sizes(connection)}
        writes = _writes(connection, system, rounds)
        before = _times(connection, system, rounds)
        indexes, served = _roll_out(policy, url)
        connection.execute("VACUUM (ANALYZE)")
        after = _times(connection, system, rounds)
        sizes["after"] = _sizes(connection)
        return {
            "system": system,
            "scale": scale,
            "n_rows": n_rows,
            "server_version": connection.info.parameter_status("server_version"),
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "indexes": indexes,
            "served": served,
            "queries": {
                name: {"before_ms": before.get(name), "after_ms": ms} for name, ms in after.items()
            },
            "views": _views(connection, policy, rounds),
            "sizes": sizes,
            "writes": writes,
        }


def _roll_out(policy: Policy, url: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Apply the declared indexes; return the proof of each, and what serves the queries."""
    target = Target(policy, {policy.database.url.label: url})
    report = pipeline.apply(target, only=["indexes"])
    assert report.ok, [finding.message for finding in report.findings]
    proofs = {
        result.action.object.partition(".")[2].strip('"'): _proof(result.detail["proof"])
        for result in report.results
        if result.action.kind is ActionKind.CREATE_INDEX
    }
    facts = pipeline.plan(target, only=["indexes"]).facts["declared_queries"]
    by = {f"{each['query']} {each['parameters']}": each for each in facts["queries"]}
    return proofs, {
        "share": facts["share"],
        "by": {
            key: {"service": each["service"], "index": each["index"]} for key, each in by.items()
        },
    }


def _proof(proof: Mapping[str, Any]) -> dict[str, Any]:
    """Reduce a proof to the set of parameters that gained most."""
    served = [each for each in proof["queries"] if each["served"] and _is_timed(each)]
    best = max(served, key=lambda each: each["before_median_ms"] / each["after_median_ms"])
    return {
        "query": best["query"],
        "before_ms": best["before_median_ms"],
        "after_ms": best["after_median_ms"],
        "ratio": best["ratio"],
        "verdict": proof["verdict"],
        "reason": proof["reason"],
        "expected": proof["expected"],
        "expectation": proof["expectation"],
    }


def _is_timed(query: Mapping[str, Any]) -> bool:
    return bool(query["before_median_ms"] and query["after_median_ms"])


def _sizes(connection: Connection) -> dict[str, int]:
    (row,) = connection.execute(_SIZES).fetchall()
    return dict(zip(("tables", "indexes"), row, strict=True))


# Times as an application sees them


def _times(connection: Connection, system: str, rounds: int) -> dict[str, float]:
    """Return the median time of each query over its sets of parameters, those that can run."""
    found = dict[str, float]()
    for query in queries(system):
        try:
            found[query.name] = _time(connection, query, rounds)
        except psycopg.errors.UndefinedColumn:
            continue  # of a column that the rollout adds
    return found


def _time(connection: Connection, query: Query, rounds: int) -> float:
    connection.execute(b"PREPARE q AS " + query.text.encode())
    try:
        return sum(_median_ms(connection, call, rounds) for call in query.calls) / len(query.calls)
    finally:
        connection.execute("DEALLOCATE q")


def _median_ms(connection: Connection, statement: str, rounds: int) -> float:
    def run() -> None:
        connection.execute(statement.encode()).fetchall()

    run()
    return median(_ms(run) for _ in range(rounds))


def _ms(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


# Views


def _views(connection: Connection, policy: Policy, rounds: int) -> dict[str, Any]:
    """Compare each query on a view with itself on the view's own query."""
    found = dict[str, Any]()
    for view in policy.matviews or ():
        assert view.definition is not None
        definition = read_view_query(view.definition, view.name)
        for query in queries(policy.database.name):
            if str(view.name) not in query.text:
                continue
            direct = query.text.replace(f"{view.name} AS", f"({definition}) AS")
            assert direct != query.text, query.name
            through = _time(connection, query, rounds)
            from_tables = _time_of(connection, direct, query.calls, rounds)
            found[query.name] = {"tables_ms": from_tables, "view_ms": through}
    return found


def _time_of(connection: Connection, text: str, calls: Sequence[str], rounds: int) -> float:
    connection.execute(b"PREPARE q AS " + text.encode())
    try:
        return sum(_median_ms(connection, call, rounds) for call in calls) / len(calls)
    finally:
        connection.execute("DEALLOCATE q")


# Writes


def _writes(connection: Connection, system: str, rounds: int) -> dict[str, Any]:
    """Insert all rows of the tables that lose an index, with these indexes and without them."""
    dropped = sorted({name for each in declared(system) for name in each.drops})
    if not dropped:
        return {}
    tables = {
        table
        for (table,) in connection.execute(
            "SELECT DISTINCT i.indrelid::regclass::text FROM pg_catalog.pg_index AS i"
            " JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid WHERE c.relname = ANY (%s)",
            [dropped],
        ).fetchall()
    }
    samples: Samples = {"with": [], "without": []}
    for number in range(rounds * 2):
        kind = ("with", "without")[number % 2]
        gone = dropped if kind == "without" else []
        samples[kind].append(_rewritten(connection, sorted(tables), gone))
    return {
        "tables": sorted(tables),
        "indexes": dropped,
        "with_ms": median(samples["with"]),
        "without_ms": median(samples["without"]),
    }


def _rewritten(connection: Connection, tables: Sequence[str], gone: Iterable[str]) -> float:
    """Return how long it takes to insert all rows of some tables again; nothing stays."""
    connection.execute("BEGIN")
    try:
        connection.execute("SET LOCAL session_replication_role = replica")  # no foreign keys
        for index in gone:
            connection.execute(f"DROP INDEX {quote(index)}".encode())
        for table in tables:
            kept = f"CREATE TEMP TABLE kept_{table} ON COMMIT DROP AS TABLE public.{table}"
            connection.execute(kept.encode())
        for table in tables:
            connection.execute(f"TRUNCATE public.{table} CASCADE".encode())
        inserts = [f"INSERT INTO public.{each} TABLE kept_{each}".encode() for each in tables]

        def insert() -> None:
            for statement in inserts:
                connection.execute(statement)

        return _ms(insert)
    finally:
        connection.execute("ROLLBACK")


def main(names: Sequence[str]) -> None:
    """Measure the systems that are named, or all, and write what was found."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="maintenance-claims-", dir=DISK) as folder:
        Path(folder).chmod(0o711)  # the server's account must be able to enter
        with PostgresServer(embedded_binaries(), Path(folder) / "server") as server:
            for system in names or SYSTEMS:
                server.create_database(system)
                found = measure(server.url(system), system, "stated", **STATED.get(system, {}))
                text = json.dumps(found, indent=2) + "\n"
                (FOLDER / f"{system}.json").write_text(text)
                write([system])
                sys.stdout.write(f"{system}: {found['n_rows']:,} rows\n")


if __name__ == "__main__":
    main(sys.argv[1:])
