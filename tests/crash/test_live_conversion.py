"""Two tables of an application are converted and undone while it writes them, whatever ends a run.

They have what such tables have: a text key, jsonb with GIN, grants, row security, a publication
with a subscriber, views and materialized views, and a foreign key to one of them. Runs are killed
before each statement that changes something. After each, the way back gives the very same catalog,
and the way on the same as without a kill. In the end every acknowledged row is there once, and the
subscriber has received every change once.
"""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from maintenance.pipeline import run as pipeline
from maintenance.pipeline.undo import UndoReport, undo
from maintenance.policy import Policy
from tests.applications import KEYS, SURROUNDINGS, TABLES, Account, Change, application
from tests.builders import Database, Role, drop_database, make_database, unique
from tests.conversions import shape
from tests.crash.test_default_partition import LIMIT_S
from tests.kills import Kill, crash_server, end_backends, kill_client, runs_through
from tests.policies import make_policy
from tests.sessions import until

MOST = 200
MOST_RUNS = 4
"""Runs until nothing is left to do: one may have been killed after its last change."""

PATIENT = {"give_up_after": "1 minute"}
SECTIONS: list[dict[str, Any]] = [
    {
        "table": f"public.{table}",
        "column": column,
        "convert": "online",
        "convert_when": {"larger_than": "1 kB"},
        "premake": 2,
    }
    for table, column in KEYS.items()
]
SECTIONS[0]["referenced_by"] = [
    {"table": "public.shares", "constraint": "shares_event", "column": "event_time"}
]

RECEIVER = """
CREATE TABLE public.analytics_events (id text PRIMARY KEY, "userId" text, "eventType" text,
  "timestamp" timestamptz, payload jsonb);
CREATE TABLE public.audit_logs (
  id text PRIMARY KEY, action text, "createdAt" timestamptz, changes jsonb);
CREATE TABLE public.applied (which text, id text, change text, by text);
CREATE FUNCTION public.log() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  INSERT INTO public.applied VALUES (TG_TABLE_NAME, coalesce(NEW.id, OLD.id), TG_OP, CASE TG_OP
    WHEN 'UPDATE' THEN coalesce(to_jsonb(NEW) -> 'payload', to_jsonb(NEW) -> 'changes') ->> 'by'
    ELSE '' END);
  RETURN NULL; END$$;
CREATE TRIGGER log AFTER INSERT OR UPDATE OR DELETE ON public.analytics_events
  FOR EACH ROW EXECUTE FUNCTION public.log();
CREATE TRIGGER log AFTER INSERT OR UPDATE OR DELETE ON public.audit_logs
  FOR EACH ROW EXECUTE FUNCTION public.log();
ALTER TABLE public.analytics_events ENABLE ALWAYS TRIGGER log;
ALTER TABLE public.audit_logs ENABLE ALWAYS TRIGGER log;
"""
"""The subscriber: every change that it applies is noted."""

ROWS = {table: f'SELECT * FROM public.{table} ORDER BY id, "{key}"' for table, key in KEYS.items()}
LAST = "INSERT INTO public.audit_logs (id, action) VALUES ('last', 'last')"

Catalog = set[tuple[Any, ...]]


@contextmanager
def subscribed(publisher: Database) -> Generator[Database]:
    """A database of the same server that receives both tables."""
    subscriber, slot = make_database(publisher.server), unique("slot")
    subscriber.execute(RECEIVER)
    publisher.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [slot])
    subscriber.execute(
        f"CREATE SUBSCRIPTION {slot} CONNECTION '{publisher.url}' PUBLICATION told"
        f" WITH (create_slot = false, slot_name = {slot})"
    )
    try:
        until(lambda: contents(subscriber) == contents(publisher))
        subscriber.execute("TRUNCATE public.applied")
        yield subscriber
    finally:
        for statement in ("DISABLE", "SET (slot_name = NONE)"):
            subscriber.execute(f"ALTER SUBSCRIPTION {slot} {statement}")
        subscriber.execute(f"DROP SUBSCRIPTION {slot}")
        publisher.execute(
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots"
            " WHERE slot_name = %s AND active",
            [slot],
        )
        until(lambda: _free(publisher, slot))
        publisher.execute("SELECT pg_drop_replication_slot(%s)", [slot])
        drop_database(subscriber)


def contents(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    return {table: database.execute(query) for table, query in ROWS.items()}


def _free(publisher: Database, slot: str) -> bool:
    query = "SELECT active FROM pg_replication_slots WHERE slot_name = %s"
    return publisher.execute(query, [slot]) == [(False,)]


class Live:
    """The tables with a policy, before and after their conversion."""

    def __init__(self, database: Database, folder: Path, owner: Role, reader: Role) -> None:
        database.execute(TABLES + SURROUNDINGS.format(reader=reader.name))
        database.give_to(owner)
        self.database = database
        never = [{**section, "convert": "never"} for section in SECTIONS]
        pipeline.apply(make_policy(folder, database.url, *never), only=["conversion"])
        self.policy: Policy = make_policy(folder, database.url, *SECTIONS, locks=PATIENT)
        self.before = self.catalog()
        self.settle_converted("undisturbed", after=None)
        self.after = self.catalog()
        self.settle_undone("undisturbed")

    def catalog(self) -> Catalog:
        """The catalog; without the numbers of sequences, which the application moves on."""
        return {
            (*row[:2], row[2].rpartition(" ")[0] if row[0] == "sequence" else row[2])
            for row in shape(self.database)
        }

    def convert(self) -> pipeline.Report:
        request = pipeline.Request(again=True)
        return pipeline.apply(self.policy, only=["conversion", "partitions"], request=request)

    def undo(self) -> UndoReport:
        return undo(self.policy)

    def settle_converted(self, when: object, after: Catalog | None) -> None:
        for _ in range(MOST_RUNS):
            report = self.convert()
            assert not [r.error for r in report.results if r.error], when
            if not report.results:
                break
        assert after is None or self.catalog() ^ after == set(), when

    def settle_undone(self, when: object) -> None:
        for _ in range(MOST_RUNS):
            if self.catalog() == self.before:
                break
            report = self.undo()
            assert not [r.error for r in report.results if r.error], when
        assert self.catalog() ^ self.before == set(), when

    def disturb(self, number: int, kill: Kill) -> bool:
        """Whether both came through without being killed at all."""
        converted = runs_through(self.database, self.convert, number, kill)
        if not converted:
            self.settle_undone((number, "from this state"))
            runs_through(self.database, self.convert, number, kill)
        self.settle_converted((number, "resumed"), self.after)
        undone = runs_through(self.database, self.undo, number, kill)
        self.settle_undone((number, "killed undo"))
        return converted and undone


def run_live(live: Live, kill: Kill, numbers: Iterable[int]) -> bool:
    """Disturb runs at some statements while the application writes; whether all were tried."""
    with subscribed(live.database) as subscriber:
        old = {(table, row[0]) for table, rows in contents(subscriber).items() for row in rows}
        with application(live.database.url, survives=kill is crash_server) as account:
            done = any(live.disturb(number, kill) for number in numbers)
        assert account.errors == []
        assert (account.n_lost > 0) == (kill is crash_server)
        assert_kept(live.database, old, account)
        live.database.execute(LAST)
        until(lambda: subscriber.execute("SELECT FROM public.audit_logs WHERE id = 'last'") != [])
        assert contents(subscriber) == contents(live.database)
        received = subscriber.execute("SELECT which, id, change, by FROM public.applied")
        assert sorted(received) == sorted(
            [*account.changes, Change("audit_logs", "last", "INSERT")]
        )
    return done


def assert_kept(database: Database, old: set[tuple[str, str]], account: Account) -> None:
    """Every row is there once, as its last committed change has left it."""
    rows = [(table, *row) for table, found in contents(database).items() for row in found]
    there = {(table, id_): last for table, id_, *_, last in rows}
    assert len(there) == len(rows)
    assert there.keys() == old | account.ids
    left = {row: by for row, by in account.updates.items() if row in there}
    assert {row: there[row].get("by") for row in left} == left


@pytest.fixture
def live(database: Database, tmp_path: Path, owner_role: Role, limited_role: Role) -> Live:
    return Live(database, tmp_path, owner_role, limited_role)


@pytest.mark.in_turn
@pytest.mark.parametrize("kill", [kill_client, end_backends, crash_server])
def test_tables_of_an_application_converge_while_it_writes_them(live: Live, kill: Kill) -> None:
    assert not run_live(live, kill, (6, 17))


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("kill", [kill_client, end_backends, crash_server])
def test_tables_of_an_application_converge_whatever_statement_is_the_last(
    live: Live, kill: Kill
) -> None:
    assert run_live(live, kill, range(1, MOST))
