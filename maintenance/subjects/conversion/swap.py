"""The swap: one short transaction that puts a partitioned parent in the place of a table.

The table is renamed and becomes the first partition; its parent gets its name and everything on it,
by the texts that the catalog shows. Nothing is copied or scanned. Before COMMIT the parent is
proven to have every property that the table had, else the transaction has changed nothing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from maintenance.catalog.models import ColumnSetting, OwnObject, Shared, Table
from maintenance.ddl.children import attach, build_like, force_row_security
from maintenance.ddl.lock_statements import allowed_time, take
from maintenance.engine.actions import Lock, LockMode, Step
from maintenance.names import QualifiedName, literal, quote
from maintenance.server.statements import Ours
from maintenance.subjects.conversion.matviews import WORTH_TABLES, Twin
from maintenance.subjects.conversion.models import PREFIX, ConvertibleTable, Fact
from maintenance.subjects.conversion.proof import carried, key_text, unchanged
from maintenance.subjects.conversion.references import locks_of, references_of
from maintenance.subjects.conversion.target import Target, other_name
from maintenance.subjects.conversion.view_statements import lock_view, replace_view

_STATES = {"D": "DISABLE", "A": "ENABLE ALWAYS", "R": "ENABLE REPLICA"}


def swap(seen: ConvertibleTable, target: Target, role: str) -> Step:
    """Return the transaction that converts the table.

    Args:
        seen: the table, with its key NOT NULL, the index for the future primary key, and a
            validated CHECK for the bound.
        target: its partitions.
        role: our role.
    """
    first, owner = target.first, seen.table.properties.owner
    references = references_of(seen.definition)
    return Step(
        prepare=(unchanged(seen.definition),),
        statements=(
            allowed_time(WORTH_TABLES),
            take(swap_locks(seen), [lock_view(view) for view in seen.of("view")]),
            _no_new_dependents(seen),
            *(each.drop(owner) for each in references),
            f"ALTER TABLE {seen.name} RENAME TO {quote(first.name)}",
            *_make_room(seen, first),
            *_parent(seen, first, role),
            f"ALTER TABLE {seen.name} DROP CONSTRAINT {quote(target.check)}",
            *move_identities(seen, source=first, to=seen.name),
            *_objects(seen),
            *(
                f"ALTER SEQUENCE {s.name} OWNED BY {seen.name}.{quote(s.definition['column'])}"
                for s in seen.of("sequence")
                if s.definition["dependency"] == "a"
            ),
            *attach(
                _as_parent(seen), first, f"FOR VALUES FROM (MINVALUE) TO ({_upper(seen, target)})"
            )[:1],
            f"ALTER TABLE {first} DROP CONSTRAINT {quote(target.check)}",
            *(text for each in references for text in each.create(owner, swapped=True)),
            *force_row_security(seen.table, [seen.name]),
            *publish(seen, dropped=first, added=seen.name),
            *(replace_view(view) for view in seen.of("view")),
            *(text for view in seen.matviews for text in Twin(view).create()),
            *(text for kind in _COMMENTED for text in commented(seen, seen.of(kind), kind)),
            carried(seen.definition),
            # named in errors
            Ours(f"SELECT {literal(f'swap of {seen.name}')}"),
        ),
        locks=swap_locks(seen),
        owner=owner,
    )


def swap_locks(seen: ConvertibleTable) -> tuple[Lock, ...]:
    """Return the locks of the swap: DDL by others is kept away first, without blocking writers.

    A writer of a referencing row locks its own table first, then this one, then those that this one
    references: the same order prevents deadlocks.
    """
    name, referencing = str(seen.name), locks_of(seen.definition)
    keys = (k for k in seen.of("constraint") if k.definition["type"] == "f")
    referenced = sorted({QualifiedName(*key.definition["references"]) for key in keys})
    locked = {lock.object for lock in referencing}
    return (
        Lock(name, LockMode.SHARE_UPDATE_EXCLUSIVE),
        *referencing,
        Lock(name, LockMode.ACCESS_EXCLUSIVE),
        *(
            Lock(str(other), LockMode.SHARE_ROW_EXCLUSIVE)
            for other in referenced
            if str(other) not in locked
        ),
    )


def parent_model(seen: ConvertibleTable) -> Table:
    """Return the future parent, as the model of its next partitions."""
    (storage,) = seen.of("storage")
    options = list(storage.definition["options"] or ())
    options += [f"toast.{each}" for each in storage.definition["toast_options"] or ()]
    shared = Shared(tuple(_settings(seen)), tuple(options), storage.definition["access_method"])
    return replace(_as_parent(seen), shared=shared)


def _upper(seen: ConvertibleTable, target: Target) -> str:
    return target.until.literals(seen.codec)[0]


def _as_parent(seen: ConvertibleTable) -> Table:
    policies = tuple(
        OwnObject("policy", each.name, (each.definition["text"],)) for each in seen.of("policy")
    )
    keys = (
        k.definition["references"] for k in seen.of("constraint") if k.definition["type"] == "f"
    )
    return replace(
        seen.table,
        objects={seen.table.oid: policies},
        foreign_keys=tuple(sorted({QualifiedName(*key) for key in keys})),
    )


def _settings(seen: ConvertibleTable) -> Iterator[ColumnSetting]:
    for column in seen.of("column"):
        for option in column.definition["options"] or ():
            name, _, value = option.partition("=")
            yield ColumnSetting(column.name, name, value)


def _no_new_dependents(seen: ConvertibleTable) -> Ours:
    """Return a statement that fails if something began to depend on the table unlocked.

    The properties were compared under a lock that keeps other DDL away, but not a new view.
    """
    wanted = sorted(view.name for kind in ("view", "matview") for view in seen.of(kind))
    oid = seen.table.oid
    return Ours(
        "DO "
        + literal(f"""BEGIN IF EXISTS (
    SELECT FROM pg_catalog.pg_depend d
      JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid
      JOIN pg_catalog.pg_class v ON v.oid = w.ev_class
      JOIN pg_catalog.pg_namespace n ON n.oid = v.relnamespace
     WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
       AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = {oid}
       AND v.oid <> {oid}
       AND pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(v.relname)
           <> ALL (ARRAY[{", ".join(map(literal, wanted))}]::text[]))
  THEN RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'a view was created meanwhile',
    HINT = 'nothing was changed; plan again'; END IF; END""")
    )


def _make_room(seen: ConvertibleTable, first: QualifiedName) -> Iterator[str]:
    """Yield the statements that give objects of the first partition other names, or remove them."""
    key = seen.primary_key
    for index in seen.of("index"):
        if key is None or not seen.extends_key or index.name != key.name:
            new = other_name(index.name, seen.name.name, first.name)
            old = QualifiedName(first.schema, index.name)
            yield f"ALTER INDEX {old} RENAME TO {quote(new)}"
    if key is not None and seen.extends_key:
        name = other_name(key.name, seen.name.name, first.name)
        yield f"ALTER TABLE {first} DROP CONSTRAINT {quote(key.name)}"
        yield (
            f"ALTER TABLE {first} ADD CONSTRAINT {quote(name)} PRIMARY KEY USING INDEX"
            f" {quote(seen.key_index.name)}"
        )
    for each in seen.of("statistics"):
        new = other_name(each.definition["name"], seen.name.name, first.name)
        yield f"ALTER STATISTICS {each.name} RENAME TO {quote(new)}"
    for each in seen.of("trigger"):
        # attaching creates it again from that of the parent
        yield f"DROP TRIGGER {quote(each.name)} ON {first}"
    if seen.of("table")[0].definition["comment"] is not None:
        yield f"COMMENT ON TABLE {first} IS NULL"


def _parent(seen: ConvertibleTable, first: QualifiedName, role: str) -> Iterator[str]:
    like = "INCLUDING ALL EXCLUDING IDENTITY EXCLUDING INDEXES EXCLUDING STATISTICS"
    tablespace = seen.table.properties.tablespace
    space = f" TABLESPACE {quote(tablespace)}" if tablespace else ""
    by = f"PARTITION BY RANGE ({quote(seen.section.column)})"
    yield f"CREATE TABLE {seen.name} (LIKE {first} {like}) {by}{space}"
    model = parent_model(seen)
    comment = seen.of("table")[0].definition["comment"]
    model = replace(model, shared=Shared(model.shared.settings, comment=comment))
    yield from build_like(model, seen.name, role=role, indexes=False)[1:]


def move_identities(
    seen: ConvertibleTable, *, source: QualifiedName, to: QualifiedName
) -> Iterator[str]:
    """Yield the statements that move identity columns with their sequences to another table."""
    for place, each in enumerate(seen.of("sequence")):
        facts = each.definition
        if facts["dependency"] != "i":
            continue
        column = next(c for c in seen.of("column") if c.name == facts["column"])
        always = "ALWAYS" if column.definition["identity"] == "a" else "BY DEFAULT"
        old = QualifiedName(facts["schema"], f"{PREFIX}{seen.table.oid}_o{place}")
        new = QualifiedName(facts["schema"], f"{PREFIX}{seen.table.oid}_n{place}")
        yield (
            f"ALTER TABLE {to} ALTER COLUMN {quote(column.name)} ADD GENERATED {always}"
            f" AS IDENTITY (SEQUENCE NAME {new} {_options(facts)})"
        )
        # takes the lock that keeps nextval away
        yield f"ALTER SEQUENCE {each.name} RENAME TO {quote(old.name)}"
        value = f"pg_catalog.setval({literal(str(new))}, s.last_value, s.is_called)"
        yield f"SELECT {value} FROM {old} AS s"
        yield f"ALTER TABLE {source} ALTER COLUMN {quote(column.name)} DROP IDENTITY"
        yield f"ALTER SEQUENCE {new} RENAME TO {quote(facts['name'])}"
        yield from _sequence_grants(each, seen.table.properties.owner)
        if facts["comment"] is not None:
            yield f"COMMENT ON SEQUENCE {each.name} IS {literal(facts['comment'])}"


def _options(facts: Any) -> str:
    cycle = "CYCLE" if facts["cycle"] else "NO CYCLE"
    return (
        f"START WITH {int(facts['start'])} INCREMENT BY {int(facts['increment'])}"
        f" MINVALUE {int(facts['min'])} MAXVALUE {int(facts['max'])} CACHE {int(facts['cache'])}"
        f" {cycle}"
    )


def _sequence_grants(sequence: Fact, owner: str) -> Iterator[str]:
    yield f"REVOKE ALL ON SEQUENCE {sequence.name} FROM {quote(owner)}"
    for grantee, privilege, grantable in sequence.definition["grants"] or ():
        to = "PUBLIC" if grantee is None else quote(grantee)
        option = " WITH GRANT OPTION" if grantable else ""
        yield f"GRANT {privilege} ON SEQUENCE {sequence.name} TO {to}{option}"


def _objects(seen: ConvertibleTable) -> Iterator[str]:
    """Yield the statements that create the parent's keys, indexes, triggers and statistics."""
    key = seen.primary_key
    for each in seen.of("constraint"):
        facts = each.definition
        if facts["type"] == "c":
            continue
        text = key_text(seen.definition) if each is key and seen.extends_key else facts["text"]
        yield f"ALTER TABLE {seen.name} ADD CONSTRAINT {quote(each.name)} {text}"
    for each in seen.of("index"):
        if each.definition["constraint"] is None:
            yield each.definition["text"]
        if each.definition["replica_identity"]:
            yield f"ALTER TABLE {seen.name} REPLICA IDENTITY USING INDEX {quote(each.name)}"
    yield from create_triggers(seen)
    for each in seen.of("statistics"):
        yield each.definition["text"]
        if each.definition["target"] is not None:
            yield f"ALTER STATISTICS {each.name} SET STATISTICS {int(each.definition['target'])}"


def create_triggers(seen: ConvertibleTable) -> Iterator[str]:
    """Yield the statements that create its triggers on the table that has the name now."""
    for each in seen.of("trigger"):
        yield each.definition["text"]
        state = _STATES.get(each.definition["enabled"])
        if state is not None:
            yield f"ALTER TABLE {seen.name} {state} TRIGGER {quote(each.name)}"


def publish(
    seen: ConvertibleTable,
    *,
    dropped: QualifiedName | None = None,
    added: QualifiedName | None = None,
) -> Iterator[Ours]:
    """Yield the statements that remove one table from its publications and add another."""
    for each in seen.of("publication"):
        facts, publication = each.definition, quote(each.name)
        if facts["scope"] != "table":
            continue
        listed = facts["columns"]
        columns = f" ({', '.join(map(quote, listed))})" if listed is not None else ""
        where = f" WHERE ({facts['where']})" if facts["where"] is not None else ""
        if dropped is not None:
            yield Ours(f"ALTER PUBLICATION {publication} DROP TABLE {dropped}")
        if added is not None:
            yield Ours(f"ALTER PUBLICATION {publication} ADD TABLE {added}{columns}{where}")


_COMMENTED = {
    "constraint": "CONSTRAINT {name} ON {table}",
    "index": "INDEX {schema}.{name}",
    "trigger": "TRIGGER {name} ON {table}",
    "policy": "POLICY {name} ON {table}",
    "statistics": "STATISTICS {qualified}",
}


def commented(seen: ConvertibleTable, facts: Iterable[Fact], kind: str) -> Iterator[str]:
    """Yield the comments of objects on the table that has the name now."""
    for each in facts:
        if each.definition["comment"] is not None:
            on = _COMMENTED[kind].format(
                name=quote(each.name),
                table=seen.name,
                schema=quote(seen.name.schema),
                qualified=each.name,
            )
            yield f"COMMENT ON {on} IS {literal(each.definition['comment'])}"
