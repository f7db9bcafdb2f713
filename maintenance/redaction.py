"""Remove secrets from all text that leaves the process.

The first defense is that a url is validated before anything else reads it, and that errors name
settings and not values. This is the second: known secrets are removed from texts of drivers,
servers and libraries.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, cast
from urllib.parse import quote, quote_plus, unquote, unquote_plus

HIDDEN = "…"
SHORTEST = 4
"""Shorter pieces also occur in ordinary words."""
DISTINCTIVE = 12
"""Fewest letters of a secret of letters only: `events` may also be a table's name."""
_TEXTS = frozenset(
    (
        "message",
        "error",
        "hint",
        "reason",
        "detail",
        "problem",
        "found",
        "wanted",
        "heartbeat_error",
        "invalidation_error",
    )
)
"""Keys of documents whose values are messages, ours or those of drivers and servers."""

_SEPARATORS = re.compile(r"[/@?#%&=:; '\"\\+,\s]+")

_COMMON = ("maintenance", "postgresql://", "public", "partition", "localhost", "password")
"""Words of our own messages, which are never removed, even if they are a password."""

_known: dict[str, bool] = {}
"""Pieces of secrets, and whether each is a whole secret, which is removed from any text."""
_pattern: dict[bool, re.Pattern[str] | None] = {}


def remember(secrets: Iterable[str], public: Collection[str] = ()) -> None:
    """Register secrets: whole, as encoded in a url, and in pieces as from a wrong split.

    Args:
        secrets: values as written in their source.
        public: values shown next to them; a password equal to the user name is not removed.
    """
    public = (*public, *_COMMON)
    for secret in secrets:
        forms = {secret, unquote(secret), unquote_plus(secret), quote(unquote(secret), safe="")}
        forms |= {quote(secret, safe=""), quote_plus(secret), secret.replace("\\", "")}
        for form in forms:
            _note(form, public, is_whole=_is_distinctive(form))
            for piece in _SEPARATORS.split(form):
                _note(piece, public, is_whole=False)


def redact(text: str) -> str:
    """Remove whole secrets from any text."""
    return _cut(text, only_whole=True)


def redact_error(text: str) -> str:
    """Remove all pieces of secrets from the text of an error."""
    return _cut(text, only_whole=False)


def redact_comment(statement: str) -> str:
    """Remove whole secrets from the text of a COMMENT statement; others are returned unchanged."""
    if not statement.startswith("COMMENT ON "):
        return statement
    head, between, text = statement.partition(" IS ")
    plain = text.replace("''", "'").replace("\\\\", "\\")
    cut = redact(plain)
    return statement if cut == plain else head + between + cut


def redact_values(value: Any, *, is_text: bool = False) -> Any:
    """Remove secrets from the texts of a document; names, numbers and other SQL are not changed.

    Args:
        value: a document, JSON-ready.
        is_text: whether its key has a message as value.
    """
    if not _known:
        return value
    if isinstance(value, str):
        return redact(value) if is_text else redact_comment(value)
    if isinstance(value, Mapping):
        mapping = cast("Mapping[str, Any]", value)
        return {
            key: each
            if each is None or isinstance(each, int | float)
            else redact_values(each, is_text=is_text or key in _TEXTS)
            for key, each in mapping.items()
        }
    if isinstance(value, list | tuple):
        cut = [redact_values(each, is_text=is_text) for each in cast("Sequence[Any]", value)]
        return tuple(cut) if isinstance(value, tuple) else cut
    return value


def _is_distinctive(form: str) -> bool:
    return len(form) >= DISTINCTIVE or (len(form) >= SHORTEST and not form.isalpha())


def _note(piece: str, public: Collection[str], *, is_whole: bool) -> None:
    if len(piece) < SHORTEST or any(piece in each for each in public):
        return
    if not _known.get(piece, False):
        _known[piece] = is_whole
        _pattern.clear()


def _cut(text: str, *, only_whole: bool) -> str:
    if not _known:
        return text
    if only_whole not in _pattern:
        pieces = sorted((p for p, w in _known.items() if w or not only_whole), key=len)
        joined = "|".join(re.escape(piece) for piece in reversed(pieces))
        _pattern[only_whole] = re.compile(joined) if joined else None
    pattern = _pattern[only_whole]
    return pattern.sub(HIDDEN, text) if pattern is not None else text


def forget() -> None:
    """Delete all registered secrets, before other policies are used in the same process."""
    _known.clear()
    _pattern.clear()
