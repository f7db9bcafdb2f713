"""PostgreSQL's own parser for text that others wrote: it can't end the process.

The parser stops at a NUL and ignores what follows. Its trees are made and read recursively: a sum
of tens of thousands of terms, which is nothing to the server, ends the process with SIGSEGV.
"""

from collections.abc import Iterator
from typing import Any, cast

MAX_DEPTH = 1000
"""Levels of a tree. Written by hand no statement comes near; the parser endures ten times as many
on a stack of 8 MB."""

_SHORTEST_LEVEL = 2
"""Characters that a level takes at least, as in `1+1+1`."""
_COMMENTS = frozenset({"SQL_COMMENT", "C_COMMENT"})
_OPENING = frozenset({"ASCII_40", "ASCII_91", "CASE"})
_CLOSING = frozenset({"ASCII_41", "ASCII_93", "END_P"})
_CHAINS = frozenset({"JOIN", "UNION", "INTERSECT", "EXCEPT"})
"""Each operand is one level deeper than the next, whatever stands between them."""
_SIBLINGS = frozenset(
    {
        *("ASCII_44", "ASCII_59", "AND", "OR", "SELECT", "FROM", "WHERE", "ON", "USING", "GROUP_P"),
        *("HAVING", "ORDER", "BY", "LIMIT", "OFFSET", "WHEN", "THEN", "ELSE", "VALUES"),
    }
)
"""What follows is beside, not below, what went before."""


def parse(text: str) -> tuple[Any, ...]:
    """Return the statements of SQL text as pglast parses them.

    Raises:
        ParseError: pglast's, with the message and, unless it is at the end, the offset: it is
            not valid SQL, has a NUL character, or may be nested more than `MAX_DEPTH` levels deep.
    """
    from pglast import parse_sql  # noqa: PLC0415 - a tenth of a second, needed late or never
    from pglast.parser import ParseError  # noqa: PLC0415 - as above

    if "\0" in text:
        raise ParseError("a NUL character", text.index("\0"))
    place = _too_deep(text) if len(text) > MAX_DEPTH * _SHORTEST_LEVEL else None
    if place is not None:
        raise ParseError(f"an expression nested more than {MAX_DEPTH} levels deep", place)
    return parse_sql(text)


def nodes_of(root: Any) -> Iterator[Any]:
    """Yield the nodes of a parsed tree, and of a sequence of them."""
    from pglast.ast import Node  # noqa: PLC0415 - as above

    left = [root]  # not by recursion: a chain of operators is as deep as it is long
    while left:
        node = left.pop()
        if isinstance(node, tuple):
            left += reversed(cast("tuple[Any, ...]", node))
        elif isinstance(node, Node):
            yield node
            left += [getattr(node, member) for member in reversed(list(node))]


def _too_deep(text: str) -> int | None:
    """Return where a text may exceed the depth; None if it surely does not."""
    from pglast.parser import scan  # noqa: PLC0415 - as above

    outer: list[tuple[int, int, int]] = []
    base = chain = run = 0
    for token in scan(text):
        if token.name in _OPENING:
            outer.append((base, chain, run))
            base, chain, run = base + chain + run + 1, 0, 0
        elif token.name in _CLOSING and outer:
            base, chain, run = outer.pop()
            run += 1
        elif token.name in _CHAINS:
            chain, run = chain + 1, 0
        elif token.name in _SIBLINGS:
            run = 0
        elif token.name not in _COMMENTS:
            run += 1
        if base + chain + run > MAX_DEPTH:
            return token.start
    return None
