"""The plan of a conversion: its steps in every state, and all reasons against it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance.catalog.models import Column, Properties, Server, Table
from maintenance.engine.actions import Action, ActionKind, Lock, LockMode
from maintenance.engine.findings import FindingKind, Severity
from maintenance.engine.plan import Plan
from maintenance.engine.scope import EVERYTHING, Request
from maintenance.names import MAX_NAME_BYTES, QualifiedName
from maintenance.policy.partitions import PartitionPolicy
from maintenance.server.statements import Ours
from maintenance.subjects.conversion.matviews import Twin, is_fill
from maintenance.subjects.conversion.models import (
    ConversionObservation,
    ConvertibleTable,
    Definition,
    DependentMatview,
    Fact,
    Helper,
    KeyRange,
    Sizes,
)
from maintenance.subjects.conversion.plan import plan
from maintenance.subjects.conversion.proof import digest, expected, is_exchange, with_kept
from maintenance.subjects.conversion.target import check_name, other_name, target_of
from maintenance.subjects.conversion.undo import undo_steps

NOW = datetime(2026, 11, 29, 6, tzinfo=UTC)
OID = 4711
EVENTS = QualifiedName("public", "events")
SERVER = Server(180004, "app", "maint", False, False, "UTF8", 0.0)
GIGABYTE = 1024**3


def column(name: str, place: int, **facts: Any) -> Fact:
    usual: dict[str, Any] = {
        "place": place,
        "not_null": True,
        "identity": "",
        "generated": "",
        "default": None,
        "options": None,
    }
    return Fact("column", name, {**usual, **facts})


def constraint(name: str, kind: str, text: str, columns: list[str], **facts: Any) -> Fact:
    usual: dict[str, Any] = {
        "type": kind,
        "text": text,
        "columns": columns,
        "valid": True,
        "deferrable": False,
        "no_inherit": False,
        "enforced": True,
        "period": False,
        "references": None,
        "may_reference": True,
        "comment": None,
    }
    return Fact("constraint", name, {**usual, **facts})


def index(name: str, text: str, columns: list[str | None], **facts: Any) -> Fact:
    usual: dict[str, Any] = {
        "text": text,
        "columns": columns,
        "unique": False,
        "valid": True,
        "replica_identity": False,
        "clustered": False,
        "constraint": None,
        "tablespace": None,
        "targets": 0,
        "comment": None,
    }
    return Fact("index", name, {**usual, **facts})


def trigger(**facts: Any) -> Fact:
    usual: dict[str, Any] = {
        "text": "CREATE TRIGGER t BEFORE INSERT ON public.events FOR EACH ROW EXECUTE FUNCTION f()",
        "enabled": "O",
        "row": True,
        "before": True,
        "constraint": False,
        "transition": False,
        "language": "plpgsql",
        "builtin": False,
        "source": "BEGIN RETURN NEW; END",
        "executable": True,
        "comment": None,
    }
    return Fact("trigger", "t", {**usual, **facts})


def view(**facts: Any) -> Fact:
    usual: dict[str, Any] = {
        "text": " SELECT id FROM public.events;",
        "options": None,
        "owner": "app_owner",
        "plain": True,
        "whole_row": False,
    }
    return Fact("view", "public.v", {**usual, **facts})


def publication(**facts: Any) -> Fact:
    usual: dict[str, Any] = {
        "scope": "table",
        "columns": None,
        "where": None,
        "via_root": True,
        "usable": True,
    }
    return Fact("publication", "p", {**usual, **facts})


def sequence(**facts: Any) -> Fact:
    usual: dict[str, Any] = {
        "schema": "public",
        "name": "events_id_seq",
        "dependency": "a",
        "column": "id",
        "persistence": "p",
        "owner": "app_owner",
        "comment": None,
        "grants": [],
    }
    return Fact("sequence", "public.events_id_seq", {**usual, **facts})


def reference(**facts: Any) -> Fact:
    """A foreign key of `public.notes`, which is not null, on the id alone."""
    usual: dict[str, Any] = {
        "schema": "public",
        "table": "notes",
        "constraint": "fk",
        "relkind": "r",
        "owner": "app_owner",
        "text": "FOREIGN KEY (event_id) REFERENCES public.events(id) ON DELETE SET NULL",
        "columns": ["event_id"],
        "referenced": ["id"],
        "on_update": "a",
        "on_delete": "n",
        "match": "s",
        "deletes_some": False,
        "valid": True,
        "enforced": True,
        "period": False,
        "disabled": False,
        "usable": True,
        "lends": True,
        "may_reference": True,
        "reader": "app_owner",
        "others": {
            "event_id": ["bigint", True],
            "event_at": ["timestamp with time zone", True],
            "day": ["date", True],
            "maybe": ["timestamp with time zone", False],
        },
        "checks": None,
        "comment": None,
    }
    return Fact("reference", "public.notes fk", {**usual, **facts})


AROUND = ("disabled", "usable", "lends", "may_reference", "reader", "others", "checks")


def split(facts: Iterable[Fact]) -> Iterator[Fact]:
    """Split foreign keys into what they are, and what is around them."""
    for fact in facts:
        if fact.kind != "reference":
            yield fact
            continue
        found = fact.definition
        yield fact._replace(definition={k: v for k, v in found.items() if k not in AROUND})
        yield Fact("referencing", fact.name, {key: found[key] for key in AROUND})


def paired(**facts: Any) -> Fact:
    """A foreign key that has the partition key already."""
    text = "FOREIGN KEY (event_id, event_at) REFERENCES public.events(id, at)"
    columns, referenced = ["event_id", "event_at"], ["id", "at"]
    usual: dict[str, Any] = {"text": text, "columns": columns, "referenced": referenced}
    return reference(**{**usual, "on_delete": "a", **facts})


def longer(column: str = "event_at") -> PartitionPolicy:
    """The policy with a further column of the foreign key."""
    return section(referenced_by=[{"table": "public.notes", "constraint": "fk", "column": column}])


def table_fact(**facts: Any) -> Fact:
    usual: dict[str, Any] = {
        "owner": "app_owner",
        "persistence": "p",
        "replica_identity": "d",
        "of_type": False,
        "comment": None,
    }
    return Fact("table", "", {**usual, **facts})


def storage(**facts: Any) -> Fact:
    usual: dict[str, Any] = {"options": None, "toast_options": None, "access_method": "heap"}
    return Fact("storage", "", {**usual, **facts})


KEY = constraint("events_pkey", "p", "PRIMARY KEY (id)", ["id"])
KEY_INDEX = index(
    "events_pkey",
    "CREATE UNIQUE INDEX events_pkey ON public.events USING btree (id)",
    ["id"],
    unique=True,
    constraint="events_pkey",
)
OTHER_KEY_INDEX = KEY_INDEX._replace(
    definition={**KEY_INDEX.definition, "text": "CREATE UNIQUE INDEX events_pkey …"}
)
FACTS = (table_fact(), storage(), column("id", 1), column("at", 2), KEY, KEY_INDEX)


def section(**keys: Any) -> PartitionPolicy:
    usual = {"table": "public.events", "column": "at", "convert": "online"}
    return PartitionPolicy.model_validate({**usual, **keys})


def plain_table(type_: str = "timestamp with time zone", **fields: Any) -> Table:
    columns = (Column("id", "bigint"), Column("at", type_))
    return Table(OID, EVENTS, "r", columns, Properties("app_owner"), **fields)


def events(*further: Fact, **fields: Any) -> ConvertibleTable:
    usual: dict[str, Any] = {
        "section": section(),
        "table": plain_table(),
        "facts": (*FACTS, *split(further)),
        "sizes": Sizes(20 * GIGABYTE, 30 * GIGABYTE, 1e8, GIGABYTE),
        "key_range": KeyRange("2024-03-05 00:00:00+00", "2026-11-29 05:59:00+00"),
    }
    return ConvertibleTable(**{**usual, **fields})


def planned(seen: ConvertibleTable, request: Request = EVERYTHING) -> Plan:
    return plan(ConversionObservation(SERVER, (seen,)), NOW, request)


def the_action(seen: ConvertibleTable) -> Action:
    (action,) = planned(seen).actions
    return action


def reasons(seen: ConvertibleTable) -> list[str]:
    (finding,) = planned(seen).findings
    assert finding.kind is FindingKind.NOT_PARTITIONED
    assert finding.severity is Severity.ERROR
    assert not [a for a in planned(seen).actions if a.kind is ActionKind.CONVERT_TABLE]
    return finding.data["reasons"]


def heads(action: Action) -> list[str]:
    """What the steps do, by the last statement of each."""
    return [step.statements[-1].split(" public")[0] for step in action.steps]


# Steps


def test_steps_build_the_key_then_the_bound_then_swap_then_create_the_months() -> None:
    action = the_action(events())
    assert action.kind is ActionKind.CONVERT_TABLE
    assert heads(action) == [
        "CREATE UNIQUE INDEX CONCURRENTLY maintenance_convert_4711_key ON",
        "ALTER TABLE",
        "ALTER TABLE",
        "SELECT 'swap of",
        "ALTER TABLE",
        "ALTER TABLE",
        "ANALYZE ONLY",
    ]
    assert action.detail["first_partition"] == "public.events_2024_03_to_2026_12"
    assert action.detail["until"] == "2027-01"
    assert action.detail["key"] == ["id", "at"]
    assert len(action.detail["steps"]) == len(action.steps)
    assert action.detail["estimated_s"] > 0
    (finding,) = planned(events()).findings
    assert finding.severity is Severity.WARN
    assert finding.data["steps_left"] == len(action.steps)


def test_only_the_swap_and_changes_of_checks_block_writers() -> None:
    action = the_action(events())
    blocking = [
        place
        for place, step in enumerate(action.steps)
        if any(lock.mode is LockMode.ACCESS_EXCLUSIVE for lock in step.locks)
    ]
    assert blocking == [1, 3]
    assert [step.owner for step in action.steps] == [None, *["app_owner"] * 5, None]


INDEX = Helper("index", f"maintenance_convert_{OID}_key", True, ("id", "at"))
CHECK = Helper("check", "maintenance_convert_until_2027_01", False)


@pytest.mark.parametrize(
    ("helpers", "n_steps"),
    [
        ((), 7),
        ((INDEX._replace(is_valid=False),), 8),
        ((INDEX._replace(columns=("at", "id")),), 8),
        ((INDEX,), 6),
        ((INDEX, CHECK), 5),
        ((INDEX, CHECK._replace(is_valid=True)), 4),
        ((INDEX, Helper("check", "maintenance_convert_until_2026_12", True)), 7),
        ((INDEX, Helper("check", "maintenance_convert_until_soon", True)), 7),
        ((INDEX, Helper("check", "maintenance_convert_not_null", True)), 7),
    ],
)
def test_what_earlier_runs_have_done_is_not_planned_again(
    helpers: tuple[Helper, ...], n_steps: int
) -> None:
    assert len(the_action(events(helpers=helpers)).steps) == n_steps


@pytest.mark.parametrize(
    ("helpers", "n_steps"),
    [
        ((), 8),
        ((INDEX,), 7),
        ((INDEX, CHECK), 6),
        ((INDEX, CHECK._replace(is_valid=True)), 5),
    ],
)
def test_nullable_key_is_set_not_null(helpers: tuple[Helper, ...], n_steps: int) -> None:
    facts = tuple(column("at", 2, not_null=False) if f.name == "at" else f for f in FACTS)
    assert len(the_action(events(facts=facts, helpers=helpers)).steps) == n_steps


def test_key_that_has_the_column_is_not_extended() -> None:
    key = constraint("events_pkey", "p", "PRIMARY KEY (at, id)", ["at", "id"])
    made = index(
        "events_pkey",
        "CREATE UNIQUE INDEX events_pkey ON public.events USING btree (at, id)",
        ["at", "id"],
        unique=True,
        constraint="events_pkey",
    )
    facts = (*FACTS[:4], key, made)
    assert len(the_action(events(facts=facts)).steps) == 6
    assert len(the_action(events(facts=FACTS[:4])).steps) == 6  # without a key


def test_plan_again_is_the_same() -> None:
    assert the_action(events()).id == the_action(events()).id


def test_periods_asked_for_by_hand_convert_nothing() -> None:
    assert planned(events(), Request(periods=("2026-12",))).actions == ()


def test_size_below_the_limit_is_information() -> None:
    small = Sizes(GIGABYTE, GIGABYTE, 1e6, 1)
    (finding,) = planned(events(sizes=small)).findings
    assert finding.severity is Severity.INFO
    assert finding.value == GIGABYTE
    assert planned(events(sizes=small)).actions == ()
    # what has begun is ended, whatever the size is now
    assert planned(events(sizes=small, helpers=(INDEX,))).actions != ()


# Bounds


@pytest.mark.parametrize(
    ("keys", "last", "until"),
    [
        ({}, "2026-11-29 05:00:00+00", "2027-01"),
        ({}, "2026-11-30 05:00:00+00", "2027-01"),
        # rows of the future: behind the horizon
        ({}, "2026-12-05 05:00:00+00", "2027-03"),
        ({"premake": 6}, "2027-02-05 05:00:00+00", "2027-06"),
        ({"interval": "1 day"}, "2026-11-29 05:00:00+00", "2026-12-14"),
        ({"interval": "1 week"}, "2026-11-29 05:00:00+00", "2026-12-14"),
        ({"interval": "1 year"}, "2026-11-29 05:00:00+00", "2028"),
    ],
)
def test_bound_is_where_no_application_writes(keys: Any, last: str, until: str) -> None:
    seen = events(section=section(**keys), key_range=KeyRange("2024-03-05 00:00:00+00", last))
    target = target_of(seen, NOW)
    assert target.until.period.key == until
    assert target.following[0][1] == target.until


@given(st.integers(0, 3000), st.sampled_from(["1 day", "1 week", "1 month", "3 months", "1 year"]))
def test_bound_leaves_two_weeks_and_months_follow_without_gaps(day: int, interval: str) -> None:
    now = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=day)
    last = f"{now:%Y-%m-%d %H:%M:%S}+00"
    seen = events(section=section(interval=interval), key_range=KeyRange(last, last))
    target = target_of(seen, now)
    assert target.until.lower >= now + timedelta(days=14)
    slots = [slot for _, slot in target.following]
    assert slots[0].lower == target.until.lower
    assert all(a.upper == b.lower for a, b in pairwise(slots))
    names = [target.first, *(name for name, _ in target.following)]
    assert len(set(names)) == len(names)


def test_check_of_an_earlier_run_is_kept_while_it_leaves_a_week() -> None:
    kept = Helper("check", "maintenance_convert_until_2026_12", True)
    early = datetime(2026, 11, 20, tzinfo=UTC)
    range_ = KeyRange("2024-03-05 00:00:00+00", "2026-11-19 05:59:00+00")
    seen = events(helpers=(kept,), key_range=range_)
    assert target_of(seen, early).check == kept.name
    assert target_of(seen, early + timedelta(days=5)).check != kept.name
    beyond = replace(seen, key_range=KeyRange(range_.first, "2026-12-01 00:00:00+00"))
    assert target_of(beyond, early).check != kept.name


@given(
    st.text("abcdefgéx_", min_size=1, max_size=63),
    st.text("abcdefgéx_", min_size=1, max_size=40),
)
def test_other_names_fit_and_differ(name: str, table: str) -> None:
    new = other_name(name, table, f"{table}_2024_01_to_2026_12")
    assert len(new.encode()) <= MAX_NAME_BYTES
    assert new != name


def test_name_of_the_check_says_its_period() -> None:
    assert check_name(target_of(events(), NOW).until.period) == "maintenance_convert_until_2027_01"


# Reasons


REFUSED: Mapping[str, tuple[Fact, ...]] = {
    "unlogged": (),
    "unique_without_key": (constraint("u", "u", "UNIQUE (note)", ["note"]),),
    "exclusion": (constraint("x", "x", "EXCLUDE …", ["note"]),),
    "deferrable": (constraint("u", "u", "UNIQUE (id, at)", ["id", "at"], deferrable=True),),
    "not_valid": (constraint("c", "c", "CHECK (true) NOT VALID", [], valid=False),),
    "no_inherit": (constraint("c", "c", "CHECK (true) NO INHERIT", [], no_inherit=True),),
    "not_enforced": (constraint("c", "c", "CHECK (true)", [], enforced=False),),
    "period": (constraint("u", "u", "UNIQUE (id, at …)", ["id", "at"], period=True),),
    "references_itself": (
        constraint("f", "f", "FOREIGN KEY …", ["parent"], references=["public", "events"]),
    ),
    "owner_lacks_references": (
        constraint("f", "f", "…", ["a"], references=["public", "users"], may_reference=False),
    ),
    "invalid_index": (index("i", "CREATE INDEX i …", ["note"], valid=False),),
    "clustered": (index("i", "CREATE INDEX i …", ["note"], clustered=True),),
    "index_tablespace": (index("i", "CREATE INDEX i …", ["note"], tablespace="fast"),),
    "index_statistics": (index("i", "CREATE INDEX i …", [None], targets=1),),
    "replica_identity": (index("i", "CREATE INDEX i …", ["id"], replica_identity=True),),
    "constraint_trigger": (trigger(constraint=True, before=False),),
    "transition_tables": (trigger(transition=True, before=False),),
    "trigger_function": (trigger(executable=False),),
    "trigger_unreadable": (trigger(language="c"),),
    "trigger_names_table": (trigger(source="BEGIN RAISE LOG '%', tg_table_name; END"),),
    "trigger_sets_key": (trigger(source='BEGIN NEW."at" := now(); RETURN NEW; END'),),
    "view_of_other_owner": (view(owner="other"),),
    "view_needs_table": (view(whole_row=True),),
    "view_reads_only": (view(text=" SELECT id FROM ONLY public.events;"),),
    "publication_of_partitions": (publication(via_root=False),),
    "publication_owner": (publication(usable=False),),
    "publication_lacks_key": (publication(columns=["id"]),),
    "statistics_owner": (Fact("statistics", "public.s", {"owner": "other"}),),
    "sequence_owner": (sequence(owner="other"),),
    "sequence_unlogged": (sequence(persistence="u"),),
    "rule": (Fact("rule", "r", {}),),
    "inheritance": (Fact("inheritance", "a of b", {}),),
    "subscription": (Fact("subscription", "1", {}),),
    "extension": (Fact("extension", "e", {}),),
    "security_label": (Fact("security label", "selinux", {}),),
    "referenced": (reference(),),
    "reference_owner": (paired(usable=False)._replace(name="public.notes fk2"),),
    "reference_definition": (paired(relkind="p")._replace(name="public.notes fk3"),),
    "dependent_object": (Fact("dependent", "function f", {"on": "table", "relkind": None}),),
}


@pytest.mark.parametrize("code", REFUSED)
def test_reason(code: str) -> None:
    seen = events(*REFUSED[code])
    if code == "unlogged":
        seen = events(facts=(table_fact(persistence="u"), *FACTS[1:]))
    assert reasons(seen) == [code]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"key_range": KeyRange(None, None, True)}, "null_keys"),
        ({"key_range": KeyRange("a", "infinity")}, "infinite_keys"),
        ({"key_range": KeyRange("-infinity", "2026-11-01 00:00:00+00")}, "infinite_keys"),
        ({"key_range": KeyRange("a", "2097-01-01 00:00:00+00")}, "future_rows"),
        ({"key_range": KeyRange("a", "nonsense")}, "key_unreadable"),
        ({"key_range": KeyRange(error="too slow")}, "key_range_unknown"),
        ({"taken": frozenset({EVENTS})}, "name_taken"),
        ({"table": plain_table("text")}, "other_type"),
        ({"table": plain_table(manageable=False)}, "not_owner"),
        ({"table": plain_table(lends=False)}, "owner_lacks_temporary"),
        ({"table": plain_table(owner_creates=False)}, "owner_lacks_create"),
        ({"section": section(schema="archive")}, "other_schema"),
        ({"section": section(column="when")}, "no_such_column"),
        ({"facts": (table_fact(of_type=True), *FACTS[1:])}, "typed_table"),
        ({"facts": (FACTS[0], storage(access_method="columnar"), *FACTS[2:])}, "access_method"),
        ({"facts": (*FACTS[:3], column("at", 2, generated="s"), *FACTS[4:])}, "generated_key"),
        (
            {"facts": (*FACTS[:5], OTHER_KEY_INDEX)},
            "key_definition",
        ),
    ],
)
def test_reason_of_rows_rights_and_policy(fields: dict[str, Any], code: str) -> None:
    assert reasons(events(**fields)) == [code]


@pytest.mark.parametrize(
    ("text", "fails"),
    [
        ('INSERT INTO "public"."events" ("id") VALUES ($1) ON CONFLICT ("id") DO NOTHING', True),
        (
            "insert into events (id, at)\n values ($1, $2)\n on conflict (id) do nothing",
            True,
        ),
        ("INSERT INTO events VALUES ($1) ON CONFLICT (at, id) DO NOTHING", False),
        ("INSERT INTO events VALUES ($1) ON CONFLICT DO NOTHING", False),
        ("INSERT INTO events VALUES ($1) ON CONFLICT ON CONSTRAINT events_pkey DO NOTHING", False),
        ("INSERT INTO other.events VALUES ($1) ON CONFLICT (id) DO NOTHING", False),
        ("INSERT INTO events_log VALUES ($1) ON CONFLICT (id) DO NOTHING", False),
        (
            "INSERT INTO events SELECT 1; INSERT INTO logs VALUES (1) ON CONFLICT (id) DO NOTHING",
            False,
        ),
    ],
)
def test_upsert_that_no_unique_index_will_fit_is_a_reason(text: str, fails: bool) -> None:
    seen = events(upserts=(text,))
    assert (reasons(seen) == ["upserts"]) if fails else planned(seen).actions


def test_view_is_no_table_to_convert() -> None:
    seen = events(table=replace(plain_table(), kind="v"), facts=())
    assert reasons(seen) == ["not_a_table"]


def test_all_reasons_come_at_once_each_with_its_objects() -> None:
    facts = [fact for found in REFUSED.values() for fact in found]
    found = reasons(events(*facts, key_range=KeyRange(None, None, True)))
    assert set(found) == {*REFUSED, "null_keys"} - {"unlogged"}


def test_helpers_of_a_refused_conversion_are_removed() -> None:
    (action,) = planned(events(*REFUSED["rule"], helpers=(INDEX, CHECK))).actions
    assert action.kind is ActionKind.REMOVE_LEFTOVERS
    assert len(action.steps) == 2


def test_helpers_of_an_unwanted_conversion_are_removed() -> None:
    seen = events(section=section(convert="never"), helpers=(INDEX,))
    observation = ConversionObservation(SERVER, abandoned=(seen,))
    (action,) = plan(observation, NOW, EVERYTHING).actions
    assert action.kind is ActionKind.REMOVE_LEFTOVERS


# Foreign keys of other tables


@pytest.mark.parametrize(
    ("fact", "code"),
    [
        (paired(lends=False), "reference_owner"),
        (paired(may_reference=False), "owner_lacks_references"),
        (paired(disabled=True), "reference_definition"),
        (paired(period=True), "period"),
        (paired(text="FOREIGN KEY (a) REFERENCES public.others(id)"), "reference_definition"),
    ],
)
def test_foreign_key_that_can_not_be_created_again_is_a_reason(fact: Fact, code: str) -> None:
    assert reasons(events(fact)) == [code]


@pytest.mark.parametrize(
    ("column", "facts", "code"),
    [
        ("none", {}, "reference_column"),
        ("event_id", {}, "reference_column"),
        ("day", {}, "reference_column"),
        ("maybe", {}, "reference_column"),
        ("event_at", {"reader": None}, "reference_owner"),
        ("event_at", {"on_delete": "d"}, "reference_definition"),
        ("event_at", {"on_update": "n"}, "reference_definition"),
        ("event_at", {"referenced": ["note"]}, "reference_definition"),
        (
            "event_at",
            {"match": "f", "others": {"event_at": ["timestamp with time zone", False]}},
            "reference_definition",
        ),
    ],
)
def test_foreign_key_that_can_not_be_extended_is_a_reason(
    column: str, facts: dict[str, Any], code: str
) -> None:
    found = reasons(events(reference(**facts), section=longer(column)))
    assert set(found) <= {code, "reference_column", "reference_definition"}
    assert code in found


@pytest.mark.parametrize(
    "check",
    [
        "CHECK (((event_id IS NULL) OR (maybe IS NOT NULL)))",
        "CHECK (((event_id IS NULL) = (maybe IS NULL)))",
        "CHECK ((maybe IS NOT NULL))",
    ],
)
def test_nullable_column_suffices_with_a_check(check: str) -> None:
    assert the_action(events(reference(checks=[check]), section=longer("maybe")))


def test_foreign_keys_are_created_again_and_validated_behind_the_swap() -> None:
    plain, action = the_action(events()), the_action(events(paired()))
    assert len(action.steps) == len(plain.steps) + 1
    (swap,) = [s for s in action.steps if s.statements[-1].startswith("SELECT 'swap of")]
    assert ["ACCESS EXCLUSIVE" in lock.mode for lock in swap.locks] == [False, False, True, True]
    assert [lock.object for lock in swap.locks] == [
        "public.events",
        *["public.notes"] * 2,
        "public.events",
    ]
    validation = action.steps[-2]
    assert "VALIDATE CONSTRAINT fk" in " ".join(validation.statements)
    assert not any(lock.mode.blocks_writers for lock in validation.locks)
    assert action.detail["undo"][-1] == list(validation.sql)


def test_partners_are_proven_right_before_the_swap_of_a_longer_key() -> None:
    action = the_action(events(reference(), section=longer()))
    places = [
        place
        for place, step in enumerate(action.steps)
        if "NOT EXISTS (SELECT FROM ONLY public.events" in " ".join(step.statements)
    ]
    swap = next(p for p, s in enumerate(action.steps) if s.statements[-1].startswith("SELECT 'sw"))
    assert places == [swap - 1]
    assert action.steps[places[0]].locks == ()
    assert "public.notes" in action.detail["schema_change"]


def test_foreign_key_not_valid_is_neither_proven_nor_validated() -> None:
    text = f"{reference().definition['text']} NOT VALID"
    action = the_action(events(reference(valid=False, text=text), section=longer()))
    assert len(action.steps) == len(the_action(events()).steps)


def test_longer_key_sets_null_only_what_it_did_before() -> None:
    column = {"public.notes fk": "event_at"}
    (swapped,) = [
        f
        for f in expected(Definition(EVENTS, "at", (*FACTS, *split([reference()])), column))
        if f.kind == "reference"
    ]
    assert swapped.definition["text"] == (
        "FOREIGN KEY (event_id, event_at) REFERENCES public.events(id, at)"
        " ON DELETE SET NULL (event_id) NOT VALID"
    )
    assert swapped.definition["columns"] == ["event_id", "event_at"]
    assert not swapped.definition["valid"]


def test_foreign_key_of_another_owner_is_altered_as_our_own_role() -> None:
    action = the_action(events(paired(owner="other")))
    (swap,) = [s for s in action.steps if s.statements[-1].startswith("SELECT 'swap of")]
    altered = [s for s in swap.statements if s.startswith("ALTER TABLE public.notes")]
    assert len(altered) == 2
    assert all(isinstance(each, Ours) for each in altered)
    assert action.steps[-2].owner == "other"


def test_what_a_killed_run_left_behind_its_swap_is_planned() -> None:
    mark = 'maintenance: {"conversion": "public.events"}'
    left = Helper("reference", "fk", False, (), QualifiedName("public", "notes"), "other", mark)
    table = replace(plain_table(), kind="p")
    seen = ConvertibleTable(section(), table, helpers=(left,))
    found = plan(ConversionObservation(SERVER, unfinished=(seen,)), NOW, EVERYTHING)
    (action,), (finding,) = found.actions, found.findings
    assert action.kind is ActionKind.CONVERT_TABLE
    assert [step.owner for step in action.steps] == ["other"]
    assert finding.kind is FindingKind.CONVERSION_UNFINISHED
    assert finding.data["foreign_keys"] == ["public.notes fk"]


def test_foreign_key_that_an_undo_has_not_validated_is_validated_before() -> None:
    mark = 'maintenance: {"conversion": "public.events"}'
    left = Helper("reference", "fk", False, (), QualifiedName("public", "notes"), "other", mark)
    validation, conversion = planned(events(helpers=(left,))).actions
    assert validation.kind is ActionKind.REMOVE_LEFTOVERS
    assert [step.owner for step in validation.steps] == ["other"]
    assert conversion.after == (validation.id,)
    assert conversion.id == the_action(events()).id


def test_foreign_key_that_an_undo_has_not_validated_is_like_a_valid_one() -> None:
    table = Definition(EVENTS, "at", (*FACTS, *split([paired()])))
    text, comment = f"{paired().definition['text']} NOT VALID", 'maintenance: {"conversion": "x"}'
    left = paired(valid=False, text=text, comment=comment)
    assert digest(Definition(EVENTS, "at", (*FACTS, *split([left])))) == digest(table)


def test_table_that_references_another_one_to_convert_waits_for_it() -> None:
    notes = QualifiedName("public", "notes")
    key = constraint("fk", "f", "…", ["a"], references=["public", "events"])
    table = replace(plain_table(), relation=notes)
    waiting = events(key, section=section(table="public.notes"), table=table)
    both = ConversionObservation(SERVER, (waiting, events(paired())))
    found = plan(both, NOW, EVERYTHING)
    assert [action.object for action in found.actions] == ["public.events"]
    assert len(found.findings) == 2


# Materialized views


DAILY = QualifiedName("public", "daily")


def matview_facts(**facts: Any) -> tuple[Fact, ...]:
    """The properties of `public.daily`."""
    usual: dict[str, Any] = {
        "owner": "app_owner",
        "tablespace": None,
        "comment": "by day",
        "grants": [["app_owner", "SELECT", False], [None, "SELECT", True]],
    }
    key = index(
        "daily_key",
        "CREATE UNIQUE INDEX daily_key ON public.daily USING btree (day) WHERE (n > 1)",
        ["day"],
        unique=True,
        clustered=True,
    )
    plain: dict[str, Any] = {"storage": "p", "compression": "", "target": None, "grants": None}
    return (
        Fact("table", "", {**usual, **facts}),
        storage(options=["fillfactor=70"]),
        column("n", 2, **{**plain, "target": 7, "comment": "how many"}),
        column("day", 1, **{**plain, "comment": None}),
        key,
        Fact("rule", "_RETURN", {"text": "…"}),
    )


def daily(*further: Fact, query: str = " SELECT 1 FROM public.events;") -> DependentMatview:
    return DependentMatview(DAILY, query, (*matview_facts(), *further), 8192)


def matview(**facts: Any) -> Fact:
    """The fact of the table that the view reads it."""
    return view(**{"creatable": True, **facts})._replace(kind="matview", name=str(DAILY))


def with_daily(*further: Fact, **fields: Any) -> ConvertibleTable:
    return events(matview(), matviews=(daily(*further),), **fields)


@pytest.mark.parametrize(
    ("fact", "code"),
    [
        (matview(owner="other"), "view_of_other_owner"),
        (matview(plain=False), "view_needs_table"),
        (matview(text=" SELECT 1 FROM ONLY public.events;"), "view_reads_only"),
        (matview(creatable=False), "owner_lacks_create"),
    ],
)
def test_materialized_view_that_the_swap_can_not_follow_is_a_reason(fact: Fact, code: str) -> None:
    assert reasons(events(fact, matviews=(daily(),))) == [code]


@pytest.mark.parametrize(
    ("fact", "code"),
    [
        (Fact("matview", "public.m2", {}), "matview_on_table"),
        (Fact("dependent", "function f", {}), "matview_on_table"),
        (Fact("statistics", "public.s", {}), "matview_on_table"),
        (index("i", "CREATE INDEX i ON public.daily …", ["n"], valid=False), "matview_on_table"),
        (index("i", "CREATE INDEX i ON public.daily …", ["n"], targets=1), "matview_on_table"),
        (index("i", "CREATE INDEX i ON public.other …", ["n"]), "matview_on_table"),
        (view(owner="other"), "view_of_other_owner"),
    ],
)
def test_what_a_materialized_view_has_and_is_not_carried_over_is_a_reason(
    fact: Fact, code: str
) -> None:
    assert reasons(with_daily(fact)) == [code]


def test_materialized_view_is_built_beside_and_exchanged_behind_the_swap() -> None:
    action = the_action(with_daily(view()))
    plain = the_action(events())
    assert len(action.steps) == len(plain.steps) + 2
    fill, exchange = action.steps[-3:-1]
    twin = Twin(daily()).name
    assert [lock.object for lock in fill.locks] == [str(twin)]
    assert exchange.locks[0] == Lock("public.daily", LockMode.ACCESS_EXCLUSIVE)
    renamed = f"ALTER MATERIALIZED VIEW {twin} RENAME TO daily"
    places = [exchange.statements.index(renamed)]
    places.append(
        exchange.statements.index("CREATE OR REPLACE VIEW public.v AS SELECT id FROM public.events")
    )
    assert places == sorted(places)
    assert action.preconditions["matviews"] == {str(twin): "public.daily"}


def test_twin_gets_all_that_the_view_has() -> None:
    twin = Twin(daily())
    text = "; ".join(twin.fill(anew=True).statements)
    name, key = twin.name, twin.index_name("daily_key")
    for wanted in (
        f"DROP MATERIALIZED VIEW IF EXISTS {name}",
        f"CREATE MATERIALIZED VIEW {name} (day, n) USING heap WITH (fillfactor = '70') AS SELECT 1",
        f"CREATE UNIQUE INDEX {key} ON {name} USING btree (day) WHERE (n > 1)",
        f"ALTER MATERIALIZED VIEW {name} CLUSTER ON {key}",
        "ALTER COLUMN n SET STATISTICS 7",
        f"COMMENT ON COLUMN {name}.n IS 'how many'",
        f"GRANT SELECT ON {name} TO PUBLIC WITH GRANT OPTION",
        f"GRANT SELECT ON {name} TO app_owner",
        f"ANALYZE {name}",
    ):
        assert wanted in text
    assert "COMMENT ON MATERIALIZED VIEW public.daily IS 'by day'" in twin.exchange().statements


def test_parent_is_expected_to_have_the_twin_instead_of_the_view() -> None:
    table = Definition(EVENTS, "at", (*FACTS, matview()))
    (fact,) = [each for each in expected(table) if each.kind == "matview"]
    assert fact.name == str(Twin(daily()).name)


def test_twins_left_by_a_killed_run_are_filled_again_and_exchanged() -> None:
    table = replace(plain_table(), kind="p")
    orphan = QualifiedName("public", "maintenance_convert_m_0")
    seen = ConvertibleTable(section(), table, matviews=(daily(),), orphans=(orphan,))
    found = plan(ConversionObservation(SERVER, unfinished=(seen,)), NOW, EVERYTHING)
    (action,), (finding,) = found.actions, found.findings
    assert [is_fill(step) for step in action.steps] == [True, False, False]
    assert action.steps[-1].statements == (f"DROP MATERIALIZED VIEW {orphan}",)
    assert finding.data["materialized_views"] == ["public.daily"]


def test_unread_twins_leave_the_state_open() -> None:
    seen = ConversionObservation(SERVER, unread={EVENTS: "locked"})
    (finding,) = plan(seen, NOW, EVERYTHING).findings
    assert finding.kind is FindingKind.MONITOR_BLIND
    assert finding.leaves_open(FindingKind.CONVERSION_UNFINISHED, str(EVENTS))


def test_undo_builds_the_views_before_it_swaps_back() -> None:
    seen = with_daily()
    steps = undo_steps(seen, target_of(seen, NOW))
    assert [is_fill(step) for step in steps] == [False, False, True, False]
    twin = Twin(daily(), "u").name
    assert any(f"CREATE MATERIALIZED VIEW {twin}" in s for s in steps[1].statements)
    back = steps[-1].statements
    former = next(place for place, s in enumerate(back) if s.startswith("DROP TABLE"))
    assert back.index(f"ALTER MATERIALIZED VIEW {twin} RENAME TO daily") < former
    assert steps[1].when == steps[2].when is not None


def test_view_that_changed_since_the_plan_is_not_exchanged() -> None:
    exchange = Twin(daily()).exchange()
    facts = matview_facts()
    assert is_exchange(exchange)
    proven = with_kept(exchange, DAILY, facts, "SELECT 1")
    assert proven is not None
    assert len([s for s in proven.statements if "is not what it was" in s]) == 2
    other = (*matview_facts(comment="other")[:1], *facts[1:])
    assert with_kept(exchange, DAILY, other, "SELECT 1") is None
    rule = facts[-1]._replace(definition={"text": "another"})
    assert with_kept(exchange, DAILY, (*facts[:-1], rule), "SELECT 1") is not None


# Undo and proof


def test_undo_of_every_state_before_the_swap_removes_what_is_there() -> None:
    for helpers in ((), (INDEX,), (INDEX, CHECK)):
        assert len(undo_steps(events(helpers=helpers))) == len(helpers)


def test_undo_of_a_swap_builds_the_former_key_first() -> None:
    seen = events()
    first, last = undo_steps(seen, target_of(seen, NOW))
    assert first.concurrent
    assert first.statements[0].endswith("ON public.events_2024_03_to_2026_12 (id)")
    assert "ALTER TABLE public.events DETACH PARTITION" in " ".join(last.statements)


def test_digest_depends_on_properties_and_not_on_their_order_or_on_our_work() -> None:
    table = Definition(EVENTS, "at", FACTS)
    assert digest(table) == digest(Definition(EVENTS, "at", FACTS[::-1]))
    nullable = tuple(column("at", 2, not_null=False) if f.name == "at" else f for f in FACTS)
    assert digest(table) == digest(Definition(EVENTS, "at", nullable))
    more = index("i", "CREATE INDEX i ON public.events USING btree (note)", ["note"])
    assert digest(table) != digest(Definition(EVENTS, "at", (*FACTS, more)))


def test_expected_parent_differs_only_in_its_key() -> None:
    table = Definition(EVENTS, "at", FACTS)
    changed = [fact for fact in expected(table) if fact not in FACTS]
    assert {(f.kind, f.name) for f in changed} == {
        ("constraint", "events_pkey"),
        ("index", "events_pkey"),
    }
    assert all("(id, at)" in fact.definition["text"] for fact in changed)


def test_partitions_are_analyzed_again_only_where_the_server_knows_no_other_way() -> None:
    server = replace(SERVER, version=170004)
    (old,) = plan(ConversionObservation(server, (events(),)), NOW, EVERYTHING).actions
    assert old.steps[-1].statements == ("ANALYZE public.events",)
    assert the_action(events()).steps[-1].statements == ("ANALYZE ONLY public.events",)
