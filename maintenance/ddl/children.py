"""Builds a partition like its parent, and attaches it without blocking readers or writers.

`CREATE TABLE … PARTITION OF` locks the parent in ACCESS EXCLUSIVE mode and gives the child
the creator's owner and no grants. `CREATE TABLE (LIKE …)` followed by `ATTACH PARTITION` takes
SHARE UPDATE EXCLUSIVE on the parent, and we copy the properties that LIKE leaves out.
Source: PostgreSQL manual, CREATE TABLE and ALTER TABLE.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from maintenance.catalog.models import ColumnSetting, Grant, Properties, Table
from maintenance.ddl.objects import NOTHING_ADDED, Additions, statements
from maintenance.engine.actions import Lock, LockMode, Step
from maintenance.names import QualifiedName, literal, quote


def create_and_attach(
    parent: Table,
    child: QualifiedName,
    lower: str,
    upper: str,
    *,
    role: str,
    additions: Additions = NOTHING_ADDED,
) -> Step:
    """Return the transaction that creates a partition for `[lower, upper)`.

    Args:
        parent: the partitioned table as observed.
        child: the new partition's name.
        lower: bound as SQL text, see `partition_key.KeyCodec.literal`.
        upper: likewise.
        role: our role, to know whether the owner must be set.
        additions: objects that it gets in addition to its parent's.
    """
    return Step(
        prepare=(*build_like(parent, child, role=role), *additions.prepare),
        statements=(
            *additions.locked,
            *attach(parent, child, f"FOR VALUES FROM ({lower}) TO ({upper})"),
            *force_row_security(parent, [child]),
        ),
        locks=tuple(attach_locks(parent, additions.referenced)),
        owner=parent.maker,
    )


def build_like(
    parent: Table,
    child: QualifiedName,
    *,
    role: str,
    indexes: bool = True,
    partition_by: str | None = None,
) -> tuple[str, ...]:
    """Return the statements that create an unattached table like a partition of the parent.

    It does not force row security yet, see `force_row_security`.

    Args:
        parent: the partitioned table as observed.
        child: the new table's name.
        role: our role, to know whether the owner must be set.
        indexes: whether it gets the parent's indexes and the constraints based on them.
        partition_by: such as `RANGE (at)` if it is partitioned itself.
    """
    # 18 refuses to attach a table that has its own identity columns.
    like = "INCLUDING ALL EXCLUDING IDENTITY" + ("" if indexes else " EXCLUDING INDEXES")
    storage = f" PARTITION BY {partition_by}" if partition_by else _storage(parent)
    return tuple(_build(parent, child, role, f"(LIKE {parent.relation} {like}){storage}"))


def attach(parent: Table, child: QualifiedName, bound: str) -> tuple[str, ...]:
    """Return the statements that attach a table, with a bound such as `FOR VALUES …`."""
    statement = f"ALTER TABLE {parent.relation} ATTACH PARTITION {child} {bound}"
    return (statement, *index_identity(parent, child))


def attach_locks(parent: Table, referenced: Iterable[QualifiedName] = ()) -> Iterator[Lock]:
    """Yield the locks of ATTACH PARTITION in the order of acquisition.

    Args:
        parent: the partitioned table as observed.
        referenced: tables referenced by foreign keys of the partition itself.
    """
    yield Lock(str(parent.relation), LockMode.SHARE_UPDATE_EXCLUSIVE)
    if parent.default is not None:
        yield Lock(str(parent.default.relation), LockMode.ACCESS_EXCLUSIVE)
    for other in sorted({*parent.foreign_keys, *referenced}):
        yield Lock(str(other), LockMode.SHARE_ROW_EXCLUSIVE)


def change_properties(
    child: QualifiedName, actual: Properties, wanted: Properties, policies: Sequence[str] = ()
) -> Iterator[Step]:
    """Yield the steps that add missing properties of the parent to a partition.

    Each step that locks the partition is a separate transaction: writers wait for only one.

    Args:
        child: the partition.
        actual: its actual properties.
        wanted: the properties it should have.
        policies: statements that create its parent's policies, in the same transaction as row
            security: without them only its owner could read its rows.
    """
    lock = (Lock(str(child), LockMode.ACCESS_EXCLUSIVE),)
    if actual.owner != wanted.owner:
        statement = f"ALTER TABLE {child} OWNER TO {quote(wanted.owner)}"
        yield Step(statements=(statement,), locks=lock)
    lacking = [grant for grant in wanted.grants if grant not in actual.grants]
    if lacking:
        yield Step(statements=tuple(_grants(child, lacking)))
    targets = lacking_targets(actual, wanted)
    if targets:
        harmless = Lock(str(child), LockMode.SHARE_UPDATE_EXCLUSIVE)
        yield Step(statements=(_set_columns(child, targets),), locks=(harmless,))
    flags = [
        _row_security(child, clause, on=should_be)
        for clause, is_on, should_be in (
            ("ROW LEVEL SECURITY", actual.row_security, wanted.row_security),
            ("FORCE ROW LEVEL SECURITY", actual.force_row_security, wanted.force_row_security),
        )
        if is_on != should_be
    ]
    if flags:
        yield Step(statements=(*policies, *flags), locks=lock)
    identity = _PLAIN_IDENTITIES.get(wanted.replica_identity)
    if actual.replica_identity != wanted.replica_identity and identity is not None:
        statement = f"ALTER TABLE {child} REPLICA IDENTITY {identity}"
        yield Step(statements=(statement,), locks=lock)


def lacking_targets(actual: Properties, wanted: Properties) -> list[ColumnSetting]:
    """Return the missing statistics targets of a partition; a different target is intended."""
    own = {target.column for target in actual.targets}
    return [target for target in wanted.targets if target.column not in own]


def _row_security(child: QualifiedName, clause: str, *, on: bool) -> str:
    if clause.startswith("FORCE"):
        return f"ALTER TABLE {child} {clause if on else 'NO ' + clause}"
    return f"ALTER TABLE {child} {'ENABLE' if on else 'DISABLE'} {clause}"


def _build(parent: Table, child: QualifiedName, role: str, definition: str) -> Iterator[str]:
    properties = parent.properties
    tablespace = f" TABLESPACE {quote(properties.tablespace)}" if properties.tablespace else ""
    yield f"CREATE TABLE {child} {definition}{tablespace}"
    if properties.owner != role:
        yield f"ALTER TABLE {child} OWNER TO {quote(properties.owner)}"
    yield from privileges_of(child, properties)
    own = {(target.column, target.key) for target in properties.targets}
    common = (each for each in parent.shared.settings if (each.column, each.key) not in own)
    if settings := (*properties.targets, *common):
        yield _set_columns(child, settings)
    if parent.shared.comment is not None:
        yield f"COMMENT ON TABLE {child} IS {literal(parent.shared.comment)}"
    yield from row_security_of(child, parent)
    if properties.replica_identity in ("n", "f"):
        identity = _PLAIN_IDENTITIES[properties.replica_identity]
        yield f"ALTER TABLE {child} REPLICA IDENTITY {identity}"


def row_security_of(child: QualifiedName, parent: Table) -> Iterator[str]:
    """Yield the statements that enable row security on a new table as on its parent.

    The policies come first: without them only the owner could read its rows.
    """
    properties = parent.properties
    if properties.row_security:
        for policy in parent.policies:
            yield from statements(policy, parent.relation, child, properties.owner)
        yield f"ALTER TABLE {child} ENABLE ROW LEVEL SECURITY"


def force_row_security(parent: Table, children: Iterable[QualifiedName]) -> Iterator[str]:
    """Yield the statements that force row security on new tables if their parent does.

    They come after the attachment, which checks its foreign keys as the owner.
    """
    if parent.properties.force_row_security:
        for child in children:
            yield f"ALTER TABLE {child} FORCE ROW LEVEL SECURITY"


def _storage(parent: Table) -> str:
    """Return the access method and storage options, which LIKE leaves out."""
    method = parent.properties.access_method or parent.shared.access_method
    using = f" USING {quote(method)}" if method else ""
    options = ", ".join(map(_option, parent.shared.options))
    return f"{using} WITH ({options})" if options else using


def _option(option: str) -> str:
    name, _, value = option.partition("=")
    return f"{'.'.join(map(quote, name.split('.')))} = {literal(value)}"


def _set_columns(child: QualifiedName, settings: Iterable[ColumnSetting]) -> str:
    """Return the statement for column settings: LIKE copies none that ANALYZE uses."""
    clauses = ", ".join(f"ALTER COLUMN {quote(s.column)} {_setting(s)}" for s in settings)
    # Tables below a partition that is partitioned itself may have other settings.
    return f"ALTER TABLE ONLY {child} {clauses}"


def _setting(setting: ColumnSetting) -> str:
    if setting.key == "statistics":
        return f"SET STATISTICS {int(setting.value)}"
    return f"SET ({quote(setting.key)} = {literal(setting.value)})"


_PLAIN_IDENTITIES = {"d": "DEFAULT", "n": "NOTHING", "f": "FULL"}


def privileges_of(child: QualifiedName, properties: Properties) -> Iterator[str]:
    """Yield the statements that set the parent's privileges, regardless of default privileges."""
    for grantee in sorted(properties.default_grantees, key=_role):
        yield f"REVOKE ALL ON TABLE {child} FROM {_role(grantee)}"
    if properties.owner_lacks:
        lacking = ", ".join(properties.owner_lacks)
        yield f"REVOKE {lacking} ON TABLE {child} FROM {quote(properties.owner)}"
    yield from _grants(child, properties.grants)


def _grants(child: QualifiedName, grants: Iterable[Grant]) -> Iterator[str]:
    def to_whom(grant: Grant) -> tuple[str, bool]:
        return _role(grant.grantee), grant.grantable

    for (role, grantable), group in groupby(sorted(grants, key=to_whom), key=to_whom):
        listed = ", ".join(sorted(_privilege(grant) for grant in group))
        option = " WITH GRANT OPTION" if grantable else ""
        yield f"GRANT {listed} ON TABLE {child} TO {role}{option}"


def _privilege(grant: Grant) -> str:
    return grant.privilege if grant.column is None else f"{grant.privilege} ({quote(grant.column)})"


def _role(grantee: str | None) -> str:
    return "PUBLIC" if grantee is None else quote(grantee)


def index_identity(parent: Table, child: QualifiedName) -> Iterator[str]:
    """Yield the statement that sets the replica identity of a table below the parent by an index.

    The server looks up the name of the matching index.
    """
    if parent.properties.replica_identity != "i":
        return
    child_text, parent_text = literal(str(child)), literal(str(parent.relation))
    body = f"""DECLARE counterpart text;
BEGIN
  WITH RECURSIVE above AS (
    SELECT i.indexrelid AS own, i.indexrelid AS index
      FROM pg_catalog.pg_index i WHERE i.indrelid = {child_text}::pg_catalog.regclass
    UNION ALL
    SELECT a.own, h.inhparent FROM above a JOIN pg_catalog.pg_inherits h ON h.inhrelid = a.index)
  SELECT c.relname INTO STRICT counterpart
    FROM above a
    JOIN pg_catalog.pg_index p ON p.indexrelid = a.index
    JOIN pg_catalog.pg_class c ON c.oid = a.own
   WHERE p.indrelid = {parent_text}::pg_catalog.regclass AND p.indisreplident;
  EXECUTE pg_catalog.format(
    'ALTER TABLE %s REPLICA IDENTITY USING INDEX %I', {child_text}, counterpart);
END"""
    yield f"DO {literal(body)}"
