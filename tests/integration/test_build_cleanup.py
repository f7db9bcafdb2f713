"""An index whose build is given up, canceled or interrupted does not stay behind as invalid."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg
import pytest

from maintenance.engine import build_monitor
from maintenance.engine.action_context import ActionContext
from maintenance.engine.build_monitor import Watch, run_watched, watched, without_timeouts
from maintenance.engine.executor import Outcome
from maintenance.engine.findings import FindingKind
from maintenance.engine.lock_retry import silent
from maintenance.engine.target import Target
from maintenance.errors import LockNotAcquiredError
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from maintenance.server.session import run_sql
from tests.builders import Database
from tests.conversions import EVENTS, PLAIN
from tests.policies import make_policy
from tests.sessions import until

pytestmark = pytest.mark.pg("== 18")

PREFLIGHT = {"preflight": {"free_disk": "1 MB"}}
SUBJECTS = ["indexes", "bloat", "conversion", "matviews"]
FILLED = """
CREATE TABLE public.filled (id bigint PRIMARY KEY, note text) WITH (autovacuum_enabled = false);
INSERT INTO public.filled SELECT n, 'note ' || n FROM generate_series(1, 20000) n;
DELETE FROM public.filled WHERE id % 4 > 0;
SELECT pg_stat_force_next_flush();
"""
INVALID = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid"


class InterruptedRun(BaseException):
    """What an orchestrator raises in a run that it ends."""


def policy_for(
    database: Database, folder: Path, subject: str, give_up_after: str = "2 minutes"
) -> Policy:
    """A database in which one subject has an index to build, and its policy."""
    limits: dict[str, Any] = {"locks": {"give_up_after": give_up_after}}
    if subject == "conversion":
        database.execute(PLAIN)
        return make_policy(folder, database.url, EVENTS, indexes=PREFLIGHT, **limits)
    database.execute(FILLED)
    database.vacuum()
    if subject == "indexes":
        (folder / "declared.sql").write_text("CREATE UNIQUE INDEX by_note ON public.filled (note);")
        section = {"declared": "declared.sql", **PREFLIGHT}
        return make_policy(folder, database.url, indexes=section, **limits)
    if subject == "matviews":
        database.execute("CREATE MATERIALIZED VIEW public.notes AS SELECT * FROM public.filled")
        views = [{"name": "public.notes", "unique_index": ["id"], "refresh": "0 2 * * *"}]
        return make_policy(folder, database.url, matviews=views, **limits)
    section = {
        "min_size": "100 kB",
        "index_fraction": 0.3,
        "reindex": "concurrently",
        "reindex_unique": ["public.filled_pkey"],
    }
    return make_policy(folder, database.url, bloat=section, indexes=PREFLIGHT, **limits)


@contextmanager
def old_snapshot(database: Database) -> Generator[psycopg.Connection[Any]]:
    """A transaction that a build waits for at its end, and a drop does not."""
    with database.connect(autocommit=False) as holder:
        holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        holder.execute("SELECT 1 FROM pg_class")
        yield holder
        holder.rollback()


def is_waiting(database: Database) -> bool:
    return database.execute("SELECT phase FROM pg_stat_progress_create_index") == [
        ("waiting for old snapshots",)
    ]


@contextmanager
def meanwhile(database: Database, act: Callable[[], object]) -> Generator[None]:
    """Do something as soon as the build waits."""

    def wait_and_act() -> None:
        until(lambda: is_waiting(database))
        act()

    thread = threading.Thread(target=wait_and_act)
    thread.start()
    yield
    thread.join()


def all_done(report: pipeline.Report) -> bool:
    assert [result.error for result in report.results if result.error] == []
    return {result.outcome for result in report.results} == {Outcome.DONE}


@pytest.mark.parametrize("subject", SUBJECTS)
def test_build_that_somebody_cancels_leaves_nothing(
    database: Database, tmp_path: Path, subject: str
) -> None:
    policy = policy_for(database, tmp_path, subject)
    cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_progress_create_index"
    with old_snapshot(database), meanwhile(database, lambda: database.execute(cancel)):
        report = pipeline.apply(policy, only=[subject])
        assert Outcome.FAILED in {result.outcome for result in report.results}
        assert database.execute(INVALID) == []


def raise_interrupted(_number: int, _frame: FrameType | None) -> None:
    raise InterruptedRun


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize(
    ("handler", "raised"),
    [(signal.default_int_handler, KeyboardInterrupt), (raise_interrupted, InterruptedRun)],
    ids=["ctrl_c", "orchestrator"],
)
def test_build_of_an_interrupted_process_leaves_nothing(
    database: Database, tmp_path: Path, subject: str, handler: Any, raised: type[BaseException]
) -> None:
    policy = policy_for(database, tmp_path, subject)
    before = signal.signal(signal.SIGINT, handler)
    try:
        with (
            old_snapshot(database),
            meanwhile(database, lambda: os.kill(os.getpid(), signal.SIGINT)),
        ):
            with pytest.raises(raised):
                pipeline.apply(policy, only=[subject])
            assert database.execute(INVALID) == []
    finally:
        signal.signal(signal.SIGINT, before)
    if subject != "bloat":  # a failed rebuild backs off
        assert all_done(pipeline.apply(policy, only=[subject]))


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 1), (signal.SIGTERM, -signal.SIGTERM)]
)
def test_command_that_is_ended_removes_the_index_of_its_build(
    database: Database, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    policy = policy_for(database, tmp_path, "indexes")
    program = [sys.executable, "-c", "from maintenance.cli import main; main()"]
    with (
        old_snapshot(database),
        subprocess.Popen(
            [*program, "apply", "--policy", str(policy.path), "--only", "indexes"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        until(lambda: is_waiting(database))
        process.send_signal(number)
        _, errors = process.communicate()
        assert process.returncode == code
        assert "Traceback" not in errors
        assert database.execute(INVALID) == []
    assert all_done(pipeline.apply(policy, only=["indexes"]))


def test_leftover_that_is_in_use_is_told_and_removed_by_the_next_run(
    database: Database, tmp_path: Path
) -> None:
    policy = policy_for(database, tmp_path, "indexes", give_up_after="1 s")
    with database.connect(autocommit=False) as writer:
        writer.execute("UPDATE public.filled SET note = note WHERE id = 4")
        report = pipeline.apply(policy, only=["indexes"])
        (result,) = report.results
        assert isinstance(result.cause, LockNotAcquiredError)
        assert "DROP INDEX CONCURRENTLY public.by_note" in result.cause.hint
        assert database.execute(INVALID) == [("by_note",)]
        assert FindingKind.INDEX_INVALID in {finding.kind for finding in report.findings}
        writer.rollback()
    assert all_done(pipeline.apply(policy, only=["indexes"]))
    assert database.execute(INVALID) == []


# What may be canceled

WAIT = "CREATE INDEX held_a ON public.held (a)"


@contextmanager
def monitored(
    database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Generator[tuple[ActionContext, Watch]]:
    """A session whose statements wait for a writer, and its monitor, which waits for 50 ms."""
    monkeypatch.setattr(build_monitor, "FIRST_AFTER_S", 0.0)
    monkeypatch.setattr(build_monitor, "EVERY_S", 0.01)
    database.execute("CREATE TABLE public.held (a int)")
    target = Target(make_policy(folder, database.url, locks={"give_up_after": "50 ms"}))
    with (
        database.connect(autocommit=False) as writer,
        target.database("test") as connection,
    ):
        writer.execute("LOCK TABLE public.held IN ROW EXCLUSIVE MODE")
        context = ActionContext(connection, connection, target, silent, "run")
        with without_timeouts(context), watched(context) as watch:
            yield context, watch
        writer.rollback()


def test_monitored_statement_is_canceled_when_it_has_waited_long_enough(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        monitored(database, tmp_path, monkeypatch) as (context, watch),
        pytest.raises(LockNotAcquiredError, match="canceled after waiting"),
    ):
        run_watched(context, WAIT, watch)


def test_other_statements_of_the_session_are_not_canceled(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cleans up after a build has limits of its own, and sets the session right again."""
    with monitored(database, tmp_path, monkeypatch) as (context, watch):
        with pytest.raises(psycopg.errors.LockNotAvailable):
            run_sql(context.connection, f"SET lock_timeout = '2s'; {WAIT}")
        assert watch.gave_up is None
