"""Builders of archives, and tables that have every kind of value."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from maintenance.archives import ArchivePlace, Facts, TableId
from maintenance.engine.lock_retry import LockRetry
from maintenance.names import QualifiedName
from maintenance.server.session import Connection
from tests.builders import Database

EVENTS = QualifiedName("public", "events")
MONTH = QualifiedName("public", "events_2024_01")
BOUND = "FOR VALUES FROM ('2024-01-01 00:00:00+00') TO ('2024-02-01 00:00:00+00')"

VALUES: dict[str, Sequence[str | None]] = {
    "boolean": ("true", "false", None),
    "smallint": ("-32768", "32767"),
    "integer": ("-2147483648", "2147483647"),
    "bigint": ("-9223372036854775808", "9223372036854775807"),
    "numeric": ("NaN", "Infinity", "-Infinity", "1." + "0" * 50, "1e-300", "1e300", "0.10"),
    "numeric(10,2)": ("-99999999.99", "0.00", "1.10"),
    "real": ("NaN", "Infinity", "-0", "3.4028235e38", "1e-45", "0.1", "123456", "1e6", "1e-5"),
    "double precision": (
        *("NaN", "-Infinity", "-0", "1.7976931348623157e308", "5e-324", "0.1", "1e15"),
        *("123456789012345", "0.0001", "0.00001", "1234567890123456789", "100"),
    ),
    "money": ("-92233720368547758.08", "12.34"),
    "text": ("", "\\N", "\\.", "a\tb\nc\rd\be\ff\vg\\h", "žluťoučký 🐎", "\ufeffmark", " ", None),
    "character varying(20)": ("", "\n\n", "x"),
    "character(5)": ("a", "", None),
    '"char"': ("a", "\\377", ""),
    "name": ("name",),
    "bytea": ("\\x", "\\x00ff5c0a", None),
    "date": ("infinity", "-infinity", "0001-01-01 BC", "4713-01-01 BC", "5874897-12-31"),
    "timestamp": ("infinity", "294276-12-31 23:59:59.999999", "4713-01-01 BC", "2024-02-29"),
    "timestamptz": ("-infinity", "2024-01-01 00:00:00.000001+13", "0044-03-15 BC"),
    "time": ("24:00:00", "00:00:00.000001"),
    "timetz": ("24:00:00+15:59", "00:00:00-15:59:59"),
    "interval": ("-1 year -2 mons +3 days -04:05:06.789", "178000000 years", "1 microsecond"),
    "uuid": ("00000000-0000-0000-0000-000000000000", None),
    "json": ('{"a" :  1, "a": 2}', '"\\u00e9\\n"', "null"),
    "jsonb": ('{"a": [1.10, null, "x\\\\y"]}', "[]"),
    "jsonpath": ('$."a"[*] ? (@ > 1)',),
    "xml": ('<a b="c">d\n</a>', "text <b/> more"),
    "tsvector": ("'a':1A,3 'it''s':2", ""),
    "tsquery": ("'a' & !'b':*A", ""),
    "inet": ("::1", "10.0.0.1/8"),
    "cidr": ("10.0.0.0/8", "::/0"),
    "macaddr": ("08:00:2b:01:02:03",),
    "macaddr8": ("08:00:2b:01:02:03:04:05",),
    "bit(3)": ("101",),
    "bit varying": ("", "1"),
    "point": ("(1.1,-0)", "(Infinity,NaN)"),
    "line": ("{1,2,3}",),
    "lseg": ("[(0,0),(1,1)]",),
    "box": ("(1,1),(0,0)",),
    "path": ("[(0,0),(1,1)]", "((0,0),(1,1))"),
    "polygon": ("((0,0),(1,1),(1,0))",),
    "circle": ("<(0,0),1e-300>",),
    "integer[]": ("{}", "{1,NULL,3}", "[0:1]={1,2}", "{{1,2},{3,4}}", None),
    "text[]": ('{"a,b","c\\"d","\\\\","NULL",NULL,"\n"}',),
    "int4range": ("empty", "[1,5)", "(,)"),
    "numrange": ("(0.10,1.0]",),
    "tstzrange": ('["2024-01-01 00:00:00+00",infinity)',),
    "daterange": ("[2024-01-01,2024-02-01)",),
    "int4multirange": ("{}", "{[1,3),[5,7)}"),
    "tsmultirange": ('{["2024-01-01 00:00:00","2024-01-02 00:00:00")}',),
    "pg_lsn": ("16/B374D848",),
    "oid": ("4294967295",),
    "xid8": ("18446744073709551615",),
    "tid": ("(0,1)",),
    "txid_snapshot": ("10:20:10,14",),
    "regclass": ("pg_catalog.pg_class", "-"),
    "regtype": ("integer",),
    "public.mood": ("sad", "o'k\\ay"),
    "public.pair": ('(1,"a ""b"" \\\\")', "(,)", None),
    "public.small": ("7",),
}
"""Values of every base type, as text in a literal."""

CREATE_TYPES = r"""
CREATE TYPE public.mood AS ENUM ('sad', 'o''k\ay');
CREATE TYPE public.pair AS (number int, note text);
CREATE DOMAIN public.small AS int CHECK (VALUE < 10);
"""

CREATE_EVENTS = """
CREATE TABLE public.events (
  id bigint NOT NULL, at timestamptz NOT NULL, kind text NOT NULL DEFAULT 'view', amount numeric,
  doubled numeric GENERATED ALWAYS AS (amount * 2) STORED,
  CONSTRAINT positive CHECK (id > 0), PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
CREATE INDEX ON public.events (kind) WHERE kind <> 'view';
CREATE TABLE public.events_2024_01 PARTITION OF public.events
  FOR VALUES FROM ('2024-01-01 00:00:00+00') TO ('2024-02-01 00:00:00+00');
"""

FILL_EVENTS = """
INSERT INTO public.events (id, at, kind, amount)
SELECT g, '2024-01-01 00:00:00+00'::timestamptz + g * interval '1 second',
       CASE g % 3 WHEN 0 THEN 'click' ELSE repeat('x', g % 300) END, nullif(g % 7, 0)
FROM generate_series(1, 2000) AS g;
"""


def no_other_session() -> AbstractContextManager[Connection]:
    """Stands where a table is ours and no code of others is run."""
    raise AssertionError("no session with an owner's rights is called for")


def identify(database: Database, relation: QualifiedName = MONTH) -> TableId:
    """A table with its columns and rows."""
    ((oid,),) = database.execute("SELECT %s::regclass::oid", [str(relation)])
    return TableId(oid, relation)


def a_place(url: Path | str, **changes: Any) -> ArchivePlace:
    facts: dict[str, Any] = {"database": "app", "table": EVENTS, "period": "2024-01"}
    return ArchivePlace(str(url), **(facts | changes))


def the_facts(**changes: Any) -> Facts:
    facts: dict[str, Any] = {
        "key": "at",
        "bound": BOUND,
        "lower": None,
        "upper": None,
        "policy_hash": "0123",
        "run_id": "run",
    }
    return Facts(**(facts | changes))


def a_lock_retry() -> LockRetry:
    return LockRetry(
        lock_timeout=timedelta(milliseconds=50),
        patient_lock_timeout=timedelta(seconds=3),
        give_up_after=timedelta(seconds=5),
    )


def values_for(database: Database) -> dict[str, Sequence[str | None]]:
    """The types that a server knows: xml is an option of its build."""
    try:
        database.execute("SELECT '<a/>'::xml")
    except psycopg.errors.FeatureNotSupported:
        return {type_: values for type_, values in VALUES.items() if type_ != "xml"}
    return VALUES
