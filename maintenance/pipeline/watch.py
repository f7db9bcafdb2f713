"""The watch: look at what may change in a minute, keep a sample of it, and alert.

One session and one round trip on the database, another one on the store; no run. Alerts are
processed only if something was found, or an alert stands that the sample could resolve: mostly a
sample is a row and nothing else.
"""

import os
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from maintenance.alerts.models import Alert, FindingSet, Identity
from maintenance.alerts.state import BAND
from maintenance.engine.findings import (
    REDIS,
    WORKLOAD,
    Finding,
    FindingKind,
    Severity,
    unknown_without,
)
from maintenance.engine.target import Target
from maintenance.errors import CacheError, MaintenanceError, UnreachableError, UsageError
from maintenance.names import quote
from maintenance.pipeline.alert_round import spool_of
from maintenance.pipeline.notify import tell
from maintenance.pipeline.reachability import STANDBY, reachability
from maintenance.pipeline.watch_report import WatchReport
from maintenance.policy import Policy, WorkloadPolicy
from maintenance.redaction import redact, redact_values
from maintenance.redis_client import read_facts
from maintenance.redis_client.models import LEAST_LOOKUPS, CacheFacts
from maintenance.server.session import Connection, Question, fetch_together, to_error
from maintenance.store import is_ready, require_own
from maintenance.subjects.redis.plan import RedisObservation, redis_findings
from maintenance.subjects.workload.blind_spots import no_monitor_finding
from maintenance.subjects.workload.models import WatchSample, WorkloadSnapshot
from maintenance.subjects.workload.sample import read_sample, sample_of
from maintenance.subjects.workload.sample_findings import observed_objects, sample_findings
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


def watch(
    policy: Policy, *, environ: Mapping[str, str] = os.environ, now: datetime | None = None
) -> WatchReport:
    """Take a sample, keep it, and raise and resolve alerts by it.

    Raises:
        UsageError: an environment variable is missing, or a url is invalid.
    """
    report = take_sample(policy, environ=environ, now=now)
    if report.is_quiet and not spool_of(policy, environ).state().is_away:
        return report
    sets = [(report.now, each) for each in report.finding_sets]
    try:
        told = tell(policy, sets, environ=environ, patient=True, ping=False, now=now)
    except UsageError:
        raise
    except MaintenanceError as exc:
        return replace(report, not_told=f"{exc} ({exc.hint})" if exc.hint else str(exc))
    return replace(report, round=told)


def take_sample(
    policy: Policy, *, environ: Mapping[str, str] = os.environ, now: datetime | None = None
) -> WatchReport:
    """Look at the database and its cache, and keep a sample where there is a store.

    A database out of reach does not keep the cache from being observed, nor the other way round.

    Raises:
        UsageError: an environment variable is missing, or a url is invalid.
    """
    moment, target = now or datetime.now(UTC), Target(policy, environ)
    with _asked(target) as asked:
        look = _look(target, moment, asked)
    facts, cache_error = asked.result() if asked is not None else (None, "")
    sets = [reachability(policy, _unusable(look)), *_workload(policy, look)]
    if asked is not None:
        cache = RedisObservation(facts=facts, error=cache_error, before=look.before)
        sets.append(_redis(policy, cache, moment))
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
        return None, f"{exc} ({exc.hint})" if exc.hint else str(exc)


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
        require_own(connection, target.policy.store.owner)
        yield connection
        return
    with target.store() as store:
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


def _unusable(look: _Look) -> MaintenanceError | None:
    """Return why the database can't be used; a query that failed is another matter."""
    if isinstance(look.error, UnreachableError):
        return look.error
    if look.load is not None and look.load.server.in_recovery:
        return UnreachableError(
            "the server is a standby, wanted the primary",
            hint="set the url to the primary; list standbys under database.replicas",
            reason=STANDBY,
        )
    return None


def _workload(policy: Policy, look: _Look) -> list[FindingSet]:
    """Return what the sample says; nothing at all if there is none."""
    name = policy.database.name
    if look.load is None:
        return [] if isinstance(look.error, UnreachableError) else [_blind(name, look.error)]
    section = policy.workload or WorkloadPolicy()
    findings = list(sample_findings(name, section, look.load))
    observed = dict(observed_objects(name, look.load))
    if look.load.server.monitors:
        observed[FindingKind.PRIVILEGE_MISSING] = [name]
    else:
        findings.append(_no_monitor(policy, look.role))
    return [_of(name, WORKLOAD, findings, observed)]


def _no_monitor(policy: Policy, role: str) -> Finding:
    """Report a missing right: an alert where the policy asks for health, else a remark."""
    health = (policy.statistics, policy.indexes, policy.bloat, policy.workload)
    asked = any(section is not None for section in health)
    finding = no_monitor_finding(policy.database.name, quote(role))
    return finding if asked else replace(finding, severity=Severity.INFO)


def _blind(name: str, error: MaintenanceError | None) -> FindingSet:
    object_ = f"{name}/workload/server"
    finding = Finding(
        FindingKind.MONITOR_BLIND,
        Severity.ERROR,
        object_,
        f"{object_}: not checked: {error}",
        data={"unknown": unknown_without("replica", None)},
    )
    return _of(name, WORKLOAD, [finding], {FindingKind.MONITOR_BLIND: [object_]})


def _redis(policy: Policy, seen: RedisObservation, now: datetime) -> FindingSet:
    """Return what the cache's counters say; an unknown hit rate leaves its alert as it is."""
    name = policy.database.name
    findings = list(redis_findings(policy, seen, now))
    observed: dict[FindingKind, list[str]] = {FindingKind.REDIS_UNREACHABLE: [name]}
    least, rate = (policy.workload or WorkloadPolicy()).redis_hit_rate, seen.hit_rate
    if rate is not None:
        observed[FindingKind.REDIS_HIT_RATE_LOW] = [name]
        if least <= rate <= least * (1 + BAND):
            findings.append(
                Finding(
                    FindingKind.REDIS_HIT_RATE_LOW,
                    Severity.INFO,
                    name,
                    f"{name}: Redis hit rate {rate:.0%}, near the limit of {least:.0%}",
                    value=round(rate, 4),
                    threshold=least,
                )
            )
    return _of(name, REDIS, findings, observed)


def _of(
    name: str,
    subject: str,
    findings: Sequence[Finding],
    observed: Mapping[FindingKind, Sequence[str]],
) -> FindingSet:
    signed = [
        replace(
            finding,
            subject="" if finding.kind is FindingKind.PRIVILEGE_MISSING else subject,
            message=redact(finding.message),
            data=redact_values(finding.data),
        )
        for finding in findings
    ]
    return FindingSet(
        name, signed, frozenset(observed), subjects=frozenset({subject}), objects=observed
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
