"""Read text that is not UTF-8: names in a SQL_ASCII database may contain any bytes.

In other databases the server converts text. In a SQL_ASCII database it only checks it, and one name
in another encoding makes it refuse a whole result. So there the bytes are read unchanged; names
that can't be decoded are shown escaped, reported and skipped.
"""

import codecs
import json
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from functools import partial
from typing import Any, cast
from weakref import WeakKeyDictionary

import psycopg
from psycopg.adapt import Buffer, Loader
from psycopg.pq import TransactionStatus
from psycopg.types.json import set_json_dumps
from psycopg.types.string import StrDumper

from maintenance.names import QualifiedName

_USABLE = (TransactionStatus.IDLE, TransactionStatus.INTRANS)
_TEXTS = ("text", "varchar", "bpchar", "name", '"char"')

_found: WeakKeyDictionary[psycopg.Connection[Any], dict[str, None]] = WeakKeyDictionary()


def fit_encoding(connection: psycopg.Connection[Any]) -> None:
    """Escape characters that the database's encoding does not have, instead of failing.

    No object of that database has such a name, but messages on it, such as on a policy that names
    it, must be recorded.
    """
    encoding = connection.info.parameter_status("server_encoding") or ""
    if encoding == "SQL_ASCII":  # has no characters for JSON escapes, and accepts any bytes
        set_json_dumps(partial(json.dumps, ensure_ascii=False), connection)
    if encoding in ("UTF8", "SQL_ASCII"):
        return
    try:
        codec = codecs.lookup(encoding.replace("WIN", "cp")).name
    except LookupError:
        return

    class Fitting(StrDumper):
        def dump(self, obj: str) -> Buffer | None:
            return super().dump(_fitting(obj, codec, "backslashreplace"))

    def dumps(obj: Any) -> str:
        return _fitting(json.dumps(obj, ensure_ascii=False), codec, _IN_JSON)

    connection.adapters.register_dumper(str, Fitting)
    set_json_dumps(dumps, connection)


def _fitting(text: str, codec: str, errors: str) -> str:
    return text if text.isascii() else text.encode(codec, errors).decode(codec)


_IN_JSON = "maintenance.json"


def _escape_in_json(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError), "registered for encoding errors only"
    odd = error.object[error.start : error.end]
    return odd.encode("ascii", "backslashreplace").decode().replace("\\", "\\\\"), error.end


codecs.register_error(_IN_JSON, _escape_in_json)


def undecodable(connection: psycopg.Connection[Any]) -> list[str]:
    """Return the escaped names of objects that a session could not decode."""
    return list(_found.get(connection, ()))


@contextmanager
def lenient(connection: psycopg.Connection[Any]) -> Generator[bool]:
    """Read bytes unchanged in a block if the database is SQL_ASCII; yield whether it is."""
    if connection.info.parameter_status("server_encoding") != "SQL_ASCII":
        yield False
        return
    connection.execute(b"SET client_encoding = 'SQL_ASCII'")
    try:
        yield True
    finally:
        # An aborted transaction resets the setting itself.
        if connection.info.transaction_status in (
            TransactionStatus.IDLE,
            TransactionStatus.INTRANS,
        ):
            connection.execute(b"SET client_encoding = 'UTF8'")


def decode(cursor: psycopg.Cursor[Any]) -> None:
    """Make a cursor decode leniently, within a `lenient` block."""
    for name in _TEXTS:
        cursor.adapters.register_loader(name, _Text)
    for name in ("json", "jsonb"):
        cursor.adapters.register_loader(name, _Json)


def shown(connection: psycopg.Connection[Any], rows: Iterable[Any]) -> list[Any]:
    """Return rows with escaped text; record the objects whose text can't be decoded."""
    return [_shown_row(connection, row) for row in rows]


def _shown_row(connection: psycopg.Connection[Any], row: Any) -> Any:
    if not any(map(_is_odd, row)):
        return row
    clean = type(row)(*map(_shown, row))
    _found.setdefault(connection, {})[_object_of(clean, row)] = None
    return clean


def _object_of(clean: Any, row: Any) -> str:
    schema, name = getattr(clean, "schema", None), getattr(clean, "name", None)
    if isinstance(schema, str) and isinstance(name, str):
        return str(QualifiedName(schema, name))
    return next(_escaped(text) for value in row for text in _texts(value) if _is_odd_text(text))


def _texts(value: Any) -> Generator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for pair in cast("dict[Any, Any]", value).items():
            yield from _texts(pair)
    elif isinstance(value, list | tuple):
        for item in cast("Iterable[Any]", value):
            yield from _texts(item)


def _is_odd(value: Any) -> bool:
    return any(map(_is_odd_text, _texts(value)))


def _is_odd_text(text: str) -> bool:
    return not text.isascii() and any("\udc80" <= character <= "\udcff" for character in text)


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return _escaped(value) if _is_odd_text(value) else value
    if isinstance(value, dict):
        pairs = cast("dict[Any, Any]", value).items()
        return {_shown(key): _shown(item) for key, item in pairs}
    if isinstance(value, list):
        return [_shown(item) for item in cast("list[Any]", value)]
    return value


def _escaped(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class _Text(Loader):
    def load(self, data: Buffer) -> str:
        """Decode UTF-8; an invalid byte becomes a lone surrogate."""
        return bytes(data).decode("utf-8", "surrogateescape")


class _Json(Loader):
    def load(self, data: Buffer) -> Any:
        """Decode in the same way, then parse the JSON."""
        return json.loads(bytes(data).decode("utf-8", "surrogateescape"))
