"""The SQL of each host's page makes a role that does everything, by an administrator's rights."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from maintenance.engine.findings import Finding, FindingKind
from maintenance.periods import Interval, period_of
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from maintenance.server.sql_library import data_root
from tests.builders import ROOT, Database, Role
from tests.hosts import HOSTS, Host, Site, open_site, statements_of
from tests.policies import make_policy

NOW = period_of(datetime.now(UTC).date(), Interval.MONTH)
EXPIRED, KEPT = NOW.shift(-4), NOW.shift(-1)
APPLICATION = f"""
CREATE TYPE public.kind AS ENUM ('click', 'view');
CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TABLE public.events (id bigint NOT NULL, at timestamptz NOT NULL, kind public.kind,
  PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE public.events_old PARTITION OF public.events
  FOR VALUES FROM ('{EXPIRED.start:%F}Z') TO ('{EXPIRED.end:%F}Z');
CREATE TABLE public.events_kept PARTITION OF public.events
  FOR VALUES FROM ('{KEPT.start:%F}Z') TO ('{KEPT.end:%F}Z');
INSERT INTO public.events
  VALUES (1, '{EXPIRED.start:%F}Z', 'view'), (2, '{KEPT.start:%F}Z', 'view');
CREATE TABLE public.users (id bigserial PRIMARY KEY, note text);
CREATE TRIGGER touch BEFORE UPDATE ON public.users FOR EACH ROW EXECUTE FUNCTION public.touch();
INSERT INTO public.users (note) SELECT 'n' FROM generate_series(1, 500);
CREATE VIEW public.notes AS SELECT note FROM public.users;
CREATE MATERIALIZED VIEW public.mv AS SELECT count(*) AS n, 1 AS id FROM public.users;
CREATE UNIQUE INDEX ON public.mv (id);
ALTER TABLE public.events ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.users ENABLE ROW LEVEL SECURITY;
"""
"""The tables of an application, as the role that owns them creates them."""

PREDEFINED = {"GRANT pg_monitor TO maintenance", "GRANT pg_read_all_data TO maintenance"}
REFUSED_FROM_16 = {"cloud_sql": PREDEFINED, "render": PREDEFINED}
"""The statements of a page that the host's administrator may not run."""
TOO_NEW = {"rds": {"GRANT pg_maintain TO maintenance": 17}}
"""The version that a statement needs."""

DONE = {
    "create_partition",
    "detach_partition",
    "archive_partition",
    "drop_partition",
    "analyze_table",
    "refresh_matview",
    "create_index",
}

per_host = pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)


def policy_of(site: Site, folder: Path, role: Role | None = None) -> Policy:
    """Every subject that changes something, as the maintenance role unless another is given."""
    (folder / "indexes.sql").write_text("CREATE INDEX declared ON public.users (note)")
    retention = {
        "keep": "2 months",
        "action": "archive_then_drop",
        "archive": {"url": "./archive"},
    }
    return make_policy(
        folder,
        site.database.url_of(role or site.maintenance),
        {"table": "events", "column": "at", "retention": retention},
        matviews=[{"name": "mv"}],
        statistics={},
        indexes={"declared": "indexes.sql"},
        bloat={},
        workload={"slow_query": "1 s"},
    )


def missing(policy: Policy) -> set[str]:
    """The objects of which a right is missing."""
    found = pipeline.check(policy).findings
    return {f.object for f in found if f.kind is FindingKind.PRIVILEGE_MISSING}


def not_granted(site: Site) -> dict[str, str]:
    """The statements of the host's page that its administrator can't run on this version."""
    major = site.database.server.major
    refused = REFUSED_FROM_16.get(site.host.name, set()) if major >= 16 else set[str]()
    too_new = {one for one, first in TOO_NEW.get(site.host.name, {}).items() if major < first}
    return {**dict.fromkeys(refused, "42501"), **dict.fromkeys(too_new, "42704")}


def assert_everything_is_done(policy: Policy, site: Site) -> None:
    report = pipeline.apply(policy)
    assert report.ok, report.results
    assert {result.action.kind.value for result in report.results} >= DONE
    assert report.plan.skipped == ()
    owners = site.database.execute(
        "SELECT DISTINCT pg_get_userbyid(relowner)::text FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace"
    )
    assert owners == [(site.owner.name,)]
    role = "SELECT rolsuper, rolcreaterole, rolbypassrls FROM pg_roles WHERE rolname = %s"
    assert site.database.execute(role, (site.maintenance.name,)) == [(False, False, False)]


@pytest.mark.pg("!= 16")
@per_host
def test_role_of_the_page_does_everything_on_tables_of_an_owner_role(
    database: Database, tmp_path: Path, host: Host
) -> None:
    site = open_site(host, database)
    assert site.run(["CREATE ROLE app_owner", "GRANT CREATE ON SCHEMA public TO app_owner"]) == {}
    site.give_password(site.owner)
    database.execute(APPLICATION, role=site.owner)
    assert site.run(host.statements) == not_granted(site)
    site.give_password(site.maintenance)
    policy = policy_of(site, tmp_path)
    lacking = {"app"} if "GRANT pg_monitor TO maintenance" in not_granted(site) else set[str]()
    assert missing(policy) == lacking
    assert "create_partition" in {
        action.kind.value for action in pipeline.plan(policy).plan.actions
    }
    assert_everything_is_done(policy, site)


@pytest.mark.pg("!= 16")
@pytest.mark.in_turn
@per_host
def test_tables_of_the_administrator_are_handed_over_to_an_owner_role(
    database: Database, tmp_path: Path, host: Host
) -> None:
    """From 16 on nobody at the host may grant membership in the administrator's own role."""
    site = open_site(host, database)
    database.execute(APPLICATION, role=site.admin)
    handed = statements_of("owner_role")
    assert site.run(handed) == {}
    assert site.run(handed[-1:]) == {}
    assert site.run(host.statements) == not_granted(site)
    site.give_password(site.maintenance)
    policy = policy_of(site, tmp_path)
    assert_everything_is_done(policy, site)
    # the application and its migrations go on as the administrator
    database.execute("INSERT INTO public.users (note) VALUES ('new')", role=site.admin)
    database.execute("ALTER TABLE public.users ADD more int", role=site.admin)
    database.execute("ALTER TYPE public.kind ADD VALUE 'search'", role=site.admin)
    database.execute("CREATE TABLE public.later (id int); ANALYZE public.later", role=site.admin)
    assert site.run(handed[-1:]) == {}
    owner = "SELECT pg_get_userbyid(relowner)::text FROM pg_class WHERE relname = 'later'"
    assert database.execute(owner) == [(site.owner.name,)]


@pytest.mark.pg(">= 18")
@pytest.mark.parametrize(
    "host", [h for h in HOSTS if h.name in ("cloud_sql", "render")], ids=lambda host: host.name
)
def test_what_only_the_host_may_grant_is_said_until_it_does(
    database: Database, tmp_path: Path, host: Host
) -> None:
    site = open_site(host, database)
    database.execute(APPLICATION, role=site.admin)
    site.run([*statements_of("owner_role"), *host.statements])
    site.give_password(site.maintenance)
    policy = policy_of(site, tmp_path)
    assert missing(policy) == {"app"}
    database.execute(f"GRANT pg_monitor TO {site.maintenance.name}")
    assert missing(policy) == set()


@pytest.mark.pg(">= 16")
@pytest.mark.in_turn
@per_host
def test_row_security_is_bypassed_where_the_administrator_bypasses_it(
    database: Database, host: Host
) -> None:
    site = open_site(host, database)
    assert site.run(["CREATE ROLE maintenance LOGIN"]) == {}
    refused = site.run(["ALTER ROLE maintenance BYPASSRLS"])
    assert bool(refused) is (host.name not in {"azure", "supabase"})
    assert set(refused.values()) <= {"42501"}


@pytest.mark.pg("== 18")
@per_host
def test_administrator_is_never_to_be_shared(
    database: Database, tmp_path: Path, host: Host
) -> None:
    """On tables of the administrator, the advice is the owner role, and it can be followed."""
    site = open_site(host, database)
    database.execute(APPLICATION, role=site.admin)
    page = [one for one in host.statements if "app_owner" not in one]
    usage = "GRANT USAGE, CREATE ON SCHEMA public TO maintenance"
    site.run([*page, usage])
    site.give_password(site.maintenance)
    found = pipeline.check(policy_of(site, tmp_path)).findings
    grants = {f.object: f.data["grants"] for f in found if f.kind is FindingKind.PRIVILEGE_MISSING}
    assert {"public.events", "public.declared"} <= grants.keys()
    assert not re.search(rf"GRANT {site.admin.name}\b", str(grants))
    (advice,) = grants["public.events"]
    database.execute(advice, role=site.admin)
    assert "public.events" not in missing(policy_of(site, tmp_path))


@pytest.mark.pg("== 18")
@pytest.mark.parametrize(
    "host", [h for h in HOSTS if h.name == "supabase"], ids=lambda host: host.name
)
def test_published_table_is_converted_once_its_publication_has_the_owner_too(
    database: Database, tmp_path: Path, host: Host
) -> None:
    site = open_site(host, database)
    database.execute(PUBLISHED, role=site.admin)
    assert site.run([*statements_of("owner_role"), *host.statements]) == {}
    site.give_password(site.maintenance)
    section = {"table": "log", "column": "at", "convert": "online"}
    policy = make_policy(
        tmp_path,
        database.url_of(site.maintenance),
        {**section, "convert_when": {"larger_than": "1 kB"}},
    )
    (held,) = of_kind(policy, FindingKind.NOT_PARTITIONED)
    assert held.data["reasons"] == ["publication_owner"]
    advice = re.search(r"Run (GRANT CREATE .*? OWNER TO \w+)", held.message)
    assert advice is not None
    database.execute(advice[1], role=site.admin)
    report = pipeline.apply(policy)
    assert report.ok, report.results
    assert "convert_table" in {result.action.kind.value for result in report.results}
    published = "SELECT tablename::text FROM pg_publication_tables"
    assert database.execute(published) == [("log",)]
    database.execute("INSERT INTO public.log VALUES (-1, now())", role=site.admin)


PUBLISHED = """
CREATE TABLE public.log (id bigint PRIMARY KEY, at timestamptz NOT NULL, note text);
INSERT INTO public.log
SELECT i, now() - i * interval '1 hour', 'n' FROM generate_series(1, 1000) AS i;
CREATE PUBLICATION realtime WITH (publish_via_partition_root = true);
ALTER PUBLICATION realtime ADD TABLE public.log;
"""


def of_kind(policy: Policy, kind: FindingKind) -> list[Finding]:
    """The findings of a kind in a plan."""
    return [f for f in pipeline.plan(policy).findings if f.kind is kind]


def test_pages_show_the_files() -> None:
    pages = {path.stem: path for path in (ROOT / "docs/hosts").glob("*.md")}
    assert pages.keys() == {host.name for host in HOSTS}
    pages["owner_role"] = ROOT / "docs/hosts.md"
    files = {path.stem: path for path in (data_root() / "sql/hosts").glob("*.sql")}
    assert files.keys() == pages.keys()
    for name, page in pages.items():
        assert f"```sql\n{files[name].read_text()}```" in page.read_text(), name
