"""Why a view was left alone, and how far the proof reaches, in every form of output."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from maintenance.cli.commands import cli
from maintenance.orchestration.matview_assets import outcome_of
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from tests.builders import Database
from tests.policies import make_policy

pytestmark = pytest.mark.pg("== 18")

SCHEMA = """
CREATE TABLE public.events (id int);
CREATE MATERIALIZED VIEW public.totals AS SELECT count(*) AS n FROM public.events;
CREATE MATERIALIZED VIEW public.sums AS SELECT sum(n) AS n FROM public.totals;
"""


@pytest.fixture
def policy(database: Database, tmp_path: Path) -> Policy:
    for statement in SCHEMA.strip().splitlines():
        database.execute(statement)
    views = [{"name": "public.totals"}, {"name": "public.sums"}]
    policy = make_policy(tmp_path, database.url, matviews=views)
    pipeline.apply(policy)
    return policy


def call(policy: Policy, *arguments: str) -> str:
    return CliRunner().invoke(cli, [*arguments, "--policy", str(policy.path)]).stdout


def skips(policy: Policy, command: str) -> dict[str, Any]:
    document = json.loads(call(policy, command, "--json"))
    return {skip["object"]: skip for skip in document["skipped"]}


def test_session_that_holds_a_transaction_open_is_named(policy: Policy, database: Database) -> None:
    with database.connect(autocommit=False, application_name="nightly report") as writer:
        (row,) = writer.execute("SELECT now(), pg_backend_pid()").fetchall()
        started, pid = row
        for command in ("plan", "status", "apply"):
            skip = skips(policy, command)["public.totals"]
            data = skip["data"]
            assert data["held_by"]["pid"] == pid
            assert data["held_by"]["application"] == "nightly report"
            assert data["held_by"]["user"] == writer.info.user
            assert datetime.fromisoformat(data["held_by"]["xact_start"]) == started
            assert data["source"] is None
            assert f"session pid {pid} ({writer.info.user}, nightly report)" in skip["reason"]
        for command in ("plan", "status", "apply"):
            (line,) = [
                line
                for line in call(policy, command).splitlines()
                if line.startswith("not needed: refresh_matview public.totals")
            ]
            assert f"pid {pid}" in line
            assert f"{started:%Y-%m-%d %H:%M:%S} UTC" in line
        metadata = outcome_of(pipeline.plan(policy), policy.matviews[0].name)
        assert metadata is not None
        assert metadata["held_by"].data["pid"] == pid
        assert metadata["unchanged_since"].value < started.timestamp()


def test_view_above_another_reaches_no_further_than_that(policy: Policy) -> None:
    both = skips(policy, "plan")
    assert both["public.sums"]["data"]["as_of"] <= both["public.totals"]["data"]["as_of"]
