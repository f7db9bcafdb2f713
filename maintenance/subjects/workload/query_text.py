"""Normalize texts of statements so that they contain no secrets.

pg_stat_statements keeps literals in utility statements (before 16) and comments in all. Only
statements that read or write rows keep their text, with all literals replaced; of others only the
first words are kept.
"""

import hashlib
import re
from collections.abc import Sequence
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
    if not _works_on_rows(tokens):
        words = [token for token in tokens[:_FIRST_WORDS] if token.kind != "NO_KEYWORD"]
        return f"{_joined(query, words) or 'a statement'} …"
    return _LIST.sub("(?, …)", _joined(query, tokens))


def key_of(text: str) -> str:
    """Return a short key of a normalized text, the same on every server and version."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def shown(text: str) -> str:
    """Shorten a text for a message."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


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
