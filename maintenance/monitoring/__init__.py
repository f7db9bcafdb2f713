"""Everything of one database at a glance: from the store, and one cheap look at its partitions."""

from maintenance.monitoring.health import Level, Verdict, judge
from maintenance.monitoring.metrics import exposition, write_textfile
from maintenance.monitoring.models import Overview
from maintenance.monitoring.overview import look

__all__ = [
    "Level",
    "Overview",
    "Verdict",
    "exposition",
    "judge",
    "look",
    "write_textfile",
]
