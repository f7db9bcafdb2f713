"""Archives take the same memory whatever their size."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from maintenance.names import QualifiedName
from tests.archives import identify
from tests.builders import ROOT, Database

BIG = QualifiedName("public", "big")
LIMIT_MB = {"copy": 150, "parquet": 400}

ROUND_TRIP = """
import json, re, sys
from maintenance.archives import TableId, write_archive
from maintenance.archives.restore import Restorer
from maintenance.names import QualifiedName
from tests.archives import a_lock_retry, a_place, the_facts
from tests.sessions import session

url, oid, target, format_ = sys.argv[1:]
with session(url) as connection:
    table = TableId(int(oid), QualifiedName("public", "big"))
    place = a_place(target)
    archived = write_archive(connection, table, place, the_facts(key="at"), format_=format_)
    assert write_archive(connection, table, place, the_facts(key="at"), format_=format_).reused
    copy = QualifiedName("public", "copy")
    Restorer(connection, a_lock_retry(), "postgres").standalone(place, archived.manifest, copy)
    peak = re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())
    print(json.dumps([archived.manifest.content.n_bytes, int(peak[1]) / 1024]))
"""


# Not from resource usage, which begins with what the parent process had at its peak.
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is told by Linux")
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
    done = subprocess.run(
        [sys.executable, "-c", ROUND_TRIP, *arguments],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        timeout=250,
    )
    n_bytes, peak_mb = json.loads(done.stdout)
    assert n_bytes > 300e6
    assert peak_mb <= LIMIT_MB[format_]
