"""A policy of three lines: it reports on the health of a database, and raises no false alarm."""

from pathlib import Path

import pytest

from maintenance.engine.findings import FindingKind, Severity
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy, load_policy
from tests.builders import Database, Role, drop_database, make_database, make_template


def smallest(folder: Path, url: str, more: str = "") -> Policy:
    path = folder / "app.yaml"
    path.write_text(f"database:\n  name: app\n  url: {url}\n{more}")
    return load_policy(path)


@pytest.mark.parametrize("system", ["lms", "proposals"])
def test_sound_database_has_no_finding_above_information(
    tmp_path: Path, database: Database, limited_role: Role, system: str
) -> None:
    copy = make_database(database.server, make_template(database.server, system))
    try:
        copy.execute(
            "CREATE TABLE public.large AS SELECT g AS id, repeat('x', 100) AS note"
            " FROM generate_series(1, 150000) AS g; CREATE INDEX ON public.large (id)"
        )
        copy.execute("ANALYZE")
        for url in (copy.url, copy.url_of(limited_role)):
            report = pipeline.plan(smallest(tmp_path, url))
            assert {"indexes", "bloat", "workload", "capacity"} <= report.subjects
            assert [f for f in report.findings if f.severity is not Severity.INFO] == []
            assert report.plan.actions == ()
        applied = pipeline.apply(smallest(tmp_path, copy.url))
        assert [f for f in applied.findings if f.severity is not Severity.INFO] == []
    finally:
        drop_database(copy)


def test_missing_rights_are_a_remark_until_a_section_asks(
    tmp_path: Path, database: Database, limited_role: Role
) -> None:
    url = database.url_of(limited_role)
    for more, severity in (("", Severity.INFO), ("workload:\n", Severity.WARN)):
        findings = pipeline.plan(smallest(tmp_path, url, more)).findings
        (found,) = [f for f in findings if f.kind is FindingKind.PRIVILEGE_MISSING]
        assert found.severity is severity
        assert found.data["grants"]


def test_subject_that_is_off_is_not_observed(tmp_path: Path, database: Database) -> None:
    database.execute(
        "CREATE TABLE public.t (id int PRIMARY KEY, a int); CREATE INDEX x ON public.t (a);"
        " CREATE INDEX y ON public.t (a); INSERT INTO public.t SELECT g, g"
        " FROM generate_series(1, 100000) AS g; ANALYZE public.t"
    )
    assert [
        f.object
        for f in pipeline.plan(smallest(tmp_path, database.url)).findings
        if f.kind is FindingKind.INDEX_DUPLICATE
    ] == ["public.y"]
    off = pipeline.plan(smallest(tmp_path, database.url, "indexes: off\n"))
    assert not any(f.kind is FindingKind.INDEX_DUPLICATE for f in off.findings)
