"""A dump that begins at any moment of a run has every row, or fails.

Like pg_dump it reads the names of all tables in one snapshot, and locks the tables by these names
later. If a name leads to another table by then, the dump ends without an error and without rows.
"""

import threading
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from maintenance.demo.postgres import PostgresServer
from maintenance.demo.redis import RedisServer
from tests.builders import Database
from tests.caches import cache_server, program_of
from tests.crash.points import Sort, watching
from tests.crash.scenarios import SCENARIOS, Scenario
from tests.crash.sweep import Layout

TABLES = """
SELECT c.oid, format('%I.%I', n.nspname, c.relname), c.relkind::text
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname = 'public' AND c.relname !~ '^maintenance_'
"""
"""A dump may select tables, such as `pg_dump --table 'events*'`, without those of a run itself."""

REPLACING = ("drain", "split", "swap", "conversion", "undo")
"""The scenarios in which a table takes the name of another."""

RELEASING = ("drain", "swap")
"""Those of them in which nobody may find the name for a moment."""

WHICH = [
    pytest.param(each, n, marks=[] if each.name in REPLACING and n == 1 else [pytest.mark.thorough])
    for each in SCENARIOS
    if each.name != "cache"  # has no table
    for n in (1, 2, 3)
]


class Dumps:
    """Dumps beside a run: each begins at one point, and locks its tables at a later one."""

    def __init__(self, database: Database, n_points: int) -> None:
        self.ends: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._database, self._n_points = database, n_points
        self._begun: list[tuple[psycopg.Connection[Any], list[tuple[int, str, str]], str]] = []
        self._lock = threading.RLock()

    @contextmanager
    def reach(self, sort: Sort, text: str, _connection: Any) -> Generator[None]:
        if sort is Sort.STATEMENT:
            with self._lock:
                if len(self._begun) == self._n_points:
                    self._end(*self._begun.pop(0))
                self._begin(text)
        yield

    def _begin(self, text: str) -> None:
        dump = self._database.connect(autocommit=False)
        dump.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        dump.execute("SET LOCAL lock_timeout = '1s'")
        tables = dump.execute(TABLES.encode()).fetchall()
        self._begun.append((dump, tables, text))

    def _end(self, dump: Any, tables: list[tuple[int, str, str]], text: str) -> None:
        if not tables:  # a run may make the first one
            dump.close()
            return
        names = ", ".join(name for _, name, _ in tables)
        try:
            dump.execute(f"LOCK TABLE {names} IN ACCESS SHARE MODE")
        except (psycopg.errors.UndefinedTable, psycopg.errors.LockNotAvailable) as exc:
            self.ends[type(exc).__name__] += 1
        else:
            self.ends["complete"] += 1
            self.wrong += self._other(tables, text)
        dump.close()

    def _other(self, tables: list[tuple[int, str, str]], text: str) -> Iterator[str]:
        """The names that lead to another table; COPY refuses one that is partitioned now."""
        now = {name: (oid, kind) for oid, name, kind in self._database.execute(TABLES)}
        for oid, name, kind in tables:
            if kind == "r" and now[name] not in ((oid, "r"), (now[name][0], "p")):
                yield f"{name}: {oid} was {now[name]} in a dump that began before {text[-300:]}"

    def close(self) -> None:
        while self._begun:
            self._end(*self._begun.pop(0))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with cache_server(program_of("embedded"), tmp_path_factory.mktemp("cache")) as server:
        yield server


@pytest.mark.pg("== 18")
@pytest.mark.parametrize(
    ("scenario", "n_points"), WHICH, ids=lambda each: getattr(each, "name", str(each))
)
def test_dump_that_begins_at_any_point_has_every_row_or_fails(
    server: PostgresServer, tmp_path: Path, scenario: Scenario, cache: RedisServer, n_points: int
) -> None:
    layout = Layout(server, tmp_path, scenario, cache.url)
    with layout.clone("dumped") as (database, policy):
        dumps = Dumps(database, n_points)
        with watching(dumps.reach):
            scenario.run(policy)
        dumps.close()
    layout.close()
    assert dumps.wrong == []
    assert dumps.ends["complete"] > 0
    assert dumps.ends["UndefinedTable"] > 0 or scenario.name not in RELEASING
