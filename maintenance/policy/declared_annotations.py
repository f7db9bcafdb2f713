"""Annotations of declared statements: comment lines of the form `-- key: value` before them."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from maintenance.errors import ProblemReason
from maintenance.names import QualifiedName, near, parse_name
from maintenance.policy.declarations import Annotations
from maintenance.policy.sql_tokens import Comment

Fault = tuple[int, str, str, str, ProblemReason]
"""Offset, what was found, what is wanted, a hint, and the reason."""

_LINE = re.compile(r"--\s*(?P<key>[A-Za-z_]+)\s*:\s*(?P<value>.*?)\s*\Z")
_NAME = re.compile(r'\s*((?:"(?:[^"]|"")+"|[^",])+?)\s*(?:,|\Z)')
_QUERY = re.compile(r"[\w.-]+\Z")
_TIMES = re.compile(r"(\d+(?:\.\d+)?)\s*[x×]\Z")  # noqa: RUF001 - people write the sign
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%\Z")
_MAX_WAVE = 1000


@dataclass(frozen=True)
class Block:
    """The comment lines directly before a statement, without an empty line between.

    Attributes:
        text: the whole file's.
        start: offset of the statement.
        every: all line comments of the file.
    """

    text: str
    start: int
    every: Sequence[Comment]

    @cached_property
    def comments(self) -> Sequence[Comment]:
        """The comments of the block, in order."""
        found: list[Comment] = []
        below = self.start
        for comment in reversed([each for each in self.every if each.start < self.start]):
            between = self.text[comment.start + len(comment.text) : below]
            before = self.text[self.text.rfind("\n", 0, comment.start) + 1 : comment.start]
            if between.strip() or between.count("\n") > 1 or before.strip():
                break
            found.append(comment)
            below = comment.start
        return found[::-1]

    @staticmethod
    def is_annotation(comment: Comment) -> bool:
        """Whether a comment has the form of an annotation, with one of their keys."""
        match = _LINE.match(comment.text)
        return match is not None and match["key"] in _READERS


def read_annotations(block: Block, schema: str) -> tuple[Annotations, list[Fault]]:
    """Return the annotations of a statement, and what is wrong with them.

    Args:
        block: the comments before the statement.
        schema: of names without one.
    """
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    for comment in block.comments:
        match = _LINE.match(comment.text)
        if match is None:
            continue
        key = match["key"]
        if key not in _READERS:
            faults += _unknown(comment, key)
            continue
        if key in values:
            wanted = f"{key} once"
            faults.append((comment.start, comment.text, wanted, "", ProblemReason.DUPLICATE_KEY))
            continue
        try:
            values[key] = _READERS[key](match["value"], schema)
        except ValueError as exc:
            wanted = str(exc)
            faults.append((comment.start, comment.text, wanted, "", ProblemReason.MALFORMED))
            values[key] = None
    given = {key: value for key, value in values.items() if value is not None}
    return Annotations(**given), faults


def _unknown(comment: Comment, key: str) -> Iterator[Fault]:
    """Yield a fault if an unknown key is much like an annotation's; other comments are free."""
    guesses = near(key, _READERS, n=1)
    if guesses:
        hint = f"did you mean {guesses[0]}?"
        wanted = f"one of {', '.join(_READERS)}"
        yield comment.start, comment.text, wanted, hint, ProblemReason.UNKNOWN_KEY


def _wave(value: str, _schema: str) -> int:
    if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= _MAX_WAVE:
        raise ValueError(f"a whole number from 1 to {_MAX_WAVE}")
    return int(value)


def _replaces(value: str, schema: str) -> tuple[QualifiedName, ...]:
    wanted = "names of indexes, separated by commas"
    names = _split(value)
    try:
        found = tuple(parse_name(name, schema) for name in names)
    except ValueError as exc:
        raise ValueError(wanted) from exc
    if not found:
        raise ValueError(wanted)
    return tuple(dict.fromkeys(found))


def _split(value: str) -> list[str]:
    """Split a list of names at commas outside of quotes."""
    names: list[str] = []
    position = 0
    while position < len(value):
        match = _NAME.match(value, position)
        if match is None:
            return []
        names.append(match[1])
        position = match.end()
    return names


def _serves(value: str, _schema: str) -> tuple[str, ...]:
    names = [name.strip() for name in value.split(",")]
    if not all(map(_QUERY.match, names)):
        raise ValueError("names of query files without .sql, separated by commas")
    return tuple(dict.fromkeys(names))


def _expect(value: str, _schema: str) -> float:
    wanted = "how many times faster, such as 10x, or the time saved, such as 90 %"
    if match := _TIMES.match(value):
        times = float(match[1])
        if times >= 1:
            return times
    if (match := _PERCENT.match(value)) and float(match[1]) < 100:  # noqa: PLR2004 - all of it
        return round(100 / (100 - float(match[1])), 3)
    raise ValueError(wanted)


_READERS: Mapping[str, Callable[[str, str], object]] = {
    "wave": _wave,
    "replaces": _replaces,
    "serves": _serves,
    "expect": _expect,
}
