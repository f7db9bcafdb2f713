"""Interrupt a scenario at its points, run it again, and hold the end against an undisturbed run."""

import shutil
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from maintenance.demo.postgres import PostgresServer
from maintenance.engine.actions import RECURRING, ActionKind
from maintenance.policy import Policy
from tests.builders import Database, drop_database, make_database, make_template_with_store
from tests.crash.points import Fault, Interrupted, Point, Sort, interrupt, record
from tests.crash.scenarios import Scenario
from tests.proxies import Proxy
from tests.whole_catalogs import all_rows, whole_catalog

BETWEEN = "between actions"

MOST_RUNS = 2
"""How often an operator runs it again, until nothing is left to do."""

FORGOTTEN = RECURRING | {ActionKind.INDEX_MATVIEW, ActionKind.REINDEX}
"""A server that crashes forgets its counters, and with them what is due. A view that may have
changed is refreshed, which builds its missing index too. Bloat is unknown until the next ANALYZE.
"""

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
    """By kind of action, how many points were tried, and how many came to the right end.

    Attributes:
        points: those that change something.
        missed: tries whose run did not get to the point, since its threads took other turns.
    """

    points: Counter[str] = field(default_factory=Counter[str])
    tried: Counter[str] = field(default_factory=Counter[str])
    converged: Counter[str] = field(default_factory=Counter[str])
    failures: list[str] = field(default_factory=list[str])
    missed: int = 0

    def lines(self) -> list[str]:
        """A line for each kind."""
        return [
            f"{kind}: {n} points, {self.tried[kind]} tried, {self.converged[kind]} converged"
            for kind, n in sorted(self.points.items())
        ]


class Layout:
    """A scenario laid out on a server."""

    def __init__(
        self, server: PostgresServer, folder: Path, scenario: Scenario, cache: str = ""
    ) -> None:
        self.scenario, self.server, self.cache = scenario, server, cache
        self.folder = folder / scenario.name.replace(" ", "_")
        self.template = self._laid_out()

    def _laid_out(self) -> str:
        now = self.scenario.now or datetime.now(UTC)  # or the run makes the store's next months
        database = make_database(self.server, make_template_with_store(self.server, now))
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

    def close(self) -> None:
        """Drop the database that was cloned."""
        drop_database(Database(self.template, self.server))


class Stage(Layout):
    """A scenario laid out on a server, and what an undisturbed run makes of it."""

    def __init__(
        self, server: PostgresServer, folder: Path, scenario: Scenario, cache: str = ""
    ) -> None:
        super().__init__(server, folder, scenario, cache)
        with self.clone("undisturbed") as (database, policy):
            self.before = all_rows(database)
            self.points = record(database, lambda: scenario.run_through(policy))
            assert scenario.settled(policy), "the undisturbed run left something to do"
            self.end = self._end(database, policy)
            self.journal = self._effects(database)
        # A run that a busy machine holds up has points that no other run gets to.
        with self.clone("recorded_again") as (database, policy):
            again = record(database, lambda: scenario.run_through(policy))
        self.points = min(self.points, again, key=len)

    def kind_of(self, point: Point) -> str:
        """The kind of action that a point belongs to."""
        if self.scenario.work is not None and not point.kind and len(self.scenario.kinds) == 1:
            return min(self.scenario.kinds)  # a command that is one action
        return point.kind or BETWEEN

    def _through(self, proxy: Proxy, folder: Path, database: Database) -> Policy:
        """The same policy, with a proxy between the run and the server."""
        parts = urlsplit(database.url)
        place = parts.netloc.rpartition(":")[0]
        url = urlunsplit(parts._replace(netloc=f"{place}:{proxy.port}"))
        return self.scenario.policy(folder, url, self.cache)

    def disturb(self, point: Point, fault: Fault, tally: Tally) -> None:
        """Interrupt a run at a point, run again, and note whether it came to the same end."""
        name = f"{point.number}_{fault.name.lower()}"
        with self.clone(name) as (database, policy):
            happened = self._interrupted(database, policy, point, fault)
            if not happened.reached:
                tally.missed += 1
                return
            # the address of a proxy is no longer served
            again = self.scenario.policy(policy.path.parent, database.url, self.cache)
            problems = [
                *self._problems_at_once(database, fault, happened),
                *self._run_again(again),
                *self._problems_at_the_end(database, again, point, fault),
            ]
        kind = self.kind_of(point)
        tally.tried[kind] += 1
        if not problems:
            tally.converged[kind] += 1
            return
        text = " ".join(point.text.split())[:160]
        where = f"{self.scenario.name}, {fault} at {point.number} ({point.sort}: {text})"
        tally.failures.append(f"{where}: {problems}")

    def _interrupted(
        self, database: Database, policy: Policy, point: Point, fault: Fault
    ) -> Interrupted:
        proxy = Proxy(self.server.port) if fault.is_of_network else None
        used = self._through(proxy, policy.path.parent, database) if proxy else policy
        return interrupt(
            database, lambda: self.scenario.run_through(used), point.number, fault, proxy
        )

    def _problems_at_once(
        self, database: Database, fault: Fault, happened: Interrupted
    ) -> Iterator[str]:
        if fault is Fault.DELAYED and not happened.came_through:
            yield "a slow network failed the run"
        if lost := _differences(self.before, all_rows(database), self.end.rows):
            yield f"rows after the interruption: {lost}"

    def _run_again(self, policy: Policy) -> Iterator[str]:
        for _ in range(MOST_RUNS):
            try:
                self.scenario.run(policy)
            except Exception as exc:  # noqa: BLE001 - whatever it is, it is told
                yield f"run again: {type(exc).__name__}: {exc}"
            if self.scenario.settled(policy):
                return
        yield "something is left to do"

    def _problems_at_the_end(
        self, database: Database, policy: Policy, point: Point, fault: Fault
    ) -> Iterator[str]:
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
        forgotten = FORGOTTEN if fault is Fault.SERVER else ()
        wanted = {(kind, object_) for kind, object_ in self.journal if kind not in forgotten}
        if self.scenario.without_store and point.sort is Sort.JOURNAL:
            return
        if silent := wanted - self._effects(database):
            yield f"journal does not know of {silent}"

    def _effects(self, database: Database) -> set[tuple[str, str]]:
        return {(kind, object_) for kind, object_, *_ in database.execute(_DONE)}

    def _end(self, database: Database, policy: Policy) -> End:
        place = policy.path.parent / "archive"
        files = {str(p.relative_to(place)) for p in place.rglob("*") if p.is_file()}
        return End(whole_catalog(database), all_rows(database), frozenset(files))


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
    tally = Tally(Counter(stage.kind_of(point) for point in stage.points if point.changes))
    for point, fault in tries:
        stage.disturb(point, fault, tally)
    return tally


def all_tries(points: Sequence[Point]) -> list[tuple[Point, Fault]]:
    """Every point that changes something, with every fault that fits it."""
    changing = [point for point in points if point.changes]
    return [(point, fault) for point in changing for fault in Fault if fault.fits(point)]


def tries_in_turn(points: Sequence[Point], turn: int) -> list[tuple[Point, Fault]]:
    """Every point that changes something, with one of the faults that fit it."""
    tries: list[tuple[Point, Fault]] = []
    for point in points:
        if point.changes:
            fitting = [fault for fault in Fault if fault.fits(point)]
            tries.append((point, fitting[(point.number + turn) % len(fitting)]))
    return tries
