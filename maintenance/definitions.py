"""What Dagster loads: the policies that `MAINTENANCE_POLICIES` or `policies/` hold.

The code server and each run load `repository`, which builds what they ask for. `defs` is all of it,
built when it is first asked for.
"""

from maintenance.loading import without_collecting

with without_collecting():
    import os
    from functools import cache

    import dagster as dg

    from maintenance.orchestration.guest import build_definitions
    from maintenance.orchestration.repository import WITH_OUR_EXECUTOR, repository_of
    from maintenance.policy import policy_paths

    repository = repository_of(policy_paths((), os.environ))

defs: dg.Definitions


def __getattr__(name: str) -> dg.Definitions:
    if name == "defs":
        return _all()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@cache
def _all() -> dg.Definitions:
    return dg.Definitions.merge(build_definitions(), WITH_OUR_EXECUTOR)
