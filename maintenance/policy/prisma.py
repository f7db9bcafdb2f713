"""Read URLs that are written for Prisma, which has parameters of its own in them.

Some are settings of its pool, and are left out. Some mean something else to libpq, or would be left
out at the expense of security: these are refused, with what to write instead.
Source: Prisma manual, PostgreSQL connector, Arguments.
"""

import difflib
from collections.abc import Collection, Iterator
from urllib.parse import unquote

from maintenance.names import parse_name
from maintenance.policy.urls import UrlError, place_behind_user

_POOL = frozenset(
    {
        "connection_limit",
        "max_connection_lifetime",
        "max_idle_connection_lifetime",
        "pgbouncer",
        "pool_timeout",
        "schema",
        "single_use_connections",
        "socket_timeout",
        "sslaccept",
        "statement_cache_size",
    }
)
"""Parameters that only Prisma knows, and a connection without it does not need."""

_OF_OTHERS = frozenset(
    {
        *("currentSchema", "prepareThreshold", "sslfactory", "stringtype", "reWriteBatchedInserts"),
        *("uselibpqcompat", "supa", "workaround", "pool_max_conns", "pool_min_conns"),
        *("lock_timeout", "search_path", "statement_timeout", "timezone", "TimeZone"),
        *("pool_mode", "pool_size"),
    }
)
"""Parameters of other drivers, which may be named: any other word could be part of a password."""

_VERIFYING = ("verify-ca", "verify-full")


def check_prisma(url: str) -> None:
    """Check the parameters that Prisma understands in another way than libpq.

    Raises:
        UrlError: one of them can't be honoured.
    """
    found = dict(_parameters(url))
    if "sslidentity" in found:
        raise UrlError(
            "sslidentity is a PKCS #12 file, which libpq can't read: write its certificate and key"
            " as PEM files, sslcert and sslkey"
        )
    if found.get("sslaccept") == "strict" and found.get("sslmode") not in _VERIFYING:
        raise UrlError(
            "sslaccept=strict asks for a check of the server's certificate, which libpq does with"
            " sslmode=verify-full&sslrootcert=FILE"
        )
    if "sslcert" in found and "sslkey" not in found and found.keys() & _POOL:
        raise UrlError(
            "sslcert is the server's certificate for Prisma and the client's for libpq: write"
            " sslrootcert for the server's, sslcert and sslkey for the client's"
        )


def without_prisma(url: str) -> str:
    """Return a URL without the parameters that only Prisma knows."""
    before, query = _split(url)
    kept = [pair for pair in query.split("&") if pair and _read(pair)[0] not in _POOL]
    return f"{before}?{'&'.join(kept)}" if kept else before


def says_pool(url: str) -> bool:
    """Whether a URL declares a connection pool by `pgbouncer=true`."""
    return ("pgbouncer", "true") in _parameters(url)


def schema_of(url: str) -> str | None:
    """Return the schema that a URL names for the application's tables, unquoted; None without."""
    return dict(_parameters(url)).get("schema") or None


def check_schema(url: str, search_path: str) -> None:
    """Check that the schema of a URL is one in which the policy looks for names.

    Args:
        url: of the database.
        search_path: `database.search_path` of the policy.

    Raises:
        UrlError: it is not.
    """
    schema = schema_of(url)
    if schema is not None and schema not in {parse_name(p).name for p in search_path.split(",")}:
        raise UrlError(
            f"its schema is not in database.search_path, which is {search_path}: the policy would"
            " look for tables in another schema than the application"
        )


def unknown_parameter(url: str, known: Collection[str]) -> str:
    """Return which parameter libpq does not know, as text for a message; empty if it knows all.

    Args:
        url: one that libpq refuses.
        known: the parameters of libpq.
    """
    for place, (key, _) in enumerate(_parameters(without_prisma(url)), 1):
        if key in known or key == "ssl":
            continue
        if key in _OF_OTHERS:
            return f"libpq has no parameter {key}: remove it"
        similar = difflib.get_close_matches(key, known, 1, 0.75)
        meant = f", similar to {similar[0]}" if similar else ""
        return f"parameter {place} after its ? is none of libpq{meant}: correct or remove it"
    return ""


def _parameters(url: str) -> Iterator[tuple[str, str]]:
    return (_read(pair) for pair in _split(url)[1].split("&") if pair)


def _read(pair: str) -> tuple[str, str]:
    key, _, value = pair.partition("=")
    return unquote(key), unquote(value)


def _split(url: str) -> tuple[str, str]:
    """Split a URL before its parameters; a `?` in the password does not count."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url, ""
    place = place_behind_user(rest)
    front, _, query = place.partition("?")
    return f"{scheme}://{rest[: len(rest) - len(place)]}{front}", query
