"""The tokens of SQL text, without comments, and the text that they stand for."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

_COMMENTS = frozenset({"SQL_COMMENT", "C_COMMENT"})
_TIGHT_BEFORE = frozenset({",", ")", "]", ".", "::", "["})
_TIGHT_AFTER = frozenset({"(", "[", ".", "::"})
_OPENING = frozenset({"(", "["})
_CLOSING = frozenset({")", "]"})


class Token(NamedTuple):
    """A token: its place in the text as an offset in characters, its text and the parser's name."""

    start: int
    text: str
    name: str

    @property
    def word(self) -> str:
        """A keyword in capitals; the text of other tokens."""
        return self.text.upper() if self.text[:1].isalpha() else self.text


class Comment(NamedTuple):
    """A comment from `--` to the end of its line."""

    start: int
    text: str


def read_tokens(text: str) -> tuple[list[Token], list[Comment]]:
    """Split SQL text that PostgreSQL's parser accepts into its tokens and its line comments."""
    from pglast.parser import scan  # noqa: PLC0415 - a tenth of a second, needed late or never

    tokens: list[Token] = []
    comments: list[Comment] = []
    for each in scan(text):
        content = text[each.start : each.end + 1]
        if each.name not in _COMMENTS:
            tokens.append(Token(each.start, content, each.name))
        elif content.startswith("--"):
            comments.append(Comment(each.start, content))
    return tokens, comments


def written(tokens: Sequence[Token]) -> str:
    """Return the text of tokens in one line, with spaces only where they are usual."""
    parts: list[str] = []
    for place, token in enumerate(tokens):
        before = tokens[place - 1].text if place else "("
        # a name and its parenthesis stay as written: `f(x)`, `USING gin (x)`
        touches = place and token.start == tokens[place - 1].start + len(before)
        is_tight = (
            token.text in _TIGHT_BEFORE
            or before in _TIGHT_AFTER
            or (touches and token.text in _OPENING and before[-1:].isalnum())
        )
        parts.append(token.text if is_tight else f" {token.text}")
    return "".join(parts).strip()


def split_at(tokens: Sequence[Token], separator: str) -> list[Sequence[Token]]:
    """Split tokens at a separator outside of all parentheses."""
    found: list[Sequence[Token]] = []
    since = 0
    for place in _outside(tokens):
        if tokens[place].text == separator:
            found.append(tokens[since:place])
            since = place + 1
    return [*found, tokens[since:]]


def inside(tokens: Sequence[Token], opening: int) -> Sequence[Token]:
    """Return the tokens between an opening parenthesis and its closing one."""
    depth = 0
    for place in range(opening, len(tokens)):
        depth += (tokens[place].text in _OPENING) - (tokens[place].text in _CLOSING)
        if depth == 0:
            return tokens[opening + 1 : place]
    raise ValueError("no closing parenthesis")


def find(tokens: Sequence[Token], word: str, since: int = 0) -> int | None:
    """Return the place of the first keyword or sign outside of all parentheses; None if none."""
    places = (place for place in _outside(tokens) if place >= since)
    return next((place for place in places if tokens[place].word == word), None)


def _outside(tokens: Sequence[Token]) -> Iterator[int]:
    """Yield the places of tokens outside of all parentheses; an opening one counts as outside."""
    depth = 0
    for place, token in enumerate(tokens):
        if token.text in _CLOSING:
            depth -= 1
        if depth == 0:
            yield place
        if token.text in _OPENING:
            depth += 1
