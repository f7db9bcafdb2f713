"""What Dagster loads: `defs`, from the policies that `MAINTENANCE_POLICIES` or `policies/` hold."""

import os

from maintenance.orchestration.build import build
from maintenance.policy import policy_paths

defs = build(policy_paths([], os.environ))
