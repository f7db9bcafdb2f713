"""Normalize texts of statements so that they contain no secrets.

pg_stat_statements keeps literals in utility statements (before 16) and comments in all. Only
statements that read or write rows keep their text, with all literals replaced; of others only the
first words are kept.
"""

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pglast.parser import Token

MOST_CHARACTERS = 10_000
SHOWN = 160
UNREADABLE = "a statement with unreadable text"

_ROWS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE_P", "WITH", "MERGE", "VALUES", "TABLE"})
_LITERALS = frozenset({"SCONST", "USCONST", "BCONST", "XCONST", "ICONST", "FCONST", "PARAM"})
_COMMENTS = frozenset({"SQL_COMMENT", "C_COMMENT"})
_FIRST_WORDS = 2
MARK = "-- maintenance\n"
"""First line of our queries that are not in the SQL library, whose files have one of their own."""

_OURS = re.compile(rf"-- \w+: [^\n]*\n-- since: \d|{MARK}")
"""The first lines of a file of the SQL library, or the mark of a query that is composed: the server
keeps them with the text."""
_OF_SYSTEM = re.compile(
    r"\b(?:pg_catalog|information_schema|pg_temp\w*)\.|\bmaintenance_drain_|\bpg_stat_statements"
    r"|\b(?:FROM|JOIN)\s+pg_\w+\b(?!\s*\()",
    re.IGNORECASE,
)
"""The catalog; tables of a drain; temporary tables, with which REFRESH compares rows."""
_WRITES = re.compile(
    r"\bINSERT\s+INTO\b|\bDELETE\s+FROM\b|\bMERGE\s+INTO\b|(?<!\bFOR )\bUPDATE\b", re.IGNORECASE
)
_NAME = r'(?:"(?:[^"]|"")++"|[\w$]++)'
_READS = re.compile(
    r"\(*\s*(?:SELECT|WITH)\b.*\b(?:FROM|JOIN)\s+(?:ONLY\s+)?(?!LATERAL\b|ROWS\s+FROM\b)"
    rf"{_NAME}(?:\s*\.\s*{_NAME})*+(?!\s*\()",
    re.IGNORECASE | re.DOTALL,
)
"""A relation follows FROM: no function, such as `unnest(…)`."""
_AGGREGATES = re.compile(r"\bGROUP\s+BY\b|\b(?:avg|count|sum)\s*\(", re.IGNORECASE)
_INTO = re.compile(rf"\bINTO\s+(?:STRICT\s+)?{_NAME}(?:\s*[.,]\s*{_NAME})*+\s", re.IGNORECASE)
_PERFORM = re.compile(r"\bPERFORM\b", re.IGNORECASE)
_WORD = re.compile(r"\w+")
_LIST = re.compile(r"\(\s*\?(?:\s*,\s*\?)+\s*\)")


def normalised(query: str) -> str:
    """Return a statement with `?` for every literal, one space between words, no comments."""
    from pglast import Error  # noqa: PLC0415 - a tenth of a second, needed late or never
    from pglast.parser import scan  # noqa: PLC0415

    if len(query) > MOST_CHARACTERS:
        return UNREADABLE
    try:
        tokens = [token for token in scan(query) if token.name not in _COMMENTS]
    except Error:
        return UNREADABLE
    if not tokens:
        return UNREADABLE
    if _makes_table(tokens):
        return "SELECT INTO …"
    if not _works_on_rows(tokens):
        words = [token for token in tokens[:_FIRST_WORDS] if token.kind != "NO_KEYWORD"]
        return f"{_joined(query, words) or 'a statement'} …"
    return _LIST.sub("(?, …)", _joined(query, tokens))


def is_ours(query: str) -> bool:
    """Whether a statement as the server has it is one of this software's queries."""
    return _OURS.match(query) is not None


def is_application(text: str) -> bool:
    """Whether a normalized text is a statement of an application that works on rows.

    Set apart are utility statements (COPY, DDL, VACUUM, ANALYZE, REINDEX, CREATE INDEX, REFRESH),
    queries on the catalog, and statements of this software.
    """
    is_utility = text == UNREADABLE or text.endswith(" …")
    return not is_utility and _OF_SYSTEM.search(text) is None


def writes_rows(text: str) -> bool:
    """Whether a normalized text inserts, updates, deletes or merges rows."""
    first = text.lstrip("( ")[:6].upper()
    return not first.startswith(("SELECT", "VALUES", "TABLE")) and _WRITES.search(text) is not None


def reads_table(text: str) -> bool:
    """Whether a normalized text is a SELECT from something: no mere computation."""
    return _READS.match(text) is not None


def aggregates(text: str) -> bool:
    """Whether a normalized text is a SELECT that summarizes rows of a relation."""
    return reads_table(text) and not writes_rows(text) and _AGGREGATES.search(text) is not None


def normalised_body(source: str) -> str:
    """Return the source of a function as its statements are normalized; empty if unreadable.

    PL/pgSQL sends `PERFORM` as SELECT, and leaves out INTO with its variables.
    """
    from pglast import Error  # noqa: PLC0415 - as above
    from pglast.parser import scan  # noqa: PLC0415

    try:
        tokens = [token for token in scan(source) if token.name not in _COMMENTS]
    except Error:
        return ""
    body = _LIST.sub("(?, …)", _joined(source, tokens))
    return _PERFORM.sub("SELECT", _INTO.sub("", body))


def words(source: str) -> frozenset[str]:
    """Return the words of a source, in lower case."""
    return frozenset(_WORD.findall(source.lower()))


def key_of(text: str) -> str:
    """Return a short key of a normalized text, the same on every server and version."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@lru_cache(maxsize=10_000)
def fingerprint(text: str) -> str:
    """Return what two normalized texts of the same query have in common; the text if unreadable."""
    from pglast import Error  # noqa: PLC0415 - as above
    from pglast.parser import fingerprint as of_query  # noqa: PLC0415

    try:
        return str(of_query(text.replace("(?, …)", "(?)").replace("?", "$1")))
    except Error:
        return text


def shown(text: str) -> str:
    """Shorten a text for a message."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def _makes_table(tokens: "Sequence[Token]") -> bool:
    """Whether it is SELECT INTO, which creates a table."""
    if next((token.name for token in tokens), "") not in ("SELECT", "WITH"):
        return False
    depth, before = 0, ""
    for token in tokens:
        depth += {"ASCII_40": 1, "ASCII_41": -1}.get(token.name, 0)
        if token.name == "INTO" and depth == 0:
            return before not in ("INSERT", "MERGE")
        before = token.name
    return False


def _works_on_rows(tokens: "Sequence[Token]") -> bool:
    first = next((token.name for token in tokens if token.name != "ASCII_40"), "")
    return first in _ROWS


def _joined(query: str, tokens: "Sequence[Token]") -> str:
    parts: list[str] = []
    end = 0
    for token in tokens:
        if parts and token.start > end:
            parts.append(" ")
        parts.append("?" if token.name in _LITERALS else query[token.start : token.end + 1])
        end = token.end + 1
    return "".join(parts)
