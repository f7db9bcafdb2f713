"""Writing policy files for tests that drive the product as its users do."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from maintenance.policy import Policy, load_policy


def write_policy(
    folder: Path, url: str, *partitions: dict[str, Any], name: str = "app", **sections: Any
) -> Path:
    """Write a policy file for a database, with its url as a literal.

    Health subjects that it does not name are off.
    """
    document = {"database": {"name": name, "url": url}, **with_health_off(sections)}
    if partitions:
        document["partitions"] = list(partitions)
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def with_health_off(sections: Mapping[str, Any]) -> dict[str, Any]:
    """The sections of a policy, with those health subjects off that it does not name.

    Limits belong to the workload: they are observed with it.
    """
    asked: dict[str, Any] = {**({"capacity": {}} if "workload" in sections else {}), **sections}
    return {**dict.fromkeys(("indexes", "bloat", "workload", "capacity"), "off"), **asked}


def make_policy(
    folder: Path, url: str, *partitions: dict[str, Any], name: str = "app", **sections: Any
) -> Policy:
    """Write a policy file and load it."""
    return load_policy(write_policy(folder, url, *partitions, name=name, **sections))


EVENTS: dict[str, Any] = {"table": "public.events", "column": "at"}

CREATE_EVENTS = """
CREATE TABLE public.events (id bigint NOT NULL, at timestamptz NOT NULL, note text DEFAULT 'n',
  PRIMARY KEY (id, at)) PARTITION BY RANGE (at)
"""
