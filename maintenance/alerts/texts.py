"""Names and errors of others, made fit for a chat, a mail and a log: shown, and never obeyed."""

import re

from maintenance.formatting import visible

_TAG = re.compile(r"<(?=[^\s=])")
_MENTION = re.compile(r"@(?=\w)")
_LINK = re.compile(r"\](?=[(\[])")


def harmless(text: str) -> str:
    """Return text in one line without a tag, a mention or a link that a chat would follow."""
    text = _TAG.sub("\u2039", visible(text))
    return _LINK.sub("] ", _MENTION.sub("@\u200b", text))


def clipped(text: str, most: int) -> str:
    """Return at most so many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
