"""URLs that are written for Prisma: accepted, or refused with the reason."""

from pathlib import Path

import pytest
from psycopg.pq import Conninfo

from maintenance.errors import PolicyError, UsageError
from maintenance.policy import Policy, load_policy
from maintenance.policy.prisma import (
    check_prisma,
    check_schema,
    says_pool,
    schema_of,
    unknown_parameter,
    without_prisma,
)
from maintenance.policy.urls import UrlError, check_postgres
from maintenance.server.session import read_url
from tests.policies import make_policy

BASE = "postgresql://app:p%40ss@db:5433/shop"
PRISMAS = (
    "schema=public&connection_limit=5&pool_timeout=10&socket_timeout=3&statement_cache_size=0"
    "&pgbouncer=true&sslaccept=accept_invalid_certs&single_use_connections=true"
    "&max_connection_lifetime=60&max_idle_connection_lifetime=30"
)
SERVER = {"user": "app", "password": "p@ss", "host": "db", "port": "5433", "dbname": "shop"}
LIBPQ = {each.keyword.decode() for each in Conninfo.get_defaults()}


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        (PRISMAS, {}),
        (f"{PRISMAS}&sslmode=require", {"sslmode": "require"}),
        (
            "connect_timeout=3&application_name=shop",
            {"connect_timeout": "3", "application_name": "shop"},
        ),
        ("options=-c%20geqo%3Doff&schema=public", {"options": "-c geqo=off"}),
        ("host=/cloudsql/a:b:c&schema=public", {"host": "/cloudsql/a:b:c"}),
        ("host=%2Fcloudsql%2Fa%3Ab%3Ac", {"host": "/cloudsql/a:b:c"}),
        (
            "sslmode=verify-full&sslaccept=strict&sslrootcert=system&pgbouncer=true",
            {"sslmode": "verify-full", "sslrootcert": "system"},
        ),
        ("sslcert=a.crt&sslkey=a.key&schema=public", {"sslcert": "a.crt", "sslkey": "a.key"}),
        ("ssl=true&schema=public", {"sslmode": "require"}),
        ("&schema=public&", {}),
        ("channel_binding=require&connection_limit=1", {"channel_binding": "require"}),
    ],
)
def test_parameters_of_the_pool_are_left_out_and_all_others_kept(
    query: str, kept: dict[str, str]
) -> None:
    assert read_url(f"{BASE}?{query}") == {**SERVER, **kept}


def test_text_of_kept_parameters_is_unchanged() -> None:
    """A + is itself for libpq, and a space for readers of forms."""
    url = "postgresql://a@/d?password=x+y%2Bz&schema=s&host=h"
    assert without_prisma(url) == "postgresql://a@/d?password=x+y%2Bz&host=h"
    assert read_url(url)["password"] == "x+y+z"
    assert without_prisma("host=h dbname=d schema=s") == "host=h dbname=d schema=s"
    question = "postgresql://a:b?schema=x@h/d?schema=y"
    assert schema_of(question) == "y"
    assert without_prisma(question) == "postgresql://a:b?schema=x@h/d"


@pytest.mark.parametrize(
    "query",
    [
        "sslidentity=client.p12&sslpassword=x",
        "sslaccept=strict",
        "sslaccept=strict&sslmode=require",
        "sslcert=ca.pem&schema=public",
    ],
)
def test_what_libpq_would_take_in_another_way_is_refused(query: str) -> None:
    with pytest.raises(UrlError):
        check_prisma(f"{BASE}?{query}")
    with pytest.raises(UsageError):
        read_url(f"{BASE}?{query}")


@pytest.mark.parametrize(
    "url",
    [
        "prisma://accelerate.prisma-data.net/?api_key=hunter2hunter2",
        "prisma+postgres://localhost:51213/?api_key=hunter2hunter2",
        "PRISMA://x/?api_key=hunter2hunter2",
    ],
)
def test_service_of_prisma_is_no_server(tmp_path: Path, url: str) -> None:
    with pytest.raises(UrlError) as refused:
        check_postgres(url)
    assert "DIRECT_URL" in str(refused.value)
    policy = load(tmp_path, "{env: SHOP_URL}")
    with pytest.raises(UsageError) as unset:
        policy.database.url.resolve({"SHOP_URL": url})
    with pytest.raises(PolicyError) as literal:
        load(tmp_path, f"'{url}'")
    for caught in (refused, unset, literal):
        assert "DIRECT_URL" in str(caught.value)
        assert "hunter2" not in str(caught.value)


def load(folder: Path, url: str) -> Policy:
    path = folder / "shop.yaml"
    path.write_text(f"database: {{name: shop, url: {url}}}\n")
    return load_policy(path)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("uselibpqcompat=true", "uselibpqcompat"),
        ("schema=public&statement_timeout=1", "statement_timeout"),
        ("sslmod=require", "sslmode"),
        ("connect_timeout=1&aplication_name=x", "application_name"),
        ("schema=public&zzz=1", "parameter 1 "),
        ("sslmode=require&zzz=1", "parameter 2 "),
    ],
)
def test_unknown_parameter_is_named_if_it_can_be_no_secret(query: str, named: str) -> None:
    assert named in unknown_parameter(f"{BASE}?{query}", LIBPQ)
    with pytest.raises(UsageError) as refused:
        read_url(f"{BASE}?{query}")
    assert named in str(refused.value)
    assert "zzz" not in str(refused.value)
    assert "p%40ss" not in str(refused.value)


@pytest.mark.parametrize(
    ("query", "path", "fits"),
    [
        ("", "public", True),
        ("?schema=public", "public", True),
        ("?schema=", "public", True),
        ("?schema=app", "public", False),
        ("?schema=app", "public, app", True),
        ("?schema=app", "APP", True),
        ("?schema=App", '"App", public', True),
        ("?schema=App", "app", False),
        ("?schema=public", "app", False),
    ],
)
def test_schema_is_one_of_the_search_path(query: str, path: str, fits: bool) -> None:
    if fits:
        check_schema(BASE + query, path)
        return
    with pytest.raises(UrlError):
        check_schema(BASE + query, path)


@pytest.mark.parametrize(
    ("query", "is_pool"),
    [
        ("pgbouncer=true", True),
        ("pgbouncer=false", False),
        ("x=pgbouncer=true", False),
        ("", False),
    ],
)
def test_pool_is_declared_by_its_flag(query: str, is_pool: bool) -> None:
    assert says_pool(f"{BASE}?{query}") is is_pool


def test_make_policy_refuses_a_literal_that_means_something_else(tmp_path: Path) -> None:
    with pytest.raises(PolicyError):
        make_policy(tmp_path, f"{BASE}?sslidentity=x.p12")
