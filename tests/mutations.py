"""Mutations of text and bytes for tests that feed a reader with anything."""

import random
import re
from collections.abc import Sequence

_WORDS = re.compile(r"\w+|\s+|[^\w\s]")

HOSTILE_SQL = (
    *("\0", "(", ")", "[", "]", ";", "'", '"', "$1", "$99999999999", "$0", "$$", "$a$", "--", "/*"),
    *("*/", "/*/*", "\\", "E'\\x'", "U&'\\D800'", 'U&"\\FFFF"', "\ufeff", "é", "🐘", "9" * 50),
    *("1e999", "x" * 200, "(" * 300, "[" * 300, "1+" * 1500, "NOT " * 1500, "SELECT", "CREATE"),
    *("ON ONLY", "a.b.c.d", "DROP INDEX a.b.c", "CASCADE", "COPY t TO PROGRAM 'x'", "::", "@"),
    *("DO $$begin end$$", "\r\n", "\t", "\x0b", "\u2028", "-- params:", "-- params: (", "INTO x"),
    *("-- wave: 99999999999999999999", "-- wave: ²", "-- expect: nan", "-- serves: ,", "LATERAL"),
    *('-- replaces: "', "-- replaces: a.b.c", "FOR UPDATE", "UNION ALL", "TABLE x", "VALUES (1)"),
    *("CASE WHEN", ":=", "=>", "IN ()", "OPERATOR(pg_catalog.=)", "WITH RECURSIVE", "OVER ()"),
    *("ADD COLUMN", "GENERATED ALWAYS AS IDENTITY", "CHECK", "NOT ENFORCED", "INCLUDE", "*"),
)


HOSTILE_YAML = (
    *("", "null", "~", "-1", "1e999", "0x10", "0o7", ".nan", "[]", "{}", "{a: b}", "[[[[[[", "'"),
    *(
        '"',
        "\t",
        "\0",
        "\x1b[31m",
        "\u202e",
        "\ud7ff",
        "\ufeff",
        "&a",
        "*a",
        "!!python/object",
        "<<",
    ),
    *(
        "9" * 40,
        "x" * 5000,
        "2024-13-45",
        "1 fortnight",
        "-3 days",
        "env",
        "{env: }",
        "{env: 'A B'}",
    ),
    *("postgresql://u:p@/s@h/d", "%00", 'public."a""', "a.b.c", "* * * *", "99 99 * * *", "true"),
)


def mutated_lines(text: str, values: Sequence[str], rng: random.Random) -> str:
    """Change a few places of a document: words, lines, indentation, single characters."""
    for _ in range(rng.randint(1, 4)):
        lines = text.split("\n")
        at = rng.randrange(len(lines))
        match rng.randrange(6):
            case 0:
                del lines[at]
            case 1:
                lines[at] = re.sub(r": .*", lambda _: ": " + rng.choice(values), lines[at])
            case 2:
                lines[at] = " " * rng.randint(0, 6) + lines[at].lstrip()
            case 3:
                lines.insert(at, lines[rng.randrange(len(lines))])
            case 4:
                place = rng.randint(0, len(lines[at]))
                lines[at] = lines[at][:place] + rng.choice(values) + lines[at][place:]
            case _:
                lines[at] = re.sub(r"\w+", lambda _: rng.choice(values), lines[at], count=1)
        text = "\n".join(lines)
    return text


def mutated_words(text: str, words: Sequence[str], rng: random.Random) -> str:
    """Change a few words of a text: removed, replaced, exchanged, doubled, cut off."""
    for _ in range(rng.randint(1, 4)):
        parts = _WORDS.findall(text) or [""]
        one, other = rng.randrange(len(parts)), rng.randrange(len(parts))
        first, last = sorted((one, other))
        match rng.randrange(7):
            case 0:
                del parts[one]
            case 1:
                parts[one] = rng.choice(words)
            case 2:
                parts.insert(one, rng.choice(words))
            case 3:
                parts[one], parts[other] = parts[other], parts[one]
            case 4:
                del parts[one:]
            case 5:
                parts[one:one] = parts[first:last]
            case _:
                del parts[first : min(last, first + 12)]
        text = "".join(parts)
    return text


def mutated_bytes(content: bytes, rng: random.Random) -> bytes:
    """Change bytes: a flipped bit, a cut end, noise, a doubled or moved part, another encoding."""
    at = rng.randrange(len(content) or 1)
    end = at + rng.randint(1, 60)
    rest = content[:at] + content[end:]
    place = rng.randrange(len(rest) or 1)
    flipped = bytes([content[at] ^ (1 << rng.randrange(8))]) if content else b""
    return rng.choice(
        (
            content[:at] + flipped + content[at + 1 :],
            content[:at],
            content[:at] + rng.randbytes(rng.randint(1, 50)) + content[end:],
            content[:end] + content[at:],
            rest[:place] + content[at:end] + rest[place:],
            content.decode(errors="replace").encode(rng.choice(("utf-16", "utf-32"))),
            b"\xef\xbb\xbf" * rng.randint(1, 2) + content,
        )
    )
