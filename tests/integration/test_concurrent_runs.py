"""Two of us at work on one database: nothing is done twice, and the second says who is first."""

import json
import subprocess
import sys
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from maintenance.engine.actions import RECURRING, ActionKind
from maintenance.engine.run_lock import RUN_LOCK
from maintenance.orchestration.build import build
from tests.builders import ROOT, Database, make_database, server_folder
from tests.dagster_hosts import STARTS_S, Host
from tests.locks import Probes
from tests.policies import write_policy
from tests.sessions import until

pytestmark = pytest.mark.pg("== 18")

K = ActionKind
NOW = datetime.now(UTC)
KINDS = frozenset(
    {
        K.CONVERT_TABLE,
        K.CREATE_PARTITION,
        K.SWAP_DEFAULT,
        K.ARCHIVE_PARTITION,
        K.DETACH_PARTITION,
        K.DROP_PARTITION,
        K.CREATE_MATVIEW,
        K.CREATE_INDEX,
        K.VALIDATE_CONSTRAINT,
        K.REINDEX,
        K.ANALYZE_TABLE,
    }
)
RETIRING = frozenset({K.ARCHIVE_PARTITION, K.DETACH_PARTITION, K.DROP_PARTITION})
TABLES = """
CREATE TABLE public.events (id bigint NOT NULL, at timestamptz NOT NULL, PRIMARY KEY (id, at))
  PARTITION BY RANGE (at);
CREATE TABLE public.events_2020_01 PARTITION OF public.events
  FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2020-02-01 00:00+00');
CREATE TABLE public.events_default PARTITION OF public.events DEFAULT;
INSERT INTO public.events SELECT n, '2020-01-02' FROM generate_series(1, 500) n;
INSERT INTO public.events SELECT n, now() + n * interval '2 hours' FROM generate_series(1, 900) n;
CREATE TABLE public.visits (id bigint PRIMARY KEY, at timestamptz NOT NULL);
CREATE INDEX ON public.visits (at);
INSERT INTO public.visits SELECT n, now() - n * interval '1 hour' FROM generate_series(1, 2000) n;
CREATE TABLE public.orders (id bigint PRIMARY KEY, note text) WITH (autovacuum_enabled = false);
INSERT INTO public.orders SELECT n, 'note ' || n FROM generate_series(1, 20000) n;
CREATE INDEX orders_note ON public.orders (note);
DELETE FROM public.orders WHERE id % 4 > 0;
"""
DECLARED = """
CREATE INDEX orders_length ON public.orders (length(note));
ALTER TABLE public.orders ADD CONSTRAINT orders_noted CHECK (note <> '');
"""
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}
PATIENT = "1 hour"
"""How long a run waits for the other, however busy the machine is."""
ROWS = "SELECT count(*) FROM public.events UNION ALL SELECT count(*) FROM public.visits"
HOLDER = """
SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (classid::int8 << 32) + objid::int8 = %s
"""
DONE = """
SELECT kind, object, count(*) FROM maintenance.journal WHERE outcome = 'done' GROUP BY 1, 2
"""


def policy_for(database: Database, folder: Path, name: str, give_up_after: str) -> Path:
    (folder / "orders.sql").write_text("SELECT id, note FROM public.orders")
    (folder / "declared.sql").write_text(DECLARED)
    retention = {
        "keep": "12 months",
        "action": "archive_then_drop",
        "archive": {"url": str(folder / "archive")},
    }
    events = {"table": "public.events", "column": "at", "start": MONTH, "retention": retention}
    visits = {"table": "public.visits", "column": "at", "convert": "online"}
    visits |= {"convert_when": {"larger_than": "1 kB"}}
    path = folder / name
    path.mkdir()
    return write_policy(
        path,
        database.url,
        events,
        visits,
        statistics={},
        matviews=[{"name": "public.noted", "definition": "../orders.sql", "unique_index": ["id"]}],
        indexes={"declared": "../declared.sql", "preflight": {"free_disk": "1 MB"}},
        bloat={"min_size": "100 kB", "index_fraction": 0.3, "reindex": "concurrently"},
        locks={"give_up_after": give_up_after},
    )


MONTH = f"{NOW:%Y-%m}"
JOBS: dict[str, tuple[str, dict[str, str]]] = {
    "dagster": (
        "app_monthly_partitions",
        {f"dagster/asset_partition_range_{end}": MONTH for end in ("start", "end")},
    ),
    "command line": ("app_nightly", {}),
}
"""By who is first: the job with its tags. Of both, only the months wait for readers of events."""


@dataclass
class Dagster:
    """The real job of a policy, in a thread of its own, on an instance with its own log."""

    policy: Path
    instance: dg.DagsterInstance

    def run(self, job: str, tags: dict[str, str]) -> dg.ExecuteInProcessResult:
        return (
            build([self.policy])
            .resolve_job_def(job)
            .execute_in_process(instance=self.instance, tags=tags, raise_on_error=False)
        )

    @staticmethod
    def failures(result: dg.ExecuteInProcessResult) -> list[str | None]:
        told = (
            each.step_failure_data.user_failure_data for each in result.get_step_failure_events()
        )
        return [each.description for each in told if each]

    def log(self) -> str:
        runs = [record.dagster_run.run_id for record in self.instance.get_run_records()]
        return "\n".join(str(each) for run in runs for each in self.instance.all_logs(run))


@contextmanager
def command_line(policy: Path) -> "Generator[subprocess.Popen[str]]":
    """`maintenance apply` in a process of its own."""
    program = [str(Path(sys.executable).with_name("maintenance")), "apply", "--json"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [*program, "--policy", str(policy)], stdout=pipe, stderr=pipe, text=True, cwd=ROOT
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def told(process: "subprocess.Popen[str]", what: str) -> str:
    """The line of progress that says so."""
    assert process.stderr
    lines: list[str] = []
    for line in process.stderr:
        lines.append(line)
        if what in line:
            return line
    raise AssertionError(f"never said {what!r}: {lines}")


def holder(database: Database) -> int | None:
    """The server process of the run at work."""
    return next((pid for (pid,) in database.execute(HOLDER, [RUN_LOCK])), None)


def answer(process: "subprocess.Popen[str]") -> dict[str, Any]:
    out, _ = process.communicate()
    return json.loads(out)


def done_once(database: Database) -> set[ActionKind]:
    """The kinds of actions that were done; only those may have been repeated that recur."""
    done = {(kind, name): n for kind, name, n in database.execute(DONE)}
    assert {at: n for at, n in done.items() if n > 1 and at[0] not in RECURRING} == {}
    return {ActionKind(kind) for kind, _ in done}


@pytest.fixture
def busy(database: Database) -> Database:
    database.execute(TABLES)
    database.execute("SELECT pg_stat_force_next_flush()")
    database.vacuum("public.orders")
    database.execute("INSERT INTO public.orders SELECT n, 'new' FROM generate_series(1, 99) n"
                     " WHERE n % 4 > 0")  # fmt: skip
    return database


def test_second_command_line_waits_names_the_first_and_does_nothing_twice(
    busy: Database, tmp_path: Path
) -> None:
    patient = [policy_for(busy, tmp_path, name, PATIENT) for name in ("one", "other")]
    impatient = policy_for(busy, tmp_path, "impatient", "100 ms")
    before = busy.execute(ROWS)
    reader = busy.connect(autocommit=False)
    reader.execute("SELECT count(*) FROM public.events")
    probes = Probes(busy, "2s")
    with (
        probes.running(),
        command_line(patient[0]) as one,
        command_line(patient[1]) as other,
    ):
        until(lambda: holder(busy) is not None)
        with command_line(impatient) as third:
            refused = answer(third)
        first = holder(busy)
        reader.rollback()
        answers = [answer(one), answer(other)]
    assert third.returncode == 1
    (finding,) = refused["findings"]
    assert finding["kind"] == "lock_not_acquired"
    assert finding["data"]["holder"]["pid"] == first
    assert [process.returncode for process in (one, other)] == [0, 0], answers
    assert done_once(busy) >= KINDS
    assert busy.execute(ROWS) == [(before[0][0] - 500,), before[1]]
    assert probes.blocked == []


@pytest.mark.parametrize("first", ["dagster", pytest.param("command line", marks=pytest.mark.slow)])
def test_dagster_and_a_command_line_name_each_other_and_do_nothing_twice(
    busy: Database, tmp_path: Path, first: str
) -> None:
    """A reader keeps the first at its exchange of the default partition while the other begins."""
    policies = [policy_for(busy, tmp_path, name, PATIENT) for name in ("nightly", "by_hand")]
    before = busy.execute(ROWS)
    reader = busy.connect(autocommit=False)
    reader.execute("SELECT count(*) FROM public.events")
    with ExitStack() as stack:
        folder = stack.enter_context(server_folder())
        instance = stack.enter_context(dg.DagsterInstance.local_temp(str(folder)))
        thread = stack.enter_context(ThreadPoolExecutor(1))
        stack.callback(reader.close)
        dagster = Dagster(policies[0], instance)
        if first == "dagster":
            running = thread.submit(dagster.run, *JOBS[first])
            until(lambda: holder(busy) is not None)
            process = stack.enter_context(command_line(policies[1]))
            told(process, f"waiting for another run to finish: pid {holder(busy)} ")
        else:
            process = stack.enter_context(command_line(policies[1]))
            until(lambda: holder(busy) is not None)
            running = thread.submit(dagster.run, *JOBS[first])
            waiting = f"waiting for another run to finish: pid {holder(busy)} "
            until(lambda: waiting in dagster.log())
        reader.rollback()
        by_hand, in_dagster = answer(process), running.result()
        assert process.returncode == 0, by_hand
        assert dagster.failures(in_dagster) == []
        assert in_dagster.success
    # The first run of all holds retention until approved; the nightly job has none.
    retires = first == "dagster"
    assert done_once(busy) >= (KINDS if retires else KINDS - RETIRING)
    assert busy.execute(ROWS) == [(before[0][0] - 500 * retires,), before[1]]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_daemons_of_two_hosts_and_a_command_line_do_nothing_twice(
    busy: Database, tmp_path: Path
) -> None:
    """A reader keeps the first daemon's run at its exchange while the others begin."""
    names = ("months", "nightly", "by_hand")
    policies = {name: policy_for(busy, tmp_path, name, PATIENT) for name in names}
    before = busy.execute(ROWS)
    reader = busy.connect(autocommit=False)
    reader.execute("SELECT count(*) FROM public.events")
    with ExitStack() as stack:
        folder = stack.enter_context(server_folder())
        months, nightly = (
            stack.enter_context(
                Host(policies[name], folder / name, make_database(busy.server)).serving()
            )
            for name in ("months", "nightly")
        )
        stack.callback(reader.close)
        first = months.dagster.webserver.launch(*JOBS["dagster"])
        until(lambda: holder(busy) is not None, STARTS_S)
        waiting = f"waiting for another run to finish: pid {holder(busy)} "
        second = nightly.dagster.webserver.launch(*JOBS["command line"])
        until(lambda: nightly.said(waiting), STARTS_S)
        process = stack.enter_context(command_line(policies["by_hand"]))
        told(process, waiting)
        reader.rollback()
        by_hand = answer(process)
        runs = [(months, first), (nightly, second)]
        until(lambda: all(host.status(run) in ENDED for host, run in runs), STARTS_S)
        assert [host.status(run) for host, run in runs] == ["SUCCESS", "SUCCESS"]
    assert process.returncode == 0, by_hand
    assert done_once(busy) >= KINDS
    assert busy.execute(ROWS) == [(before[0][0] - 500,), before[1]]
