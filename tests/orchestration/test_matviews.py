"""Views and computed rows in Dagster: lineage without a server, runs, and the staleness sensor."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from maintenance.orchestration.build import build
from maintenance.orchestration.crons import cron_name
from maintenance.subjects.matviews import MATVIEWS
from maintenance.subjects.matviews.dependencies import header
from tests.builders import ROOT, Database
from tests.policies import write_policy

URL = "postgresql://nobody@127.0.0.1:9/nowhere"

ORDERS = """
CREATE TABLE orders (id int PRIMARY KEY, customer text NOT NULL, amount int NOT NULL);
INSERT INTO orders SELECT n, 'c' || n % 3, n FROM generate_series(1, 9) AS n;
"""
TOTALS = "SELECT customer, sum(amount) AS total FROM public.orders GROUP BY customer"
LARGEST = "SELECT max(total) AS largest, 1 AS one FROM public.totals"
SHARES = "SELECT customer, 100 / (sum(amount) - 12) AS share FROM public.orders GROUP BY customer"


def view(folder: Path, name: str, query: str, **others: Any) -> dict[str, Any]:
    path = folder / f"{name}.sql"
    path.write_text(f"-- {name}: what is told of {name}\n-- since: 14\n{query};\n")
    return {"name": name, "definition": path.name, **others}


def write(folder: Path, url: str, *views: dict[str, Any], **sections: Any) -> None:
    write_policy(folder, url, matviews=list(views), **sections)


def specs(definitions: dg.Definitions) -> dict[str, dg.AssetSpec]:
    return {s.key.to_user_string(): s for s in definitions.resolve_all_asset_specs()}


def upstream(definitions: dg.Definitions, key: str) -> set[str]:
    return {dep.asset_key.to_user_string() for dep in specs(definitions)[key].deps}


# Without a server


def test_lineage_leads_to_tables_and_to_other_views(tmp_path: Path) -> None:
    query = "WITH recent AS (SELECT * FROM sales.orders), o AS (SELECT 1) SELECT * FROM recent, o"
    write(
        tmp_path,
        URL,
        view(tmp_path, "recent", f"{query} WHERE EXISTS (SELECT FROM people)"),
        view(tmp_path, "top", "SELECT * FROM public.recent", depends_on=["log", '"Odd Name"']),
        {"name": "by_hand"},
    )
    definitions = build([tmp_path])
    assert upstream(definitions, "app/matviews/recent") == {
        "app/source/sales_orders_74609b",
        "app/source/people",
    }
    odd = next(key for key in specs(definitions) if "Odd" in key)
    assert upstream(definitions, "app/matviews/top") == {
        "app/matviews/recent",
        "app/source/log",
        odd,
    }
    assert upstream(definitions, "app/matviews/by_hand") == set()


def test_views_that_read_each_other_spoil_no_definitions(tmp_path: Path) -> None:
    write(
        tmp_path,
        URL,
        view(tmp_path, "a", "SELECT * FROM public.b JOIN public.t ON true"),
        view(tmp_path, "b", "SELECT * FROM public.a"),
    )
    definitions = build([tmp_path])
    assert upstream(definitions, "app/matviews/a") == {"app/source/t"}
    assert definitions.resolve_job_def("app_nightly")


def test_view_shows_its_definition_description_and_how_old_it_may_be(tmp_path: Path) -> None:
    write(
        tmp_path,
        URL,
        view(tmp_path, "totals", TOTALS, max_age="4 hours", unique_index=["customer"]),
    )
    spec = specs(build([tmp_path]))["app/matviews/totals"]
    assert (spec.description or "").startswith("What is told of totals.")
    assert "**When red:**" in (spec.description or "")
    assert spec.metadata["definition"].value == f"```sql\n{TOTALS};\n```"
    assert spec.metadata["unique_index"] == "customer"
    assert spec.group_name == "matviews"
    wanted = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=4))
    assert spec.freshness_policy == wanted


def test_every_view_of_the_repository_explains_itself() -> None:
    for path in ROOT.glob("sql/systems/*/matviews/*.sql"):
        text = header(path)
        assert text[0].isupper(), path.name
        assert "since:" not in text


def test_each_view_has_a_check_for_every_finding(tmp_path: Path) -> None:
    write(tmp_path, URL, view(tmp_path, "totals", TOTALS), view(tmp_path, "shares", SHARES))
    checks = build([tmp_path]).resolve_asset_graph().asset_check_keys
    of_views = {c for c in checks if "matviews" in c.asset_key.path}
    assert {(c.asset_key.path[-1], c.name) for c in of_views} == {
        (name, kind.value) for name in ("totals", "shares") for kind in MATVIEWS.finding_kinds
    }


def test_views_of_one_cron_share_a_job_and_others_go_with_the_night(tmp_path: Path) -> None:
    write(
        tmp_path,
        URL,
        view(tmp_path, "a", TOTALS, refresh="0 * * * *"),
        view(tmp_path, "b", TOTALS, refresh="0 * * * *"),
        view(tmp_path, "c", TOTALS, refresh="30 2 * * *"),
        view(tmp_path, "d", TOTALS),
    )
    definitions = build([tmp_path])
    chosen = {
        name: {
            key.path[-1]
            for key in definitions.resolve_job_def(name).asset_layer.executable_asset_keys
        }
        for name in ("app_refresh_hourly_at_00", "app_refresh_daily_at_0230", "app_nightly")
    }
    assert list(chosen.values()) == [{"a", "b"}, {"c"}, {"d", "dagster_storage"}]
    schedules = definitions.get_repository_def().schedule_defs
    crons = {schedule.name: schedule.cron_schedule for schedule in schedules}
    assert crons["app_refresh_hourly_at_00"] == "0 * * * *"


def test_crons_have_distinct_names_fit_for_jobs() -> None:
    crons = ["0 * * * *", "0 0 * * *", "*/5 * * * *", "0-5 * * * *", "0,5 * * * *", "5 * * * *"]
    crons += ["0 */2 * * *", "0 2 * * 0", "0 2 * * SUN", "15 14 1 * *", "05 * * * *"]
    names = [cron_name(cron) for cron in crons]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() or name[0].isdigit() for name in names)


def test_hostile_names_of_views_give_valid_keys(tmp_path: Path) -> None:
    names = ['"a b"', '"таблица"', '"%"', '"S"."x.y"', "a_b"]
    write(tmp_path, URL, *({"name": name, "depends_on": ['"Ünï ""x"']} for name in names))
    found = [key for key in specs(build([tmp_path])) if "/matviews/" in key]
    assert len(found) == len(names)


# Runs

pg18 = pytest.mark.pg("== 18")


class Dagster:
    """Definitions of one policy, and an instance to run them on."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.folder = folder
        self.instance = instance

    def run(self, job: str, *names: str) -> dg.ExecuteInProcessResult:
        keys = [dg.AssetKey(["app", "matviews", name]) for name in names]
        definition = build([self.folder]).resolve_job_def(job)
        return definition.execute_in_process(
            instance=self.instance, raise_on_error=False, asset_selection=keys or None
        )

    def newest(self, name: str) -> dict[str, Any]:
        """Metadata of a view's newest materialization; empty without one."""
        event = self.instance.get_latest_materialization_event(
            dg.AssetKey(["app", "matviews", name])
        )
        if event is None or event.asset_materialization is None:
            return {}
        return {n: v.value for n, v in event.asset_materialization.metadata.items()}


@pytest.fixture
def dagster(tmp_path: Path, instance: dg.DagsterInstance) -> Dagster:
    return Dagster(tmp_path, instance)


@pytest.fixture
def orders(database: Database) -> Database:
    with database.connect() as connection:
        connection.execute(ORDERS)
    return database


@pg18
def test_views_are_created_then_left_alone_then_refreshed(
    orders: Database, tmp_path: Path, dagster: Dagster
) -> None:
    write(
        tmp_path,
        orders.url,
        view(tmp_path, "largest", LARGEST, unique_index=["one"]),
        view(tmp_path, "totals", TOTALS, unique_index=["customer"]),
    )
    assert dagster.run("app_nightly").success
    made = dagster.newest("totals")
    assert (made["outcome"], made["dagster/row_count"]) == ("created", 3)
    assert made["size_bytes"] > 0
    assert made["duration_s"] > 0
    assert made["reason"]
    assert dagster.newest("largest")["dagster/row_count"] == 1

    assert isinstance(made["as_of"], float)

    orders.execute("INSERT INTO orders VALUES (10, 'c0', 1000)")
    assert dagster.run("app_nightly").success
    refreshed = dagster.newest("totals")
    assert (refreshed["outcome"], refreshed["rows_changed"]) == ("refreshed", 1)
    assert refreshed["mode"] == "concurrently"
    assert orders.execute("SELECT largest FROM largest") == [(1018,)]


@pg18
def test_one_view_of_several_is_refreshed_alone(
    orders: Database, tmp_path: Path, dagster: Dagster
) -> None:
    write(tmp_path, orders.url, view(tmp_path, "totals", TOTALS), view(tmp_path, "other", TOTALS))
    assert dagster.run("app_nightly", "other").success
    assert dagster.newest("other")["outcome"] == "created"
    assert dagster.newest("totals") == {}
    assert orders.execute("SELECT to_regclass('public.totals')") == [(None,)]


@pg18
def test_view_that_fails_leaves_the_others_right_and_the_run_red(
    orders: Database, tmp_path: Path, dagster: Dagster
) -> None:
    write(tmp_path, orders.url, view(tmp_path, "shares", SHARES), view(tmp_path, "totals", TOTALS))
    result = dagster.run("app_nightly")
    assert not result.success
    assert dagster.newest("totals")["outcome"] == "created"
    assert dagster.newest("shares") == {}
    (failure,) = result.get_step_failure_events()
    data = failure.step_failure_data.user_failure_data
    assert data is not None
    assert "public.shares" in (data.description or "")
    assert "division by zero" in (data.description or "")
    red = {
        e.check_name
        for e in result.get_asset_check_evaluations()
        if not e.passed and e.asset_key.path[-1] == "shares"
    }
    assert "matview_missing" in red


# The sensor


def tick(folder: Path, instance: dg.DagsterInstance) -> Any:
    definitions = build([folder])
    repository = definitions.get_repository_def()
    sensor = repository.get_sensor_def("app_staleness")
    with dg.build_sensor_context(
        instance=instance, repository_def=repository, sensor_name="app_staleness"
    ) as context:
        return sensor.evaluate_tick(context)


@pg18
def test_sensor_asks_for_views_that_are_too_old_and_for_no_others(
    orders: Database, tmp_path: Path, dagster: Dagster
) -> None:
    write(
        tmp_path,
        orders.url,
        view(tmp_path, "totals", TOTALS, refresh="0 * * * *", max_age="4 hours"),
        view(tmp_path, "other", TOTALS, max_age="2 days"),
    )
    assert dagster.run("app_refresh_hourly_at_00").success
    assert dagster.run("app_nightly").success
    assert tick(tmp_path, dagster.instance).run_requests == []

    age(orders, hours=5)
    (request,) = tick(tmp_path, dagster.instance).run_requests
    assert request.job_name == "app_refresh_hourly_at_00"
    assert [key.path[-1] for key in request.asset_selection] == ["totals"]
    stand = "SELECT object FROM maintenance.alert WHERE kind = 'matview_stale'"
    assert orders.execute(stand) == [("public.totals",)]

    assert dagster.run("app_refresh_hourly_at_00").success
    assert tick(tmp_path, dagster.instance).run_requests == []
    assert orders.execute(stand) == []


def age(database: Database, *, hours: int) -> None:
    """Let the ledger say that everything is so much older, and make a refresh needed."""
    columns = ("started_at", "ended_at", "as_of", "proven_as_of")
    changes = ", ".join(f"{c} = {c} - interval '{hours} hours'" for c in columns)
    database.execute(f"UPDATE maintenance.matview_refresh SET {changes}")
    database.execute("INSERT INTO orders VALUES (11, 'c1', 5)")


@pg18
def test_sensor_without_store_skips_and_says_nothing(
    orders: Database, tmp_path: Path, dagster: Dagster
) -> None:
    write(tmp_path, orders.url, view(tmp_path, "totals", TOTALS))
    data = tick(tmp_path, dagster.instance)
    assert data.run_requests == []
    assert data.skip_message


def test_sensor_on_a_server_that_is_down_says_so(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    write(tmp_path, URL, view(tmp_path, "totals", TOTALS))
    data = tick(tmp_path, instance)
    assert data.run_requests == []
    assert data.skip_message
