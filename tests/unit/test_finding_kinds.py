"""Every kind of finding is described in one place, and what refers to it can't be forgotten."""

import re
from typing import Any

import pytest

from maintenance.alerts.formatting import readable
from maintenance.engine.findings import FindingKind, Reading, Unit, kinds_of, unknown_without
from maintenance.pipeline.alert_links import ASSETS
from maintenance.pipeline.registry import SUBJECTS
from tests.builders import ROOT


def test_subjects_of_kinds_are_the_registered_ones() -> None:
    named = {subject for kind in FindingKind for subject in kind.spec.subjects}
    assert named == {subject.name for subject in SUBJECTS}


def test_every_subject_has_kinds_and_an_asset() -> None:
    assert all(subject.finding_kinds for subject in SUBJECTS)
    assert ASSETS.keys() == {subject.name for subject in SUBJECTS}


def test_kind_without_a_subject_belongs_to_a_job_a_server_a_file_or_check() -> None:
    without = {kind for kind in FindingKind if not kind.spec.subjects}
    of_jobs = {kind for kind in FindingKind if kind.spec.is_of_job}
    of_servers = {kind for kind in FindingKind if kind.spec.is_of_server}
    of_files = {kind for kind in FindingKind if kind.spec.is_of_file}
    of_check = {kind for kind in FindingKind if kind.spec.is_of_check}
    assert without == of_jobs | of_servers | of_files | of_check
    assert of_check
    assert of_files
    assert of_jobs
    assert of_servers


def test_kinds_of_a_subject_are_those_that_name_it() -> None:
    assert kinds_of("redis") == {
        FindingKind.REDIS_UNREACHABLE,
        FindingKind.REDIS_HIT_RATE_LOW,
        FindingKind.REDIS_TTL_EXCEEDED,
        FindingKind.MONITOR_BLIND,
    }


@pytest.mark.parametrize("unit", Unit)
def test_every_unit_can_be_shown(unit: Unit) -> None:
    kind = next(kind for kind in FindingKind if kind.spec.unit is unit)
    alone, with_threshold = readable(kind, 0.5, None), readable(kind, 0.5, 0.25)
    assert re.search(r"\d", alone)
    assert with_threshold.startswith(alone)
    assert re.search(r"\d", with_threshold.removeprefix(alone))


@pytest.mark.parametrize("reading", Reading)
def test_every_reading_leaves_some_kind_open(reading: Reading) -> None:
    assert unknown_without(reading, None)


@pytest.mark.parametrize("reading", Reading)
def test_every_reading_is_reported_when_it_fails(reading: Reading) -> None:
    named = re.compile(rf"(unknown_without|glances\.see)\(\s*Reading\.{reading.name}\b")
    texts = [path.read_text() for path in (ROOT / "maintenance").rglob("*.py")]
    assert any(named.search(text) for text in texts)


def test_unreadable_reading_leaves_its_kinds_open() -> None:
    assert unknown_without(Reading.BLOAT, ["public.t"]) == {
        "table_bloat": ["public.t"],
        "index_bloat": ["public.t"],
    }


def test_kind_without_a_spec_fails_at_import() -> None:
    make: Any = getattr(FindingKind, "__new_member__")  # noqa: B009
    with pytest.raises(AssertionError):
        make(FindingKind, "bare")
