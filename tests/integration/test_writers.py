"""The application's side: writers at full speed see no error and wait for no lock of ours."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from maintenance.pipeline import run as pipeline
from tests.builders import Database
from tests.policies import CREATE_EVENTS, EVENTS, make_policy

PATIENCE = "40ms"
"""The server itself ends a writer that waits longer for a lock: the promise, as an error."""


@dataclass
class Writers:
    """Sessions that insert without a pause, and what became of it."""

    database: Database
    errors: list[str] = field(default_factory=list[str])
    written: list[int] = field(default_factory=list[int])
    _stop: threading.Event = field(default_factory=threading.Event)

    def write(self) -> None:
        with psycopg.connect(self.database.url, autocommit=True) as connection:
            connection.execute(f"SET lock_timeout = '{PATIENCE}'")
            n_rows = 0
            while not self._stop.is_set():
                try:
                    connection.execute(
                        "INSERT INTO public.events SELECT nextval('public.ids'), now()"
                    )
                    n_rows += 1
                except psycopg.Error as exc:
                    self.errors.append(str(exc))
            self.written.append(n_rows)


@contextmanager
def writing(database: Database, n: int = 2) -> Generator[Writers]:
    writers = Writers(database)
    threads = [threading.Thread(target=writers.write) for _ in range(n)]
    for thread in threads:
        thread.start()
    try:
        yield writers
    finally:
        writers._stop.set()
        for thread in threads:
            thread.join()


def test_writers_never_wait_while_months_come_and_a_reader_stays_open(
    database: Database, tmp_path: Path
) -> None:
    database.execute(CREATE_EVENTS)
    database.execute("CREATE SEQUENCE public.ids")
    policy = make_policy(tmp_path, database.url, EVENTS)
    far = make_policy(tmp_path, database.url, {**EVENTS, "premake": 24})
    pipeline.apply(policy)
    reader = database.connect(autocommit=False)
    reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    reader.execute("SELECT count(*) FROM public.events")
    with writing(database) as writers:
        report = pipeline.apply(far)
        made = pipeline.apply(far)
    reader.rollback()
    assert writers.errors == []
    assert min(writers.written) > 0
    assert [result.attempts for result in report.results] == [1] * 21
    assert made.plan.actions == ()
    assert database.execute("SELECT count(*) FROM public.events") == [(sum(writers.written),)]
