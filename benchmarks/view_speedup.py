"""The dashboards' queries on the views, against the same queries on the tables."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from benchmarks.outcomes import Outcome, Target, ratio
from benchmarks.servers import Database, fresh_database, session
from benchmarks.timing import Contender, interleave, seconds
from maintenance.demo.postgres import PostgresServer
from maintenance.names import QualifiedName
from maintenance.policy.view_sql import read_view_query
from maintenance.server.sql_library import data_root

WANTED = 14
"""Minimum speedup: such views are said to reduce 2.5 s to 180 ms."""

SYSTEM = "learning_platform"
VIEWS = {"mv_course_performance": "course_id", "mv_user_learning_summary": "user_id"}
QUERIES = {
    "course_dashboard": "mv_course_performance",
    "engaged_learners": "mv_user_learning_summary",
}
REFRESH = "refreshing both views"

_ROWS = """
INSERT INTO organizations SELECT 'org_' || n, 'Academy ' || n FROM generate_series(0, 99) AS n;
INSERT INTO users (id, email, is_active, organization_id)
SELECT 'usr_' || n, n || '@example.org', n % 10 <> 9, 'org_' || n % 100
FROM generate_series(0, {users} - 1) AS n;
INSERT INTO courses (id, title, status, category)
SELECT 'crs_' || n, 'Course ' || n, CASE n % 12 WHEN 11 THEN 'DRAFT' ELSE 'PUBLISHED' END, 'any'
FROM generate_series(0, {courses} - 1) AS n;
INSERT INTO enrollments (id, user_id, course_id, status, progress)
SELECT 'enr_' || n, 'usr_' || n % {users}, 'crs_' || (n % {users} * 31 + n / {users}) % {courses},
  CASE WHEN n % 4 = 0 THEN 'COMPLETED' ELSE 'ACTIVE' END,
  CASE WHEN n % 4 = 0 THEN 100 ELSE n % 1000 / 10.0 END
FROM generate_series(0, {rows} - 1) AS n;
CREATE INDEX ON enrollments (user_id, course_id);
CREATE INDEX ON enrollments (course_id);
"""


@dataclass(frozen=True, slots=True)
class ViewSpeedup:
    """Ten enrollments a user; a query on a view reads the result of the last refresh."""

    n_rows: int = 500_000
    rounds: int = 7

    def run(self, server: PostgresServer) -> Outcome:
        with fresh_database(server) as database:
            self._fill(database)
            contenders: dict[str, Contender | None] = {}
            for name, view in QUERIES.items():
                contenders[f"{name}, through the view"] = _asking(_query(name))
                contenders[f"{name}, from the tables"] = _asking(_direct(name, view))
            contenders[REFRESH] = _refresh
            samples = interleave(contenders, self.rounds, lambda: nullcontext(database))
        return Outcome(
            f"the dashboards' queries over {self.n_rows:,} enrollments",
            "s",
            samples,
            tuple(_target(samples, name) for name in QUERIES),
        )

    def _fill(self, database: Database) -> None:
        sizes = {
            "users": max(self.n_rows // 10, 1),
            "courses": max(self.n_rows // 1000, 20),
            "rows": self.n_rows,
        }
        with session(database.url) as connection:
            connection.execute((_folder() / "schema.sql").read_bytes())
            # The rows are known to be consistent, so skip the foreign key checks.
            connection.execute("SET session_replication_role = replica")
            connection.execute(_ROWS.format(**sizes).encode())
            for view, key in VIEWS.items():
                connection.execute((_folder() / f"matviews/{view}.sql").read_bytes())
                connection.execute(f"CREATE UNIQUE INDEX ON {view} ({key})".encode())
            connection.execute("VACUUM (ANALYZE)")


def _folder() -> Path:
    return data_root() / "sql" / "systems" / SYSTEM


def _query(name: str) -> str:
    return (_folder() / f"queries/{name}.sql").read_text()


def _direct(name: str, view: str) -> str:
    """Return the query with the view's own query in place of the view."""
    relation = QualifiedName("public", view)
    definition = read_view_query(_folder() / f"matviews/{view}.sql", relation)
    text, found = _query(name), f"public.{view} AS v"
    assert found in text, f"{name} reads {view}"
    return text.replace(found, f"({definition}) AS v")


def _asking(query: str) -> Contender:
    def ask(url: str) -> float:
        with session(url) as connection:
            return seconds(lambda: connection.execute(query.encode()).fetchall())

    return ask


def _refresh(url: str) -> float:
    with session(url) as connection:
        return seconds(
            lambda: [
                connection.execute(f"REFRESH MATERIALIZED VIEW CONCURRENTLY {view}".encode())
                for view in VIEWS
            ]
        )


def _target(samples: Mapping[str, Sequence[float]], name: str) -> Target:
    times = ratio(samples, f"{name}, from the tables", f"{name}, through the view")
    text = f"{name}: time through the view, as a share of that from the tables"
    return Target(text, 1 / times, 1 / WANTED)
