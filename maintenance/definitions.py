"""What Dagster loads: `defs`, from the policies that `MAINTENANCE_POLICIES` or `policies/` hold.

The code server and each run load it.
"""

import dagster as dg

from maintenance.loading import without_collecting

with without_collecting():
    from maintenance.orchestration.guest import build_definitions

    defs = dg.Definitions.merge(
        build_definitions(),
        # Runs launched by hand share one process too; see `orchestration.jobs`.
        dg.Definitions(executor=dg.in_process_executor),
    )
