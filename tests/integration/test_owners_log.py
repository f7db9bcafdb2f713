"""Nothing of ours leaves an ERROR in the server's log, whatever role and extensions there are."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from maintenance.demo.postgres import PostgresServer, embedded_binaries, system_binaries
from maintenance.engine.findings import FindingKind
from maintenance.errors import MaintenanceError
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.watch import watch
from maintenance.policy import Policy
from tests.builders import Database, Role, drop_database, make_database, make_role, server_folder
from tests.policies import EVENTS, make_policy

pytestmark = pytest.mark.in_turn

TABLES = """
CREATE TABLE public.events (id bigint NOT NULL, at timestamptz NOT NULL, note text,
  PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE public.events_2024_01 PARTITION OF public.events
  FOR VALUES FROM ('2024-01-01 00:00+00') TO ('2024-02-01 00:00+00');
CREATE TABLE public.events_default PARTITION OF public.events DEFAULT;
INSERT INTO public.events VALUES (1, '2024-01-05', 'a'), (2, '2025-03-05', 'b');
CREATE TABLE public.orders (id bigint PRIMARY KEY, events bigint, score int, scored timestamptz);
INSERT INTO public.orders SELECT n, n, n % 5, '2020-01-01' FROM generate_series(1, 20000) n;
CREATE INDEX orders_score ON public.orders (score);
CREATE INDEX orders_again ON public.orders (score, id);
DELETE FROM public.orders WHERE id % 3 > 0;
CREATE MATERIALIZED VIEW public.totals AS
  SELECT score, count(*) AS n FROM public.orders GROUP BY score;
CREATE SCHEMA hidden;
CREATE TABLE hidden.secrets (id int PRIMARY KEY);
ANALYZE
"""
SECTIONS: dict[str, Any] = {
    "matviews": [{"name": "public.totals"}],
    "stale_analytics": [
        {"table": "public.orders", "calculated_at": "scored", "key": ["id"], "max_age": "24 hours"}
    ],
    "statistics": {},
    "indexes": {"unused": {"min_size": "8 kB"}},
    "bloat": {"min_size": "8 kB"},
    "workload": {},
}
PARTITIONS = EVENTS | {"retention": {"keep": "6 months", "action": "drop"}}
FOUND = {
    15: system_binaries,
    18: lambda: {18: embedded_binaries(18)},
}


@pytest.fixture(scope="module", params=[15, 18], ids=["pg15", "pg18"])
def quiet(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """A server without a preloaded library, whose log names the application of each line."""
    try:
        binaries = FOUND[request.param]().get(request.param)
    except MaintenanceError:
        binaries = None
    if binaries is None:
        pytest.skip(f"PostgreSQL {request.param} is not installed")
    settings = {
        "log_line_prefix": "%a|",
        "log_min_messages": "error",
        "log_min_error_statement": "error",
        "pg_stat_statements.max": "1000",  # a placeholder: the library is not there
    }
    with server_folder() as folder:
        server = PostgresServer(binaries, folder / "data", fsync=False, settings=settings)
        server.start()
        yield server
        server.remove()


@pytest.fixture
def owned(quiet: PostgresServer) -> Iterator[Database]:
    """A database of tables that belong to somebody else."""
    database = make_database(quiet)
    with psycopg.connect(database.url, autocommit=True) as connection:
        for statement in TABLES.split(";"):
            connection.execute(statement.encode())
    yield database
    drop_database(database)


def errors(server: PostgresServer) -> list[str]:
    """The refused statements of our sessions, each with what the server said."""
    lines = server.log.read_text(errors="replace").splitlines()
    ours = [line for line in lines if line.startswith("maintenance ")]
    return [line for line in ours if "|ERROR:" in line or "|STATEMENT:" in line]


def everything(policy: Policy) -> list[str]:
    """Plan, check, apply and watch; the kinds of what the plan found."""
    found: list[str] = []
    with suppress(MaintenanceError):
        found += [finding.kind.value for finding in pipeline.plan(policy).findings]
    for act in (pipeline.check, pipeline.status, pipeline.apply, watch):
        with suppress(MaintenanceError):
            act(policy)
    return found


def a_role(database: Database, *grants: str) -> Role:
    role = make_role(database.server, "reader")
    database.execute(f"GRANT CONNECT ON DATABASE {database.name} TO {role.name}")
    for grant in grants:
        database.execute(grant.format(role=role.name, database=database.name))
    return role


READ = "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
KEEP = "GRANT CREATE ON DATABASE {database} TO {role}"
MONITOR = "GRANT pg_monitor TO {role}"
RIGHTS = {
    "connects": [],
    "reads": [READ],
    "keeps a store": [KEEP],
    "reads and keeps a store": [READ, KEEP],
    "monitors": [MONITOR, READ, KEEP],
}


@pytest.mark.parametrize("rights", RIGHTS)
def test_role_with_few_rights_is_refused_nothing(
    owned: Database, rights: str, tmp_path: Path
) -> None:
    role = a_role(owned, *RIGHTS[rights])
    before = errors(owned.server)
    everything(make_policy(tmp_path, owned.url_of(role), PARTITIONS, **SECTIONS))
    assert errors(owned.server)[len(before) :] == []


@pytest.mark.parametrize("trusts", [False, True], ids=["foreign", "trusted"])
def test_store_of_another_role_is_not_asked_for_what_it_refuses(
    owned: Database, tmp_path: Path, *, trusts: bool
) -> None:
    pipeline.apply(make_policy(tmp_path, owned.url, PARTITIONS, **SECTIONS))
    role = a_role(owned, MONITOR, READ)
    ((owner,),) = owned.execute("SELECT current_user")
    store = {"owner": owner} if trusts else {}
    policy = make_policy(tmp_path, owned.url_of(role), PARTITIONS, store=store, **SECTIONS)
    before = errors(owned.server)
    everything(policy)
    assert errors(owned.server)[len(before) :] == []


EXTENSIONS = ("pg_stat_statements", "pgstattuple")


# Only Debian's package has the extension.
@pytest.mark.parametrize("quiet", [15], ids=["pg15"], indirect=True)
@pytest.mark.parametrize("is_owner", [False, True], ids=["reader", "superuser"])
def test_extension_that_is_not_preloaded_is_not_asked(
    owned: Database, tmp_path: Path, *, is_owner: bool
) -> None:
    for extension in EXTENSIONS:
        owned.execute(f"CREATE EXTENSION {extension}")
    role = a_role(owned, *RIGHTS["monitors"])
    before = errors(owned.server)
    url = owned.url if is_owner else owned.url_of(role)
    found = everything(make_policy(tmp_path, url, PARTITIONS, **SECTIONS))
    assert errors(owned.server)[len(before) :] == []
    assert FindingKind.EXTENSION_MISSING.value in found
