"""Interrupt a scenario at its points, run it again, and hold the end against an undisturbed run."""

import shutil
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from maintenance.demo.postgres import PostgresServer
from maintenance.policy import Policy
from tests.builders import Database, drop_database, make_database, make_template_with_store
from tests.crash.points import COME_THROUGH, Fault, Interrupted, Point, interrupt, record
from tests.crash.scenarios import NOW, Scenario
from tests.proxies import Proxy
from tests.whole_catalogs import all_rows, whole_catalog

__all__ = ["COME_THROUGH", "Stage", "Tally", "sweep"]

MOST_RUNS = 2
"""How often an operator runs it again, until nothing is left to do."""

_LEFT = """
SELECT relname::text FROM pg_class WHERE relname ~ '^maintenance_|_ccnew|_ccold'
  AND relnamespace = 'public'::regnamespace
UNION ALL SELECT conname FROM pg_constraint WHERE conname LIKE 'maintenance%'
UNION ALL SELECT tgname FROM pg_trigger WHERE tgname LIKE 'maintenance%'
UNION ALL SELECT proname FROM pg_proc WHERE proname LIKE 'maintenance%'
  AND pronamespace <> 'maintenance'::regnamespace
UNION ALL SELECT indexrelid::regclass::text FROM pg_index
  WHERE NOT (indisvalid AND indisready AND indislive)
UNION ALL SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhdetachpending
UNION ALL SELECT gid FROM pg_prepared_xacts WHERE database = current_database()
"""
_UNTRUE = """
SELECT j.kind, j.object, r.outcome, j.outcome
FROM maintenance.run AS r JOIN maintenance.journal AS j ON j.run_id = r.id
WHERE r.outcome = 'done' AND j.outcome IS NULL
"""
_DONE = """
SELECT j.kind, j.object, count(*) FILTER (WHERE j.outcome = 'done'), count(*)
FROM maintenance.journal AS j GROUP BY 1, 2
"""


@dataclass(frozen=True)
class End:
    """What there is in the end."""

    catalog: set[tuple[Any, ...]]
    rows: dict[str, tuple[Any, ...]]
    files: frozenset[str]


@dataclass
class Tally:
    """How many points of a scenario were tried, and how many came to the right end."""

    scenario: str
    tried: Counter[Fault] = field(default_factory=Counter[Fault])
    converged: Counter[Fault] = field(default_factory=Counter[Fault])
    failures: list[str] = field(default_factory=list[str])
    missed: int = 0

    def __str__(self) -> str:
        n_tried, n_converged = self.tried.total(), self.converged.total()
        return f"{self.scenario}: {n_tried} tried, {n_converged} converged"


class Stage:
    """A scenario laid out on a server, and what an undisturbed run makes of it."""

    def __init__(
        self, server: PostgresServer, folder: Path, scenario: Scenario, cache: str = ""
    ) -> None:
        self.scenario, self.server, self.cache = scenario, server, cache
        self.folder = folder / scenario.name.replace(" ", "_")
        self.template = self._laid_out()
        self.points: list[Point] = []
        self.kinds: set[str] = set()
        with self.clone("undisturbed") as (database, policy):
            self.before = all_rows(database)
            earlier = {run for run, _ in database.execute(_JOURNALED)}
            self.points = record(database, lambda: scenario.run_through(policy))
            self.kinds = {k for run, k in database.execute(_JOURNALED) if run not in earlier}
            assert scenario.settled(policy), "the undisturbed run left something to do"
            self.end = self._end(database, policy)
            self.journal = self._effects(database)

    def _laid_out(self) -> str:
        database = make_database(self.server, make_template_with_store(self.server, NOW))
        database.execute(self.scenario.schema or "SELECT")
        if self.scenario.lay_out is not None:
            folder = self.folder / "layout"
            folder.mkdir(parents=True)
            self.scenario.lay_out(database, folder)
        database.close()
        return database.name

    @contextmanager
    def clone(self, name: str) -> Generator[tuple[Database, Policy]]:
        """A database as it is before the run, and a policy for it in a folder of its own."""
        database = make_database(self.server, self.template)
        folder = self.folder / name
        folder.mkdir(parents=True)
        try:
            policy = self.scenario.policy(folder, database.url, self.cache)
            if self.scenario.prepare is not None:
                self.scenario.prepare(database, policy)
            yield database, policy
        finally:
            self.server.start()
            drop_database(database)
            shutil.rmtree(folder)

    def through(self, proxy: Proxy, folder: Path, database: Database) -> Policy:
        """The same policy, with a proxy between the run and the server."""
        parts = urlsplit(database.url)
        place = parts.netloc.rpartition(":")[0]
        url = urlunsplit(parts._replace(netloc=f"{place}:{proxy.port}"))
        return self.scenario.policy(folder, url, self.cache)

    def disturb(self, point: Point, fault: Fault, tally: Tally) -> None:
        """Interrupt a run at a point, run again, and note whether it came to the same end."""
        name = f"{point.number}_{fault.name.lower()}"
        with self.clone(name) as (database, policy):
            proxy = Proxy(self.server.port) if fault.is_of_network else None
            used = self.through(proxy, self.folder / name, database) if proxy else policy
            happened = interrupt(
                database, lambda: self.scenario.run_through(used), point.number, fault, proxy
            )
            if not happened.reached:
                tally.missed += 1
                return
            tally.tried[fault] += 1
            # the address of the proxy is no longer served
            policy = self.scenario.policy(self.folder / name, database.url, self.cache)
            problems = list(self._problems(database, policy, fault, happened))
        if problems:
            text = " ".join(point.text.split())
            tally.failures.append(
                f"{self.scenario.name}, {fault} at {point.number} ({point.sort}: {text[:160]}):"
                f" {problems}"
            )
        else:
            tally.converged[fault] += 1

    def _problems(
        self, database: Database, policy: Policy, fault: Fault, happened: Interrupted
    ) -> Iterator[str]:
        if fault is Fault.DELAYED and not happened.came_through:
            yield "a slow network failed the run"
        lost = _differences(self.before, all_rows(database), self.end.rows)
        if lost:
            yield f"rows after the interruption: {lost}"
        for _ in range(MOST_RUNS):
            try:
                self.scenario.run(policy)
            except Exception as exc:  # noqa: BLE001 - whatever it is, it is told
                yield f"run again: {type(exc).__name__}: {exc}"
            if self.scenario.settled(policy):
                break
        else:
            yield "something is left to do"
        end = self._end(database, policy)
        if end.catalog != self.end.catalog:
            yield f"catalog: {sorted(map(str, end.catalog ^ self.end.catalog))}"
        if end.rows != self.end.rows:
            yield f"rows: {end.rows}, not {self.end.rows}"
        if end.files != self.end.files:
            yield f"files: {sorted(end.files ^ self.end.files)}"
        if left := database.execute(_LEFT):
            yield f"left: {left}"
        if untrue := database.execute(_UNTRUE):
            yield f"journal: run done with open actions: {untrue}"
        if silent := self.journal - self._effects(database):
            yield f"journal does not know of {silent}"

    def _effects(self, database: Database) -> set[tuple[str, str]]:
        return {(kind, object_) for kind, object_, *_ in database.execute(_DONE)}

    def _end(self, database: Database, policy: Policy) -> End:
        place = policy.path.parent / "archive"
        files = {str(p.relative_to(place)) for p in place.rglob("*") if p.is_file()}
        return End(whole_catalog(database), all_rows(database), frozenset(files))


_JOURNALED = "SELECT run_id, kind FROM maintenance.journal"


def _differences(
    before: dict[str, Any], now: dict[str, Any], after: dict[str, Any]
) -> dict[str, Any]:
    """The tables that hold other rows than before, and than in the end, and as many as neither."""
    found: dict[str, Any] = {}
    for name in before.keys() & after.keys():
        ends = (before[name], after[name])
        if before[name] == after[name]:
            is_right = now.get(name) == before[name]
        else:
            least, most = sorted(rows[0] for rows in ends)
            is_right = name in now and (least <= now[name][0] <= most)
        if not is_right:
            found[name] = now.get(name)
    return found


def sweep(stage: Stage, tries: Iterable[tuple[Point, Fault]]) -> Tally:
    """Disturb a scenario at points, each in a clone of its own."""
    tally = Tally(stage.scenario.name)
    for point, fault in tries:
        stage.disturb(point, fault, tally)
    return tally


def all_tries(points: Sequence[Point], faults: Iterable[Fault]) -> list[tuple[Point, Fault]]:
    """Every point that changes something with every fault that fits it."""
    changing = [point for point in points if point.changes]
    return [(point, fault) for point in changing for fault in faults if fault.fits(point)]
