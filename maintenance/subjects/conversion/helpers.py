"""The helpers of a conversion: CHECKs and an index, with reserved names."""

from maintenance.ddl.lock_statements import take
from maintenance.engine.actions import Lock, LockMode, Step
from maintenance.names import quote
from maintenance.subjects.conversion.models import ConvertibleTable, Helper


def drop_check(seen: ConvertibleTable, name: str) -> Step:
    """Return the step that removes a CHECK."""
    dropped = f"ALTER TABLE {seen.name} DROP CONSTRAINT IF EXISTS {quote(name)}"
    return Step((take(alone(seen)), dropped), locks=alone(seen), owner=seen.table.properties.owner)


def drop_index(seen: ConvertibleTable, index: Helper) -> Step:
    """Return the step that removes an index, without blocking writers."""
    name = f"{quote(seen.name.schema)}.{quote(index.name)}"
    lock = Lock(str(seen.name), LockMode.SHARE_UPDATE_EXCLUSIVE)
    return Step((f"DROP INDEX CONCURRENTLY IF EXISTS {name}",), locks=(lock,), concurrent=True)


def alone(seen: ConvertibleTable) -> tuple[Lock, ...]:
    """Return the locks to alter the table; the first one makes autovacuum give way."""
    modes = LockMode.SHARE_UPDATE_EXCLUSIVE, LockMode.ACCESS_EXCLUSIVE
    return tuple(Lock(str(seen.name), mode) for mode in modes)
