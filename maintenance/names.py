"""SQL names: fold, quote and truncate them to 63 bytes as the server does."""

import difflib
import hashlib
import re
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

MAX_NAME_BYTES = 63
"""The server truncates longer identifiers (NAMEDATALEN - 1)."""

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*\Z")
_PART = re.compile(
    r"""[ \t\n\r\f\v]*(?:"((?:[^"\0]|"")+)"|([A-Za-z_\x80-\U0010ffff][\w$\x80-\U0010ffff]*))"""
    r"[ \t\n\r\f\v]*",
    re.ASCII,
)
"""An identifier as the server's lexer reads it, where every non-ASCII character is a letter."""

_KEYWORDS = """
all analyse analyze and any array as asc asymmetric authorization between bigint binary bit
boolean both case cast char character check coalesce collate collation column concurrently
constraint create cross current_catalog current_date current_role current_schema current_time
current_timestamp current_user dec decimal default deferrable desc distinct do else end except
exists extract false fetch float for foreign freeze from full grant greatest group grouping having
ilike in initially inner inout int integer intersect interval into is isnull join json json_array
json_arrayagg json_exists json_object json_objectagg json_query json_scalar json_serialize
json_table json_value lateral leading least left like limit localtime localtimestamp merge_action
national natural nchar none normalize not notnull null nullif numeric offset on only or order out
outer overlaps overlay placing position precision primary real references returning right row
select session_user setof similar smallint some substring symmetric system_user table tablesample
then time timestamp to trailing treat trim true union unique user using values varchar variadic
verbose when where window with xmlattributes xmlconcat xmlelement xmlexists xmlforest
xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable
"""
QUOTED_KEYWORDS = frozenset(_KEYWORDS.split())
"""All keywords but the unreserved ones. The parser's library has them too, but is slow to load."""

_HELPER = re.compile(r'(?:\A|\.)"?maintenance_(?:(?:drain|convert)_[0-9]+|restore|rebuild)_')


def is_helper(name: str) -> bool:
    """Whether a relation is one that a run makes for itself and removes, or an index of one.

    Args:
        name: quoted or not, with or without its schema.
    """
    return _HELPER.search(name) is not None


class QualifiedName(NamedTuple):
    """A relation's exact schema and name, unquoted. `str()` returns it quoted."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{quote(self.schema)}.{quote(self.name)}"


@cache
def quote(identifier: str) -> str:
    """Quote an identifier as the server's `quote_ident` does; the only quoting function.

    Raises:
        ValueError: the identifier is empty or contains a NUL, which is not a valid name.
    """
    if not identifier or "\0" in identifier:
        raise ValueError(f"not a PostgreSQL name: {identifier!r}")
    if _PLAIN.match(identifier) and identifier not in QUOTED_KEYWORDS:
        return identifier
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote a string constant for SQL, valid under any `standard_conforming_strings`.

    Only for statements that take no parameters (DDL); values elsewhere are parameters.
    """
    quoted = "'" + text.replace("'", "''") + "'"
    return " E" + quoted.replace("\\", "\\\\") if "\\" in text else quoted


def parse_name(text: str, default_schema: str = "public") -> QualifiedName:
    """Read a SQL name: folded to lower case unless quoted, `default_schema` if none is given.

    Raises:
        ValueError: the text is not one or two identifiers joined by a dot.
    """
    parts: list[str] = []
    position = 0
    while True:
        match = _PART.match(text, position)
        if match is None:
            raise ValueError(f"not a SQL name: {text!r}")
        quoted, plain = match.groups()
        part: str = quoted.replace('""', '"') if quoted is not None else _fold(plain)
        if len(part.encode()) > MAX_NAME_BYTES:
            raise ValueError(f"longer than {MAX_NAME_BYTES} bytes: {part!r}")
        parts.append(part)
        position = match.end()
        if position == len(text):
            break
        if text[position] != ".":
            raise ValueError(f"not a SQL name: {text!r}")
        position += 1
    if len(parts) > 2:  # noqa: PLR2004 - schema and name
        raise ValueError(f"more than schema and name: {text!r}")
    return QualifiedName(*parts) if len(parts) == 2 else QualifiedName(default_schema, parts[0])  # noqa: PLR2004


def _fold(identifier: str) -> str:
    # The server folds ASCII only in multi-byte encodings.
    return "".join(c.lower() if c.isascii() else c for c in identifier)


def cut(identifier: str, max_bytes: int = MAX_NAME_BYTES) -> str:
    """Truncate to a number of UTF-8 bytes without splitting a character."""
    return identifier.encode()[:max_bytes].decode(errors="ignore")


def near(wanted: str, known: Iterable[str], n: int = 3, *, least: float = 0.6) -> list[str]:
    """Return known names similar to a wanted one, best first, ignoring case.

    Args:
        wanted: the name.
        known: names to choose from.
        n: the most to return.
        least: how similar they are at least, up to 1.
    """
    by_key: dict[str, str] = {}
    for name in known:
        by_key.setdefault(_loose(name), name)
    matches = difflib.get_close_matches(_loose(wanted), by_key, n=n, cutoff=least)
    return [by_key[match] for match in matches]


def _loose(name: str) -> str:
    """Return a key that is equal for snake_case and camelCase spellings of a name."""
    return name.replace("_", "").lower()


def slug(name: QualifiedName) -> str:
    """Return a Dagster key part for a relation: `[A-Za-z0-9_]`, unique for each name.

    It begins with the schema unless that is `public`, and ends with a short hash if characters
    were replaced, so that `a.b` and `a_b` differ.
    """
    text = name.name if name.schema == "public" else ".".join(name)
    return text_slug(text, "\0".join(name))


def text_slug(text: str, identity: str = "") -> str:
    """Return a Dagster key part for a text, with a hash of its identity if characters changed."""
    safe = re.sub(r"[^A-Za-z0-9_]", "_", text)
    if safe == text:
        return safe
    digest = hashlib.sha256((identity or text).encode()).hexdigest()[:6]
    return f"{safe}_{digest}"
