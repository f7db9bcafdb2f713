"""Lock retries: the statements sent, the pauses between them, and when they give up."""

from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta

import psycopg
import pytest

from maintenance.engine.actions import Lock, LockMode, Step
from maintenance.engine.lock_retry import MAX_PAUSE_S, MAX_SLOW_TRIES, LockRetry, silent
from maintenance.errors import LockNotAcquiredError, MaintenanceError, UnreachableError
from maintenance.policy import LocksPolicy
from maintenance.server.session import Connection
from tests.builders import Database
from tests.sessions import session

SHARED = Lock("public.events", LockMode.SHARE_UPDATE_EXCLUSIVE)
EXCLUSIVE = Lock("public.events", LockMode.ACCESS_EXCLUSIVE)
REFERENCED = Lock("public.users", LockMode.SHARE_ROW_EXCLUSIVE)


@dataclass
class Time:
    """A clock that only sleeping moves."""

    now: float = 0.0
    pauses: list[float] = field(default_factory=list[float])

    def sleep(self, pause_s: float) -> None:
        self.pauses.append(pause_s)
        self.now += pause_s


def a_lock_retry(
    time: Time | None = None,
    *,
    give_up_after: timedelta = timedelta(seconds=30),
    rng: Callable[[], float] = lambda: 1.0,
) -> LockRetry:
    time = time or Time()
    return LockRetry(
        lock_timeout=timedelta(milliseconds=50),
        patient_lock_timeout=timedelta(milliseconds=100),
        give_up_after=give_up_after,
        clock=lambda: time.now,
        sleep=time.sleep,
        rng=rng,
    )


# The message


def test_transaction_waits_patiently_first_then_prepares_then_takes_blocking_locks_briefly() -> (
    None
):
    step = Step(prepare=("MAKE",), statements=("ATTACH", "ALTER"), locks=(SHARED, REFERENCED))
    assert a_lock_retry().transaction(step).split(";\n") == [
        "BEGIN",
        "SET LOCAL lock_timeout = 100",
        "SET LOCAL statement_timeout = 30000",
        "LOCK TABLE ONLY public.events IN SHARE UPDATE EXCLUSIVE MODE",
        "SET LOCAL lock_timeout = 50",
        "MAKE",
        "SET LOCAL statement_timeout = 60",
        "ATTACH",
        "ALTER",
        "COMMIT",
    ]


def test_step_that_blocks_nobody_may_take_its_time() -> None:
    message = a_lock_retry().transaction(Step(statements=("ATTACH",), locks=(SHARED,)))
    assert message.count("SET LOCAL statement_timeout = 30000") == 2


def test_blocking_locks_are_left_to_the_statements() -> None:
    message = a_lock_retry().transaction(Step(statements=("DETACH",), locks=(EXCLUSIVE,)))
    assert "LOCK TABLE" not in message


# On a server

RENAME = Step(statements=("ALTER TABLE public.events RENAME TO renamed",), locks=(EXCLUSIVE,))


@pytest.fixture
def events(database: Database) -> Database:
    database.execute("CREATE TABLE public.events (id int)")
    return database


@contextmanager
def locked(database: Database, mode: str = "SHARE") -> "Generator[psycopg.Connection[object]]":
    """Another session's transaction that holds the table."""
    holder = database.connect(autocommit=False, application_name="a slow migration")
    holder.execute(f"LOCK TABLE public.events IN {mode} MODE".encode())
    yield holder
    holder.rollback()


@pytest.fixture
def connection(events: Database) -> Generator[Connection]:
    with session(events.url) as connection:
        yield connection


def pauses_in_vain(
    connection: Connection, give_up_after: timedelta, rng: Callable[[], float] = lambda: 1.0
) -> list[float]:
    """The pauses of a step whose lock never comes free, the last one cut at the deadline."""
    time = Time()

    def be_refused() -> None:
        raise psycopg.errors.LockNotAvailable

    lock_retry = a_lock_retry(time, give_up_after=give_up_after, rng=rng)
    with pytest.raises(LockNotAcquiredError):
        lock_retry.run_with(connection, RENAME, silent, be_refused)
    return time.pauses


def test_pauses_double_up_to_a_cap(connection: Connection) -> None:
    pauses = pauses_in_vain(connection, timedelta(seconds=8))
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, MAX_PAUSE_S, MAX_PAUSE_S, 0.9])


@pytest.mark.parametrize(("rng", "pauses"), [(0.0, [0.05, 0.1, 0.2]), (0.5, [0.075, 0.15, 0.3])])
def test_pauses_are_jittered_down_to_a_half(
    connection: Connection, rng: float, pauses: list[float]
) -> None:
    found = pauses_in_vain(connection, timedelta(seconds=2), lambda: rng)
    assert found[:3] == pytest.approx(pauses)


@pytest.mark.in_turn
def test_pause_after_a_night_of_tries_is_still_the_cap(connection: Connection) -> None:
    pauses = pauses_in_vain(connection, timedelta(hours=8))
    assert len(pauses) > 8 * 60 * 60 / MAX_PAUSE_S
    assert set(pauses[5:-1]) == {MAX_PAUSE_S}


def test_gives_up_at_the_deadline_and_names_the_holder(
    events: Database, connection: Connection
) -> None:
    time = Time()
    lock_retry = a_lock_retry(time, give_up_after=timedelta(seconds=5))
    with locked(events) as holder, pytest.raises(LockNotAcquiredError) as caught:
        lock_retry.run(connection, RENAME)
    message = str(caught.value)
    assert message.startswith("ACCESS EXCLUSIVE on public.events")
    facts = (f"pid {holder.info.backend_pid}", "postgres", "a slow migration", "ShareLock")
    assert all(fact in message for fact in facts)
    assert time.now == 5.0
    assert not caught.value.retryable


def test_holder_is_told_at_the_first_wait_only(events: Database, connection: Connection) -> None:
    lines: list[str] = []
    lock_retry = a_lock_retry(give_up_after=timedelta(seconds=5))
    with locked(events) as holder, pytest.raises(LockNotAcquiredError):
        lock_retry.run(connection, RENAME, lines.append)
    assert len(lines) == 1
    assert f"pid {holder.info.backend_pid}" in lines[0]


def test_lock_that_comes_free_is_taken_at_the_next_try(
    events: Database, connection: Connection
) -> None:
    with locked(events) as holder:
        time = Time()
        lock_retry = a_lock_retry(time)

        def free(pause_s: float) -> None:
            time.sleep(pause_s)
            holder.rollback()

        assert replace(lock_retry, sleep=free).run(connection, RENAME) == 2
    assert time.pauses == [0.1]
    assert connection.execute("SELECT to_regclass('public.renamed')").fetchone() != (None,)


def tries_beside(
    connection: Connection,
    step: Step,
    events: Database,
    at_each_pause: Callable[[psycopg.Connection[object]], object],
) -> list[int]:
    """How many attempts had been made by each pause, beside a session that holds the table."""
    time = Time()
    tries: list[int] = []
    n_tries = 0

    def be_refused() -> None:
        nonlocal n_tries
        n_tries += 1
        raise psycopg.errors.LockNotAvailable

    with locked(events) as holder:

        def sleep(pause_s: float) -> None:
            time.sleep(pause_s)
            tries.append(n_tries)
            at_each_pause(holder)

        lock_retry = replace(a_lock_retry(time, give_up_after=timedelta(seconds=5)), sleep=sleep)
        with pytest.raises(LockNotAcquiredError) as caught:
            lock_retry.run_with(connection, step, silent, be_refused)
    assert time.now == pytest.approx(5.0)
    assert str(caught.value).partition(" attempt")[0].endswith(f"not acquired in {n_tries}")
    return tries


def test_lock_is_not_asked_for_again_while_the_same_transaction_holds_it(
    events: Database, connection: Connection
) -> None:
    """The request of a lock that can't come makes all later sessions wait."""
    tries = tries_beside(connection, RENAME, events, lambda _: None)
    assert tries == [1] * len(tries)
    assert len(tries) > 3


def test_lock_is_asked_for_again_when_another_transaction_holds_it(
    events: Database, connection: Connection
) -> None:
    """Each asks for a gap between transactions, and finds it with some luck."""

    def begin_anew(holder: psycopg.Connection[object]) -> None:
        holder.rollback()
        holder.execute(b"LOCK TABLE public.events IN SHARE MODE")

    tries = tries_beside(connection, RENAME, events, begin_anew)
    assert tries == list(range(1, len(tries) + 1))


@pytest.mark.parametrize("locks", [(SHARED,), (SHARED, EXCLUSIVE)])
def test_lock_that_autovacuum_gives_way_to_is_asked_for_again(
    events: Database, connection: Connection, locks: tuple[Lock, ...]
) -> None:
    """Autovacuum ends only when somebody waits for it."""
    step = replace(RENAME, locks=locks)
    tries = tries_beside(connection, step, events, lambda _: None)
    assert tries == list(range(1, len(tries) + 1))


def test_concurrent_statement_is_begun_again_beside_the_same_transaction(
    events: Database, connection: Connection
) -> None:
    """Such as a detach, which waits for readers without blocking anybody."""
    step = replace(RENAME, concurrent=True)
    tries = tries_beside(connection, step, events, lambda _: None)
    assert tries == list(range(1, len(tries) + 1))


@pytest.mark.parametrize("one_snapshot", [False, True])
def test_first_attempt_waits_for_a_fifth_of_the_time(
    events: Database, connection: Connection, one_snapshot: bool
) -> None:
    events.execute(
        "CREATE FUNCTION public.noted() RETURNS void LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE WARNING '%', current_setting('lock_timeout'); END $$"
    )
    step = replace(
        RENAME, statements=("SELECT public.noted()", *RENAME.statements), one_snapshot=one_snapshot
    )
    shown: list[str | None] = []
    connection.add_notice_handler(lambda notice: shown.append(notice.message_primary))
    with locked(events) as holder:

        def free(_pause_s: float) -> None:
            holder.rollback()

        assert replace(a_lock_retry(), sleep=free).run(connection, step) == 2
    connection.rollback()
    assert shown == ["10ms", "50ms"]


def test_reader_who_is_not_in_the_way_is_not_blamed(
    events: Database, connection: Connection
) -> None:
    reader = events.connect(autocommit=False, application_name="an analyst")
    reader.execute("SELECT count(*) FROM public.events")
    step = Step(statements=("ALTER TABLE public.events SET (fillfactor = 90)",), locks=(SHARED,))
    lock_retry = a_lock_retry(give_up_after=timedelta(0))
    with locked(events), pytest.raises(LockNotAcquiredError) as caught:
        lock_retry.run(connection, step)
    assert "a slow migration" in str(caught.value)
    assert "an analyst" not in str(caught.value)


def test_prepared_transaction_in_the_way_is_named(events: Database, connection: Connection) -> None:
    holder = events.connect()
    holder.execute("BEGIN")
    holder.execute("LOCK TABLE public.events IN SHARE MODE")
    holder.execute("PREPARE TRANSACTION 'forgotten'")
    try:
        with pytest.raises(LockNotAcquiredError, match="forgotten"):
            a_lock_retry(give_up_after=timedelta(0)).run(connection, RENAME)
    finally:
        holder.execute("ROLLBACK PREPARED 'forgotten'")


@pytest.mark.parametrize(
    ("statement", "sqlstate"),
    [
        ("ALTER TABLE public.missing RENAME TO found", "42P01"),
        ("INSERT INTO public.events VALUES (1 / 0)", "22012"),
        ("DO $$ BEGIN RAISE SQLSTATE 'XX999'; END $$", "XX999"),
    ],
)
def test_refusal_that_waiting_does_not_mend_is_not_tried_again(
    connection: Connection, statement: str, sqlstate: str
) -> None:
    time = Time()
    with pytest.raises(MaintenanceError, match=rf"\[{sqlstate}\]"):
        a_lock_retry(time).run(connection, Step(statements=(statement,), locks=(EXCLUSIVE,)))
    assert time.pauses == []
    assert connection.info.transaction_status is psycopg.pq.TransactionStatus.IDLE


def test_step_that_is_slow_under_blocking_locks_gets_a_limited_number_of_chances(
    connection: Connection,
) -> None:
    time = Time()
    slow = Step(statements=("SELECT pg_catalog.pg_sleep(20)",), locks=(EXCLUSIVE,))
    with pytest.raises(MaintenanceError, match="57014"):
        a_lock_retry(time).run(connection, slow)
    assert len(time.pauses) == MAX_SLOW_TRIES - 1


@pytest.mark.parametrize("statement", ["SELECT 1", "SELECT 1/0"])
def test_timeouts_of_a_concurrent_statement_end_with_it(
    connection: Connection, statement: str
) -> None:
    def timeouts() -> list[object]:
        shown = ("SHOW lock_timeout", "SHOW statement_timeout")
        return [connection.execute(show).fetchone() for show in shown]

    before = timeouts()
    with suppress(psycopg.Error):
        a_lock_retry().run_concurrent(connection, Step(statements=(statement,), concurrent=True))
    assert timeouts() == before


def test_failed_try_leaves_nothing_behind(events: Database, connection: Connection) -> None:
    step = replace(RENAME, prepare=("CREATE TABLE public.half (id int)",))
    with locked(events), pytest.raises(LockNotAcquiredError):
        a_lock_retry(give_up_after=timedelta(0)).run(connection, step)
    assert connection.execute("SELECT to_regclass('public.half')").fetchone() == (None,)


def test_backend_ended_meanwhile_is_unreachable_and_not_tried_again(
    events: Database, connection: Connection
) -> None:
    time = Time()
    events.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
    with pytest.raises(UnreachableError):
        a_lock_retry(time).run(connection, RENAME)
    assert time.pauses == []


def test_limits_are_those_of_the_policy() -> None:
    locks = LocksPolicy()
    lock_retry = LockRetry.from_policy(locks, "app")
    assert lock_retry.lock_timeout == locks.lock_timeout
    assert lock_retry.patient_lock_timeout == locks.patient_lock_timeout
    assert lock_retry.give_up_after == locks.give_up_after
    assert lock_retry.search_path == "app"
