"""Text from names, rows and errors of others, made fit for people: shown, and never obeyed.

A name may hold any character: an escape sequence that rewrites a terminal, a carriage return that
hides the beginning of a line, a mark that turns the direction of writing around.
"""

import re
import unicodedata

_UNSEEN = ("Cc", "Cf", "Zl", "Zp", "Cs")
"""Categories that end a line, turn the direction of writing around, or are not seen at all."""

_PLAIN = re.compile(r"[\x20-\x7e\n]*\Z")


def visible(text: str) -> str:
    """Return text in one line, in which every character is seen: control characters escaped."""
    return visible_lines(text).replace("\n", " ")


def visible_lines(text: str) -> str:
    """Return text with its line ends, in which every other control character is escaped."""
    if _PLAIN.match(text):
        return text
    return "".join(map(_visible, text))


def _visible(character: str) -> str:
    if character == "\n" or unicodedata.category(character) not in _UNSEEN:
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
