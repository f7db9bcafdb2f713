"""Archives in an object store that speaks S3, over the wire."""

from collections.abc import Iterator
from typing import Any

import pytest

from maintenance.archives import (
    TableId,
    list_archives,
    read_manifest,
    verify_archive,
    write_archive,
)
from maintenance.archives.folder import Folder
from maintenance.archives.restoring import Restorer
from maintenance.errors import ArchiveError, DamagedArchiveError
from maintenance.names import QualifiedName
from maintenance.server.session import Connection
from tests.archives import (
    CREATE_EVENTS,
    EVENTS,
    FILL_EVENTS,
    a_ladder,
    a_place,
    identify,
    the_facts,
)
from tests.builders import Database
from tests.sessions import session

s3fs: Any = pytest.importorskip("s3fs")
moto: Any = pytest.importorskip("moto.server")

SECRET = "wJalrXUtnFEMI"
BUCKET = "archives"
MULTIPART_BYTES = 6 * 2**20


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def store(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket, reached as operators set it up: by the environment."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    fs: Any = s3fs.S3FileSystem()
    fs.mkdir(BUCKET)
    yield fs
    fs.rm(BUCKET, recursive=True)
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    with session(database.url) as opened:
        yield opened


@pytest.fixture
def events(database: Database) -> TableId:
    database.execute(CREATE_EVENTS)
    database.execute(FILL_EVENTS)
    return identify(database)


PLACE = a_place(f"s3://{BUCKET}/app")


@pytest.mark.pg("== 18")
def test_archive_goes_to_s3_and_back(
    database: Database, connection: Connection, events: TableId, store: Any
) -> None:
    made = write_archive(connection, events, PLACE, the_facts())
    assert read_manifest(PLACE) == made.manifest
    assert write_archive(connection, events, PLACE, the_facts()).reused
    assert [period for period, _ in list_archives(PLACE.url, "app", EVENTS)] == ["2024-01"]
    copy = QualifiedName("public", "copy")
    Restorer(connection, a_ladder(), "postgres").standalone(PLACE, made.manifest, copy)
    count = "SELECT count(*) FROM public.copy"
    assert database.execute(count) == [(2000,)]


@pytest.mark.pg("== 18")
def test_large_object_is_uploaded_in_parts(
    database: Database,
    connection: Connection,
    events: TableId,
    store: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("maintenance.archives.folder.MIN_BLOCK_BYTES", MULTIPART_BYTES)
    fill_with_noise(database)
    made = write_archive(connection, events, PLACE, the_facts())
    assert made.manifest.data.size_bytes > 2 * MULTIPART_BYTES
    verify_archive(PLACE, made.manifest)


@pytest.mark.pg("== 18")
def test_failed_multipart_upload_is_aborted(
    database: Database,
    connection: Connection,
    events: TableId,
    store: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("maintenance.archives.folder.MIN_BLOCK_BYTES", MULTIPART_BYTES)
    monkeypatch.setattr("maintenance.archives.pace.EVERY_S", 0)
    fill_with_noise(database)
    begun: list[bool] = []

    def progress(_line: str) -> None:
        begun.append(bool(store.list_multipart_uploads(BUCKET)))
        if begun[-1]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_archive(connection, events, PLACE, the_facts(), progress=progress)
    assert begun[-1]
    assert store.list_multipart_uploads(BUCKET) == []
    store.invalidate_cache()
    assert store.find(BUCKET) == []
    assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.pg("== 18")
def test_object_that_is_gone_is_told(connection: Connection, events: TableId, store: Any) -> None:
    manifest = write_archive(connection, events, PLACE, the_facts()).manifest
    Folder(PLACE).remove(manifest.data.name)
    with pytest.raises(DamagedArchiveError, match="is missing"):
        read_manifest(PLACE)


@pytest.mark.pg("== 18")
def test_store_that_refuses_is_told_without_secrets(
    connection: Connection, events: TableId, store: Any
) -> None:
    with pytest.raises(ArchiveError) as caught:
        write_archive(connection, events, a_place("s3://no-such-bucket/x"), the_facts())
    assert SECRET not in f"{caught.value}{caught.value.hint}"
    assert "no-such-bucket" in str(caught.value)
    assert connection.execute("SELECT 1").fetchone() == (1,)


def fill_with_noise(database: Database) -> None:
    """Rows that do not compress."""
    database.execute(
        "DROP INDEX public.events_kind_idx;"
        "INSERT INTO public.events (id, at, kind)"
        " SELECT g, '2024-01-02', string_agg(md5(random()::text), '')"
        " FROM generate_series(10000, 12000) g, generate_series(1, 500) GROUP BY g"
    )
