"""What Dagster loads: the policies that `MAINTENANCE_POLICIES` or `policies/` hold.

The code server and each run load `repository`, which builds what they ask for. `defs` is all of it,
built when it is first asked for.
"""

from maintenance.loading import without_collecting

with without_collecting():
    import os
    from functools import cache

    import dagster as dg

    from maintenance.orchestration import repository as on_demand
    from maintenance.orchestration.guest import build_definitions
    from maintenance.orchestration.preloaded_runs import preload_runs
    from maintenance.policy import policy_paths

    # The only one of its kind here: Dagster prefers any `dg.Definitions` that stands in the module.
    repository = on_demand.repository_of(policy_paths((), os.environ))

preload_runs()

defs: dg.Definitions


def __getattr__(name: str) -> dg.Definitions:
    if name == "defs":
        return _all()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@cache
def _all() -> dg.Definitions:
    return dg.Definitions.merge(build_definitions(), on_demand.WITH_OUR_EXECUTOR)
