"""Databases whose encoding is not UTF-8: a name that is no text blinds no other."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from maintenance.engine.findings import FindingKind, Severity
from maintenance.pipeline import notify
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from tests.builders import Database, drop_database, in_maintenance_database, unique
from tests.policies import EVENTS, make_policy
from tests.sessions import session

pytestmark = pytest.mark.pg("== 16")
CREATE = b"""
CREATE TABLE public.events (id bigint, at timestamptz NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE public.other (id bigint, at timestamptz NOT NULL) PARTITION BY RANGE (at)
"""
MADE = "SELECT count(*) FROM pg_inherits WHERE inhparent = %s::regclass"


def made(server_database: Database, encoding: str) -> Database:
    database = Database(unique("encoded"), server_database.server)
    in_maintenance_database(
        database.server,
        f"CREATE DATABASE {database.name} TEMPLATE template0 ENCODING '{encoding}'"
        " LC_COLLATE 'C' LC_CTYPE 'C'",
    )
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(CREATE)
    return database


@pytest.fixture
def ascii_database(database: Database) -> Iterator[Database]:
    found = made(database, "SQL_ASCII")
    yield found
    drop_database(found)


@pytest.fixture
def latin_database(database: Database) -> Iterator[Database]:
    found = made(database, "LATIN1")
    yield found
    drop_database(found)


TABLES = ({**EVENTS}, {**EVENTS, "table": "public.other"})


def policy_of(database: Database, folder: Path, *tables: dict[str, str]) -> Policy:
    return make_policy(folder, database.url, *(tables or TABLES), statistics={}, indexes={})


ODD_NAMES = (
    b'CREATE TABLE public."b\xe9d" AS SELECT 1 AS a',
    b'ALTER TABLE public.other ADD COLUMN "c\xe9l" int',
    b"CREATE TABLE public.\"k\xe9d\" PARTITION OF public.other FOR VALUES FROM ('2020-01-01')"
    b" TO ('2020-02-01')",
    b'CREATE INDEX "i\xff\xfex" ON public.events (id)',
    b"COMMENT ON TABLE public.events IS 'comm\xe9nt'",
)


def test_names_that_are_no_text_are_told_one_by_one_and_all_else_is_served(
    ascii_database: Database, tmp_path: Path
) -> None:
    with psycopg.connect(ascii_database.url, autocommit=True) as connection:
        connection.execute(b"SET client_encoding = 'SQL_ASCII'")
        for statement in ODD_NAMES:
            connection.execute(statement)
    policy = policy_of(ascii_database, tmp_path)
    report = pipeline.apply(policy)
    assert report.ok, [(r.action.object, r.error) for r in report.results if r.error]
    with session(ascii_database.url) as connection:
        for table in ("public.events", "public.other"):
            (n_partitions,) = connection.execute(MADE, [table]).fetchone() or (0,)
            assert n_partitions >= 4
    blind = [f for f in report.findings if f.kind is FindingKind.MONITOR_BLIND]
    assert {finding.severity for finding in blind} == {Severity.WARN}
    assert {'public."b\\xe9d"', 'public."k\\xe9d"', 'public."i\\xff\\xfex"'} <= {
        finding.object for finding in blind
    }
    assert "public.events" not in {finding.object for finding in blind}
    raised = {event.alert.identity.object for event in notify.notify(policy).events}
    assert 'public."b\\xe9d"' in raised


def test_utf8_names_in_a_database_without_an_encoding_are_read_as_ever(
    ascii_database: Database, tmp_path: Path
) -> None:
    with session(ascii_database.url) as connection:
        connection.execute(
            'CREATE TABLE public."日本é" (at timestamptz NOT NULL) PARTITION BY RANGE (at)'.encode()
        )
    policy = policy_of(ascii_database, tmp_path, {**EVENTS, "table": '"日本é"'}, *TABLES)
    report = pipeline.apply(policy)
    assert report.ok
    assert not [f for f in report.findings if f.kind is FindingKind.MONITOR_BLIND]


def test_name_that_the_databases_encoding_lacks_is_missing_and_blinds_no_other(
    latin_database: Database, tmp_path: Path
) -> None:
    with session(latin_database.url) as connection:
        connection.execute('ALTER TABLE public.other RENAME TO "öther"'.encode())
    tables = ({**EVENTS, "table": '"日本"'}, {**EVENTS, "table": '"öther"'}, EVENTS)
    policy = policy_of(latin_database, tmp_path, *tables)
    report = pipeline.apply(policy)
    assert len(report.results) == 8
    missing = [f for f in report.findings if f.kind is FindingKind.NO_SUCH_TABLE]
    assert len(missing) == 1
    assert notify.notify(policy).events
