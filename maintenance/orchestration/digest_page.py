"""Daily health summary: the overview of a database on one Markdown page."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from maintenance.alerts.models import Alert
from maintenance.engine.runbook_reader import by_itself
from maintenance.formatting import readable_number, readable_size, readable_span
from maintenance.monitoring import Overview, assess_health
from maintenance.monitoring.health import Level, Reason
from maintenance.monitoring.models import History, View
from maintenance.orchestration.digest_day import load_section, work_section
from maintenance.orchestration.digest_links import AssetLinks
from maintenance.orchestration.markdown import code, grid, plain
from maintenance.redis_client.models import hit_rate
from maintenance.store.activity import Activity

MOST_ALERTS = 20
MOST_COMING = 8

_LONG = 200
"""Maximum number of characters shown of an error."""


_NO_LINKS = AssetLinks()


def digest_page(overview: Overview, links: AssetLinks = _NO_LINKS) -> str:
    """Return the page as Markdown: the verdict first, then the details."""
    return "\n\n".join(_parts(overview, links))


def _parts(overview: Overview, links: AssetLinks) -> Iterator[str]:
    verdict, history = assess_health(overview), overview.history
    yield f"## {verdict.headline}"
    if verdict.reasons:
        yield "\n".join(f"- {_urgency(each)}{plain(each.text)}" for each in verdict.reasons)
    yield f"{plain(overview.database)}, {_moment(overview.now)}"
    if overview.mode == "report":
        yield "**Report mode**: nothing is changed."
    if history is not None and history.pause is not None:
        yield f"**Paused**: {plain(str(history.pause))}; nothing is changed."
    if history is not None:
        yield from _alerts(overview, history.alerts, links)
    yield from _partitions(overview)
    if history is not None:
        yield from _views(overview, history)
        yield from _last_day(history.activity, overview.now)
        if history.work is not None:
            yield "### What was done in the last day"
            yield work_section(overview.database, history.work, links)
        if history.load is not None:
            yield from load_section(history.load)
        yield from _sizes(history)
    yield "### Planned next"
    rows = ((_moment(each.at), plain(each.what)) for each in overview.coming[:MOST_COMING])
    yield grid(("when", "what"), rows)


def _urgency(reason: Reason) -> str:
    return "" if reason.level is Level.FINE else f"**{reason.level}**: "


def _alerts(overview: Overview, alerts: Sequence[Alert], links: AssetLinks) -> Iterator[str]:
    yield "### Open alerts"
    if not alerts:
        yield "None."
        return
    rows = (_alert(alert, overview.now, links) for alert in alerts[:MOST_ALERTS])
    yield grid(
        ("severity", "kind", "object", "open for", "value:", "threshold:", "automatic action"), rows
    )
    if len(alerts) > MOST_ALERTS:
        yield f"and {len(alerts) - MOST_ALERTS:,} more"


def _alert(alert: Alert, now: datetime, links: AssetLinks) -> tuple[str, ...]:
    quiet = " (muted)" if alert.is_muted(now) else ""
    quiet = quiet or (" (acknowledged)" if alert.is_acknowledged(now) else "")
    return (
        f"{alert.severity}{quiet}",
        alert.identity.kind.value.replace("_", " "),
        links.alert(alert),
        readable_span(now - alert.since).replace(" ", "&nbsp;"),
        plain(readable_number(alert.value)),
        plain(readable_number(alert.threshold)),
        by_itself(alert.identity.kind),
    )


def _partitions(overview: Overview) -> Iterator[str]:
    if not overview.tables:
        return
    yield "### Partitions"
    head = ("table", "ahead:", "covered until", "partitions:", "expired:", "rows:", "size:")
    rows = (
        (
            code(each.table),
            f"{each.ahead} of {each.premake}",
            f"{each.covered_until:%Y-%m-%d}",
            f"{len(each.partitions):,}",
            f"{sum(p.retention == 'expired' for p in each.partitions):,}",
            f"~{each.n_rows:,}",
            readable_size(each.size_bytes),
        )
        for each in overview.tables
    )
    yield grid(head, rows)


def _views(overview: Overview, history: History) -> Iterator[str]:
    if history.views:
        yield "### Views"
        stalest = sorted(history.views, key=lambda view: _share(view, overview.now), reverse=True)
        head = ("view", "complete to", "age:", "allowed:", "last refresh took:", "rows:")
        yield grid(head, (_view(view, overview.now) for view in stalest))
    if history.computed:
        yield "### Computed rows"
        rows = (
            (code(each.table_name), f"{each.n_stale:,}", _moment(each.seen_at))
            for each in sorted(history.computed, key=lambda each: -each.n_stale)
        )
        yield grid(("table", "stale:", "checked at"), rows)


def _share(view: View, now: datetime) -> float:
    """Return the age of a view as a share of its `max_age`; infinite if unknown."""
    until = view.age.fresh_as_of
    return float("inf") if until is None else (now - until) / view.age.max_age


def _view(view: View, now: datetime) -> tuple[str, ...]:
    until, refresh = view.age.fresh_as_of, view.refresh
    rows = refresh.n_rows if refresh else None
    return (
        code(str(view.age.name)),
        _moment(until) if until else "unknown",
        readable_span(now - until) if until else "",
        readable_span(view.age.max_age),
        f"{refresh.duration_s:.1f} s" if refresh else "",
        f"{rows:,}" if rows is not None else "",
    )


def _last_day(activity: Activity, now: datetime) -> Iterator[str]:
    yield "### The last 24 hours"
    ended = activity.last_ended_at
    newest = (
        f"the last one finished {readable_span(now - ended)} ago" if ended else "none has finished"
    )
    open_ = f", {activity.n_open} not finished" if activity.n_open else ""
    yield (
        f"{activity.n_runs:,} runs, {activity.n_failed} failed{open_}; {newest}."
        f" Own queries took {activity.own_seconds:.1f} s."
    )
    if activity.past_actions:
        rows = (
            (each.kind.replace("_", " "), each.outcome, f"{each.n:,}", f"{each.seconds:.1f} s")
            for each in sorted(
                activity.past_actions, key=lambda each: (each.outcome == "done", each.kind)
            )
        )
        yield grid(("action", "outcome", "times:", "took:"), rows)
    if activity.failures:
        yield "\n".join(
            f"- {_moment(each.at)}, {plain(each.what)}: {plain(each.error[:_LONG])}"
            for each in activity.failures
        )


def _sizes(history: History) -> Iterator[str]:
    facts = list(_facts(history))
    if facts or history.largest:
        yield "### Sizes and load"
    if facts:
        yield " · ".join(facts)
    if history.largest:
        rows = (
            (
                code(each.object),
                readable_size(each.size_bytes),
                "" if each.grown_in_a_week is None else _grown(each.grown_in_a_week),
            )
            for each in history.largest
        )
        yield grid(("table", "size:", "growth in a week:"), rows)


def _facts(history: History) -> Iterator[str]:
    for last in history.moments[-1:]:
        if last.size_bytes is not None:
            yield f"database {readable_size(last.size_bytes)}"
        yield f"connections {last.connections:.0%}"
        if last.hit_rate is not None:
            yield f"buffer hit rate {last.hit_rate:.1%}"
        yield f"wraparound {last.wraparound:.0%}"
        if last.replication_lag_bytes is not None:
            yield f"replication lag {readable_size(last.replication_lag_bytes)}"
    if history.emptiness is not None:
        empty = history.emptiness
        yield f"bloat: {readable_size(empty.tables_bytes)} in tables"
        yield f"{readable_size(empty.indexes_bytes)} in indexes"
    for newest in history.cache[-1:]:
        rate = hit_rate(history.cache[0], newest)
        yield f"cache {readable_size(newest.used_memory_bytes)}"
        yield f"cache hit rate {f'{rate:.0%}' if rate is not None else 'unknown'}"


def _grown(size_bytes: int) -> str:
    return f"{'−' if size_bytes < 0 else '+'}{readable_size(abs(size_bytes))}"  # noqa: RUF001 - a minus sign


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
