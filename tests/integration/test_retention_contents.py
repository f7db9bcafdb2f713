"""What a plan of retention says of the partitions that go: rows, bytes, keys, archive."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from maintenance.cli.commands import cli
from maintenance.demo.postgres import PostgresServer
from maintenance.engine.actions import ActionKind
from maintenance.engine.findings import FindingKind
from maintenance.engine.scope import Request
from maintenance.names import QualifiedName, parse_name
from maintenance.orchestration.retention_assets import contents_metadata
from maintenance.partition_key import Encoding, KeyCodec
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from maintenance.server.session import Timeouts, connect
from maintenance.subjects.retention import key_range
from maintenance.subjects.retention.key_range import Keyed, read_key_ranges
from tests.builders import Database, Role, cloned
from tests.past_months import make_template_of_months, month
from tests.policies import EVENTS, make_policy

pytestmark = [pytest.mark.store, pytest.mark.in_turn]

TABLE = QualifiedName("public", "events")
ROWS = 300


def child(offset: int) -> str:
    return f"public.events_{month(offset).replace('-', '_')}"


OLDEST, NEWEST = f"{month(-5)}-02T00:00:00+00:00", f"{month(-5)}-02T00:04:59+00:00"


def policy_of(database: Database, folder: Path, **retention: Any) -> Policy:
    section = {"keep": "4 months", "action": "drop", **retention}
    return make_policy(folder, database.url, {**EVENTS, "retention": section}, name="app")


@pytest.fixture
def filled(server: PostgresServer) -> Iterator[Database]:
    """Events of five months ago, and of this month."""
    template = make_template_of_months(server, -5, 0, with_horizon=False)
    for database in cloned(server, template):
        for offset in (-5, 0):
            database.execute(
                "INSERT INTO public.events SELECT n, %s::timestamptz + n * interval '1 second'"
                " FROM generate_series(0, %s) n",
                (f"{month(offset)}-02 00:00:00+00", ROWS - 1),
            )
        database.execute("ANALYZE public.events")
        yield database


def details(policy: Policy) -> dict[str, dict[str, Any]]:
    actions = pipeline.plan(policy, only=["retention"]).plan.actions
    return {action.kind.value: dict(action.detail) for action in actions}


def test_plan_says_what_goes_and_where_its_archive_will_be(
    filled: Database, tmp_path: Path
) -> None:
    archive = {"action": "archive_then_drop", "archive": {"url": str(tmp_path / "kept")}}
    policy = policy_of(filled, tmp_path, **archive)
    found = details(policy)
    assert found.keys() == {"archive_partition", "detach_partition", "drop_partition"}
    ((size,),) = filled.execute(f"SELECT pg_total_relation_size('{child(-5)}')")
    for detail in found.values():
        assert detail == {
            "rows_estimate": ROWS,
            "size_bytes": size,
            "oldest": OLDEST,
            "newest": NEWEST,
            "archive": f"{tmp_path}/kept/app/public.events/{month(-5)}",
        }


def test_all_due_partitions_are_summed_in_the_finding_and_shown_in_dagster(
    filled: Database, tmp_path: Path
) -> None:
    asked = Request(TABLE, (month(-6),))
    pipeline.apply(make_policy(tmp_path, filled.url, EVENTS, name="filling"), request=asked)
    filled.execute(f"INSERT INTO public.events VALUES (1, '{month(-6)}-05 06:00+00')")
    filled.execute("ANALYZE public.events")
    report = pipeline.plan(policy_of(filled, tmp_path), only=["retention"])
    (due,) = (f for f in report.findings if f.kind is FindingKind.RETENTION_DUE)
    assert (due.data["rows_estimate"], due.data["oldest"], due.data["newest"]) == (
        ROWS + 1,
        f"{month(-6)}-05T06:00:00+00:00",
        NEWEST,
    )
    metadata = contents_metadata(report)
    assert metadata["expired_rows"] == ROWS + 1
    assert metadata["expired_bytes"] == due.data["size_bytes"] > 0
    assert OLDEST in metadata["expired"].value
    assert contents_metadata(pipeline.plan(policy_of(filled, tmp_path), only=["bloat"])) == {}


def test_command_line_prints_it_in_both_forms(filled: Database, tmp_path: Path) -> None:
    policy_of(filled, tmp_path)
    call = ["plan", "--policy", str(tmp_path / "app.yaml"), "--only", "retention"]
    text = CliRunner().invoke(cli, call, catch_exceptions=False).stdout
    assert all(part in text for part in (OLDEST, NEWEST, f"~{ROWS:,} rows"))
    printed = json.loads(CliRunner().invoke(cli, [*call, "--json"]).stdout)
    assert [action["detail"]["oldest"] for action in printed["actions"]] == [OLDEST, OLDEST]


def test_what_is_unknown_stays_unknown(filled: Database, tmp_path: Path) -> None:
    """Never analyzed and without an index on the key: only the size is known."""
    moved = child(-5)
    filled.execute(f"ALTER TABLE public.events DETACH PARTITION {moved}")
    filled.execute(f"CREATE TABLE public.again (LIKE {moved} INCLUDING ALL)")
    filled.execute(f"INSERT INTO public.again SELECT * FROM {moved}")
    filled.execute(f"DROP TABLE {moved}")
    filled.execute(
        f"ALTER TABLE public.events ATTACH PARTITION public.again"
        f" FOR VALUES FROM ('{month(-5)}-01') TO ('{month(-4)}-01')"
    )
    detail = details(policy_of(filled, tmp_path))["drop_partition"]
    assert detail.pop("size_bytes") > 0
    assert set(detail.values()) == {None}


def test_large_partition_is_searched_by_index_only(
    filled: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_range, "MOST_PAGES", 0)
    policy = policy_of(filled, tmp_path)
    assert details(policy)["drop_partition"]["oldest"] is None
    filled.execute(f"CREATE INDEX partly ON {child(-5)} (at) WHERE id > 7")
    assert details(policy)["drop_partition"]["oldest"] is None
    filled.execute(f"CREATE INDEX backwards ON {child(-5)} (at DESC)")
    assert details(policy)["drop_partition"]["oldest"] == OLDEST
    assert details(policy)["drop_partition"]["newest"] == NEWEST


def test_table_that_can_not_be_read_hides_no_other_one(filled: Database) -> None:
    old, new = parse_name(child(-5)), parse_name(child(0))
    query = "SELECT %s::regclass::oid::int8, %s::regclass::oid::int8"
    ((old_oid, new_oid),) = filled.execute(query, (str(old), str(new)))
    codec = KeyCodec(Encoding.NATIVE, "timestamp with time zone", ZoneInfo("UTC"))
    gone = QualifiedName("public", "renamed_meanwhile")
    tables = [Keyed(new_oid, gone, "at", codec), Keyed(old_oid, old, "at", codec)]
    connection = connect(
        filled.url,
        application="test",
        timeouts=Timeouts(timedelta(seconds=1), timedelta(seconds=5)),
    )
    found = read_key_ranges(connection, tables, ())
    connection.close()
    assert found == {old_oid: (OLDEST, NEWEST)}


def test_keys_of_different_lengths_are_compared_as_numbers(filled: Database) -> None:
    """As texts, 999,999,999 is greater than 1,000,000,001."""
    filled.execute("CREATE TABLE public.numbered (key bigint PRIMARY KEY)")
    filled.execute("INSERT INTO public.numbered VALUES (1000000001), (999999999), (1000000000)")
    ((oid,),) = filled.execute("SELECT 'public.numbered'::regclass::oid::int8")
    codec = KeyCodec(Encoding.EPOCH_S, "bigint", ZoneInfo("UTC"))
    table = Keyed(oid, QualifiedName("public", "numbered"), "key", codec)
    timeouts = Timeouts(timedelta(seconds=1), timedelta(seconds=5))
    connection = connect(filled.url, application="test", timeouts=timeouts)
    found = read_key_ranges(connection, [table], ())
    connection.close()
    assert found == {oid: ("2001-09-09T01:46:39+00:00", "2001-09-09T01:46:41+00:00")}


def test_empty_partition_has_no_keys(filled: Database, tmp_path: Path) -> None:
    filled.execute(f"DELETE FROM {child(-5)}")
    filled.execute("VACUUM ANALYZE public.events")
    detail = details(policy_of(filled, tmp_path))["drop_partition"]
    assert (detail["rows_estimate"], detail["oldest"], detail["newest"]) == (0, None, None)


def test_keys_are_not_read_where_that_runs_code_of_an_owner(
    filled: Database, tmp_path: Path, owner_role: Role
) -> None:
    owner = owner_role.name
    filled.execute(f"GRANT CREATE, USAGE ON SCHEMA public TO {owner}")
    filled.execute("CREATE SEQUENCE public.n_runs")
    filled.execute("GRANT USAGE ON SEQUENCE public.n_runs TO PUBLIC")
    filled.execute(
        "CREATE FUNCTION public.odd(bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS"
        " $$ BEGIN PERFORM nextval('public.n_runs'); RETURN $1; END $$"
    )
    filled.execute(f"ALTER FUNCTION public.odd OWNER TO {owner}")
    filled.execute(f"CREATE INDEX odd ON {child(-5)} (at, public.odd(1))")
    filled.execute(f"ALTER TABLE {child(-5)} OWNER TO {owner}")
    before = filled.execute("SELECT last_value FROM public.n_runs")
    detail = details(policy_of(filled, tmp_path))["drop_partition"]
    assert detail["oldest"] is None
    assert filled.execute("SELECT last_value FROM public.n_runs") == before


def test_detached_table_in_its_days_of_grace_is_told_when_it_goes(
    filled: Database, tmp_path: Path
) -> None:
    waiting = policy_of(filled, tmp_path, grace="1 day")
    assert [r.action.kind for r in pipeline.apply(waiting, only=["retention"]).results] == [
        ActionKind.DETACH_PARTITION
    ]
    later = datetime.now(UTC) + timedelta(days=2)
    (action,) = pipeline.plan(waiting, only=["retention"], now=later).plan.actions
    assert action.kind is ActionKind.DROP_PARTITION
    assert (action.detail["oldest"], action.detail["newest"]) == (OLDEST, NEWEST)


@pytest.mark.parametrize(
    ("encoding", "type_", "key"),
    [
        ("epoch_ms", "bigint", "(extract(epoch FROM {at}::timestamptz) * 1000)::bigint"),
        ("yyyymmdd", "integer", "to_char({at}::timestamptz AT TIME ZONE 'UTC', 'YYYYMMDD')::int"),
    ],
)
def test_encoded_keys_are_shown_as_moments(
    database: Database, tmp_path: Path, encoding: str, type_: str, key: str
) -> None:
    database.execute(f"CREATE TABLE public.events (at {type_} NOT NULL) PARTITION BY RANGE (at)")
    section = {**EVENTS, "encoding": encoding}
    keeping = make_policy(tmp_path, database.url, section, name="filling")
    pipeline.apply(keeping, request=Request(TABLE, (month(-5), month(0))))
    for moment in (f"{month(-5)}-03 00:00+00", f"{month(0)}-01 00:00+00"):
        database.execute(f"INSERT INTO public.events SELECT {key.format(at=repr(moment))}")
    database.execute("ANALYZE public.events")
    retention = {"keep": "4 months", "action": "drop"}
    policy = make_policy(tmp_path, database.url, {**section, "retention": retention}, name="app")
    assert details(policy)["drop_partition"]["oldest"] == f"{month(-5)}-03T00:00:00+00:00"
