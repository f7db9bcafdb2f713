"""What Dagster loads: `defs`, from the policies that `MAINTENANCE_POLICIES` or `policies/` hold.

The code server and each run load it.
"""

from maintenance.loading import without_collecting

with without_collecting():
    import os

    from maintenance.orchestration.repository import repository_of
    from maintenance.policy import policy_paths

    defs = repository_of(policy_paths((), os.environ))
