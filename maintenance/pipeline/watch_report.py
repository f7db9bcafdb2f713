"""The result of one look of the watch, for sensor and command line."""

from dataclasses import dataclass
from datetime import datetime

from maintenance.alerts.models import FindingSet
from maintenance.engine.findings import Finding, Severity
from maintenance.errors import MaintenanceError
from maintenance.formatting import readable_size
from maintenance.pipeline.notify import RoundReport
from maintenance.redis_client.models import CacheFacts
from maintenance.subjects.workload.models import WatchSample


@dataclass(frozen=True, slots=True)
class WatchReport:
    """The result of one look.

    Attributes:
        sample: the numbers; None if the database could not be observed.
        error: why not.
        facts: the counters of Redis; None without one, or if it did not answer.
        finding_sets: what the look says about alerts.
        not_kept: why the sample is not in the store; empty if it is.
        is_quiet: whether nothing was found and no alert stands that this look could change.
        round: the result of alerting; None if nothing had to be told.
        not_processed: why alerts could not be processed; empty if they were.
    """

    database: str
    now: datetime
    sample: WatchSample | None
    error: MaintenanceError | None
    facts: CacheFacts | None
    finding_sets: tuple[FindingSet, ...]
    not_kept: str
    is_quiet: bool
    round: RoundReport | None = None
    not_processed: str = ""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What exceeds a limit now, or could not be seen."""
        return tuple(finding for each in self.finding_sets for finding in each.findings)

    @property
    def ok(self) -> bool:
        """Whether alerts were processed, and there is no finding of severity error."""
        return not self.not_processed and all(
            finding.severity is not Severity.ERROR for finding in self.findings
        )


def line_of(report: WatchReport) -> str:
    """Return a look as one line of numbers."""
    if report.sample is None:
        line = f"not observed: {report.error}"
    else:
        line = ", ".join(_numbers(report.sample))
    if report.not_kept:
        line += f"; sample not kept: {report.not_kept}"
    if report.not_processed:
        line += f"; alerts not processed: {report.not_processed}"
    if report.round is not None:
        n_delivered = sum(each.n_delivered for each in report.round.delivered)
        line += f"; {len(report.round.alerts)} open alerts, {n_delivered} delivered"
    return line


def _numbers(sample: WatchSample) -> list[str]:
    numbers = [
        f"{sample.n_connections} of {sample.n_usable} connections",
        f"{_known(sample.n_idle_in_transaction)} idle in transaction",
        f"{_known(sample.n_waiting)} waiting for locks",
        f"{_known(sample.n_slow)} slow statements",
        f"oldest transaction {_seconds(sample.oldest_transaction_s)}",
    ]
    if sample.slot_bytes:
        numbers.append(f"slots hold {readable_size(sample.slot_bytes)} of WAL")
    if sample.redis_memory_bytes is not None:
        numbers.append(f"Redis {readable_size(sample.redis_memory_bytes)}")
    return numbers


def _known(number: int | None) -> str:
    return "unknown" if number is None else str(number)


def _seconds(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"{seconds:.0f} s"
