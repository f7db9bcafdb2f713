"""Foreign keys to a table that becomes partitioned: carried over, extended, validated, undone."""

from pathlib import Path

import psycopg
import pytest

from maintenance.engine.actions import ActionKind
from maintenance.engine.executor import Outcome
from maintenance.engine.findings import FindingKind, Severity
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from tests.builders import Database, Role
from tests.conversions import EVENTS, PLAIN, RICH, apply, die_at, found, grants, shape, undo
from tests.policies import make_policy

pytestmark = pytest.mark.in_turn

PAIRS = f"""
{PLAIN}
ALTER TABLE public.events DROP CONSTRAINT events_pkey, ADD PRIMARY KEY (id, at);
CREATE TABLE public.notes (id bigint PRIMARY KEY, event bigint, event_at timestamptz,
  CONSTRAINT notes_event FOREIGN KEY (event, event_at) REFERENCES public.events
    MATCH FULL ON UPDATE CASCADE ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED);
COMMENT ON CONSTRAINT notes_event ON public.notes IS 'what it is about';
INSERT INTO public.notes SELECT id, id, at FROM public.events WHERE id <= 100;
INSERT INTO public.notes VALUES (1000), (1001);
"""
"""A foreign key that has the future partition key already."""

SINGLE = f"""
{PLAIN}
CREATE TABLE public.notes (id bigint PRIMARY KEY, event bigint, event_at timestamptz,
  CONSTRAINT notes_event FOREIGN KEY (event) REFERENCES public.events ON DELETE SET NULL,
  CHECK (event IS NULL OR event_at IS NOT NULL));
INSERT INTO public.notes SELECT id, id, at FROM public.events WHERE id <= 100;
INSERT INTO public.notes VALUES (1000), (1001);
"""
"""A foreign key on the id alone, beside a column with the other's value."""

LONGER = {
    **EVENTS,
    "referenced_by": [{"table": "public.notes", "constraint": "notes_event", "column": "event_at"}],
}

KEYS = """
SELECT k.conrelid::regclass::text || ' ' || k.conname, pg_get_constraintdef(k.oid),
       k.convalidated, obj_description(k.oid)
  FROM pg_constraint k
 WHERE k.contype = 'f' AND k.conparentid = 0 AND k.connamespace = 'public'::regnamespace
 ORDER BY 1
"""
KIND = "SELECT relkind::text FROM pg_class WHERE oid = 'public.events'::regclass"


def reasons(policy: Policy) -> list[str]:
    report = pipeline.plan(policy, only=["conversion"])
    assert not [a for a in report.plan.actions if a.kind is ActionKind.CONVERT_TABLE]
    (finding,) = found(report, FindingKind.NOT_PARTITIONED)
    assert finding.severity is Severity.ERROR
    return finding.data["reasons"]


def test_foreign_key_with_the_partition_key_is_the_same_afterwards(
    database: Database, tmp_path: Path
) -> None:
    database.execute(PAIRS)
    before = database.execute(KEYS)
    report = apply(make_policy(tmp_path, database.url, EVENTS))
    assert report.ok, report.results
    assert database.execute(KIND) == [("p",)]
    assert database.execute(KEYS) == before
    assert before[0][2] is True
    database.execute("DELETE FROM public.events WHERE id = 1")
    assert database.execute("SELECT count(*) FROM public.notes WHERE event = 1") == [(0,)]
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        database.execute("INSERT INTO public.notes VALUES (5000, 999999, now())")


def test_foreign_key_on_the_id_gets_the_partition_key(database: Database, tmp_path: Path) -> None:
    database.execute(SINGLE)
    report = apply(make_policy(tmp_path, database.url, LONGER))
    assert report.ok, report.results
    ((_, text, is_valid, comment),) = database.execute(KEYS)
    assert text == (
        "FOREIGN KEY (event, event_at) REFERENCES events(id, at) ON DELETE SET NULL (event)"
    )
    assert is_valid
    assert comment is None
    database.execute("DELETE FROM public.events WHERE id = 1")
    ((event, at),) = database.execute("SELECT event, event_at FROM public.notes WHERE id = 1")
    assert event is None
    assert at is not None
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        database.execute("INSERT INTO public.notes VALUES (5000, 2, now())")


def test_foreign_key_on_the_id_without_a_further_column_is_refused(
    database: Database, tmp_path: Path
) -> None:
    database.execute(SINGLE)
    before = shape(database)
    policy = make_policy(tmp_path, database.url, EVENTS)
    assert reasons(policy) == ["referenced"]
    apply(policy)
    assert shape(database) == before


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("ALTER TABLE public.notes DROP event_at CASCADE", "reference_column"),
        ("ALTER TABLE public.notes ALTER event_at TYPE timestamp", "reference_column"),
        ("ALTER TABLE public.notes DROP CONSTRAINT notes_check", "reference_column"),
        (
            "ALTER TABLE public.notes DROP CONSTRAINT notes_event, ADD CONSTRAINT notes_event"
            " FOREIGN KEY (event) REFERENCES public.events ON DELETE SET DEFAULT",
            "reference_definition",
        ),
        (
            "ALTER TABLE public.notes DROP CONSTRAINT notes_event, ADD CONSTRAINT notes_event"
            " FOREIGN KEY (event) REFERENCES public.events MATCH FULL",
            "reference_definition",
        ),
        ("ALTER TABLE public.notes DISABLE TRIGGER ALL", "reference_definition"),
        (
            "DROP TABLE public.notes; CREATE TABLE public.notes (event bigint"
            " CONSTRAINT notes_event REFERENCES public.events, event_at timestamptz NOT NULL)"
            " PARTITION BY HASH (event)",
            "reference_definition",
        ),
    ],
)
def test_foreign_key_that_can_not_be_extended_is_refused(
    database: Database, tmp_path: Path, statement: str, code: str
) -> None:
    database.execute(SINGLE)
    database.execute(statement)
    before = shape(database)
    policy = make_policy(tmp_path, database.url, LONGER)
    assert reasons(policy) == [code]
    apply(policy)
    assert shape(database) == before


def test_row_without_a_partner_stops_before_the_swap(database: Database, tmp_path: Path) -> None:
    database.execute(SINGLE)
    database.execute("UPDATE public.notes SET event_at = event_at + interval '1 s' WHERE id = 7")
    policy = make_policy(tmp_path, database.url, LONGER)
    (result,) = apply(policy).results
    assert result.outcome is Outcome.FAILED
    assert result.cause is not None
    assert result.cause.reason == "foreign_key_violation"
    assert database.execute(KIND) == [("r",)]
    database.execute(
        "UPDATE public.notes AS n SET event_at = e.at FROM public.events AS e WHERE e.id = n.event"
    )
    assert apply(policy).ok
    assert database.execute(KIND) == [("p",)]


def test_foreign_key_not_valid_before_stays_so(database: Database, tmp_path: Path) -> None:
    database.execute(PAIRS)
    database.execute(
        "ALTER TABLE public.notes ADD CONSTRAINT later FOREIGN KEY (event, event_at)"
        " REFERENCES public.events NOT VALID"
    )
    before = database.execute(KEYS)
    policy = make_policy(tmp_path, database.url, EVENTS)
    assert apply(policy).ok
    assert database.execute(KEYS) == before
    assert {row[2] for row in before} == {True, False}
    assert pipeline.plan(policy, only=["conversion"]).plan.actions == ()


@pytest.mark.pg(">= 18")
def test_foreign_key_not_enforced_stays_so(database: Database, tmp_path: Path) -> None:
    database.execute(PAIRS)
    database.execute(
        "ALTER TABLE public.notes ADD CONSTRAINT never FOREIGN KEY (event, event_at)"
        " REFERENCES public.events NOT ENFORCED"
    )
    before = database.execute(KEYS)
    assert apply(make_policy(tmp_path, database.url, EVENTS)).ok
    assert database.execute(KEYS) == before


@pytest.mark.parametrize("setup", [PAIRS, SINGLE], ids=["pairs", "single"])
def test_validation_left_by_a_killed_run_is_done_by_the_next_one(
    database: Database, tmp_path: Path, setup: str
) -> None:
    database.execute(setup)
    (before,) = database.execute(KEYS)
    policy = make_policy(tmp_path, database.url, LONGER)
    die_at(policy, "validate foreign key")
    assert database.execute(KIND) == [("p",)]
    ((_, _, is_valid, comment),) = database.execute(KEYS)
    assert not is_valid
    assert "maintenance: " in comment
    (left,) = found(pipeline.plan(policy, only=["conversion"]), FindingKind.CONVERSION_UNFINISHED)
    assert left.data["foreign_keys"] == ["public.notes notes_event"]
    never = make_policy(tmp_path, database.url, {**LONGER, "convert": "never"})
    report = apply(never)
    assert report.ok
    assert [r.action.kind for r in report.results] == [ActionKind.CONVERT_TABLE]
    ((_, _, is_valid, comment),) = database.execute(KEYS)
    assert is_valid
    assert comment == before[3]
    assert found(report, FindingKind.CONVERSION_UNFINISHED) == []
    assert apply(never).results == ()


def test_row_that_lost_its_partner_before_the_validation_is_named(
    database: Database, tmp_path: Path
) -> None:
    database.execute(PAIRS)
    policy = make_policy(tmp_path, database.url, EVENTS)
    die_at(policy, "validate foreign key")
    database.execute(
        "SET session_replication_role = replica; DELETE FROM public.events WHERE id = 3"
    )
    (result,) = apply(policy).results
    assert result.outcome is Outcome.FAILED
    assert result.cause is not None
    assert result.cause.reason == "foreign_key_violation"
    assert found(apply(policy), FindingKind.CONVERSION_UNFINISHED)
    database.execute("DELETE FROM public.notes WHERE event = 3")
    assert apply(policy).ok


@pytest.mark.parametrize("setup", [PAIRS, SINGLE], ids=["pairs", "single"])
def test_undo_brings_the_foreign_keys_back(database: Database, tmp_path: Path, setup: str) -> None:
    database.execute(setup)
    before = shape(database)
    policy = make_policy(tmp_path, database.url, LONGER)
    report = apply(policy)
    assert report.ok
    undo(database, report)
    assert shape(database) == before
    assert apply(policy).ok


def test_undo_that_ended_before_the_validation_is_finished_by_the_next_run(
    database: Database, tmp_path: Path
) -> None:
    database.execute(SINGLE)
    before = shape(database)
    report = apply(make_policy(tmp_path, database.url, LONGER))
    undo(database, report, until=-1)
    assert shape(database) != before
    never = make_policy(tmp_path, database.url, {**LONGER, "convert": "never"})
    (result,) = apply(never).results
    assert result.action.kind is ActionKind.REMOVE_LEFTOVERS
    assert shape(database) == before


def test_conversion_after_an_unfinished_undo_validates_first(
    database: Database, tmp_path: Path
) -> None:
    database.execute(SINGLE)
    policy = make_policy(tmp_path, database.url, LONGER)
    undo(database, apply(policy), until=-1)
    report = apply(policy)
    assert report.ok
    kinds = [result.action.kind for result in report.results]
    assert kinds == [ActionKind.REMOVE_LEFTOVERS, ActionKind.CONVERT_TABLE]
    ((_, _, is_valid, comment),) = database.execute(KEYS)
    assert is_valid
    assert comment is None


@pytest.mark.parametrize("setup", [PAIRS, SINGLE], ids=["pairs", "single"])
def test_referencing_table_of_another_owner(
    database: Database, tmp_path: Path, owner_role: Role, limited_role: Role, setup: str
) -> None:
    database.execute(setup)
    database.give_to(owner_role)
    database.execute(f"CREATE ROLE {database.name}_other")
    other = f"{database.name}_other"
    database.execute(
        f"GRANT CREATE ON SCHEMA public TO {owner_role.name}, {other};"
        f" ALTER TABLE public.notes OWNER TO {other};"
        f' GRANT CREATE, TEMPORARY ON DATABASE "{database.name}" TO {limited_role.name}, {other};'
        f" GRANT {owner_role.name} TO {limited_role.name}"
    )
    policy = make_policy(tmp_path, database.url_of(limited_role), LONGER)
    assert "reference_owner" in reasons(policy)
    database.execute(
        f"GRANT {other} TO {limited_role.name}; GRANT SELECT ON public.events TO {other}"
    )
    report = apply(policy)
    assert report.ok, report.results
    ((_, _, is_valid, _),) = database.execute(KEYS)
    assert is_valid
    database.execute(f"REASSIGN OWNED BY {other} TO CURRENT_USER; DROP OWNED BY {other}")
    database.execute(f"DROP ROLE {other}")


def test_foreign_keys_both_ways(database: Database, tmp_path: Path) -> None:
    database.execute(SINGLE)
    database.execute(
        "ALTER TABLE public.events ADD note_id bigint REFERENCES public.notes;"
        " UPDATE public.events SET note_id = id WHERE id <= 10"
    )
    before = shape(database)
    report = apply(make_policy(tmp_path, database.url, LONGER))
    assert report.ok, report.results
    assert [row[2] for row in database.execute(KEYS)] == [True, True]
    undo(database, report)
    assert shape(database) == before


def test_names_that_need_quotes(database: Database, tmp_path: Path) -> None:
    database.execute(PLAIN)
    database.execute(
        """
        CREATE TABLE public."No%tes" (id bigint PRIMARY KEY, "Ev""ent" bigint NOT NULL,
          "At %s" timestamptz NOT NULL,
          CONSTRAINT "F'K %" FOREIGN KEY ("Ev""ent") REFERENCES public.events);
        COMMENT ON CONSTRAINT "F'K %" ON public."No%tes" IS '50 % of ''it''';
        INSERT INTO public."No%tes" SELECT id, id, at FROM public.events WHERE id <= 9;
        CREATE MATERIALIZED VIEW public."V'iew %s" AS SELECT id AS "I""d %" FROM public.events;
        CREATE UNIQUE INDEX "i'ndex %" ON public."V'iew %s" ("I""d %");
        COMMENT ON MATERIALIZED VIEW public."V'iew %s" IS '50 % of ''it''';
        """
    )
    before = shape(database)
    keys = [{"table": 'public."No%tes"', "constraint": "F'K %", "column": "At %s"}]
    policy = make_policy(tmp_path, database.url, {**EVENTS, "referenced_by": keys})
    report = apply(policy)
    assert report.ok, report.results
    ((_, text, is_valid, _),) = database.execute(KEYS)
    assert text == 'FOREIGN KEY ("Ev""ent", "At %s") REFERENCES events(id, at)'
    assert is_valid
    undo(database, report)
    assert shape(database) == before
    database.execute('UPDATE public."No%tes" SET "At %s" = now() WHERE id = 1')
    (result,) = apply(policy).results
    assert result.cause is not None
    assert result.cause.reason == "foreign_key_violation"


def test_rich_table_with_foreign_keys_and_views_on_it(
    database: Database, tmp_path: Path, owner_role: Role, limited_role: Role
) -> None:
    database.execute(RICH)
    database.execute(
        """
        CREATE TABLE public.notes (id bigint PRIMARY KEY, event text NOT NULL
          CONSTRAINT notes_event REFERENCES public.events ON UPDATE CASCADE ON DELETE CASCADE,
          event_at timestamptz NOT NULL, seq bigint,
          CONSTRAINT notes_seq FOREIGN KEY (seq, event_at) REFERENCES public.events (seq, at)
            DEFERRABLE);
        INSERT INTO public.notes SELECT seq, id, at, seq FROM public.events WHERE seq <= 100;
        CREATE MATERIALIZED VIEW public.direct AS
          SELECT e.kind, count(n.id) AS n FROM public.events AS e
            LEFT JOIN public.notes AS n ON n.event = e.id GROUP BY e.kind;
        CREATE UNIQUE INDEX direct_kind ON public.direct (kind);
        """
    )
    database.execute(grants(limited_role))
    database.give_to(owner_role)
    database.execute(f"ALTER STATISTICS public.events_stat OWNER TO {owner_role.name}")
    before = shape(database)
    report = apply(make_policy(tmp_path, database.url, LONGER))
    assert report.ok, report.results
    after = set(shape(database))
    lost = {(kind, name) for kind, name, facts in before if (kind, name, facts) not in after}
    assert lost == {
        ("relation", "events:r"),
        ("index", "events_pkey"),
        ("constraint", "events events_pkey"),
        ("constraint", "notes notes_event"),
    }
    database.execute("UPDATE public.events SET at = at - interval '1 s' WHERE seq = 200")
    undo(database, report)
    moved = {row for row in shape(database) if row not in before}
    # the sequence of the identity goes on behind the values it has handed out
    assert {row[0] for row in moved} <= {"sequence"}, (
        moved,
        [r for r in before if r not in shape(database)],
    )
