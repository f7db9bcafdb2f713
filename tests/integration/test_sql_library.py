"""The SQL library: every file says what it is, and each server agrees."""

import importlib.util
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pglast import ast, parse_sql
from pglast.visitors import Visitor

from maintenance.demo.postgres import PostgresServer
from maintenance.engine.run_lock import RUN_LOCK
from maintenance.errors import MaintenanceError
from maintenance.server.session import fetch, pin, run_statement
from maintenance.server.sql_library import load_statement, newest_variant
from maintenance.store import migrate
from tests.builders import ROOT, SQL, Database
from tests.policies import CREATE_EVENTS
from tests.sessions import session

KEYS = ["since", "params", "columns", "locks", "source"]
PLACEHOLDER = re.compile(r"%\((\w+)\)s")

Fields = dict[str, str]
"""Names with their types, in order."""


@dataclass(frozen=True)
class File:
    """One file of the library."""

    path: Path

    @property
    def folder(self) -> str:
        return self.path.parent.name

    @property
    def name(self) -> str:
        return self.path.name.split(".")[0]

    @property
    def text(self) -> str:
        return self.path.read_text()

    @property
    def header(self) -> Fields:
        lines = self.text.splitlines()[: len(KEYS) + 1]
        assert all(line.startswith("-- ") or line == "-- params:" for line in lines), lines
        return {key: value.strip() for key, _, value in (x[3:].partition(":") for x in lines)}

    def fields(self, key: str) -> Fields:
        listed = re.sub(r"\([^)]*\)", "", self.header[key])
        pairs = [entry.split(maxsplit=1) for entry in listed.split(",") if entry.strip()]
        return {name: type_.strip() for name, type_ in pairs}

    @property
    def numbered(self) -> str:
        """The statement with `$1` for its first parameter, as the server takes it."""
        places = list(self.fields("params"))
        if not places:
            return self.text
        text = PLACEHOLDER.sub(lambda match: f"${places.index(match[1]) + 1}", self.text)
        return text.replace("%%", "%")


def library() -> Iterator[File]:
    """Every statement, migrations and the owners' schemas left out."""
    for path in sorted(SQL.rglob("*.sql")):
        inside = path.relative_to(SQL)
        if inside.parts[0] not in ("hosts", "systems") and not re.match(r"\d{4}_", path.name):
            yield File(path)


FILES = list(library())
every_file = pytest.mark.parametrize("file", FILES, ids=lambda f: f"{f.folder}/{f.path.name}")


@every_file
def test_header_says_all_that_is_asked(file: File) -> None:
    assert list(file.header) == [file.name, *KEYS]
    assert file.header[file.name], "what it is about"
    assert file.header["locks"]
    assert file.header["source"]


@every_file
def test_since_is_a_served_version_and_that_of_the_variant(file: File) -> None:
    since = int(file.header["since"])
    variant = re.search(r"\.pg(\d+)\.sql$", file.path.name)
    assert 15 <= since <= 19
    assert variant is None or int(variant[1]) == since


@every_file
def test_header_names_the_parameters_that_the_statement_takes(file: File) -> None:
    assert set(PLACEHOLDER.findall(file.text)) == set(file.fields("params"))
    assert file.fields("params") or "%%" not in file.text, "no parameters, so no % is doubled"


@every_file
def test_file_holds_one_statement(file: File) -> None:
    assert len(parse_sql(file.numbered)) == 1


@cache
def sources() -> list[str]:
    return [path.read_text() for path in ROOT.joinpath("maintenance").rglob("*.py")]


@every_file
def test_file_is_loaded_by_name(file: File) -> None:
    called = f'"{file.name}"'
    assert any(called in source for source in sources())


class References(Visitor):
    """Collects the names that a session's search_path would decide about."""

    def __init__(self) -> None:
        super().__init__()
        self.relations: list[str] = []
        self.functions: list[str] = []
        self.defined: set[str] = set()

    def visit_CommonTableExpr(self, _ancestors: Any, node: ast.CommonTableExpr) -> None:  # noqa: N802 - pglast's
        self.defined.add(str(node.ctename))

    def visit_RangeVar(self, _ancestors: Any, node: ast.RangeVar) -> None:  # noqa: N802 - pglast's
        self.relations.append(".".join(filter(None, (node.schemaname, node.relname))))

    def visit_FuncCall(self, _ancestors: Any, node: ast.FuncCall) -> None:  # noqa: N802 - pglast's
        self.functions.append(".".join(part.sval for part in node.funcname or ()))


@cache
def references(file: File) -> References:
    found = References()
    found(parse_sql(file.numbered))
    return found


@every_file
def test_every_relation_and_function_is_qualified(file: File) -> None:
    found = references(file)
    named = {*found.functions, *(set(found.relations) - found.defined)}
    assert {name for name in named if "." not in name} == set()


# On servers


def newest(server: PostgresServer) -> list[File]:
    """The files that this server is given."""
    chosen = {
        (f.folder, f.name): File(newest_variant(f.path.parent, f.name, server.major))
        for f in FILES
        if int(f.header["since"]) <= server.major
    }
    return list(chosen.values())


def test_every_file_prepares_and_describes_the_columns_of_its_header(
    database: Database, server: PostgresServer
) -> None:
    with session(database.url) as connection:
        migrate(connection)
        for file in newest(server):
            parameters = [_oid(connection, t) for t in file.fields("params").values()]
            prepared = connection.pgconn.prepare(b"", file.numbered.encode(), parameters)
            assert prepared.status == psycopg.pq.ExecStatus.COMMAND_OK, (
                f"{file.name}: {prepared.error_message.decode()}"
            )
            described = connection.pgconn.describe_prepared(b"")
            columns = {
                (described.fname(n) or b"").decode(): described.ftype(n)
                for n in range(described.nfields)
            }
            header = {n: _oid(connection, t) for n, t in file.fields("columns").items()}
            assert list(columns.items()) == list(header.items()), file.name


def _oid(
    connection: psycopg.Connection[Any], name: str, catalog: str = "pg_catalog.regtype"
) -> int:
    question = f"SELECT %s::{catalog}::pg_catalog.oid"
    row = connection.execute(question.encode(), [name]).fetchone()
    assert row
    return int(row[0])


SAMPLES: dict[str, Any] = {
    "relation text": "public.events",
    "relations text[]": ["public.events"],
    "modes text[]": ["ShareLock"],
    "schemas text[]": ["public"],
    "names text[]": ["events"],
    "key int8": RUN_LOCK,
    "min_bytes int8": 1,
    "least_s float8": 0.0,
    "name text": "public.events_pkey",
}
"""Parameters that make an answer; one that is not listed is NULL."""

SHADOW_FUNCTIONS = """
DO $$ DECLARE f record; BEGIN
  FOR f IN SELECT proname, array_to_string(ARRAY(SELECT format_type(t, NULL)
                                                  FROM unnest(proargtypes) t), ', ') AS arguments
             FROM pg_proc
            WHERE pronamespace = 'pg_catalog'::regnamespace AND proname = ANY ({names})
              AND prokind = 'f' AND provariadic = 0
              AND NOT proargtypes::oid[] && ARRAY['"any"'::regtype, 'internal'::regtype]::oid[]
  LOOP
    EXECUTE format('CREATE FUNCTION evil.%I(%s) RETURNS int LANGUAGE plpgsql'
      ' AS ''BEGIN RAISE EXCEPTION ''''shadowed''''; END''', f.proname, f.arguments);
  END LOOP;
END $$
"""

SHADOW_OPERATORS = """
CREATE FUNCTION evil.never(oid, oid) RETURNS bool LANGUAGE sql AS 'SELECT false';
CREATE FUNCTION evil.never(name, text) RETURNS bool LANGUAGE sql AS 'SELECT false';
CREATE OPERATOR evil.= (FUNCTION = evil.never, LEFTARG = oid, RIGHTARG = oid);
CREATE OPERATOR evil.= (FUNCTION = evil.never, LEFTARG = name, RIGHTARG = text);
CREATE OPERATOR evil.~~ (FUNCTION = evil.never, LEFTARG = name, RIGHTARG = text);
CREATE DOMAIN evil.text AS pg_catalog.text CHECK (false);
CREATE DOMAIN evil.oid AS pg_catalog.oid CHECK (false);
"""


def shadow(database: Database, *, operators: bool) -> None:
    """Make a schema in which what the library uses means something else."""
    used = [references(file) for file in FILES]
    functions = sorted({f.split(".")[-1] for refs in used for f in refs.functions})
    relations = {r for refs in used for r in refs.relations if r.startswith("pg_catalog.")}
    database.execute("CREATE SCHEMA evil")
    database.execute(SHADOW_FUNCTIONS.replace("{names}", f"'{{{','.join(functions)}}}'"))
    for relation in sorted(relations):
        database.execute(f"CREATE TABLE evil.{relation.split('.')[1]} ()")
    if operators:
        with database.connect() as connection:
            connection.execute(SHADOW_OPERATORS.encode())


def answers(connection: psycopg.Connection[Any], server: PostgresServer) -> dict[str, Any]:
    """What every file answers, without the columns that time changes."""
    (parent,) = connection.execute(
        "SELECT 'public.events'::pg_catalog.regclass::pg_catalog.oid"
    ).fetchone() or (0,)
    samples = {**SAMPLES, "most int8": 9}
    samples |= dict.fromkeys(("relation oid", "parent oid"), parent)
    samples |= {name: [parent] for name in ("relations oid[]", "parents oid[]", "tables oid[]")}
    found: dict[str, Any] = {}
    for file in newest(server):
        columns = file.fields("columns").items()
        steady = [
            n
            for n, (name, type_) in enumerate(columns)
            if type_ not in CHANGING and not name.endswith("_age")
        ]
        if f"{file.folder}/{file.name}" in RESTLESS:
            steady = []
        asked = file.fields("params").items()
        parameters = {name: samples.get(f"{name} {type_}") for name, type_ in asked}
        try:
            rows = answer(connection, file, parameters)
        except psycopg.errors.IntegrityError as refusal:
            found[f"{file.folder}/{file.name}"] = [(refusal.sqlstate, refusal.diag.column_name)]
            continue
        if f"{file.folder}/{file.name}" in FLEETING:
            rows = []
        # In any order: a file that asks for none may get another each time.
        steady_rows = [tuple(row[n] for n in steady) for row in rows]
        found[f"{file.folder}/{file.name}"] = sorted(steady_rows, key=repr)
    return found


def answer(
    connection: psycopg.Connection[Any], file: File, parameters: dict[str, Any]
) -> list[Any]:
    """Run a file; what it writes into our own tables is taken back."""
    if not of_store(file):
        return fetch(connection, file.folder, file.name, parameters)
    with connection.transaction(force_rollback=True):
        if file.fields("columns"):
            return fetch(connection, file.folder, file.name, parameters)
        n_changed = run_statement(connection, file.folder, file.name, parameters)
        return [()] * n_changed


CHANGING = ("timestamptz", "float8", "pg_lsn")
RESTLESS = (
    "workload/read_server",
    "workload/list_wraparound",
    "capacity/read_limits",
    "server/read_load",
    "server/list_slots",
)
"""What counts while it is looked at: only how many rows there are is compared."""
FLEETING = ("workload/list_holders",)
"""What depends on whoever else is at work: only that it is answered is looked at."""


def of_store(file: File) -> bool:
    """Whether it reads or writes our own tables, which are empty here."""
    return any(name.startswith("maintenance.") for name in references(file).relations)


@pytest.fixture
def events(database: Database) -> Database:
    database.execute(CREATE_EVENTS)
    database.execute("CREATE TABLE public.users (id bigint PRIMARY KEY)")
    database.execute("ALTER TABLE public.events ADD FOREIGN KEY (id) REFERENCES public.users")
    database.execute("CREATE TABLE public.events_all PARTITION OF public.events DEFAULT")
    database.execute("ALTER TABLE public.events_all REPLICA IDENTITY FULL")
    database.execute("CREATE INDEX half ON ONLY public.events (note)")
    database.execute("CREATE TABLE public.events_copy (LIKE public.events)")
    database.execute("CREATE VIEW public.report AS SELECT * FROM public.events")
    database.execute('CREATE TABLE public.log (n serial PRIMARY KEY, said varchar(9) COLLATE "C")')
    database.execute("CREATE MATERIALIZED VIEW public.daily AS SELECT * FROM public.events")
    with session(database.url) as connection:
        migrate(connection)
    holder = database.connect(autocommit=False)
    holder.execute("LOCK TABLE public.events IN SHARE MODE")
    holder.execute("SELECT pg_advisory_lock(%s)", [RUN_LOCK])
    return database


def test_shadowed_functions_and_tables_change_no_answer(
    events: Database, server: PostgresServer
) -> None:
    shadow(events, operators=False)
    with session(events.url) as connection:
        wanted = answers(connection, server)
        pin(connection, {"search_path": "evil, pg_catalog"})
        assert answers(connection, server) == wanted
    asked = [wanted[f"{file.folder}/{file.name}"] for file in newest(server) if not of_store(file)]
    assert sum(map(bool, asked)) > len(asked) / 2, "most had something to answer"


def test_search_path_of_a_hostile_database_changes_no_answer(
    events: Database, server: PostgresServer
) -> None:
    with session(events.url) as connection:
        wanted = answers(connection, server)
    shadow(events, operators=True)
    events.execute(f"ALTER DATABASE {events.name} SET search_path = evil, pg_catalog")
    with session(events.url) as connection:
        found = answers(connection, server)
    for whole_database in (
        "catalog/list_near_names",
        "indexes/list_indexed_tables",
        "statistics/list_tables",
    ):
        found[whole_database] = [row for row in found[whole_database] if "evil" not in row]
    assert found == wanted


# Variants


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, since in (("ask.sql", 15), ("ask.pg17.sql", 17), ("ask_more.sql", 14)):
        (tmp_path / name).write_text(f"-- {name}\n-- since: {since}\nSELECT 1")
    return tmp_path


@pytest.mark.parametrize(
    ("major", "file"),
    [(15, "ask.sql"), (16, "ask.sql"), (17, "ask.pg17.sql"), (18, "ask.pg17.sql")],
)
def test_newest_variant_that_fits_is_taken(folder: Path, major: int, file: str) -> None:
    assert newest_variant(folder, "ask", major).name == file


def test_no_fitting_variant_is_an_error(folder: Path) -> None:
    with pytest.raises(MaintenanceError, match=r"/ask\b.* 14\b"):
        newest_variant(folder, "ask", 14)


def test_unknown_statement_is_an_error() -> None:
    with pytest.raises(MaintenanceError, match="sql/catalog/guess"):
        load_statement("catalog", "guess", 180004)


# Installed


def _wheel_builder(folder: Path) -> list[str]:
    """Return the command that makes a wheel; an environment that uv made has no pip."""
    if importlib.util.find_spec("pip") is None:
        return ["uv", "build", "--wheel", "--quiet", "--out-dir", str(folder)]
    quiet = ["--quiet", "--disable-pip-version-check", "--no-deps"]
    return [sys.executable, "-m", "pip", "wheel", *quiet, "--wheel-dir", str(folder)]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel holds."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([*_wheel_builder(folder), str(ROOT)], check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


CARRIED = ("sql", "policies", "deploy", "dagster.yaml", "workspace.yaml", "docs/runbook.md")


def contents(root: Path, *names: str) -> dict[str, bytes]:
    """What files there are, by their paths below the root, those of folders too."""
    found = [p for name in names for p in ((root / name), *(root / name).rglob("*"))]
    return {str(p.relative_to(root)): p.read_bytes() for p in found if p.is_file()}


def test_wheel_carries_the_files_that_are_read_and_no_others(installed: Path) -> None:
    wanted = contents(ROOT, *CARRIED)
    assert len(wanted) > len(CARRIED)
    assert contents(installed / "maintenance" / "_data", ".") == wanted


def test_installed_copy_reads_its_own_sql(installed: Path, tmp_path: Path) -> None:
    script = """
from maintenance.server.sql_library import data_root, load_statement
load_statement("catalog", "identify", 180004)
print(data_root())
"""
    run = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == str(installed / "maintenance" / "_data")
