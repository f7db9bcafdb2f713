"""A schema of the store's name that another role made, or changed, is never trusted."""

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from maintenance.cli.commands import cli
from maintenance.engine.target import Target
from maintenance.errors import ForeignStoreError
from maintenance.pipeline import run as pipeline
from maintenance.server.cost_meter import metered
from maintenance.store import RECENT
from tests.builders import Database, Role
from tests.policies import CREATE_EVENTS, EVENTS, make_policy, write_policy

pytestmark = pytest.mark.pg("== 15")

CALLED = """
CREATE TABLE public.called (who text);
CREATE FUNCTION public.spy() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN INSERT INTO public.called VALUES (current_user); RETURN NEW; END $$;
CREATE FUNCTION public.told() RETURNS text LANGUAGE plpgsql AS
  $$ BEGIN INSERT INTO public.called VALUES (current_user); RETURN 'x'; END $$;
GRANT INSERT ON public.called TO PUBLIC;
"""
MIGRATION = "CREATE TABLE maintenance.migration (name text, applied_at timestamptz DEFAULT now())"
OPEN = "GRANT USAGE, CREATE ON SCHEMA maintenance TO PUBLIC"
TABLES_OPEN = "GRANT ALL ON ALL TABLES IN SCHEMA maintenance TO PUBLIC"
TRAPS = {
    "trigger": [
        "CREATE SCHEMA maintenance",
        OPEN,
        MIGRATION,
        "CREATE TRIGGER t BEFORE INSERT ON maintenance.migration FOR EACH ROW"
        " EXECUTE FUNCTION public.spy()",
        TABLES_OPEN,
    ],
    "view": [
        "CREATE SCHEMA maintenance",
        OPEN,
        "CREATE VIEW maintenance.migration AS SELECT public.told() AS name",
        TABLES_OPEN,
    ],
    "rule": [
        "CREATE SCHEMA maintenance",
        OPEN,
        MIGRATION,
        "CREATE RULE r AS ON INSERT TO maintenance.migration"
        " DO ALSO INSERT INTO public.called VALUES (current_user)",
        TABLES_OPEN,
    ],
    "row security": [
        "CREATE SCHEMA maintenance",
        OPEN,
        MIGRATION,
        "ALTER TABLE maintenance.migration ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY p ON maintenance.migration USING (public.told() = 'x')",
        TABLES_OPEN,
    ],
    "empty schema": ["CREATE SCHEMA maintenance", OPEN],
    "other tables": ["CREATE SCHEMA maintenance", OPEN, "CREATE TABLE maintenance.run (id int)"],
    "function": [
        "CREATE SCHEMA maintenance",
        OPEN,
        "CREATE FUNCTION maintenance.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ],
}
COMMANDS = (
    ["check"],
    ["plan"],
    ["apply"],
    ["status"],
    ["notify"],
    ["alerts"],
    ["metrics"],
)


@pytest.fixture
def platform(database: Database, owner_role: Role, limited_role: Role) -> Database:
    """A database that `owner_role` maintains, and in which `limited_role` may make schemas."""
    database.execute(CREATE_EVENTS)
    database.give_to(owner_role)
    database.execute(f"GRANT CREATE ON DATABASE {database.name} TO {limited_role.name}")
    database.execute(f"GRANT CREATE, USAGE ON SCHEMA public TO {limited_role.name}")
    database.execute(CALLED, role=limited_role)
    return database


def set_trap(database: Database, statements: Sequence[str], role: Role) -> None:
    for statement in statements:
        database.execute(statement, role=role)


@pytest.mark.parametrize("trap", TRAPS)
def test_schema_of_another_role_is_refused_by_every_command(
    platform: Database, owner_role: Role, limited_role: Role, tmp_path: Path, trap: str
) -> None:
    set_trap(platform, TRAPS[trap], limited_role)
    path = write_policy(tmp_path, platform.url_of(owner_role), EVENTS)
    for command in COMMANDS:
        result = CliRunner().invoke(cli, [*command, "--policy", str(path)])
        assert result.exit_code in (1, 3), (command, result.output)
        if command != ["metrics"]:
            assert result.exit_code == 1, (command, result.output)
            assert "store.url" in result.stderr, command
            assert limited_role.name in result.stderr, command
    assert platform.execute("SELECT * FROM public.called") == []
    assert platform.execute("SELECT FROM pg_class WHERE relispartition") == []


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TRIGGER t AFTER INSERT ON maintenance.run FOR EACH ROW EXECUTE FUNCTION spy()",
        "CREATE RULE r AS ON INSERT TO maintenance.journal DO ALSO NOTIFY x",
        "ALTER TABLE maintenance.run ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE maintenance.run ALTER error SET DEFAULT public.told()",
        "ALTER TABLE maintenance.run ADD CHECK (public.told() = 'x') NOT VALID",
        "ALTER TABLE maintenance.finding OWNER TO {other}",
        "ALTER SCHEMA maintenance OWNER TO {other}",
        "ALTER VIEW maintenance.index_effectiveness OWNER TO {other}",
        "ALTER FUNCTION maintenance.get_mv_refresh_recommendations() OWNER TO {other}",
        "CREATE TYPE maintenance.x AS ENUM ('a')",
        "CREATE OPERATOR maintenance.=== (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int)",
    ],
)
def test_store_that_was_changed_is_refused(
    platform: Database, owner_role: Role, limited_role: Role, tmp_path: Path, change: str
) -> None:
    policy = make_policy(tmp_path, platform.url_of(owner_role), EVENTS)
    assert pipeline.apply(policy).ok
    platform.execute(f"SET search_path = public; {change.format(other=limited_role.name)}")
    for command in ("check", "apply", "status", "notify"):
        result = CliRunner().invoke(cli, [command, "--policy", str(policy.path), "--json"])
        assert result.exit_code == 1, (command, result.output)
        assert "store.url" in json.loads(result.stdout)["error"]["hint"]
    assert platform.execute("SELECT * FROM public.called") == []


def test_role_that_the_policy_names_may_own_the_store(
    platform: Database, owner_role: Role, tmp_path: Path
) -> None:
    assert pipeline.apply(make_policy(tmp_path, platform.url_of(owner_role), EVENTS)).ok
    path = write_policy(tmp_path, platform.url, EVENTS)
    refused = CliRunner().invoke(cli, ["status", "--policy", str(path)])
    assert refused.exit_code == 1
    store = {"owner": owner_role.name, "schema": "maintenance"}
    path = write_policy(tmp_path, platform.url, EVENTS, store=store)
    for command in ("check", "status", "apply"):
        result = CliRunner().invoke(cli, [command, "--policy", str(path)])
        assert result.exit_code == 0, result.output


def test_schema_that_is_made_for_us_is_used(
    platform: Database, owner_role: Role, tmp_path: Path
) -> None:
    platform.execute(f'CREATE SCHEMA maintenance AUTHORIZATION "{owner_role.name}"')
    assert pipeline.apply(make_policy(tmp_path, platform.url_of(owner_role), EVENTS)).ok


def test_tables_of_our_own_role_that_we_did_not_make_are_refused(
    platform: Database, owner_role: Role, tmp_path: Path
) -> None:
    platform.execute("CREATE SCHEMA maintenance", role=owner_role)
    platform.execute("CREATE TABLE maintenance.run (id int)", role=owner_role)
    path = write_policy(tmp_path, platform.url_of(owner_role), EVENTS)
    for command in ("check", "apply"):
        result = CliRunner().invoke(cli, [command, "--policy", str(path)])
        assert result.exit_code == 1, result.output
        assert "store.url" in result.stderr


def test_other_schema_of_the_store_is_refused_with_the_policy(tmp_path: Path) -> None:
    path = write_policy(tmp_path, "postgresql://h/d", EVENTS, store={"schema": "upkeep"})
    result = CliRunner().invoke(cli, ["check", "--policy", str(path)])
    assert result.exit_code == 2
    assert "store.schema" in result.stderr


def test_rounds_of_seconds_go_by_a_recent_proof_until_the_schema_changes(
    platform: Database, owner_role: Role, limited_role: Role, tmp_path: Path
) -> None:
    target = Target.of(make_policy(tmp_path, platform.url_of(owner_role), EVENTS))

    def n_asked(proof: timedelta) -> int:
        with metered() as meter, target.store(proof):
            pass
        return sum(cost.n_statements for cost in meter.costs.values())

    assert n_asked(RECENT) == n_asked(RECENT), "there is no schema yet, and may be another's soon"
    pipeline.apply(target)
    n_asked(RECENT)
    assert n_asked(RECENT) < n_asked(timedelta())
    platform.execute(OPEN, role=owner_role)
    assert n_asked(RECENT) == n_asked(timedelta()), "others may create in it now"
    platform.execute("CREATE TABLE maintenance.trap (id int)", role=limited_role)
    with pytest.raises(ForeignStoreError), target.store(RECENT):
        pass
