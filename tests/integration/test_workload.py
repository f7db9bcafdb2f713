"""The workload of real servers: what is counted, what is remembered, and what is never kept."""

import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from rich.console import Console

from maintenance.cli import text_output
from maintenance.demo.account import server_account
from maintenance.engine.findings import Finding, FindingKind
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.run import Report, status
from maintenance.policy import Policy
from maintenance.server.session import fetch
from tests.builders import Database, Role, server_folder
from tests.policies import make_policy
from tests.sessions import session, until

SECTION = {"slow_query": "50 ms", "mean_query": "10 hours", "disk_growth": {"free_disk": "1 MB"}}


@pytest.fixture
def policy(database: Database, tmp_path: Path) -> Policy:
    return make_policy(tmp_path, database.url, workload=SECTION)


def only(report: Report, kind: FindingKind) -> list[Finding]:
    return [finding for finding in report.findings if finding.kind is kind]


def workload(policy: Policy) -> Report:
    return pipeline.plan(policy, only=["workload"])


def record(policy: Policy, days_ago: float = 0) -> Report:
    return pipeline.apply(
        policy, only=["workload"], now=datetime.now(UTC) - timedelta(days=days_ago)
    )


def test_quiet_server_is_no_finding_but_the_missing_extension(
    database: Database, policy: Policy
) -> None:
    (finding,) = workload(policy).findings
    assert finding.kind is FindingKind.EXTENSION_MISSING
    assert finding.object == f"{policy.database.name}/pg_stat_statements"


def test_policy_without_the_section_looks_at_nothing(database: Database, tmp_path: Path) -> None:
    assert workload(make_policy(tmp_path, database.url)).findings == ()


def test_counters_sizes_and_statements_are_kept_and_shown_by_the_views(
    database: Database, policy: Policy
) -> None:
    database.execute("CREATE TABLE public.big AS SELECT n FROM generate_series(1, 60000) n")
    database.execute("CREATE INDEX big_n ON public.big (n)")
    database.execute("VACUUM ANALYZE public.big")
    record(policy)
    (told,) = record(policy).facts["largest_tables"]
    sizes = database.execute(
        "SELECT pg_total_relation_size(r), pg_relation_size(r), pg_indexes_size(r)"
        " FROM to_regclass('public.big') r"
    )
    assert told["table"] == "public.big"
    heap_and_index = (told["heap_bytes"], told["index_bytes"])
    assert heap_and_index == sizes[0][1:]
    assert told["size_bytes"] == sum(heap_and_index) <= sizes[0][0]
    ((n_looks, size),) = database.execute(
        "SELECT count(*), min(size_bytes) FROM maintenance.workload"
    )
    assert n_looks == 2
    assert size > 2**20
    (row,) = database.execute("SELECT object, n_rows FROM maintenance.table_size_monitor")
    assert row == ("public.big", 60000)
    database.execute("SELECT * FROM maintenance.query_performance_monitor")
    database.execute("SELECT * FROM maintenance.index_effectiveness")


@pytest.mark.pg("== 15")
def test_slow_statement_is_found_and_no_literal_is_kept(database: Database, policy: Policy) -> None:
    database.execute("CREATE EXTENSION pg_stat_statements")
    database.execute("SELECT pg_stat_statements_reset()")
    record(policy)
    database.execute("SELECT 'hush-4711' AS secret, pg_sleep(0.2) /* hush-4712 */")
    database.execute("DO $$ BEGIN PERFORM pg_sleep(0.1), 'hush-4713'; END $$")
    database.execute("CREATE TABLE hush (a text DEFAULT 'hush-4714')")
    report = record(policy)
    (finding,) = only(report, FindingKind.QUERY_SLOW)
    assert "SELECT ? AS secret, pg_sleep(?)" in finding.data["text"]
    assert finding.data["calls"] == 1
    kept = database.execute("SELECT string_agg(s::text, ' ') FROM maintenance.statement s")
    kept += database.execute("SELECT string_agg(f::text, ' ') FROM maintenance.finding f")
    assert "hush-" not in str(kept)
    assert "hush-" not in str(report.findings)


def test_connections_are_listed_by_what_they_have_in_common(
    database: Database, policy: Policy
) -> None:
    pair = [database.connect(application_name="the [b]pool") for _ in range(2)]
    shown = status(policy)
    for each in pair:
        each.close()
    (group,) = [g for g in shown.facts["connections"] if g["application"] == "the [b]pool"]
    assert (group["n"], group["state"], group["is_encrypted"]) == (2, "idle", False)
    assert (group["client"], group["database"]) == ("127.0.0.1", database.name)
    console = Console(record=True, width=200)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_output, "_out", console)
        text_output.render_status(policy, shown)
    assert "the [b]pool" in console.export_text()


@pytest.mark.pg("== 15")
def test_connections_without_tls_are_found_where_it_is_required(
    database: Database, tmp_path: Path
) -> None:
    demanding = make_policy(tmp_path, database.url, workload={**SECTION, "require_tls": True})
    with server_folder() as folder, changed_settings(database, make_key(folder)):
        encrypted = f"{database.url}?sslmode=require&application_name=safe"
        unencrypted = f"{database.url}?sslmode=disable&application_name=open"
        until(lambda: accepts(encrypted))
        with psycopg.connect(encrypted):
            assert only(workload(demanding), FindingKind.CONNECTION_WITHOUT_TLS) == []
            with psycopg.connect(unencrypted):
                (found,) = only(workload(demanding), FindingKind.CONNECTION_WITHOUT_TLS)
                unasked = make_policy(tmp_path, database.url, workload=SECTION)
                assert only(workload(unasked), FindingKind.CONNECTION_WITHOUT_TLS) == []
    assert found.value == 1
    (group,) = found.data["connections"]
    assert (group["application"], group["is_encrypted"]) == ("open", False)


@contextmanager
def changed_settings(database: Database, settings: dict[str, str]) -> Generator[None]:
    """Settings of the server that a reload changes; as before at the end."""
    for name, value in settings.items():
        database.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    database.execute("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        for name in settings:
            database.execute(f"ALTER SYSTEM RESET {name}")
        database.execute("SELECT pg_reload_conf()")


def accepts(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def make_key(folder: Path) -> dict[str, str]:
    """Make a key and a certificate, and return the settings of a server that uses them."""
    key, certificate = folder / "server.key", folder / "server.crt"
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    files = ["-nodes", "-subj", "/CN=test", "-keyout", key, "-out", certificate]
    subprocess.run([*new, *files], check=True, capture_output=True)
    key.chmod(0o600)
    if account := server_account():
        account.own(key, certificate)
    return {"ssl": "on", "ssl_cert_file": str(certificate), "ssl_key_file": str(key)}


def test_who_holds_a_transaction_open_is_named(database: Database, tmp_path: Path) -> None:
    limits = {**SECTION, "idle_in_transaction": "0 seconds", "long_transaction": "0 seconds"}
    policy = make_policy(tmp_path, database.url, workload=limits)
    holder = database.connect(autocommit=False, application_name="the \n<b>holder</b>")
    holder.execute("SELECT 'hush-4711'")
    report = workload(policy)
    (idle,) = only(report, FindingKind.IDLE_IN_TRANSACTION)
    assert holder.info.backend_pid in {each["pid"] for each in idle.data["sessions"]}
    assert "hush" not in str(report.findings)
    holder.rollback()
    assert only(workload(policy), FindingKind.IDLE_IN_TRANSACTION) == []


@pytest.mark.pg("== 18")
def test_database_with_a_limit_of_its_own_is_full_before_the_server_is(
    database: Database, tmp_path: Path
) -> None:
    database.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT 5")
    for _ in range(4):
        database.connect()
    policy = make_policy(tmp_path, database.url, workload=SECTION)
    (finding,) = only(workload(policy), FindingKind.CONNECTIONS_SATURATED)
    assert finding.data["connection_limit"] == 5


@pytest.mark.pg("== 18")
def test_whoever_keeps_vacuum_from_cleaning_is_seen(database: Database) -> None:
    slot = f"slot_{database.name}"
    database.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [slot])
    holder = database.connect(autocommit=False, application_name="the reader")
    holder.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    holder.execute("SELECT 1")
    writer = database.connect(autocommit=False)
    writer.execute("SELECT pg_current_xact_id()")
    writer.execute("PREPARE TRANSACTION 'the forgotten one'")
    writer.autocommit = True
    database.execute("SELECT pg_current_xact_id()")
    try:
        with session(database.url) as ours:
            found = {(row.what, row.name) for row in fetch(ours, "workload", "list_holders")}
    finally:
        holder.rollback()
        writer.execute("ROLLBACK PREPARED 'the forgotten one'")
        database.execute("SELECT pg_drop_replication_slot(%s)", [slot])
    assert {
        ("session", "the reader"),
        ("prepared transaction", "the forgotten one"),
        ("slot", slot),
    } <= found


@pytest.mark.pg("== 18")
def test_role_without_pg_monitor_is_told_once_and_the_rest_goes_on(
    database: Database, limited_role: Role, tmp_path: Path
) -> None:
    report = workload(make_policy(tmp_path, database.url_of(limited_role), workload=SECTION))
    (finding,) = only(report, FindingKind.PRIVILEGE_MISSING)
    assert finding.data["grants"] == [f"GRANT pg_monitor TO {limited_role.name}"]
    assert only(report, FindingKind.MONITOR_BLIND) == []


def test_slot_whose_reader_is_gone_is_told(database: Database, tmp_path: Path) -> None:
    limits = {**SECTION, "replication_lag": "0 B"}
    policy = make_policy(tmp_path, database.url, workload=limits)
    slot = f"slot_{database.name}"
    database.execute("SELECT pg_create_physical_replication_slot(%s, true)", [slot])
    try:
        database.execute("CREATE TABLE public.t AS SELECT generate_series(1, 1000)")
        lagging = only(workload(policy), FindingKind.REPLICATION_LAG)
        assert f"app/slot/{slot}" in [finding.object for finding in lagging]
    finally:
        database.execute("SELECT pg_drop_replication_slot(%s)", [slot])


@pytest.mark.pg("== 18")
def test_reset_between_two_looks_gives_no_rate_and_no_negative_number(
    database: Database, policy: Policy
) -> None:
    database.execute("CREATE TABLE public.t AS SELECT generate_series(1, 100000)")
    record(policy, days_ago=0.1)
    database.execute("SELECT pg_stat_reset()")
    report = record(policy)
    assert only(report, FindingKind.BUFFER_HIT_RATE_LOW) == []


@pytest.mark.pg("== 18")
def test_growth_of_a_partitioned_table_is_the_sum_of_its_partitions(
    database: Database, policy: Policy
) -> None:
    database.execute("CREATE TABLE public.events (id int PRIMARY KEY) PARTITION BY RANGE (id)")
    for n in range(2):
        bound = f"FROM ({n * 50000}) TO ({(n + 1) * 50000})"
        database.execute(f"CREATE TABLE public.e{n} PARTITION OF public.events FOR VALUES {bound}")
    database.execute("INSERT INTO public.events SELECT generate_series(0, 99999)")
    database.vacuum()
    record(policy)
    ((name, n_partitions, n_rows),) = database.execute(
        "SELECT object, n_partitions, n_rows FROM maintenance.table_size"
    )
    assert (name, n_partitions, n_rows) == ("public.events", 2, 100_000)
