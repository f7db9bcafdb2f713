"""What is worth showing of a server without being a finding: its connections and largest tables."""

from collections.abc import Mapping
from typing import Any

from maintenance.redaction import redact_values
from maintenance.subjects.workload.connection_findings import CONNECTIONS, as_json
from maintenance.subjects.workload.models import TableSize, WorkloadSnapshot

TABLES = "largest_tables"
"""Key of the fact with the sizes of the largest tables."""
_MOST = 20


def workload_facts(load: WorkloadSnapshot) -> Mapping[str, Any]:
    """Return the connections of clients and the largest tables; those not read are left out."""
    facts: dict[str, Any] = {}
    if load.connections:
        most_first = sorted(load.connections, key=lambda group: -group.n)
        facts[CONNECTIONS] = redact_values(as_json(most_first))
    if load.sizes:
        facts[TABLES] = [_table(size) for size in load.sizes[:_MOST]]
    return facts


def _table(size: TableSize) -> dict[str, Any]:
    return {
        "table": str(size.relation),
        "partitions": size.n_partitions,
        "size_bytes": size.size_bytes,
        "heap_bytes": size.heap_bytes,
        "index_bytes": size.index_bytes,
    }
