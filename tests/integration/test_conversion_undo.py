"""A conversion that is taken back: from every state, with everything as it was before."""

from pathlib import Path
from typing import Any

import pytest

from maintenance.engine.actions import ActionKind, HeldBy
from maintenance.engine.executor import Outcome
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.lock_retry import Progress
from maintenance.engine.scope import Request
from maintenance.errors import UsageError
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.undo import UndoReport, undo
from maintenance.policy import Policy
from tests.builders import Database, Role
from tests.conversions import EVENTS, N_ROWS, PLAIN, RICH, grants, shape
from tests.integration.test_conversion_matviews import VIEWS
from tests.integration.test_conversion_references import LONGER, PAIRS, SINGLE
from tests.policies import make_policy

KIND = "SELECT relkind::text FROM pg_class WHERE oid = 'public.events'::regclass"
LEFT = "SELECT relname FROM pg_class WHERE relname ~ '^maintenance_' AND relkind IN ('r', 'm', 'i')"
LATER = "INSERT INTO public.events VALUES (0, now() + interval '65 days')"


class ClientDiedError(BaseException):
    """Ends a run without any of its clean-up."""


def apply(policy: Policy, **arguments: Any) -> pipeline.Report:
    return pipeline.apply(policy, only=["conversion"], **arguments)


def die_at(text: str) -> Progress:
    def die(line: str) -> None:
        if text in line:
            raise ClientDiedError

    return die


def killed_before(policy: Policy, step: str, *, again: bool = False) -> None:
    with pytest.raises(ClientDiedError):
        apply(policy, request=Request(again=again), progress=die_at(f"step {step} of"))


def undone(policy: Policy, run: str = "last") -> UndoReport:
    report = undo(policy, run)
    assert not [r.error for r in report.results if r.error], [str(r.error) for r in report.results]
    assert report.ok
    return report


def finding(report: pipeline.Report) -> Finding:
    (found,) = [f for f in report.findings if f.kind is FindingKind.NOT_PARTITIONED]
    return found


def policy_of(database: Database, folder: Path, **further: Any) -> Policy:
    return make_policy(folder, database.url, {**EVENTS, **further})


def test_undone_table_is_what_it_was_with_everything_on_it(
    database: Database, tmp_path: Path, owner_role: Role, limited_role: Role
) -> None:
    database.execute(RICH)
    database.execute(grants(limited_role))
    database.give_to(owner_role)
    database.execute(f"ALTER STATISTICS public.events_stat OWNER TO {owner_role.name}")
    before = shape(database)
    policy = policy_of(database, tmp_path)
    assert apply(policy).ok
    database.execute("INSERT INTO public.events (kind) VALUES ('new')")
    undone(policy)
    after = shape(database)
    # the serial's and the identity's sequences have gone on
    assert {kind for kind, _, _ in set(before) ^ set(after)} <= {"sequence"}
    ((n_rows,),) = database.execute("SELECT count(*) FROM public.events")
    assert n_rows == N_ROWS + 1


DEPENDENTS: dict[str, tuple[str, dict[str, Any]]] = {
    "foreign keys": (PAIRS, {}),
    "foreign keys with a further column": (SINGLE, LONGER),
    "materialized views": (VIEWS, {}),
}


@pytest.mark.parametrize("name", DEPENDENTS)
def test_undone_table_has_its_foreign_keys_and_materialized_views_again(
    database: Database, tmp_path: Path, name: str
) -> None:
    setup, further = DEPENDENTS[name]
    database.execute(setup)
    before = shape(database)
    policy = policy_of(database, tmp_path, **further)
    assert apply(policy).ok
    undone(policy)
    assert shape(database) == before
    assert database.execute(LEFT) == []
    killed_before(policy, "1", again=True)
    undone(policy)
    # after the swap, before what follows
    with pytest.raises(ClientDiedError):
        apply(policy, request=Request(again=True), progress=die_at("create partition"))
    undone(policy)
    assert shape(database) == before
    assert database.execute(LEFT) == []


@pytest.mark.in_turn
def test_undo_is_refused_without_disk_for_its_materialized_views(
    database: Database, tmp_path: Path
) -> None:
    database.execute(VIEWS)
    assert apply(policy_of(database, tmp_path)).ok
    before = shape(database)
    limits = {"preflight": {"free_disk": "900 TB"}}
    (result,) = undo(make_policy(tmp_path, database.url, EVENTS, indexes=limits)).results
    assert result.outcome is Outcome.FAILED
    assert result.cause is not None
    assert result.cause.reason == "free_disk_low"
    assert shape(database) == before
    undone(policy_of(database, tmp_path))


def test_undone_conversion_is_held_until_it_is_asked_for_again(
    database: Database, tmp_path: Path
) -> None:
    database.execute(PLAIN)
    before = shape(database)
    policy = policy_of(database, tmp_path)
    assert apply(policy).ok
    report = undone(policy)
    assert shape(database) == before
    again = apply(policy)
    (result,) = again.results
    assert result.action.held is not None
    assert result.action.held.by is HeldBy.UNDONE
    assert finding(again).data["reasons"] == ["undone"]
    assert finding(again).data["undone_by"] == report.undo_id
    assert finding(again).severity is Severity.WARN
    assert shape(database) == before
    assert apply(policy, request=Request(again=True)).ok
    assert database.execute(KIND) == [("p",)]
    undone(policy)
    assert shape(database) == before


@pytest.mark.parametrize("step", range(1, 9))
def test_undone_run_that_was_killed_leaves_no_trace(
    database: Database, tmp_path: Path, step: int
) -> None:
    database.execute(PLAIN)
    database.execute("ALTER TABLE public.events ALTER at DROP NOT NULL")
    before = shape(database)
    policy = policy_of(database, tmp_path)
    killed_before(policy, str(step))
    undone(policy)
    assert shape(database) == before
    assert finding(apply(policy)).data["reasons"] == ["undone"]
    assert shape(database) == before


def test_undo_includes_what_killed_runs_began(database: Database, tmp_path: Path) -> None:
    database.execute(PLAIN)
    database.execute("ALTER TABLE public.events ALTER at DROP NOT NULL")
    before = shape(database)
    policy = policy_of(database, tmp_path)
    killed_before(policy, "4")
    killed_before(policy, "2")
    assert apply(policy).ok
    undone(policy)
    assert shape(database) == before


def test_undo_of_an_earlier_run_names_the_one_that_went_on(
    database: Database, tmp_path: Path
) -> None:
    database.execute(PLAIN)
    policy = policy_of(database, tmp_path)
    killed_before(policy, "2")
    ((first,),) = database.execute("SELECT id::text FROM maintenance.run")
    killed_before(policy, "2")
    report = undo(policy, first)
    assert report.results == ()
    assert [each.kind for each in report.kept] == [ActionKind.CONVERT_TABLE]
    undone(policy)


def test_rows_behind_the_first_partition_keep_it(database: Database, tmp_path: Path) -> None:
    database.execute(PLAIN)
    policy = policy_of(database, tmp_path)
    assert apply(policy).ok
    database.execute(LATER)
    report = undo(policy)
    assert not report.ok
    assert not report.is_complete
    assert report.results == ()
    (kept,) = report.kept
    assert kept.is_refused
    ((where,),) = database.execute(
        "SELECT tableoid::regclass::text FROM public.events WHERE id = 0"
    )
    assert where.removeprefix("public.") in kept.reason
    assert database.execute(KIND) == [("p",)]
    assert apply(policy).findings == ()
    database.execute(f"TRUNCATE public.{where.removeprefix('public.')}")
    undone(policy)
    assert database.execute(KIND) == [("r",)]


def test_many_partitions_with_rows_are_counted(database: Database, tmp_path: Path) -> None:
    database.execute(PLAIN)
    policy = policy_of(database, tmp_path)
    assert apply(policy).ok
    for year in range(2040, 2048):
        database.execute(
            f"CREATE TABLE public.year_{year} PARTITION OF public.events"
            f" FOR VALUES FROM ('{year}-01-01 00:00+00') TO ('{year + 1}-01-01 00:00+00');"
            f" INSERT INTO public.events VALUES (0, '{year}-06-01')"
        )
    (kept,) = undo(policy).kept
    years = ", ".join(f"public.year_{year}" for year in range(2040, 2045))
    assert kept.reason.startswith(f"{years} and 3 more has rows"), kept.reason


CHANGES = {
    "ALTER TABLE public.events ADD extra int": "extra",
    "CREATE INDEX later_index ON public.events (note)": "later_index",
    "GRANT SELECT ON public.events TO PUBLIC": "table",
    "CREATE VIEW public.later_view AS SELECT id FROM public.events": "public.later_view",
    "CREATE TRIGGER later_trigger BEFORE UPDATE ON public.events FOR EACH ROW"
    " EXECUTE FUNCTION suppress_redundant_updates_trigger()": "later_trigger",
    "CREATE MATERIALIZED VIEW public.later_matview AS SELECT count(*) AS n"
    " FROM public.events": "public.later_matview",
    "CREATE TABLE public.later (id bigint, at timestamptz, CONSTRAINT later_key"
    " FOREIGN KEY (id, at) REFERENCES public.events)": "public.later later_key",
    "CREATE VIEW public.view_of_first AS SELECT id FROM {first}": "public.view_of_first",
    "CREATE MATERIALIZED VIEW public.matview_of_first AS SELECT max(id) AS id"
    " FROM {first}": "public.matview_of_first",
    "CREATE INDEX index_of_first ON {first} (note)": "index_of_first",
    "CREATE TRIGGER trigger_of_first BEFORE UPDATE ON {first} FOR EACH ROW"
    " EXECUTE FUNCTION suppress_redundant_updates_trigger()": "trigger_of_first",
    "CREATE STATISTICS public.statistics_of_first ON id, note FROM {first}": "statistics_of_first",
    "ALTER TABLE {first} ADD CONSTRAINT check_of_first CHECK (id > 0)": "check_of_first",
    "CREATE TABLE public.later_of_first (id bigint, at timestamptz, CONSTRAINT key_of_first"
    " FOREIGN KEY (id, at) REFERENCES {first} (id, at))": "public.later_of_first key_of_first",
    "ALTER TABLE {first} ALTER note SET DEFAULT 'x'": "note",
}
"""Changes since the conversion, with what must be named."""


def refusal(database: Database, policy: Policy) -> str:
    """Why an undo is refused, before it does anything."""
    before = shape(database)
    report = undo(policy)
    assert not report.ok
    assert report.results == ()
    (kept,) = report.kept
    assert kept.is_refused
    assert shape(database) == before
    again = apply(policy)
    assert (again.results, again.findings) == ((), ())
    return kept.reason


@pytest.mark.in_turn
@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_since_keeps_it_partitioned(
    database: Database, tmp_path: Path, change: str
) -> None:
    database.execute(PLAIN)
    policy = policy_of(database, tmp_path)
    (result,) = apply(policy).results
    database.execute(change.format(first=result.detail["first_partition"]))
    assert CHANGES[change] in refusal(database, policy)


@pytest.mark.in_turn
def test_all_reasons_against_an_undo_are_told_at_once(database: Database, tmp_path: Path) -> None:
    database.execute(PLAIN)
    policy = policy_of(database, tmp_path)
    (result,) = apply(policy).results
    for change in CHANGES:
        database.execute(change.format(first=result.detail["first_partition"]))
    database.execute("INSERT INTO public.events (id, at) VALUES (1, now() + interval '65 days')")
    ((where,),) = database.execute(
        "SELECT tableoid::regclass::text FROM public.events WHERE at > now() + interval '64 days'"
    )
    reason = refusal(database, policy)
    assert [each for each in (where, *CHANGES.values()) if each not in reason] == []


def test_split_first_partition_is_kept(database: Database, tmp_path: Path) -> None:
    database.execute(PLAIN)
    policy = policy_of(database, tmp_path)
    (result,) = apply(policy).results
    first = result.detail["first_partition"]
    database.execute(f"ALTER TABLE public.events DETACH PARTITION {first}")
    (kept,) = undo(policy).kept
    assert kept.is_refused


def test_table_in_report_mode_is_not_undone(database: Database, tmp_path: Path) -> None:
    database.execute(PLAIN)
    assert apply(policy_of(database, tmp_path)).ok
    with pytest.raises(UsageError) as caught:
        undo(policy_of(database, tmp_path, mode="report"))
    assert caught.value.reason == HeldBy.REPORT_MODE
    assert database.execute(KIND) == [("p",)]


def test_undo_that_was_interrupted_is_completed(database: Database, tmp_path: Path) -> None:
    database.execute(PLAIN)
    before = shape(database)
    policy = policy_of(database, tmp_path)
    assert apply(policy).ok
    (oid,) = database.execute(
        "SELECT inhrelid::bigint FROM pg_inherits WHERE inhparent = 'public.events'::regclass"
        " ORDER BY inhrelid LIMIT 1"
    )[0]
    ((first,),) = database.execute("SELECT %s::regclass::text", [oid])
    name = f"maintenance_convert_{oid}_key"
    database.execute(f"CREATE UNIQUE INDEX {name} ON {first} (id)")
    database.execute(
        f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'public.{name}'::regclass"
    )
    undone(policy)
    assert shape(database) == before
