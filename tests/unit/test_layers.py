"""Which modules of a subject may use a session; all others only compute."""

import re
import tomllib
from importlib.metadata import packages_distributions
from itertools import chain

import grimp

from tests.builders import ROOT

WITH_A_SESSION = {
    # Every subject: what it reads, what it does, what it keeps in the store.
    *("observe", "apply", "history"),
    # Further readings.
    *(
        "catalog",
        "definitions",
        "due_contents",
        "insert_counts",
        "key_range",
        "matview_observe",
        "measure",
    ),
    *("key_observations", "ownership", "pg_stat_statements", "preflight", "upkeep_observations"),
    *("pgstattuple", "recheck", "sample", "sample_history", "servers", "slow_statements"),
    *("statement_history", "unique_index", "upsert_texts"),
    *("queries", "query_history", "query_observe", "query_session"),
    # Further work.
    *("archive", "drain", "populate", "rebuild", "trial", "prove", "rollout_proof", "what_if"),
}
NESTED = {"candidates", "declared"}
"""Packages inside a subject that have computing modules too."""


PARTS = {"dagster_shared", "pydantic_core"}
"""Parts of a named package, each released with it and for it."""


def test_only_named_modules_of_a_subject_reach_a_database() -> None:
    graph = _graph(exclude_type_checking_imports=True)
    impure = {
        module
        for module in graph.modules
        if module.startswith("maintenance.subjects.")
        and graph.find_upstream_modules(module) & {"psycopg", "dagster", "redis"}
    }
    assert len(impure) > len(WITH_A_SESSION)
    parts = [module.split(".") for module in sorted(impure)]
    modules = [path for path in parts if len(path) > 3]
    assert [path for path in modules if path[3 + (path[3] in NESTED)] not in WITH_A_SESSION] == []


def test_every_package_that_is_imported_is_named_in_pyproject() -> None:
    """One that another brings along may be gone with its next release."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = chain(project["dependencies"], *project["optional-dependencies"].values())
    wanted = {_canonical(re.split(r"[^A-Za-z0-9._-]", each)[0]) for each in named}
    graph = _graph()
    outside = {module for module in graph.modules if graph.is_module_squashed(module)}
    of_module = packages_distributions()
    missing = {
        module
        for module in outside
        if module in of_module and not wanted & set(map(_canonical, of_module[module]))
    }
    assert "leather" in outside
    assert missing == PARTS


def _graph(*, exclude_type_checking_imports: bool = False) -> grimp.ImportGraph:
    """The imports as they are: the cache of grimp may be older than a module."""
    return grimp.build_graph(
        "maintenance",
        include_external_packages=True,
        exclude_type_checking_imports=exclude_type_checking_imports,
        cache_dir=None,
    )


def _canonical(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()
