"""Tables keyed by each encoding of time are converted, and undone."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from maintenance.pipeline import run as pipeline
from maintenance.pipeline.undo import undo
from tests.builders import Database
from tests.conversions import shape
from tests.policies import make_policy

pytestmark = pytest.mark.pg("== 18")

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
EPOCH = datetime(2015, 1, 1, tzinfo=UTC)


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def ulid(moment: datetime) -> str:
    number, letters = milliseconds(moment), ""
    for _ in range(10):
        number, digit = divmod(number, 32)
        letters = CROCKFORD[digit] + letters
    return f"{letters}7ZZZZZZZZZZZZZZZ"


def uuid7(moment: datetime) -> str:
    return str(uuid.UUID(int=milliseconds(moment) << 80 | 0x7ABC << 64 | 0x8 << 60 | 12345))


def discord(moment: datetime) -> int:
    return milliseconds(moment) - milliseconds(EPOCH) << 22 | 77


KEYS: dict[str, tuple[Any, str, Callable[[datetime], Any]]] = {
    "ulid": ("ulid", 'text COLLATE "C"', ulid),
    "uuidv7": ("uuidv7", "uuid", uuid7),
    "snowflake": ({"snowflake": {"epoch": "2015-01-01", "shift": 22}}, "bigint", discord),
    "epoch_us": ("epoch_us", "bigint", lambda at: milliseconds(at) * 1000),
    "epoch_ms": ("epoch_ms", "bigint", milliseconds),
    "epoch_s": ("epoch_s", "bigint", lambda at: int(at.timestamp())),
    "yyyymmdd": ("yyyymmdd", "integer", lambda at: int(f"{at:%Y%m%d}")),
    "date": ("native", "date", lambda at: at.date()),
    "timestamp": ("native", "timestamp", lambda at: at.replace(tzinfo=None)),
    "timestamptz": ("native", "timestamptz", lambda at: at),
}


@pytest.mark.parametrize("name", KEYS)
def test_table_keyed_by_each_encoding_is_converted_and_undone(
    database: Database, tmp_path: Path, name: str
) -> None:
    encoding, type_, key = KEYS[name]
    database.execute(f"CREATE TABLE public.events (key {type_} PRIMARY KEY, note text)")
    now = datetime.now(UTC)

    def insert(moment: datetime) -> str:
        return database.execute(
            "INSERT INTO public.events VALUES (%s, 'n') RETURNING tableoid::regclass::text",
            [key(moment)],
        )[0][0]

    for days in range(90):
        insert(now - timedelta(days=days))
    before, rows = shape(database), database.execute("SELECT key FROM public.events ORDER BY key")
    section = {
        "table": "public.events",
        "column": "key",
        "encoding": encoding,
        "premake": 3,
        "convert": "online",
        "convert_when": {"larger_than": "1 kB"},
    }
    policy = make_policy(tmp_path, database.url, section)
    report = pipeline.apply(policy)
    assert report.ok, report.findings
    assert database.execute("SELECT key FROM public.events ORDER BY key") == rows
    assert pipeline.plan(policy).plan.actions == ()
    ((first,),) = database.execute(
        "SELECT tableoid::regclass::text FROM public.events ORDER BY key DESC LIMIT 1"
    )
    later = insert(now + timedelta(days=75))
    assert later != first
    (finding,) = undo(policy).kept
    assert finding.is_refused
    database.execute(f"TRUNCATE {later}")
    assert undo(policy).ok
    assert shape(database) == before


def test_keys_of_different_lengths_are_compared_as_numbers(
    database: Database, tmp_path: Path
) -> None:
    """As texts, 999,999,999 is greater than 1,700,000,000."""
    database.execute("CREATE TABLE public.events (key bigint PRIMARY KEY)")
    database.execute("INSERT INTO public.events VALUES (999999999), (1000000001), (1700000000)")
    section = {
        "table": "public.events",
        "column": "key",
        "encoding": "epoch_s",
        "convert": "online",
        "convert_when": {"larger_than": "1 kB"},
    }
    assert pipeline.apply(make_policy(tmp_path, database.url, section)).ok
    names = "SELECT relname::text FROM pg_class WHERE relispartition AND relkind = 'r' ORDER BY 1"
    first, *_ = [name for (name,) in database.execute(names) if name.startswith("events")]
    assert first.startswith("events_2001_09_to_")
