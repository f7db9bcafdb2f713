"""Archives take the same memory whatever their size."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from maintenance.names import QualifiedName
from tests.archives import identify
from tests.builders import ROOT, Database

BIG = QualifiedName("public", "big")
LIMIT_MB = {"copy": 150, "parquet": 300}
_PER_MB = 2**20 if sys.platform == "darwin" else 2**10  # of the kernel's unit

ROUND_TRIP = """
import json, sys
from maintenance.archives import TableId, write_archive
from maintenance.archives.restoring import Restorer
from maintenance.names import QualifiedName
from tests.archives import a_ladder, a_place, the_facts
from tests.sessions import session

url, oid, target, format_ = sys.argv[1:]
with session(url) as connection:
    table = TableId(int(oid), QualifiedName("public", "big"))
    place = a_place(target)
    archived = write_archive(connection, table, place, the_facts(key="at"), format_=format_)
    assert write_archive(connection, table, place, the_facts(key="at"), format_=format_).reused
    copy = QualifiedName("public", "copy")
    Restorer(connection, a_ladder(), "postgres").standalone(place, archived.manifest, copy)
    print(json.dumps(archived.manifest.content.n_bytes))
"""


@pytest.mark.slow
@pytest.mark.pg("== 18")
@pytest.mark.parametrize("format_", LIMIT_MB)
def test_memory_is_flat(database: Database, tmp_path: Path, format_: str) -> None:
    if format_ == "parquet":
        pytest.importorskip("pyarrow")
    database.execute(
        "CREATE TABLE public.big AS SELECT g AS id, '2024-01-01'::timestamptz + g * interval '1 s'"
        " AS at, repeat(md5(g::text), 5) AS note FROM generate_series(1, 1600000) g"
    )
    table = identify(database, BIG)
    arguments = [database.url, str(table.oid), str(tmp_path), format_]
    process = subprocess.Popen(
        [sys.executable, "-c", ROUND_TRIP, *arguments], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    n_bytes = json.loads(process.stdout.read())
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    assert process.returncode == 0
    assert n_bytes > 300e6
    assert usage.ru_maxrss / _PER_MB <= LIMIT_MB[format_]
