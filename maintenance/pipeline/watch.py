"""The watch: look at what may change in a minute, keep a sample of it, and alert.

One session and one round trip on the database, another one on the store; no run. Alerts are
processed only if something was found, or an alert stands that the sample could resolve: mostly a
sample is a row and nothing else.
"""

from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from maintenance.alerts.models import Alert, FindingSet, Identity
from maintenance.engine.findings import FindingKind, Severity
from maintenance.engine.target import Target
from maintenance.errors import CacheError, MaintenanceError, UsageError
from maintenance.pipeline.alert_round import spool_of
from maintenance.pipeline.notify import run_round
from maintenance.pipeline.reachability import reachability
from maintenance.pipeline.watch_findings import redis_set, unusable, workload_set
from maintenance.pipeline.watch_report import WatchReport
from maintenance.policy import Policy, WorkloadPolicy
from maintenance.redis_client import read_facts
from maintenance.redis_client.models import LEAST_LOOKUPS, CacheFacts
from maintenance.server.session import Connection, Question, fetch_together, to_error
from maintenance.store import RECENT, is_ready, require_own
from maintenance.subjects.redis.plan import RedisObservation
from maintenance.subjects.workload.models import WatchSample, WorkloadSnapshot
from maintenance.subjects.workload.sample import read_sample, sample_of
from maintenance.subjects.workload.sample_history import keeping

REDIS_LIMIT_S = 3.0
RATE_SPAN = timedelta(minutes=10)
"""The hit rate of Redis is that of so long at least: a single minute says too little."""
NO_PARTITION = "no partition for this month yet: the next run of apply creates it"

_KNOWN_KINDS = frozenset(kind.value for kind in FindingKind)


@dataclass(frozen=True, slots=True)
class _Look:
    """What one look saw of the database and its store."""

    load: WorkloadSnapshot | None = None
    role: str = ""
    error: MaintenanceError | None = None
    before: CacheFacts | None = None
    standing: Sequence[Alert] | None = None
    not_kept: str = ""


def watch(on: Policy | Target, *, now: datetime | None = None) -> WatchReport:
    """Take a sample, keep it, and raise and resolve alerts by it.

    Raises:
        UsageError: an environment variable is missing, or a url is invalid.
    """
    target = Target.of(on)
    report = take_sample(target, now=now)
    if report.is_quiet and not spool_of(target).state().is_away:
        return report
    sets = [(report.now, each) for each in report.finding_sets]
    try:
        done = run_round(target, sets, patient=True, ping=False, now=now)
    except UsageError:
        raise
    except MaintenanceError as exc:
        return replace(report, not_processed=exc.with_hint)
    return replace(report, round=done)


def take_sample(on: Policy | Target, *, now: datetime | None = None) -> WatchReport:
    """Look at the database and its cache, and keep a sample where there is a store.

    A database out of reach does not keep the cache from being observed, nor the other way round.

    Raises:
        UsageError: an environment variable is missing, or a url is invalid.
    """
    moment, target = now or datetime.now(UTC), Target.of(on)
    policy = target.policy
    with _asked(target) as asked:
        look = _look(target, moment, asked)
    facts, cache_error = asked.result() if asked is not None else (None, "")
    sets = [reachability(policy, unusable(look.load, look.error))]
    workload = workload_set(policy, look.load, look.error, look.role)
    if workload is not None:
        sets.append(workload)
    if asked is not None:
        cache = RedisObservation(facts=facts, error=cache_error, before=look.before)
        sets.append(redis_set(policy, cache, moment))
    return WatchReport(
        database=policy.database.name,
        now=moment,
        sample=_sample(look, facts, moment) if look.load is not None else None,
        error=look.error,
        facts=facts,
        finding_sets=tuple(sets),
        not_kept=look.not_kept,
        is_quiet=_is_quiet(sets, look.standing),
    )


_Answer = tuple[CacheFacts | None, str]


@contextmanager
def _asked(target: Target) -> Generator["Future[_Answer] | None"]:
    """Ask Redis beside the database: one that does not answer delays nothing but itself."""
    if target.policy.redis is None:
        yield None
        return
    with ThreadPoolExecutor(1) as crew:
        yield crew.submit(_ask_redis, target, target.policy.redis.url)


def _ask_redis(target: Target, url: Any) -> _Answer:
    try:
        return read_facts(target.resolve(url), REDIS_LIMIT_S), ""
    except (CacheError, UsageError) as exc:
        return None, exc.with_hint


def _look(target: Target, now: datetime, asked: "Future[_Answer] | None") -> _Look:
    policy = target.policy
    section = policy.workload or WorkloadPolicy()
    look = _Look()
    try:
        with target.glance("watch") as connection:
            load = read_sample(connection, section, policy.observe.time_cap)
            look = replace(look, load=load, role=connection.info.user)
            facts = asked.result()[0] if asked is not None else None
            return _kept(target, connection, look, now, facts)
    except UsageError:
        raise
    except MaintenanceError as exc:
        return replace(look, error=exc)


def _kept(
    target: Target, connection: Connection, look: _Look, now: datetime, facts: CacheFacts | None
) -> _Look:
    """Keep the sample where there is a store, and read what it knows; never fail because of it."""
    assert look.load is not None, "there is a sample to keep"
    if look.load.server.in_recovery and target.policy.store.url is None:
        return replace(look, not_kept="the store is on a standby")
    try:
        with _store(target, connection) as store:
            if not is_ready(store):
                return replace(look, not_kept="there is no store yet")
            return _stored(store, target.policy.database.name, look, now, facts)
    except MaintenanceError as exc:
        return replace(look, not_kept=str(exc))
    except psycopg.Error as exc:
        return replace(look, not_kept=str(to_error(exc, "keeping the sample")))


@contextmanager
def _store(target: Target, connection: Connection) -> Generator[Connection]:
    """Open the store: in the same session, if it is in the same database."""
    if target.policy.store.url is None:
        require_own(connection, target.policy.store.owner, RECENT)
        yield connection
        return
    with target.store(RECENT) as store:
        yield store


def _stored(
    store: Connection, database: str, look: _Look, now: datetime, facts: CacheFacts | None
) -> _Look:
    questions: list[Question] = [("alerts", "list_alerts", {"database": database})]
    if facts is not None:
        earlier = {
            "database": database,
            "redis_run": facts.server_run,
            "before": now - RATE_SPAN,
            "most_lookups": facts.n_lookups - LEAST_LOOKUPS,
        }
        questions.append(("store", "find_earlier_sample", earlier))
    sample, not_kept = _sample(look, facts, now), ""
    try:
        answers = fetch_together(store, [*questions, *keeping(database, sample)])
    except psycopg.errors.CheckViolation:
        answers, not_kept = fetch_together(store, questions), NO_PARTITION
    before = None
    if facts is not None and answers[1]:
        (row,) = answers[1]
        before = facts._replace(hits=row.redis_hits, misses=row.redis_misses)
    standing = [_alert(row, now) for row in answers[0] if row.kind in _KNOWN_KINDS]
    return replace(look, standing=standing, before=before, not_kept=not_kept)


def _sample(look: _Look, facts: CacheFacts | None, now: datetime) -> WatchSample:
    assert look.load is not None, "there is a sample"
    sample = sample_of(look.load, now)
    if facts is None:
        return sample
    return sample._replace(
        redis_run=facts.server_run,
        redis_hits=facts.hits,
        redis_misses=facts.misses,
        redis_memory_bytes=facts.used_memory_bytes,
    )


def _is_quiet(sets: Sequence[FindingSet], standing: Sequence[Alert] | None) -> bool:
    """Whether there is nothing to tell: no finding, and no alert that is over.

    If the alerts are unknown, there may be one.
    """
    if standing is None or any(
        finding.severity is not Severity.INFO for each in sets for finding in each.findings
    ):
        return False
    return not any(each.covers(alert) for each in sets for alert in standing)


def _alert(row: Any, now: datetime) -> Alert:
    """Return what decides whether an observation covers an alert."""
    identity = Identity(row.database, FindingKind(row.kind), row.object)
    return Alert(identity, Severity(row.severity), "", now, subject=row.subject)
