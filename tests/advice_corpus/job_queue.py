"""A job queue: most rows done, a few waiting, and each index made for those few."""

from tests.advice_corpus.models import Schema, small_tables

TABLES = """
CREATE TABLE workers (id int PRIMARY KEY, host text NOT NULL, seen_at timestamptz);
INSERT INTO workers SELECT n, 'host-' || n, now() FROM generate_series(1, 200) n;

CREATE TABLE jobs (id bigint NOT NULL, queue text NOT NULL, state text NOT NULL, priority int,
  run_at timestamptz NOT NULL, locked_by int, locked_at timestamptz, dedupe_key text, retry boolean,
  attempts int NOT NULL, payload jsonb, finished_at timestamptz);
INSERT INTO jobs SELECT n, 'q' || n % 5,
  CASE WHEN n % 2000 = 0 THEN 'ready' WHEN n % 1999 = 0 THEN 'running' WHEN n % 100 = 0
    THEN 'failed' ELSE 'done' END, n % 4, timestamptz '2025-01-01' + n * interval '1 min',
  CASE WHEN n % 1999 = 0 THEN 1 + n % 200 END, CASE WHEN n % 1999 = 0 THEN now() END,
  CASE WHEN n % 2000 = 0 OR n % 10 = 0 THEN 'd' || n END, n % 2 = 0, n % 3, '{}',
  CASE WHEN n % 2000 <> 0 AND n % 1999 <> 0 THEN timestamptz '2025-02-01' END
  FROM generate_series(1, 80000) n;
ALTER TABLE jobs ADD PRIMARY KEY (id),
  ADD CONSTRAINT jobs_locked_by FOREIGN KEY (locked_by) REFERENCES workers;
CREATE INDEX jobs_state ON jobs (state);
CREATE INDEX jobs_retry ON jobs (retry);
CREATE INDEX jobs_attempts ON jobs (attempts);
CREATE INDEX jobs_ready ON jobs (queue, priority DESC, run_at) WHERE state = 'ready';
CREATE INDEX jobs_ready_at ON jobs (run_at) WHERE state = 'ready';
CREATE INDEX jobs_queue_state ON jobs (queue, state, run_at);
CREATE INDEX jobs_locked ON jobs (locked_by) WHERE locked_by IS NOT NULL;
CREATE INDEX jobs_locked_full ON jobs (locked_by, locked_at);
CREATE UNIQUE INDEX jobs_dedupe ON jobs (dedupe_key) WHERE finished_at IS NULL;
CREATE INDEX jobs_dedupe_hash ON jobs USING hash (dedupe_key);
CREATE INDEX jobs_run_at ON jobs (run_at);

CREATE TABLE executions (id bigint NOT NULL, job_id bigint NOT NULL, worker_id int NOT NULL,
  started_at timestamptz NOT NULL, error text);
INSERT INTO executions SELECT n, 1 + n % 80000, 1 + n % 200,
  timestamptz '2025-01-01' + n * interval '1 min', CASE WHEN n % 300 = 0 THEN 'timeout' END
  FROM generate_series(1, 90000) n;
ALTER TABLE executions ADD PRIMARY KEY (id),
  ADD CONSTRAINT executions_job FOREIGN KEY (job_id) REFERENCES jobs ON DELETE CASCADE,
  ADD CONSTRAINT executions_worker FOREIGN KEY (worker_id) REFERENCES workers;
CREATE INDEX executions_job_started ON executions (job_id, started_at);
CREATE INDEX executions_job ON executions (job_id);
CREATE INDEX executions_error ON executions (error) WHERE error IS NOT NULL;
CREATE INDEX executions_error_again ON executions (error) WHERE error IS NOT NULL;
CREATE INDEX executions_started ON executions (started_at);

CREATE TABLE job_links (job_id bigint NOT NULL REFERENCES jobs ON DELETE CASCADE,
  needs_id bigint NOT NULL REFERENCES jobs ON DELETE CASCADE, PRIMARY KEY (job_id, needs_id));
INSERT INTO job_links SELECT n, n + 1 FROM generate_series(1, 6000) n;
CREATE INDEX job_links_needs ON job_links (needs_id);
""" + small_tables("""
queues: name text unique, is_paused boolean
schedules: name text unique, cron text
schedule_runs*300: schedule_id>schedules, at timestamptz+
batches: name text, finished_at timestamptz
batch_jobs*300: batch_id>batches, n int
limits: name text unique, n int
semaphores: key text unique, expires_at timestamptz+
pauses: queue text unique
processes: name text, heartbeat_at timestamptz+
recurring_tasks: key text unique, schedule text
recurring_runs*300: task_id>recurring_tasks, run_at timestamptz+
blocked_runs*0: task_id>recurring_tasks, expires_at timestamptz+
metrics*400: name text, at timestamptz+
alerts: name text+, fired_at timestamptz
leader*1: host text
""")

QUERIES = (
    "SELECT id FROM jobs WHERE state = 'running'",
    "SELECT id FROM jobs WHERE state = 'ready' AND queue = 'q0' ORDER BY priority DESC, run_at"
    " LIMIT 1",
    "SELECT id FROM jobs WHERE state = 'ready' AND run_at < '2025-01-05' ORDER BY run_at",
    "SELECT id FROM jobs WHERE queue = 'q1' AND state = 'failed' ORDER BY run_at LIMIT 10",
    "SELECT id FROM jobs WHERE locked_by = 7",
    "SELECT id FROM jobs WHERE dedupe_key = 'd70'",
    "SELECT id FROM jobs WHERE dedupe_key = 'd2000' AND finished_at IS NULL",
    "SELECT id FROM executions WHERE job_id = 77 ORDER BY started_at DESC LIMIT 1",
    "SELECT id FROM executions WHERE job_id = 78",
    "SELECT id FROM executions WHERE error IS NOT NULL AND error = 'timeout'",
    "SELECT id FROM executions WHERE started_at > '2025-03-04' ORDER BY started_at LIMIT 10",
    "SELECT at FROM schedule_runs WHERE schedule_id = 7",
)

SCHEMA = Schema(
    "job_queue",
    TABLES,
    QUERIES,
    writes=(
        "DELETE FROM jobs WHERE id BETWEEN 70 AND 90",
        "INSERT INTO workers VALUES (301, 'gone'), (302, 'gone')",
        "DELETE FROM workers WHERE id > 300",
    ),
    twins=(frozenset({"executions_error", "executions_error_again"}),),
    unread=frozenset({"executions_error"}),
    pairs=(frozenset({"executions_job", "executions_job_started"}),),
    unindexed=frozenset({"executions.executions_worker"}),
    kept=frozenset({"jobs_state", "jobs_ready", "jobs_ready_at", "jobs_dedupe", "job_links_needs"}),
)
