"""Runs are forked from a process that has loaded their modules, and end as others do."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from maintenance.demo import processes
from maintenance.engine.run_lock import RUN_LOCK
from tests.builders import Database, make_database, server_folder
from tests.dagster_hosts import STARTS_S, Host
from tests.policies import write_policy
from tests.sessions import until

pytestmark = [pytest.mark.pg("== 18"), pytest.mark.skipif("sys.platform != 'linux'")]

LOADED = """
import json, sys, threading
import maintenance.orchestration.run_modules
before = set(sys.modules)
n_threads = threading.active_count()
import maintenance.definitions
maintenance.definitions.repository.get_job("app_nightly")
later = [name for name in sys.modules if name not in before and name.startswith("maintenance.")]
print(json.dumps({"threads": n_threads, "definitions": "maintenance.definitions" in before,
                  "later": later}))
"""

PID = """
SELECT (event::jsonb -> 'dagster_event' -> 'event_specific_data' -> 'metadata_entries'
          -> 0 -> 'entry_data' ->> 'text')::int
  FROM event_logs
 WHERE run_id = %s AND dagster_event_type = 'ENGINE_EVENT' AND event LIKE '%%pid%%'
 ORDER BY id LIMIT 1
"""


def test_everything_of_a_run_is_loaded_and_nothing_is_begun(tmp_path: Path) -> None:
    """A policy or a thread of the process that forks would be that of all runs."""
    write_policy(tmp_path, "postgresql://nobody@127.0.0.1:9/app", statistics={})
    done = subprocess.run(
        [sys.executable, "-c", LOADED],
        env={"MAINTENANCE_POLICIES": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout)
    assert sorted(told.pop("later")) == [
        "maintenance.definitions",
        "maintenance.orchestration.preloaded_runs",
    ]
    assert told == {"threads": 1, "definitions": False}


@pytest.mark.thorough
def test_run_is_forked_and_ends_when_it_is_terminated_or_the_host_stops(
    database: Database, tmp_path: Path
) -> None:
    path = write_policy(tmp_path, database.url, statistics={})
    holder = database.connect()
    holder.execute("SELECT pg_advisory_lock(%s)", [RUN_LOCK])
    with server_folder() as folder:
        with Host(path, folder / "host", make_database(database.server)).serving() as host:
            webserver = host.dagster.webserver
            first, second = (webserver.launch("app_nightly", {}) for _ in range(2))
            until(lambda: worker(host, first) is not None, STARTS_S)
            ours = worker(host, first)
            assert ours is not None
            server = parent(ours)
            assert "forkserver" in processes.command_line(server)
            assert "run_modules" in processes.command_line(server)
            until(lambda: host.status(first) == "STARTED", STARTS_S)
            webserver.terminate(first)
            until(lambda: host.status(first) == "CANCELED", STARTS_S)
            until(lambda: not processes.command_line(ours))
            until(lambda: worker(host, second) is not None, STARTS_S)
            assert parent(worker(host, second) or 0) == server
            holder.close()
            until(lambda: host.status(second) == "SUCCESS", STARTS_S)
        until(lambda: not processes.command_line(server))


def worker(host: Host, run: str) -> int | None:
    """The process of a run, which it names in its events; None if it has not begun."""
    pids = host.storage.execute(PID, [run])
    return pids[0][0] if pids else None


def parent(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("PPid:")[1].split()[0])


PAUSES = """
import json, multiprocessing.forkserver as forkserver, sys, time
import dagster._grpc.server
from maintenance.orchestration import preloaded_runs

def source():
    return forkserver._forkserver._forkserver_pid

def ended(patience_s=20):
    deadline = time.monotonic() + patience_s
    while source() is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    return source() is None

if __name__ == "__main__":
    preloaded_runs.PAUSE_S = 0.5
    preloaded_runs.preload_runs()
    context = dagster._grpc.server.DagsterApiServer._mp_ctx
    may_end = context.Event()
    runs = [context.Process(target=may_end.wait) for _ in range(2)]
    for run in runs:
        run.start()
    first = source()
    kept = not ended(2)
    may_end.set()
    for run in runs:
        run.join()
    told = {"kept": kept and source() == first, "ended": ended()}
    last = context.Process(target=time.sleep, args=(0,))
    last.start()
    told["anew"] = source() not in (None, first)
    last.join()
    codes = [run.exitcode for run in (*runs, last)]
    print(json.dumps({**told, "codes": codes, "ended_again": ended()}))
"""


def test_process_that_runs_are_forked_from_ends_after_a_pause(tmp_path: Path) -> None:
    """Not while a run is at work; the next run starts another one."""
    script = tmp_path / "pauses.py"
    script.write_text(PAUSES)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {
        "kept": True,
        "ended": True,
        "anew": True,
        "codes": [0, 0, 0],
        "ended_again": True,
    }
