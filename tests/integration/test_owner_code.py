"""Functions and event triggers of owners: they find their names, and their errors name them."""

from pathlib import Path

import pytest

from maintenance.engine.executor import Outcome
from maintenance.errors import MaintenanceError
from maintenance.pipeline import run as pipeline
from tests.builders import Database
from tests.policies import CREATE_EVENTS, EVENTS, make_policy
from tests.snapshots import NOW

UNQUALIFIED = """
CREATE FUNCTION public.strip(text) RETURNS text LANGUAGE sql IMMUTABLE AS
  $$SELECT split_part($1, '.', 1)$$;
CREATE FUNCTION public."Image of"(text, VARIADIC int[]) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
  $$BEGIN RETURN strip($1); END$$;
CREATE TABLE public.request (id bigint PRIMARY KEY, image text) WITH (autovacuum_enabled = false);
CREATE INDEX request_image ON public.request (public."Image of"(image, 1));
SET search_path = public;
INSERT INTO public.request SELECT g, 'img' || g % 50 || '.x' FROM generate_series(1, 5000) g;
"""
DEAD = "SET search_path = public; UPDATE public.request SET image = id || '.x'"


@pytest.mark.parametrize("dead", [False, True], ids=["ANALYZE", "VACUUM"])
def test_functions_of_indexes_find_their_names_or_are_named_with_the_remedy(
    database: Database, tmp_path: Path, dead: bool
) -> None:
    database.execute(UNQUALIFIED)
    if dead:
        database.execute(DEAD)
    policy = make_policy(tmp_path, database.url, statistics={})
    report = pipeline.apply(policy, only=["statistics"])
    (result,) = report.results
    if int(database.execute("SHOW server_version_num")[0][0]) >= 170000:
        assert result.outcome is Outcome.FAILED
        remedy = 'ALTER FUNCTION public."Image of"(text, integer[]) SET search_path = public'
        assert result.cause is not None
        assert remedy in result.cause.hint
        database.execute(remedy)
        (result,) = pipeline.apply(policy, only=["statistics"]).results
    assert result.outcome is Outcome.DONE, result.error
    assert pipeline.apply(policy, only=["statistics"]).results == ()


AUDIT = """
CREATE TABLE public.ddl_log (tag text);
CREATE FUNCTION public."Audit it"() RETURNS event_trigger LANGUAGE plpgsql AS
  $$BEGIN {body}; END$$;
CREATE EVENT TRIGGER "audit ""DDL" ON {event} {condition} EXECUTE FUNCTION public."Audit it"();
"""


@pytest.mark.pg("== 18")
@pytest.mark.parametrize(
    ("event", "body", "remedy"),
    [
        (
            "ddl_command_end",
            "INSERT INTO ddl_log VALUES (tg_tag)",
            'ALTER FUNCTION public."Audit it"() SET search_path = app, public',
        ),
        (
            "ddl_command_start",
            "RAISE EXCEPTION 'by change request only'",
            'ALTER EVENT TRIGGER "audit ""DDL" DISABLE',
        ),
    ],
)
def test_event_trigger_that_fails_is_named_with_the_remedy(
    database: Database, tmp_path: Path, event: str, body: str, remedy: str
) -> None:
    policy = make_policy(tmp_path, database.url, {**EVENTS, "premake": 1})
    policy = policy.model_copy(
        update={"database": policy.database.model_copy(update={"search_path": "app, public"})}
    )
    database.execute(CREATE_EVENTS)
    database.execute("CREATE TABLE public.other (id int)")
    pipeline.apply(policy, now=NOW, only=["statistics"])
    audit = AUDIT.replace("{event}", event).replace("{body}", body)
    database.execute(audit.replace("{condition}", "WHEN TAG IN ('CREATE TABLE')"))
    report = pipeline.apply(policy, now=NOW)
    assert not report.ok
    failed = [result for result in report.results if result.outcome is Outcome.FAILED]
    assert failed
    for result in failed:
        assert result.cause is not None
        assert '"audit ""DDL"' in str(result.cause)
        assert result.cause.hint.count(remedy) == 1
    database.execute('ALTER EVENT TRIGGER "audit ""DDL" DISABLE')
    assert pipeline.apply(policy, now=NOW).ok


@pytest.mark.pg("== 15")
def test_event_trigger_that_keeps_the_store_from_being_made_is_named(
    database: Database, tmp_path: Path
) -> None:
    audit = AUDIT.replace("{event}", "ddl_command_end").replace("{condition}", "")
    database.execute(audit.replace("{body}", "PERFORM 1 / 0"))
    with pytest.raises(MaintenanceError) as caught:
        pipeline.apply(make_policy(tmp_path, database.url, statistics={}))
    assert '"audit ""DDL"' in str(caught.value)
