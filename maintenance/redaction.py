"""Keeping secrets out of every text that leaves the process.

The first defence is that a url is checked before anything else reads it, and that errors name
settings and not values. This is the second: what is known to be secret is cut out of what others
say: drivers, servers, libraries.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, cast
from urllib.parse import quote, quote_plus, unquote, unquote_plus

HIDDEN = "…"
SHORTEST = 4
"""Shorter pieces would be found in ordinary words."""
TELLING = 12
"""Letters alone need so many to be cut out of any text: `events` may be a table's name as well."""
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
    )
)
"""Keys of documents whose values are written for people, or by drivers and servers."""

_SEPARATORS = re.compile(r"[/@?#%&=:; '\"\\+,\s]+")

_COMMON = ("maintenance", "postgresql://", "public", "partition", "localhost", "password")
"""Words of our own messages: a password made of them is no secret worth their loss."""

_known: dict[str, bool] = {}
"""Pieces of secrets, and whether each is a whole one that is cut out of any text."""
_pattern: dict[bool, re.Pattern[str] | None] = {}


def remember(secrets: Iterable[str], public: Collection[str] = ()) -> None:
    """Note secrets: whole, as they are written in a url, and the pieces of a wrong split.

    Args:
        secrets: values as they are written where they come from.
        public: what stands beside them and is shown anyway; a password that is the user's name
            hides nothing.
    """
    public = (*public, *_COMMON)
    for secret in secrets:
        forms = {secret, unquote(secret), unquote_plus(secret), quote(unquote(secret), safe="")}
        forms |= {quote(secret, safe=""), quote_plus(secret), secret.replace("\\", "")}
        for form in forms:
            _note(form, public, is_whole=_is_telling(form))
            for piece in _SEPARATORS.split(form):
                _note(piece, public, is_whole=False)


def redact(text: str) -> str:
    """Cut out of any text what can only be a secret."""
    return _cut(text, only_whole=True)


def redact_error(text: str) -> str:
    """Cut out of the text of an error every piece of a secret."""
    return _cut(text, only_whole=False)


def redact_values(value: Any, *, is_text: bool = False) -> Any:
    """Cut secrets out of the texts of a document, and leave names, SQL and numbers as they are.

    Args:
        value: a document, JSON-ready.
        is_text: whether it stands under a key whose value is written for people.
    """
    if not _known:
        return value
    if isinstance(value, str):
        return redact(value) if is_text else value
    if isinstance(value, Mapping):
        mapping = cast("Mapping[str, Any]", value)
        return {
            key: redact_values(each, is_text=is_text or key in _TEXTS)
            for key, each in mapping.items()
        }
    if isinstance(value, list | tuple):
        cut = [redact_values(each, is_text=is_text) for each in cast("Sequence[Any]", value)]
        return tuple(cut) if isinstance(value, tuple) else cut
    return value


def _is_telling(form: str) -> bool:
    return len(form) >= TELLING or (len(form) >= SHORTEST and not form.isalpha())


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
    """Forget all secrets, for who goes on with other policies in the same process."""
    _known.clear()
    _pattern.clear()
