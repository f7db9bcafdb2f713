"""Redis: what is removed from it, what it is told, and what becomes of that while it is down."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from maintenance.demo import ports
from maintenance.demo.redis import RedisServer
from maintenance.engine import cache_invalidation
from maintenance.engine.action_context import ActionContext
from maintenance.engine.executor import Outcome
from maintenance.engine.findings import FindingKind, Severity
from maintenance.engine.lock_retry import silent
from maintenance.engine.target import Target
from maintenance.errors import CacheError
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from maintenance.redis_client import CHANNEL, invalidate, read_facts
from maintenance.redis_client.invalidation import BATCH
from maintenance.redis_client.models import LEAST_LOOKUPS, KeySample, hit_rate
from maintenance.redis_client.ttl import MOST_KEYS, read_ttls
from maintenance.store import invalidation_outbox, migrate
from tests.builders import Database
from tests.caches import cache_server, client_of, program_of
from tests.policies import make_policy
from tests.sessions import session

NOTHING = {"view": "public.v"}


@pytest.fixture(params=["embedded", "system"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisServer]:
    with cache_server(program_of(request.param), tmp_path / "redis") as server:
        yield server


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[RedisServer]:
    with cache_server(program_of("embedded"), tmp_path / "redis") as server:
        yield server


# Removing


def test_matching_keys_go_and_all_others_stay(cache: RedisServer) -> None:
    client = client_of(cache)
    client.mset({"analytics:course:1": "a", "analytics:course:2": "b", "analytics:user:1": "c"})
    done = invalidate(cache.url, ["analytics:course:*", "nothing:*"], NOTHING)
    assert done["keys_removed"] == 2
    assert client.keys() == ["analytics:user:1"]


def test_thousands_of_keys_go_in_batches_and_never_by_keys(cache: RedisServer) -> None:
    client = client_of(cache)
    client.mset({f"report:{n}": "x" for n in range(20 * BATCH)} | {"other": "y"})
    assert invalidate(cache.url, ["report:*"], NOTHING)["keys_removed"] == 20 * BATCH
    commands = client.info("commandstats")
    assert "cmdstat_keys" not in commands
    assert commands["cmdstat_scan"]["calls"] >= 20
    assert commands["cmdstat_unlink"]["calls"] >= 20
    assert client.dbsize() == 1


def test_server_is_left_to_others_as_long_as_it_worked_for_us(embedded: RedisServer) -> None:
    client_of(embedded).mset({f"report:{n}": "x" for n in range(5 * BATCH)})
    pauses: list[float] = []
    invalidate(embedded.url, ["report:*"], NOTHING, sleep=pauses.append)
    assert len(pauses) >= 4
    assert min(pauses) > 0


@pytest.mark.parametrize(
    ("pattern", "gone"),
    [
        ("a*", ["a*", "a:1", "ab"]),
        (r"a\*", ["a*"]),
        ("a?", ["a*", "ab"]),
        ("[xy]:[0-9]", ["x:1"]),
        (r"\[xy\]:1", ["[xy]:1"]),
        ("line\nbreak*", ["line\nbreak"]),
        ("ключ:*", ["ключ:🐘"]),
        ("$(rm -rf /)' OR 1=1 --", []),
        ("", []),
    ],
)
def test_pattern_means_what_its_owner_wrote(
    embedded: RedisServer, pattern: str, gone: list[str]
) -> None:
    client = client_of(embedded)
    keys = ["a*", "a:1", "ab", "x:1", "[xy]:1", "line\nbreak", "ключ:🐘", "zebra"]
    client.mset(dict.fromkeys(keys, "1"))
    invalidate(embedded.url, [pattern], NOTHING)
    assert sorted(client.keys()) == sorted(set(keys) - set(gone))


def test_subscribers_are_told_in_json_after_the_keys_are_gone(cache: RedisServer) -> None:
    client = client_of(cache)
    client.set("v:1", "old")
    listener = client.pubsub()
    listener.subscribe(CHANNEL)
    assert listener.get_message(timeout=60)["type"] == "subscribe"
    message = {"view": 'public."Ünï ""x"', "rows": 3}
    assert invalidate(cache.url, ["v:*"], message)["subscribers"] == 1
    received = listener.get_message(timeout=60)
    assert json.loads(received["data"]) == message
    assert client.get("v:1") is None


def test_work_that_takes_too_long_is_cut_short(embedded: RedisServer) -> None:
    client_of(embedded).mset({f"report:{n}": "x" for n in range(3 * BATCH)})
    times = iter(range(0, 10_000, 200))
    with pytest.raises(CacheError, match=r"report:\*") as caught:
        invalidate(
            embedded.url, ["report:*"], NOTHING, sleep=lambda _s: None, clock=lambda: next(times)
        )
    assert caught.value.reason == "deadline"


# What can't be reached


def test_server_that_is_down_is_an_error_without_its_password() -> None:
    url = f"redis://:geheim@127.0.0.1:{ports.free_port()}/0"
    with pytest.raises(CacheError, match=r"127\.0\.0\.1:\d+/0") as caught:
        invalidate(url, ["a*"], NOTHING)
    assert caught.value.reason == "no_answer"
    assert caught.value.retryable
    assert "geheim" not in str(caught.value)


def test_wrong_password_is_an_error_without_it(cache: RedisServer) -> None:
    url = f"redis://:geheim@127.0.0.1:{cache.port}/0"
    with pytest.raises(CacheError) as caught:
        read_facts(url)
    assert caught.value.reason == "refused"
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("url", ["redis://host:port/0", "nothing", "redis://127.0.0.1:1/x?y=z"])
def test_url_that_is_none_is_an_error(url: str) -> None:
    with pytest.raises(CacheError):
        read_facts(url)


# Looking


def test_hit_rate_counts_the_lookups_between_two_looks(cache: RedisServer) -> None:
    client = client_of(cache)
    client.set("there", "1")
    before = read_facts(cache.url)
    batch = client.pipeline(transaction=False)
    for n in range(LEAST_LOOKUPS):
        batch.get("there" if n % 4 else "absent")
    batch.execute()
    assert hit_rate(before, read_facts(cache.url)) == 0.75


def test_keys_without_a_time_to_live_are_counted_exactly(cache: RedisServer) -> None:
    client = client_of(cache)
    client.mset({"a": "1", "b": "2"})
    client.set("c", "3", ex=600)
    facts = read_facts(cache.url)
    assert (facts.n_keys, facts.n_without_ttl) == (3, 2)
    assert facts.used_memory_bytes > 0
    assert facts.max_memory_bytes == 16 * 2**20


def test_times_to_live_are_sampled_by_pattern(cache: RedisServer) -> None:
    client = client_of(cache)
    client.set("proposals:1", "a", ex=300)
    client.set("proposals:2", "b")
    client.set("other", "c")
    samples = read_ttls(cache.url, ["proposals:*", "nothing:*"])
    sample = samples["proposals:*"]
    assert (sample.n_keys, sample.n_without_ttl, sample.is_complete) == (2, 1, True)
    assert 290 < sample.ttls_s[0] <= 300
    assert (sample.n_beyond(300), sample.n_beyond(10)) == (1, 2)
    assert samples["nothing:*"] == KeySample(0, 0, (), is_complete=True)


def test_of_many_keys_some_are_looked_at(embedded: RedisServer) -> None:
    client = client_of(embedded)
    client.mset({f"report:{n}": "x" for n in range(20 * MOST_KEYS)})
    sample = read_ttls(embedded.url, ["report:*"])["report:*"]
    assert (sample.n_keys, sample.is_complete) == (MOST_KEYS, False)
    assert client.info("commandstats")["cmdstat_pttl"]["calls"] <= MOST_KEYS


# The subject

pg18 = pytest.mark.pg("== 18")


@pytest.fixture
def policy(database: Database, tmp_path: Path, embedded: RedisServer) -> Policy:
    return make_policy(tmp_path, database.url, redis={"url": embedded.url})


def bench_of(policy: Policy, url: str, store: Any) -> ActionContext:
    return ActionContext(store, store, Target(policy, {"REDIS": url}), silent, "run")


def owe(database: Database, policy: Policy, *patterns: str) -> None:
    with session(database.url) as store:
        migrate(store)
        cache_invalidation.intend(bench_of(policy, "", store), "public.v", patterns, NOTHING)


@pg18
def test_what_is_owed_is_told_at_once_and_forgotten(
    database: Database, policy: Policy, embedded: RedisServer
) -> None:
    client_of(embedded).mset({"v:1": "a", "w:1": "b"})
    owe(database, policy, "v:*")
    with session(database.url) as store:
        context = bench_of(policy, "", store)
        assert cache_invalidation.announce(context, "public.v")["keys_removed"] == 1
        assert cache_invalidation.announce(context, "public.v") == {}
        assert invalidation_outbox.pending_invalidations(store, "app") == []


@pg18
def test_intention_that_is_withdrawn_is_never_told(
    database: Database, policy: Policy, embedded: RedisServer
) -> None:
    client_of(embedded).set("v:1", "a")
    owe(database, policy, "v:*")
    with session(database.url) as store:
        cache_invalidation.withdraw(bench_of(policy, "", store), "public.v")
    assert pipeline.apply(policy, only=["redis"]).results == ()
    assert client_of(embedded).get("v:1") == "a"


@pg18
def test_redis_that_is_down_fails_nothing_and_is_told_by_the_next_run(
    database: Database, policy: Policy, embedded: RedisServer
) -> None:
    owe(database, policy, "v:*")
    owe(database, policy, "w:*")
    embedded.stop()
    with session(database.url) as store:
        detail = cache_invalidation.announce(bench_of(policy, "", store), "public.v")
    assert detail["reason"] == "no_answer"
    report = pipeline.apply(policy, only=["redis"])
    assert report.ok
    (finding,) = report.findings
    assert (finding.kind, finding.severity) == (FindingKind.REDIS_UNREACHABLE, Severity.WARN)
    assert finding.data["pending"] == ["public.v"]
    assert datetime.fromisoformat(finding.data["pending_since"]) < report.now

    embedded.start()
    client_of(embedded).mset({"v:1": "a", "w:1": "b", "x:1": "c"})
    report = pipeline.apply(policy, only=["redis"])
    (result,) = report.results
    assert result.outcome is Outcome.DONE
    assert result.detail["keys_removed"] == 2
    assert f"127.0.0.1:{embedded.port}" in result.action.reason
    assert client_of(embedded).keys() == ["x:1"]
    assert report.findings == ()
    assert pipeline.apply(policy, only=["redis"]).results == ()


@pg18
def test_variable_that_is_not_set_is_a_finding(database: Database, tmp_path: Path) -> None:
    policy = make_policy(tmp_path, database.url, redis={"url": {"env": "NO_SUCH_REDIS"}})
    (finding,) = pipeline.plan(Target(policy, {})).findings
    assert finding.kind is FindingKind.REDIS_UNREACHABLE
    assert "NO_SUCH_REDIS" in finding.message


@pg18
def test_low_hit_rate_between_two_runs_is_a_finding(
    database: Database, policy: Policy, embedded: RedisServer
) -> None:
    client = client_of(embedded)
    assert pipeline.apply(policy, only=["redis"]).findings == ()
    batch = client.pipeline(transaction=False)
    for _ in range(2 * LEAST_LOOKUPS):
        batch.get("absent")
    batch.execute()
    (finding,) = pipeline.apply(policy, only=["redis"]).findings
    assert finding.kind is FindingKind.REDIS_HIT_RATE_LOW
    assert (finding.value, finding.threshold) == (0.0, 0.7)


@pg18
def test_counters_of_a_server_that_was_started_again_are_no_evidence(
    database: Database, policy: Policy, embedded: RedisServer
) -> None:
    pipeline.apply(policy, only=["redis"])
    embedded.stop()
    embedded.start()
    batch = client_of(embedded).pipeline(transaction=False)
    for _ in range(2 * LEAST_LOOKUPS):
        batch.get("absent")
    batch.execute()
    assert pipeline.apply(policy, only=["redis"]).findings == ()


@pg18
def test_keys_that_outlive_the_policy_are_a_finding_until_they_expire_in_time(
    database: Database, tmp_path: Path, embedded: RedisServer
) -> None:
    section = {"url": embedded.url, "ttl": {"proposals:*": "300 seconds"}}
    policy = make_policy(tmp_path, database.url, redis=section)
    client = client_of(embedded)
    client.set("proposals:1", "a")
    (finding,) = pipeline.apply(policy).findings
    assert (finding.kind, finding.object) == ("redis_ttl_exceeded", "app/redis/proposals:*")
    client.expire("proposals:1", 300)
    assert pipeline.apply(policy).findings == ()
