"""Archives in an object store that speaks S3, over the wire."""

import os
import socket
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.request import Request, urlopen

import pytest

from maintenance.archives import (
    TableId,
    list_archives,
    read_manifest,
    verify_archive,
    write_archive,
)
from maintenance.archives.objects import Folder, try_store
from maintenance.archives.restore import Restorer
from maintenance.errors import ArchiveError, DamagedArchiveError
from maintenance.names import QualifiedName
from maintenance.server.session import Connection
from tests.archives import (
    CREATE_EVENTS,
    EVENTS,
    FILL_EVENTS,
    a_lock_retry,
    a_place,
    identify,
    no_other_session,
    the_facts,
)
from tests.builders import ROOT, Database
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
    Restorer(connection, a_lock_retry(), "postgres", no_other_session).standalone(
        PLACE, made.manifest, copy
    )
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
    monkeypatch.setattr("maintenance.archives.uploads.MIN_BLOCK_BYTES", MULTIPART_BYTES)
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
    monkeypatch.setattr("maintenance.archives.uploads.MIN_BLOCK_BYTES", MULTIPART_BYTES)
    monkeypatch.setattr("maintenance.archives.progress.EVERY_S", 0)
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
    with pytest.raises(DamagedArchiveError, match=manifest.data.name) as caught:
        read_manifest(PLACE)
    assert caught.value.reason == "missing"


@pytest.mark.pg("== 18")
def test_store_that_refuses_is_told_without_secrets(
    connection: Connection, events: TableId, store: Any
) -> None:
    with pytest.raises(ArchiveError) as caught:
        write_archive(connection, events, a_place("s3://no-such-bucket/x"), the_facts())
    assert SECRET not in f"{caught.value}{caught.value.hint}"
    assert "no-such-bucket" in str(caught.value)
    assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.pg("== 18")
def test_wrong_credentials_are_told_without_secrets(
    connection: Connection, events: TableId, store: Any, endpoint: str
) -> None:
    with (
        pytest.raises(ArchiveError, match=r"manifest\.json") as caught,
        closed(endpoint),
    ):
        write_archive(connection, events, PLACE, the_facts())
    assert caught.value.reason == "read_failed"
    assert SECRET not in f"{caught.value}{caught.value.hint}"
    assert store.find(BUCKET) == []


@pytest.mark.pg("== 18")
def test_store_that_nobody_reaches_is_told(
    connection: Connection, events: TableId, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(ArchiveError, match=r"manifest\.json.*http://127\.0\.0\.1:1/") as caught:
        write_archive(connection, events, PLACE, the_facts())
    assert caught.value.reason == "read_failed"
    assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.pg("== 18")
def test_manifest_that_could_not_be_replaced_stays(
    database: Database,
    connection: Connection,
    events: TableId,
    store: Any,
    endpoint: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    standing = write_archive(connection, events, PLACE, the_facts()).manifest
    database.execute("DELETE FROM public.events WHERE id = 1")
    put = Folder.put

    def refused(self: Folder, name: str, data: bytes) -> None:
        with closed(endpoint):
            put(self, name, data)

    monkeypatch.setattr(Folder, "put", refused)
    with pytest.raises(ArchiveError, match=r"manifest\.json") as caught:
        write_archive(connection, events, PLACE, the_facts())
    assert caught.value.reason == "write_failed"
    assert read_manifest(PLACE) == standing
    verify_archive(PLACE, standing)


KILLED = """
import os, signal, sys
from maintenance.archives import *
from maintenance.archives import uploads
from maintenance.archives import progress as archive_progress
from maintenance.names import QualifiedName
from tests.archives import a_place, the_facts
from tests.sessions import session

url, oid, target, block_bytes = sys.argv[1:]
uploads.MIN_BLOCK_BYTES, archive_progress.EVERY_S = int(block_bytes), 0
import s3fs
store = s3fs.S3FileSystem()

def progress(_line):
    if len(store.list_multipart_uploads(target.split("/")[2])) == 2:
        os.kill(os.getpid(), signal.SIGKILL)

with session(url) as connection:
    table = TableId(int(oid), QualifiedName("public", "events_2024_01"))
    write_archive(connection, table, a_place(target), the_facts(), progress=progress)
"""


@pytest.mark.pg("== 18")
def test_parts_of_a_killed_upload_are_removed_by_the_next(
    database: Database, connection: Connection, events: TableId, store: Any
) -> None:
    fill_with_noise(database)
    other = store.call_s3("create_multipart_upload", Bucket=BUCKET, Key="app/of/others")
    arguments = [database.url, str(events.oid), PLACE.url, str(MULTIPART_BYTES)]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments], cwd=ROOT, check=False, timeout=60
    )
    assert killed.returncode == -9
    assert len(store.list_multipart_uploads(BUCKET)) == 2
    assert read_manifest(PLACE) is None
    write_archive(connection, events, PLACE, the_facts())
    (left,) = store.list_multipart_uploads(BUCKET)
    assert left["UploadId"] == other["UploadId"]


@contextmanager
def closed(endpoint: str) -> Generator[None]:
    """Make the store refuse all credentials."""
    _count_as_known(endpoint, 0)
    try:
        yield
    finally:
        _count_as_known(endpoint, float("inf"))


def _count_as_known(endpoint: str, n_requests: float) -> None:
    """Set how many requests moto answers before it looks at credentials."""
    request = Request(
        f"{endpoint}/moto-api/reset-auth",
        str(n_requests).encode(),
        {"Content-Type": "text/plain"},
        method="POST",
    )
    urlopen(request).close()


def test_store_without_credentials_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that drops what is sent to the service of instance roles is asked once."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    s3fs.S3FileSystem.clear_instance_cache()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
        monkeypatch.setenv(
            "AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}/"
        )
        with pytest.raises(ArchiveError, match="no credentials found") as refused:
            try_store(PLACE.url, "app")
        silent.setblocking(False)
        asked = 0
        with suppress(BlockingIOError):
            while True:
                silent.accept()[0].close()
                asked += 1
    assert (refused.value.reason, refused.value.retryable) == ("no_credentials", False)
    assert "AWS_ACCESS_KEY_ID" in (refused.value.hint or "")
    assert 1 <= asked <= 2, "a token, and the role"
    s3fs.S3FileSystem.clear_instance_cache()


def fill_with_noise(database: Database) -> None:
    """Rows that do not compress."""
    database.execute(
        "DROP INDEX public.events_kind_idx;"
        "INSERT INTO public.events (id, at, kind)"
        " SELECT g, '2024-01-02', string_agg(md5(random()::text), '')"
        " FROM generate_series(10000, 12000) g, generate_series(1, 500) GROUP BY g"
    )
