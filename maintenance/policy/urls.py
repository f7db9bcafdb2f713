"""Checks URLs and names the invalid part without repeating its text.

A password with an unescaped `/` or `@` makes other parsers take its rest for a host, a port or a
database, which they then name in their errors. So a URL is checked here before anything else
reads it, and a URL that could be read in two ways is refused.
"""

import re
from collections.abc import Iterator
from urllib.parse import unquote

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HOST = re.compile(r"\[[0-9A-Fa-f:.%\w]+\]|[^\s\[\]:@/?#'\"\\;&=`<>{}|^$()!*,]*")
_PAIR = re.compile(r"\s*(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|(?!')(?:[^\s\\]|\\.)*)(?=\s|\Z)", re.DOTALL)
_ESCAPING = "write / as %2F, @ as %40, ? as %3F, # as %23, % as %25, : as %3A"
_HIGHEST_PORT = 65535
_LEAST_TOKEN = 8


class UrlError(ValueError):
    """The fault of a URL, in words without its text."""


def check_postgres(text: str) -> None:
    """Check a URL, or key-value text, as libpq accepts them.

    Raises:
        UrlError: names the invalid part.
    """
    if _CONTROL.search(text):
        raise UrlError("it contains a control character, such as a line break")
    scheme, separator, rest = text.partition("://")
    if scheme.lower() in ("postgres", "postgresql") and separator:
        _check_postgres_url(rest)
    elif separator and scheme.lower() in ("prisma", "prisma+postgres"):
        raise UrlError(
            f"{scheme.lower()}:// leads to a service of Prisma, not to a server: write the direct"
            " postgresql:// url of the database, in Prisma DIRECT_URL"
        )
    elif separator and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        raise UrlError("its scheme is not postgresql://")
    else:
        _check_pairs(text)


def check_url(text: str, schemes: str = "") -> None:
    """Check a URL of any other kind.

    Args:
        text: a URL, or several that fsspec chains by `::`.
        schemes: a pattern of the accepted schemes; any if empty.

    Raises:
        UrlError: names the invalid part.
    """
    if re.search(r"\s", text) or _CONTROL.search(text):
        raise UrlError("it contains a space or a control character: write a space as %20")
    for part in text.split("::"):
        scheme, separator, rest = part.partition("://")
        if not separator:
            continue
        if schemes and not re.fullmatch(schemes, scheme, re.IGNORECASE):
            raise UrlError(f"its scheme is not one of {schemes.replace('|', ', ')}")
        _check_any(rest, is_web=scheme.lower() in ("http", "https"))
    if schemes and "://" not in text:
        raise UrlError("it has no scheme")


def secret_parts(text: str) -> tuple[str, ...]:
    """Return the parts of a URL or key-value text that may be secret, even if it is invalid."""
    found = [part for one in text.split("::") for part in _secrets_of(one)]
    return tuple(dict.fromkeys(part for part in found if part))


def public_parts(text: str) -> tuple[str, ...]:
    """Return the parts of a URL that may be shown: user, hosts and database."""
    _, separator, rest = text.partition("://")
    if not separator:
        return tuple(
            v.strip("'") for k, v in _PAIR.findall(text) if k in ("user", "host", "dbname")
        )
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    user, _, hosts = authority.rpartition("@")
    path = rest.partition("/")[2].partition("?")[0]
    return (unquote(user.partition(":")[0]), *re.split(r"[:,]", hosts), unquote(path))


def token_parts(text: str, *, host_too: bool) -> tuple[str, ...]:
    """Return the parts of a URL that often are tokens: long path segments, or all of them."""
    _, _, rest = text.partition("://")
    steps = re.split(r"[/?&=#:@]" if host_too else r"[/?&=#]", rest)
    return tuple(
        step
        for step in steps[0 if host_too else 1 :]
        if len(step) >= _LEAST_TOKEN and not step.isalpha()
    )


def place_behind_user(rest: str) -> str:
    """Return the text after user and password in a PostgreSQL URL's part after `://`.

    They end at the first @ if no / comes before, as in libpq.
    """
    at, slash = rest.find("@"), rest.find("/")
    return rest[at + 1 :] if at >= 0 and (slash < 0 or at < slash) else rest


def _check_postgres_url(rest: str) -> None:
    place = place_behind_user(rest)
    user_info = rest[: len(rest) - len(place)]
    has_user = bool(user_info)
    authority = re.split(r"[/?]", place, maxsplit=1)[0]
    path, _, query = place[len(authority) :].partition("?")
    _check_escapes(user_info, "user or password")
    if "@" in authority or "@" in path or (has_user and "@" in query):
        raise UrlError(f"there is an unescaped @ in its password or after its host: {_ESCAPING}")
    if not has_user and ":" in authority and "@" in query:
        raise UrlError(f"its password contains an unescaped / or ?: {_ESCAPING}")
    for host in authority.split(","):
        _check_host(host)
    _check_escapes(path, "database")
    if "/" in path[1:] or "#" in path:
        raise UrlError("its database contains an unescaped / or #: write them as %2F and %23")
    _check_query(query)


def _check_host(host: str) -> None:
    name, port = host, ""
    if not host.endswith("]"):
        name, _, port = host.rpartition(":") if ":" in host else (host, "", "")
    if port and not (port.isascii() and port.isdigit() and 0 < int(port[:6]) <= _HIGHEST_PORT):
        raise UrlError(
            "its port is not from 1 to 65535, or its password contains an unescaped / or @:"
            f" {_ESCAPING}"
        )
    if not _HOST.fullmatch(name):
        raise UrlError(
            f"its host is not a host name, or its password contains an unescaped @: {_ESCAPING}"
        )
    _check_escapes(name, "host")


def _check_query(query: str) -> None:
    if query and not all("=" in pair for pair in query.split("&") if pair):
        raise UrlError("a parameter after its ? has no value: write key=value&key=value")
    _check_escapes(query, "parameters")
    for pair in filter(None, query.split("&")):
        key, _, value = pair.partition("=")
        _check_parameter(key, unquote(value))


def _check_parameter(key: str, value: str) -> None:
    if key == "sslmode" and value not in SSL_MODES:
        raise UrlError(f"its sslmode is not one of {', '.join(SSL_MODES)}")
    if key == "port" and not all(p.isascii() and p.isdigit() for p in value.split(",") if p):
        raise UrlError("its port is not a number")


def _check_pairs(text: str) -> None:
    if not text.strip():
        raise UrlError("it is empty")
    position, key = 0, ""
    while text[position:].strip():
        match = _PAIR.match(text, position)
        if match is None:
            behind = f" after {key}" if key in _PLAIN_KEYS else ""
            raise UrlError(
                f"text{behind} is not key=value: put a value with spaces in single quotes, and"
                r" write ' as \' and \ as \\ in it"
            )
        key = match[1]
        _check_parameter(key, match[2].strip("'"))
        position = match.end()


_PLAIN_KEYS = ("host", "hostaddr", "port", "dbname", "user", "password", "sslmode", "options")
"""Keys that a message may name; others could be part of a secret."""


def _check_any(rest: str, *, is_web: bool) -> None:
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    behind = rest[len(authority) :]
    user_info, has_user, place = authority.rpartition("@")
    if "@" in user_info:
        raise UrlError(f"its user or password contains an unescaped @: {_ESCAPING}")
    _, has_port, port = place.rpartition(":")
    is_number = port.isascii() and port.isdigit()
    if "@" in behind and (has_user or (has_port and not (is_web and is_number))):
        raise UrlError(f"its user or password contains an unescaped /, ?, # or @: {_ESCAPING}")
    _check_escapes(user_info, "user or password")


def _check_escapes(text: str, part: str) -> None:
    if _ESCAPE.search(text):
        raise UrlError(f"its {part} contains a % without two hexadecimal digits: write %25")
    if "%00" in text:
        raise UrlError(f"its {part} contains %00, which no server accepts")


def _secrets_of(text: str) -> Iterator[str]:
    _, separator, rest = text.partition("://")
    if not separator:
        yield from (v.strip("'") for k, v in _PAIR.findall(text) if k in ("password", "passfile"))
        if "password" in text:
            yield text.partition("password")[2].partition("=")[2].strip()
        return
    # Everything after the first : up to the last @, however it is parsed.
    before = rest.rpartition("@")[0]
    yield before.partition(":")[2]
    yield rest.partition("@")[0].partition(":")[2] if "@" in rest else ""
    for pair in re.split(r"[?&]", rest)[1:]:
        key, _, value = pair.partition("=")
        if re.search(r"pass|secret|token|key|sig", key, re.IGNORECASE):
            yield value
