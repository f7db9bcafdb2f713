"""Declared indexes are built, replaced and dropped, and undone to the same catalog."""

import json
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from maintenance.cli.commands import cli
from maintenance.engine.actions import ActionKind, HeldBy
from maintenance.engine.executor import Outcome
from maintenance.engine.findings import FindingKind
from maintenance.errors import LockNotAcquiredError, RegressionError, UsageError
from maintenance.names import literal
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.run import Report
from maintenance.pipeline.undo import UndoReport, undo
from maintenance.policy import Policy
from maintenance.redaction import remember
from maintenance.subjects.indexes.declared import prove
from tests.builders import Database
from tests.catalogs import catalog_of
from tests.policies import make_policy

pytestmark = pytest.mark.store

TABLES = """
CREATE TABLE public.orders (id bigint PRIMARY KEY, customer_id bigint NOT NULL, state text NOT NULL,
  note text, amount numeric(12, 2) NOT NULL);
INSERT INTO public.orders
  SELECT n, n % 500, 'open', 'note ' || n, n FROM generate_series(1, 5000) n;
CREATE INDEX orders_old ON public.orders (customer_id);
COMMENT ON INDEX public.orders_old IS 'it''s old';
CREATE INDEX orders_words ON public.orders (lower(note), (upper(note)));
ALTER INDEX public.orders_words ALTER COLUMN 2 SET STATISTICS 500;
CREATE TABLE public.events (id bigint NOT NULL, at date NOT NULL, kind text NOT NULL,
  PRIMARY KEY (id, at, kind)) PARTITION BY RANGE (at);
CREATE TABLE public.events_1 PARTITION OF public.events
  FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE public.events_2 PARTITION OF public.events
  FOR VALUES FROM ('2026-02-01') TO ('2026-03-01') PARTITION BY LIST (kind);
CREATE TABLE public.events_2a PARTITION OF public.events_2 FOR VALUES IN ('a');
CREATE TABLE public.events_2b PARTITION OF public.events_2 DEFAULT;
INSERT INTO public.events
  SELECT n, date '2026-01-01' + n % 59, CASE n % 2 WHEN 0 THEN 'a' ELSE 'b' END
  FROM generate_series(1, 3000) n;
CREATE INDEX events_at ON public.events (at);
ANALYZE;
"""

PLAIN = """
CREATE INDEX orders_by_state ON public.orders (state, customer_id);
CREATE INDEX orders_by_note ON public.orders (lower(state)) WHERE amount > 10;
"""


@pytest.fixture
def shop(database: Database) -> Database:
    for statement in TABLES.split(";\n"):
        if statement.strip():
            database.execute(statement)
    return database


def policy_for(
    database: Database,
    folder: Path,
    declared: str,
    *,
    give_up_after: str = "10 minutes",
    **indexes: Any,
) -> Policy:
    (folder / "declared.sql").write_text(declared)
    allowed = {"declared": "declared.sql", "allow_drop": True, "allow_rewrite": True}
    return make_policy(
        folder,
        database.url,
        indexes={**allowed, **indexes},
        locks={"give_up_after": give_up_after},
    )


def apply(policy: Policy, *, again: bool = False) -> Report:
    request = pipeline.Request(again=again)
    return pipeline.apply(policy, only=("indexes",), request=request)


def kinds(report: Report) -> list[tuple[ActionKind, Outcome]]:
    return [(result.action.kind, result.outcome) for result in report.results]


def errors(report: Report | UndoReport) -> list[str]:
    return [f"{r.action.object}: {r.error}" for r in report.results if r.error]


def all_done(report: Report | UndoReport) -> bool:
    outcomes = {result.outcome for result in report.results}
    return outcomes == {Outcome.DONE}


@pytest.mark.in_turn
@pytest.mark.parametrize(
    "declared",
    [
        PLAIN,
        "-- replaces: orders_old\n"
        "CREATE INDEX orders_by_customer ON public.orders (customer_id, state);",
        "-- replaces: orders_old\nCREATE INDEX orders_old ON public.orders (customer_id, state);",
        "DROP INDEX public.orders_words;",
        "DROP INDEX public.events_at;",
        "CREATE INDEX events_by_kind ON public.events (kind, at);",
        "ALTER TABLE public.orders ADD CONSTRAINT positive CHECK (amount > 0);",
        "ALTER TABLE public.events ADD CONSTRAINT named CHECK (kind <> '');",
        "ALTER TABLE public.orders ADD COLUMN doubled numeric GENERATED ALWAYS AS (amount * 2)"
        " STORED;\nCREATE INDEX orders_doubled ON public.orders (doubled);",
    ],
)
def test_rollout_is_complete_and_its_undo_restores_the_catalog(
    shop: Database, tmp_path: Path, declared: str
) -> None:
    policy = policy_for(shop, tmp_path, declared)
    before = catalog_of(shop)

    report = apply(policy)

    assert errors(report) == []
    assert all_done(report)
    assert pipeline.plan(policy, only=("indexes",)).plan.actions == ()
    made = catalog_of(shop)
    assert made != before

    undone = undo(policy)

    assert errors(undone) == []
    assert all_done(undone)
    assert catalog_of(shop) == before
    planned = pipeline.plan(policy, only=("indexes",)).plan.actions
    assert planned != ()
    assert {action.held.by for action in planned if action.held} == {HeldBy.UNDONE}
    assert all(action.held for action in planned)
    assert kinds(apply(policy)) == [(action.kind, Outcome.SKIPPED) for action in planned]
    assert catalog_of(shop) == before

    assert all_done(apply(policy, again=True))
    assert catalog_of(shop) == made
    assert all_done(undo(policy))
    assert catalog_of(shop) == before


def test_wave_that_was_not_chosen_waits(shop: Database, tmp_path: Path) -> None:
    policy = policy_for(
        shop,
        tmp_path,
        "CREATE INDEX first ON orders (customer_id, state);\n"
        "-- wave: 2\nCREATE INDEX second ON orders (state);",
    )
    report = pipeline.apply(policy, only=["indexes"], request=pipeline.Request(waves=(1,)))
    outcomes = {r.action.object: r.outcome for r in report.results}
    assert outcomes == {"public.first": Outcome.DONE, "public.second": Outcome.SKIPPED}
    report = pipeline.apply(policy, only=["indexes"], request=pipeline.Request(waves=(2,)))
    assert kinds(report) == [(ActionKind.CREATE_INDEX, Outcome.DONE)]


def test_wave_that_no_declaration_has_is_refused(shop: Database, tmp_path: Path) -> None:
    policy = policy_for(shop, tmp_path, "-- wave: 2\nCREATE INDEX second ON orders (state);")
    with pytest.raises(UsageError) as caught:
        pipeline.plan(policy, request=pipeline.Request(waves=(7,)))
    assert caught.value.reason == "no_such_wave"


def test_index_of_a_partition_that_was_there_is_there_after_undo(
    shop: Database, tmp_path: Path
) -> None:
    shop.execute("CREATE INDEX my_own ON public.events_1 (kind, at)")
    shop.execute("CREATE INDEX events_2a_kind ON public.events_2a (kind, at)")
    before = catalog_of(shop)
    declared = "CREATE INDEX events_by_kind ON public.events (kind, at);"
    policy = policy_for(shop, tmp_path, declared)

    assert all_done(apply(policy))
    assert all_done(undo(policy))

    assert catalog_of(shop) == before


def test_changed_text_is_built_though_its_earlier_form_was_undone(
    shop: Database, tmp_path: Path
) -> None:
    policy = policy_for(shop, tmp_path, "CREATE INDEX a ON public.orders (state);")
    apply(policy)
    undo(policy)

    policy = policy_for(shop, tmp_path, "CREATE INDEX a ON public.orders (state, id);")

    assert all_done(apply(policy))


def test_index_made_by_others_in_the_meantime_is_kept(shop: Database, tmp_path: Path) -> None:
    policy = policy_for(shop, tmp_path, "CREATE INDEX a ON public.orders (state);")
    apply(policy)
    shop.execute("DROP INDEX public.a")
    shop.execute("CREATE INDEX a ON public.orders (state)")
    made = catalog_of(shop)

    undone = undo(policy)

    assert undone.results[0].detail["kept"] == ["public.a"]
    assert catalog_of(shop) == made


@pytest.mark.store(None)
def test_unknown_runs_and_nothing_to_undo_are_usage_errors(shop: Database, tmp_path: Path) -> None:
    policy = policy_for(shop, tmp_path, "CREATE INDEX a ON public.orders (state);")
    with pytest.raises(UsageError) as unknown:
        undo(policy)
    assert unknown.value.reason == "unknown_run"
    apply(policy)
    with pytest.raises(UsageError) as wrong:
        undo(policy, "ffffffff")
    assert wrong.value.reason == "unknown_run"
    report = undo(policy)
    with pytest.raises(UsageError) as nothing:
        undo(policy)
    assert nothing.value.reason == "nothing_to_undo"
    again = undo(policy, report.run_id[:8])
    assert again.results == ()
    assert len(again.kept) == 1


def test_unique_build_with_duplicates_leaves_nothing(shop: Database, tmp_path: Path) -> None:
    shop.execute("CREATE TABLE public.twins (id int)")
    shop.execute("INSERT INTO public.twins VALUES (1)")
    policy = policy_for(shop, tmp_path, "CREATE UNIQUE INDEX one ON public.twins (id);")
    before = catalog_of(shop)
    with shop.connect(autocommit=False) as writer:
        writer.execute("INSERT INTO public.twins VALUES (1)")  # not visible to the preflight
        thread = threading.Thread(target=_commit_when_waited_for, args=(shop, writer))
        thread.start()
        report = apply(policy)
        thread.join()

    assert [result.outcome for result in report.results] == [Outcome.FAILED]
    assert catalog_of(shop) == before


def _commit_when_waited_for(database: Database, writer: Any) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        waiting = database.execute(
            "SELECT 1 FROM pg_stat_progress_create_index p JOIN pg_stat_activity a USING (pid)"
            " WHERE a.wait_event_type = 'Lock' AND p.relid = 'public.twins'::regclass"
        )
        if waiting:
            break
        time.sleep(0.02)
    writer.commit()


def test_build_that_would_wait_for_an_old_transaction_is_given_up(
    shop: Database, tmp_path: Path
) -> None:
    policy = policy_for(shop, tmp_path, PLAIN, give_up_after="1 s")
    before = catalog_of(shop)
    with shop.connect(autocommit=False) as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT FROM public.events_1 LIMIT 1")
        report = apply(policy)

    assert {type(result.cause) for result in report.results} == {LockNotAcquiredError}
    assert catalog_of(shop) == before
    assert all_done(apply(policy))


def test_leftover_of_a_killed_build_is_replaced(shop: Database, tmp_path: Path) -> None:
    shop.execute("CREATE TABLE public.twins (id int)")
    shop.execute("INSERT INTO public.twins VALUES (1), (1)")
    with (
        shop.connect() as session,
        pytest.raises(psycopg.Error, match=r"could not create unique index"),
    ):
        session.execute("CREATE UNIQUE INDEX CONCURRENTLY one ON public.twins (id)")
    shop.execute("DELETE FROM public.twins")
    policy = policy_for(shop, tmp_path, "CREATE UNIQUE INDEX one ON public.twins (id);")

    report = apply(policy)

    assert kinds(report) == [
        (ActionKind.DROP_INVALID_INDEX, Outcome.DONE),
        (ActionKind.CREATE_INDEX, Outcome.DONE),
    ]


@pytest.mark.in_turn
@pytest.mark.parametrize("replaced", ["", "-- replaces: events_at\n"])
def test_partition_made_by_the_same_run_gets_its_part_from_the_next(
    shop: Database, tmp_path: Path, replaced: str
) -> None:
    shop.execute("DROP TABLE public.events_2")
    (tmp_path / "declared.sql").write_text(
        f"{replaced}CREATE INDEX events_by_kind ON public.events (kind, at);"
    )
    policy = make_policy(
        tmp_path,
        shop.url,
        {"table": "public.events", "column": "at", "premake": 1, "start": "2026-01"},
        indexes={"declared": "declared.sql", "allow_drop": True},
    )
    march = datetime(2026, 3, 10, tzinfo=UTC)
    first = pipeline.apply(policy, now=march, only=["partitions", "indexes"])
    assert first.ok, errors(first)
    outcomes = {(r.action.kind, r.outcome) for r in first.results}
    assert (ActionKind.CREATE_PARTITION, Outcome.DONE) in outcomes
    assert {o for k, o in outcomes if k is not ActionKind.CREATE_PARTITION} == {Outcome.SKIPPED}
    second = pipeline.apply(policy, now=march, only=["partitions", "indexes"])
    assert all_done(second), errors(second)
    assert not pipeline.plan(policy, now=march, only=["partitions", "indexes"]).plan.actions


@pytest.mark.pg("== 18")
def test_build_is_not_begun_beside_a_transaction_older_than_allowed(
    shop: Database, tmp_path: Path
) -> None:
    limits = {"max_transaction_age": "1 s"}
    policy = policy_for(shop, tmp_path, PLAIN, give_up_after="1 s", preflight=limits)
    before = catalog_of(shop)
    with shop.connect(autocommit=False) as idle:
        idle.execute("SELECT FROM public.orders LIMIT 1")
        time.sleep(1.1)
        report = apply(policy)

    assert {result.cause.reason for result in report.results if result.cause} == {"old_transaction"}
    assert catalog_of(shop) == before


@pytest.mark.pg("== 18")
def test_build_waits_until_an_old_transaction_has_ended(shop: Database, tmp_path: Path) -> None:
    policy = policy_for(shop, tmp_path, PLAIN, preflight={"max_transaction_age": "1 s"})
    with shop.connect(autocommit=False) as idle:
        idle.execute("SELECT FROM public.orders LIMIT 1")
        time.sleep(1.1)
        ending = threading.Timer(1.5, idle.rollback)
        ending.start()
        report = apply(policy)
        ending.join()

    assert all_done(report)


@dataclass(frozen=True)
class SlowerProof:
    """A proof in which one query became slower."""

    slower: float = 3.0
    key: str = "q1"

    def slower_than(self, factor: float) -> "SlowerProof | None":
        return self if self.slower > factor else None

    def as_json(self) -> dict[str, Any]:
        return {"slower": self.slower}


@pytest.mark.pg("== 18")
@pytest.mark.parametrize("table", ["orders (state)", "events (kind, at)"])
def test_build_that_makes_a_query_too_slow_is_undone_at_once(
    shop: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    def nothing(*_: object) -> object:
        return object()

    def measured(*_: object) -> SlowerProof:
        return SlowerProof()

    monkeypatch.setattr(prove, "measure_before", nothing)
    monkeypatch.setattr(prove, "measure_after", measured)
    declared = f"CREATE INDEX a ON public.{table};"
    before = catalog_of(shop)
    policy = policy_for(shop, tmp_path, declared, rollback_if={"slower_than": 1.2})

    report = apply(policy)

    assert [type(result.cause) for result in report.results] == [RegressionError]
    assert "query_regressed" in {finding.kind.value for finding in report.findings}
    assert catalog_of(shop) == before
    assert [result.outcome for result in apply(policy).results] == [Outcome.SKIPPED]
    tolerant = policy_for(shop, tmp_path, declared)
    kept = apply(tolerant, again=True)
    assert all_done(kept)
    assert kept.results[0].detail["proof"] == {"slower": 3.0}


PATIENCE = "200ms"
"""The server ends a session that waits longer for a lock: what the application may notice."""


@dataclass
class Application:
    """Sessions that read and write the tables without a pause, and the errors that they get."""

    database: Database
    errors: list[str] = field(default_factory=list[str])
    n_done: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    def use(self, statement: str) -> None:
        with psycopg.connect(self.database.url, autocommit=True) as connection:
            connection.execute(f"SET lock_timeout = '{PATIENCE}'")
            while not self._over.is_set():
                try:
                    connection.execute(statement.encode())
                    self.n_done += 1
                except psycopg.Error as exc:
                    self.errors.append(str(exc))

    @contextmanager
    def __call__(self, *statements: str) -> Generator[None]:
        threads = [threading.Thread(target=self.use, args=(each,)) for each in statements]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()


def test_application_notices_neither_rollout_nor_undo(shop: Database, tmp_path: Path) -> None:
    shop.execute("CREATE SEQUENCE public.ids START 100000")
    declared = (
        PLAIN
        + "CREATE INDEX events_by_kind ON public.events (kind, at);\n"
        + "-- replaces: orders_old\nCREATE INDEX orders_old ON public.orders (customer_id, state);"
    )
    policy = policy_for(shop, tmp_path, declared)
    before = catalog_of(shop)
    application = Application(shop)
    with application(
        "INSERT INTO public.orders SELECT nextval('public.ids'), 1, 'new', 'n', 5",
        "INSERT INTO public.events SELECT nextval('public.ids'), '2026-02-03', 'a'",
        "SELECT count(*) FROM public.events WHERE at > '2026-02-10' AND kind = 'a'",
        "UPDATE public.orders SET state = 'paid' WHERE id = 17",
    ):
        report = apply(policy)
        undone = undo(policy)

    assert application.errors == []
    assert application.n_done > 100
    assert errors(report) == errors(undone) == []
    assert all_done(report)
    assert all_done(undone)
    assert catalog_of(shop) == before


@pytest.mark.pg("== 15")
def test_upserts_beside_the_build_of_a_unique_index_are_reported(
    shop: Database, tmp_path: Path
) -> None:
    shop.execute("CREATE EXTENSION pg_stat_statements")
    for _ in range(3):
        shop.execute(
            "INSERT INTO public.orders VALUES (1, 1, 'x', 'n', 1) ON CONFLICT (id) DO NOTHING"
        )
    policy = policy_for(
        shop,
        tmp_path,
        "CREATE UNIQUE INDEX one ON public.orders (id, state);\n"
        "CREATE UNIQUE INDEX other ON public.events (id, kind, at);",
    )

    report = pipeline.plan(policy, only=("indexes",))

    calls = {action.object: action.detail["upserts"] for action in report.plan.actions}
    assert calls == {"public.one": 3, "public.other": 0}
    doubts = [f for f in report.findings if f.kind is FindingKind.INDEX_DECLARATION_DOUBTFUL]
    assert [(f.object, f.data["reasons"]) for f in doubts] == [
        ("public.one", {"upserts": ["public.orders"]})
    ]
    assert all_done(apply(policy))


@pytest.mark.pg("== 18")
def test_upserts_are_unknown_where_statements_are_not_counted(
    shop: Database, tmp_path: Path
) -> None:
    policy = policy_for(shop, tmp_path, "CREATE UNIQUE INDEX one ON public.orders (id, state);")
    (action,) = pipeline.plan(policy, only=("indexes",)).plan.actions
    assert action.detail["upserts"] is None


@pytest.mark.pg("== 18")
def test_command_undo_tells_by_its_exit_code_what_it_did(shop: Database, tmp_path: Path) -> None:
    policy = policy_for(shop, tmp_path, "CREATE INDEX a ON public.orders (state);")
    apply(policy)

    def run(*arguments: str) -> tuple[int, str]:
        options = ["undo", *arguments, "--policy", str(policy.path), "--json"]
        result = CliRunner().invoke(cli, options)
        return result.exit_code, result.stdout

    assert run("00000000")[0] == 2
    code, text = run("last")
    document = json.loads(text)
    assert code == 0
    assert document["complete"]
    assert [each["outcome"] for each in document["actions"]] == ["done"]
    assert run("last")[0] == 2
    assert run(document["run"])[0] == 0


SECRET = "tr0ub4dor's-key"


@pytest.mark.pg("== 18")
def test_comment_with_a_secret_is_restored_as_it_was_and_never_shown(
    shop: Database, tmp_path: Path
) -> None:
    remember([SECRET])
    statement = f"COMMENT ON INDEX public.orders_old IS {literal(f'key: {SECRET}; tell nobody')}"
    shop.execute(statement)
    before = catalog_of(shop)
    policy = policy_for(shop, tmp_path, "DROP INDEX public.orders_old;")

    assert all_done(apply(policy))
    result = CliRunner().invoke(cli, ["undo", "last", "--policy", str(policy.path), "--json"])

    assert json.loads(result.stdout)["complete"]
    assert catalog_of(shop) == before
    (kept,) = shop.execute("SELECT undo::text FROM maintenance.journal WHERE undo IS NOT NULL")
    assert statement in kept[0]
    journal = shop.execute("SELECT to_jsonb(j) - 'undo' FROM maintenance.journal j")
    for shown in (result.output, json.dumps(journal)):
        assert "COMMENT ON INDEX public.orders_old" in shown
        assert "tr0ub4dor" not in shown
