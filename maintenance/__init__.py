"""Unattended PostgreSQL maintenance, orchestrated by Dagster.

For Dagster projects: `build_definitions`, or the component `MaintenanceComponent`. Both are loaded
when they are asked for, so that the commands need not import Dagster.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maintenance.orchestration.component import MaintenanceComponent as MaintenanceComponent
    from maintenance.orchestration.guest import build_definitions as build_definitions

_HOMES = {
    "MaintenanceComponent": "maintenance.orchestration.component",
    "build_definitions": "maintenance.orchestration.guest",
}

__all__ = ["MaintenanceComponent", "build_definitions"]


def __getattr__(name: str) -> Any:
    """Import a public name where it is defined."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """List the public names: Dagster looks for components among them."""
    return sorted(__all__)
