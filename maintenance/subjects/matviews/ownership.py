"""Owner and privileges of a view: from the policy, else from the other views of its schema."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from maintenance.catalog.models import Server
from maintenance.names import QualifiedName, quote
from maintenance.policy import MatviewPolicy
from maintenance.server.capabilities import has_maintain
from maintenance.server.session import Connection, fetch
from maintenance.subjects.matviews.models import Matview, Ownership

_EVERYBODY = frozenset({"public", "PUBLIC"})

_Grants = tuple[tuple[str | None, str], ...]


def read_ownership(
    connection: Connection,
    sections: Iterable[MatviewPolicy],
    views: Mapping[QualifiedName, Matview],
    server: Server,
) -> dict[QualifiedName, Ownership]:
    """Read the owner and privileges for missing views, and those that existing views lack.

    Existing views are included only if this role owns them or the policy names their owner.

    Args:
        connection: a session in a transaction.
        sections: of the policy.
        views: those that exist.
        server: the server of the session.
    """
    asked = [each for each in sections if _is_asked(each, views.get(each.name), connection)]
    if not asked:
        return {}
    schemas = [section.name.schema for section in asked]
    parameters = {"schemas": schemas, "names": [section.name.name for section in asked]}
    rows = fetch(connection, "matviews", "list_owners", parameters)
    by_name = {QualifiedName(row.schema, row.name): row for row in rows}
    roles = _read_roles(connection, asked, schemas)
    return {
        section.name: _ownership(section, by_name[section.name], roles, server) for section in asked
    }


def _is_asked(section: MatviewPolicy, view: Matview | None, connection: Connection) -> bool:
    if view is None:
        return section.definition is not None
    is_ours = section.definition is not None and view.owner == connection.info.user
    return view.kind == "m" and (is_ours or section.owner is not None or bool(section.grants))


def _read_roles(
    connection: Connection, sections: Collection[MatviewPolicy], schemas: Collection[str]
) -> dict[str, Any]:
    names = {section.owner for section in sections if section.owner is not None}
    names |= {grant.to for section in sections for grant in section.grants} - _EVERYBODY
    if not names:
        return {}
    parameters = {"roles": sorted(names), "schemas": sorted(set(schemas))}
    rows = fetch(connection, "matviews", "list_roles", parameters)
    return {row.name: row for row in rows}


def _ownership(
    section: MatviewPolicy, row: Any, roles: Mapping[str, Any], server: Server
) -> Ownership:
    inherited = {(each["to"], right) for each in row.grants or () for right in each["rights"]}
    named = {
        (None if grant.to in _EVERYBODY else grant.to, right)
        for grant in section.grants
        for right in grant.rights
    }
    owner = section.owner or row.owner
    grants = _sorted((to, right) for to, right in inherited | named if to != owner)
    readers: set[str | None] = set(row.readers or ())
    return Ownership(
        owner=owner,
        grants=grants,
        lacking=tuple((to, r) for to, r in grants if r == "SELECT" and to not in readers),
        refused=_refused(section, row, roles, server),
        unknown_roles=_unknown_roles(section, roles),
    )


def _unknown_roles(section: MatviewPolicy, roles: Mapping[str, Any]) -> tuple[str, ...]:
    owners = [section.owner] if section.owner is not None else []
    named = {*owners, *(grant.to for grant in section.grants)} - _EVERYBODY
    return tuple(sorted(named - roles.keys()))


def _sorted(grants: Iterable[tuple[str | None, str]]) -> _Grants:
    return tuple(sorted(grants, key=lambda each: (each[0] or "", each[1])))


def _refused(
    section: MatviewPolicy, row: Any, roles: Mapping[str, Any], server: Server
) -> str | None:
    """Return why a view can't be created with this owner and these privileges."""
    schema, view = section.name.schema, section.name
    if not row.schema_exists:
        return f"{view}: schema {schema} does not exist"
    if unknown := _unknown_roles(section, roles):
        return f"{view}: role {unknown[0]}, named in its owner or grants, does not exist"
    grants_maintain = any("MAINTAIN" in g.rights for g in section.grants)
    if grants_maintain and not has_maintain(server.major):
        return f"{view}: the privilege MAINTAIN in its grants requires PostgreSQL 17"
    owner = section.owner or row.owner
    named = roles[section.owner] if section.owner is not None else None
    if not (named.may_act if named is not None else row.may_act):
        may_grant = server.grants.may_have(owner)
        grant = f"GRANT {quote(owner)} TO {quote(server.role)}, or " if may_grant else ""
        return (
            f"{view}: wanted owner is {owner}, and role {server.role} is not a member of it;"
            f" {grant}set `owner` of the view to another role"
        )
    if not (schema in named.creates_in if named is not None else row.owner_may_create):
        return (
            f"{view}: wanted owner {owner} may not create objects in schema {schema};"
            f" GRANT CREATE ON SCHEMA {schema} TO {owner}, or set `owner` to another role"
        )
    return None
