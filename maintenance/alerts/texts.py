"""Names and errors of others, made fit for a chat, a mail and a log: shown, and never obeyed."""

import re
import unicodedata

_TAG = re.compile(r"<(?=[^\s=])")
_MENTION = re.compile(r"@(?=\w)")
_LINK = re.compile(r"\](?=[(\[])")
_SILENT = ("Cc", "Cf", "Zl", "Zp", "Cs")
"""Categories that end a line, turn the direction of writing around, or are not seen at all."""


def plain(text: str) -> str:
    """Return text in one line, in which every character is seen."""
    return "".join(_visible(character) for character in text)


def harmless(text: str) -> str:
    """Return text in one line without a tag, a mention or a link that a chat would follow."""
    text = _TAG.sub("\u2039", plain(text))
    return _LINK.sub("] ", _MENTION.sub("@\u200b", text))


def clipped(text: str, most: int) -> str:
    """Return at most so many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _visible(character: str) -> str:
    if character == "\n":
        return " "
    if unicodedata.category(character) in _SILENT:
        return character.encode("unicode_escape", "surrogatepass").decode("ascii")
    return character
