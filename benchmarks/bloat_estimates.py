"""Bloat of many tables and their indexes: our estimates against pgstattuple."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row

from benchmarks.bloated_tables import cases
from benchmarks.outcomes import OURS, Outcome, Target
from benchmarks.results import FOLDER
from benchmarks.servers import Database, fresh_database, session
from maintenance.demo.postgres import PostgresServer
from maintenance.server.session import Timeouts, connect
from maintenance.subjects.bloat.estimate import estimate_index, estimate_table
from maintenance.subjects.bloat.models import Bloat, Method, Observed, ObservedIndex
from maintenance.subjects.bloat.observe import read_relations
from maintenance.subjects.bloat.pgstattuple import exact_index, exact_table

PAGE = FOLDER / "BLOAT.md"
PEER = "rewriting it"
MOST_OFF = 0.1
LEAST_BYTES = 10 * 8192
MINUTE = timedelta(minutes=1)

HEAD = """# Estimated and measured bloat

Written by `make bench ARGS=bloat_estimates`. Tables of {n_shapes} shapes with five kinds of damage
each, and their indexes. *Estimated* is computed from the catalog alone. *pgstattuple* is measured,
by the same definition: the share of pages that a rewrite would give back. *VACUUM FULL* is the
share that it gave back; of tables with dropped columns it removes the old values too, which
pgstattuple counts as used. Estimate and measurement differ by at most 10 points wherever an
estimate is given.

| relation | shape | damage | pages | estimated | pgstattuple | VACUUM FULL | points off |
|---|---|---|--:|--:|--:|--:|--:|
"""


@dataclass(frozen=True, slots=True)
class _Line:
    seen: Observed
    bloat: Bloat
    exact: float
    won: float

    @property
    def off(self) -> float | None:
        if self.bloat.method is not Method.ESTIMATE or self.bloat.fraction is None:
            return None
        return abs(self.bloat.fraction - self.exact)


@dataclass(frozen=True, slots=True)
class BloatEstimates:
    """Compare the estimates with pgstattuple, and write the page of all tables."""

    n_rows: int = 30_000
    page: Path | None = PAGE

    def run(self, server: PostgresServer) -> Outcome:
        with fresh_database(server) as database:
            _build(database, self.n_rows)
            lines = list(_lines(database))
        if self.page:
            head = HEAD.format(n_shapes=len({case.shape for case in cases()}))
            self.page.write_text(head + "\n".join(_row(line) for line in lines) + "\n")
        off = [line.off for line in lines if line.off is not None]
        return Outcome(
            f"bloat of {len(lines)} tables and indexes, points off where an answer is given",
            "share",
            {OURS: off},
            (Target("most off, share", max(off), MOST_OFF),),
        )


def _build(database: Database, n_rows: int) -> None:
    with session(database.url) as connection:
        connection.execute("CREATE EXTENSION pgstattuple")
        for case in cases(n_rows):
            for statement in case.statements:
                connection.execute(statement.encode())
    with session(database.url) as connection:  # counters arrive when their session ends
        connection.execute("VACUUM (ANALYZE)")


def _lines(database: Database) -> Iterator[_Line]:
    ours = connect(database.url, application="benchmark", timeouts=Timeouts(MINUTE, MINUTE))
    with ours:
        tables, indexes, _ = read_relations(ours, LEAST_BYTES, MINUTE)
    seen: list[Observed] = [table for table in tables if table.owner is None]
    seen += indexes
    with psycopg.connect(database.url, autocommit=True, row_factory=namedtuple_row) as session:
        exact = {each.oid: _exact(session, each) for each in seen}
        session.execute("VACUUM FULL")
        for each in sorted(seen, key=lambda one: one.relation):
            is_index = isinstance(each, ObservedIndex)
            bloat = estimate_index(each) if is_index else estimate_table(each)
            yield _Line(each, bloat, exact[each.oid], _won(session, each))


def _exact(session: psycopg.Connection[Any], seen: Observed) -> float:
    is_index = isinstance(seen, ObservedIndex)
    function = "pgstatindex" if is_index else "pgstattuple"
    question = f"SELECT * FROM public.{function}(%s::oid::regclass)".encode()
    row = session.execute(question, (seen.oid,)).fetchone()
    return max(exact_index(seen, row) if is_index else exact_table(seen, row), 0.0)


def _won(session: psycopg.Connection[Any], seen: Observed) -> float:
    row = session.execute("SELECT pg_relation_size(%s::regclass) AS size", (str(seen.relation),))
    found: Any = row.fetchone()
    return 1 - found.size / seen.size_bytes


def _row(line: _Line) -> str:
    case = next(case for case in cases() if case.name == line.seen.table.name)
    bloat = line.bloat
    said = f"{bloat.fraction:.0%}" if bloat.fraction is not None else f"unknown: {bloat.reason}"
    off = f"{100 * line.off:.1f}" if line.off is not None else ""
    pages = line.seen.size_bytes // 8192
    return (
        f"| `{line.seen.relation.name}` | {case.shape} | {case.damage} | {pages:,} | {said} |"
        f" {line.exact:.0%} | {line.won:.0%} | {off} |"
    )
