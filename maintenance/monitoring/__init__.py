"""Health overview of one database: from the store, and one cheap query for its partitions."""

from maintenance.monitoring.health import Level, Verdict, assess_health
from maintenance.monitoring.models import Overview
from maintenance.monitoring.overview import observe_overview

__all__ = [
    "Level",
    "Overview",
    "Verdict",
    "assess_health",
    "observe_overview",
]
