"""Rows of several months leave a default partition, and no reader misses one."""

import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from maintenance.engine.actions import ActionKind
from maintenance.engine.executor import Outcome, Result
from maintenance.engine.findings import FindingKind
from maintenance.errors import UnreachableError
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from maintenance.subjects.partitions.drain import apply as drain_apply
from maintenance.subjects.partitions.drain import backfill, staging
from tests.builders import Database, Role
from tests.load_generator import (
    FAR,
    NEIGHBOURS,
    SPREAD,
    Crowd,
    build,
    crowd,
    moments,
    month,
    rows_there,
)
from tests.policies import EVENTS, make_policy
from tests.sessions import until

NOW = datetime(2026, 11, 20, tzinfo=UTC)

pytestmark = [pytest.mark.store(NOW), pytest.mark.in_turn]

SCHEMA = """
CREATE TABLE public.users (id bigint PRIMARY KEY);
INSERT INTO public.users SELECT generate_series(1, 10);
CREATE TABLE public.fired (what text);
CREATE TABLE public.events (
  id bigint NOT NULL, at timestamptz NOT NULL, note text DEFAULT 'n', gone int,
  author bigint DEFAULT 1 REFERENCES public.users ON DELETE CASCADE,
  twice bigint GENERATED ALWAYS AS (id * 2) STORED, facts json, PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
CREATE INDEX ON public.events (author, at);
CREATE UNIQUE INDEX ON public.events (note, id, at) WHERE note <> 'n';
ALTER TABLE public.events DROP COLUMN gone;
CREATE FUNCTION public.fire() RETURNS trigger LANGUAGE plpgsql
  AS $$ BEGIN INSERT INTO public.fired VALUES (TG_OP); RETURN NULL; END $$;
CREATE TABLE public.events_2026_10 PARTITION OF public.events
  FOR VALUES FROM ('2026-10-01 00:00+00') TO ('2026-11-01 00:00+00');
CREATE TABLE public.events_default PARTITION OF public.events DEFAULT;
INSERT INTO public.events (id, at, note, author, facts)
  SELECT i, '2026-09-01 00:00+00'::timestamptz + i * interval '9 minutes', 'row ' || i, i %% 10 + 1,
         json_build_object('i', i)
  FROM generate_series(1, 12000) i;
INSERT INTO public.events (id, at) VALUES (-1, '2097-01-01 00:00+00'), (-2, '2025-01-01 00:00+00');
CREATE TRIGGER fire AFTER INSERT OR UPDATE OR DELETE ON public.events
  FOR EACH ROW EXECUTE FUNCTION public.fire();
""".replace("%%", "%")

CONTENT = "SELECT count(*), sum(hashtextextended(e::text, 0)) FROM public.events AS e"
WHERE_ROWS_ARE = (
    "SELECT tableoid::regclass::text, count(*) FROM public.events GROUP BY 1 ORDER BY 1"
)
LEFT = """
SELECT relname FROM pg_class WHERE relname LIKE 'maintenance%'
UNION ALL SELECT proname FROM pg_proc WHERE proname LIKE 'maintenance%'
UNION ALL SELECT tgname FROM pg_trigger WHERE tgname LIKE 'maintenance%'
UNION ALL SELECT conname FROM pg_constraint WHERE conname LIKE 'maintenance%'
UNION ALL SELECT description FROM pg_description WHERE description LIKE '%maintenance:%'
UNION ALL SELECT relname FROM pg_class WHERE reloptions::text LIKE '%autovacuum%'
"""


@pytest.fixture
def policy(database: Database, tmp_path: Path) -> Policy:
    database.execute(SCHEMA)
    return make_policy(tmp_path, database.url, {**EVENTS, "start": "2026-09", "premake": 2})


def apply(policy: Policy, **arguments: Any) -> pipeline.Report:
    return pipeline.apply(policy, now=NOW, only=["partitions"], **arguments)


def the_drain(report: pipeline.Report) -> Result:
    (result,) = [r for r in report.results if r.action.kind is ActionKind.DRAIN_DEFAULT]
    return result


def reason_of(result: Result) -> str:
    assert result.cause is not None
    assert result.as_json()["error_reason"] == result.cause.reason
    return result.cause.reason


def test_rows_of_months_apart_get_partitions_and_the_others_stay(
    database: Database, policy: Policy
) -> None:
    before = database.execute(CONTENT)
    lines: list[str] = []
    report = apply(policy, progress=lines.append)
    result = the_drain(report)
    assert report.ok, [r.error for r in report.results]
    assert result.detail == {"rows": 7040, "periods": {"2026-09": 4799, "2026-11": 2241}, "left": 2}
    assert dict(database.execute(WHERE_ROWS_ARE)) == {
        "events_2026_09": 4799,
        "events_2026_10": 4960,
        "events_2026_11": 2241,
        "events_default": 2,
    }
    assert database.execute(CONTENT) == before
    assert database.execute("SELECT * FROM public.fired") == []
    assert database.execute(LEFT) == []
    assert any(re.search(r"\b100%", line) for line in lines)
    assert not pipeline.plan(policy, now=NOW).plan.actions
    database.execute("INSERT INTO public.events (id, at) VALUES (0, '2026-11-30')")
    assert database.execute("SELECT note, author, twice FROM public.events WHERE id = 0") == [
        ("n", 1, 0)
    ]
    assert database.execute("SELECT * FROM public.fired") == [("INSERT",)]
    database.execute("DELETE FROM public.users WHERE id = 2")
    assert database.execute(CONTENT)[0][0] == before[0][0] + 1 - 1200


SHAPE = """
SELECT (SELECT array_agg(d.text ORDER BY d.text)
          FROM pg_constraint k, pg_get_constraintdef(k.oid) AS d (text)
         WHERE k.conrelid = c.oid AND k.contype <> 'n'),
       (SELECT array_agg(d.text ORDER BY d.text)
          FROM pg_index i,
               regexp_replace(pg_get_indexdef(i.indexrelid), '.* USING', '') AS d (text)
         WHERE i.indrelid = c.oid AND i.indisvalid),
       (SELECT array_agg(t.tgname ORDER BY t.tgname) FROM pg_trigger t
         WHERE t.tgrelid = c.oid AND NOT t.tgisinternal),
       relrowsecurity, relforcerowsecurity, relreplident::text, reloptions, relacl::text,
       pg_get_userbyid(relowner)::text,
       (SELECT array_agg(concat(a.attname, a.attnotnull, pg_get_expr(d.adbin, d.adrelid))
                         ORDER BY a.attname)
          FROM pg_attribute a
          LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
FROM pg_class c WHERE c.oid = %s::regclass
"""


def test_copies_are_like_partitions_that_were_created(
    database: Database, policy: Policy, owner_role: Role, limited_role: Role
) -> None:
    database.give_to(owner_role)
    database.execute(f"GRANT CREATE ON SCHEMA public TO {owner_role.name}")
    database.execute(f"GRANT SELECT, INSERT ON public.events TO {limited_role.name}")
    database.execute("ALTER TABLE public.events ENABLE ROW LEVEL SECURITY")
    database.execute("ALTER TABLE public.events FORCE ROW LEVEL SECURITY")
    # Rows are copied with the rights of their owner, who is to see them all.
    database.execute(f"ALTER ROLE {owner_role.name} BYPASSRLS")
    database.execute("ALTER TABLE public.events REPLICA IDENTITY FULL")
    assert apply(policy).ok
    created = database.execute(SHAPE, ["events_2026_12"])
    assert database.execute(SHAPE, ["events_2026_09"]) == created
    assert database.execute(SHAPE, ["events_default"]) == created


@pytest.mark.pg("== 18")
def test_index_names_are_those_of_the_partition(database: Database, policy: Policy) -> None:
    apply(policy)
    names = database.execute(
        "SELECT indexrelid::regclass::text FROM pg_index"
        " WHERE indrelid = 'events_2026_09'::regclass ORDER BY 1"
    )
    assert names == [
        ("events_2026_09_author_at_idx",),
        ("events_2026_09_note_id_at_idx",),
        ("events_2026_09_pkey",),
    ]


def test_owner_who_is_no_superuser_can_drain(
    database: Database, policy: Policy, tmp_path: Path, owner_role: Role
) -> None:
    database.give_to(owner_role)
    database.execute(f"GRANT CREATE ON SCHEMA public TO {owner_role.name}")
    own = make_policy(
        tmp_path, database.url_of(owner_role), {**EVENTS, "start": "2026-09", "premake": 2}
    )
    assert apply(own).ok
    assert database.execute(LEFT) == []


def test_rows_without_a_primary_key_are_drained_doubles_included(
    database: Database, tmp_path: Path
) -> None:
    database.execute(
        "CREATE TABLE public.events (at timestamptz, what json) PARTITION BY RANGE (at)"
    )
    database.execute("CREATE TABLE public.events_default PARTITION OF public.events DEFAULT")
    database.execute(
        "INSERT INTO public.events SELECT v, '{}' FROM generate_series(1, 3),"
        " (VALUES ('2026-09-05'::timestamptz), ('2026-11-05'), ('infinity'), (NULL)) AS v (v)"
    )
    before = database.execute(CONTENT)
    assert apply(make_policy(tmp_path, database.url, {**EVENTS, "start": "2026-09"})).ok
    assert database.execute(CONTENT) == before
    assert dict(database.execute(WHERE_ROWS_ARE)) == {
        "events_2026_09": 3,
        "events_2026_11": 3,
        "events_default": 6,
    }


def test_row_security_that_would_hide_rows_from_us_stops_the_drain(
    database: Database, policy: Policy, tmp_path: Path, owner_role: Role
) -> None:
    database.give_to(owner_role)
    database.execute(f"GRANT CREATE ON SCHEMA public TO {owner_role.name}")
    database.execute("ALTER TABLE public.events_default ENABLE ROW LEVEL SECURITY")
    database.execute("ALTER TABLE public.events_default FORCE ROW LEVEL SECURITY")
    database.execute("ALTER TABLE public.events ENABLE ROW LEVEL SECURITY")
    database.execute("ALTER TABLE public.events FORCE ROW LEVEL SECURITY")
    before = database.execute(CONTENT)
    own = make_policy(
        tmp_path, database.url_of(owner_role), {**EVENTS, "start": "2026-09", "premake": 2}
    )
    report = apply(own)
    assert not report.ok
    assert database.execute(CONTENT) == before
    assert database.execute(LEFT) == []


@pytest.mark.parametrize(
    ("obstacle", "name"),
    [
        ("CREATE VIEW public.v AS SELECT * FROM public.events_default", "public.v"),
        ("CREATE PUBLICATION everything FOR ALL TABLES", "everything"),
        (
            "ALTER TABLE public.events ADD UNIQUE (note, at) DEFERRABLE",
            "events_note_at_key",
        ),
        (
            "CREATE TRIGGER own AFTER DELETE ON public.events_default"
            " FOR EACH ROW EXECUTE FUNCTION public.fire()",
            "own",
        ),
    ],
)
def test_what_a_copy_could_not_replace_stops_the_drain(
    database: Database, policy: Policy, obstacle: str, name: str
) -> None:
    if "ALL TABLES" in obstacle:
        database.execute("ALTER TABLE public.events REPLICA IDENTITY FULL")
    database.execute(obstacle)
    result = the_drain(apply(policy))
    assert result.outcome is Outcome.FAILED
    assert reason_of(result) == "obstacles"
    assert re.search(rf"\b{name}\b", str(result.error))
    assert database.execute(LEFT) == []


def test_older_snapshot_stops_the_exchange_and_is_named(
    database: Database, policy: Policy, tmp_path: Path
) -> None:
    impatient = policy.locks.model_copy(update={"give_up_after": timedelta(seconds=2)})
    hasty = policy.model_copy(update={"locks": impatient})
    reader = database.connect(autocommit=False, application_name="a long report")
    reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    reader.execute("SELECT count(*) FROM pg_class")
    before = database.execute(CONTENT)
    result = the_drain(apply(hasty))
    assert reason_of(result) == "older_transactions"
    assert "a long report" in str(result.error)
    assert reader.execute(CONTENT).fetchall() == before
    assert database.execute(LEFT) == []
    reader.rollback()
    assert apply(policy).ok
    assert database.execute(LEFT) == []
    assert FindingKind.DEFAULT_PARTITION_ROWS in {
        f.kind for f in pipeline.plan(policy, now=NOW).findings
    }


# While others are at work


def beside(words: str, work: Callable[[], object]) -> Callable[[str], None]:
    """A progress that does something, once, when a line with these words comes."""
    waiting = [words]

    def progress(line: str) -> None:
        if waiting and waiting[0] in line:
            waiting.clear()
            work()

    return progress


COPYING, INDEXING, COMPARING = "rows copied", "building indexes", "comparing rows"
CHANGES = """
UPDATE public.events SET note = 'changed' WHERE id % 10 = 1;
UPDATE public.events SET at = at + interval '61 days' WHERE id % 10 = 2 AND at < '2026-10-01';
DELETE FROM public.events WHERE id % 10 = 3;
INSERT INTO public.events (id, at) SELECT i, '2026-11-07' FROM generate_series(20001, 20100) i;
UPDATE public.events SET id = id + 30000 WHERE id BETWEEN 4990 AND 5010 OR id BETWEEN 1 AND 9;
INSERT INTO public.events (id, at) VALUES (5, '2026-09-05'), (6, '2098-01-01');
DELETE FROM public.users WHERE id = 5;
"""


@pytest.mark.parametrize("moment", [COPYING, INDEXING, "events_2026_11: building", COMPARING])
def test_changes_at_any_moment_are_in_the_partitions(
    database: Database, policy: Policy, moment: str
) -> None:
    contents: list[Any] = []

    def work() -> None:
        database.execute(CHANGES)
        contents.extend(database.execute(CONTENT))

    report = apply(policy, progress=beside(moment, work))
    assert report.ok, [result.error for result in report.results]
    assert database.execute(CONTENT) == contents
    assert database.execute(LEFT) == []


@pytest.mark.pg("== 18")
def test_functions_of_the_owner_find_their_names(database: Database, policy: Policy) -> None:
    """Such as in a CHECK: they are called for each copy, in the writers' transactions too."""
    database.execute("CREATE TABLE public.kinds AS SELECT 'row' AS kind")
    database.execute(
        "CREATE FUNCTION public.is_known(note text) RETURNS boolean LANGUAGE plpgsql STABLE AS"
        " $$ BEGIN RETURN note = 'n' OR split_part(note, ' ', 1) IN (SELECT k.kind FROM kinds k);"
        " END $$"
    )
    database.execute("ALTER TABLE public.events ADD CHECK (public.is_known(note))")

    def work() -> None:
        database.execute("UPDATE public.events SET note = 'row x' WHERE id % 7 = 0")

    report = apply(policy, progress=beside(COMPARING, work))
    assert report.ok, [result.error for result in report.results]


@pytest.mark.parametrize("moment", [COPYING, COMPARING])
def test_snapshot_that_saw_changes_keeps_the_names_and_still_sees_just_these(
    database: Database, policy: Policy, moment: str
) -> None:
    reader = database.connect(autocommit=False)
    reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    seen: list[Any] = []

    def work() -> None:
        database.execute(CHANGES)
        # A snapshot, and no lock on the table that would keep us from it.
        reader.execute("SELECT count(*) FROM pg_catalog.pg_class")
        seen.extend(database.execute(CONTENT))
        database.execute("DELETE FROM public.events WHERE id % 10 = 7")

    short = policy.locks.model_copy(update={"give_up_after": timedelta(seconds=2)})
    hasty = policy.model_copy(update={"locks": short})
    report = apply(hasty, progress=beside(moment, work))
    assert reason_of(the_drain(report)) == "older_transactions"
    assert reader.execute(CONTENT).fetchall() == seen
    assert reader.execute("SELECT count(*) FROM public.events_default").fetchone() != (0,)
    reader.commit()
    assert apply(policy).ok


@pytest.mark.pg("== 18")
def test_snapshots_of_roles_that_we_may_not_watch_are_waited_for_too(
    database: Database, policy: Policy, tmp_path: Path, owner_role: Role
) -> None:
    database.give_to(owner_role)
    database.execute(f"GRANT CREATE ON SCHEMA public TO {owner_role.name}")
    section = {**EVENTS, "start": "2026-09", "premake": 2}
    locks = {"give_up_after": "2 seconds"}
    own = make_policy(tmp_path, database.url_of(owner_role), section, locks=locks)
    reader = database.connect(autocommit=False, application_name="a superuser's report")
    reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    reader.execute("SELECT count(*) FROM pg_catalog.pg_class")
    result = the_drain(apply(own))
    assert reason_of(result) == "older_transactions"
    assert "a superuser's report" in str(result.error)
    reader.rollback()
    assert apply(own).ok


@pytest.mark.pg("== 18")
def test_transaction_that_writes_for_long_does_not_stop_the_drain(
    database: Database, policy: Policy
) -> None:
    database.execute("CREATE TABLE public.elsewhere (x int)")
    writer = database.connect(autocommit=False)
    writer.execute("INSERT INTO public.elsewhere VALUES (1)")
    busy = database.connect()
    stop = threading.Event()

    def keep_busy() -> None:
        while not stop.is_set():
            busy.execute("SELECT pg_sleep(0.001)")

    thread = threading.Thread(target=keep_busy)
    thread.start()
    report = apply(policy)
    stop.set()
    thread.join()
    writer.rollback()
    assert report.ok, [result.error for result in report.results]


@pytest.mark.pg("== 18")
@pytest.mark.parametrize("moment", [COPYING, INDEXING, COMPARING])
def test_truncate_meanwhile_passes_and_ends_the_drain(
    database: Database, policy: Policy, moment: str
) -> None:
    work = beside(moment, lambda: database.execute("TRUNCATE public.events"))
    result = the_drain(apply(policy, progress=work))
    assert reason_of(result) == "truncated"
    assert database.execute("SELECT count(*) FROM public.events") == [(0,)]
    assert database.execute(LEFT) == []


@pytest.mark.parametrize("moment", [COPYING, COMPARING])
def test_rows_without_a_key_may_change_meanwhile(
    database: Database, tmp_path: Path, moment: str
) -> None:
    database.execute("CREATE TABLE public.events (at timestamptz, n int) PARTITION BY RANGE (at)")
    database.execute("CREATE TABLE public.events_default PARTITION OF public.events DEFAULT")
    database.execute(
        "INSERT INTO public.events SELECT v, i % 3 FROM generate_series(1, 300) i,"
        " (VALUES ('2026-09-05'::timestamptz), ('2026-11-05'), ('infinity')) AS v (v)"
    )
    contents: list[Any] = []

    def work() -> None:
        database.execute(
            "INSERT INTO public.events SELECT '2026-09-05', 1 FROM generate_series(1, 7)"
        )
        database.execute("UPDATE public.events SET n = 2 WHERE n = 0 AND at < '2026-10-01'")
        database.execute(
            "UPDATE public.events SET at = '2026-09-06' WHERE n = 1 AND at > '2030-01-01'"
        )
        database.execute(
            "DELETE FROM public.events WHERE ctid IN (SELECT min(ctid) FROM public.events)"
        )
        contents.extend(database.execute(CONTENT))

    policy = make_policy(tmp_path, database.url, {**EVENTS, "start": "2026-09"})
    report = apply(policy, progress=beside(moment, work))
    assert report.ok, [result.error for result in report.results]
    assert database.execute(CONTENT) == contents
    assert database.execute(LEFT) == []


@pytest.mark.pg("== 18")
def test_rewrite_of_the_table_meanwhile_is_noticed_and_nothing_is_lost(
    database: Database, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """VACUUM FULL puts rows elsewhere behind our back, where no block is looked at again."""
    monkeypatch.setattr(backfill, "BATCH_PAGES", 40)
    database.execute("DELETE FROM public.events WHERE id < 2000")
    before = database.execute(CONTENT)
    work = beside(COPYING, lambda: database.execute("VACUUM FULL public.events_default"))
    result = the_drain(apply(policy, progress=work))
    assert reason_of(result) == "copy_differs"
    assert database.execute(CONTENT) == before
    assert database.execute(LEFT) == []
    assert apply(policy).ok
    assert database.execute(CONTENT) == before


@pytest.mark.pg("== 18")
def test_rewrite_after_the_comparison_stops_the_exchange(
    database: Database, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ALTER … USING changes every row, and fires no trigger."""
    wait = drain_apply.wait_for_older_snapshots
    altered: list[Any] = []

    def altering(*arguments: Any) -> None:
        if not altered:
            database.execute("ALTER TABLE public.events ALTER note TYPE text USING note || '!'")
            altered.extend(database.execute(CONTENT))
        wait(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(drain_apply, "wait_for_older_snapshots", altering)
        result = the_drain(apply(policy))
    assert reason_of(result) == "object_not_in_prerequisite_state"
    assert database.execute(CONTENT) == altered
    assert database.execute(LEFT) == []
    assert apply(policy).ok
    assert database.execute(CONTENT) == altered


@pytest.mark.pg("== 18")
def test_write_of_an_older_snapshot_is_no_error(database: Database, policy: Policy) -> None:
    """It can't see the copy of the row that it changes, and yet there is one."""
    writer = database.connect(autocommit=False)
    writer.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    writer.execute("SELECT count(*) FROM pg_catalog.pg_class")
    changed: list[Any] = []

    def work() -> None:
        writer.execute("UPDATE public.events SET note = 'late' WHERE id BETWEEN 100 AND 120")
        writer.execute("UPDATE public.events SET id = id + 70000 WHERE id BETWEEN 200 AND 220")
        writer.execute("DELETE FROM public.events WHERE id BETWEEN 300 AND 320")
        writer.commit()
        changed.extend(database.execute(CONTENT))

    report = apply(policy, progress=beside(COMPARING, work))
    assert report.ok, [result.error for result in report.results]
    assert database.execute(CONTENT) == changed


def test_many_periods_go_in_rounds_of_short_exchanges(
    database: Database, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "LOCKED_WORK", 1)
    before = database.execute(CONTENT)
    result = the_drain(apply(policy))
    assert result.outcome is Outcome.DONE, result.error
    assert result.detail == {"rows": 7040, "periods": {"2026-09": 4799, "2026-11": 2241}, "left": 2}
    assert database.execute(CONTENT) == before
    assert database.execute(LEFT) == []


# Interrupted

END = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name LIKE 'maintenance apply %'"
)


@pytest.mark.pg("== 18")
@pytest.mark.parametrize("moment", [COPYING, INDEXING, COMPARING])
def test_what_a_killed_drain_leaves_is_in_nobodys_way_and_removed_by_the_next_run(
    database: Database, policy: Policy, moment: str
) -> None:
    with pytest.raises(UnreachableError):
        apply(policy, progress=beside(moment, lambda: database.execute(END)))
    assert database.execute(LEFT) != []
    database.execute(CHANGES)
    before = database.execute(CONTENT)
    report = apply(policy)
    assert report.results[0].action.kind is ActionKind.REMOVE_LEFTOVERS
    assert report.ok, [result.error for result in report.results]
    assert database.execute(CONTENT) == before
    assert database.execute(LEFT) == []


@pytest.mark.pg("== 18")
def test_old_partition_that_a_killed_run_left_goes_and_takes_no_row_along(
    database: Database, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_arguments: object) -> None:
        raise UnreachableError("killed")

    before = database.execute(CONTENT)
    with monkeypatch.context() as patch:
        patch.setattr(drain_apply, "clear", die)
        with pytest.raises(UnreachableError):
            apply(policy)
    assert any(name.endswith("_old") for (name,) in database.execute(LEFT))
    assert database.execute(CONTENT) == before
    database.execute(CHANGES)
    changed = database.execute(CONTENT)
    (result,) = apply(policy).results
    assert result.action.kind is ActionKind.REMOVE_LEFTOVERS
    assert database.execute(CONTENT) == changed
    assert database.execute(LEFT) == []


@pytest.mark.pg("== 18")
@pytest.mark.parametrize("dies", [False, True])
def test_table_that_only_bears_the_name_of_a_drains_is_not_dropped(
    database: Database, policy: Policy, dies: bool
) -> None:
    ((oid,),) = database.execute("SELECT 'public.events_default'::regclass::oid")
    name = f"public.maintenance_drain_{oid}_orders"
    database.execute(f"CREATE TABLE {name} AS SELECT 1 AS id")
    check = "ALTER TABLE public.events ADD CONSTRAINT maintenance_rule CHECK (id IS NOT NULL)"
    database.execute(check)
    if dies:
        with pytest.raises(UnreachableError):
            apply(policy, progress=beside(COPYING, lambda: database.execute(END)))
    assert apply(policy).ok
    assert database.execute(f"SELECT id FROM {name}") == [(1,)]
    rules = "SELECT count(*) FROM pg_constraint WHERE conname = 'maintenance_rule'"
    assert database.execute(rules)[0][0] > 1


# A crowd


def until_more_was_done(people: Crowd) -> None:
    """Wait until the crowd has written and read some more, or found something wrong."""
    n_written, n_read = people.n_written + 25, people.n_read + 3
    until(
        lambda: bool(people.errors) or (people.n_written >= n_written and people.n_read >= n_read),
        patience_s=60,
    )


def at_work(database: Database, folder: Path, busy: list[str], seed: int) -> pipeline.Report:
    """Put the default partition right while a crowd works on the table."""
    section = {**EVENTS, "premake": 2, "start": month(-3)[:7]}
    policy = make_policy(folder, database.url, section, locks={"give_up_after": "1 minute"})
    with crowd(database, busy, seed) as people:
        until_more_was_done(people)
        n_before = people.n_written
        report = pipeline.apply(policy, only=["partitions"])
        n_meanwhile = people.n_written - n_before
        until_more_was_done(people)
    assert people.errors == []
    assert n_meanwhile > 0, "nobody wrote while it ran"
    assert rows_there(database) == people.rows
    assert database.execute(LEFT) == []
    return report


@pytest.mark.parametrize("seed", [1])
def test_crowd_that_writes_and_reads_all_the_time_notices_no_drain(
    database: Database, tmp_path: Path, seed: int
) -> None:
    build(database, [-1], [*moments(*SPREAD), *FAR], 15_000)
    report = at_work(database, tmp_path, [*moments(*SPREAD, -1), *FAR], seed)
    assert the_drain(report).outcome is Outcome.DONE, the_drain(report).error


@pytest.mark.parametrize("seed", [1])
def test_crowd_that_writes_and_reads_all_the_time_notices_no_swap(
    database: Database, tmp_path: Path, seed: int
) -> None:
    build(database, [-3, -2, 1, 2], moments(*NEIGHBOURS), 15_000)
    report = at_work(database, tmp_path, moments(*NEIGHBOURS, -2, 1), seed)
    assert [r.action.kind for r in report.results] == [ActionKind.SWAP_DEFAULT]
    assert report.ok, report.results[0].error


@pytest.mark.slow
@pytest.mark.parametrize("trees", [(), ("months",), ("default",), ("months", "default")])
@pytest.mark.parametrize("seed", range(2, 7))
def test_no_crowd_notices_a_drain(
    database: Database, tmp_path: Path, seed: int, trees: tuple[str, ...]
) -> None:
    build(database, [-1], [*moments(*SPREAD), *FAR], 20_000, trees)
    report = at_work(database, tmp_path, [*moments(*SPREAD, -1), *FAR], seed)
    assert the_drain(report).outcome is Outcome.DONE, the_drain(report).error


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_no_crowd_notices_a_swap_of_trees(database: Database, tmp_path: Path, seed: int) -> None:
    build(database, [-3, -2, 1, 2], moments(*NEIGHBOURS), 15_000, ("months", "default"))
    report = at_work(database, tmp_path, moments(*NEIGHBOURS, -2, 1), seed)
    assert [r.action.kind for r in report.results] == [ActionKind.SWAP_DEFAULT]
    assert report.ok, report.results[0].error
