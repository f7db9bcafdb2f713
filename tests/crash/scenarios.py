"""For every kind of action, a database and a policy with which a run plans it.

A scenario is laid out once on a server and cloned for each interruption. Its tables have rows, so
that a lost or doubled one shows.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from maintenance.archives import write_archive
from maintenance.engine import cache_invalidation
from maintenance.engine.action_context import ActionContext
from maintenance.engine.actions import ActionKind
from maintenance.engine.lock_retry import silent
from maintenance.engine.scope import EVERYTHING, Request
from maintenance.engine.target import Target
from maintenance.errors import UsageError
from maintenance.names import QualifiedName
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.restore import restore_period
from maintenance.pipeline.undo import undo
from maintenance.policy import Policy
from tests import conversions
from tests.archives import CREATE_EVENTS as ARCHIVED
from tests.archives import EVENTS as ARCHIVED_TABLE
from tests.archives import FILL_EVENTS, identify, the_facts
from tests.builders import Database
from tests.integration import test_drain, test_split
from tests.integration.test_restore import place_of
from tests.policies import CREATE_EVENTS, EVENTS, make_policy
from tests.sessions import session

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
K = ActionKind

Policies = Callable[[Path, str, str], Policy]
"""Makes a policy in a folder, for the url of a database and that of a cache."""


class UnsettledError(AssertionError):
    """A run that nothing disturbed has not done all its work."""


@dataclass(frozen=True)
class Scenario:
    """A database, and the run that is to be interrupted there.

    Attributes:
        kinds: of the actions that the run executes.
        schema: statements that lay the database out.
        policy: of the run.
        lay_out: what is laid out besides; once.
        prepare: what a clone does not have from its template: counters, files, keys of a cache.
        work: the run; raises if an action fails.
        is_settled: whether nothing is left to do; else there is no action in the next plan.
        longest_wait: of writers and readers beside it in `make test`. An exchange of tables is one
            transaction of dozens of statements: 10 to 40 ms where the machine has nothing else to
            do, several times that beside other tests.
        without_store: whether the run goes on if it loses the store, and its journal with it.
        now: the time of the run; that of the clock where what it does is dated by the server.
    """

    name: str
    kinds: frozenset[ActionKind]
    policy: Policies
    schema: str = ""
    lay_out: Callable[[Database, Path], object] | None = None
    prepare: Callable[[Database, Policy], object] | None = None
    work: Callable[[Policy], object] | None = None
    is_settled: Callable[[Policy], bool] | None = None
    request: Request = EVERYTHING
    only: tuple[str, ...] = ()
    without_store: bool = False
    now: datetime | None = NOW
    longest_wait: str = "50ms"

    def run(self, policy: Policy) -> pipeline.Report | None:
        """Run it once, and return its report."""
        if self.work is not None:
            self.work(policy)
            return None
        return pipeline.apply(policy, now=self.now, only=self.only, request=self.request)

    def run_through(self, policy: Policy) -> None:
        """Run it, and raise if an action fails."""
        report = self.run(policy)
        if report is not None and not report.ok:
            failed = [(r.action.kind, r.error) for r in report.results if r.error]
            raise UnsettledError([*failed, *(f.message for f in report.findings)])

    def settled(self, policy: Policy) -> bool:
        """Whether nothing is left to do."""
        if self.is_settled is not None:
            return self.is_settled(policy)
        request = self.request.carried_out
        return not pipeline.plan(policy, now=self.now, only=self.only, request=request).plan.actions


def partitions(**section: Any) -> Policies:
    def policy(folder: Path, url: str, _cache: str) -> Policy:
        return make_policy(folder, url, {**EVENTS, **section}, locks=PATIENT)

    return policy


PATIENT = {"give_up_after": "20 seconds", "lock_timeout": "500 ms"}

NOVEMBER = """
CREATE TABLE public.events_2026_11 PARTITION OF public.events
  FOR VALUES FROM ('2026-11-01 00:00+00') TO ('2026-12-01 00:00+00');
INSERT INTO public.events
  SELECT n, '2026-11-02 00:00+00'::timestamptz + n * interval '1 minute'
  FROM generate_series(1, 500) n;
"""
HORIZON = """
CREATE TABLE public.events_2026_12 PARTITION OF public.events
  FOR VALUES FROM ('2026-12-01 00:00+00') TO ('2027-01-01 00:00+00');
CREATE TABLE public.events_2027_01 PARTITION OF public.events
  FOR VALUES FROM ('2027-01-01 00:00+00') TO ('2027-02-01 00:00+00');
"""
SUMMER = "".join(
    f"CREATE TABLE public.events_2026_0{month} PARTITION OF public.events"
    f" FOR VALUES FROM ('2026-0{month}-01 00:00+00') TO ('2026-0{month + 1}-01 00:00+00');"
    f"INSERT INTO public.events SELECT {month * 1000} + n,"
    f" '2026-0{month}-02 00:00+00'::timestamptz + n * interval '1 minute'"
    " FROM generate_series(1, 300) n;"
    for month in (6, 7)
)
KEPT = """
CREATE TABLE public.events_2099_11 PARTITION OF public.events
  FOR VALUES FROM ('2099-11-01 00:00+00') TO ('2099-12-01 00:00+00');
INSERT INTO public.events
  SELECT n, '2099-11-02 00:00+00'::timestamptz + n * interval '1 minute'
  FROM generate_series(1, 500) n;
"""
KEYS = """
CREATE TABLE public.people (id bigint PRIMARY KEY);
INSERT INTO public.people SELECT generate_series(0, 9999);
ALTER TABLE public.events ADD FOREIGN KEY (id) REFERENCES public.people;
ALTER TABLE public.events_2026_06 ADD CONSTRAINT own FOREIGN KEY (id) REFERENCES public.people;
"""
DEFAULT = "CREATE TABLE public.events_default PARTITION OF public.events DEFAULT;"

CONVERTED = """
CREATE TABLE public.events (
  id bigint PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), note text);
CREATE INDEX ON public.events (at);
INSERT INTO public.events
  SELECT n, '2026-11-20 00:00+00'::timestamptz - n * interval '1 hour', 'n' || n
  FROM generate_series(1, 2000) n;
"""

# Retention


def retiring(folder: Path, url: str, _cache: str) -> Policy:
    retention = {
        "keep": "3 months",
        "action": "archive_then_drop",
        "archive": {"url": str(folder / "archive")},
    }
    section = {**EVENTS, "premake": 2, "retention": retention}
    return make_policy(folder, url, section, locks=PATIENT)


def dropping(folder: Path, url: str, _cache: str) -> Policy:
    retention = {"keep": "3 months", "action": "drop"}
    section = {**EVENTS, "premake": 2, "retention": retention}
    return make_policy(folder, url, section, locks=PATIENT)


def leave_detach_pending(database: Database, _folder: Path) -> None:
    """End a session that detaches concurrently, while it waits for a reader."""
    with database.connect(autocommit=False) as reader:
        reader.execute("SELECT count(*) FROM public.events")
        with psycopg.connect(database.url, autocommit=True) as detaching:
            detaching.execute("SET statement_timeout = '300 ms'")
            with suppress(psycopg.errors.QueryCanceled):
                detaching.execute(
                    "ALTER TABLE public.events DETACH PARTITION public.events_2026_06 CONCURRENTLY"
                )
    pending = "SELECT FROM pg_inherits WHERE inhdetachpending"
    assert database.execute(pending) != []


def archive_january(database: Database, policy: Policy) -> None:
    facts = the_facts(
        lower=datetime(2024, 1, 1, tzinfo=UTC), upper=datetime(2024, 2, 1, tzinfo=UTC)
    )
    with session(database.url) as connection:
        write_archive(connection, identify(database), place_of(policy), facts)
    database.execute("DROP TABLE public.events_2024_01")


def keeping(folder: Path, url: str, _cache: str) -> Policy:
    retention = {
        "keep": "12 months",
        "action": "archive_then_drop",
        "archive": {"url": str(folder / "archive")},
    }
    return make_policy(folder, url, {**EVENTS, "retention": retention}, locks=PATIENT)


def restore(policy: Policy) -> None:
    if not is_restored(policy):
        restore_period(policy, ARCHIVED_TABLE, "2024-01", now=NOW)


def is_restored(policy: Policy) -> bool:
    with Target(policy).database("test") as connection:
        there = "SELECT count(*) FROM public.events WHERE at < '2024-02-01'"
        return connection.execute(there.encode()).fetchall() == [(2000,)]


# Statistics, computed rows, cache

COUNTED = """
CREATE TABLE public.changed (id int PRIMARY KEY, note text) WITH (autovacuum_enabled = false);
CREATE TABLE public.deleted (id int PRIMARY KEY, note text) WITH (autovacuum_enabled = false);
INSERT INTO public.deleted SELECT n, 'n' || n FROM generate_series(1, 8000) n;
"""


def watched(folder: Path, url: str, _cache: str) -> Policy:
    return make_policy(folder, url, statistics={}, locks=PATIENT)


def use(database: Database, _policy: Policy) -> None:
    with database.connect() as connection:
        connection.execute("ANALYZE public.deleted")
        connection.execute("INSERT INTO public.changed SELECT n FROM generate_series(1, 2000) n")
        connection.execute("DELETE FROM public.deleted WHERE id % 2 = 0")
        connection.execute("SELECT pg_stat_force_next_flush()")


COMPUTED = """
CREATE TABLE public.courses (id int PRIMARY KEY);
CREATE TABLE public.enrollments (id int PRIMARY KEY, course int, at timestamptz);
CREATE TABLE public.course_analytics (course int PRIMARY KEY, n int, calculated_at timestamptz);
INSERT INTO public.courses SELECT generate_series(1, 40);
INSERT INTO public.enrollments SELECT n, n % 40 + 1, '2026-11-20 11:00+00'
  FROM generate_series(1, 400) n;
INSERT INTO public.course_analytics SELECT id, 0, '2026-11-10 00:00+00' FROM public.courses;
"""
RECALCULATE = """
UPDATE public.course_analytics AS a SET calculated_at = '2026-11-20 12:00+00', n = (
  SELECT count(*) FROM public.enrollments AS e WHERE e.course = a.course)
WHERE a.course = ANY (%(keys)s)
"""


def recalculating(folder: Path, url: str, _cache: str) -> Policy:
    (folder / "recalculate.sql").write_text(RECALCULATE)
    section = {
        "table": "public.course_analytics",
        "calculated_at": "calculated_at",
        "key": ["course"],
        "activity": {"table": "public.enrollments", "key": ["course"], "at": "at"},
        "recalculate": str(folder / "recalculate.sql"),
    }
    return make_policy(folder, url, stale_analytics=[section], locks=PATIENT)


def cached(folder: Path, url: str, cache: str) -> Policy:
    return make_policy(folder, url, redis={"url": cache}, locks=PATIENT)


def owe(database: Database, policy: Policy) -> None:
    """Leave an invalidation behind, as a run does that was killed before it told the cache."""
    with session(database.url) as store:
        context = ActionContext(store, store, Target(policy), silent, "run")
        cache_invalidation.intend(context, "public.v", ["v:*"], {"view": "public.v"})


# Views

VIEWED = """
CREATE TABLE public.courses (id int PRIMARY KEY, title text);
CREATE TABLE public.enrollments (id int PRIMARY KEY, course int, progress int);
INSERT INTO public.courses SELECT n, 'course ' || n FROM generate_series(1, 10) n;
INSERT INTO public.enrollments SELECT n, n % 10 + 1, n FROM generate_series(1, 100) n;
"""
BY_COURSE = """
SELECT c.id AS course, count(e.id) AS n, sum(e.progress) AS progress
FROM public.courses c LEFT JOIN public.enrollments e ON e.course = c.id GROUP BY c.id
"""
TITLES = "SELECT id, title FROM public.courses"
NEW_TITLES = "SELECT id, upper(title) AS title, id * 2 AS twice FROM public.courses"
REBUILD = Request(QualifiedName("public", "titles"), rebuild=True)


def viewing(titles: str = TITLES, by_course: str = BY_COURSE) -> Policies:
    def policy(folder: Path, url: str, _cache: str) -> Policy:
        (folder / "by_course.sql").write_text(by_course)
        (folder / "titles.sql").write_text(titles)
        views = [
            {"name": "public.by_course", "definition": "by_course.sql", "unique_index": ["course"]},
            {"name": "public.titles", "definition": "titles.sql", "unique_index": ["id"]},
        ]
        return make_policy(folder, url, matviews=views, locks=PATIENT)

    return policy


def viewed(policies: Policies) -> Callable[[Database, Path], None]:
    """Make the views of a policy, and what depends on one."""

    def lay_out(database: Database, folder: Path) -> None:
        report = pipeline.apply(policies(folder, database.url, ""), now=NOW)
        assert report.ok
        database.execute(
            "CREATE VIEW public.above AS SELECT * FROM public.titles;"
            "CREATE INDEX titles_title ON public.titles (title)"
        )

    return lay_out


def is_as_declared(policy: Policy) -> bool:
    return pipeline.plan(policy, now=NOW, only=["matviews"]).findings == ()


def change_rows(database: Database, policy: Policy) -> None:
    pipeline.apply(policy, now=NOW, only=["matviews"])  # a clone has no counters
    database.execute("INSERT INTO public.enrollments VALUES (101, 1, 5)")
    database.execute("DROP INDEX IF EXISTS public.titles_id_key")


# Indexes

ORDERS = """
CREATE TABLE public.orders (id bigint PRIMARY KEY, number bigint NOT NULL, customer int NOT NULL,
  amount numeric NOT NULL, note text, at timestamptz NOT NULL);
INSERT INTO public.orders
  SELECT n, n, n % 50, n, 'Note ' || n, '2026-01-01'::timestamptz + n * interval '1 min'
  FROM generate_series(1, 1000) n;
CREATE INDEX orders_customer ON public.orders (customer, lower(note)) WITH (fillfactor = 80);
CREATE INDEX orders_note ON public.orders (note);
ALTER TABLE public.orders ADD CONSTRAINT orders_known CHECK (number > 0) NOT VALID;
CREATE TABLE public.parted (id bigint NOT NULL, at date NOT NULL, kind text NOT NULL,
  PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE public.parted_1 PARTITION OF public.parted
  FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE public.parted_2 PARTITION OF public.parted DEFAULT;
INSERT INTO public.parted
  SELECT n, date '2026-01-01' + n % 59, 'k' || n % 7 FROM generate_series(1, 500) n;
"""
DECLARED = """
CREATE UNIQUE INDEX orders_number ON public.orders (number) INCLUDE (amount);
-- replaces: orders_customer
CREATE INDEX orders_customer ON public.orders (customer, at) WHERE amount > 10;
DROP INDEX public.orders_note;
CREATE INDEX parted_1_broken ON public.parted_1 (at);
CREATE INDEX parted_kind_at ON public.parted (kind DESC, at);
ALTER TABLE public.orders ADD CONSTRAINT orders_amount CHECK (amount > 0);
ALTER TABLE public.orders ADD CONSTRAINT orders_known CHECK (number > 0);
ALTER TABLE public.orders ADD COLUMN twice numeric GENERATED ALWAYS AS (amount * 2) STORED;
"""


def declaring(declared: str = DECLARED) -> Policies:
    def policy(folder: Path, url: str, _cache: str) -> Policy:
        (folder / "declared.sql").write_text(declared)
        indexes = {
            "declared": "declared.sql",
            "allow_drop": True,
            "allow_rewrite": True,
            "preflight": {"free_disk": "1 MB"},
        }
        return make_policy(folder, url, indexes=indexes, locks=PATIENT)

    return policy


def break_index(database: Database, _folder: Path) -> None:
    """Leave an invalid index, as a build does that fails."""
    with suppress(psycopg.errors.UniqueViolation):
        database.execute(
            "CREATE UNIQUE INDEX CONCURRENTLY parted_1_broken ON public.parted_1 (kind)"
        )


def roll_out(database: Database, folder: Path) -> None:
    break_index(database, folder)
    report = pipeline.apply(declaring()(folder, database.url, ""), now=NOW, only=["indexes"])
    assert report.ok, [r.error for r in report.results]


def take_back(policy: Policy) -> None:
    try:
        report = undo(policy)
    except UsageError:
        if is_taken_back(policy):  # and the journal knows it
            return
        raise
    failed = [r.error for r in report.results if r.error]
    if failed:
        raise UnsettledError(failed)


def is_taken_back(policy: Policy) -> bool:
    with Target(policy).database("test") as connection:
        there = "SELECT to_regclass('public.orders_number'), to_regclass('public.parted_kind_at')"
        return connection.execute(there.encode()).fetchall() == [(None, None)]


# Bloat

FILLED = """
CREATE TABLE public.filled (id bigint PRIMARY KEY, note text) WITH (autovacuum_enabled = false);
INSERT INTO public.filled SELECT n, 'note ' || n FROM generate_series(1, 20000) n;
DELETE FROM public.filled WHERE id % 4 > 0;
"""


def shrinking(patience: dict[str, str] = PATIENT) -> Policies:
    def policy(folder: Path, url: str, _cache: str) -> Policy:
        section = {
            "min_size": "100 kB",
            "index_fraction": 0.3,
            "reindex": "concurrently",
            "reindex_unique": ["public.filled_pkey"],
        }
        indexes = {"preflight": {"free_disk": "1 MB"}}
        return make_policy(folder, url, bloat=section, indexes=indexes, locks=patience)

    return policy


def vacuumed(database: Database, _policy: Policy) -> None:
    database.execute("SELECT pg_stat_force_next_flush()")
    database.vacuum("public.filled")


def leave_rebuild(database: Database, folder: Path) -> None:
    """End a run that rebuilds an index, while it waits for a writer."""
    policy = shrinking({"give_up_after": "1 second"})(folder, database.url, "")
    vacuumed(database, policy)
    with database.connect(autocommit=False) as writer:
        writer.execute("INSERT INTO public.filled VALUES (-1, 'open')")
        pipeline.apply(policy, now=NOW, only=["bloat"])
        writer.rollback()
    left = "SELECT FROM pg_class WHERE relname LIKE '%ccnew'"
    assert database.execute(left) != []


SCENARIOS = (
    Scenario(
        "months",
        frozenset({K.CREATE_PARTITION, K.CREATE_DEFAULT, K.REPAIR_PARTITION}),
        partitions(premake=2, default="ensure"),
        CREATE_EVENTS
        + ";"
        + NOVEMBER
        + "ALTER TABLE public.events_2026_11 REPLICA IDENTITY NOTHING",
    ),
    Scenario(
        "leftovers",
        frozenset({K.REMOVE_LEFTOVERS, K.CREATE_PARTITION}),
        partitions(premake=4),
        CREATE_EVENTS
        + ";"
        + NOVEMBER
        + HORIZON
        + DEFAULT
        + "ALTER TABLE public.events_default ADD CONSTRAINT maintenance_not_2027_02_01"
        " CHECK (at < '2027-02-01' OR at >= '2027-03-01') NOT VALID",
    ),
    Scenario(
        "drain",
        frozenset({K.DRAIN_DEFAULT}),
        partitions(premake=2, start="2026-09"),
        test_drain.SCHEMA,
        only=("partitions",),
        longest_wait="500ms",
    ),
    Scenario(
        "swap",
        frozenset({K.SWAP_DEFAULT}),
        partitions(premake=2),
        CREATE_EVENTS
        + ";"
        + DEFAULT
        + "INSERT INTO public.events SELECT n, '2026-11-02 00:00+00'::timestamptz"
        " + n * interval '2 minutes' FROM generate_series(1, 12000) n",
        only=("partitions",),
    ),
    Scenario(
        "split",
        frozenset({K.SPLIT_PARTITION}),
        partitions(premake=2, split="online"),
        test_split.SCHEMA,
        only=("partitions",),
        longest_wait="500ms",
    ),
    Scenario(
        "conversion",
        frozenset({K.CONVERT_TABLE}),
        partitions(**{k: v for k, v in conversions.EVENTS.items() if k not in EVENTS}, premake=2),
        CONVERTED,
        only=("conversion", "partitions"),
        longest_wait="500ms",
    ),
    Scenario(
        "retention",
        frozenset({K.ARCHIVE_PARTITION, K.DETACH_PARTITION, K.DROP_PARTITION}),
        retiring,
        CREATE_EVENTS + ";" + SUMMER + KEPT,
        now=None,
        only=("retention",),
    ),
    Scenario(
        "drops",
        frozenset({K.DETACH_PARTITION, K.DROP_PARTITION}),
        dropping,
        CREATE_EVENTS + ";" + SUMMER + KEPT,
        now=None,
        only=("retention",),
    ),
    Scenario(
        "drops_with_keys",
        frozenset({K.DETACH_PARTITION, K.DROP_PARTITION}),
        dropping,
        CREATE_EVENTS + ";" + SUMMER + KEPT + KEYS,
        now=None,
        only=("retention",),
    ),
    Scenario(
        "finalize",
        frozenset({K.FINALIZE_DETACH}),
        retiring,
        CREATE_EVENTS + ";" + SUMMER + KEPT,
        now=None,
        lay_out=leave_detach_pending,
        only=("retention",),
    ),
    Scenario(
        "restore",
        frozenset({K.RESTORE_PARTITION}),
        keeping,
        ARCHIVED + FILL_EVENTS,
        prepare=archive_january,
        work=restore,
        is_settled=is_restored,
        without_store=True,
    ),
    Scenario(
        "statistics",
        frozenset({K.ANALYZE_TABLE, K.VACUUM_TABLE}),
        watched,
        COUNTED,
        prepare=use,
        only=("statistics",),
    ),
    Scenario(
        "computed rows",
        frozenset({K.RECALCULATE_ROWS}),
        recalculating,
        COMPUTED,
        only=("stale_analytics",),
    ),
    Scenario("cache", frozenset({K.INVALIDATE_CACHE}), cached, prepare=owe, only=("redis",)),
    Scenario("views", frozenset({K.CREATE_MATVIEW}), viewing(), VIEWED, only=("matviews",)),
    Scenario(
        "changed views",
        frozenset({K.REFRESH_MATVIEW, K.INDEX_MATVIEW}),
        viewing(),
        VIEWED,
        lay_out=viewed(viewing()),
        prepare=change_rows,
        only=("matviews",),
    ),
    Scenario(
        "rebuilt view",
        frozenset({K.REBUILD_MATVIEW}),
        viewing(NEW_TITLES),
        VIEWED,
        lay_out=viewed(viewing()),
        only=("matviews",),
        request=REBUILD,
        is_settled=is_as_declared,
    ),
    Scenario(
        "rollout",
        frozenset(
            {
                K.CREATE_INDEX,
                K.DROP_INDEX,
                K.REPLACE_INDEX,
                K.DROP_INVALID_INDEX,
                K.ADD_CONSTRAINT,
                K.VALIDATE_CONSTRAINT,
                K.ADD_COLUMN,
            }
        ),
        declaring(),
        ORDERS,
        lay_out=break_index,
        only=("indexes",),
    ),
    Scenario(
        "undo",
        frozenset({K.UNDO}),
        declaring(),
        ORDERS,
        lay_out=roll_out,
        work=take_back,
        is_settled=is_taken_back,
    ),
    Scenario(
        "bloat",
        frozenset({K.REINDEX}),
        shrinking(),
        FILLED,
        prepare=vacuumed,
        only=("bloat",),
    ),
    Scenario(
        "left rebuild",
        frozenset({K.REMOVE_REBUILD}),
        shrinking(),
        FILLED,
        lay_out=leave_rebuild,
        prepare=vacuumed,
        only=("bloat",),
    ),
)
