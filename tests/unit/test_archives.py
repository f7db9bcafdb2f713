"""Archives without a server: where they lie, what their manifests say, how text is stored."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from maintenance.archives.description import create_standalone
from maintenance.archives.differences import added_columns
from maintenance.archives.digest import Digest, Tally
from maintenance.archives.manifest import (
    Column,
    Constraint,
    Content,
    Data,
    Index,
    Manifest,
    parse_manifest,
    seal_of,
)
from maintenance.archives.pace import Pace
from maintenance.archives.place import ArchivePlace, segment
from maintenance.errors import ArchiveError, DamagedArchiveError
from maintenance.names import QualifiedName

EVENTS = QualifiedName("public", "events")
PLACE = ArchivePlace("s3://bucket/archive", "app", EVENTS, "2024-01")


def a_manifest(**changes: Any) -> Manifest:
    facts: dict[str, Any] = {
        "database": "app",
        "table": EVENTS,
        "partition": QualifiedName("public", 'Events "2024"'),
        "period": "2024-01",
        "bound": "FOR VALUES FROM ('2024-01-01') TO ('2024-02-01')",
        "lower": datetime(2024, 1, 1, tzinfo=UTC),
        "upper": None,
        "key": "at",
        "columns": (Column(name="at", type="date"), Column(name="g", type="int", generated="1")),
        "constraints": (),
        "indexes": (),
        "schema_sql": "CREATE TABLE …",
        "content": Content(n_rows=1, n_bytes=2, sha256="ab", key_min="x"),
        "data": Data(
            name="data.copy.zst",
            format="copy",
            compression="zstd",
            encoding="UTF8",
            size_bytes=3,
            sha256="cd",
        ),
        "server_version": "18.4",
        "policy_hash": "0",
        "run_id": "r",
        "written_at": datetime(2026, 11, 20, tzinfo=UTC),
    }
    return Manifest(**(facts | changes))


def test_place_is_database_table_and_period() -> None:
    assert str(PLACE) == "s3://bucket/archive/app/public.events/2024-01"


def test_place_shows_no_credentials() -> None:
    place = ArchivePlace("ftp://me:hunter2@host/x?token=hunter2", "app", EVENTS, "2024-01")
    assert str(place) == "ftp://host/x/app/public.events/2024-01"


@pytest.mark.parametrize(
    ("name", "encoded"),
    [
        ("events", "events"),
        ("..", "%2E%2E"),
        ("a/b", "a%2Fb"),
        ("a%2Fb", "a%252Fb"),
        ("Žluť", "%C5%BDlu%C5%A5"),
        (" \\:*?\n", "%20%5C%3A%2A%3F%0A"),
    ],
)
def test_segment_is_percent_encoded(name: str, encoded: str) -> None:
    assert segment(name) == encoded


def test_different_tables_have_different_folders() -> None:
    tables = [
        QualifiedName("a", "b.c"),
        QualifiedName("a.b", "c"),
        QualifiedName("a", "B.c"),
        QualifiedName("a", "/" * 63),
        QualifiedName("a", "/" * 62 + "?"),
    ]
    folders = {ArchivePlace("x", "app", table, "1").segments[1] for table in tables}
    assert len(folders) == len(tables)
    assert all(len(folder) <= 255 for folder in folders)


def test_manifest_comes_back_as_it_was() -> None:
    manifest = a_manifest()
    assert parse_manifest(PLACE, manifest.to_json()) == manifest
    assert manifest.digest == Digest(1, "ab")
    assert manifest.stored_columns == ("at",)


def test_manifest_of_a_later_release_of_this_format_is_read() -> None:
    document = json.loads(a_manifest().to_json()) | {"more": 1}
    del document["seal"]
    sealed = {**document, "seal": seal_of(document)}
    assert parse_manifest(PLACE, json.dumps(sealed).encode()) == a_manifest()


def test_manifest_without_a_seal_is_of_an_earlier_release() -> None:
    document = json.loads(a_manifest().to_json())
    del document["seal"]
    assert parse_manifest(PLACE, json.dumps(document).encode()) == a_manifest()


@pytest.mark.parametrize("name", sorted(Manifest.model_fields))
def test_alteration_of_any_field_is_noticed(name: str) -> None:
    document = json.loads(a_manifest().to_json())
    document[name] = "altered"
    with pytest.raises(ArchiveError):
        parse_manifest(PLACE, json.dumps(document).encode())


@pytest.mark.parametrize("end", [0, 1, 50, 500, -5])
def test_truncated_manifest_is_damage(end: int) -> None:
    with pytest.raises(DamagedArchiveError, match="truncated or damaged"):
        parse_manifest(PLACE, a_manifest().to_json()[:end])


@pytest.mark.parametrize("name", ["../precious", "/etc/passwd", "manifest.json", "data/x", ""])
def test_manifest_names_an_object_of_its_own_folder(name: str) -> None:
    document = json.loads(a_manifest().to_json())
    del document["seal"]
    document["data"]["name"] = name
    with pytest.raises(DamagedArchiveError, match=r"data\.name"):
        parse_manifest(PLACE, json.dumps(document).encode())


def test_manifest_without_a_field_is_damage_that_names_it() -> None:
    document = json.loads(a_manifest().to_json())
    del document["content"]["sha256"]
    with pytest.raises(DamagedArchiveError, match=r"content\.sha256"):
        parse_manifest(PLACE, json.dumps(document).encode())


def test_newer_format_is_no_damage() -> None:
    with pytest.raises(ArchiveError, match="its format is 2, this version reads up to 1") as caught:
        parse_manifest(PLACE, b'{"format": 2, "all": "other"}')
    assert not isinstance(caught.value, DamagedArchiveError)


@pytest.mark.parametrize("change", [{"period": "2024-02"}, {"database": "other"}])
def test_manifest_of_another_archive_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(ArchiveError, match="it holds"):
        parse_manifest(PLACE, a_manifest(**change).to_json())


def test_standalone_table_depends_on_nothing() -> None:
    source = a_manifest(
        columns=(
            Column(name="id", type="bigint", not_null=True, default="nextval('s')", identity="a"),
            Column(name="Note", type="text", collation='pg_catalog."C"'),
            Column(name="g", type="integer", generated="(id * 2)"),
        ),
        constraints=(
            Constraint(name="pk", kind="p", definition="PRIMARY KEY (id)"),
            Constraint(name="ok", kind="c", definition="CHECK ((id > 0))"),
            Constraint(name="fk", kind="f", definition="FOREIGN KEY (id) REFERENCES x(id)"),
        ),
        indexes=(
            Index(
                name="i ON x",
                definition='CREATE UNIQUE INDEX "i ON x" ON ONLY public."Events ""2024"""'
                " USING btree (id) INCLUDE (g) WHERE (id > 1)",
            ),
        ),
    )
    assert list(create_standalone(source, QualifiedName("public", "copy"))) == [
        'CREATE TABLE public.copy (id bigint NOT NULL, "Note" text COLLATE pg_catalog."C",'
        " g integer GENERATED ALWAYS AS ((id * 2)) STORED)",
        "ALTER TABLE public.copy ADD PRIMARY KEY (id)",
        "ALTER TABLE public.copy ADD CONSTRAINT ok CHECK ((id > 0))",
        "CREATE UNIQUE INDEX ON public.copy USING btree (id) INCLUDE (g) WHERE (id > 1)",
    ]


A = Column(name="a", type="integer")


@pytest.mark.parametrize(
    ("now", "message"),
    [
        ((), "a integer is missing"),
        ((Column(name="a", type="bigint"),), "a was integer and is bigint"),
        (
            (Column(name="a", type="integer", generated="1"),),
            "a was an ordinary column and is generated",
        ),
        (
            (A, Column(name="b", type="text", not_null=True)),
            "b text was added, not null and without a default",
        ),
    ],
)
def test_column_that_does_not_fit_is_named(now: tuple[Column, ...], message: str) -> None:
    with pytest.raises(ArchiveError, match=message):
        added_columns([A], now, EVENTS)


def test_added_columns_that_fill_themselves_are_told() -> None:
    now = [
        Column(name="b", type="text"),
        A,
        Column(name="c", type="text", not_null=True, default="''"),
        Column(name="d", type="text", not_null=True, generated="'x'"),
    ]
    assert added_columns([A], now, EVENTS) == ("b", "c", "d")


def test_tally_does_not_depend_on_the_pieces() -> None:
    text = b"1\ta\\nb\n2\t\\N\n\n"
    whole, pieces = Tally(), Tally()
    whole.take(text)
    for byte in text:
        pieces.take(bytes([byte]))
    assert whole.digest == pieces.digest
    assert whole.n_rows == 3


def test_progress_is_a_few_lines_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("maintenance.archives.pace.time.monotonic", lambda: now)
    lines: list[str] = []
    pace, tally = Pace("reading t", lines.append, 4), Tally()
    for _ in range(100):
        now += 0.01
        tally.take(b"x\n")
        pace.show(tally)
    assert len(lines) == 3
    assert lines[0] == "reading t: 30 rows, 60 B, 99%"
