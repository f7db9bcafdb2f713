"""Archive stores that fail: a clear error, nothing lost, dropped or left incomplete."""

import errno
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
import pytest
from click.testing import CliRunner, Result

from maintenance.archives import (
    ArchivePlace,
    TableId,
    list_archives,
    read_manifest,
    verify_archive,
    write_archive,
)
from maintenance.archives.manifest import seal_of
from maintenance.cli.commands import cli
from maintenance.errors import ArchiveError, DamagedArchiveError
from maintenance.server.session import Connection
from tests.archives import CREATE_EVENTS, EVENTS, FILL_EVENTS, a_place, identify, the_facts
from tests.builders import Database
from tests.policies import write_policy
from tests.sessions import session

pytestmark = pytest.mark.pg("== 18")

FULL_BYTES = 2**20


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    with session(database.url) as opened:
        yield opened


@pytest.fixture
def events(database: Database) -> TableId:
    database.execute(CREATE_EVENTS)
    database.execute(FILL_EVENTS)
    return identify(database)


def fill_with_noise(database: Database) -> None:
    """Rows of 3 MB that do not compress."""
    database.execute("DROP INDEX public.events_kind_idx")
    database.execute(
        "INSERT INTO public.events (id, at, kind)"
        " SELECT g, '2024-01-02', string_agg(md5(random()::text), '')"
        " FROM generate_series(10000, 10400) g, generate_series(1, 500) GROUP BY g"
    )


@contextmanager
def mounted(folder: Path, options: str) -> Generator[bool]:
    """A file system of its own, where we may mount one."""
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    done = subprocess.run(command, check=False, capture_output=True).returncode == 0
    try:
        yield done
    finally:
        if done:
            subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A folder that holds a megabyte: a small file system, else by a limit of this process."""
    folder = tmp_path / "full"
    folder.mkdir()
    with mounted(folder, f"size={FULL_BYTES}") as done:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        if not done:
            resource.setrlimit(resource.RLIMIT_FSIZE, (FULL_BYTES, before[1]))
        yield folder
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def read_only(folder: Path) -> Generator[None]:
    """Make a folder read-only for everyone, including root."""
    remount = ["mount", "-o", "remount,bind,ro", str(folder)]
    bind = ["mount", "--bind", str(folder), str(folder)]
    if subprocess.run(bind, check=False, capture_output=True).returncode == 0:
        subprocess.run(remount, check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", str(folder)], check=True)
        return
    for path in (folder, *(p for p in folder.rglob("*") if p.is_dir())):
        path.chmod(0o500)
    yield
    for path in (folder, *(p for p in folder.rglob("*") if p.is_dir())):
        path.chmod(0o700)


def folder_of(place: ArchivePlace) -> Path:
    return Path(place.url).joinpath(*place.segments)


def names(place: ArchivePlace) -> set[str]:
    folder = folder_of(place)
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


# Full, read-only, not there.


def is_full(error: ArchiveError) -> bool:
    """Whether it tells that there is no room: on the disk, or for a file as large as that."""
    full = [os.strerror(number) for number in (errno.ENOSPC, errno.EFBIG)]
    return error.reason == "write_failed" and any(words in str(error) for words in full)


def test_full_store_is_told_and_keeps_nothing_of_it(
    database: Database, connection: Connection, events: TableId, full: Path
) -> None:
    fill_with_noise(database)
    place = a_place(full)
    with pytest.raises(ArchiveError, match=r"data\.copy\.zst") as caught:
        write_archive(connection, events, place, the_facts())
    assert is_full(caught.value)
    assert names(place) == set()
    assert connection.execute("SELECT 1").fetchone() == (1,)


def test_store_that_gets_full_keeps_the_archive_that_stands(
    database: Database, connection: Connection, events: TableId, full: Path
) -> None:
    place = a_place(full)
    standing = write_archive(connection, events, place, the_facts()).manifest
    fill_with_noise(database)
    with pytest.raises(ArchiveError) as caught:
        write_archive(connection, events, place, the_facts())
    assert is_full(caught.value)
    assert read_manifest(place) == standing
    verify_archive(place, standing)
    assert names(place) == {"manifest.json", standing.data.name}


def test_read_only_store_is_told(
    database: Database, connection: Connection, events: TableId, tmp_path: Path
) -> None:
    place = a_place(tmp_path)
    with read_only(tmp_path), pytest.raises(ArchiveError, match=r"data\.copy\.zst") as first:
        write_archive(connection, events, place, the_facts())
    standing = write_archive(connection, events, place, the_facts()).manifest
    with read_only(tmp_path):
        assert write_archive(connection, events, place, the_facts()).reused
        database.execute("DELETE FROM public.events WHERE id = 1")
        with pytest.raises(ArchiveError, match=r"data-2\.copy\.zst") as again:
            write_archive(connection, events, place, the_facts())
    for caught in (first, again):
        assert caught.value.reason == "write_failed"
        assert os.strerror(errno.EROFS) in str(caught.value)
    assert read_manifest(place) == standing


def test_part_of_a_killed_upload_is_removed_with_the_next(
    connection: Connection, events: TableId, tmp_path: Path
) -> None:
    place = a_place(tmp_path)
    folder_of(place).mkdir(parents=True)
    for name in ("data-2.copy.zst.part", "data.parquet"):
        (folder_of(place) / name).write_bytes(b"left")
    (folder_of(place) / "README").write_text("not ours")
    write_archive(connection, events, place, the_facts())
    assert names(place) == {"README", "manifest.json", "data.copy.zst"}


# What stands there already and is none of ours, or is damaged.


def spoil_manifest(place: ArchivePlace, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder_of(place) / "manifest.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def cut(place: ArchivePlace) -> None:
    path = folder_of(place) / "manifest.json"
    path.write_bytes(path.read_bytes()[:-40])


def empty(place: ArchivePlace) -> None:
    (folder_of(place) / "manifest.json").write_bytes(b"")


def fewer_rows(place: ArchivePlace) -> None:
    spoil_manifest(place, lambda d: d["content"].update(n_rows=1))


def resealed(document: dict[str, Any], **changes: Any) -> None:
    """Alter a manifest, and make its seal anew."""
    del document["seal"]
    document.update(changes)
    document["seal"] = seal_of(document, None)


def another_database(place: ArchivePlace) -> None:
    spoil_manifest(place, lambda d: resealed(d, database="other"))


def another_table(place: ArchivePlace) -> None:
    spoil_manifest(place, lambda d: resealed(d, table="public.orders"))


def outside(place: ArchivePlace) -> None:
    spoil_manifest(place, lambda d: (d.pop("seal"), d["data"].update(name="../../precious")))


SPOILED: list[tuple[Callable[[ArchivePlace], None], str, tuple[str, ...]]] = [
    (cut, "damaged", ("manifest.json",)),
    (empty, "damaged", ("manifest.json",)),
    (fewer_rows, "altered", ("manifest.json",)),
    (another_database, "another_archive", ("2024-01", "public.events", "other")),
    (another_table, "another_archive", ("2024-01", "public.orders", "app")),
    (outside, "damaged", ("manifest.json", "data.name")),
]


@pytest.mark.parametrize(("spoil", "reason", "names"), SPOILED)
def test_what_is_no_valid_archive_of_this_period_is_never_written_over(
    connection: Connection,
    events: TableId,
    tmp_path: Path,
    spoil: Callable[[ArchivePlace], None],
    reason: str,
    names: tuple[str, ...],
) -> None:
    place = a_place(tmp_path)
    write_archive(connection, events, place, the_facts())
    spoil(place)
    before = {path: path.read_bytes() for path in folder_of(place).iterdir()}
    with pytest.raises(ArchiveError) as caught:
        write_archive(connection, events, place, the_facts())
    assert caught.value.reason == reason
    assert all(name in str(caught.value) for name in names)
    assert caught.value.hint
    assert {path: path.read_bytes() for path in folder_of(place).iterdir()} == before
    ((period, found),) = list_archives(place.url, "app", EVENTS)
    assert (period, type(found)) == ("2024-01", type(caught.value))


def test_damaged_rows_of_another_table_are_never_written_over(
    database: Database, connection: Connection, events: TableId, tmp_path: Path
) -> None:
    place = a_place(tmp_path)
    made = write_archive(connection, events, place, the_facts()).manifest
    path = folder_of(place) / made.data.name
    path.write_bytes(path.read_bytes()[:-1])
    database.execute("DROP TABLE public.events")
    database.execute(CREATE_EVENTS)
    with pytest.raises(ArchiveError, match="2000") as caught:
        write_archive(connection, identify(database), place, the_facts())
    assert caught.value.reason == "another_table"
    assert names(place) == {"manifest.json", made.data.name}


# A store in memory.


def test_cut_object_in_memory_is_found(connection: Connection, events: TableId) -> None:
    place = a_place("memory://archives-cut")
    made = write_archive(connection, events, place, the_facts()).manifest
    memory: Any = fsspec.filesystem("memory")
    path = "/".join(("/archives-cut", *place.segments, made.data.name))
    memory.pipe_file(path, memory.cat_file(path)[:-1])
    with pytest.raises(DamagedArchiveError, match=str(made.data.size_bytes)) as caught:
        read_manifest(place)
    assert caught.value.reason == "wrong_size"
    assert not write_archive(connection, events, place, the_facts()).reused
    memory.rm("/archives-cut", recursive=True)


# Packages that are missing.


def run(monkeypatch: pytest.MonkeyPatch, path: Path, *arguments: str, without: str = "") -> Result:
    """Run the command line as where a package is not installed."""
    if without:
        monkeypatch.setitem(sys.modules, without, None)
    return CliRunner().invoke(cli, [*arguments, "--policy", str(path)])


MISSING = [
    ({"url": "s3://bucket/x"}, "s3fs", ("s3fs", "maintenance[s3]")),
    ({"url": "gs://bucket/x"}, "gcsfs", ("gcsfs", "maintenance[gcs]")),
    ({"url": "simplecache::s3://bucket/x"}, "s3fs", ("s3fs",)),
    ({"url": "sftp://u:hunter2@host/x"}, "paramiko", ("sftp://host/x", "paramiko")),
    ({"url": "./a", "format": "parquet"}, "pyarrow", ("parquet", "maintenance[parquet]")),
    ({"url": "nonsense://u:hunter2@host/x"}, "", ("nonsense",)),
]


@pytest.mark.parametrize(("archive", "without", "parts"), MISSING)
def test_package_that_is_missing_is_told_before_any_server_is_asked(
    tmp_path: Path,
    archive: dict[str, str],
    without: str,
    parts: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    retention = {"keep": "2 months", "action": "archive_then_drop", "archive": archive}
    section = {"table": "public.events", "column": "at", "retention": retention}
    path = write_policy(tmp_path, "postgresql://nobody@127.0.0.1:1/none", section)
    done = run(monkeypatch, path, "plan", without=without)
    assert done.exit_code == 2, done.stderr
    told = " ".join(done.stderr.split())
    assert all(part in told for part in ("public.events", *parts)), told
    assert "hunter2" not in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_package_does_not_keep_partitions_from_being_made(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute(CREATE_EVENTS)
    retention = {
        "keep": "2 months",
        "action": "archive_then_drop",
        "archive": {"url": "gs://bucket/x"},
    }
    section = {"table": "public.events", "column": "at", "retention": retention}
    path = write_policy(tmp_path, database.url, section)
    done = run(monkeypatch, path, "apply", "--only", "partitions", "--json", without="gcsfs")
    assert done.exit_code == 0, done.stderr


def test_restore_names_the_missing_package(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_policy(tmp_path, database.url)
    arguments = ("--table", "public.events", "--period", "2024-01", "--from", "s3://bucket/x")
    done = run(monkeypatch, path, "restore", *arguments, without="s3fs")
    assert (done.exit_code, "maintenance[s3]" in done.stderr) == (2, True)


def test_password_in_a_url_is_in_no_message(connection: Connection, events: TableId) -> None:
    place = a_place("ftp://user:hunter2@127.0.0.1:1/x?token=swordfish")
    with pytest.raises(ArchiveError, match=r"ftp://127\.0\.0\.1:1/x") as caught:
        write_archive(connection, events, place, the_facts())
    assert not [word for word in ("hunter2", "swordfish") if word in str(caught.value)]
