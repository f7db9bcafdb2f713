"""Archives without a server: where they lie, what their manifests say, how text is stored."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from maintenance.archives.attach import added_columns, differences
from maintenance.archives.checksum import Digest, Tally
from maintenance.archives.definition_check import foreign_code, require_definitions
from maintenance.archives.location import ArchivePlace, segment
from maintenance.archives.manifest import (
    KEYED,
    Column,
    Constraint,
    Content,
    Data,
    Index,
    Manifest,
    parse_manifest,
    seal_of,
)
from maintenance.archives.progress import Pace
from maintenance.archives.table_definition import create_standalone
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
    return Manifest(**(facts | changes)).sealed(None)


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
    sealed = {**document, "seal": seal_of(document, None)}
    found = parse_manifest(PLACE, json.dumps(sealed).encode())
    assert found.seal == sealed["seal"]
    assert found.sealed(None) == a_manifest()


@pytest.mark.parametrize("seal", [None, "", 5, "x", KEYED])
def test_manifest_without_its_seal_is_damage(seal: object) -> None:
    document = json.loads(a_manifest().to_json())
    del document["seal"]
    for text in (document, document | {"seal": seal}):
        with pytest.raises(ArchiveError):
            parse_manifest(PLACE, json.dumps(text).encode())


def test_a_seal_with_a_key_is_made_by_who_knows_it() -> None:
    keyed = replace(PLACE, key="sesame")
    sealed = a_manifest().sealed("sesame")
    assert parse_manifest(keyed, sealed.to_json()) == sealed
    for place, manifest in (
        (keyed, a_manifest()),
        (keyed, a_manifest().sealed("other")),
        (PLACE, sealed),
        (replace(PLACE, key="other"), sealed),
    ):
        with pytest.raises(ArchiveError):
            parse_manifest(place, manifest.to_json())
    assert "sesame" not in repr(keyed)


def strange(document: dict[str, Any], where: str, value: object) -> bytes:
    """The bytes of a manifest with one value changed, and a seal that fits."""
    *path, last = where.split(".")
    part: Any = document
    for name in path:
        part = part[int(name)] if name.isdigit() else part[name]
    part[last] = value
    del document["seal"]
    return json.dumps(document | {"seal": seal_of(document, None)}).encode()


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("data.encoding", "UTF8'); DROP TABLE x; --"),
        ("data.encoding", ""),
        ("columns.0.name", ""),
        ("columns.0.name", "a\0b"),
        ("columns.0.type", "in\0t"),
        ("lower", "2024-01-01T00:00:00"),
        ("written_at", "2024-01-01T00:00:00"),
        ("partition", "a.b.c"),
        ("table", "\0"),
        ("content", None),
        ("columns", "none"),
        ("format", []),
    ],
)
def test_a_sealed_manifest_of_strange_values_is_damage(where: str, value: object) -> None:
    document = json.loads(a_manifest().to_json())
    with pytest.raises(ArchiveError):
        parse_manifest(PLACE, strange(document, where, value))


@pytest.mark.parametrize(
    "text", [b"\xff\xfe{\x00}\x00", b"\x80", b"[" * 100_000, b'{"format": 1e400}', b"null", b"1"]
)
def test_a_manifest_that_is_no_manifest_is_damage(text: bytes) -> None:
    with pytest.raises(ArchiveError):
        parse_manifest(PLACE, text)


INJECTED = "text); CREATE TABLE app.pwned AS SELECT current_user; --"
INTO = QualifiedName("app", "copy")


@pytest.mark.parametrize(
    "change",
    [
        {"columns": (Column(name="a", type=INJECTED),)},
        {"columns": (Column(name="a", type="text DEFAULT app.spy()"),)},
        {"columns": (Column(name="a", type="text, b text"),)},
        {"columns": (Column(name="a", type="text CHECK (app.spy())"),)},
        {"columns": (Column(name="a", type="text PRIMARY KEY USING INDEX TABLESPACE x"),)},
        {"columns": (Column(name="a", type="text", collation='"C"); DROP TABLE x; --'),)},
        {"columns": (Column(name="a", type="text", collation='"C" DEFAULT app.spy()'),)},
        {"columns": (Column(name="a", type="text", generated="1) STORED, b int DEFAULT (2"),)},
        {"columns": (Column(name="a", type="text", generated="1) STORED); DROP TABLE x; --"),)},
        {"constraints": (Constraint(name="c", kind="c", definition="CHECK (true); DROP TABLE x"),)},
        {"constraints": (Constraint(name="c", kind="c", definition="CHECK (true), DROP a"),)},
        {
            "constraints": (
                Constraint(name="c", kind="c", definition="FOREIGN KEY (a) REFERENCES x"),
            )
        },
        {"constraints": (Constraint(name="c", kind="p", definition="COLUMN b int"),)},
        {"indexes": (Index(name="i", definition="CREATE INDEX i ON x (a); DROP TABLE x"),)},
        {"indexes": (Index(name="i", definition="DROP TABLE x; CREATE INDEX i ON x (a)"),)},
        {"indexes": (Index(name="i", definition="SELECT app.spy() i ON x"),)},
        {"indexes": (Index(name="i", definition="CREATE INDEX i ON  ONLY other (a)"),)},
    ],
)
def test_nothing_but_definitions_is_made_of_a_manifest(change: dict[str, Any]) -> None:
    manifest = a_manifest(partition=QualifiedName("public", "x"), **change)
    names = [column.name for column in manifest.columns]
    with pytest.raises(ArchiveError):
        require_definitions(create_standalone(manifest, INTO), INTO, names)


def test_definitions_as_postgresql_shows_them_are_let_through() -> None:
    manifest = a_manifest(
        partition=QualifiedName("public", "x"),
        columns=(
            Column(name='A "b"', type="app.status[]", not_null=True),
            Column(name="c", type="character varying(20)", collation='pg_catalog."C"'),
            Column(name="g", type="numeric(10,2)", generated="((c)::numeric * (2)::numeric)"),
        ),
        constraints=(
            Constraint(name="k", kind="c", definition="CHECK ((length(c) > 1)) NOT VALID"),
            Constraint(name="p", kind="p", definition='PRIMARY KEY ("A ""b""", c)'),
            Constraint(name="u", kind="u", definition="UNIQUE NULLS NOT DISTINCT (c) INCLUDE (g)"),
            Constraint(
                name="e", kind="x", definition="EXCLUDE USING gist (c WITH =) WHERE ((c > 'a'))"
            ),
        ),
        indexes=(
            Index(
                name="I x",
                definition='CREATE UNIQUE INDEX "I x" ON public.x USING btree (lower(c)'
                " text_pattern_ops DESC) WITH (fillfactor='70') WHERE (c IS NOT NULL)",
            ),
        ),
    )
    names = [column.name for column in manifest.columns]
    require_definitions(create_standalone(manifest, INTO), INTO, names)


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("CREATE TABLE t (a int GENERATED ALWAYS AS (app.f(a)) STORED)", ["app.f"]),
        ("ALTER TABLE t ADD CHECK (a OPERATOR(app.=) 1 AND lower(b) = 'x')", ["app.="]),
        ("CREATE INDEX ON t (a app.ops, (app.f(b)))", ["app.f", "app.ops"]),
        ("ALTER TABLE t ADD EXCLUDE USING gist (a WITH OPERATOR(app.=))", ["app.="]),
        ("CREATE INDEX ON t (pg_catalog.lower(a)) WHERE a > 1", []),
        ("CREATE INDEX ON t ((a::app.small)) WHERE b::text = 'x'", ["app.small"]),
    ],
)
def test_code_of_other_schemas_is_named(statement: str, found: list[str]) -> None:
    assert [name.replace('"', "") for name in foreign_code(statement)] == found


@pytest.mark.parametrize("name", sorted(Manifest.model_fields))
def test_alteration_of_any_field_is_noticed(name: str) -> None:
    document = json.loads(a_manifest().to_json())
    document[name] = "altered"
    with pytest.raises(ArchiveError):
        parse_manifest(PLACE, json.dumps(document).encode())


@pytest.mark.parametrize("end", [0, 1, 50, 500, -5])
def test_truncated_manifest_is_damage(end: int) -> None:
    with pytest.raises(DamagedArchiveError) as caught:
        parse_manifest(PLACE, a_manifest().to_json()[:end])
    assert caught.value.reason == "damaged"


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
    with pytest.raises(ArchiveError) as caught:
        parse_manifest(PLACE, b'{"format": 2, "all": "other"}')
    assert caught.value.reason == "newer_format"
    assert not isinstance(caught.value, DamagedArchiveError)


@pytest.mark.parametrize("change", [{"period": "2024-02"}, {"database": "other"}])
def test_manifest_of_another_archive_is_refused(change: dict[str, str]) -> None:
    (other,) = change.values()
    with pytest.raises(ArchiveError, match=other) as caught:
        parse_manifest(PLACE, a_manifest(**change).to_json())
    assert caught.value.reason == "another_archive"


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
    ("now", "column", "reason"),
    [
        ((), "a", "missing"),
        ((Column(name="a", type="bigint"),), "a", "other_type"),
        ((Column(name="a", type="integer", generated="1"),), "a", "generated"),
        ((A, Column(name="b", type="text", not_null=True)), "b", "no_default"),
    ],
)
def test_column_that_does_not_fit_is_named(
    now: tuple[Column, ...], column: str, reason: str
) -> None:
    (found,) = differences([A], now)
    assert (found.column, found.reason) == (column, reason)
    with pytest.raises(ArchiveError) as caught:
        added_columns([A], now, EVENTS)
    assert caught.value.reason == "columns_differ"
    assert found.text in str(caught.value)


def test_column_of_another_type_is_told_with_both() -> None:
    (found,) = differences([A], [Column(name="a", type="bigint")])
    assert "integer" in found.text
    assert "bigint" in found.text


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
    monkeypatch.setattr("maintenance.archives.progress.time.monotonic", lambda: now)
    lines: list[str] = []
    pace, tally = Pace("reading t", lines.append, 4), Tally()
    for _ in range(100):
        now += 0.01
        tally.take(b"x\n")
        pace.show(tally)
    assert len(lines) == 3
    for part in ("reading t", "30", "60 B", "99%"):
        assert part in lines[0]


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE public.t ADD CHECK (" + "+".join(["1"] * 3000) + " > 0)",
        "ALTER TABLE public.t ADD CHECK (true)\0",
        "",
    ],
    ids=["deep", "NUL", "empty"],
)
def test_definition_that_the_parser_does_not_survive_is_refused(statement: str) -> None:
    into = QualifiedName("public", "t")
    with pytest.raises(ArchiveError):
        require_definitions([statement], into, ())
