"""The command `explain`: a finding's runbook entry with the numbers of the case."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from maintenance.cli.commands import cli
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.notify import notify
from maintenance.policy import Policy
from tests.builders import Database
from tests.policies import CREATE_EVENTS, EVENTS, make_policy

pytestmark = pytest.mark.pg("== 18")

INDEX = "public.events_twin"


@pytest.fixture
def policy(database: Database, tmp_path: Path) -> Policy:
    database.execute(CREATE_EVENTS)
    database.execute("CREATE TABLE public.small AS SELECT generate_series(1, 1000) AS id")
    database.execute("CREATE INDEX one ON public.small (id)")
    database.execute("CREATE INDEX events_twin ON public.small (id)")
    return make_policy(
        tmp_path, database.url, EVENTS, name="app", indexes={"unused": {"min_size": "1 kB"}}
    )


def call(policy: Policy, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["explain", "--policy", str(policy.path), *arguments])


def explained(policy: Policy, *arguments: str) -> dict[str, Any]:
    result = call(policy, "--json", *arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_finding_is_observed_where_there_is_no_store_and_nothing_is_made(
    policy: Policy, database: Database
) -> None:
    assert [each["object"] for each in explained(policy, "index_duplicate")["cases"]] == [INDEX]
    (case,) = explained(policy, "index_duplicate", INDEX)["cases"]
    assert (case["object"], case["since"]) == (INDEX, None)
    assert case["links"] == {}
    assert database.execute("SELECT to_regnamespace('maintenance')::text") == [(None,)]


def test_open_alert_is_explained_with_the_facts_of_the_newest_run(policy: Policy) -> None:
    pipeline.apply(policy)
    notify(policy)
    document = explained(policy, "index_duplicate")
    assert [case["object"] for case in document["cases"]] == [INDEX]
    (case,) = document["cases"]
    assert case["since"] is not None
    assert case["data"]["covered_by"] == "public.one"
    assert document["automatic_action"] in " ".join(document["entry"].split())
    assert case["state"] == "open"
    shown = call(policy, "index_duplicate")
    assert INDEX in shown.output
    assert "open since" in shown.output


def test_finding_that_is_over_is_not_listed_and_says_so_if_it_is_named(
    policy: Policy, database: Database
) -> None:
    pipeline.apply(policy)
    database.execute("DROP INDEX public.events_twin")
    assert explained(policy, "index_duplicate")["cases"] == []
    (case,) = explained(policy, "index_duplicate", INDEX)["cases"]
    assert (case["state"], case["since"]) == ("", None)
    assert "no alert is open" in call(policy, "index_duplicate", INDEX).output


def test_kind_without_a_case_is_explained_all_the_same(policy: Policy) -> None:
    assert explained(policy, "wraparound_risk")["cases"] == []
    assert call(policy, "wraparound_risk").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        (["index_duplicat"], "index_duplicate"),
        (["index_duplicate", "public.event_twin"], INDEX),
        (["wraparound_risk", "app"], "none"),
    ],
)
def test_unknown_kind_or_object_is_refused_with_near_names(
    policy: Policy, arguments: list[str], near: str
) -> None:
    result = call(policy, *arguments)
    assert result.exit_code == 2
    assert near in result.output
