"""Archives on real servers: what goes in comes out, and nothing unfinished looks finished."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from psycopg.pq import TransactionStatus

from maintenance.archives import (
    Archived,
    ArchivePlace,
    TableId,
    content_digest,
    list_archives,
    read_manifest,
    verify_archive,
    write_archive,
)
from maintenance.archives.formats import TEXT_BYTES, texts
from maintenance.archives.objects import Folder
from maintenance.archives.restore import Restorer
from maintenance.demo.postgres import PostgresServer
from maintenance.errors import ArchiveError, DamagedArchiveError, MaintenanceError, UnreachableError
from maintenance.names import MAX_NAME_BYTES, QualifiedName, quote
from maintenance.server.session import Connection, run_sql
from tests.archives import (
    CREATE_EVENTS,
    CREATE_TYPES,
    EVENTS,
    FILL_EVENTS,
    MONTH,
    VALUES,
    a_lock_retry,
    a_place,
    identify,
    no_other_session,
    the_facts,
    values_for,
)
from tests.builders import ROOT, Database, Role, drop_database, in_maintenance_database, unique
from tests.sessions import session

pytestmark = pytest.mark.in_turn

COPY = QualifiedName("public", "copy")
INSUFFICIENT_PRIVILEGE = "42501"


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    with session(database.url) as opened:
        yield opened


@pytest.fixture
def events(database: Database) -> TableId:
    database.execute(CREATE_EVENTS)
    database.execute(FILL_EVENTS)
    return identify(database)


def archive(
    connection: Connection, table: TableId, place: ArchivePlace, **options: Any
) -> Archived:
    return write_archive(connection, table, place, the_facts(key=None), **options)


def restorer(connection: Connection) -> Restorer:
    return Restorer(connection, a_lock_retry(), "postgres", no_other_session)


def rows(database: Database, relation: QualifiedName) -> list[tuple[Any, ...]]:
    return database.execute(f"SELECT t::text FROM {relation} t")


def test_every_type_comes_back_as_it_was(
    database: Database, connection: Connection, tmp_path: Path
) -> None:
    database.execute(CREATE_TYPES)
    values = values_for(database)
    columns = ", ".join(f"c{number} {type_}" for number, type_ in enumerate(values))
    database.execute(f"CREATE TABLE public.types ({columns})")
    with database.connect(options="-c lc_monetary=C") as writer:
        for number in range(max(map(len, values.values()))):
            row = [each[number % len(each)] for each in values.values()]
            casts = ", ".join(f"%s::{type_}" for type_ in values)
            writer.execute(f"INSERT INTO public.types SELECT {casts}".encode(), row)
    table = identify(database, QualifiedName("public", "types"))
    archived = archive(connection, table, a_place(tmp_path)).manifest
    restorer(connection).standalone(a_place(tmp_path), archived, COPY)
    assert rows(database, COPY) == rows(database, table.relation)
    assert archived.columns[0].type == "boolean"
    copied = identify(database, COPY)
    assert content_digest(connection, copied) == archived.digest


def test_session_settings_of_a_role_change_nothing(
    database: Database, events: TableId, tmp_path: Path
) -> None:
    with session(database.url) as connection:
        before = archive(connection, events, a_place(tmp_path)).manifest.digest
    for setting in (
        "DateStyle = 'German, DMY'",
        "TimeZone = 'Asia/Kathmandu'",
        "extra_float_digits = -15",
        "bytea_output = 'escape'",
        "IntervalStyle = 'sql_standard'",
        "synchronize_seqscans = on",
        "client_encoding = 'LATIN1'",
        "search_path = 'public'",
    ):
        database.execute(f"ALTER DATABASE {database.name} SET {setting}")
    with session(database.url) as connection:
        assert content_digest(connection, events) == before


def test_generated_and_dropped_columns_are_no_part_of_the_data(
    database: Database, connection: Connection, events: TableId, tmp_path: Path
) -> None:
    database.execute("ALTER TABLE public.events ADD gone int, ADD last int DEFAULT 7")
    database.execute("ALTER TABLE public.events DROP gone")
    manifest = archive(connection, events, a_place(tmp_path)).manifest
    assert manifest.stored_columns == ("id", "at", "kind", "amount", "last")
    generated = {c.name: c.generated for c in manifest.columns if c.generated}
    assert generated == {"doubled": "(amount * (2)::numeric)"}
    restorer(connection).standalone(a_place(tmp_path), manifest, COPY)
    assert rows(database, COPY) == rows(database, MONTH)


@pytest.mark.pg(">= 18")
def test_virtual_columns_are_computed_again(
    database: Database, connection: Connection, tmp_path: Path
) -> None:
    database.execute(
        "CREATE TABLE public.t (a int, b int GENERATED ALWAYS AS (a * 2) VIRTUAL);"
        " INSERT INTO public.t VALUES (1), (NULL)"
    )
    table = identify(database, QualifiedName("public", "t"))
    manifest = archive(connection, table, a_place(tmp_path)).manifest
    restorer(connection).standalone(a_place(tmp_path), manifest, COPY)
    assert rows(database, COPY) == [("(1,2)",), ("(,)",)]


@pytest.mark.parametrize("columns", ["", "a int", "a int, b int GENERATED ALWAYS AS (a) STORED"])
@pytest.mark.parametrize("n_rows", [0, 3])
def test_few_columns_and_few_rows(
    database: Database, connection: Connection, tmp_path: Path, columns: str, n_rows: int
) -> None:
    database.execute(f"CREATE TABLE public.t ({columns})")
    for _ in range(n_rows):
        database.execute("INSERT INTO public.t DEFAULT VALUES")
    table = identify(database, QualifiedName("public", "t"))
    manifest = archive(connection, table, a_place(tmp_path)).manifest
    assert manifest.n_rows == n_rows
    made = restorer(connection).standalone(a_place(tmp_path), manifest, COPY)
    assert made.n_rows == n_rows
    assert database.execute("SELECT count(*) FROM public.copy") == [(n_rows,)]


HOSTILE = ["..", "a.b", 'x"; DROP TABLE y; --', "per%cent/slash\\", "žluť 🐎", "\n", "-", "É" * 31]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_inside_their_folder(
    database: Database, connection: Connection, tmp_path: Path, name: str
) -> None:
    long = f'"{name}'.ljust(MAX_NAME_BYTES, "'")[: MAX_NAME_BYTES // 2]
    table = QualifiedName(name, name)
    database.execute(f"CREATE SCHEMA {quote(name)}")
    database.execute(
        f"CREATE TABLE {table} ({quote(long)} int PRIMARY KEY, {quote(name)} text DEFAULT '%s'"
        f" CONSTRAINT {quote(name)} CHECK ({quote(name)} <> '%'))"
    )
    database.execute(f"CREATE INDEX {quote('i' + name)} ON {table} ({quote(name)})")
    database.execute(f"INSERT INTO {table} VALUES (1, 'x')")
    place = a_place(tmp_path / "archive", table=table, period=name)
    manifest = archive(connection, identify(database, table), place).manifest
    assert read_manifest(place) == manifest
    assert [path.name for path in tmp_path.iterdir()] == ["archive"]
    assert len(list((tmp_path / "archive" / "app").glob("*/*/manifest.json"))) == 1
    ((period, listed),) = list_archives(place.url, "app", table)
    assert (period, listed) == (name, manifest)
    into = QualifiedName(name, "copy")
    restorer(connection).standalone(place, manifest, into)
    assert rows(database, into) == rows(database, table)


def test_manifest_tells_what_was_archived(
    connection: Connection, events: TableId, tmp_path: Path
) -> None:
    lines: list[str] = []
    place = a_place(tmp_path)
    manifest = write_archive(connection, events, place, the_facts(), progress=lines.append).manifest
    assert manifest.n_rows == 2000
    assert manifest.content.key_min == "2024-01-01 00:00:01+00"
    assert manifest.content.key_max == "2024-01-01 00:33:20+00"
    assert {c.kind for c in manifest.constraints} == {"c", "p"}
    assert len(manifest.indexes) == 1
    assert manifest.data.size_bytes == (_folder(place) / manifest.data.name).stat().st_size
    written = json.loads((_folder(place) / "manifest.json").read_bytes())
    assert written["partition"] == "public.events_2024_01"
    assert (written["format"], written["policy_hash"]) == (1, "0123")


def test_schema_sql_makes_a_standalone_table(
    database: Database, connection: Connection, events: TableId, tmp_path: Path
) -> None:
    manifest = archive(connection, events, a_place(tmp_path)).manifest
    database.execute("DROP TABLE public.events")
    database.execute(manifest.schema_sql)
    (row,) = database.execute(
        "SELECT count(*), (SELECT count(*) FROM pg_constraint WHERE conrelid = i.indrelid"
        " AND contype IN ('c', 'p')) FROM pg_index i"
        " WHERE indrelid = 'public.events_2024_01'::regclass GROUP BY indrelid"
    )
    assert row == (2, 2)


@pytest.mark.parametrize("key", ["uuid", "bigint", "text", "date"])
def test_key_range_is_told_for_every_kind_of_key(
    database: Database, connection: Connection, tmp_path: Path, key: str
) -> None:
    value = {"uuid": "gen_random_uuid()", "date": "now()::date"}.get(key, "'1'")
    database.execute(f"CREATE TABLE public.t AS SELECT {value}::{key} AS k")
    table = identify(database, QualifiedName("public", "t"))
    content = write_archive(connection, table, a_place(tmp_path), the_facts(key="k"))[0].content
    assert content.key_min == content.key_max
    assert rows(database, table.relation) == [(f"({content.key_min})",)]


def test_same_content_is_reused_and_verified(
    connection: Connection, events: TableId, tmp_path: Path
) -> None:
    place = a_place(tmp_path)
    first = archive(connection, events, place)
    second = archive(connection, events, place)
    assert (first.reused, second.reused) == (False, True)
    assert first.manifest == second.manifest


def test_other_content_is_written_beside_and_swapped_in(
    database: Database, connection: Connection, events: TableId, tmp_path: Path
) -> None:
    place = a_place(tmp_path)
    names = set[str]()
    for _ in range(3):
        database.execute("DELETE FROM public.events WHERE id IN (SELECT id FROM events LIMIT 1)")
        made = archive(connection, events, place)
        assert not made.reused
        names.add(made.manifest.data.name)
        assert _names(place) == {"manifest.json", made.manifest.data.name}
        verify_archive(place, made.manifest)
    assert len(names) == 2


def test_changed_type_is_archived_again_though_the_text_is_the_same(
    database: Database, connection: Connection, tmp_path: Path
) -> None:
    database.execute("CREATE TABLE public.t AS SELECT 1::int AS a")
    table = identify(database, QualifiedName("public", "t"))
    archive(connection, table, a_place(tmp_path))
    database.execute("ALTER TABLE public.t ALTER a TYPE bigint")
    again = archive(connection, table, a_place(tmp_path))
    assert not again.reused
    assert again.manifest.columns[0].type == "bigint"


def test_tree_of_partitions_is_archived_as_one(
    database: Database, connection: Connection, tmp_path: Path
) -> None:
    database.execute(
        "CREATE TABLE public.tree (a int) PARTITION BY HASH (a);"
        "CREATE TABLE public.tree_0 PARTITION OF tree FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
        "CREATE TABLE public.tree_1 PARTITION OF tree FOR VALUES WITH (MODULUS 2, REMAINDER 1);"
        "INSERT INTO public.tree SELECT generate_series(1, 100)"
    )
    table = identify(database, QualifiedName("public", "tree"))
    manifest = archive(connection, table, a_place(tmp_path)).manifest
    restorer(connection).standalone(a_place(tmp_path), manifest, COPY)
    assert sorted(rows(database, COPY)) == sorted(rows(database, table.relation))


def test_digest_under_the_callers_lock_sees_its_rows_and_leaves_its_settings(
    database: Database, connection: Connection, events: TableId, tmp_path: Path
) -> None:
    wanted = archive(connection, events, a_place(tmp_path)).manifest.digest
    connection.execute("BEGIN")
    connection.execute("SET LOCAL statement_timeout = '7s'")
    connection.execute(f"LOCK TABLE {events.relation} IN ACCESS EXCLUSIVE MODE".encode())
    assert content_digest(connection, events) == wanted
    connection.execute(f"INSERT INTO {events.relation} VALUES (9999, '2024-01-02')".encode())
    assert content_digest(connection, events).n_rows == wanted.n_rows + 1
    assert connection.execute("SHOW statement_timeout").fetchone() == ("7s",)
    connection.execute("COMMIT")


def test_any_change_changes_the_digest(
    database: Database, connection: Connection, events: TableId
) -> None:
    seen = {content_digest(connection, events)}
    for change in (
        "UPDATE public.events SET kind = kind || ' ' WHERE id = 5",
        "DELETE FROM public.events WHERE id = 7",
        "INSERT INTO public.events SELECT * FROM (VALUES (7, '2024-01-03'::timestamptz)) v",
        "ALTER TABLE public.events ADD more int DEFAULT 0",
    ):
        database.execute(change)
        digest = content_digest(connection, events)
        assert digest not in seen
        seen.add(digest)


def test_replaced_table_is_noticed(
    database: Database, connection: Connection, events: TableId, tmp_path: Path
) -> None:
    database.execute("DROP TABLE public.events_2024_01; CREATE TABLE public.events_2024_01 ()")
    with pytest.raises(ArchiveError, match=r"public\.events_2024_01") as caught:
        archive(connection, events, a_place(tmp_path))
    assert caught.value.reason == "replaced"
    assert _names(a_place(tmp_path)) == set()


def test_hidden_rows_are_an_error_and_never_left_out(
    database: Database, events: TableId, limited_role: Role, tmp_path: Path
) -> None:
    database.execute(f"GRANT SELECT ON public.events_2024_01 TO {limited_role.name}")
    database.execute("ALTER TABLE public.events_2024_01 ENABLE ROW LEVEL SECURITY")
    with (
        session(database.url_of(limited_role)) as connection,
        pytest.raises(MaintenanceError, match=INSUFFICIENT_PRIVILEGE),
    ):
        archive(connection, events, a_place(tmp_path))
    assert _names(a_place(tmp_path)) == set()


def test_session_is_usable_after_a_refusal(connection: Connection, tmp_path: Path) -> None:
    with pytest.raises(MaintenanceError):
        archive(connection, TableId(1, QualifiedName("public", "nothing")), a_place(tmp_path))
    assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize(("encoding", "size"), [("LATIN1", 2), ("SQL_ASCII", 3)])
def test_other_encoding_is_kept_and_converted_where_it_returns(
    database: Database, server: PostgresServer, tmp_path: Path, encoding: str, size: int
) -> None:
    other = Database(unique("other"), server)
    in_maintenance_database(
        server,
        f"CREATE DATABASE {other.name} TEMPLATE template0 ENCODING '{encoding}'"
        " LC_COLLATE 'C' LC_CTYPE 'C'",
    )
    with session(other.url) as connection:
        run_sql(connection, 'CREATE TABLE public."été" ("à" text)')
        run_sql(connection, "INSERT INTO public.\"été\" VALUES ('É')")
        row = connection.execute("SELECT 'public.\"été\"'::regclass::oid").fetchone()
        assert row is not None
        table = TableId(row[0], QualifiedName("public", "été"))
        manifest = archive(connection, table, a_place(tmp_path)).manifest
        restorer(connection).standalone(a_place(tmp_path), manifest, COPY)
        assert connection.execute("SELECT * FROM public.copy").fetchall() == [("É",)]
    assert (manifest.data.encoding, manifest.content.n_bytes) == (encoding, size)
    if encoding == "LATIN1":
        with session(database.url) as connection:
            restorer(connection).standalone(a_place(tmp_path), manifest, COPY)
        assert rows(database, COPY) == [("(É)",)]
    drop_database(other)


# What interrupts a write, and what it leaves.


class Interrupted(BaseException):
    """Stands for a signal: no handler of ordinary errors sees it."""


def test_key_that_is_no_column_leaves_no_archive(
    connection: Connection, events: TableId, tmp_path: Path
) -> None:
    place = a_place(tmp_path)
    with pytest.raises(ArchiveError, match='"no such"'):
        write_archive(connection, events, place, the_facts(key="no such"))
    assert read_manifest(place) is None
    assert _names(place) == set()
    assert connection.info.transaction_status == TransactionStatus.IDLE


@pytest.mark.parametrize("after", range(9))
def test_interrupted_at_any_line_of_progress_leaves_no_archive(
    connection: Connection,
    events: TableId,
    tmp_path: Path,
    after: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("maintenance.archives.progress.EVERY_S", 0)
    monkeypatch.setattr("maintenance.archives.copy_stream.CHUNK_BYTES", 2**15)
    monkeypatch.setattr("maintenance.archives.copy_stream.INPUT_BYTES", 1)
    monkeypatch.setattr("maintenance.archives.formats.TEXT_BYTES", 2**15)
    seen = 0

    def progress(_line: str) -> None:
        nonlocal seen
        seen += 1
        if seen > after:
            raise Interrupted

    place = a_place(tmp_path)
    with pytest.raises(Interrupted):
        archive(connection, events, place, progress=progress)
    assert read_manifest(place) is None
    assert _names(place) == set()
    assert connection.execute("SELECT 1").fetchone() == (1,)
    assert archive(connection, events, place).manifest.n_rows == 2000


KILLED = """
import os, signal, sys
from maintenance.archives import *
from maintenance.archives import local_files
from maintenance.names import QualifiedName
from tests.archives import a_place, the_facts
from tests.sessions import session

url, oid, target, stage = sys.argv[1:]

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

local = local_files.LocalUpload
original = local.finish
count = 0
def finish(self):
    global count
    count += 1
    if stage == f"before finish {count}":
        die()
    original(self)
    if stage == f"after finish {count}":
        die()
local.finish = finish
with session(url) as connection:
    table = TableId(int(oid), QualifiedName("public", "events_2024_01"))
    write_archive(connection, table, a_place(target), the_facts())
"""


@pytest.mark.parametrize(
    ("stage", "finished"),
    [
        ("before finish 1", False),
        ("after finish 1", False),
        ("before finish 2", False),
        ("after finish 2", True),
    ],
)
def test_killed_writer_leaves_nothing_that_looks_finished(
    database: Database,
    connection: Connection,
    events: TableId,
    tmp_path: Path,
    stage: str,
    finished: bool,
) -> None:
    arguments = [database.url, str(events.oid), str(tmp_path), stage]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments], cwd=ROOT, check=False, timeout=60
    )
    assert killed.returncode == -9
    place = a_place(tmp_path)
    assert (read_manifest(place) is not None) == finished
    made = archive(connection, events, place)
    assert made.reused == finished
    assert {name for name in _names(place) if not name.endswith(".part")} == {
        "manifest.json",
        made.manifest.data.name,
    }


def test_killed_replacement_leaves_the_old_archive_valid(
    database: Database, connection: Connection, events: TableId, tmp_path: Path
) -> None:
    place = a_place(tmp_path)
    old = archive(connection, events, place).manifest
    database.execute("DELETE FROM public.events WHERE id = 1")
    arguments = [database.url, str(events.oid), str(tmp_path), "before finish 2"]
    subprocess.run([sys.executable, "-c", KILLED, *arguments], cwd=ROOT, check=False, timeout=60)
    assert read_manifest(place) == old
    verify_archive(place, old)
    assert archive(connection, events, place).manifest.n_rows == old.n_rows - 1


def test_backend_that_is_terminated_leaves_no_archive(
    database: Database,
    connection: Connection,
    events: TableId,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("maintenance.archives.progress.EVERY_S", 0)
    monkeypatch.setattr("maintenance.archives.copy_stream.CHUNK_BYTES", 2**12)
    pid = connection.info.backend_pid

    def terminate(_line: str) -> None:
        database.execute("SELECT pg_terminate_backend(%s)", [pid])

    place = a_place(tmp_path)
    with pytest.raises(UnreachableError):
        archive(connection, events, place, progress=terminate)
    assert _names(place) == set()


# Damage.


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


DAMAGES: list[tuple[Callable[[Path], None], str]] = [
    (Path.unlink, "missing"),
    (_cut, "wrong_size"),
    (_grow, "wrong_size"),
]


@pytest.mark.parametrize(("damage", "reason"), DAMAGES)
def test_missing_or_cut_object_is_told_without_reading_it(
    connection: Connection,
    events: TableId,
    tmp_path: Path,
    damage: Callable[[Path], None],
    reason: str,
) -> None:
    place = a_place(tmp_path)
    manifest = archive(connection, events, place).manifest
    damage(_folder(place) / manifest.data.name)
    for look in (lambda: read_manifest(place), lambda: verify_archive(place, manifest)):
        with pytest.raises(DamagedArchiveError, match=manifest.data.name) as caught:
            look()
        assert caught.value.reason == reason
    assert not archive(connection, events, place).reused


@pytest.mark.parametrize("format_", ["copy", "parquet"])
def test_flipped_bit_is_found_and_the_next_run_archives_again(
    connection: Connection, events: TableId, tmp_path: Path, format_: Any, database: Database
) -> None:
    database.execute("ALTER TABLE public.events DROP amount CASCADE")
    place = a_place(tmp_path)
    manifest = archive(connection, events, place, format_=format_).manifest
    _flip(_folder(place) / manifest.data.name)
    with pytest.raises(DamagedArchiveError) as caught:
        verify_archive(place, manifest)
    assert caught.value.reason in ("damaged", "other_content")
    again = archive(connection, events, place, format_=format_)
    assert not again.reused
    verify_archive(place, again.manifest)


def test_object_that_does_not_read_back_is_no_archive(
    connection: Connection, events: TableId, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def losing(_fd: int) -> None:
        _spoil(tmp_path)

    monkeypatch.setattr("maintenance.archives.local_files.os.fsync", losing)
    place = a_place(tmp_path)
    with pytest.raises(DamagedArchiveError):
        archive(connection, events, place)
    assert _names(place) == set()


def _spoil(folder: Path) -> None:
    """A disk that loses the end of what it was given."""
    for path in folder.rglob("data*.part"):
        _cut(path)


def test_manifest_of_a_newer_format_is_never_overwritten(
    connection: Connection, events: TableId, tmp_path: Path
) -> None:
    place = a_place(tmp_path)
    archive(connection, events, place)
    path = _folder(place) / "manifest.json"
    path.write_text('{"format": 2}')
    with pytest.raises(ArchiveError) as caught:
        archive(connection, events, place)
    assert caught.value.reason == "newer_format"
    assert path.read_text() == '{"format": 2}'


def test_archive_of_another_table_is_never_overwritten(
    connection: Connection, events: TableId, tmp_path: Path
) -> None:
    place = a_place(tmp_path)
    archive(connection, events, place)
    other = a_place(tmp_path, table=QualifiedName("public", "other"))
    _folder(other).parent.mkdir()
    _folder(place).rename(_folder(other))
    with pytest.raises(ArchiveError, match=r"public\.events\b") as caught:
        archive(connection, events, other)
    assert caught.value.reason == "another_archive"


def test_absent_archive_is_none_and_lists_nothing(tmp_path: Path) -> None:
    assert read_manifest(a_place(tmp_path)) is None
    assert list_archives(str(tmp_path), "app", EVENTS) == []


# Stores.


def test_memory_store_holds_archives(connection: Connection, events: TableId) -> None:
    place = a_place("memory://archives")
    made = archive(connection, events, place)
    assert read_manifest(place) == made.manifest
    verify_archive(place, made.manifest)
    assert [period for period, _ in list_archives(place.url, "app", EVENTS)] == ["2024-01"]
    fsspec.filesystem("memory").rm("/archives", recursive=True)


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("nonsense://user:hunter2@host/x", "nonsense"),
        ("/proc/nowhere/x", "/proc/nowhere/x"),
    ],
)
def test_store_that_fails_is_told_without_its_password(
    connection: Connection, events: TableId, url: str, named: str
) -> None:
    with pytest.raises(ArchiveError, match=named) as caught:
        archive(connection, events, a_place(url))
    assert "hunter2" not in str(caught.value)
    assert connection.execute("SELECT 1").fetchone() == (1,)


def _folder(place: ArchivePlace) -> Path:
    return Path(place.url).joinpath(*place.segments)


def _names(place: ArchivePlace) -> set[str]:
    folder = _folder(place)
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


# Parquet.

EXACT_TYPES = (
    *("boolean", "smallint", "integer", "bigint", "real", "double precision", "numeric(10,2)"),
    *("text", "character varying(20)", "character(5)", "bytea", "uuid", "json", "jsonb"),
    *("inet", "cidr", "macaddr", "name"),
)


def test_parquet_gives_back_every_type_it_takes(
    database: Database, connection: Connection, tmp_path: Path
) -> None:
    columns = ", ".join(f"c{number} {type_}" for number, type_ in enumerate(EXACT_TYPES))
    database.execute(
        f"CREATE TABLE public.types ({columns}, day date, at timestamp, tz timestamptz(3), t time,"
        ' "Ge""n" int GENERATED ALWAYS AS (c2) STORED)'
    )
    for number in range(9):
        row = [VALUES[type_][number % len(VALUES[type_])] for type_ in EXACT_TYPES]
        casts = ", ".join(f"%s::{type_}" for type_ in EXACT_TYPES)
        more = "'2024-02-29', '2024-02-29 10:11:12.13', '1969-12-31 23:59:59.999', '01:02:03.4'"
        database.execute(f"INSERT INTO public.types SELECT {casts}, {more}", row)
    table = identify(database, QualifiedName("public", "types"))
    place = a_place(tmp_path)
    copied = archive(connection, table, a_place(tmp_path / "copy")).manifest
    manifest = archive(connection, table, place, format_="parquet").manifest
    assert manifest.digest == copied.digest
    restorer(connection).standalone(place, manifest, COPY)
    assert rows(database, COPY) == rows(database, table.relation)


def test_parquet_can_be_queried(
    database: Database, connection: Connection, events: TableId, tmp_path: Path
) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    database.execute("ALTER TABLE public.events DROP amount CASCADE")
    place = a_place(tmp_path)
    manifest = archive(connection, events, place, format_="parquet").manifest
    found = pq.read_table(_folder(place) / manifest.data.name)
    assert found.num_rows == 2000
    assert found.column_names == ["id", "at", "kind"]
    assert str(found.schema.field("at").type) == "timestamp[us, tz=UTC]"
    assert found["id"].to_pylist()[:2] == [1, 2]


@pytest.mark.parametrize(
    ("change", "reason", "named"),
    [
        ("ALTER TABLE public.events ADD total numeric", "inexact_type", ["total", "numeric"]),
        ("ALTER TABLE public.events ADD parts int[]", "inexact_type", ["parts", "integer[]"]),
        (
            "ALTER TABLE public.events ADD due date; UPDATE public.events SET due = 'infinity'"
            " WHERE id = 9",
            "inexact_value",
            ["due", "'infinity'", "date"],
        ),
    ],
)
def test_parquet_refuses_what_it_can_not_hold(
    database: Database,
    connection: Connection,
    events: TableId,
    tmp_path: Path,
    change: str,
    reason: str,
    named: list[str],
) -> None:
    database.execute("ALTER TABLE public.events DROP amount CASCADE")
    database.execute(change)
    with pytest.raises(ArchiveError) as caught:
        archive(connection, events, a_place(tmp_path), format_="parquet")
    assert caught.value.reason == reason
    assert [name for name in named if name not in str(caught.value)] == []
    assert _names(a_place(tmp_path)) == set()
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_change_of_format_writes_anew(
    database: Database, connection: Connection, events: TableId, tmp_path: Path
) -> None:
    database.execute("ALTER TABLE public.events DROP amount CASCADE")
    place = a_place(tmp_path)
    archive(connection, events, place)
    made = archive(connection, events, place, format_="parquet")
    assert not made.reused
    assert _names(place) == {"manifest.json", "data.parquet"}


def test_highly_compressible_rows_come_back_in_small_pieces(
    database: Database, connection: Connection, tmp_path: Path
) -> None:
    database.execute(
        "CREATE TABLE public.t AS SELECT repeat('x', 100000) AS x FROM generate_series(1, 500)"
    )
    place = a_place(tmp_path)
    table = identify(database, QualifiedName("public", "t"))
    manifest = archive(connection, table, place).manifest
    assert manifest.data.size_bytes < 50_000 < manifest.content.n_bytes
    pieces = texts(Folder(place), manifest.data, manifest.columns)
    assert max(map(len, pieces)) <= TEXT_BYTES < manifest.content.n_bytes / 10
