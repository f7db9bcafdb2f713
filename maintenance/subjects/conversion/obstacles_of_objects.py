"""The reasons against a conversion that objects on a table give, and those depending on it."""

import re
from collections.abc import Iterator

from maintenance.names import QualifiedName, quote
from maintenance.server.grants import Grants
from maintenance.subjects.conversion.models import ConvertibleTable, Fact, Obstacle
from maintenance.subjects.conversion.obstacles_of_references import obstacles_of_references
from maintenance.subjects.conversion.obstacles_of_views import obstacles_of_views
from maintenance.subjects.conversion.statements import failing_upserts

_NAMES_ITSELF = re.compile(r"\btg_(table_name|relname|relid)\b", re.IGNORECASE)
_REPLACES_ROW = re.compile(
    r"populate_record|#=|\bexecute\b|\bnew\s*:?=|\binto\s+new\b", re.IGNORECASE
)


def obstacles_of_objects(seen: ConvertibleTable, grants: Grants) -> Iterator[Obstacle]:
    """Yield the reasons that keys, indexes, code, views, publications and others give."""
    yield from _of_constraints(seen)
    yield from _of_indexes(seen)
    yield from _of_triggers(seen)
    yield from obstacles_of_references(seen, grants)
    yield from obstacles_of_views(seen)
    yield from _of_publications(seen, grants)
    yield from _of_owners(seen)
    yield from _of_others(seen)
    yield from _of_upserts(seen)


def _of_constraints(seen: ConvertibleTable) -> Iterator[Obstacle]:
    for each in seen.of("constraint"):
        kind = each.definition["type"]
        if kind == "x":
            name = quote(each.name)
            yield _about(each, "exclusion", f"{name} is an exclusion constraint. Drop it")
            continue
        yield from _of_constraint(seen, each)
        if kind == "f":
            yield from _of_foreign_key(seen, each)
    for each in seen.of("not null"):
        yield _about(
            each, "not_valid", f"NOT NULL constraint {quote(each.name)} is NO INHERIT or NOT VALID"
        )
    if seen.primary_key is not None and not _is_plain_key(seen, seen.primary_key):
        yield _about(
            seen.primary_key,
            "key_definition",
            "its primary key has INCLUDE columns, storage options or an operator class of its own",
        )


def _of_constraint(seen: ConvertibleTable, each: Fact) -> Iterator[Obstacle]:
    facts, name, column = each.definition, quote(each.name), seen.section.column
    if facts["deferrable"]:
        yield _about(each, "deferrable", f"constraint {name} is deferrable")
    if facts["no_inherit"]:
        yield _about(
            each,
            "no_inherit",
            f"constraint {name} is NO INHERIT, which no partitioned table can have",
        )
    if not facts["enforced"]:
        yield _about(each, "not_enforced", f"constraint {name} is NOT ENFORCED")
    elif not facts["valid"]:
        validate = f"ALTER TABLE {seen.name} VALIDATE CONSTRAINT {name}"
        yield _about(each, "not_valid", f"constraint {name} is NOT VALID. Run {validate}")
    if facts["period"]:
        yield _about(each, "period", f"constraint {name} is temporal")
    if facts["type"] == "u" and column not in facts["columns"]:
        yield _about(each, "unique_without_key", _unique(name, column))


def _of_foreign_key(seen: ConvertibleTable, each: Fact) -> Iterator[Obstacle]:
    facts, name = each.definition, quote(each.name)
    if tuple(facts["references"]) == tuple(seen.name):
        yield _about(
            each,
            "references_itself",
            f"foreign key {name} references the table itself: {facts['text']}. Run ALTER TABLE"
            f" {seen.name} DROP CONSTRAINT {name}, and create it again after the conversion, on the"
            " first partition and then on the table (docs/conversion.md has the statements)",
        )
    elif not facts["may_reference"]:
        other = QualifiedName(*facts["references"])
        yield _about(
            each,
            "owner_lacks_references",
            f"its owner can't create foreign key {name} again. Run GRANT REFERENCES ON {other} TO"
            f" {quote(seen.table.properties.owner)}",
        )


def _is_plain_key(seen: ConvertibleTable, key: Fact) -> bool:
    columns = ", ".join(quote(c) for c in key.definition["columns"])
    texts = {f.name: f.definition["text"] for f in seen.of("index")}
    index = f"CREATE UNIQUE INDEX {quote(key.name)} ON {seen.name} USING btree ({columns})"
    return key.definition["text"] == f"PRIMARY KEY ({columns})" and texts.get(key.name) == index


def _unique(name: str, column: str) -> str:
    return (
        f"{name} is unique without {quote(column)}, and no partitioned table can enforce that. Add"
        f" {quote(column)} to it, if the application allows, or drop it"
    )


def _of_indexes(seen: ConvertibleTable) -> Iterator[Obstacle]:
    column = seen.section.column
    for each in seen.of("index"):
        facts, name = each.definition, quote(each.name)
        if not facts["valid"]:
            yield _about(each, "invalid_index", f"index {name} is invalid. Rebuild or drop it")
        if facts["clustered"]:
            yield _about(
                each,
                "clustered",
                f"it is clustered on {name}. Run ALTER TABLE {seen.name} SET WITHOUT CLUSTER",
            )
        if facts["tablespace"] is not None:
            yield _about(each, "index_tablespace", f"index {name} is in another tablespace")
        if facts["targets"]:
            yield _about(each, "index_statistics", f"index {name} has statistics targets")
        if facts["unique"] and facts["constraint"] is None and column not in facts["columns"]:
            yield _about(each, "unique_without_key", _unique(f"index {name}", column))
        if facts["replica_identity"] and column not in facts["columns"]:
            yield _about(
                each,
                "replica_identity",
                f"its replica identity is index {name}, without {quote(column)}",
            )


def _of_triggers(seen: ConvertibleTable) -> Iterator[Obstacle]:
    key = re.compile(rf'\bnew\s*\.\s*"?{re.escape(seen.section.column)}\b', re.IGNORECASE)
    for each in seen.of("trigger"):
        facts, name = each.definition, quote(each.name)
        source = facts["source"] or ""
        if facts["constraint"]:
            yield _about(each, "constraint_trigger", f"{name} is a constraint trigger")
        if facts["row"] and facts["transition"]:
            yield _about(
                each,
                "transition_tables",
                f"row trigger {name} has transition tables. Make it FOR EACH STATEMENT",
            )
        if not facts["executable"]:
            yield _about(
                each, "trigger_function", f"its owner can't execute the function of {name}"
            )
        if not facts["row"] or facts["builtin"]:
            continue
        if facts["language"] != "plpgsql":
            yield _about(
                each,
                "trigger_unreadable",
                f"what the function of row trigger {name} depends on is"
                " unknown: it is not in PL/pgSQL",
            )
            continue
        if _NAMES_ITSELF.search(source):
            yield _about(
                each,
                "trigger_names_table",
                f"the function of row trigger {name} uses TG_TABLE_NAME"
                " or TG_RELID, which are the partition's then. Pass the name as an argument",
            )
        if facts["before"] and (key.search(source) or _REPLACES_ROW.search(source)):
            yield _about(
                each,
                "trigger_sets_key",
                f"row trigger {name} may set {quote(seen.section.column)}"
                " before the row is stored, but its partition is chosen before triggers run. Use"
                " a default instead",
            )


def _of_publications(seen: ConvertibleTable, grants: Grants) -> Iterator[Obstacle]:
    (table,) = seen.of("table") or (Fact("table", "", {"replica_identity": "d"}),)
    owner = quote(seen.table.properties.owner)
    for each in seen.of("publication"):
        facts, name = each.definition, quote(each.name)
        if not facts["via_root"]:
            yield _about(
                each,
                "publication_of_partitions",
                f"publication {name} would send changes under the"
                f" names of partitions. Run ALTER PUBLICATION {name} SET"
                " (publish_via_partition_root = true), which changes nothing before",
            )
        if facts["scope"] == "table" and not facts["usable"]:
            yield _about(
                each,
                "publication_owner",
                f"this role is not a member of the owner of publication {name}. Run GRANT CREATE ON"
                f" DATABASE {quote(grants.database)} TO {owner}; ALTER PUBLICATION {name} OWNER TO"
                f" {owner}",
            )
        listed = facts["columns"]
        is_lacking = listed is not None and not set(seen.extended_key) <= set(listed)
        if is_lacking and table.definition["replica_identity"] == "d":
            yield _about(
                each,
                "publication_lacks_key",
                f"publication {name} lists columns without"
                f" {quote(seen.section.column)}, which becomes part of the key. Add it there",
            )


def _of_owners(seen: ConvertibleTable) -> Iterator[Obstacle]:
    owner = seen.table.properties.owner
    for kind in ("statistics", "sequence"):
        for each in seen.of(kind):
            if each.definition["owner"] != owner:
                yield _about(
                    each,
                    f"{kind}_owner",
                    f"{kind} {each.name} belongs to another role. Run ALTER"
                    f" {kind.upper()} {each.name} OWNER TO {quote(owner)}",
                )
    for each in seen.of("sequence"):
        if each.definition["persistence"] != "p":
            yield _about(each, "sequence_unlogged", f"sequence {each.name} is unlogged")


_OTHERS = (
    ("rule", "rule", "rule {name}. Replace it by a trigger"),
    ("inheritance", "inheritance", "table inheritance: {name}. Run ALTER TABLE … NO INHERIT"),
    ("subscription", "subscription", "it is written by a subscription (OID {name})"),
    ("extension", "extension", "it belongs to extension {name}"),
    ("security label", "security_label", "it has a security label of {name}"),
)


def _of_others(seen: ConvertibleTable) -> Iterator[Obstacle]:
    for kind, code, text in _OTHERS:
        for each in seen.of(kind):
            yield _about(each, code, text.format(name=each.name))
    for each in seen.of("dependent"):
        yield _about(
            each,
            "dependent_object",
            f"an object depends on its {each.definition['on']} and would stay with the first"
            f" partition: {each.name}. Drop it, and create it again afterwards",
        )


def _of_upserts(seen: ConvertibleTable) -> Iterator[Obstacle]:
    facts = (each.definition for each in seen.of("index"))
    unique = {frozenset(f["columns"]) for f in facts if f["unique"] and None not in f["columns"]}
    key = seen.primary_key
    if key is not None:
        unique -= {frozenset(key.definition["columns"])}
    found = sorted(set(failing_upserts(seen.upserts, seen.name, unique | {_key_of(seen)})))
    if found:
        columns = ", ".join(map(quote, seen.extended_key))
        yield Obstacle(
            "upserts",
            "statements or functions with ON CONFLICT would fail, since no unique index fits them"
            f" then. Create a unique index on ({columns}) concurrently and use ON CONFLICT"
            f" ({columns}); run SELECT pg_stat_statements_reset() if they are not used any more",
            tuple(found),
        )


def _key_of(seen: ConvertibleTable) -> frozenset[str]:
    return frozenset(seen.extended_key)


def _about(fact: Fact, code: str, text: str) -> Obstacle:
    return Obstacle(code, text, (fact.name,))
