"""Which modules of a subject may use a session; all others only compute."""

import grimp

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


def test_only_named_modules_of_a_subject_reach_a_database() -> None:
    graph = grimp.build_graph(
        "maintenance", include_external_packages=True, exclude_type_checking_imports=True
    )
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
