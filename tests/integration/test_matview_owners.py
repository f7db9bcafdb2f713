"""Views made from a definition: whose they are, who may read them, and as whom their query runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from maintenance.engine.executor import Outcome
from maintenance.engine.findings import FindingKind, Severity
from maintenance.engine.scope import Request
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy, load_policy
from tests.builders import Database, Role, make_role
from tests.policies import make_policy, write_policy

newest = pytest.mark.pg("== 18")
QUERY = "SELECT id, app.who() AS who FROM app.t"


@dataclass
class Place:
    """A schema of an owner's, a role of ours that may act for the owner, and an application's."""

    database: Database
    folder: Path
    owner: Role
    ours: Role
    reader: Role

    def policy(self, **more: Any) -> Policy:
        (self.folder / "v.sql").write_text(QUERY)
        view = {"name": "app.v", "definition": "v.sql", "unique_index": ["id"], **more}
        return make_policy(self.folder, self.database.url_of(self.ours), matviews=[view])

    def make_other_view(self, name: str = "other") -> None:
        self.database.execute(
            f"SET ROLE {self.owner.name}; CREATE VIEW app.{name} AS SELECT id FROM app.t;"
            f" GRANT SELECT ON app.{name} TO {self.reader.name}"
        )

    def owner_of_view(self) -> str:
        ((name,),) = self.database.execute(
            "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass('app.v')"
        )
        return str(name)

    def read_as(self, role: Role) -> list[tuple[Any, ...]]:
        return self.database.execute("SELECT id, who FROM app.v", role=role)


@pytest.fixture
def place(database: Database, tmp_path: Path) -> Place:
    owner, ours, reader = (make_role(database.server, n) for n in ("owner", "ours", "reader"))
    database.execute(
        f"GRANT CREATE ON DATABASE {database.name} TO {ours.name};"
        f" GRANT pg_read_all_stats, {owner.name} TO {ours.name};"
        f" CREATE SCHEMA app AUTHORIZATION {owner.name};"
        f" GRANT USAGE, CREATE ON SCHEMA app TO {ours.name};"
        f" GRANT USAGE ON SCHEMA app TO {reader.name};"
        f" SET ROLE {owner.name}; CREATE TABLE app.t (id int); INSERT INTO app.t VALUES (1);"
        " CREATE FUNCTION app.who() RETURNS text LANGUAGE sql STABLE AS 'SELECT current_user'"
    )
    return Place(database, tmp_path, owner, ours, reader)


def test_view_gets_owner_and_readers_of_the_other_views(place: Place) -> None:
    place.make_other_view()
    report = pipeline.apply(place.policy())
    assert [result.error for result in report.results] == [None]
    assert place.owner_of_view() == place.owner.name
    assert place.read_as(place.reader) == [(1, place.owner.name)]


@newest
def test_view_gets_the_owner_of_its_schema_where_it_is_the_first(place: Place) -> None:
    place.database.execute(
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {place.owner.name} IN SCHEMA app"
        f" GRANT SELECT ON TABLES TO {place.reader.name}"
    )
    pipeline.apply(place.policy())
    assert place.owner_of_view() == place.owner.name
    assert place.read_as(place.reader) == [(1, place.owner.name)]


@newest
def test_right_that_not_all_other_views_give_is_not_given(place: Place) -> None:
    place.make_other_view()
    place.database.execute(f"SET ROLE {place.owner.name}; CREATE VIEW app.w AS SELECT 1 AS x")
    pipeline.apply(place.policy())
    assert place.owner_of_view() == place.owner.name
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        place.read_as(place.reader)


@newest
def test_policy_names_owner_and_readers(place: Place) -> None:
    second = make_role(place.database.server, 'Second "x"')
    quoted = '"' + second.name.replace('"', '""') + '"'
    place.database.execute(
        f"GRANT {quoted} TO {place.ours.name}; GRANT CREATE, USAGE ON SCHEMA app TO {quoted};"
        f" GRANT SELECT ON app.t TO {quoted}"
    )
    grants = [{"to": place.reader.name, "rights": ["SELECT", "MAINTAIN"]}, {"to": "public"}]
    pipeline.apply(place.policy(owner=second.name, grants=grants))
    assert place.owner_of_view() == second.name
    assert place.read_as(place.reader) == [(1, second.name)]
    assert pipeline.plan(place.policy(owner=second.name, grants=grants)).findings == ()


REFUSED = {
    "an owner that does not exist": {"owner": "nobody_at_all"},
    "an owner that we may not act for": {"owner": "pg_monitor"},
    "a reader that does not exist": {"grants": [{"to": "nobody_at_all"}]},
}


@newest
@pytest.mark.parametrize("fault", REFUSED)
def test_owner_and_readers_that_can_not_be_had_are_refused(place: Place, fault: str) -> None:
    report = pipeline.apply(place.policy(**REFUSED[fault]))
    assert [result.outcome for result in report.results] == [Outcome.REFUSED]
    (finding,) = report.findings
    assert (finding.kind, finding.severity) == (FindingKind.MATVIEW_MISSING, Severity.ERROR)
    assert place.database.execute("SELECT to_regclass('app.v')") == [(None,)]


def rebuilding(policy: Policy) -> Request:
    return Request(policy.matviews[0].name, rebuild=True)


@newest
def test_view_that_is_ours_is_told_and_a_rebuild_gives_it_away(place: Place) -> None:
    place.make_other_view()
    place.database.execute(
        f"GRANT SELECT ON app.t TO {place.ours.name}; SET ROLE {place.ours.name};"
        f" CREATE MATERIALIZED VIEW app.v AS {QUERY}"
    )
    policy = place.policy()
    (finding,) = [
        each
        for each in pipeline.plan(policy).findings
        if each.kind is FindingKind.MATVIEW_DEFINITION_DRIFT
    ]
    assert finding.data["sql"] == [
        f"ALTER MATERIALIZED VIEW app.v OWNER TO {place.owner.name}",
        f"GRANT SELECT ON app.v TO {place.reader.name}",
    ]
    report = pipeline.apply(policy, only=("matviews",), request=rebuilding(policy))
    assert [result.error for result in report.results] == [None]
    assert place.owner_of_view() == place.owner.name
    assert place.read_as(place.reader) == [(1, place.owner.name)]
    assert pipeline.plan(policy).findings == ()


@newest
def test_operators_of_the_server_come_before_those_on_the_search_path(place: Place) -> None:
    place.database.execute(
        f"SET ROLE {place.owner.name}; CREATE FUNCTION app.trap(int, int) RETURNS bool LANGUAGE sql"
        " AS 'SELECT 1 / 0 > 0'; CREATE OPERATOR app.= (LEFTARG = int, RIGHTARG = int,"
        " FUNCTION = app.trap)"
    )
    (place.folder / "v.sql").write_text("SELECT id FROM t WHERE id = 1")
    view = {"name": "app.v", "definition": "v.sql"}
    url = place.database.url_of(place.ours)
    path = write_policy(place.folder, url, matviews=[view])
    path.write_text(path.read_text().replace("url:", "search_path: app\n  url:"))
    report = pipeline.apply(load_policy(path))
    assert [result.error for result in report.results] == [None]
