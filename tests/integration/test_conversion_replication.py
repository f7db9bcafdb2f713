"""A logical subscriber of a table that is converted while it is written."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from maintenance.pipeline import run as pipeline
from maintenance.pipeline.undo import undo
from tests.builders import Database, drop_database, make_database, unique
from tests.conversions import EVENTS, PLAIN
from tests.policies import make_policy
from tests.sessions import until

ROWS = "SELECT id, at, note FROM public.events ORDER BY id, at"
APPLIED = """
CREATE TABLE public.applied (id bigint, change text);
CREATE FUNCTION public.log() RETURNS trigger LANGUAGE plpgsql AS
  $$BEGIN INSERT INTO public.applied VALUES (coalesce(NEW.id, OLD.id), TG_OP); RETURN NULL; END$$;
CREATE TRIGGER log AFTER INSERT OR UPDATE OR DELETE ON public.events
  FOR EACH ROW EXECUTE FUNCTION public.log();
ALTER TABLE public.events ENABLE ALWAYS TRIGGER log;
"""
"""On the subscriber: every change that arrives."""


class Writer(threading.Thread):
    """Inserts, updates and deletes by key until it is stopped; counts its changes."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self.database = database
        self.stopped = threading.Event()
        self.changes: list[tuple[int, str]] = []
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            with psycopg.connect(self.database.url, autocommit=True) as connection:
                self._write(connection)
        except psycopg.Error as exc:
            self.error = exc

    def _write(self, connection: psycopg.Connection[Any]) -> None:
        for id_ in range(10_000, 1_000_000):
            if self.stopped.wait(0.001):
                return
            connection.execute("INSERT INTO public.events (id, note) VALUES (%s, 'new')", [id_])
            connection.execute("UPDATE public.events SET note = 'changed' WHERE id = %s", [id_])
            self.changes += [(id_, "INSERT"), (id_, "UPDATE")]
            if id_ % 3 == 0:
                connection.execute("DELETE FROM public.events WHERE id = %s", [id_])
                self.changes.append((id_, "DELETE"))


@contextmanager
def writing(database: Database) -> Generator[Writer]:
    writer = Writer(database)
    writer.start()
    try:
        yield writer
    finally:
        writer.stopped.set()
        writer.join()


@contextmanager
def subscribed(publisher: Database) -> Generator[Database]:
    """A database of the same server that receives the table."""
    subscriber, slot = make_database(publisher.server), unique("slot")
    subscriber.execute(
        "CREATE TABLE public.events (id bigint PRIMARY KEY, at timestamptz, note text)"
    )
    publisher.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [slot])
    subscriber.execute(
        f"CREATE SUBSCRIPTION {slot} CONNECTION '{publisher.url}' PUBLICATION told"
        f" WITH (create_slot = false, slot_name = {slot})"
    )
    try:
        yield subscriber
    finally:
        for statement in ("DISABLE", "SET (slot_name = NONE)"):
            subscriber.execute(f"ALTER SUBSCRIPTION {slot} {statement}")
        subscriber.execute(f"DROP SUBSCRIPTION {slot}")
        until(lambda: _dropped(publisher, slot))
        drop_database(subscriber)


def _dropped(publisher: Database, slot: str) -> bool:
    try:
        publisher.execute("SELECT pg_drop_replication_slot(%s)", [slot])
    except psycopg.errors.ObjectInUse:
        return False
    return True


def more(writer: Writer) -> None:
    """Wait for some more changes."""
    n_before = len(writer.changes)
    until(lambda: len(writer.changes) > n_before + 50 or writer.error is not None)


def test_subscriber_sees_each_change_once_also_when_the_conversion_is_undone(
    database: Database, tmp_path: Path
) -> None:
    database.execute(PLAIN)
    database.execute(
        "CREATE PUBLICATION told FOR TABLE public.events WITH (publish_via_partition_root = true)"
    )
    with subscribed(database) as subscriber:
        until(lambda: len(subscriber.execute(ROWS)) == len(database.execute(ROWS)))
        subscriber.execute(APPLIED)
        policy = make_policy(tmp_path, database.url, EVENTS)
        with writing(database) as writer:
            until(lambda: len(writer.changes) > 50)
            report = pipeline.apply(policy, only=["conversion"])
            more(writer)
            way_back = undo(policy)
            more(writer)
        assert report.ok
        assert way_back.ok
        assert writer.error is None
        database.execute("INSERT INTO public.events (id, note) VALUES (-1, 'last')")
        until(lambda: subscriber.execute("SELECT id FROM public.events WHERE id = -1") != [])
        assert subscriber.execute(ROWS) == database.execute(ROWS)
        arrived = subscriber.execute("SELECT id, change FROM public.applied WHERE id > 0")
        assert sorted(arrived) == sorted(writer.changes)
