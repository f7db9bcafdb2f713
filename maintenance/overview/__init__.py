"""Everything of one database at a glance: from the store, and one cheap look at its partitions."""

from maintenance.overview.looking import look
from maintenance.overview.metrics import exposition, write_textfile
from maintenance.overview.models import Overview
from maintenance.overview.verdict import Level, Verdict, judge

__all__ = [
    "Level",
    "Overview",
    "Verdict",
    "exposition",
    "judge",
    "look",
    "write_textfile",
]
