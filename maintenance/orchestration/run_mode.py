"""Whether a run launched by hand only shows its plan."""

from enum import Enum


class Mode(Enum):
    """PLAN is a dry run."""

    PLAN = "plan"
    APPLY = "apply"
