"""Code that an owner wrote runs with the owner's rights, whatever it tries, and leaves nothing."""

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

from maintenance.server.owner_rights import OwnerRights, OwnerSession
from maintenance.server.session import Timeouts, connect
from tests.builders import Database, Role

SETUP = """
CREATE SCHEMA tenant_space AUTHORIZATION {tenant};
GRANT USAGE ON SCHEMA tenant_space TO PUBLIC;
SET ROLE {tenant};
CREATE TABLE tenant_space.loot (via text, as_role text DEFAULT current_user);
GRANT ALL ON tenant_space.loot TO PUBLIC;
CREATE FUNCTION tenant_space.spy(via text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  INSERT INTO tenant_space.loot VALUES (via);
  RETURN true;
END$$;
CREATE FUNCTION tenant_space.escape(how text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  BEGIN EXECUTE how; EXCEPTION WHEN OTHERS THEN NULL; END;
  RETURN tenant_space.spy(how);
END$$;
CREATE FUNCTION tenant_space.spy_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM tenant_space.spy('deferred'); RETURN NULL; END$$;
CREATE FUNCTION tenant_space.again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM tenant_space.spy('again');
  SET CONSTRAINTS ALL DEFERRED;
  IF (SELECT count(*) FROM tenant_space.loot WHERE via = 'again') < 9 THEN
    INSERT INTO tenant_space.stubborn VALUES (2);
  END IF;
  RETURN NULL;
END$$;
CREATE TABLE tenant_space.eager (id int CHECK (tenant_space.spy('check')),
  g int GENERATED ALWAYS AS (id + 1) STORED, d boolean DEFAULT tenant_space.spy('default'));
CREATE TABLE tenant_space.stubborn (id int);
CREATE CONSTRAINT TRIGGER t AFTER INSERT ON tenant_space.stubborn DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION tenant_space.again();
RESET ROLE;
"""


@pytest.fixture
def tenant(database: Database, owner_role: Role, limited_role: Role) -> Iterator[OwnerSession]:
    """Guarded statements of a role that may do more than the tenant, which it is a member of."""
    database.execute(SETUP.replace("{tenant}", owner_role.name))
    database.execute(f"GRANT {owner_role.name}, pg_read_all_data TO {limited_role.name}")
    timeouts = Timeouts(timedelta(seconds=1), timedelta(seconds=20))
    connection = connect(database.url_of(limited_role), application="test", timeouts=timeouts)
    yield OwnerSession(connection, OwnerRights(owner_role.name, "tenant_space, public"))
    connection.close()


def test_checks_and_defaults_run_as_their_owner(database: Database, tenant: OwnerSession) -> None:
    assert tenant.execute("INSERT INTO tenant_space.eager (id) VALUES (1), (2)") == [2]
    assert _roles(database) == {tenant.rights.owner}


@pytest.mark.parametrize(
    "how",
    [
        "RESET ROLE",
        "SET ROLE NONE",
        "SET LOCAL ROLE NONE",
        "SELECT set_config('role', session_user, false)",
        "RESET SESSION AUTHORIZATION",
        "SET SESSION AUTHORIZATION DEFAULT",
        "RESET ALL",
        "DISCARD ALL",
        "ALTER FUNCTION pg_temp.maintenance_execute(text) SECURITY INVOKER",
        "CREATE OR REPLACE FUNCTION pg_temp.maintenance_execute(statement text) RETURNS bigint"
        " LANGUAGE sql AS 'SELECT tenant_space.spy(''replaced'')::int::bigint'",
        "DECLARE c CURSOR WITH HOLD FOR SELECT tenant_space.spy('cursor')",
    ],
)
@pytest.mark.pg(">= 15")
def test_code_can_not_take_more_rights(database: Database, tenant: OwnerSession, how: str) -> None:
    escape = f"SELECT tenant_space.escape($how${how}$how$)"

    tenant.execute(escape, "INSERT INTO tenant_space.eager (id) VALUES (1)", escape)
    tenant.execute("INSERT INTO tenant_space.eager (id) VALUES (2)")

    assert _roles(database) == {tenant.rights.owner}
    ((role,),) = tenant.connection.execute("SELECT current_user").fetchall()
    assert role == tenant.connection.info.user


def test_settings_that_code_leaves_behind_are_pinned_again(tenant: OwnerSession) -> None:
    for name, value in {
        "search_path": "tenant_space",
        "standard_conforming_strings": "off",
        "TimeZone": "Europe/Prague",
    }.items():
        tenant.execute(f"SELECT tenant_space.escape($how$SET {name} = '{value}'$how$)")

    shown = tenant.connection.execute(
        "SELECT current_setting('search_path'), current_setting('standard_conforming_strings'),"
        " current_setting('TimeZone')"
    ).fetchone()
    assert shown == ("", "on", "UTC")


@pytest.mark.pg("< 18")
def test_deferred_triggers_that_would_run_at_commit_are_refused(
    database: Database, tenant: OwnerSession
) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        tenant.execute("INSERT INTO tenant_space.stubborn VALUES (1)")
    tenant.connection.rollback()
    assert _roles(database) == set()


@pytest.mark.pg(">= 18")
def test_deferred_triggers_run_as_their_owner(database: Database, tenant: OwnerSession) -> None:
    tenant.execute("INSERT INTO tenant_space.stubborn VALUES (1)")
    assert _roles(database) == {tenant.rights.owner}


def test_a_query_runs_as_the_owner_and_changes_nothing(
    database: Database, tenant: OwnerSession
) -> None:
    who = tenant.query("SELECT current_user AS who, 1e30::numeric(40, 0) AS large")
    assert who == [{"who": tenant.rights.owner, "large": 10**30}]
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        tenant.query("SELECT tenant_space.spy('query') AS spied")
    tenant.connection.rollback()
    assert _roles(database) == set()


def _roles(database: Database) -> set[str]:
    return {role for (role,) in database.execute("SELECT DISTINCT as_role FROM tenant_space.loot")}


_TRY = (
    "CREATE FUNCTION tenant_space.try(how text) RETURNS text LANGUAGE plpgsql STABLE AS $$BEGIN"
    " BEGIN EXECUTE how; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END; RETURN 'done'; END$$"
)
_REPLACED = "LANGUAGE sql AS 'SELECT to_jsonb(current_user)'"


@pytest.mark.parametrize(
    "how",
    [
        "RESET ROLE",
        "SET SESSION AUTHORIZATION DEFAULT",
        "RESET ALL",
        "DISCARD TEMP",
        "DISCARD ALL",
        "SET transaction_read_only = off",
        "SET LOCAL transaction_read_only = off",
        "ALTER FUNCTION pg_temp.maintenance_answer(text) SECURITY INVOKER",
        "DROP FUNCTION pg_temp.maintenance_answer(text)",
        f"CREATE OR REPLACE FUNCTION pg_temp.maintenance_answer(command text) RETURNS jsonb"
        f" {_REPLACED}",
        "INSERT INTO tenant_space.loot VALUES ('written')",
        "PREPARE maintenance_query AS SELECT 1",
    ],
)
def test_code_in_a_read_only_transaction_can_not_take_more_rights(
    database: Database, tenant: OwnerSession, how: str
) -> None:
    database.execute(_TRY.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))
    owner = tenant.rights.owner
    role: str | None = owner
    with tenant.reading() as run:
        run(f"SELECT to_jsonb(tenant_space.try($how${how}$how$))")
        try:
            role = run("SELECT to_jsonb(current_user)")
        except psycopg.Error:
            role = None  # it took its own function away
    assert role in (owner, None)
    tenant.forget()
    assert tenant.connection.execute("SELECT current_user").fetchone() == (
        tenant.connection.info.user,
    )
    assert _roles(database) == set()
    with tenant.reading() as run:
        assert run("SELECT to_jsonb(current_user)") == owner
        assert run("SELECT to_jsonb(current_setting('transaction_read_only'))") == "on"


def test_commands_of_a_read_only_transaction_depend_on_each_other(tenant: OwnerSession) -> None:
    with tenant.reading() as run:
        assert run("PREPARE p AS SELECT $1::int AS n") is None
        (plan,) = run("EXPLAIN (FORMAT JSON) EXECUTE p(1)")
        assert plan["Plan"]["Node Type"] == "Result"
        assert run("SET LOCAL plan_cache_mode = force_generic_plan") is None
    with tenant.reading() as run:
        (plan,) = run("EXPLAIN (FORMAT JSON) EXECUTE p(2)")
    tenant.forget()
    with pytest.raises(psycopg.errors.InvalidSqlStatementName), tenant.reading() as run:
        run("EXPLAIN (FORMAT JSON) EXECUTE p(2)")
