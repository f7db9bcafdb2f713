"""One run on a real server: what it makes, what it carries over, what it leaves alone."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote as quote_url

import pytest

from maintenance.demo.postgres import PostgresServer, embedded_binaries
from maintenance.engine.executor import Outcome
from maintenance.engine.findings import FindingKind
from maintenance.engine.run_lock import RUN_LOCK
from maintenance.engine.scope import Request
from maintenance.errors import PrivilegeError, UnreachableError, UsageError
from maintenance.names import QualifiedName, parse_name
from maintenance.periods import Interval, period_of
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy, load_policy
from tests.builders import Database, Role
from tests.conftest import Servers
from tests.policies import CREATE_EVENTS, EVENTS, make_policy

pytestmark = pytest.mark.store

CHILDREN = """
SELECT c.relname, pg_catalog.pg_get_expr(c.relpartbound, c.oid)
FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'public.events'::regclass ORDER BY 2
"""


@pytest.fixture
def policy(database: Database, tmp_path: Path) -> Policy:
    database.execute(CREATE_EVENTS)
    return make_policy(tmp_path, database.url, EVENTS)


def names(database: Database) -> list[str]:
    return [name for name, _ in database.execute(CHILDREN)]


def month(offset: int = 0) -> str:
    return period_of(datetime.now(UTC).date(), Interval.MONTH).shift(offset).key


def child(offset: int = 0) -> str:
    return f"events_{month(offset).replace('-', '_')}"


@pytest.mark.store(None)
def test_apply_makes_the_horizon_and_a_second_apply_plans_nothing(
    database: Database, policy: Policy
) -> None:
    first = pipeline.apply(policy)
    assert [result.outcome for result in first.results] == [Outcome.DONE] * 4
    assert first.ok
    assert first.findings == ()
    assert names(database) == [child(offset) for offset in range(4)]
    second = pipeline.apply(policy)
    assert second.plan.actions == ()
    assert second.ok


@pytest.mark.store(None)
def test_plan_changes_nothing_and_makes_no_store(database: Database, policy: Policy) -> None:
    assert len(pipeline.plan(policy).plan.actions) == 4
    pipeline.check(policy)
    pipeline.status(policy)
    assert names(database) == []
    assert database.execute("SELECT nspname FROM pg_namespace WHERE nspname = 'maintenance'") == []


def test_bounds_are_utc_whatever_the_session_defaults_are(
    database: Database, policy: Policy
) -> None:
    database.execute(f"ALTER DATABASE {database.name} SET timezone = 'America/New_York'")
    database.execute(f"ALTER DATABASE {database.name} SET datestyle = 'German, DMY'")
    database.execute(f"ALTER DATABASE {database.name} SET search_path = pg_temp")
    database.execute(f"ALTER DATABASE {database.name} SET quote_all_identifiers = on")
    pipeline.apply(policy)
    with database.connect(options="-c TimeZone=UTC -c DateStyle=ISO") as connection:
        bounds = [row[1] for row in connection.execute(CHILDREN.encode()).fetchall()]
    assert [bound.count(" 00:00:00+00'") for bound in bounds] == [2] * 4
    assert pipeline.plan(policy).plan.actions == ()


def test_partition_dropped_by_hand_comes_back(database: Database, policy: Policy) -> None:
    pipeline.apply(policy)
    database.execute(f"DROP TABLE public.{child(2)}")
    report = pipeline.apply(policy)
    assert [result.action.object for result in report.results] == [f"public.{child(2)}"]
    assert names(database) == [child(offset) for offset in range(4)]


def test_asked_periods_are_made_in_one_run(database: Database, policy: Policy) -> None:
    asked = tuple(month(-offset) for offset in range(24))
    request = Request(QualifiedName("public", "events"), asked)
    report = pipeline.apply(policy, request=request)
    assert len(report.results) == 24
    assert len(names(database)) == 24
    assert {f.kind for f in report.findings} == {FindingKind.PARTITION_HORIZON_SHORT}


def test_expired_period_is_refused_and_nothing_is_made(database: Database, tmp_path: Path) -> None:
    database.execute(CREATE_EVENTS)
    retention = {"keep": "2 months", "action": "detach"}
    policy = make_policy(tmp_path, database.url, {**EVENTS, "retention": retention})
    request = Request(QualifiedName("public", "events"), ("2020-01",))
    (result,) = pipeline.apply(policy, request=request).results
    assert result.outcome is Outcome.REFUSED
    assert "2020-01" in str(result.error)
    assert month(-2) in str(result.error), "the first one that is kept"
    assert names(database) == []


PROPERTIES = """
SELECT pg_catalog.pg_get_userbyid(relowner)::text, relreplident::text, relrowsecurity,
       (SELECT array_agg(g::text ORDER BY g::text) FROM unnest(relacl) g),
       (SELECT array_agg(a.attacl::text ORDER BY a.attnum) FROM pg_attribute a
         WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL)
FROM pg_class c WHERE oid = %s::regclass
"""


def test_new_partition_has_owner_grants_and_identity_of_its_parent(
    database: Database, policy: Policy, owner_role: Role, limited_role: Role
) -> None:
    owner, reader = owner_role.name, limited_role.name
    for statement in (
        f"ALTER TABLE public.events OWNER TO {owner}",
        "ALTER TABLE public.events REPLICA IDENTITY FULL",
        "ALTER TABLE public.events ENABLE ROW LEVEL SECURITY",
        f"GRANT SELECT, INSERT ON public.events TO {reader} WITH GRANT OPTION",
        "GRANT SELECT ON public.events TO PUBLIC",
        f"GRANT UPDATE (note) ON public.events TO {reader}",
        f"REVOKE TRUNCATE ON public.events FROM {owner}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT DELETE ON TABLES TO {reader}",
        f"GRANT CREATE ON SCHEMA public TO {owner}",
    ):
        database.execute(statement)
    assert pipeline.apply(policy).ok
    (parent,) = database.execute(PROPERTIES, ["public.events"])
    (made,) = database.execute(PROPERTIES, [f"public.{child()}"])
    assert made == parent
    assert made[0] == owner


def test_replica_identity_by_index_is_carried_over(database: Database, policy: Policy) -> None:
    database.execute("CREATE UNIQUE INDEX events_identity ON public.events (at, id)")
    database.execute("ALTER TABLE public.events REPLICA IDENTITY USING INDEX events_identity")
    assert pipeline.apply(policy).ok
    (row,) = database.execute(
        "SELECT c.relreplident::text, pg_get_indexdef(i.indexrelid) LIKE '%% (at, id)'"
        " FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid AND i.indisreplident"
        " WHERE c.oid = %s::regclass",
        [f"public.{child()}"],
    )
    assert row == ("i", True)


def test_indexes_defaults_and_foreign_keys_arrive(database: Database, policy: Policy) -> None:
    database.execute("CREATE TABLE public.users (id bigint PRIMARY KEY)")
    database.execute("ALTER TABLE public.events ADD FOREIGN KEY (id) REFERENCES public.users")
    database.execute("CREATE INDEX ON public.events (note)")
    database.execute("INSERT INTO public.users VALUES (1)")
    assert pipeline.apply(policy).ok
    database.execute("INSERT INTO public.events (id, at) VALUES (1, now())")
    (row,) = database.execute(
        "SELECT count(*) FILTER (WHERE i.indisvalid), (SELECT count(*) FROM pg_constraint"
        " WHERE conrelid = %(t)s::regclass AND contype = 'f'), (SELECT note FROM public.events)"
        " FROM pg_index i JOIN pg_inherits h ON h.inhrelid = i.indexrelid"
        " WHERE i.indrelid = %(t)s::regclass".replace("%(t)s", f"'public.{child()}'"),
    )
    assert row == (2, 1, "n")


@pytest.mark.pg(">= 17")  # partitioned tables have identity columns from 17 on
def test_identity_column_of_the_parent_stands_in_no_ones_way(
    database: Database, tmp_path: Path
) -> None:
    database.execute(
        "CREATE TABLE public.events (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz)"
        " PARTITION BY RANGE (at)"
    )
    assert pipeline.apply(make_policy(tmp_path, database.url, EVENTS)).ok
    database.execute("INSERT INTO public.events (at) VALUES (now())")
    assert database.execute("SELECT id FROM public.events") == [(1,)]


@pytest.mark.in_turn
@pytest.mark.parametrize("type_", ["date", "timestamp", "timestamptz", "timestamptz(3)"])
def test_every_time_type_is_a_key(database: Database, tmp_path: Path, type_: str) -> None:
    database.execute(f"CREATE TABLE public.events (at {type_}) PARTITION BY RANGE (at)")
    policy = make_policy(tmp_path, database.url, {**EVENTS, "time_zone": "Asia/Tokyo"})
    assert len(pipeline.apply(policy).results) == 4
    assert pipeline.plan(policy).plan.actions == ()


@pytest.mark.in_turn
@pytest.mark.parametrize(
    ("encoding", "type_", "value"),
    [
        ("epoch_s", "bigint", "extract(epoch from now())::bigint"),
        ("epoch_ms", "bigint", "(extract(epoch from now()) * 1000)::bigint"),
        ("epoch_us", "bigint", "(extract(epoch from now()) * 1000000)::bigint"),
        ("yyyymm", "integer", "to_char(now() AT TIME ZONE 'UTC', 'YYYYMM')::integer"),
        ("yyyymmdd", "bigint", "to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')::bigint"),
        (
            "uuidv7",
            "uuid",
            "(lpad(to_hex((extract(epoch from now()) * 1000)::bigint), 12, '0')"
            " || '7abc8def0123456789ab')::uuid",
        ),
    ],
)
def test_encoded_keys_find_their_month(
    database: Database, tmp_path: Path, encoding: str, type_: str, value: str
) -> None:
    database.execute(f"CREATE TABLE public.events (at {type_}) PARTITION BY RANGE (at)")
    policy = make_policy(tmp_path, database.url, {**EVENTS, "encoding": encoding})
    assert pipeline.apply(policy).ok
    database.execute(f"INSERT INTO public.events VALUES ({value})")
    assert database.execute("SELECT tableoid::regclass::text FROM public.events") == [(child(),)]
    assert pipeline.plan(policy).plan.actions == ()


HOSTILE = ['"Sales"."Order Log"', '"a.b"."c""d"', '"ключ"."таблица 🐘"', '"select"."from"']


@pytest.mark.in_turn
@pytest.mark.parametrize("written", HOSTILE)
def test_hostile_names_are_quoted_everywhere(
    database: Database, tmp_path: Path, written: str
) -> None:
    relation = parse_name(written)
    schema = str(relation).split(".")[0] if relation.schema != "a.b" else '"a.b"'
    database.execute(f"CREATE SCHEMA {schema}")
    database.execute(
        f'CREATE TABLE {relation} ("At %% time" timestamptz) PARTITION BY RANGE ("At %% time")',
        [],
    )
    policy = make_policy(tmp_path, database.url, {"table": written, "column": "At % time"})
    report = pipeline.apply(policy)
    assert report.ok
    assert len(report.results) == 4
    (row,) = database.execute(
        "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind = 'p' AND n.nspname <> 'maintenance'"
    )
    assert row[0] == str(relation)
    assert report.results[0].action.table == row[0]


def test_long_table_name_keeps_the_suffix_within_63_bytes(
    database: Database, tmp_path: Path
) -> None:
    name = "é" * 31
    database.execute(f'CREATE TABLE public."{name}" (at timestamptz) PARTITION BY RANGE (at)')
    policy = make_policy(tmp_path, database.url, {"table": f'"{name}"', "column": "at"})
    assert pipeline.apply(policy).ok
    rows = database.execute(
        "SELECT relname FROM pg_class WHERE relispartition"
        " AND relnamespace <> 'maintenance'::regnamespace ORDER BY 1"
    )
    assert [row[0] for row in rows] == [
        "é" * 27 + f"_{month(n).replace('-', '_')}" for n in range(4)
    ]
    assert pipeline.plan(policy).plan.actions == ()


def test_one_bad_table_never_stops_the_others(database: Database, tmp_path: Path) -> None:
    database.execute(CREATE_EVENTS)
    database.execute("CREATE TABLE public.plain (at timestamptz)")
    policy = make_policy(
        tmp_path,
        database.url,
        {"table": "public.plain", "column": "at"},
        {"table": "public.evnets", "column": "at"},
        EVENTS,
    )
    report = pipeline.apply(policy)
    assert len(names(database)) == 4
    assert {f.kind for f in report.findings} == {
        FindingKind.NOT_PARTITIONED,
        FindingKind.NO_SUCH_TABLE,
    }
    (absent,) = (f for f in report.findings if f.kind is FindingKind.NO_SUCH_TABLE)
    assert (absent.object, absent.data["near"]) == ("public.evnets", ["public.events"])
    assert not report.ok


@pytest.mark.in_turn
@pytest.mark.parametrize(
    "taker",
    [
        "CREATE TABLE public.{} (x int)",
        "CREATE VIEW public.{} AS SELECT 1 AS x",
        "CREATE SEQUENCE public.{}",
        "CREATE INDEX {} ON public.events (note)",
        "CREATE DOMAIN public.{} AS int",
    ],
)
def test_name_taken_by_something_else_is_a_finding(
    database: Database, policy: Policy, taker: str
) -> None:
    database.execute(taker.format(child(1)))
    report = pipeline.apply(policy)
    assert len(names(database)) == 3
    taken = [f for f in report.findings if f.kind is FindingKind.PARTITION_NAME_TAKEN]
    assert [f.data["names"] for f in taken] == [[f"public.{child(1)}"]]


def test_owner_who_is_no_superuser_can_do_it_all(
    database: Database, tmp_path: Path, owner_role: Role
) -> None:
    database.execute(CREATE_EVENTS)
    database.give_to(owner_role)
    database.execute(f"GRANT CREATE ON SCHEMA public TO {owner_role.name}")
    policy = make_policy(tmp_path, database.url_of(owner_role), EVENTS)
    assert pipeline.check(policy).ok
    assert pipeline.apply(policy).ok
    assert len(names(database)) == 4


def test_role_without_rights_is_told_which(
    database: Database, tmp_path: Path, limited_role: Role
) -> None:
    database.execute(CREATE_EVENTS)
    policy = make_policy(tmp_path, database.url_of(limited_role), EVENTS)
    found = pipeline.check(policy).findings
    assert {f.kind for f in found} == {FindingKind.PRIVILEGE_MISSING}
    grants = {f.object: f.data["grants"] for f in found}
    create = f"GRANT CREATE ON DATABASE {database.name} TO {limited_role.name}"
    assert grants == {
        "app": [create],
        "public.events": [f"ALTER TABLE public.events OWNER TO {limited_role.name}"],
    }
    with pytest.raises(PrivilegeError) as caught:
        pipeline.apply(policy)
    assert create in caught.value.hint
    assert names(database) == []


def test_unreachable_server_says_where(tmp_path: Path) -> None:
    policy = make_policy(tmp_path, "postgresql://u:geheim@127.0.0.1:9/db", EVENTS)
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:9/db as u") as caught:
        pipeline.plan(policy)
    assert "geheim" not in str(caught.value) + caught.value.hint


def test_wrong_password_never_shows_it(database: Database, tmp_path: Path) -> None:
    user_info = database.url.split("//")[1].split("@")[0]
    url = database.url.replace(user_info, "postgres:geheim")
    policy = make_policy(tmp_path, url, EVENTS)
    with pytest.raises(UnreachableError) as caught:
        pipeline.plan(policy)
    assert "geheim" not in str(caught.value) + caught.value.hint
    assert "password authentication failed" in str(caught.value)  # in the server's words


def test_table_that_the_policy_does_not_name_is_refused(policy: Policy) -> None:
    with pytest.raises(UsageError, match=r"public\.other"):
        pipeline.apply(policy, request=Request(QualifiedName("public", "other")))


def test_prisma_parameters_in_the_url_do_no_harm(database: Database, tmp_path: Path) -> None:
    database.execute(CREATE_EVENTS)
    url = f"{database.url}?connection_limit=5&pgbouncer=true&schema=public&connect_timeout=3"
    assert pipeline.apply(make_policy(tmp_path, url, EVENTS)).ok


def test_schema_in_the_url_is_one_of_the_policy_or_refused(
    database: Database, tmp_path: Path
) -> None:
    database.execute("CREATE SCHEMA shop")
    database.execute(CREATE_EVENTS.replace("public.", "shop."))
    url, events = f"{database.url}?schema=shop", {**EVENTS, "table": "shop.events"}
    for command in (pipeline.check, pipeline.plan, pipeline.apply):
        with pytest.raises(UsageError) as refused:
            command(make_policy(tmp_path, url, events))
        assert refused.value.reason == "other_schema"
    policy = make_policy(tmp_path, url, events)
    path = policy.path.read_text().replace("url:", "search_path: shop\n  url:", 1)
    policy.path.write_text(path)
    report = pipeline.apply(load_policy(policy.path))
    assert report.ok
    assert {result.action.kind.value for result in report.results} == {"create_partition"}


def test_socket_in_the_url_is_used(servers: Servers, tmp_path: Path) -> None:
    """As Cloud Run mounts that of Cloud SQL, in a folder with colons."""
    folder = servers.folder / "project:region:instance"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    own = PostgresServer(
        embedded_binaries(18),
        servers.folder / "socket",
        fsync=False,
        settings={"unix_socket_directories": str(folder)},
    )
    try:
        own.start()
        url = own.url("postgres").replace(f"127.0.0.1:{own.port}", "")
        for host in (str(folder), quote_url(str(folder), safe="")):
            place = f"?host={host}&port={own.port}&schema=public&connection_limit=1"
            report = pipeline.check(make_policy(tmp_path, url + place))
            assert report.ok, report.findings
    finally:
        own.remove()


# The store


def test_run_intents_outcomes_and_findings_are_recorded(database: Database, policy: Policy) -> None:
    database.execute(f"CREATE VIEW public.{child(1)} AS SELECT 1 AS x")
    pipeline.apply(policy)
    assert database.execute("SELECT command, outcome FROM maintenance.run") == [("apply", "failed")]
    assert database.execute(
        "SELECT kind, outcome, count(*), count(ended_at), min(attempts)"
        " FROM maintenance.journal WHERE table_name = 'public.events' GROUP BY 1, 2"
    ) == [("create_partition", "done", 3, 3, 1)]
    found = database.execute("SELECT kind, severity, data->'names' FROM maintenance.finding")
    assert ("partition_name_taken", "error", [f"public.{child(1)}"]) in found


@pytest.mark.store(None)
def test_store_in_another_database_leaves_no_schema_behind(
    database: Database, tmp_path: Path
) -> None:
    database.execute(CREATE_EVENTS)
    policy = make_policy(
        tmp_path, database.url, EVENTS, store={"url": database.server.url("postgres")}
    )
    assert pipeline.apply(policy).ok
    assert database.execute("SELECT nspname FROM pg_namespace WHERE nspname = 'maintenance'") == []
    assert [run.command for run in pipeline.status(policy).runs][:1] == ["apply"]


def test_standby_is_read_and_never_written(servers: Servers, tmp_path: Path) -> None:
    standby = PostgresServer(embedded_binaries(18), servers.folder / "standby", fsync=False)
    standby.start()
    standby.create_database("app")
    standby.stop()
    (standby.data / "cluster" / "standby.signal").touch()
    standby.start()
    policy = make_policy(tmp_path, standby.url("app"), EVENTS)
    assert {f.kind for f in pipeline.plan(policy).findings} == {FindingKind.NO_SUCH_TABLE}
    with pytest.raises(UnreachableError) as caught:
        pipeline.apply(policy)
    assert caught.value.reason == "standby"
    standby.remove()


# Two at once


def test_second_run_waits_and_then_names_the_first(database: Database, tmp_path: Path) -> None:
    database.execute(CREATE_EVENTS)
    patience = {"give_up_after": "1 second"}
    policy = make_policy(tmp_path, database.url, EVENTS, locks=patience)
    holder = database.connect(application_name="somebody at work")
    holder.execute("SELECT pg_advisory_lock(%s)", [RUN_LOCK])
    lines: list[str] = []
    report = pipeline.apply(policy, progress=lines.append)
    (finding,) = report.findings
    assert finding.kind is FindingKind.LOCK_NOT_ACQUIRED
    assert finding.data["holder"]["application"] == "somebody at work"
    assert "somebody at work" in lines[0]
    assert not report.ok
    assert names(database) == []
    holder.close()
    assert pipeline.apply(policy).ok


def test_two_runs_at_once_both_end_well(database: Database, policy: Policy) -> None:
    reports: list[pipeline.Report] = []
    threads = [
        threading.Thread(target=lambda: reports.append(pipeline.apply(policy))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [report.ok for report in reports] == [True] * 3
    assert sorted(len(report.results) for report in reports) == [0, 0, 4]


# Locks


def test_busy_lock_is_waited_for_in_short_tries(database: Database, policy: Policy) -> None:
    blocker = database.connect(autocommit=False, application_name="a slow migration")
    blocker.execute("LOCK TABLE public.events IN SHARE ROW EXCLUSIVE MODE")
    lines: list[str] = []

    def progress(line: str) -> None:
        lines.append(line)
        if "a slow migration" in line:
            blocker.rollback()

    impatient = policy.model_copy(
        update={
            "locks": policy.locks.model_copy(
                update={"patient_lock_timeout": timedelta(milliseconds=100)}
            )
        }
    )
    report = pipeline.apply(impatient, progress=progress)
    assert report.ok
    assert report.results[0].attempts > 1
    assert "a slow migration" in lines[0]


def test_lock_never_released_is_a_failed_action_that_names_the_holder(
    database: Database, tmp_path: Path
) -> None:
    database.execute(CREATE_EVENTS)
    locks = {"patient_lock_timeout": "50 ms", "give_up_after": "300 ms"}
    policy = make_policy(tmp_path, database.url, EVENTS, locks=locks)
    blocker = database.connect(autocommit=False, application_name="a forgotten session")
    blocker.execute("LOCK TABLE public.events IN SHARE ROW EXCLUSIVE MODE")
    report = pipeline.apply(policy)
    assert {result.outcome for result in report.results} == {Outcome.FAILED}
    assert "a forgotten session" in str(report.results[0].error)
    assert FindingKind.LOCK_NOT_ACQUIRED in {finding.kind for finding in report.findings}
    blocker.rollback()
    assert names(database) == []


def test_locked_partition_blinds_its_table_and_no_other(database: Database, tmp_path: Path) -> None:
    database.execute(CREATE_EVENTS)
    database.execute("CREATE TABLE public.logs (at timestamptz) PARTITION BY RANGE (at)")
    policy = make_policy(tmp_path, database.url, EVENTS, {"table": "public.logs", "column": "at"})
    pipeline.apply(policy, only=["partitions"])
    database.execute(f"DROP TABLE public.{child(3)}, public.logs_{month(3).replace('-', '_')}")
    blocker = database.connect(autocommit=False)
    blocker.execute(f"LOCK TABLE public.{child(1)} IN ACCESS EXCLUSIVE MODE".encode())
    report = pipeline.plan(policy)
    assert [action.table for action in report.plan.actions] == ["public.logs"]
    assert (FindingKind.MONITOR_BLIND, "public.events") in {
        (finding.kind, finding.object) for finding in report.findings
    }
    blocker.rollback()
    assert len(pipeline.plan(policy).plan.actions) == 2


def test_default_partition_with_rows_of_the_month_becomes_that_month(
    database: Database, policy: Policy
) -> None:
    database.execute("CREATE TABLE public.rest PARTITION OF public.events DEFAULT")
    database.execute("INSERT INTO public.events VALUES (1, now())")
    assert pipeline.apply(policy).ok
    assert database.execute("SELECT tableoid::regclass::text FROM public.events") == [(child(),)]
    assert sorted(names(database)) == sorted(["rest", *[child(n) for n in range(4)]])
