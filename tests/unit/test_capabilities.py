"""What each major version of PostgreSQL can do."""

from collections.abc import Callable

import pytest

from maintenance.server import capabilities


@pytest.mark.parametrize(
    ("can", "first"),
    [
        (capabilities.is_served, 15),
        (capabilities.has_last_scan, 16),
        (capabilities.has_maintain, 17),
        (capabilities.has_transaction_timeout, 17),
        (capabilities.restricts_search_path, 17),
        (capabilities.has_analyze_only, 18),
        (capabilities.reindexes_beside_upserts, 19),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_capability_is_there_from_one_version_on(can: Callable[[int], bool], first: int) -> None:
    assert [can(major) for major in range(14, 20)] == [major >= first for major in range(14, 20)]


@pytest.mark.parametrize(("version", "major"), [(150020, 15), (180004, 18), (190000, 19)])
def test_major_of_a_version_as_libpq_reports_it(version: int, major: int) -> None:
    assert capabilities.major_of(version) == major
