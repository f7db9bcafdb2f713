"""A default partition that is made, counted, created beside, and swapped for a fresh one."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from maintenance.catalog import default_counts
from maintenance.catalog.default_counts import count_default
from maintenance.engine.action_context import ActionContext
from maintenance.engine.actions import Action, ActionKind, Step
from maintenance.engine.executor import Outcome
from maintenance.engine.findings import Finding, FindingKind
from maintenance.engine.scope import Request
from maintenance.errors import UnreachableError
from maintenance.names import QualifiedName
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from maintenance.server.session import Timeouts
from tests.builders import Database, Role
from tests.policies import CREATE_EVENTS, EVENTS, make_policy
from tests.sessions import session

NOW = datetime(2026, 11, 20, tzinfo=UTC)

pytestmark = [pytest.mark.store(NOW), pytest.mark.in_turn]
DEFAULT = "CREATE TABLE public.events_default PARTITION OF public.events DEFAULT"
MANY = 12_000
"""More rows than ATTACH may look through under its lock."""

CHILDREN = """
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'public.events'::regclass ORDER BY 1
"""
CHECKS = "SELECT conname FROM pg_constraint WHERE conname LIKE 'maintenance%'"
WHERE_ROWS_ARE = (
    "SELECT tableoid::regclass::text, count(*) FROM public.events GROUP BY 1 ORDER BY 1"
)


@pytest.fixture
def policy(database: Database, tmp_path: Path) -> Policy:
    database.execute(CREATE_EVENTS)
    return make_policy(tmp_path, database.url, {**EVENTS, "premake": 2})


def fill(database: Database, n_rows: int, first: str, last: str = "") -> None:
    """Insert rows evenly from one moment to another, or all at the first."""
    database.execute(
        "INSERT INTO public.events SELECT coalesce((SELECT max(id) FROM public.events), 0) + i,"
        " %s::timestamptz + i * (%s::timestamptz - %s::timestamptz) / (%s::int + 1)"
        " FROM generate_series(1, %s::int) AS i",
        [first, last or first, first, n_rows, n_rows],
    )


def apply(policy: Policy, **arguments: Any) -> pipeline.Report:
    return pipeline.apply(policy, now=NOW, only=["partitions"], **arguments)


def children(database: Database) -> list[str]:
    return [name for (name,) in database.execute(CHILDREN)]


def default_finding(report: pipeline.Report) -> Finding:
    kind = FindingKind.DEFAULT_PARTITION_ROWS
    (finding,) = [finding for finding in report.findings if finding.kind is kind]
    return finding


def settled(policy: Policy) -> bool:
    """Whether planning again finds nothing to do."""
    return not pipeline.plan(policy, now=NOW).plan.actions


# Made where the policy wants one


def test_default_partition_is_made_last_and_takes_what_has_no_month(
    database: Database, tmp_path: Path
) -> None:
    database.execute(CREATE_EVENTS)
    policy = make_policy(tmp_path, database.url, {**EVENTS, "default": "ensure", "premake": 2})
    report = apply(policy)
    assert report.ok
    assert report.results[-1].action.kind is ActionKind.CREATE_DEFAULT
    database.execute("INSERT INTO public.events VALUES (1, '2031-05-05')")
    assert database.execute(WHERE_ROWS_ARE) == [("events_default", 1)]
    assert settled(policy)


def test_default_partition_has_owner_and_grants_of_its_parent(
    database: Database, tmp_path: Path, owner_role: Role, limited_role: Role
) -> None:
    database.execute(CREATE_EVENTS)
    database.give_to(owner_role)
    database.execute(f"GRANT CREATE ON SCHEMA public TO {owner_role.name}")
    database.execute(f"GRANT SELECT ON public.events TO {limited_role.name}")
    assert apply(make_policy(tmp_path, database.url, {**EVENTS, "default": "ensure"})).ok
    facts = (
        "SELECT pg_get_userbyid(relowner)::text, relacl::text"
        " FROM pg_class WHERE oid = %s::regclass"
    )
    assert database.execute(facts, ["events_default"]) == database.execute(facts, ["events"])


@pytest.mark.pg("== 18")
def test_default_partition_of_a_long_table_name_keeps_its_suffix(
    database: Database, tmp_path: Path
) -> None:
    table = "e" * 63
    database.execute(f"CREATE TABLE public.{table} (at timestamptz) PARTITION BY RANGE (at)")
    policy = make_policy(
        tmp_path, database.url, {"table": f"public.{table}", "column": "at", "default": "ensure"}
    )
    assert apply(policy).ok
    (row,) = database.execute("SELECT relname FROM pg_class WHERE relname LIKE '%%default'", [])
    assert row[0] == "e" * 55 + "_default"
    assert settled(policy)


@pytest.mark.pg("== 18")
def test_taken_name_of_a_default_partition_is_a_finding(database: Database, tmp_path: Path) -> None:
    database.execute(CREATE_EVENTS)
    database.execute("CREATE VIEW public.events_default AS SELECT 1 AS x")
    report = apply(make_policy(tmp_path, database.url, {**EVENTS, "default": "ensure"}))
    (finding,) = [f for f in report.findings if f.kind is FindingKind.PARTITION_NAME_TAKEN]
    assert finding.data == {"names": ["public.events_default"], "periods": ["default"]}


# Counted


def test_rows_are_counted_by_period_and_far_ones_are_told_apart(
    database: Database, policy: Policy
) -> None:
    database.execute(
        "CREATE TABLE public.events_2026_01 PARTITION OF public.events"
        " FOR VALUES FROM ('2026-01-01 00:00+00') TO ('2026-02-01 00:00+00')"
    )
    database.execute(DEFAULT)
    fill(database, 30, "2026-11-01 00:00+00", "2026-11-20 00:00+00")
    fill(database, 2, "2026-09-09 00:00+00")
    fill(database, 1, "2097-01-01 12:30:00.5+00")
    database.execute("INSERT INTO public.events VALUES (99, 'infinity')")
    fill(database, 1, "2025-12-31 23:59:59.999999+00")
    finding = default_finding(pipeline.plan(policy, now=NOW))
    assert finding.value == 35
    assert finding.data["periods"] == {"2026-09": 2, "2026-11": 30}
    assert finding.data["after"] == {
        "rows": 2,
        "first": "2097-01-01 12:30:00.5+00",
        "last": "infinity",
    }
    assert finding.data["before"]["rows"] == 1
    assert finding.data["since"] == "2026-09-09T00:00:00+00:00"
    assert finding.data["rows_per_day"] == round(30 / 19)


@pytest.mark.pg("== 18")
def test_rows_without_a_key_are_counted(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE public.events (at timestamptz) PARTITION BY RANGE (at)")
    database.execute(DEFAULT)
    database.execute("INSERT INTO public.events VALUES (NULL), (NULL)")
    policy = make_policy(tmp_path, database.url, EVENTS)
    finding = default_finding(pipeline.plan(policy, now=NOW))
    assert finding.data["without_key"] == 2


KEYS = [
    ("native", "date", "'2026-11-05'"),
    ("native", "timestamp", "'2026-11-05 10:00'"),
    ("native", "timestamptz(3)", "'2026-11-05 10:00+00'"),
    ("epoch_s", "integer", "1793873000"),
    ("epoch_ms", "bigint", "1793873000000"),
    ("epoch_us", "bigint", "1793873000000000"),
    ("yyyymm", "integer", "202611"),
    ("yyyymmdd", "integer", "20261105"),
    ({"snowflake": {"epoch": "2015-01-01", "shift": 22}}, "bigint", "1567842049687584768"),
    ("uuidv7", "uuid", "'01a1ab45-b000-7abc-8def-0123456789ab'"),
    ("ulid", "text", "'01M6NM6V5Y000000000000000G'"),
    ("ulid", "character(26)", "'01M6NM6V5Y000000000000000G'"),
]


@pytest.mark.pg("== 18")
@pytest.mark.parametrize(("encoding", "type_", "value"), KEYS)
def test_rows_of_every_kind_of_key_are_counted_and_put_right(
    database: Database, tmp_path: Path, encoding: Any, type_: str, value: str
) -> None:
    database.execute(f"CREATE TABLE public.events (at {type_}) PARTITION BY RANGE (at)")
    database.execute(DEFAULT)
    database.execute(f"INSERT INTO public.events VALUES ({value})")
    policy = make_policy(tmp_path, database.url, {**EVENTS, "encoding": encoding})
    assert default_finding(pipeline.plan(policy, now=NOW)).data["periods"] == {"2026-11": 1}
    assert apply(policy).ok
    assert database.execute(WHERE_ROWS_ARE) == [("events_2026_11", 1)]
    assert settled(policy)


@pytest.mark.pg("== 18")
def test_locked_default_partition_blinds_its_table(database: Database, policy: Policy) -> None:
    database.execute(DEFAULT)
    fill(database, 3, "2026-11-05")
    blocker = database.connect(autocommit=False)
    blocker.execute("LOCK TABLE public.events_default IN ACCESS EXCLUSIVE MODE")
    report = pipeline.plan(policy, now=NOW)
    assert [finding.kind for finding in report.findings] == [FindingKind.MONITOR_BLIND]
    assert report.plan.actions == ()


@pytest.mark.pg("== 18")
def test_count_that_takes_too_long_is_an_estimate_and_says_so(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute("CREATE TABLE public.events (at timestamptz) PARTITION BY RANGE (at)")
    database.execute(DEFAULT)
    database.execute(
        "INSERT INTO public.events SELECT '2026-11-05' FROM generate_series(1, 1000000)"
    )
    snapshot = pipeline.plan(make_policy(tmp_path, database.url, EVENTS)).snapshot
    assert snapshot is not None
    (table,) = snapshot.tables.values()
    monkeypatch.setattr(default_counts, "SAMPLED_PAGES", 20)
    brief = Timeouts(lock=timedelta(seconds=1), statement=timedelta(milliseconds=40))
    with session(database.url, timeouts=brief) as connection:
        rows = count_default(connection, table, ["'2026-11-01'", "'2026-12-01'"])
    assert not rows.is_exact
    assert [bucket.place for bucket in rows.buckets] == [1]
    assert rows.n_rows == pytest.approx(1_000_000, rel=0.9)


# Created beside


def test_month_beside_a_filled_default_partition_is_made_with_a_check_that_goes(
    database: Database, policy: Policy
) -> None:
    apply(policy)
    database.execute("DROP TABLE public.events_2027_01")
    database.execute(DEFAULT)
    fill(database, MANY, "2031-05-05")
    report = apply(policy)
    (result,) = report.results
    assert [step.locks[0].object for step in result.action.steps] == [
        "public.events_default",
        "public.events_default",
        "public.events",
    ]
    assert result.outcome is Outcome.DONE
    assert "events_2027_01" in children(database)
    assert database.execute(CHECKS) == []
    assert database.execute(WHERE_ROWS_ARE) == [("events_default", MANY)]
    assert settled(policy)


@pytest.mark.pg("== 18")
def test_month_beside_few_rows_needs_no_check(database: Database, policy: Policy) -> None:
    database.execute(DEFAULT)
    fill(database, 10, "2031-05-05")
    assert {len(a.steps) for a in pipeline.plan(policy, now=NOW).plan.actions} == {1}
    assert apply(policy).ok


def test_check_that_a_killed_run_left_is_removed_first(database: Database, policy: Policy) -> None:
    apply(policy)
    database.execute(DEFAULT)
    database.execute(
        "ALTER TABLE public.events_default ADD CONSTRAINT maintenance_not_2027_02_01"
        " CHECK (at < '2027-02-01' OR at >= '2027-03-01') NOT VALID"
    )
    report = apply(policy)
    assert report.results[0].action.kind is ActionKind.REMOVE_LEFTOVERS
    assert report.ok
    assert database.execute(CHECKS) == []
    database.execute("INSERT INTO public.events VALUES (1, '2027-02-15')")
    assert settled(policy)


def test_creation_that_gives_up_leaves_no_check_behind(database: Database, tmp_path: Path) -> None:
    database.execute(CREATE_EVENTS)
    locks = {"patient_lock_timeout": "50 ms", "give_up_after": "300 ms"}
    policy = make_policy(tmp_path, database.url, EVENTS, locks=locks)
    apply(policy)
    database.execute("DROP TABLE public.events_2026_12")
    database.execute(DEFAULT)
    fill(database, MANY, "2031-05-05")
    blocker = database.connect(autocommit=False)
    blocker.execute("LOCK TABLE ONLY public.events IN SHARE ROW EXCLUSIVE MODE")
    (result,) = apply(policy).results
    blocker.rollback()
    assert result.outcome is Outcome.FAILED
    assert database.execute(CHECKS) == []


# Swapped in place

AHEAD = Request(QualifiedName("public", "events"), ("2026-12", "2027-01", "2027-02"))
APPLICATION = """
CREATE TABLE public.users (id bigint PRIMARY KEY);
INSERT INTO public.users SELECT generate_series(1, 10);
CREATE TABLE public.fired (what text);
CREATE TABLE public.events (
  id bigint NOT NULL, at timestamptz NOT NULL, note text DEFAULT 'n',
  author bigint DEFAULT 1 REFERENCES public.users ON DELETE CASCADE,
  twice bigint GENERATED ALWAYS AS (id * 2) STORED, PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
CREATE INDEX ON public.events (author, at);
CREATE FUNCTION public.fire() RETURNS trigger LANGUAGE plpgsql
  AS $$ BEGIN INSERT INTO public.fired VALUES (TG_OP); RETURN NULL; END $$;
CREATE TABLE public.events_default PARTITION OF public.events DEFAULT;
"""
TRIGGER = (
    "CREATE TRIGGER fire AFTER INSERT OR UPDATE OR DELETE ON public.events"
    " FOR EACH ROW EXECUTE FUNCTION public.fire()"
)
CONTENT = "SELECT count(*), sum(hashtextextended(e::text, 0)) FROM public.events AS e"
OID = "SELECT 'public.{}'::regclass::oid"


@pytest.fixture
def application(database: Database, tmp_path: Path) -> Policy:
    """A table with all that a table can have, and a default partition."""
    database.execute(APPLICATION)
    return make_policy(tmp_path, database.url, {**EVENTS, "premake": 2})


@pytest.mark.parametrize("n_rows", [100, MANY])
def test_rows_of_one_month_stay_where_they_are_and_become_its_partition(
    database: Database, application: Policy, n_rows: int
) -> None:
    fill(database, n_rows, "2026-11-01 00:00+00", "2026-11-20 00:00+00")
    database.execute(TRIGGER)
    before = database.execute(CONTENT)
    oid = database.execute(OID.format("events_default"))
    report = apply(application)
    assert report.ok, [result.error for result in report.results]
    assert database.execute(OID.format("events_2026_11")) == oid
    assert children(database) == [
        "events_2026_11",
        "events_2026_12",
        "events_2027_01",
        "events_default",
    ]
    assert database.execute(CONTENT) == before
    assert database.execute("SELECT * FROM public.fired") == []
    assert database.execute(CHECKS) == []
    database.execute("INSERT INTO public.events (id, at) VALUES (-1, '2026-11-30 23:00+00')")
    database.execute("INSERT INTO public.events (id, at) VALUES (-2, '2031-01-01 00:00+00')")
    assert dict(database.execute(WHERE_ROWS_ARE)) == {
        "events_2026_11": n_rows + 1,
        "events_default": 1,
    }
    assert database.execute("SELECT note, author, twice FROM public.events WHERE id = -1") == [
        ("n", 1, -2)
    ]
    assert database.execute("SELECT * FROM public.fired") == [("INSERT",)] * 2
    database.execute("DELETE FROM public.users WHERE id = 1")
    assert database.execute(CONTENT)[0][0] == 0, "the foreign key still cascades"
    assert settled(application)


def test_rows_of_neighbouring_months_become_one_wide_partition(
    database: Database, application: Policy
) -> None:
    fill(database, 100, "2026-09-10 00:00+00", "2026-11-20 00:00+00")
    database.execute(
        "CREATE TABLE public.events_2026_08 PARTITION OF public.events"
        " FOR VALUES FROM ('2026-08-01 00:00+00') TO ('2026-09-01 00:00+00')"
    )
    report = apply(application)
    (action,) = [r.action for r in report.results if r.action.kind is ActionKind.SWAP_DEFAULT]
    assert action.object == "public.events_2026_09_to_2026_11"
    assert report.ok
    assert database.execute(WHERE_ROWS_ARE) == [("events_2026_09_to_2026_11", 100)]
    assert settled(application)


def test_now_is_taken_along_so_that_what_is_written_meanwhile_passes(
    database: Database, application: Policy
) -> None:
    database.execute(
        "CREATE TABLE public.events_2026_08 PARTITION OF public.events"
        " FOR VALUES FROM ('2026-08-01 00:00+00') TO ('2026-09-01 00:00+00')"
    )
    fill(database, 5, "2026-10-10 00:00+00")
    report = apply(application)
    assert report.ok
    assert "events_2026_10_to_2026_11" in children(database)
    assert "events_2026_09" in children(database)


def test_swap_that_gives_up_leaves_all_as_it_was(database: Database, tmp_path: Path) -> None:
    database.execute(APPLICATION)
    fill(database, MANY, "2026-11-01 00:00+00", "2026-11-20 00:00+00")
    locks = {"patient_lock_timeout": "50 ms", "give_up_after": "300 ms"}
    policy = make_policy(tmp_path, database.url, EVENTS, locks=locks)
    apply(make_policy(tmp_path, database.url, EVENTS), request=AHEAD)
    reader = database.connect(autocommit=False, application_name="a long report")
    reader.execute("SELECT count(*) FROM public.events")
    swap = apply(policy).results[-1]
    reader.rollback()
    assert swap.action.kind is ActionKind.SWAP_DEFAULT
    assert "a long report" in str(swap.error)
    assert database.execute(CHECKS) == []
    assert database.execute(WHERE_ROWS_ARE) == [("events_default", MANY)]
    database.execute("INSERT INTO public.events (id, at) VALUES (-2, '2031-01-01')")


@pytest.mark.parametrize("n_rows", [3, MANY])
def test_row_that_came_too_late_to_be_counted_puts_the_swap_off(
    database: Database, application: Policy, n_rows: int
) -> None:
    fill(database, n_rows, "2026-11-01 00:00+00", "2026-11-20 00:00+00")
    apply(application, request=AHEAD)
    older = database.connect(autocommit=False)
    older.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    older.execute("SELECT count(*) FROM pg_class")

    def come(line: str) -> None:
        if "waiting for older transactions" in line:
            database.execute("INSERT INTO public.events (id, at) VALUES (-2, '2031-01-01')")
            older.rollback()

    report = apply(application, progress=come)
    (swap,) = [r for r in report.results if r.action.kind is ActionKind.SWAP_DEFAULT]
    assert swap.outcome is Outcome.SKIPPED
    assert "the next run counts again" in str(swap.error)
    assert report.ok
    assert database.execute(CHECKS) == []
    assert database.execute(WHERE_ROWS_ARE) == [("events_default", n_rows + 1)]
    assert apply(application).ok
    assert dict(database.execute(WHERE_ROWS_ARE)) == {"events_2026_11": n_rows, "events_default": 1}


@pytest.mark.pg("== 18")
def test_trigger_of_the_default_partition_itself_stops_the_swap(
    database: Database, application: Policy
) -> None:
    database.execute(TRIGGER.replace("ON public.events", "ON public.events_default"))
    database.execute("INSERT INTO public.events (id, at) VALUES (1, '2026-11-02')")
    report = apply(application)
    cause = report.results[-1].cause
    assert cause is not None
    assert cause.reason == "default_has_objects"
    assert {"trigger", "fire"} <= set(str(cause).split())
    assert children(database).count("events_default") == 1


@pytest.mark.pg("== 18")
def test_table_that_others_point_to_is_left_alone_with_the_reason(
    database: Database, application: Policy
) -> None:
    fill(database, 3, "2026-11-05 00:00+00")
    database.execute(
        "CREATE TABLE public.notes (event bigint, at timestamptz,"
        " FOREIGN KEY (event, at) REFERENCES public.events)"
    )
    report = apply(application)
    finding = default_finding(report)
    assert (finding.data["reason"], finding.data["by"]) == ("referenced", ["public.notes"])
    assert database.execute(WHERE_ROWS_ARE) == [("events_default", 3)]
    assert "events_2026_12" in children(database)


@pytest.mark.pg("== 18")
def test_month_asked_for_by_hand_is_swapped_in(database: Database, application: Policy) -> None:
    fill(database, 3, "2026-11-05 00:00+00")
    request = Request(QualifiedName("public", "events"), ("2026-11",))
    report = apply(application, request=request)
    assert [result.outcome for result in report.results] == [Outcome.DONE]
    assert children(database) == ["events_2026_11", "events_default"]


# Under the same name as before

COMMENTS = (
    "SELECT obj_description('public.events_2026_11'::regclass),"
    " obj_description('public.events_default'::regclass)"
)


def hasty(policy: Policy) -> Policy:
    short = policy.locks.model_copy(update={"give_up_after": timedelta(seconds=1)})
    return policy.model_copy(update={"locks": short})


@pytest.mark.parametrize("comment", [None, "rows without a month\nsee the wiki"])
def test_swapped_partition_keeps_its_comment(
    database: Database, policy: Policy, comment: str | None
) -> None:
    database.execute(DEFAULT)
    if comment is not None:
        database.execute(f"COMMENT ON TABLE public.events_default IS '{comment}'")
    fill(database, 3, "2026-11-05 00:00+00")
    assert apply(policy).ok
    assert database.execute(COMMENTS) == [(comment, None)]


def test_open_transaction_that_may_know_the_name_keeps_it_in_place(
    database: Database, policy: Policy
) -> None:
    database.execute(DEFAULT)
    database.execute("COMMENT ON TABLE public.events_default IS 'rows without a month'")
    fill(database, MANY, "2026-11-01 00:00+00", "2026-11-20 00:00+00")
    dump = database.connect(autocommit=False, application_name="a dump")
    dump.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    dump.execute("SELECT relname FROM pg_class")
    report = apply(hasty(policy))
    (swap,) = [r for r in report.results if r.action.kind is ActionKind.SWAP_DEFAULT]
    assert "a dump" in str(swap.error)
    assert database.execute(CHECKS) == []
    dump.execute("LOCK TABLE public.events_default IN ACCESS SHARE MODE")
    assert dump.execute("SELECT count(*) FROM public.events_default").fetchone() == (MANY,)
    dump.rollback()
    assert apply(policy).ok
    assert database.execute(WHERE_ROWS_ARE) == [("events_2026_11", MANY)]
    assert database.execute(COMMENTS) == [("rows without a month", None)]


def kill_before_the_exchange(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run until the name is released, and end with the sessions."""
    run = ActionContext.run

    def run_until_the_exchange(context: ActionContext, step: Step) -> None:
        if "DETACH" in " ".join(step.sql):
            raise UnreachableError("the server is gone")
        run(context, step)

    with monkeypatch.context() as patch:
        patch.setattr(ActionContext, "run", run_until_the_exchange)
        with pytest.raises(UnreachableError):
            apply(policy)


def test_name_that_a_killed_run_released_is_given_back(
    database: Database, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run ends with its sessions, between the release and the exchange."""
    name = "d" * 63
    database.execute(DEFAULT.replace("events_default", name, 1))
    database.execute(f"COMMENT ON TABLE public.{name} IS 'rows without a month'")
    fill(database, 3, "2026-11-05 00:00+00")

    kill_before_the_exchange(policy, monkeypatch)
    (odd,) = [child for child in children(database) if child.endswith("_released")]
    assert odd.startswith("d" * 40)
    assert apply(policy).ok
    assert name in children(database)
    comment = f"SELECT obj_description('public.{name}'::regclass)"
    assert database.execute(comment) == [("rows without a month",)]
    assert apply(policy).ok
    assert database.execute(WHERE_ROWS_ARE) == [("events_2026_11", 3)]
    assert set(children(database)) == {"events_2026_11", "events_2026_12", "events_2027_01", name}
    assert settled(policy)


SUB_PARTITIONED = (
    "CREATE TABLE public.events_default PARTITION OF public.events DEFAULT PARTITION BY HASH (id);"
    "CREATE TABLE public.events_default_0 PARTITION OF public.events_default"
    " FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
    "CREATE TABLE public.events_default_1 PARTITION OF public.events_default"
    " FOR VALUES WITH (MODULUS 2, REMAINDER 1)"
)
"""The first month of a tree is the template of the next ones."""
TREE = SUB_PARTITIONED.replace("default", "2026_12").replace(
    "DEFAULT PARTITION",
    "FOR VALUES FROM ('2026-12-01 00:00+00') TO ('2027-01-01 00:00+00') PARTITION",
)
"""A month with the same leaves."""


@pytest.mark.pg("== 18")
def test_names_of_a_tree_that_a_killed_run_released_are_given_back(
    database: Database, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute(SUB_PARTITIONED)
    database.execute(TREE)
    fill(database, 5, "2026-11-05 00:00+00")
    kill_before_the_exchange(policy, monkeypatch)
    leaves = "SELECT relid::text FROM pg_partition_tree('public.events') WHERE isleaf ORDER BY 1"
    there = [name for (name,) in database.execute(leaves)]
    assert "events_default_0_released" in there
    assert apply(policy).ok
    there = [name for (name,) in database.execute(leaves)]
    assert [name for name in there if "released" in name] == []
    assert {"events_default_0", "events_default_1"} < set(there)
    assert apply(policy).ok
    assert database.execute("SELECT count(*) FROM public.events_2026_11") == [(5,)]
    assert database.execute("SELECT count(*) FROM public.events_default") == [(0,)]
    assert settled(policy)


@pytest.mark.pg("== 18")
def test_default_partition_of_another_schema_is_swapped_and_given_its_name_back(
    database: Database, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute("CREATE SCHEMA rest")
    database.execute(DEFAULT.replace("public.events_default", "rest.events_default"))
    fill(database, 5, "2026-11-05 00:00+00")
    kill_before_the_exchange(policy, monkeypatch)
    there = "SELECT tablename FROM pg_tables WHERE schemaname = 'rest'"
    assert database.execute(there) == [("events_default_released",)]
    assert apply(policy).ok
    assert database.execute(there) == [("events_default",)]
    report = apply(policy)
    assert [r.error for r in report.results if r.error] == []
    assert database.execute(WHERE_ROWS_ARE) == [("events_2026_11", 5)]
    assert database.execute(there) == [("events_default",)]
    assert settled(policy)


LEFT_BY_A_KILLED_SWAP = (
    "ALTER TABLE public.events_default RENAME TO events_default_released",
    "ALTER TABLE public.events_default_released ADD CONSTRAINT maintenance_only_2026_11_01"
    " CHECK (at >= '2026-11-01 00:00+00' AND at < '2026-12-01 00:00+00') NOT VALID",
    """COMMENT ON TABLE public.events_default_released IS 'maintenance: {"released":
 [["public.events_default_released", "events_default"]]}'""".replace("\n", ""),
)


@pytest.mark.pg("== 18")
def test_all_that_a_killed_swap_left_goes_and_months_are_made_at_once(
    database: Database, policy: Policy
) -> None:
    database.execute(DEFAULT)
    fill(database, MANY, "2026-11-01 00:00+00", "2026-11-20 00:00+00")
    for statement in LEFT_BY_A_KILLED_SWAP:
        database.execute(statement)
    report = apply(policy)
    assert [r.error for r in report.results if r.error] == []
    assert report.ok
    assert children(database) == ["events_2026_12", "events_2027_01", "events_default"]
    assert database.execute(CHECKS) == []
    assert apply(policy).ok
    assert database.execute(WHERE_ROWS_ARE) == [("events_2026_11", MANY)]


@pytest.mark.pg("== 18")
def test_name_that_a_person_took_meanwhile_is_told_and_months_are_made(
    database: Database, policy: Policy
) -> None:
    database.execute(DEFAULT)
    fill(database, MANY, "2026-11-01 00:00+00", "2026-11-20 00:00+00")
    for statement in LEFT_BY_A_KILLED_SWAP:
        database.execute(statement)
    database.execute("CREATE TABLE public.events_default (id bigint)")
    report = apply(policy)
    failed = {r.action.object: str(r.error) for r in report.results if r.error}
    assert failed.keys() == {"public.events_default"}
    assert "already exists" in failed["public.events_default"]
    assert not report.ok
    assert "if no other table has it" in default_finding(report).message
    assert children(database) == ["events_2026_12", "events_2027_01", "events_default_released"]
    database.execute("DROP TABLE public.events_default")
    assert apply(policy).ok
    assert "events_default" in children(database)


# Locks

HELD = """
SELECT n.nspname || '.' || c.relname, l.mode FROM pg_locks l
JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE l.pid = pg_backend_pid() AND l.granted AND l.locktype = 'relation'
  AND c.relkind IN ('r', 'p') AND n.nspname = 'public' AND c.oid = ANY (%s)
"""
BLOCKING = {"ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"}


def blocking_locks(database: Database, action: Action) -> set[tuple[str, str]]:
    """The locks that block writers of tables that were there before, as the server has them."""
    found: set[tuple[str, str]] = set()
    there = [row[0] for row in database.execute("SELECT oid FROM pg_class")]
    names = dict(database.execute("SELECT oid, 'public.' || relname FROM pg_class"))
    with database.connect(autocommit=False, options="-c search_path=") as connection:
        for step in action.steps:
            for statement in step.sql:
                connection.execute(statement.encode())
                # A run tries again where a busy machine takes longer than the step allows.
                connection.execute("SET LOCAL statement_timeout = 0")
            held = HELD.replace("n.nspname || '.' || c.relname", "c.oid")
            rows = connection.execute(held.encode(), [there]).fetchall()
            found |= {(names[oid], mode) for oid, mode in rows if mode in BLOCKING}
            connection.commit()
    return found


def strongest(pairs: set[tuple[str, str]]) -> dict[str, str]:
    order = ["ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"]
    return dict(sorted(pairs, key=lambda pair: order.index(pair[1])))


@pytest.mark.parametrize("default", ["none", "ensure"])
def test_locks_are_those_that_the_plan_declares(
    database: Database, tmp_path: Path, default: str
) -> None:
    script = APPLICATION if default == "none" else APPLICATION.rsplit("CREATE TABLE", 1)[0]
    database.execute(script)
    if default == "none":
        fill(database, MANY, "2026-11-01 00:00+00", "2026-11-20 00:00+00")
    policy = make_policy(tmp_path, database.url, {**EVENTS, "default": default, "premake": 2})
    for action in pipeline.plan(policy, now=NOW).plan.actions:
        declared = {
            (lock.object.removesuffix("_released"), lock.mode.title().replace(" ", "") + "Lock")
            for lock in action.locks
            if lock.mode.blocks_writers
        }
        assert strongest(blocking_locks(database, action)) == strongest(declared), action.kind
