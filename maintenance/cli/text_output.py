"""Print reports to a terminal."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any

from rich import markup
from rich.console import Console
from rich.table import Table
from rich.text import Text

from maintenance.engine.actions import Action
from maintenance.engine.executor import Outcome, Result
from maintenance.engine.findings import Finding, Severity
from maintenance.engine.plan import Skip
from maintenance.errors import MaintenanceError
from maintenance.formatting import (
    counted_noun,
    readable_size,
    readable_span,
    visible,
    visible_lines,
)
from maintenance.pipeline.restore import RestoreReport
from maintenance.pipeline.run import Report
from maintenance.pipeline.undo import UndoReport
from maintenance.policy import Policy
from maintenance.redaction import redact, redact_comment, redact_error
from maintenance.subjects.indexes.candidates.findings import candidates_said
from maintenance.subjects.indexes.candidates.models import INDEX_CANDIDATES
from maintenance.subjects.indexes.declared.partition_findings import partitions_said
from maintenance.subjects.indexes.declared.pruning import PARTITIONS_READ
from maintenance.subjects.indexes.declared.query_service import (
    DECLARED_QUERIES,
    Service,
    said_json,
)
from maintenance.subjects.partitions.inventory import TableInventory, inventory
from maintenance.subjects.workload.connection_findings import CONNECTIONS
from maintenance.subjects.workload.facts import TABLES


def escape(text: str) -> str:
    """Escape foreign text: one line, control characters visible, no markup."""
    return markup.escape(visible(text))


BLOCK = "DO "
"""How the statements begin that limit waits, stop what is no longer as planned, or leave a mark."""

Render = Callable[[Policy, Report], None]

_out = Console(highlight=False)
_SEVERITY_STYLE = {Severity.ERROR: "bold red", Severity.WARN: "yellow", Severity.INFO: "cyan"}
_OUTCOME_STYLE = {
    Outcome.DONE: "green",
    Outcome.SKIPPED: "yellow",
    Outcome.FAILED: "bold red",
    Outcome.REFUSED: "bold red",
}


class ErrorConsole:
    """Standard error: progress lines, and errors with their hints."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)

    def print_error(self, error: MaintenanceError) -> None:
        """Print one error and its hint."""
        self._console.print(f"[bold red]error:[/] {markup.escape(redact_error(str(error)))}")
        if error.hint:
            self._console.print(f"  {markup.escape(redact_error(error.hint))}")

    def print_progress(self, line: str) -> None:
        """Print one line of progress."""
        self._console.print(Text(visible(redact(line)), style="dim"))


error_console = ErrorConsole()


def render_check(policy: Policy, report: Report) -> None:
    """Print the server's identity and the findings."""
    _title(policy, report)
    if report.snapshot is not None:
        server = report.snapshot.server
        _out.print(
            f"PostgreSQL {server.version_text}, database {escape(server.database)},"
            f" role {escape(server.role)}{' (superuser)' if server.is_superuser else ''}"
        )
    _findings(report.findings, none="the database matches the policy")


class PlanDetail(Enum):
    """How much of a plan is printed."""

    BRIEF = "one line an action"
    USUAL = "with statements and locks, and the number of DO blocks"
    SQL = "with every statement, also the DO blocks"


def render_plan(policy: Policy, report: Report, *, detail: PlanDetail = PlanDetail.USUAL) -> None:
    """Print the planned actions and the findings."""
    _title(policy, report)
    for action in report.plan.actions:
        _summary(action)
        if detail is not PlanDetail.BRIEF:
            _statements(action, with_blocks=detail is PlanDetail.SQL)
    if not report.plan.actions:
        _out.print("nothing to do", style="green")
    _skipped(report.plan.skipped)
    _findings(report.findings)
    _declared_queries(report.facts)


def render_applied(policy: Policy, report: Report) -> None:
    """Print the results of the actions and the remaining findings."""
    _title(policy, report)
    if report.results:
        width = max(len(result.outcome.value) for result in report.results)
        for result in report.results:
            _result(result, width)
    else:
        _out.print("nothing to do", style="green")
    _skipped(report.plan.skipped)
    _findings(report.findings)
    _declared_queries(report.facts)


def render_status(policy: Policy, report: Report) -> None:
    """Print horizons, findings and recent runs."""
    _title(policy, report)
    if report.snapshot is not None and policy.partitions:
        _out.print(horizons(inventory(policy, report.snapshot, report.now)))
    _skipped(report.plan.skipped)
    _findings(report.findings)
    _declared_queries(report.facts)
    _workload(report.facts)
    if report.runs:
        _out.print(_runs(report))
    spent = sum(cost.seconds for cost in report.costs.values())
    _out.print(f"[dim]own queries of this command: {spent:.2f} s[/]")


def render_restored(report: RestoreReport) -> None:
    """Print what was restored and from where."""
    restored = report.restored
    _out.print(
        f"[green]restored[/] {escape(str(restored.relation))}: {restored.n_rows:,} rows, verified,"
        f" from {escape(str(report.place))}",
        soft_wrap=True,
    )
    if restored.attached:
        until = report.hold_until
        _out.print(
            f"attached to {escape(str(report.place.table))}, excluded from retention until {until}"
        )
    for column in restored.added:
        _out.print(f"column {escape(column)} is not in the archive: filled with its default value")


def render_undone(report: UndoReport) -> None:
    """Print what was undone, and what was not."""
    for result in report.results:
        action = result.action
        style = "green" if result.outcome is Outcome.DONE else "red"
        error = f": {escape(result.error)}" if result.error else ""
        _out.print(
            f"[{style}]{result.outcome}[/] {escape(action.object)}: undo of"
            f" {action.detail['undoes']}{error}",
            soft_wrap=True,
        )
    for each in report.kept:
        _out.print(f"kept {escape(each.object)}: {escape(each.reason)}", soft_wrap=True)
    _out.print(
        f"run {report.run_id}: {'undone' if report.is_complete else 'not completely undone'};"
        " what was undone is done again only if its declaration changes, or by"
        " maintenance apply --again",
        soft_wrap=True,
    )


def horizons(stock: Iterable[TableInventory]) -> Table:
    """Build the table of partitioned tables with their partitions ahead."""
    shown = plain_table("table", "interval", "ahead", "horizon", "partitions", "rows", "size")
    for line in stock:
        short = line.ahead < line.premake
        ahead = Text(f"{line.ahead} of {line.premake}", style="bold red" if short else "green")
        shown.add_row(
            escape(line.table),
            line.interval,
            ahead,
            line.horizon,
            str(len(line.partitions)),
            f"~{line.n_rows:,}",
            readable_size(line.size_bytes),
        )
    return shown


def _title(policy: Policy, report: Report) -> None:
    _out.rule(f"[bold]{policy.database.name}[/]  {report.now:%Y-%m-%d %H:%M} UTC", align="left")
    if policy.database.mode == "report":
        _out.print("report mode: nothing is changed", style="yellow")
    if report.pause is not None:
        _out.print(Text(visible(str(report.pause)), style="yellow"), soft_wrap=True)


def _summary(action: Action) -> None:
    """Print what an action does and why: of retention also rows, bytes and archive."""
    kind = f"[bold]{action.kind}[/] {escape(action.object)}"
    _out.print(f"{kind}  [dim]{escape(action.reason)}[/]", soft_wrap=True)
    if action.held is not None:
        _out.print(Text(visible(f"    {action.held.text}"), style="yellow"), soft_wrap=True)


def _statements(action: Action, *, with_blocks: bool) -> None:
    """Print an action's statements, locks and steps; without DO blocks only how many there are."""
    statements = [each for each in action.sql if with_blocks or not each.startswith(BLOCK)]
    for statement in statements:
        shown = visible_lines(f"    {redact_comment(statement)};")
        _out.print(Text(shown, style="cyan"), soft_wrap=True)
    n_blocks = len(action.sql) - len(statements)
    if n_blocks:
        text = f"    and {counted_noun(n_blocks, 'DO block')}, shown by --sql"
        _out.print(Text(text, style="dim"), soft_wrap=True)
    locks = ", ".join(f"{lock.mode} on {lock.object}" for lock in action.locks)
    _out.print(Text(visible(f"    locks: {locks or 'none'}"), style="dim"), soft_wrap=True)
    for line in _steps(action.detail):
        _out.print(Text(visible(f"    {line}"), style="dim"), soft_wrap=True)
    for line in _what_if(action.detail):
        _out.print(Text(visible(f"    what if: {line}"), style="dim"), soft_wrap=True)


def _steps(detail: Mapping[str, Any]) -> Iterator[str]:
    """Yield the steps of a conversion with their locks and estimated times."""
    steps: Sequence[Mapping[str, Any]] = detail.get("steps", ())
    if not steps:
        return
    span = readable_span(max(1, detail["estimated_s"]))
    yield f"{len(steps)} steps, estimated at about {span}:"
    for place, step in enumerate(steps, start=1):
        time = f"about {readable_span(step['estimated_s'])}" if step["estimated_s"] else "short"
        yield f"{place}. {step['what']}: {time}; {', '.join(step['locks']) or 'no lock'}"


_NO_CHEAPER = 0.99
"""The planner itself treats costs that differ by less as equal (fuzzy comparison of paths)."""


def _what_if(detail: Mapping[str, Any]) -> Iterator[str]:
    """Yield what an index that is to be built or dropped would change for declared queries."""
    found: Mapping[str, Any] = detail.get("what_if") or {}
    for query in found.get("queries", ()):
        taken = "takes it" if query["takes"] else "does not take it"
        if query["takes"] and query["cost_after"] > _NO_CHEAPER * query["cost_before"]:
            taken = "may take it, for no less cost"
        if found["size_bytes"] is None:  # there is no new index
            taken = "without it"
        yield (
            f"query {query['query']} (parameters {query['parameters']}) {taken}, cost"
            f" {query['cost_before']:,.0f} → {query['cost_after']:,.0f}"
        )
    if found.get("refused"):
        yield f"not known: HypoPG can't pretend this index (SQLSTATE {found['refused']})"


def _declared_queries(facts: Mapping[str, Any]) -> None:
    """Print what serves the declared queries, and those that no declared index serves."""
    _partitions_read(facts)
    if INDEX_CANDIDATES in facts:
        _out.print(Text(visible(candidates_said(facts[INDEX_CANDIDATES]))), soft_wrap=True)
    share: Mapping[str, Any] | None = facts.get(DECLARED_QUERIES)
    if share is None:
        return
    _out.print(Text(f"declared queries: {said_json(share)}"), soft_wrap=True)
    for query in share["queries"]:
        if query["service"] != Service.DECLARED:
            _out.print(Text(visible(f"    {_service(query)}"), style="dim"), soft_wrap=True)


def _partitions_read(facts: Mapping[str, Any]) -> None:
    """Print how many partitions the declared queries read."""
    reads: Sequence[Mapping[str, Any]] = facts.get(PARTITIONS_READ, ())
    if not reads:
        return
    _out.print(Text(partitions_said(reads)), soft_wrap=True)
    for each in reads:
        why = f": {each['reason'].replace('_', ' ')}" if each["reason"] else ""
        text = (
            f"    query {each['query']} (parameters {each['parameters']}): reads {each['read']} of"
            f" {each['partitions']} partitions of {each['table']}{why}"
        )
        _out.print(Text(visible(text), style="dim"), soft_wrap=True)


def _workload(facts: Mapping[str, Any]) -> None:
    """Print the connections of clients, and the largest tables."""
    if found := facts.get(CONNECTIONS):
        shown = plain_table(
            "connections", "role", "application", "client", "database", "state", "TLS"
        )
        for each in found:
            tls = {True: "yes", False: "no", None: ""}[each["is_encrypted"]]
            names = ("role", "application", "client", "database", "state")
            shown.add_row(str(each["n"]), *(escape(each[name] or "") for name in names), tls)
        _out.print(shown)
    if found := facts.get(TABLES):
        shown = plain_table("table", "partitions", "size", "rows alone", "indexes")
        for each in found:
            sizes = (each[name] for name in ("size_bytes", "heap_bytes", "index_bytes"))
            n_partitions = str(each["partitions"] or "")
            shown.add_row(escape(each["table"]), n_partitions, *map(readable_size, sizes))
        _out.print(shown)


def _service(query: Mapping[str, Any]) -> str:
    by = f" by {query['index']}" if query["index"] is not None else ""
    text = f": {query['text']}" if query["text"] else ""
    wanted = ", ".join(query["wanted"])
    return (
        f"query {query['query']} (parameters {query['parameters']}): {query['service']}{by}, wanted"
        f" {wanted}{text}"
    )


def _proof(detail: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the proof of a built index says."""
    proof: Mapping[str, Any] = detail.get("proof") or {}
    if not proof:
        return
    ratio = f", {proof['ratio']:,.1f} times faster" if proof.get("ratio") else ""
    text = f": {proof['text']}" if proof.get("text") else ""
    yield f"{proof.get('verdict') or 'not measured'}{ratio}{text}"
    if proof.get("expectation"):
        yield f"expected {proof['expected']:g} times faster: {proof['expectation']}"


def _result(result: Result, width: int) -> None:
    """Print one action with its outcome; below it the error, if any."""
    action = result.action
    outcome = Text(result.outcome.value.ljust(width), style=_OUTCOME_STYLE[result.outcome])
    effort = f"{result.duration_ms:,.1f} ms"
    if result.attempts > 1:
        effort += f", {result.attempts} attempts"
    line = Text.assemble(
        outcome,
        (f"  {action.kind}", "bold"),
        f" {visible(action.object)}",
        (visible(f"  {effort}  {action.reason}"), "dim"),
    )
    _out.print(line, soft_wrap=True)
    for text in _proof(result.detail):
        _out.print(Text(visible_lines(f"    proof: {text}"), style="dim"), soft_wrap=True)
    if result.error:
        _out.print(Text(visible_lines(f"    {result.error}"), style="red"), soft_wrap=True)


def _skipped(skips: Iterable[Skip]) -> None:
    for skip in skips:
        what = f"not needed: {skip.kind} {skip.object}  {skip.reason}"
        _out.print(Text(visible(what), style="dim"), soft_wrap=True)


def _findings(findings: Iterable[Finding], none: str = "no findings") -> None:
    worst_first = sorted(findings, key=lambda f: list(_SEVERITY_STYLE).index(f.severity))
    for finding in worst_first:
        style = _SEVERITY_STYLE[finding.severity]
        _out.print(
            f"[{style}]{finding.severity}[/] {finding.kind}: {escape(finding.message)}",
            soft_wrap=True,
        )
    if not worst_first:
        _out.print(none, style="green")


def _runs(report: Report) -> Table:
    shown = plain_table(
        "run", "started", "took", "result", "actions", "failed", "errors", "own queries", "rows"
    )
    for run in report.runs:
        shown.add_row(
            run.command,
            f"{run.started_at:%Y-%m-%d %H:%M:%S}",
            _took(run.started_at, run.ended_at),
            run.result,
            str(run.n_actions),
            str(run.n_failed),
            str(run.n_errors),
            f"{run.own_seconds:.2f} s" if run.own_seconds is not None else "",
            f"{run.own_rows:,}" if run.own_rows is not None else "",
        )
    return shown


def _took(started_at: datetime, ended_at: datetime | None) -> str:
    return f"{(ended_at - started_at).total_seconds():.1f} s" if ended_at else ""


def plain_table(*columns: str) -> Table:
    """Return an empty table without lines."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
