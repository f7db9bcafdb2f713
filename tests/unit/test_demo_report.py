"""The demo's table: the newest periods one by one, the older ones in one line."""

import pytest

from maintenance.demo.jobs import Check, Outcome, Partition
from maintenance.demo.report import NEWEST, show


def _partition(month: int, state: str = "existed", n_rows: int | None = 10) -> Partition:
    size_bytes = None if n_rows is None else 8192
    return Partition("shop", "orders", f"2026-{month:02}", state, n_rows, size_bytes)


def _shown(capsys: pytest.CaptureFixture[str], *partitions: Partition) -> list[list[str]]:
    show(Outcome(partitions, ()))
    return [line.split() for line in capsys.readouterr().out.splitlines() if "shop" in line]


def test_older_periods_share_a_line_with_their_sums(capsys: pytest.CaptureFixture[str]) -> None:
    lines = _shown(capsys, *map(_partition, range(1, NEWEST + 4)))
    assert len(lines) == NEWEST + 1
    assert lines[0] == ["shop", "orders", "2026-01..2026-03", "3", "existed", "30", "24.0", "kB"]


def test_states_of_a_shared_line_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    older = [_partition(1), _partition(2, "created"), _partition(3)]
    lines = _shown(capsys, *older, *map(_partition, range(4, NEWEST + 4)))
    assert lines[0][3:7] == ["1", "created,", "2", "existed"]


def test_what_the_log_does_not_tell_is_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    assert _shown(capsys, _partition(1, n_rows=None))[0][-2:] == ["-", "-"]


def test_failed_checks_are_named_with_their_severity(capsys: pytest.CaptureFixture[str]) -> None:
    failed = Check("shop/orders", "partition_gap", passed=False, is_error=True, message="2026-02")
    show(Outcome((), (failed,)))
    (line,) = [each for each in capsys.readouterr().out.splitlines() if "partition_gap" in each]
    assert all(fact in line for fact in ("error", "shop/orders", "2026-02"))


def test_only_failed_errors_count_as_errors() -> None:
    passed = Check("a", "k", passed=True, is_error=True, message="")
    warned = Check("a", "k", passed=False, is_error=False, message="")
    failed = Check("a", "k", passed=False, is_error=True, message="")
    assert Outcome((), (passed, warned, failed)).n_errors == 1
