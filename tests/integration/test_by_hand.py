"""What is analyzed, vacuumed and refreshed by hand, whether it is due or not."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from maintenance.cli.commands import cli
from maintenance.engine.scope import Request
from maintenance.errors import UsageError
from maintenance.names import QualifiedName
from maintenance.pipeline import run as pipeline
from tests.builders import Database, Role
from tests.policies import make_policy, write_policy

pytestmark = pytest.mark.in_turn

TIMES = """
SELECT relname, last_analyze IS NOT NULL, last_vacuum IS NOT NULL
FROM pg_catalog.pg_stat_user_tables WHERE schemaname = 'public' ORDER BY 1
"""
PARTED = """
CREATE TABLE public.parted (id int, at int) PARTITION BY RANGE (at);
CREATE TABLE public.parted_1 PARTITION OF public.parted FOR VALUES FROM (0) TO (10);
CREATE TABLE public.other (id int);
INSERT INTO public.parted SELECT i, i % 10 FROM generate_series(1, 100) i;
"""


def call(policy: Path, *arguments: str, exits: int = 0) -> Any:
    result = CliRunner().invoke(cli, [*arguments, "--policy", str(policy), "--json"])
    assert result.exit_code == exits, result.output
    return json.loads(result.stdout)


def test_table_is_analyzed_and_vacuumed_although_nothing_is_due(
    database: Database, tmp_path: Path
) -> None:
    database.execute("CREATE TABLE public.quiet (id int)")
    database.execute("CREATE TABLE public.other (id int)")
    file = write_policy(tmp_path, database.url)
    (action,) = call(file, "analyze", "--table", "quiet")["actions"]
    assert (action["kind"], action["outcome"]) == ("analyze_table", "done")
    assert database.execute(TIMES) == [("other", False, False), ("quiet", True, False)]
    (action,) = call(file, "vacuum", "--table", "public.quiet")["actions"]
    assert (action["kind"], action["outcome"]) == ("vacuum_table", "done")
    assert database.execute(TIMES) == [("other", False, False), ("quiet", True, True)]


def test_partitioned_table_is_kept_up_with_its_partitions(
    database: Database, tmp_path: Path
) -> None:
    database.execute(PARTED)
    file = write_policy(tmp_path, database.url)
    call(file, "analyze", "--table", "public.parted")
    found = {name: analyzed for name, analyzed, _ in database.execute(TIMES)}
    assert found == {"other": False, "parted": True, "parted_1": True}
    kinds = {
        each["object"]: each["kind"]
        for each in call(file, "vacuum", "--table", "parted")["actions"]
    }
    assert kinds == {"public.parted": "analyze_table", "public.parted_1": "vacuum_table"}


def test_unknown_table_is_told_with_its_near_name(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE public.courses (id int)")
    document = call(write_policy(tmp_path, database.url), "analyze", "--table", "course", exits=1)
    assert document["actions"] == []
    (finding,) = document["findings"]
    assert (finding["kind"], finding["data"]["near"]) == ("no_such_table", ["public.courses"])


def test_table_of_others_fails_and_says_that_the_right_is_missing(
    database: Database, tmp_path: Path, limited_role: Role
) -> None:
    database.execute("CREATE TABLE public.theirs (id int)")
    database.execute("CREATE TABLE public.mine (id int)")
    database.execute(f"GRANT CREATE ON DATABASE {database.name} TO {limited_role.name}")
    database.execute(f"ALTER TABLE public.mine OWNER TO {limited_role.name}")
    file = write_policy(tmp_path, database.url_of(limited_role))
    (action,) = call(file, "analyze", "--table", "theirs", exits=1)["actions"]
    assert action["outcome"] == "failed"
    call(file, "analyze", "--table", "mine")


def test_paused_and_reporting_databases_are_left_alone(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE public.quiet (id int)")
    file = write_policy(tmp_path, database.url)
    call(file, "pause")
    call(file, "analyze", "--table", "quiet", exits=1)
    call(file, "resume")
    file.write_text(file.read_text().replace("  name: app", "  name: app\n  mode: report"))
    call(file, "analyze", "--table", "quiet", exits=2)
    assert database.execute(TIMES) == [("quiet", False, False)]


@pytest.fixture
def views(database: Database, tmp_path: Path) -> Path:
    database.execute("CREATE TABLE public.t AS SELECT generate_series(1, 10) AS n")
    (tmp_path / "total.sql").write_text("SELECT count(*) AS n FROM t")
    (tmp_path / "twice.sql").write_text("SELECT 2 * n AS n FROM total")
    sections = [
        {"name": f"public.{name}", "definition": f"{name}.sql", "unique_index": ["n"]}
        for name in ("total", "twice")
    ]
    return write_policy(tmp_path, database.url, matviews=sections)


def test_view_is_refreshed_by_force_although_nothing_has_changed(views: Path) -> None:
    assert len(call(views, "refresh")["actions"]) == 2
    assert call(views, "refresh")["actions"] == []
    assert call(views, "refresh", "--matview", "total")["actions"] == []
    (action,) = call(views, "refresh", "--matview", "total", "--force")["actions"]
    assert (action["object"], action["outcome"]) == ("public.total", "done")
    forced = call(views, "refresh", "--force")["actions"]
    assert [each["object"] for each in forced] == ["public.total", "public.twice"]
    assert call(views, "refresh")["actions"] == []


def test_view_that_the_policy_does_not_name_is_refused(views: Path) -> None:
    call(views, "refresh", "--matview", "public.other", "--force", exits=2)


def test_request_for_a_table_of_another_subject_names_that_subject(
    database: Database, tmp_path: Path
) -> None:
    rows = [{"table": "public.users", "calculated_at": "at", "key": ["id"], "max_age": "1 hour"}]
    policy = make_policy(tmp_path, database.url, stale_analytics=rows, statistics={})
    with pytest.raises(UsageError) as error:
        pipeline.apply(
            policy, only=["statistics"], request=Request(QualifiedName("public", "users"))
        )
    assert error.value.reason == "other_subject"
    assert "stale_analytics" in str(error.value.hint)
