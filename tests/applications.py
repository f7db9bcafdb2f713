"""An application that writes its tables without a pause, and knows what became of every change.

It is a process of its own: a test may fork, and end what it likes. A transaction whose outcome a
lost connection has hidden is looked for in a ledger that is written with it, so nothing is guessed.
"""

import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

ROOT = Path(__file__).parents[1]

PATIENCE = "2s"
"""Lock timeout of its sessions; long enough for a busy machine. A longer wait is an error."""

TABLES = """
CREATE TABLE public.analytics_events (
  id text PRIMARY KEY, "userId" text NOT NULL, "eventType" text NOT NULL CHECK ("eventType" <> ''),
  "timestamp" timestamptz NOT NULL DEFAULT now(), payload jsonb NOT NULL DEFAULT '{}');
CREATE INDEX ON public.analytics_events ("timestamp");
CREATE INDEX ON public.analytics_events ("eventType", "timestamp" DESC);
CREATE INDEX ON public.analytics_events USING gin (payload);
CREATE TABLE public.audit_logs (
  id text PRIMARY KEY, action text NOT NULL, "createdAt" timestamptz NOT NULL DEFAULT now(),
  changes jsonb);
CREATE INDEX ON public.audit_logs ("createdAt");
CREATE INDEX ON public.audit_logs USING gin (changes);
CREATE TABLE public.ledger (writer text PRIMARY KEY, n_committed bigint NOT NULL);
INSERT INTO public.analytics_events
SELECT 'old' || i, 'u' || i % 20, 'view', now() - i * interval '1 hour', jsonb_build_object('n', i)
  FROM generate_series(1, 1000) AS i;
INSERT INTO public.audit_logs
SELECT 'old' || i, 'login', now() - i * interval '1 hour', jsonb_build_object('n', i)
  FROM generate_series(1, 1000) AS i;
"""

SURROUNDINGS = """
CREATE TABLE public.shares (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, event_time timestamptz NOT NULL,
  event text NOT NULL
    CONSTRAINT shares_event REFERENCES public.analytics_events ON DELETE CASCADE);
CREATE INDEX ON public.shares (event, event_time);
INSERT INTO public.shares (event, event_time)
SELECT id, "timestamp" FROM public.analytics_events LIMIT 50;
CREATE VIEW public.recent AS
  SELECT id, "timestamp" FROM public.analytics_events WHERE "timestamp" > now() - interval '7 days';
CREATE VIEW public.logins AS SELECT id FROM public.audit_logs WHERE action = 'login';
CREATE MATERIALIZED VIEW public.views_by_user AS
  SELECT "userId", count(*) AS n FROM public.analytics_events WHERE id LIKE 'old%' GROUP BY 1;
CREATE UNIQUE INDEX ON public.views_by_user ("userId");
CREATE VIEW public.busiest AS SELECT "userId" FROM public.views_by_user ORDER BY n DESC LIMIT 3;
CREATE MATERIALIZED VIEW public.actions AS
  SELECT action, count(*) AS n FROM public.audit_logs WHERE id LIKE 'old%' GROUP BY 1;
CREATE POLICY own ON public.analytics_events FOR SELECT USING ("userId" = current_user);
ALTER TABLE public.analytics_events ENABLE ROW LEVEL SECURITY;
CREATE POLICY all_of_them ON public.audit_logs USING (true);
ALTER TABLE public.audit_logs ENABLE ROW LEVEL SECURITY;
CREATE PUBLICATION told FOR TABLE public.analytics_events, public.audit_logs
  WITH (publish_via_partition_root = true);
GRANT SELECT, INSERT ON public.analytics_events TO {reader};
GRANT UPDATE (payload) ON public.analytics_events TO {reader};
GRANT SELECT ON public.audit_logs, public.recent, public.views_by_user TO {reader};
"""
"""What stands around them: needs the name of a role that reads."""

KEYS = {"analytics_events": "timestamp", "audit_logs": "createdAt"}
"""The tables, each with its future partition key."""

_WRITES = {
    "analytics_events": (
        'INSERT INTO public.analytics_events (id, "userId", "eventType") VALUES (%s, %s, %s)',
        "UPDATE public.analytics_events SET payload = jsonb_build_object('by', %s::text)"
        " WHERE id = %s",
        "DELETE FROM public.analytics_events WHERE id = %s",
    ),
    "audit_logs": (
        "INSERT INTO public.audit_logs (id, action)"
        " VALUES (%s, concat_ws(' ', %s::text, %s::text))",
        "UPDATE public.audit_logs SET changes = jsonb_build_object('by', %s::text) WHERE id = %s",
        "DELETE FROM public.audit_logs WHERE id = %s",
    ),
}
_COUNT = """
INSERT INTO public.ledger VALUES (%s, %s)
ON CONFLICT (writer) DO UPDATE SET n_committed = excluded.n_committed
"""
"""The server's own numbers of transactions can be given again after a crash."""

_SHARE = """
INSERT INTO public.shares (event, event_time)
SELECT id, "timestamp" FROM public.analytics_events WHERE id = %s
"""

PAUSE_S = 0.01
"""Between two rows of a writer: a sweep of an hour must not fill the tables."""

N_OLD = 1000
"""Rows that were there before, with ids from `old1`."""


class Change(NamedTuple):
    """A change of one row; `by` is what an update has written."""

    table: str
    id: str
    operation: str
    by: str = ""


@dataclass
class Account:
    """What the application did: every change that is committed, and whatever went wrong."""

    changes: list[Change] = field(default_factory=list[Change])
    errors: list[str] = field(default_factory=list[str])
    n_lost: int = 0

    @property
    def ids(self) -> set[tuple[str, str]]:
        """The new rows that stand in the end."""
        count = Counter[tuple[str, str]]()
        for each in self.changes:
            count[each[:2]] += {"INSERT": 1, "UPDATE": 0, "DELETE": -1}[each.operation]
        assert set(count.values()) <= {0, 1}
        return {row for row, n in count.items() if n}

    @property
    def updates(self) -> dict[tuple[str, str], str]:
        """What the last update of each row has written."""
        return {each[:2]: each.by for each in self.changes if each.operation == "UPDATE"}


@dataclass
class _Writer:
    """One session on one table."""

    url: str
    table: str
    name: str
    stopped: threading.Event
    account: Account
    survives: bool
    n_sent: int = 0
    unknown: list[Change] | None = None

    def run(self) -> None:
        n_done = 0
        while not self.stopped.is_set():
            try:
                with psycopg.connect(self.url, autocommit=True) as connection:
                    connection.execute(f"SET lock_timeout = '{PATIENCE}'")
                    self._settle(connection)
                    while not self.stopped.wait(PAUSE_S):
                        n_done += 1
                        self._write(connection, f"{self.name}-{n_done}")
            except psycopg.OperationalError as exc:
                lost = self.survives and not isinstance(exc, psycopg.errors.LockNotAvailable)
                if not lost:
                    self.account.errors.append(f"{self.table}: {type(exc).__name__} {exc}")
                    return
                self.account.n_lost += 1
                time.sleep(0.02)
            except psycopg.Error as exc:
                self.account.errors.append(f"{self.table}: {type(exc).__name__} {exc}")
                return

    def _write(self, connection: psycopg.Connection[Any], id_: str) -> None:
        """Insert a row, change it and an old one, and delete every third one.

        All in one transaction, or each in its own.
        """
        rng = random.Random(id_)
        changes = [
            Change(self.table, id_, "INSERT"),
            Change(self.table, id_, "UPDATE", id_),
            Change(self.table, f"old{rng.randint(1, N_OLD)}", "UPDATE", id_),
        ]
        if rng.random() < 1 / 3:
            changes.append(Change(self.table, id_, "DELETE"))
        together = rng.random() < 0.5
        for part in [changes] if together else [[each] for each in changes]:
            self._commit(connection, part)

    def _commit(self, connection: psycopg.Connection[Any], changes: list[Change]) -> None:
        with connection.transaction():
            for each in changes:
                statement, values = _statement(each)
                n_rows = connection.execute(statement.encode(), values).rowcount
                if n_rows != 1:
                    self.account.errors.append(f"{each} met {n_rows} rows")
                if each.operation == "INSERT" and self.table == "analytics_events":
                    connection.execute(_SHARE, [each.id])
            self.n_sent += 1
            connection.execute(_COUNT, [self.name, self.n_sent])
            self.unknown = changes
        self.account.changes += changes
        self.unknown = None

    def _settle(self, connection: psycopg.Connection[Any]) -> None:
        """Find out whether the transaction was committed whose connection was lost."""
        if self.unknown is None:
            return
        query = "SELECT FROM public.ledger WHERE writer = %s AND n_committed = %s"
        if connection.execute(query, [self.name, self.n_sent]).fetchone() is not None:
            self.account.changes += self.unknown
        self.unknown = None


def _statement(change: Change) -> tuple[str, list[str]]:
    insert, update, delete = _WRITES[change.table]
    if change.operation == "INSERT":
        return insert, [change.id, "someone", "view"]
    if change.operation == "UPDATE":
        return update, [change.by, change.id]
    return delete, [change.id]


def _work(url: str, survives: bool) -> Account:
    """Write until standard input ends."""
    stopped, accounts = threading.Event(), [Account() for _ in KEYS]
    threads = [
        threading.Thread(target=_Writer(url, table, f"w{number}", stopped, account, survives).run)
        for number, (table, account) in enumerate(zip(KEYS, accounts, strict=True))
    ]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stopped.set()
    for thread in threads:
        thread.join()
    return Account(
        [change for account in accounts for change in account.changes],
        [error for account in accounts for error in account.errors],
        sum(account.n_lost for account in accounts),
    )


@contextmanager
def application(url: str, *, survives: bool = False) -> Generator[Account]:
    """Let the application write during the block; its account is filled in at the end.

    Args:
        url: the database.
        survives: a lost connection is opened again; without it, it is an error.
    """
    account = Account()
    program = [sys.executable, "-m", "tests.applications", url, *(["survives"] * survives)]
    pipe = subprocess.PIPE
    with subprocess.Popen(program, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield account
        finally:
            told, _ = process.communicate()
    changes, account.errors, account.n_lost = json.loads(told)
    account.changes = [Change(*each) for each in changes]


if __name__ == "__main__":
    done = _work(sys.argv[1], survives="survives" in sys.argv)
    sys.stdout.write(json.dumps([done.changes, done.errors, done.n_lost]))
