"""A CHECK that a conversion has left: told before it refuses rows."""

from datetime import UTC, date, datetime

import pytest

from maintenance.engine.findings import FindingKind, Severity
from maintenance.names import QualifiedName
from maintenance.subjects.capacity.models import CapacityObservation, ConversionCheck
from maintenance.subjects.capacity.upkeep_findings import upkeep_findings
from maintenance.subjects.capacity.upkeep_observations import day_of_check

NOW = datetime(2026, 11, 29, 23, tzinfo=UTC)
CHECK = ConversionCheck(
    QualifiedName("public", "events"), "maintenance_convert_until_2026_12", date(2026, 12, 1)
)


@pytest.mark.parametrize(
    ("refuses_from", "severity"),
    [
        (date(2026, 12, 7), None),
        (date(2026, 12, 6), Severity.WARN),
        (date(2026, 12, 3), Severity.WARN),
        (date(2026, 12, 2), Severity.ERROR),
        (date(2026, 11, 1), Severity.ERROR),
        (None, Severity.ERROR),
    ],
)
def test_check_is_told_when_a_conversion_at_work_would_have_replaced_it(
    refuses_from: date | None, severity: Severity | None
) -> None:
    seen = CapacityObservation(conversion_checks=(replace_day(CHECK, refuses_from),))
    found = list(upkeep_findings("app", seen, NOW))
    assert [(each.kind, each.severity) for each in found] == (
        [(FindingKind.CONVERSION_CHECK_LEFT, severity)] if severity else []
    )


def replace_day(check: ConversionCheck, day: date | None) -> ConversionCheck:
    return check._replace(refuses_from=day)


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("maintenance_convert_until_2026_12", date(2026, 12, 1)),
        ("maintenance_convert_until_2026", date(2026, 1, 1)),
        ("maintenance_convert_until_2026_12_07", date(2026, 12, 7)),
        ("maintenance_convert_until_2026_99", None),
        ("maintenance_convert_until_", None),
    ],
)
def test_day_is_that_of_the_period_in_the_name(name: str, day: date | None) -> None:
    assert day_of_check(name) == day
